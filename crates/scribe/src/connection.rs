//! One client: its frames are read, taken in, and answered in order.
//!
//! Invariant: `OK` is said after the sink has stored the call's entries, and after nothing else. A client that is silent,
//! slow, endless or wrong costs a thread and some kilobytes until its time is over, and no other client anything.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use clock::Instant;
use events::Builder;

use crate::frame::{Frame, Frames, Unframed};
use crate::intake::{self, Caller};
use crate::memory::Share;
use crate::message::{self, Answer, Call, Entries, Exception, Request, ResultCode, Status};
use crate::server::Shared;
use crate::thrift::Malformed;

/// What is read at once.
const PIECE_BYTES: usize = 16 * 1024;

/// What a call takes while it is read, in multiples of its frame: the frame, its events with borrowed texts, and the
/// columns made of them. A JSON event has at least 100 bytes, and takes about 300.
const MEMORY_FACTOR: usize = 5;

/// Why a connection ends, where that is not its client's wish.
#[derive(Debug, thiserror::Error)]
pub enum End {
    #[error("nothing came for {0} s")]
    Idle(u64),
    #[error("a frame was not complete after {0} s")]
    Slow(u64),
    #[error(transparent)]
    Unframed(#[from] Unframed),
    #[error("a frame is no call: {0}")]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

pub struct Connection<'s> {
    pub shared: &'s Shared,
    pub stream: &'s TcpStream,
    pub peer: SocketAddr,
    share: Share<'s>,
    builder: Builder,
    /// Calls of `Log`.
    calls: u64,
    /// Whether the log says already that entries of this client mean nothing.
    told: bool,
}

impl<'s> Connection<'s> {
    pub fn new(shared: &'s Shared, stream: &'s TcpStream, peer: SocketAddr) -> Self {
        let share = shared.memory.share();
        Self { shared, stream, peer, share, builder: Builder::new(), calls: 0, told: false }
    }

    /// Serves the client until it leaves, the server stops, or the client goes too far.
    pub fn serve(&mut self) -> Result<(), End> {
        let mut frames = Frames::new(self.shared.settings.frame_bytes);
        let mut piece = [0; PIECE_BYTES];
        // When the frame began of which bytes have come, or else when the last one ended.
        let mut since = clock::now();
        while !self.shared.stops() {
            let length = match self.stream.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if is_interruption(error.kind()) => 0,
                Err(error) => return Err(error.into()),
            };
            let mut input = &piece[..length];
            let mut within = frames.within();
            while let Some(frame) = frames.next(&mut input, |bytes| self.share.grow_to(bytes))? {
                if let Some(answer) = self.answer(&frame)? {
                    self.stream.write_all(&answer)?;
                }
                frames.release();
                self.share.release();
                within = false;
                since = clock::now();
            }
            if !within && frames.within() {
                since = clock::now();
            }
            self.check_time(since, frames.within())?;
        }
        Ok(())
    }

    fn check_time(&self, since: Instant, within: bool) -> Result<(), End> {
        let settings = &self.shared.settings;
        let limit = if within { settings.frame_time } else { settings.idle_time };
        if clock::now().since(since) < limit {
            return Ok(());
        }
        let seconds = limit.as_secs();
        Err(if within { End::Slow(seconds) } else { End::Idle(seconds) })
    }

    /// The frame of the answer; `None` where none is expected.
    fn answer(&mut self, frame: &Frame<'_>) -> Result<Option<Vec<u8>>, Malformed> {
        let (Frame::Whole(bytes) | Frame::Passed(bytes)) = frame;
        let request = message::read(bytes)?;
        let answer = match (frame, request.call) {
            (_, Ok(Call::Oneway)) => return Ok(None),
            (Frame::Passed(_), _) if request.name == b"Log" => self.later(),
            (Frame::Whole(_), Ok(call)) => self.result(&request, call, bytes.len()),
            (_, Err(error)) => {
                self.shared.counters.malformed.add(1);
                tracing::warn!(peer = %self.peer, %error, "a call cannot be read");
                Answer::Exception(Exception::Protocol, format!("the arguments cannot be read: {error}"))
            }
            (Frame::Passed(_), Ok(_)) => Answer::Exception(Exception::Protocol, "it is too long".to_owned()),
        };
        Ok(Some(request.answer(&answer)))
    }

    fn result(&mut self, request: &Request<'_>, call: Call<'_>, length: usize) -> Answer {
        let counts = || self.shared.counters.counts().named();
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        match call {
            Call::Log(entries) => self.log(entries, length),
            Call::GetName => Answer::Text("groundswell".to_owned()),
            Call::GetVersion => Answer::Text(env!("CARGO_PKG_VERSION").to_owned()),
            Call::GetStatus => {
                Answer::Status(if self.shared.trouble().is_empty() { Status::Alive } else { Status::Warning })
            }
            Call::GetStatusDetails => Answer::Text(self.shared.trouble()),
            Call::GetCounters => {
                Answer::Numbers(counts().into_iter().map(|(name, count)| (name, number(count))).collect())
            }
            Call::GetCounter(key) => {
                let found = counts().into_iter().find(|(name, _)| name.as_bytes() == key);
                Answer::Number(found.map_or(0, |(_, count)| number(count)))
            }
            Call::AliveSince => Answer::Number(self.shared.alive_since_s),
            Call::Oneway | Call::Unknown => {
                let name = String::from_utf8_lossy(&request.name[..request.name.len().min(100)]);
                Answer::Exception(Exception::UnknownMethod, format!("no method `{name}`"))
            }
        }
    }

    fn log(&mut self, entries: Entries<'_>, length: usize) -> Answer {
        self.calls += 1;
        if !self.share.grow_to(length.saturating_mul(MEMORY_FACTOR)) {
            return self.later();
        }
        let caller = Caller { peer: self.peer, call: self.calls };
        let mut taken = intake::take(entries, caller, &self.shared.settings.categories, &mut self.builder);
        let group = std::mem::take(&mut taken.group);
        if let Some(first) = group.set_aside.first()
            && !self.told
        {
            self.told = true;
            let (call, entry, reason) = (first.call, first.entry, first.reason.as_str());
            tracing::warn!(peer = %self.peer, call, entry, reason, "an entry is set aside; others of this client are only counted");
        }
        let nothing = group.batches.is_empty() && group.set_aside.is_empty();
        if !nothing && !self.shared.groups.put(group).is_some_and(|outcome| outcome.wait()) {
            return self.later();
        }
        let counters = &self.shared.counters;
        counters.calls.add(1);
        counters.events.add(taken.events);
        counters.batches.add(taken.batches);
        counters.ignored.add(taken.ignored);
        counters.set_aside.add(taken.set_aside);
        Answer::Logged(ResultCode::Ok)
    }

    fn later(&self) -> Answer {
        self.shared.counters.calls_later.add(1);
        Answer::Logged(ResultCode::TryLater)
    }
}

const fn is_interruption(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
