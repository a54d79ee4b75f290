//! A PostgreSQL that speaks TLS only: which certificates are taken, and what is said of those that are not.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod server;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use server::address;
use store::postgres;
use tempfile::TempDir;
use xtask::services::Postgres;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key of `name`, a host or a user, in PEM.
fn issued(authority: &Authority, name: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// A server whose certificate is for `localhost`, and the files of its clients.
struct World {
    server: Postgres,
    files: TempDir,
}

impl World {
    /// `user` comes in by password, `certified` by certificate, nobody without TLS but over the socket.
    fn new() -> Self {
        let server = Postgres::start().unwrap();
        let (ours, others) = (authority("ours"), authority("others"));
        let data = server.data_folder();
        let owner = data.metadata().unwrap();
        let (certificate, key) = issued(&ours, "localhost");
        let access = "local all all trust\nhostssl all certified 127.0.0.1/32 cert\nhostssl all user 127.0.0.1/32 scram-sha-256\n";
        for (name, content) in [
            ("server.crt", &certificate),
            ("server.key", &key),
            ("ours.crt", &ours.pem()),
            ("pg_hba.conf", &access.to_owned()),
        ] {
            let path = data.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let sql = |text: &str| server.sql("postgres", text).unwrap();
        sql("CREATE ROLE \"user\" LOGIN PASSWORD 'secret'; CREATE ROLE certified LOGIN");
        sql("ALTER SYSTEM SET ssl = on");
        sql("ALTER SYSTEM SET ssl_ca_file = 'ours.crt'");
        server.reload().unwrap();
        while sql("SELECT current_setting('ssl') || current_setting('ssl_ca_file')") != "onours.crt" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }

        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| fs::write(files.path().join(name), content).unwrap();
        write("ours.crt", ours.pem().trim_end());
        write("others.crt", &others.pem());
        write("junk.crt", "no certificate\n");
        for (name, authority, user) in [
            ("certified", &ours, "certified"),
            ("somebody", &ours, "somebody"),
            ("forged", &others, "certified"),
        ] {
            let (certificate, key) = issued(authority, user);
            write(&format!("{name}.crt"), &certificate);
            write(&format!("{name}.key"), &key);
        }
        Self { server, files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// What is said to `who` (`user:secret`), who comes to `host` with what psql understands, too; files are named by
    /// `NAME` alone. Empty when let in.
    fn said(&self, who: &str, host: &str, how: &str) -> String {
        let port = self.server.port();
        let named = |name: &str| encoded(&self.file(name));
        let how = how.split('&').map(|one| match one.split_once('=') {
            Some((key @ ("sslrootcert" | "sslcert" | "sslkey"), name)) if name != "system" => {
                format!("{key}={}", named(name))
            }
            _ => one.to_owned(),
        });
        let how = how.collect::<Vec<_>>().join("&");
        match postgres::status(&address(&format!("postgres://{who}@{host}:{port}/postgres?{how}"))) {
            Ok(_) => String::new(),
            Err(error) => {
                let said = error.to_string();
                assert!(!said.contains("secret"), "{said}");
                said
            }
        }
    }
}

fn encoded(path: &Path) -> String {
    path.display().to_string().replace('/', "%2F")
}

#[test]
fn certificates_are_asked_for_what_the_mode_asks() {
    let world = World::new();
    let cases = [
        // By password.
        ("user:secret", "localhost", "sslmode=verify-full&sslrootcert=ours.crt", ""),
        ("user:secret", "127.0.0.1", "sslmode=verify-ca&sslrootcert=ours.crt", ""),
        ("user:secret", "127.0.0.1", "sslmode=require", ""),
        ("user:secret", "127.0.0.1", "sslmode=prefer", ""),
        ("user:secret", "127.0.0.1", "sslmode=allow", ""),
        (
            "user:secret",
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=ours.crt",
            "cannot be spoken to by TLS: invalid peer certificate: certificate not valid for name \"127.0.0.1\"",
        ),
        (
            "user:secret",
            "localhost",
            "sslmode=verify-full&sslrootcert=others.crt",
            "cannot be spoken to by TLS: invalid peer certificate: ",
        ),
        (
            "user:secret",
            "localhost",
            "sslmode=verify-ca&sslrootcert=others.crt",
            "invalid peer certificate: ",
        ),
        ("user:secret", "localhost", "sslmode=require&sslrootcert=others.crt", "invalid peer certificate: "),
        ("user:secret", "localhost", "sslmode=verify-full", "cannot be spoken to by TLS: "),
        (
            "user:secret",
            "localhost",
            "sslmode=verify-full&sslrootcert=missing.crt",
            "missing.crt cannot be used: ",
        ),
        (
            "user:secret",
            "localhost",
            "sslmode=verify-full&sslrootcert=junk.crt",
            "junk.crt cannot be used: it holds no certificate",
        ),
        (
            "user:secret",
            "127.0.0.1",
            "sslmode=disable",
            "lets nobody in like this: no pg_hba.conf entry for host \"127.0.0.1\", user \"user\", database \"postgres\", no encryption",
        ),
        ("user:wrong", "localhost", "sslmode=verify-full&sslrootcert=ours.crt", "does not take the password"),
        // By certificate.
        (
            "certified",
            "localhost",
            "sslmode=verify-full&sslrootcert=ours.crt&sslcert=certified.crt&sslkey=certified.key",
            "",
        ),
        (
            "certified",
            "localhost",
            "sslmode=require",
            "lets nobody in like this: connection requires a valid client certificate",
        ),
        (
            "certified",
            "localhost",
            "sslmode=require&sslcert=somebody.crt&sslkey=somebody.key",
            "lets nobody in like this: certificate authentication failed for user \"certified\"",
        ),
        (
            "certified",
            "localhost",
            "sslmode=require&sslcert=forged.crt&sslkey=forged.key",
            "cannot be spoken to by TLS: ",
        ),
        (
            "certified",
            "localhost",
            "sslmode=require&sslcert=certified.crt&sslkey=somebody.key",
            "certified.crt cannot be used: ",
        ),
        (
            "certified",
            "localhost",
            "sslmode=require&sslcert=certified.crt&sslkey=missing.key",
            "missing.key cannot be used: ",
        ),
    ];
    for (who, host, how, expected) in cases {
        let said = world.said(who, host, how);
        let fits = if expected.is_empty() { said.is_empty() } else { said.contains(expected) };
        assert!(fits, "{who}@{host}, {how}: {said:?} instead of {expected:?}");
    }
}
