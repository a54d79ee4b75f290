//! io_uring with a safe face: the only place in the project with `unsafe`.
//!
//! What the kernel reads or writes while an operation is under way belongs to the [`Ring`]: received bytes lie in
//! buffers that it lends out one at a time ([`Chunk`]), what is sent is either shared and immutable ([`Pin`]) or moved
//! in and given back. So whatever its user does, no memory is freed or reused too early.
//!
//! Needs Linux 6.1: a single issuer with deferred task work, multishot receives into a ring of provided buffers.
//! Deliberately absent: what sockets mean, and when to wait.
#![expect(unsafe_code, reason = "operations hand addresses to the kernel; each block says why it may")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::{ManuallyDrop, offset_of};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};
use nix::libc::{CMSG_SPACE, SCM_TIMESTAMPNS, SOL_SOCKET, cmsghdr, msghdr, timespec};
use rustix::io::Errno;

/// Entries of the submission queue; a full one is submitted.
const SUBMISSIONS: u32 = 256;

/// Entries of the completion queue. What does not fit waits in the kernel.
const COMPLETIONS: u32 = 4096;

/// Completions taken at once, for the same reason as events of epoll are.
const BATCH: usize = 64;

/// Buffers for received bytes, of all connections together; a power of two. When none is left, receives are begun
/// again as soon as one is.
const BUFFERS: u16 = 256;
const BUFFER_BYTES: usize = 16 * 1024;
const BUFFER_GROUP: u16 = 0;

const PAGE_BYTES: usize = 4096;

/// Bytes of a shared send that need no completion: an idle socket always has room for so many, so they are sent or
/// refused at once, and only the refusal is told.
const UNTRACKED_BYTES: usize = 4096;

/// How long operations may take to end when the ring is dropped.
const TEARDOWN_NS: u64 = 1_000_000_000;

/// Bytes that are sent again and again, known to a loop by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin(pub(super) u32);

/// Received bytes, until they are given back.
#[derive(Debug)]
pub(super) struct Chunk {
    buffer: u16,
    len: u32,
}

/// What a receive that tells times puts before the bytes (`struct io_uring_recvmsg_out`): four lengths, then one control
/// message.
const LENGTHS: usize = 16;
const CONTROL_LEN_AT: usize = 4;
const LEVEL_AT: usize = LENGTHS + offset_of!(cmsghdr, cmsg_level);
const KIND_AT: usize = LENGTHS + offset_of!(cmsghdr, cmsg_type);
const STAMP_AT: usize = LENGTHS + size_of::<cmsghdr>();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Receive,
    /// Of moved bytes, or of more shared ones than go unseen.
    Send,
    /// Of shared bytes that go unseen unless they fail.
    Untracked,
    /// A socket became writable.
    Writable,
    /// Somebody wrote to the eventfd.
    Wake,
    Other,
}

impl Op {
    #[inline]
    fn of(number: u8) -> Self {
        const ALL: [Op; 5] = [Op::Receive, Op::Send, Op::Untracked, Op::Writable, Op::Wake];
        ALL.get(usize::from(number)).copied().unwrap_or(Op::Other)
    }
}

/// One operation came to something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    pub(super) op: Op,
    pub(super) key: u32,
    /// What [`send_pinned`](Ring::send_pinned) was given; 0 of other operations.
    pub(super) generation: u16,
    pub(super) result: Result<u32, Errno>,
    flags: u32,
}

impl Completion {
    /// Whether the operation goes on.
    pub(super) fn more(&self) -> bool {
        cqueue::more(self.flags)
    }
}

