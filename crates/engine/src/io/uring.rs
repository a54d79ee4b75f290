//! The loop by io_uring.
//!
//! Each connection has one receive that goes on until it ends; each request is one send. What was begun is handed over
//! with the next wait, so a turn that answers eight responses costs one call to the kernel.
//!
//! Invariant: a place is used again only when its socket is closed and no operation of it is under way.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::sockopt;

use super::ring::{Completion, Op, Pin, Ring};
use super::{At, Chunk, Event};

/// How long a wait for several completions may last; the times of the first ones are late by so much at most.
const BATCH_WAIT_US: u32 = 20;

/// Receives that the kernel carries out in one wait at least, if there are so many (`IO_LOCAL_TW_DEFAULT_MAX`, since 6.13);
/// others may be left for the next one.
const TASKS: usize = 20;

#[derive(Debug)]
pub(crate) struct Uring {
    ring: Ring,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    /// Bit per completion: whether it was heard.
    heard: u64,
    /// Sockets to be closed once all that names them was handed over.
    closing: Vec<u32>,
    /// Connections whose receive ended though more may come.
    unarmed: Vec<u32>,
    wake: Arc<OwnedFd>,
}

/// A place for a connection, used again for others.
#[derive(Debug, Default)]
struct Slot {
    socket: Option<OwnedFd>,
    /// Distinguishes the connections that had this place.
    generation: u16,
    is_closing: bool,
    is_receiving: bool,
    is_connecting: bool,
    /// Bytes of the send under way; 0 when there is none that is told of.
    sending: usize,
    queued: Vec<u8>,
    /// Bytes that will never be sent: a send broke before them.
    lost: usize,
    /// Empty; kept for its memory.
    spare: Vec<u8>,
}

impl Uring {
    pub(super) fn new(wake: &Arc<OwnedFd>, stamps: bool) -> io::Result<Self> {
        let mut ring = Ring::new(stamps)?;
        ring.on_wake(wake);
        Ok(Self {
            ring,
            slots: Vec::new(),
            vacant: Vec::new(),
            heard: 0,
            closing: Vec::new(),
            unarmed: Vec::new(),
            wake: Arc::clone(wake),
        })
    }

    pub(super) fn pin(&mut self, bytes: Arc<[u8]>) -> Pin {
        self.ring.pin(bytes)
    }

    pub(super) fn add(&mut self, socket: OwnedFd, is_connected: bool) -> Result<u32, Errno> {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[id as usize];
        if is_connected {
            self.ring.receive(id, &socket);
            slot.is_receiving = true;
        } else {
            self.ring.until_writable(id, &socket);
            slot.is_connecting = true;
        }
        slot.socket = Some(socket);
        Ok(id)
    }

    #[inline]
    pub(super) fn send_pinned(&mut self, id: u32, pin: Pin) -> Result<(), Errno> {
        let slot = &mut self.slots[id as usize];
        let Some(socket) = &slot.socket else { return Err(Errno::BADF) };
        if slot.lost > 0 {
            return Err(Errno::IO);
        }
        if slot.sending > 0 {
            self.ring.copy_pinned(pin, &mut slot.queued);
        } else if self.ring.send_pinned(id, slot.generation, socket, pin) {
            slot.sending = self.ring.pinned_len(pin);
        }
        Ok(())
    }

