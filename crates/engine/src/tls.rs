//! TLS as the plan has it: the files it names are read here, before the run; all else is `protocol::tls`.
//!
//! Invariant: nobody's certificate is believed unchecked unless the plan says so, and then the log does too. Deliberately
//! absent: reading a file again while a run goes on.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::Protocol;
use protocol::tls::{Client, Settings, Trust, Version};

use crate::PrepareError;

/// The client's side of TLS, for all targets of a plan.
#[derive(Debug)]
pub(crate) struct Tls {
    client: Client,
    /// Instead of each target's host.
    server_name: Option<String>,
}

impl Tls {
    /// Reads what `settings` names, or the system's trusted authorities, which takes some milliseconds.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub(crate) fn load(settings: &plan::Tls) -> Result<Self, PrepareError> {
        let read = |path: &Option<_>| path.as_deref().map(read).transpose();
        let (bundle, chain, key) = (read(&settings.ca)?, read(&settings.certificate)?, read(&settings.key)?);
        let system;
        let trust = if settings.insecure {
            tracing::warn!("the plan wants every certificate to be believed: targets are not authenticated");
            Trust::Everybody
        } else if let Some(bundle) = &bundle {
            Trust::Own(bundle)
        } else {
            system = rustls_native_certs::load_native_certs();
            for error in &system.errors {
                tracing::warn!(%error, "cannot read all of the system's trusted authorities");
            }
            Trust::System(&system.certs)
        };
        let client = Client::new(&Settings {
            trust,
            identity: chain.as_deref().zip(key.as_deref()),
            resumption: settings.resumption,
            unix_time,
        })?;
        Ok(Self { client, server_name: settings.server_name.clone() })
    }

    /// `inner`, which speaks `version`, by TLS to `target`. It remembers sessions of its own: a thread that has one for
    /// itself never waits for another.
    ///
    /// # Errors
    /// The target's name, or the plan's for it, is none.
    pub(crate) fn protocol(
        &self,
        target: &plan::Target,
        version: Version,
        inner: Arc<dyn Protocol>,
    ) -> Result<Arc<dyn Protocol>, PrepareError> {
        Ok(Arc::new(self.client.protocol(self.name(target), version, inner)?))
    }

    /// What `target` prefers to speak, asked by a handshake over `socket`, which should have a timeout.
    ///
    /// # Errors
    /// The name is none, or the handshake failed.
    pub(crate) fn preferred(
        &self,
        target: &plan::Target,
        socket: &mut (impl Read + Write),
    ) -> Result<Version, PrepareError> {
        let mut probe = self.client.probe(self.name(target))?;
        let mut handshake = || {
            let mut slice = [0; 4096];
            probe.start().map_err(io::Error::other)?;
            loop {
                socket.write_all(probe.output())?;
                probe.output().clear();
                let heard = match socket.read(&mut slice)? {
                    0 => Err(probe.end()),
                    length => probe.hear(&mut slice[..length]),
                };
                if let Some(version) = heard.map_err(io::Error::other)? {
                    return Ok(version);
                }
            }
        };
        handshake().map_err(|source| PrepareError::Unreachable { target: target.to_string(), source })
    }

    fn name<'n>(&'n self, target: &'n plan::Target) -> &'n str {
        self.server_name.as_deref().unwrap_or(&target.host)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PrepareError> {
    std::fs::read(path).map_err(|source| PrepareError::File { path: path.display().to_string(), source })
}

fn unix_time() -> Duration {
    Duration::from_millis(u64::try_from(clock::unix_ms()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::path::PathBuf;
    use std::thread;

    use super::*;

    /// A certificate for `localhost`, and its key, as PEM files.
    struct Files {
        folder: tempfile::TempDir,
        identity: rcgen::CertifiedKey<rcgen::KeyPair>,
    }

    impl Files {
        fn new() -> Self {
            let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let files = Self { folder: tempfile::tempdir().unwrap(), identity };
            std::fs::write(files.path("certificate"), files.identity.cert.pem()).unwrap();
            std::fs::write(files.path("key"), files.identity.signing_key.serialize_pem()).unwrap();
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Serves one handshake with these ALPN names; its socket.
        fn serve(&self, names: &[&str]) -> (TcpStream, thread::JoinHandle<()>) {
            let key = self.identity.signing_key.serialize_der().try_into().unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![self.identity.cert.der().clone()], key)
                .unwrap();
            config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let serving = thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                // The client goes as soon as it knows enough, or believes too little.
                let ended = connection.complete_io(&mut peer);
                assert!(ended.is_ok() || !connection.wants_write());
            });
            (socket, serving)
        }
    }

    fn target(url: &str) -> plan::Target {
        let text = format!(
            "{{ version: 1, name: x, target: \"{url}\", load: {{ model: avalanche, requests_per_driver: 1 }}, \
             scenarios: {{ x: {{ steps: [{{ get: / }}] }} }} }}"
        );
        plan::parse("x", &text).unwrap().targets.remove(0)
    }

    fn asked(files: &Files, settings: &plan::Tls, url: &str, names: &[&str]) -> Result<Version, String> {
        let (mut socket, serving) = files.serve(names);
        let preferred = Tls::load(settings).unwrap().preferred(&target(url), &mut socket);
        drop(socket);
        serving.join().unwrap();
        preferred.map_err(|error| format!("{error}: {}", std::error::Error::source(&error).unwrap()))
    }

    #[test]
    fn a_target_is_asked_what_it_prefers() {
        let files = Files::new();
        let trusting = plan::Tls { ca: Some(files.path("certificate")), ..plan::Tls::default() };
        let asked = |settings: &plan::Tls, url: &str, names: &[&str]| asked(&files, settings, url, names);
        assert_eq!(asked(&trusting, "https://localhost", &["h2", "http/1.1"]), Ok(Version::Http2));
        assert_eq!(asked(&trusting, "https://localhost", &["http/1.1"]), Ok(Version::Http1));
        assert_eq!(asked(&trusting, "https://localhost", &[]), Ok(Version::Http1));

        let refused =
            "cannot connect to https://127.0.0.1: the certificate is not for 127.0.0.1, but for localhost";
        assert_eq!(asked(&trusting, "https://127.0.0.1", &[]), Err(refused.to_owned()));
        let named = plan::Tls { server_name: Some("localhost".to_owned()), ..trusting.clone() };
        assert_eq!(asked(&named, "https://127.0.0.1", &[]), Ok(Version::Http1));

        let insecure = plan::Tls { insecure: true, ..plan::Tls::default() };
        assert_eq!(asked(&insecure, "https://127.0.0.1", &[]), Ok(Version::Http1));
    }

    #[test]
    fn a_protocol_is_for_the_host_unless_the_plan_names_another() {
        let mut settings = plan::Tls { insecure: true, ..plan::Tls::default() };
        let to = |settings: &plan::Tls| {
            let http1 = Arc::new(protocol::http1::Http1);
            let protocol =
                Tls::load(settings).unwrap().protocol(&target("https://a.test:1"), Version::Http1, http1);
            format!("{:?}", protocol.unwrap())
        };
        assert_eq!(to(&settings), "Tls(Http1 as Http1, to a.test)");
        settings.server_name = Some("b.test".to_owned());
        assert_eq!(to(&settings), "Tls(Http1 as Http1, to b.test)");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let files = Files::new();
        let missing = plan::Tls { ca: Some("/nowhere/ca.pem".into()), ..plan::Tls::default() };
        assert_eq!(Tls::load(&missing).unwrap_err().to_string(), "cannot read /nowhere/ca.pem");
        let (certificate, key) = (Some(files.path("certificate")), Some(files.path("key")));
        let usable = plan::Tls { ca: certificate.clone(), certificate, key, ..plan::Tls::default() };
        Tls::load(&usable).unwrap();
        let swapped = plan::Tls { key: usable.ca.clone(), ..usable };
        let error = Tls::load(&swapped).unwrap_err();
        assert!(matches!(error, PrepareError::Tls(protocol::tls::SettingsError::Key(_))), "{error:?}");
    }
}
