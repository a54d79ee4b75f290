//! Through an HTTP proxy: whole URLs for `http` (RFC 9112, 3.2.2), and tunnels for all else (RFC 9110, 9.3.6).
//!
//! Invariant: what the proxy says about the tunnel never reaches the session inside, and not a byte of what comes after it
//! is lost. Deliberately absent: proxies that are themselves reached by TLS, and authentication other than `Basic`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http1::{self, Http1, Partial};
use crate::request::{is_host, is_value};
use crate::{Begun, Error, Heard, Kept, Parts, Protocol, Request, RequestError, Session, Tag, Want};

/// The value of `Proxy-Authorization` (RFC 7617).
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// HTTP/1.1 to a proxy that fetches for us: each request names the whole URL.
#[derive(Debug, Clone, Default)]
pub struct Forward {
    authorization: Option<String>,
}

impl Forward {
    /// `authorization` is the value of `Proxy-Authorization`.
    pub fn new(authorization: Option<String>) -> Self {
        Self { authorization }
    }
}

impl Protocol for Forward {
    fn render(&self, parts: &Parts<'_>) -> Result<Request, RequestError> {
        http1::render_for_proxy(parts, self.authorization.as_deref())
    }

    fn session(&self) -> Box<dyn Session> {
        Http1.session()
    }
}

/// Another protocol inside a tunnel, of which the proxy knows no more than where it leads.
#[derive(Debug, Clone)]
pub struct Tunnel {
    inner: Arc<dyn Protocol>,
    /// What asks the proxy for the tunnel.
    connect: Arc<[u8]>,
}

impl Tunnel {
    /// A tunnel to `host` (IPv6 without brackets) and `port`; `authorization` is the value of `Proxy-Authorization`.
    ///
    /// # Errors
    /// The host or the authorization cannot be written.
    pub fn new(
        inner: Arc<dyn Protocol>,
        host: &str,
        port: u16,
        authorization: Option<&str>,
    ) -> Result<Self, RequestError> {
        if !is_host(host) {
            return Err(RequestError::Host(host.to_owned()));
        }
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut connect = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(value) = authorization {
            if !is_value(value) {
                let name = "Proxy-Authorization".to_owned();
                return Err(RequestError::HeaderValue { name, value: value.to_owned() });
            }
            connect.push_str(&format!("Proxy-Authorization: {value}\r\n"));
        }
        connect.push_str("\r\n");
        Ok(Self { inner, connect: connect.into_bytes().into() })
    }
}

impl Protocol for Tunnel {
    fn render(&self, parts: &Parts<'_>) -> Result<Request, RequestError> {
        self.inner.render(parts)
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Tunnelled {
            inner: self.inner.session(),
            connect: Arc::clone(&self.connect),
            output: Vec::new(),
            answer: Partial::default(),
            state: State::Closed,
        })
    }
}

#[derive(Debug)]
struct Tunnelled {
    inner: Box<dyn Session>,
    connect: Arc<[u8]>,
    output: Vec<u8>,
    /// The proxy's, as far as it has come.
    answer: Partial,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// The proxy was asked.
    Asking,
    /// All is the inner session's.
    Open,
}

impl Tunnelled {
    /// Takes bytes of the proxy's answer; how many, once the tunnel is there.
    #[cold]
    fn hear_proxy(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let mut taken = 0;
        // A tunnel's answer has no body, whatever its headers say.
        while let Some((head, length)) = self.answer.feed(&bytes[taken..], true)? {
            taken += length;
            self.answer.bytes.clear();
            match head.status {
                200..300 => return Ok(Some(taken)),
                100 | 102..200 => {}
                refusal => return Err(Error::Tunnel(refusal)),
            }
        }
        Ok(None)
    }
}

impl Session for Tunnelled {
    fn reset(&mut self) {
        self.inner.reset();
        self.output.clear();
        self.answer.bytes.clear();
        self.state = State::Closed;
    }

    fn start(&mut self, _heard: &mut Vec<Heard>) {
        self.output.extend_from_slice(&self.connect);
        self.state = State::Asking;
    }

    #[inline]
    fn room(&self) -> u32 {
        self.inner.room()
    }

    #[inline]
    fn begin(&mut self, tag: Tag, request: &Request, want: Want) -> Begun {
        self.inner.begin(tag, request, want)
    }

    #[inline]
    fn output(&mut self) -> &mut Vec<u8> {
        if self.state == State::Open { self.inner.output() } else { &mut self.output }
    }

    #[inline]
    fn hear(&mut self, bytes: &mut [u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        match self.state {
            State::Open => self.inner.hear(bytes, heard),
            State::Closed => Err(Error::Http1(http1::Error::Unsolicited)),
            State::Asking => {
                let opened = self.hear_proxy(bytes).inspect_err(|_| self.state = State::Closed)?;
                if let Some(taken) = opened {
                    self.state = State::Open;
                    self.inner.start(heard);
                    if taken < bytes.len() {
                        return self.inner.hear(&mut bytes[taken..], heard);
                    }
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, heard: &mut Vec<Heard>) -> Result<(), Error> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open => {
                self.state = State::Open;
                self.inner.end(heard)
            }
            State::Asking if self.answer.bytes.is_empty() => Err(Error::Unanswered),
            State::Asking => Err(Error::Truncated),
            State::Closed => Ok(()),
        }
    }

    fn cancel(&mut self, tag: Tag) -> bool {
        self.inner.cancel(tag)
    }

    fn kept(&self, tag: Tag) -> Kept<'_> {
        self.inner.kept(tag)
    }

    fn is_held_back(&self) -> bool {
        self.inner.is_held_back()
    }

    fn proceed(&mut self) {
        self.inner.proceed();
    }
}