pub(super) struct Ring {
    ring: IoUring,
    provided: ManuallyDrop<Provided>,
    pins: Vec<Arc<[u8]>>,
    /// Bytes on their way, by key.
    moved: ManuallyDrop<Vec<Vec<u8>>>,
    batch: Vec<Completion>,
    /// Receives and told sends that have not ended: the kernel may use memory for each.
    under_way: u32,
    has_min_wait: bool,
    /// What receives ask for besides bytes, if they are to tell when those arrived.
    message: Option<Box<msghdr>>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Ring {
    /// To be used on the thread that makes it. With `stamps`, receives tell when bytes arrived, of sockets that have
    /// `SO_TIMESTAMPNS`.
    ///
    /// # Errors
    /// The system lacks io_uring, or what this needs of it, or forbids it.
    pub(super) fn new(stamps: bool) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let has_all = ring.params().is_feature_nodrop()
            && ring.params().is_feature_ext_arg()
            && ring.params().is_feature_skip_cqe_on_success();
        if !has_all {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        let has_min_wait = ring.params().is_feature_min_timeout();
        let message = stamps.then(message);
        let provided = Provided::new(message.as_ref().map_or(0, |message| LENGTHS + message.msg_controllen));
        // SAFETY: the entries are page-aligned, as many as stated, and outlive the ring or the last receive.
        unsafe {
            let address = provided.entries.as_ptr() as u64;
            ring.submitter().register_buf_ring_with_flags(address, BUFFERS, BUFFER_GROUP, 0)?;
        }
        // Spares the look-up of its descriptor with each call; without it (before 5.18) all works as well.
        if let Err(error) = ring.submitter().register_ring_fd() {
            tracing::debug!(%error, "ring descriptor is not registered");
        }
        Ok(Self {
            ring,
            provided: ManuallyDrop::new(provided),
            pins: Vec::new(),
            moved: ManuallyDrop::default(),
            batch: Vec::with_capacity(BATCH),
            under_way: 0,
            has_min_wait,
            message,
        })
    }

    /// Keeps `bytes` for as long as the ring is there.
    pub(super) fn pin(&mut self, bytes: Arc<[u8]>) -> Pin {
        self.pins.push(bytes);
        Pin(u32::try_from(self.pins.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn pinned_len(&self, pin: Pin) -> usize {
        self.pins[pin.0 as usize].len()
    }

    /// Appends a pin's bytes, for what cannot be sent as it is.
    pub(super) fn copy_pinned(&self, pin: Pin, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.pins[pin.0 as usize]);
    }

    /// Begins to receive, until the completion that has no [`more`](Completion::more).
    pub(super) fn receive(&mut self, key: u32, socket: &impl AsRawFd) {
        let socket = Fd(socket.as_raw_fd());
        let entry = match &self.message {
            Some(message) => opcode::RecvMsgMulti::new(socket, &raw const **message, BUFFER_GROUP).build(),
            None => opcode::RecvMulti::new(socket, BUFFER_GROUP).build(),
        };
        self.under_way += 1;
        // SAFETY: writes to provided buffers alone, which are kept until all receives have ended. The message is read when
        // the entry is submitted, and kept as long as the ring.
        unsafe { self.push(entry, Op::Receive, key) };
    }

    /// Sends `pin` in full. Whether a completion tells of its success; one that does not may tell of a failure after
    /// all else of `key` is over, and `generation` distinguishes it from others.
    #[inline]
    pub(super) fn send_pinned(&mut self, key: u32, generation: u16, socket: &impl AsRawFd, pin: Pin) -> bool {
        let bytes = &self.pins[pin.0 as usize];
        let is_tracked = bytes.len() > UNTRACKED_BYTES;
        let entry = send(socket.as_raw_fd(), bytes);
        self.under_way += u32::from(is_tracked);
        // SAFETY: pins are neither changed nor freed while the ring is there.
        unsafe {
            if is_tracked {
                self.push(entry, Op::Send, key);
            } else {
                let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
                self.push_of(entry, Op::Untracked, key, generation);
            }
        }
        is_tracked
    }

    /// Sends `bytes` in full; none of `key`'s may be on their way. [`taken_back`](Self::taken_back) gives the memory
    /// back after the completion.
    pub(super) fn send_moved(&mut self, key: u32, socket: &impl AsRawFd, bytes: Vec<u8>) {
        if self.moved.len() <= key as usize {
            self.moved.resize_with(key as usize + 1, Vec::new);
        }
        let entry = send(socket.as_raw_fd(), &bytes);
        self.moved[key as usize] = bytes;
        self.under_way += 1;
        // SAFETY: the bytes stay where they are until they are taken back, after the completion.
        unsafe { self.push(entry, Op::Send, key) };
    }

    /// The memory of `key`'s last moved send, whose completion has come.
    pub(super) fn taken_back(&mut self, key: u32) -> Vec<u8> {
        self.moved.get_mut(key as usize).map(std::mem::take).unwrap_or_default()
    }

    /// Tells once when the socket can be written to, or is broken.
    pub(super) fn until_writable(&mut self, key: u32, socket: &impl AsRawFd) {
        let flags = u32::from(rustix::event::PollFlags::OUT.bits());
        let entry = opcode::PollAdd::new(Fd(socket.as_raw_fd()), flags).build();
        // SAFETY: no memory is involved.
        unsafe { self.push(entry, Op::Writable, key) };
    }

    /// Tells each time somebody writes to `eventfd`.
    pub(super) fn on_wake(&mut self, eventfd: &impl AsRawFd) {
        let flags = u32::from(rustix::event::PollFlags::IN.bits());
        let entry = opcode::PollAdd::new(Fd(eventfd.as_raw_fd()), flags).multi(true).build();
        // SAFETY: no memory is involved.
        unsafe { self.push(entry, Op::Wake, 0) };
    }

    /// Ends early all that is under way on a socket. It completes all the same.
    pub(super) fn cancel_all(&mut self, socket: &impl AsRawFd) {
        let all = CancelBuilder::fd(Fd(socket.as_raw_fd())).all();
        let entry = opcode::AsyncCancel2::new(all).build().flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: no memory is involved.
        unsafe { self.push(entry, Op::Other, 0) };
    }

    /// # Safety
    /// All memory that `entry` names is valid until its last completion.
    #[inline]
    unsafe fn push(&mut self, entry: squeue::Entry, op: Op, key: u32) {
        // SAFETY: as promised by the caller.
        unsafe { self.push_of(entry, op, key, 0) };
    }

    /// # Safety
    /// As [`push`](Self::push).
    #[inline]
    unsafe fn push_of(&mut self, entry: squeue::Entry, op: Op, key: u32, generation: u16) {
        let entry = entry.user_data((op as u64) << 56 | u64::from(generation) << 32 | u64::from(key));
        // SAFETY: as promised by the caller.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            if let Err(error) = self.submit() {
                tracing::error!(%error, "cannot submit, an operation is lost");
                return;
            }
        }
    }

    pub(super) fn is_unsubmitted(&mut self) -> bool {
        !self.ring.submission().is_empty()
    }

    /// Hands over what was begun, without looking for completions.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        let count = self.ring.submission().len();
        self.enter(count, 0, EnterFlags::empty(), None)
    }

