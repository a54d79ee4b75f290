//! Which certificates are believed, and what is said of the others.

use std::sync::Arc;

use protocol::http1::Http1;
use protocol::tls::{Client, Error, Settings, SettingsError, Trust, Version};
use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::peer::{
    Cut, DONE, Identity, PONG, Talk, VERSIONS, World, authority, get, http1, issued, key, named, self_signed,
    server_config, settings,
};

/// What becomes of a handshake with a server that shows `identity`, in both versions.
fn judged(trust: Trust<'_>, server_name: &str, identity: &Identity) -> Result<(), String> {
    let protocol = http1(trust, server_name);
    let [first, second] = VERSIONS.map(|version| {
        let server = Arc::new(server_config(identity, version));
        let mut talk = Talk::new(&protocol, &server, Cut::Never);
        talk.settle().map_err(|error| error.to_string())?;
        assert_eq!(talk.exchange(&get(), PONG), Ok(DONE));
        Ok(())
    });
    assert_eq!(first, second);
    first
}

fn refused(text: &str) -> Result<(), String> {
    Err(format!("TLS: {text}"))
}

#[test]
fn names_and_addresses_must_be_those_of_the_certificate() {
    let world = World::new();
    let bundle = world.authority.pem();
    let trust = Trust::Own(bundle.as_bytes());
    for name in ["server.test", "SERVER.test", "127.0.0.1", "::1"] {
        assert_eq!(judged(trust, name, &world.server), Ok(()), "{name}");
    }
    for name in ["other.test", "a.server.test", "127.0.0.2", "::2"] {
        let text = format!("the certificate is not for {name}, but for server.test, 127.0.0.1, 0::1");
        assert_eq!(judged(trust, name, &world.server), refused(&text));
    }
    let wild = issued(&world.authority, named(&["*.server.test"]));
    assert_eq!(judged(trust, "any.server.test", &wild), Ok(()));
    let text = "the certificate is not for a.b.server.test, but for *.server.test";
    assert_eq!(judged(trust, "a.b.server.test", &wild), refused(text));
    let nobody = issued(&world.authority, CertificateParams::default());
    let text = "the certificate is not for server.test, but for nobody (it has no subjectAltName)";
    assert_eq!(judged(trust, "server.test", &nobody), refused(text));
}

#[test]
fn times_must_be_right() {
    let world = World::new();
    let bundle = world.authority.pem();
    let trust = Trust::Own(bundle.as_bytes());
    let mut params = named(&["server.test"]);
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2026, 5, 31));
    let old = issued(&world.authority, params.clone());
    assert_eq!(judged(trust, "server.test", &old), refused("the certificate has expired"));
    (params.not_before, params.not_after) = (date_time_ymd(2026, 6, 2), date_time_ymd(2027, 1, 1));
    let early = issued(&world.authority, params);
    assert_eq!(judged(trust, "server.test", &early), refused("the certificate is not valid yet"));
}

#[test]
fn an_authority_must_vouch() {
    let world = World::new();
    let other = authority("another authority");
    let bundle = other.pem();
    let unknown = refused("the certificate is from an unknown authority");
    assert_eq!(judged(Trust::Own(bundle.as_bytes()), "server.test", &world.server), unknown);
    // The same name, another key.
    let double = authority("test authority");
    let bundle = double.pem();
    let judgement = judged(Trust::Own(bundle.as_bytes()), "server.test", &world.server);
    assert!(matches!(&judgement, Err(text) if text.starts_with("TLS: the certificate is ")), "{judgement:?}");

    let both = format!("{}\n# a remark\n{}", other.pem(), world.authority.pem());
    assert_eq!(judged(Trust::Own(both.as_bytes()), "server.test", &world.server), Ok(()));
    let system = [other.der().clone(), vec![1, 2, 3].into(), world.authority.der().clone()];
    assert_eq!(judged(Trust::System(&system), "server.test", &world.server), Ok(()));
    assert_eq!(judged(Trust::System(&system[..1]), "server.test", &world.server), unknown);
}