    pub(super) fn send(&mut self, id: u32, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        let slot = &mut self.slots[id as usize];
        let Some(socket) = &slot.socket else { return Err(Errno::BADF) };
        if slot.lost > 0 {
            return Err(Errno::IO);
        }
        if slot.sending > 0 {
            slot.queued.append(bytes);
        } else if !bytes.is_empty() {
            slot.sending = bytes.len();
            let moved = std::mem::replace(bytes, std::mem::take(&mut slot.spare));
            self.ring.send_moved(id, socket, moved);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn unsent(&self, id: u32) -> usize {
        let slot = &self.slots[id as usize];
        slot.sending + slot.queued.len() + slot.lost
    }

    pub(super) fn close(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        if slot.socket.is_none() || slot.is_closing {
            return;
        }
        slot.is_closing = true;
        slot.generation = slot.generation.wrapping_add(1);
        slot.queued.clear();
        slot.lost = 0;
        if let Some(socket) = &slot.socket
            && (slot.is_receiving || slot.is_connecting || slot.sending > 0)
        {
            self.ring.cancel_all(socket);
        }
        self.closing.push(id);
    }

    #[inline]
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.ring.is_unsubmitted() {
            self.ring.submit()?;
            self.close_sockets();
        }
        Ok(())
    }

    #[inline]
    pub(super) fn poll(&mut self) -> io::Result<()> {
        self.prepare();
        self.ring.poll()?;
        self.settle();
        Ok(())
    }

    #[inline]
    pub(super) fn wait(&mut self, timeout_ns: u64, want: usize) -> io::Result<()> {
        self.prepare();
        self.ring.wait(want, BATCH_WAIT_US, timeout_ns)?;
        self.settle();
        Ok(())
    }

    /// Its timeouts have nanoseconds, and no slack.
    #[inline]
    pub(super) fn wait_until(&mut self, left_ns: u64) -> io::Result<()> {
        self.prepare();
        self.ring.wait(1, BATCH_WAIT_US, left_ns)?;
        self.settle();
        Ok(())
    }

    /// Ends what is left of the last batch, and receives again where that was interrupted.
    #[inline]
    fn prepare(&mut self) {
        for piece in 0..self.ring.completions().len() {
            if self.heard & 1 << piece == 0 {
                let completion = self.ring.completions()[piece];
                self.drop_bytes(&completion);
            }
        }
        self.heard = u64::MAX;
        while let Some(id) = self.unarmed.pop() {
            let slot = &mut self.slots[id as usize];
            if let Some(socket) = &slot.socket
                && !slot.is_closing
                && !slot.is_connecting
                && !slot.is_receiving
            {
                self.ring.receive(id, socket);
                slot.is_receiving = true;
            }
        }
    }

    #[cold]
    fn drop_bytes(&mut self, completion: &Completion) {
        if let Some(chunk) = self.ring.chunk_of(completion) {
            self.ring.give_back(chunk);
        }
    }

    /// Keeps the books of a new batch.
    #[inline]
    fn settle(&mut self) {
        self.close_sockets();
        self.heard = 0;
        for piece in 0..self.ring.completions().len() {
            let completion = self.ring.completions()[piece];
            let is_of_slot = matches!(completion.op, Op::Receive | Op::Send | Op::Writable);
            if is_of_slot && self.slots[completion.key as usize].is_closing {
                // Nobody is to hear it: the place may be another connection's before this batch is.
                self.drop_bytes(&completion);
                self.heard |= 1 << piece;
            }
            match completion.op {
                Op::Receive if !completion.more() => self.receive_ended(&completion),
                Op::Send => self.sent(completion.key, completion.result),
                Op::Writable => {
                    self.slots[completion.key as usize].is_connecting = false;
                    self.vacate(completion.key);
                }
                // It ended because completions overflowed.
                Op::Wake if !completion.more() => self.ring.on_wake(&self.wake),
                Op::Receive | Op::Untracked | Op::Wake | Op::Other => {}
            }
        }
    }

    fn receive_ended(&mut self, completion: &Completion) {
        let slot = &mut self.slots[completion.key as usize];
        slot.is_receiving = false;
        let may_go_on = matches!(completion.result, Ok(1..) | Err(Errno::NOBUFS));
        if may_go_on && !slot.is_closing {
            self.unarmed.push(completion.key);
        }
        self.vacate(completion.key);
    }

    /// A send is over, and what waited behind it follows. One that says of fewer bytes than it had broke half-way; the
    /// kernel had them, and keeps the error for who reads.
    fn sent(&mut self, id: u32, result: Result<u32, Errno>) {
        let slot = &mut self.slots[id as usize];
        let mut memory = self.ring.taken_back(id);
        memory.clear();
        let unsent = slot.sending.saturating_sub(result.map_or(0, |sent| sent as usize));
        if unsent > 0 && !slot.is_closing {
            slot.lost = unsent + slot.queued.len();
            slot.queued.clear();
        }
        slot.sending = slot.queued.len();
        if slot.sending == 0 {
            slot.spare = memory;
        } else if let Some(socket) = &slot.socket {
            let moved = std::mem::replace(&mut slot.queued, memory);
            self.ring.send_moved(id, socket, moved);
        }
        self.vacate(id);
    }

    /// Closes them once all that names them was handed over, which a system short of memory may put off.
    #[inline]
    fn close_sockets(&mut self) {
        if self.closing.is_empty() || self.ring.is_unsubmitted() {
            return;
        }
        while let Some(id) = self.closing.pop() {
            self.slots[id as usize].socket = None;
            self.vacate(id);
        }
    }

    fn vacate(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        let is_over = slot.socket.is_none() && !slot.is_receiving && !slot.is_connecting && slot.sending == 0;
        if slot.is_closing && is_over {
            slot.is_closing = false;
            self.vacant.push(id);
        }
    }

    /// Whether the last wait may have left news behind.
    #[inline]
    pub(super) fn has_more(&self) -> bool {
        self.ring.completions().len() >= TASKS || !self.unarmed.is_empty()
    }

    #[inline]
    pub(super) fn news(&self) -> usize {
        self.ring.completions().len()
    }

    #[inline]
    pub(super) fn subject(&self, piece: usize) -> Option<u32> {
        let completion = self.ring.completions().get(piece)?;
        if self.heard & 1 << piece != 0 || matches!(completion.op, Op::Wake | Op::Other) {
            return None;
        }
        let slot = self.slots.get(completion.key as usize)?;
        if completion.op == Op::Untracked && completion.generation != slot.generation {
            return None;
        }
        (slot.socket.is_some() && !slot.is_closing).then_some(completion.key)
    }

    #[inline]
    pub(super) fn hear(&mut self, piece: usize) -> Option<Event> {
        let id = self.subject(piece)?;
        self.heard |= 1 << piece;
        let completion = self.ring.completions()[piece];
        match (completion.op, completion.result) {
            (Op::Receive, Ok(0)) => {
                // With times, an end takes a buffer too.
                self.drop_bytes(&completion);
                Some(Event::Ended)
            }
            (Op::Receive, Ok(_)) => {
                let chunk = self.ring.chunk_of(&completion)?;
                let next = self.ring.completions().get(piece + 1);
                let next = next.filter(|next| next.op == Op::Receive && next.key == id);
                let is_last = next.is_some_and(|next| !matches!(next.result, Ok(1..) | Err(Errno::NOBUFS)));
                let has_more = next.is_some_and(|next| matches!(next.result, Ok(1..)));
                let arrived_wall_ns = self.ring.arrived_wall_ns(&chunk);
                Some(Event::Received(Chunk { at: At::Ring(chunk), arrived_wall_ns, is_last, has_more }))
            }
            (Op::Receive, Err(Errno::NOBUFS)) => None,
            (Op::Receive, Err(_)) => Some(Event::Broken),
            (Op::Send | Op::Untracked, Err(errno)) => Some(Event::SendFailed(errno)),
            // The target may have read a part of it.
            (Op::Send, Ok(_)) if self.slots[id as usize].lost > 0 => Some(Event::SendFailed(Errno::IO)),
            (Op::Send, Ok(_)) if self.slots[id as usize].sending == 0 => Some(Event::Sent),
            (Op::Writable, result) => Some(self.connected(id, result)),
            (Op::Send | Op::Untracked | Op::Wake | Op::Other, _) => None,
        }
    }

    /// The wait for a connection is over, with what the socket is ready for. It is asked for an error only if it has one.
    fn connected(&mut self, id: u32, ready: Result<u32, Errno>) -> Event {
        let slot = &mut self.slots[id as usize];
        let Some(socket) = &slot.socket else { return Event::ConnectFailed(Errno::BADF) };
        let failed = u32::from((PollFlags::ERR | PollFlags::HUP).bits());
        if ready.is_ok_and(|ready| ready & failed == 0) {
            self.ring.receive(id, socket);
            slot.is_receiving = true;
            return Event::Connected;
        }
        match sockopt::socket_error(socket) {
            Ok(Err(errno)) | Err(errno) => Event::ConnectFailed(errno),
            // The error was told before.
            Ok(Ok(())) => Event::ConnectFailed(Errno::CONNRESET),
        }
    }

    #[inline]
    pub(super) fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        match &chunk.at {
            At::Ring(chunk) => self.ring.bytes(chunk),
            At::Buffer(_) => &mut [],
        }
    }

    #[inline]
    pub(super) fn give_back(&mut self, chunk: super::ring::Chunk) {
        self.ring.give_back(chunk);
    }
}