    /// Hands over what was begun, and takes the completions that are there.
    pub(super) fn poll(&mut self) -> io::Result<()> {
        let count = self.ring.submission().len();
        self.enter(count, 0, EnterFlags::GETEVENTS, None)?;
        self.take();
        Ok(())
    }

    /// Hands over what was begun, and waits: for `want` completions within `batch_us`, then for one, and for
    /// `timeout_ns` in all. Without the means to bound the first wait it waits for one.
    pub(super) fn wait(&mut self, want: usize, batch_us: u32, timeout_ns: u64) -> io::Result<()> {
        let count = self.ring.submission().len();
        let timeout = Timespec::new()
            .sec(timeout_ns / 1_000_000_000)
            .nsec(u32::try_from(timeout_ns % 1_000_000_000).unwrap_or(0));
        let mut args = SubmitArgs::new().timespec(&timeout);
        let mut want = want;
        if want > 1 && self.has_min_wait {
            args = args.min_wait_usec(batch_us);
        } else {
            want = 1;
        }
        self.enter(count, want, EnterFlags::GETEVENTS | EnterFlags::EXT_ARG, Some(&args))?;
        self.take();
        Ok(())
    }

    fn enter(
        &mut self,
        submit: usize,
        want: usize,
        flags: EnterFlags,
        args: Option<&SubmitArgs<'_, '_>>,
    ) -> io::Result<()> {
        let (submit, want) = (u32::try_from(submit).unwrap_or(u32::MAX), u32::try_from(want).unwrap_or(1));
        // SAFETY: the argument is of the type that the flag announces, and lives until the call returns.
        match unsafe { self.ring.submitter().enter(submit, want, flags.bits(), args) } {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                // The time is over, a signal came, or completions have to be taken first.
                Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn take(&mut self) {
        self.batch.clear();
        let completions = self.ring.completion();
        self.batch.extend(completions.take(BATCH).map(|entry| completion(&entry)));
        let before = u32::try_from(self.provided.bytes_at).unwrap_or(0);
        for completion in &mut self.batch {
            if let (Op::Receive, Ok(bytes)) = (completion.op, &mut completion.result) {
                *bytes = bytes.saturating_sub(before);
            }
            if matches!(completion.op, Op::Receive | Op::Send) && !completion.more() {
                self.under_way -= 1;
            }
        }
    }

    /// What was taken last.
    pub(super) fn completions(&self) -> &[Completion] {
        &self.batch
    }

    /// The bytes of a receive. To be asked for once, and to be given back.
    #[inline]
    pub(super) fn chunk_of(&mut self, completion: &Completion) -> Option<Chunk> {
        let buffer = cqueue::buffer_select(completion.flags)?;
        let len = completion.result.ok()?;
        Some(Chunk { buffer, len })
    }

    /// When the last of a chunk's bytes arrived, by the wall clock; `None` when the kernel did not say.
    #[inline]
    pub(super) fn arrived_wall_ns(&mut self, chunk: &Chunk) -> Option<u64> {
        self.message.as_ref()?;
        let told = self.provided.before(chunk);
        let number = |at: usize| Some(u64::from_ne_bytes(*told.get(at..)?.first_chunk()?));
        let word = |at: usize| Some(u32::from_ne_bytes(*told.get(at..)?.first_chunk()?));
        let (level, kind) = (SOL_SOCKET.cast_unsigned(), SCM_TIMESTAMPNS.cast_unsigned());
        if word(CONTROL_LEN_AT)? == 0 || word(LEVEL_AT)? != level || word(KIND_AT)? != kind {
            return None;
        }
        Some(number(STAMP_AT)?.saturating_mul(1_000_000_000).saturating_add(number(STAMP_AT + 8)?))
    }

    #[inline]
    pub(super) fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        self.provided.bytes(chunk)
    }

    #[inline]
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        self.provided.provide(chunk.buffer);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let deadline_ns = clock::boot_nanos() + TEARDOWN_NS;
        let timeout = Timespec::new().nsec(u32::try_from(TEARDOWN_NS / 2).unwrap_or(0));
        if let Err(error) = self.ring.submitter().register_sync_cancel(Some(timeout), CancelBuilder::any()) {
            tracing::debug!(%error, "nothing to cancel");
        }
        while self.under_way > 0 && clock::boot_nanos() < deadline_ns {
            if self.wait(1, 0, TEARDOWN_NS / 10).is_err() {
                break;
            }
        }
        if self.under_way > 0 {
            tracing::warn!(self.under_way, "operations do not end, their memory is left to them");
            return;
        }
        // SAFETY: dropped once, here; no operation is left that could use them.
        unsafe {
            ManuallyDrop::drop(&mut self.provided);
            ManuallyDrop::drop(&mut self.moved);
        }
    }
}