/// `openssl req -x509` makes an authority of every certificate, and people trust it by naming it.
#[test]
fn self_signed_certificates_are_called_so_and_may_be_named_as_authority() {
    let world = World::new();
    let bundle = world.authority.pem();
    let mut params = named(&["server.test"]);
    for is_authority in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        params.is_ca = is_authority;
        let own = self_signed(&params);
        let trust = Trust::Own(bundle.as_bytes());
        assert_eq!(judged(trust, "server.test", &own), refused("the certificate is self-signed"));
        let trust = Trust::Own(own.pem.as_bytes());
        assert_eq!(judged(trust, "server.test", &own), Ok(()));
        let text = "the certificate is not for other.test, but for server.test";
        assert_eq!(judged(trust, "other.test", &own), refused(text));
    }
    params.not_after = date_time_ymd(2026, 5, 31);
    let old = self_signed(&params);
    let trust = Trust::Own(old.pem.as_bytes());
    assert_eq!(judged(trust, "server.test", &old), refused("the certificate has expired"));
}

#[test]
fn everything_is_believed_when_asked_for() {
    let world = World::new();
    let mut params = named(&["other.test"]);
    params.not_after = date_time_ymd(2020, 1, 1);
    for identity in [self_signed(&params), issued(&authority("unknown"), params), world.server] {
        assert_eq!(judged(Trust::Everybody, "server.test", &identity), Ok(()));
    }
}

/// A certificate is no use without its key.
#[test]
fn a_stolen_certificate_is_not_believed() {
    let world = World::new();
    let bundle = world.authority.pem();
    for version in VERSIONS {
        let mut config = server_config(&self_signed(&named(&["server.test"])), version);
        let other_key = key(&self_signed(&named(&[])));
        let other_key = aws_lc_rs::sign::any_supported_type(&other_key).unwrap();
        let stolen = CertifiedKey::new(vec![world.server.der.clone()], other_key);
        config.cert_resolver = Arc::new(SingleCertAndKey::from(stolen));
        let protocol = http1(Trust::Own(bundle.as_bytes()), "server.test");
        let mut talk = Talk::new(&protocol, &Arc::new(config), Cut::Never);
        let error = talk.settle().unwrap_err().to_string();
        assert_eq!(error, "TLS: the certificate is refused: BadSignature");
    }
}

#[test]
fn settings_that_cannot_be_used_are_told() {
    let world = World::new();
    let (bundle, other) = (world.authority.pem(), self_signed(&named(&["client"])));
    let usable = settings(Trust::Own(bundle.as_bytes()));
    let with = |identity| Client::new(&Settings { identity: Some(identity), ..usable }).unwrap_err();
    let (chain, key) = (world.server.pem.as_bytes(), world.server.key_pem());
    let cases = [
        (
            Client::new(&settings(Trust::Own(b""))).unwrap_err(),
            "no trusted authority: it holds no PEM certificate",
        ),
        (with((b"x", key.as_bytes())), "the client certificate cannot be used: it holds no PEM certificate"),
        (with((chain, b"x")), "the private key cannot be used: no items found"),
        (
            with((chain, other.key_pem().as_bytes())),
            "the private key cannot be used: keys may not be consistent: KeyMismatch",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for trust in [Trust::Own(broken), Trust::System(&[])] {
        assert!(matches!(Client::new(&settings(trust)), Err(SettingsError::Authorities(_))));
    }
    let client = Client::new(&usable).unwrap();
    for name in ["", "a b", "http://server.test", "server.test:443"] {
        let error = client.protocol(name, Version::Http1, Arc::new(Http1)).unwrap_err();
        assert_eq!(error, SettingsError::Name(name.to_owned()));
    }
}

#[test]
fn a_server_may_ask_for_a_certificate() {
    let world = World::new();
    let bundle = world.authority.pem();
    let usable = settings(Trust::Own(bundle.as_bytes()));
    let ours = issued(&world.authority, named(&["client.test"]));
    let foreign = self_signed(&named(&["client.test"]));
    for version in VERSIONS {
        let server = Arc::new(world.strict_server_config(version));
        let result = |identity: Option<&Identity>| {
            let key = identity.map(Identity::key_pem);
            let identity = identity.zip(key.as_ref()).map(|(of, key)| (of.pem.as_bytes(), key.as_bytes()));
            let client = Client::new(&Settings { identity, ..usable }).unwrap();
            let protocol = client.protocol("server.test", Version::Http1, Arc::new(Http1)).unwrap();
            let mut talk = Talk::new(&protocol, &server, Cut::Never);
            talk.settle()?;
            talk.exchange(&get(), PONG)
        };
        assert_eq!(result(Some(&ours)), Ok(DONE));
        for (identity, alert) in [(None, "certificate_required"), (Some(&foreign), "unknown_ca")] {
            assert_eq!(result(identity), Err(Error::Alert(alert.to_owned()).into()));
        }
    }
}
