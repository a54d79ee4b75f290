//! Whom we trust and who we are: checked once, shared by all connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use super::verify::{Authorities, Everybody};
use super::{Error, Probe, Tls};
use crate::Protocol;

/// Sessions that a [`Tls`] remembers for resumption: the last one of TLS 1.2, and eight tickets of TLS 1.3, which are
/// used once each. A target that gives two tickets per connection, as most do, keeps them in supply.
const SESSIONS_MAX: usize = 8;

/// What a plan says of TLS, with the files it names already read.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Authorities to trust.
    pub trust: Trust<'a>,
    /// The chain and the private key, both as PEM, that a target gets to see when it asks.
    pub identity: Option<(&'a [u8], &'a [u8])>,
    /// Whether connections take up the sessions of earlier ones (RFC 8446, 2.2).
    pub resumption: bool,
    /// The time since 1970, by which certificates are judged.
    pub unix_time: fn() -> Duration,
}

/// Whose word is taken for a target's certificate.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Of these authorities, as DER; what cannot be read among them is passed over, as there is always something.
    System(&'a [CertificateDer<'a>]),
    /// Of these, a bundle in PEM.
    Own(&'a [u8]),
    /// Nobody's: every certificate will do.
    Everybody,
}

/// What is spoken inside, and how TLS calls it (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `http/1.1`, also assumed of a target that does not say.
    Http1,
    /// `h2`.
    Http2,
}

impl Version {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }

    /// Whether what the target agreed to is this one.
    pub(super) fn check(self, agreed: Option<&[u8]>) -> Result<(), Error> {
        let is_right = agreed.map_or(self == Self::Http1, |agreed| agreed == self.name().as_bytes());
        if is_right { Ok(()) } else { Err(Error::Alpn(self.name())) }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The trusted authorities cannot be read, or are none.
    #[error("no trusted authority: {0}")]
    Authorities(String),
    /// The client's certificate cannot be read.
    #[error("the client certificate cannot be used: {0}")]
    Certificate(String),
    /// Its key cannot be read, or belongs to another certificate.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// Neither a name nor an address.
    #[error("{0:?} is neither a host name nor an address")]
    Name(String),
    /// The library refuses.
    #[error("{0}")]
    Library(String),
}

/// The client's side of all connections.
#[derive(Clone)]
pub struct Client {
    config: ClientConfig,
    resumption: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("resumption", &self.resumption).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks `settings`.
    ///
    /// # Errors
    /// The first part that cannot be used.
    pub fn new(settings: &Settings<'_>) -> Result<Self, SettingsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let time = Arc::new(Time(settings.unix_time));
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), time)
            .with_safe_default_protocol_versions()
            .map_err(library)?
            .dangerous()
            .with_custom_certificate_verifier(verifier(settings.trust, &provider)?);
        let mut config = match settings.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain).map_err(SettingsError::Certificate)?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| SettingsError::Key(error.to_string()))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| SettingsError::Key(error.to_string()))?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(Self { config, resumption: settings.resumption })
    }

    /// `inner` by TLS, to the server of that name or address, with a memory of sessions of its own: threads that make
    /// one each share nothing that is locked.
    ///
    /// # Errors
    /// The name is none.
    pub fn protocol(
        &self,
        server_name: &str,
        version: Version,
        inner: Arc<dyn Protocol>,
    ) -> Result<Tls, SettingsError> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![version.name().into()];
        if self.resumption {
            config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        }
        Ok(Tls::new(Arc::new(config), name(server_name)?, version, inner))
    }

    /// One handshake that offers both versions, to learn which one the server of that name or address prefers.
    ///
    /// # Errors
    /// The name is none.
    pub fn probe(&self, server_name: &str) -> Result<Probe, SettingsError> {
        let mut config = self.config.clone();
        config.alpn_protocols = [Version::Http2, Version::Http1].map(|version| version.name().into()).into();
        Ok(Probe::new(Arc::new(config), name(server_name)?))
    }
}

fn name(text: &str) -> Result<ServerName<'static>, SettingsError> {
    ServerName::try_from(text.to_owned()).map_err(|_| SettingsError::Name(text.to_owned()))
}

fn verifier(
    trust: Trust<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, SettingsError> {
    let mut roots = RootCertStore::empty();
    let own = match trust {
        Trust::Everybody => {
            let schemes = provider.signature_verification_algorithms.supported_schemes();
            return Ok(Arc::new(Everybody { schemes }));
        }
        Trust::System(authorities) => {
            roots.add_parsable_certificates(authorities.iter().cloned().map(CertificateDer::into_owned));
            Vec::new()
        }
        Trust::Own(bundle) => {
            let own = certificates(bundle).map_err(SettingsError::Authorities)?;
            for authority in &own {
                let unusable = |error: rustls::Error| SettingsError::Authorities(error.to_string());
                roots.add(authority.clone()).map_err(unusable)?;
            }
            own
        }
    };
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| SettingsError::Authorities(error.to_string()))?;
    Ok(Arc::new(Authorities { webpki, own }))
}

/// The certificates of a PEM text; at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if all.is_empty() { Err("it holds no PEM certificate".to_owned()) } else { Ok(all) }
}

fn library(error: rustls::Error) -> SettingsError {
    SettingsError::Library(error.to_string())
}

#[derive(Debug)]
struct Time(fn() -> Duration);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch((self.0)()))
    }
}