fn send(socket: RawFd, bytes: &[u8]) -> squeue::Entry {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let flags = (rustix::net::SendFlags::NOSIGNAL.bits() | MSG_WAITALL).cast_signed();
    opcode::Send::new(Fd(socket), bytes.as_ptr(), len).flags(flags).build()
}

/// Asks for one control message: a time.
fn message() -> Box<msghdr> {
    // SAFETY: a struct of C in which zeros mean that there is nothing; and a calculation.
    unsafe {
        let mut message: Box<msghdr> = Box::new(std::mem::zeroed());
        message.msg_controllen = CMSG_SPACE(u32::try_from(size_of::<timespec>()).unwrap_or(0)) as usize;
        message
    }
}

/// For a send: io_uring goes on until all is sent (since 5.19).
const MSG_WAITALL: u32 = 0x100;

#[inline]
fn completion(entry: &cqueue::Entry) -> Completion {
    let user_data = entry.user_data();
    #[expect(clippy::cast_possible_truncation, reason = "the parts of which it was made")]
    let (key, generation, op) = (user_data as u32, (user_data >> 32) as u16, (user_data >> 56) as u8);
    let result = u32::try_from(entry.result()).map_err(|_| Errno::from_raw_os_error(-entry.result()));
    Completion { op: Op::of(op), key, generation, result, flags: entry.flags() }
}

