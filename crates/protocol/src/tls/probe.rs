//! A handshake for its own sake, before a run: whether the target is to be believed, and what it speaks.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::channel::{Channel, Event};
use super::{Error, Version};

/// The client's side of one connection that carries no request.
pub struct Probe {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    channel: Channel,
    output: Vec<u8>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({})", self.name.to_str())
    }
}

impl Probe {
    pub(super) fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self { config, name, channel: Channel::default(), output: Vec::new() }
    }

    /// The connection is there.
    ///
    /// # Errors
    /// The library refuses.
    pub fn start(&mut self) -> Result<(), Error> {
        self.channel.connect(&self.config, &self.name, &mut self.output)
    }

    /// What is to be sent next, in order. The caller takes the bytes out, and looks again after each other call.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Takes bytes that came, which it overwrites; the version that was agreed upon once the handshake is complete.
    ///
    /// # Errors
    /// The handshake failed.
    pub fn hear(&mut self, bytes: &mut [u8]) -> Result<Option<Version>, Error> {
        let mut version = None;
        self.channel.hear(bytes, &mut self.output, |event| {
            if let Event::Open(agreed) = event {
                let is_http2 = agreed == Some(Version::Http2.name().as_bytes());
                version = Some(if is_http2 { Version::Http2 } else { Version::Http1 });
            }
            Ok::<(), Error>(())
        })?;
        Ok(version)
    }

    /// The target has sent its last byte: why that is a fault.
    pub fn end(&self) -> Error {
        Error::Ended
    }
}
