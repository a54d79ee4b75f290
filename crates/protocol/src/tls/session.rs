//! Any protocol by TLS, for the loops.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::channel::{Channel, Event, clear};
use super::{Error, Version};
use crate::{Begun, Heard, Kept, Parts, Protocol, Request, RequestError, Session, Tag, Want};

/// A protocol by TLS, to one server.
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    version: Version,
    inner: Arc<dyn Protocol>,
}

impl Tls {
    pub(super) fn new(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        version: Version,
        inner: Arc<dyn Protocol>,
    ) -> Self {
        Self { config, name, version, inner }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, inner, config: _ } = self;
        write!(f, "Tls({inner:?} as {version:?}, to {})", name.to_str())
    }
}

impl Protocol for Tls {
    fn render(&self, parts: &Parts<'_>) -> Result<Request, RequestError> {
        self.inner.render(parts)
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Wrapped {
            config: Arc::clone(&self.config),
            name: self.name.clone(),
            version: self.version,
            channel: Channel::default(),
            output: Vec::new(),
            inner: self.inner.session(),
            fault: None,
        })
    }
}

struct Wrapped {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    version: Version,
    channel: Channel,
    output: Vec<u8>,
    inner: Box<dyn Session>,
    /// What went wrong where nobody could be told.
    fault: Option<Error>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.inner)
    }
}

impl Wrapped {
    /// Encrypts what the inner session has to say.
    fn flush(&mut self) {
        let plain = self.inner.output();
        if !plain.is_empty() {
            self.fault = self.channel.seal(plain, &mut self.output).err().or(self.fault.take());
            clear(plain);
        }
    }

    fn check(&mut self) -> Result<(), crate::Error> {
        self.fault.take().map_or(Ok(()), |fault| Err(fault.into()))
    }
}

impl Session for Wrapped {
    fn reset(&mut self) {
        self.inner.reset();
        self.channel.reset();
        clear(&mut self.output);
        self.fault = None;
    }

    fn start(&mut self, _heard: &mut Vec<Heard>) {
        self.fault = self.channel.connect(&self.config, &self.name, &mut self.output).err();
    }

    fn room(&self) -> u32 {
        if self.fault.is_some() || self.channel.is_spent() { 0 } else { self.inner.room() }
    }

    fn begin(&mut self, tag: Tag, request: &Request, want: Want) -> Begun {
        if self.output.is_empty() {
            clear(&mut self.output);
        }
        if self.inner.begin(tag, request, want) == Begun::AsRendered {
            self.fault = self.channel.seal(request.bytes(), &mut self.output).err();
        }
        self.flush();
        Begun::Queued
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn hear(&mut self, bytes: &mut [u8], heard: &mut Vec<Heard>) -> Result<(), crate::Error> {
        self.check()?;
        let before = heard.len();
        let Self { channel, output, inner, version, .. } = self;
        channel.hear(bytes, output, |event| match event {
            Event::Open(agreed) => {
                version.check(agreed)?;
                inner.start(heard);
                Ok(())
            }
            Event::Plain(plain) => inner.hear(plain, heard),
            Event::Closed => inner.end(heard),
        })?;
        if channel.is_closed() || channel.is_spent() {
            for told in &mut heard[before..] {
                if let Heard::Done(_, response) = told {
                    response.keep_alive = false;
                }
            }
        }
        self.flush();
        self.check()
    }

    fn end(&mut self, heard: &mut Vec<Heard>) -> Result<(), crate::Error> {
        self.check()?;
        if !self.channel.is_open() {
            return Err(Error::Ended.into());
        }
        if self.channel.is_closed() {
            return Ok(());
        }
        // Without the target's word for it, the end of the connection may be anybody's doing: it completes no response.
        let before = heard.len();
        self.inner.end(heard)?;
        if heard[before..].iter().any(|heard| matches!(heard, Heard::Done(..))) {
            heard.truncate(before);
            return Err(crate::Error::Truncated);
        }
        Ok(())
    }

    fn cancel(&mut self, tag: Tag) -> bool {
        let goes_on = self.inner.cancel(tag);
        self.flush();
        goes_on
    }

    fn kept(&self, tag: Tag) -> Kept<'_> {
        self.inner.kept(tag)
    }

    fn is_held_back(&self) -> bool {
        self.inner.is_held_back()
    }

    fn proceed(&mut self) {
        self.inner.proceed();
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion, version};

    use std::io::Write;
    use std::time::Duration;

    use super::super::{Client, Settings, Trust};
    use super::*;
    use crate::Response;
    use crate::http1::Http1;

    /// Whether each of some responses in a row leaves the connection to others, when keys last for three records.
    fn kept_alive(version: &'static SupportedProtocolVersion) -> Vec<bool> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let server = ServerConfig::builder_with_protocol_versions(&[version])
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let trust = Trust::Everybody;
        let settings = Settings { trust, identity: None, resumption: false, unix_time: || Duration::ZERO };
        let tls = Client::new(&settings).unwrap().protocol("localhost", Version::Http1, Arc::new(Http1));
        let Tls { config, name, version, inner } = tls.unwrap();
        let channel = Channel::with_records_max(3);
        let (inner, output) = (inner.session(), Vec::new());
        let mut session = Wrapped { config, name, version, channel, output, inner, fault: None };
        let (mut heard, mut kept_alive) = (Vec::new(), Vec::new());
        let parts = Parts {
            method: "GET",
            scheme: "https",
            authority: "localhost",
            path: "/",
            headers: &[],
            body: b"",
            user_agent: "",
            expects_continue: false,
        };
        let request = Http1.render(&parts).unwrap();
        session.start(&mut heard);
        while kept_alive.len() < 5 && kept_alive.last() != Some(&false) {
            if session.room() > 0 {
                session.begin(0, &request, Want::default());
                server.writer().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            }
            server.read_tls(&mut session.output.as_slice()).unwrap();
            session.output.clear();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            session.hear(&mut bytes, &mut heard).unwrap();
            kept_alive.extend(heard.drain(..).filter_map(|heard| match heard {
                Heard::Done(_, Response { keep_alive, .. }) => Some(keep_alive),
                _ => None,
            }));
        }
        kept_alive
    }

    #[test]
    fn a_connection_ends_before_its_keys_are_used_up() {
        assert_eq!(kept_alive(&version::TLS12), [true, true, false]);
        assert_eq!(kept_alive(&version::TLS13), [true; 5]);
    }
}