/// Buffers that are the kernel's until a receive fills one, and again after it was given back.
struct Provided {
    /// The ring in which they are offered.
    entries: NonNull<BufRingEntry>,
    buffers: NonNull<u8>,
    tail: u16,
    /// Where received bytes begin in a buffer.
    bytes_at: usize,
}

impl Provided {
    fn new(bytes_at: usize) -> Self {
        let (entries, buffers) = (zeroed(Self::entries_layout()).cast(), zeroed(Self::layout()));
        let mut provided = Self { entries, buffers, tail: 0, bytes_at };
        (0..BUFFERS).for_each(|buffer| provided.provide(buffer));
        provided
    }

    fn entries_layout() -> Layout {
        pages(usize::from(BUFFERS) * size_of::<BufRingEntry>())
    }

    fn layout() -> Layout {
        pages(usize::from(BUFFERS) * BUFFER_BYTES)
    }

    #[inline]
    fn provide(&mut self, buffer: u16) {
        let at = usize::from(self.tail % BUFFERS);
        // SAFETY: both indexes are below BUFFERS, for which there is room; the entry is beyond the tail, so it is ours.
        // The tail is a field of the first entry that the entry's setters leave alone.
        unsafe {
            let address = self.buffers.add(usize::from(buffer % BUFFERS) * BUFFER_BYTES);
            let entry = self.entries.add(at).as_mut();
            entry.set_addr(address.as_ptr() as u64);
            entry.set_len(u32::try_from(BUFFER_BYTES).unwrap_or(0));
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    #[inline]
    fn bytes(&mut self, chunk: &Chunk) -> &mut [u8] {
        let (at, len) = (self.bytes_at, chunk.len as usize);
        self.buffer(chunk).get_mut(at..at + len).unwrap_or_default()
    }

    /// What the kernel told before the received bytes.
    #[inline]
    fn before(&mut self, chunk: &Chunk) -> &[u8] {
        let at = self.bytes_at;
        self.buffer(chunk).get(..at).unwrap_or_default()
    }

    #[inline]
    fn buffer(&mut self, chunk: &Chunk) -> &mut [u8] {
        // SAFETY: within the allocation, initialised with zeros, and not the kernel's until it is given back, which takes
        // the chunk.
        unsafe {
            let start = self.buffers.add(usize::from(chunk.buffer % BUFFERS) * BUFFER_BYTES);
            std::slice::from_raw_parts_mut(start.as_ptr(), BUFFER_BYTES)
        }
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        // SAFETY: allocated with these layouts.
        unsafe {
            dealloc(self.entries.cast().as_ptr(), Self::entries_layout());
            dealloc(self.buffers.as_ptr(), Self::layout());
        }
    }
}

fn pages(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.max(1), PAGE_BYTES).unwrap_or(Layout::new::<u8>())
}

fn zeroed(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero.
    let pointer = unsafe { alloc_zeroed(layout) };
    NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    /// `None` where io_uring is not to be had.
    fn ring() -> Option<Ring> {
        Ring::new(false).map_err(|error| eprintln!("skipped, no io_uring here: {error}")).ok()
    }

    fn received(ring: &mut Ring, want: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < want {
            ring.wait(1, 0, 1_000_000_000).unwrap();
            let completions = ring.completions().to_vec();
            for completion in completions.iter().filter(|completion| completion.op == Op::Receive) {
                let chunk = ring.chunk_of(completion).unwrap();
                bytes.extend_from_slice(ring.bytes(&chunk));
                ring.give_back(chunk);
            }
        }
        bytes
    }

    #[test]
    fn bytes_go_out_and_come_in_beyond_the_number_of_buffers() {
        let Some(mut ring) = ring() else { return };
        let (near, mut far) = UnixStream::pair().unwrap();
        let pin = ring.pin(Arc::from(&b"pinned"[..]));
        ring.receive(7, &near);
        assert!(!ring.send_pinned(7, 0, &near, pin));
        ring.send_moved(7, &near, b"moved".to_vec());
        ring.poll().unwrap();
        let mut sent = [0; 11];
        far.read_exact(&mut sent).unwrap();
        assert_eq!(&sent, b"pinnedmoved");
        assert_eq!(ring.taken_back(7), b"moved");
        for round in 0..2 * u32::from(BUFFERS) {
            far.write_all(&round.to_be_bytes()).unwrap();
            assert_eq!(received(&mut ring, 4), round.to_be_bytes());
        }
        far.write_all(&vec![3; 3 * BUFFER_BYTES]).unwrap();
        assert_eq!(received(&mut ring, 3 * BUFFER_BYTES), vec![3; 3 * BUFFER_BYTES]);
    }

    #[test]
    fn the_end_of_a_stream_and_a_cancelled_receive_end_it() {
        let Some(mut ring) = ring() else { return };
        let (near, far) = UnixStream::pair().unwrap();
        let (other, _open) = UnixStream::pair().unwrap();
        ring.receive(1, &near);
        ring.receive(2, &other);
        drop(far);
        ring.cancel_all(&other);
        while ring.under_way > 0 {
            ring.wait(1, 0, 1_000_000_000).unwrap();
            for completion in ring.completions() {
                match completion.key {
                    1 => assert_eq!(completion.result, Ok(0)),
                    _ => assert_eq!(completion.result, Err(Errno::CANCELED)),
                }
            }
        }
    }

    #[test]
    fn a_wait_ends_with_its_time_and_with_a_wake() {
        let Some(mut ring) = ring() else { return };
        let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap();
        ring.on_wake(&eventfd);
        ring.wait(8, 20, 1_000_000).unwrap();
        assert!(ring.completions().is_empty());
        for _ in 0..3 {
            rustix::io::write(&eventfd, &1u64.to_ne_bytes()).unwrap();
            ring.wait(8, 20, 1_000_000_000).unwrap();
            assert!(matches!(ring.completions(), [Completion { op: Op::Wake, .. }]));
        }
    }

    #[test]
    fn a_ring_with_open_receives_can_be_dropped() {
        let Some(mut ring) = ring() else { return };
        let (near, mut far) = UnixStream::pair().unwrap();
        ring.receive(1, &near);
        ring.poll().unwrap();
        drop(ring);
        far.write_all(b"nobody reads this").unwrap();
    }
}
