//! Records in, plaintext out, and back: a connection of `rustls`, driven without buffers of its own.
//!
//! Invariant: how the bytes were cut into slices never changes what comes out. Whole records are decrypted where they
//! are; only one that is cut by the end of a slice, and handshake messages cut into records, are copied into `partial`,
//! which is completed by no more than what is missing.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError};
use rustls::{ClientConfig, ProtocolVersion};

use super::Error;

/// Bytes of a record's header (RFC 8446, 5.1).
const HEADER_BYTES: usize = 5;

/// Plaintext of a record.
const RECORD_BYTES: usize = 16 * 1024;

/// What a record adds to its plaintext: header, explicit nonce or type, tag; with room to spare.
const OVERHEAD_BYTES: usize = 64;

/// Bytes that may wait for the rest of a record or of a handshake message. `rustls` takes messages up to 64 KiB.
const PARTIAL_BYTES: usize = 128 * 1024;

/// A buffer above this is given back after use, so that ten thousand connections do not each keep the largest record.
const KEPT_CAPACITY: usize = 4096;

/// Records sent with the keys of a TLS 1.2 connection, after which another one is opened: AES-GCM wears out at 2²⁴, and
/// only TLS 1.3 has new keys for a connection in use (RFC 8446, 5.5).
const TLS12_RECORDS: u64 = 1 << 23;

/// What came.
pub(super) enum Event<'p> {
    /// The handshake is complete; what the target agreed to speak, if it said.
    Open(Option<&'p [u8]>),
    /// Plaintext.
    Plain(&'p mut [u8]),
    /// The target has said that nothing follows.
    Closed,
}

/// The client's end of one TLS connection.
pub(super) struct Channel {
    connection: Option<UnbufferedClientConnection>,
    partial: Vec<u8>,
    plain: Vec<u8>,
    is_open: bool,
    is_closed: bool,
    records_sent: u64,
    /// By TLS 1.2.
    records_max: u64,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            connection: None,
            partial: Vec::new(),
            plain: Vec::new(),
            is_open: false,
            is_closed: false,
            records_sent: 0,
            records_max: TLS12_RECORDS,
        }
    }
}

impl Channel {
    #[cfg(test)]
    pub(super) fn with_records_max(records_max: u64) -> Self {
        Self { records_max, ..Self::default() }
    }

    /// Forgets the connection.
    pub(super) fn reset(&mut self) {
        self.connection = None;
        clear(&mut self.partial);
        clear(&mut self.plain);
        (self.is_open, self.is_closed, self.records_sent) = (false, false, 0);
    }

    /// Begins a connection: puts the `ClientHello` into `output`.
    pub(super) fn connect(
        &mut self,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.connection = Some(UnbufferedClientConnection::new(Arc::clone(config), name.clone())?);
        self.hear::<Error>(&mut [], output, |_| Ok(()))
    }

    /// Whether the handshake is complete.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the target has said that nothing follows.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether the keys are used up.
    pub(super) fn is_spent(&self) -> bool {
        self.records_sent >= self.records_max
            && self
                .connection
                .as_ref()
                .is_some_and(|connection| connection.protocol_version() == Some(ProtocolVersion::TLSv1_2))
    }

    /// Takes bytes that came, tells `on` what they mean, and puts what the handshake has to say into `output`.
    pub(super) fn hear<E: From<Error>>(
        &mut self,
        bytes: &mut [u8],
        output: &mut Vec<u8>,
        mut on: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = bytes;
        while !self.partial.is_empty() && !rest.is_empty() {
            let (more, after) = rest.split_at_mut(missing(&self.partial).min(rest.len()));
            self.partial.extend_from_slice(more);
            rest = after;
            let mut partial = std::mem::take(&mut self.partial);
            let used = self.take(&mut partial, output, &mut on)?;
            partial.drain(..used);
            if partial.is_empty() {
                clear(&mut partial);
            }
            self.partial = partial;
        }
        if self.partial.is_empty() {
            let used = self.take(rest, output, &mut on)?;
            self.partial.extend_from_slice(&rest[used..]);
        }
        if self.partial.len() > PARTIAL_BYTES { Err(Error::TooLarge.into()) } else { Ok(()) }
    }

    /// Encrypts `plain` into `output`, once the handshake is complete.
    pub(super) fn seal(&mut self, plain: &[u8], output: &mut Vec<u8>) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::Ended) };
        let records = plain.len() / RECORD_BYTES + 1;
        self.records_sent += records as u64;
        loop {
            // All that can be taken of `partial` was; it is shown because the connection remembers places in it.
            match connection.process_tls_records(&mut self.partial).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let room = plain.len() + records * OVERHEAD_BYTES;
                    return write(output, room, |room| {
                        traffic.encrypt(plain, room).map_err(|error| match error {
                            EncryptError::InsufficientSize(size) => Some(size.required_size),
                            EncryptError::EncryptExhausted => None,
                        })
                    });
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    write(output, 0, |room| data.encode(room).map_err(required))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                other => return Err(Error::Other(format!("nothing can be sent in {other:?}"))),
            }
        }
    }

    /// Takes all records that are whole; how many bytes are done with.
    fn take<E: From<Error>>(
        &mut self,
        records: &mut [u8],
        output: &mut Vec<u8>,
        on: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let Some(connection) = &mut self.connection else { return Err(Error::Ended.into()) };
        let mut used = 0;
        // Nothing that follows the end counts (RFC 8446, 6.1).
        while !self.is_closed {
            let status = connection.process_tls_records(&mut records[used..]);
            used += status.discard;
            let mut is_waiting = false;
            match status.state.map_err(Error::from)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(Error::from)?;
                        used += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    write(output, 0, |room| data.encode(room).map_err(required))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.is_closed = true,
                ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => is_waiting = true,
                other => return Err(Error::Other(format!("not expected of a client: {other:?}")).into()),
            }
            if !self.is_open && !connection.is_handshaking() {
                self.is_open = true;
                on(Event::Open(connection.alpn_protocol()))?;
            }
            if !self.plain.is_empty() {
                on(Event::Plain(&mut self.plain))?;
                clear(&mut self.plain);
            }
            if self.is_closed {
                on(Event::Closed)?;
            }
            if is_waiting {
                return Ok(used);
            }
        }
        Ok(records.len())
    }
}

/// Bytes that a record, cut off somewhere, still lacks; all there are if it is whole, being part of a message that is
/// not.
fn missing(partial: &[u8]) -> usize {
    let Some(header) = partial.first_chunk::<HEADER_BYTES>() else { return HEADER_BYTES - partial.len() };
    let whole = HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]]));
    if partial.len() < whole { whole - partial.len() } else { usize::MAX }
}

/// Appends what `write` writes into a slice, with `room` bytes or as many as it says that it needs.
fn write(
    output: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Error> {
    let before = output.len();
    loop {
        output.resize(before + room, 0);
        match write(&mut output[before..]) {
            Ok(written) => {
                output.truncate(before + written);
                return Ok(());
            }
            Err(Some(required)) if required > room => room = required,
            Err(_) => {
                output.truncate(before);
                return Err(Error::Other("the connection's keys are used up".to_owned()));
            }
        }
    }
}

fn required(error: EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(size) => Some(size.required_size),
        EncodeError::AlreadyEncoded => None,
    }
}

pub(super) fn clear(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_CAPACITY {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
