//! Certificates, and a conversation between a session and a server, whose bytes are cut as asked.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use protocol::http1::Http1;
use protocol::tls::{Client, Settings, Tls, Trust, Version};
use protocol::{Begun, Error, Heard, Parts, Protocol, Request, Response, Session, Want};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// By which certificates are judged: 1 June 2026.
pub fn unix_time() -> Duration {
    Duration::from_secs(1_780_272_000)
}

/// A certificate and its key.
pub struct Identity {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub key: KeyPair,
}

impl Identity {
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// An authority of that name.
pub fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What `authority` vouches for.
pub fn issued(authority: &CertifiedIssuer<'static, KeyPair>, params: CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Identity { der: certificate.der().clone(), pem: certificate.pem(), key }
}

/// What vouches for itself.
pub fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity { der: certificate.der().clone(), pem: certificate.pem(), key }
}

pub fn named(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// An authority, a server's certificate for `server.test` and 127.0.0.1 from it, and what both ends need.
pub struct World {
    pub authority: CertifiedIssuer<'static, KeyPair>,
    pub server: Identity,
}

impl World {
    pub fn new() -> Self {
        let authority = authority("test authority");
        let server = issued(&authority, named(&["server.test", "127.0.0.1", "::1"]));
        Self { authority, server }
    }

    pub fn server_config(&self, version: &'static SupportedProtocolVersion) -> ServerConfig {
        server_config(&self.server, version)
    }

    /// A server that wants a certificate of the authority from its clients.
    pub fn strict_server_config(&self, version: &'static SupportedProtocolVersion) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.server.der.clone()], key(&self.server))
            .unwrap()
    }

    pub fn http1(&self) -> Tls {
        http1(Trust::Own(self.authority.pem().as_bytes()), "server.test")
    }
}

pub fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap()
}

pub fn server_config(identity: &Identity, version: &'static SupportedProtocolVersion) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.der.clone()], key(identity))
        .unwrap()
}

pub fn settings(trust: Trust<'_>) -> Settings<'_> {
    Settings { trust, identity: None, resumption: false, unix_time }
}

pub fn http1(trust: Trust<'_>, server_name: &str) -> Tls {
    let client = Client::new(&settings(trust)).unwrap();
    client.protocol(server_name, Version::Http1, Arc::new(Http1)).unwrap()
}

/// How the server's bytes are cut into slices.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// As the server gives them.
    Never,
    /// Into slices of this size.
    Each(usize),
    /// Once, so many bytes after the start of the connection.
    At(usize),
}

/// A session and a server that is its peer.
pub struct Talk {
    pub session: Box<dyn Session>,
    pub server: ServerConnection,
    pub heard: Vec<Heard>,
    /// What the server got, decrypted.
    pub requests: Vec<u8>,
    /// Bytes that came from the server.
    pub received: usize,
    cut: Cut,
}

impl Talk {
    /// The connection is there, and nothing was said.
    pub fn new(protocol: &dyn Protocol, server: &Arc<ServerConfig>, cut: Cut) -> Self {
        let server = ServerConnection::new(Arc::clone(server)).unwrap();
        let mut session = protocol.session();
        let mut heard = Vec::new();
        session.start(&mut heard);
        assert_eq!((heard.len(), session.room()), (0, 0), "ready before the handshake");
        Self { session, server, heard, requests: Vec::new(), received: 0, cut }
    }

    /// The handshake is complete.
    pub fn ready(protocol: &dyn Protocol, server: &Arc<ServerConfig>) -> Self {
        let mut talk = Self::new(protocol, server, Cut::Never);
        talk.settle().unwrap();
        assert_eq!(talk.heard, [Heard::Ready]);
        talk.heard.clear();
        talk
    }

    /// Carries bytes to and fro until both are silent.
    pub fn settle(&mut self) -> Result<(), Error> {
        loop {
            self.deliver();
            let mut bytes = self.answer();
            if bytes.is_empty() {
                return Ok(());
            }
            self.hear(&mut bytes)?;
        }
    }

    /// What the session has to say reaches the server.
    pub fn deliver(&mut self) {
        // The bytes are taken out, the buffer stays, as a loop does that sends at once.
        let mut output = Vec::new();
        output.append(self.session.output());
        let mut rest = &output[..];
        while !rest.is_empty() {
            self.server.read_tls(&mut rest).unwrap();
            // A server that refuses has an alert to send.
            if self.server.process_new_packets().is_err() {
                return;
            }
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = self.server.reader().read(&mut chunk) {
                self.requests.extend_from_slice(&chunk[..length]);
            }
        }
    }

    /// What the server has to say, encrypted.
    pub fn answer(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// The session hears `bytes`, cut into slices.
    pub fn hear(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let before = self.received;
        self.received += bytes.len();
        match self.cut {
            Cut::Never => self.session.hear(bytes, &mut self.heard),
            Cut::Each(size) => {
                bytes.chunks_mut(size).try_for_each(|slice| self.session.hear(slice, &mut self.heard))
            }
            Cut::At(at) => {
                let (first, second) = bytes.split_at_mut(at.saturating_sub(before).min(bytes.len()));
                for slice in [first, second] {
                    if !slice.is_empty() {
                        self.session.hear(slice, &mut self.heard)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The server says so, in records of at most 16 KiB.
    pub fn say(&mut self, plain: &[u8]) {
        self.server.set_buffer_limit(None);
        self.server.writer().write_all(plain).unwrap();
    }

    pub fn begin(&mut self, request: &Request) {
        assert_eq!(self.session.room(), 1);
        let want = Want { body: usize::MAX, headers: false };
        assert_eq!(self.session.begin(7, request, want), Begun::Queued);
    }

    /// One request and its response.
    pub fn exchange(&mut self, request: &Request, response: &[u8]) -> Result<Response, Error> {
        self.begin(request);
        self.requests.clear();
        self.settle()?;
        assert_eq!(&self.requests[..], &request.bytes()[..], "what the server got");
        self.say(response);
        self.settle()?;
        let done = self.heard.iter().find_map(|heard| match heard {
            Heard::Done(7, response) => Some(*response),
            _ => None,
        });
        self.heard.clear();
        Ok(done.unwrap())
    }
}

pub fn get() -> Request {
    request("GET", b"", false)
}

pub fn request(method: &str, body: &[u8], expects_continue: bool) -> Request {
    let parts = Parts {
        method,
        scheme: "https",
        authority: "server.test",
        path: "/",
        headers: &[],
        body,
        user_agent: "test",
        expects_continue,
    };
    Http1.render(&parts).unwrap()
}

pub const PONG: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

pub const DONE: Response = Response { status: 200, keep_alive: true, body_bytes: 4 };
