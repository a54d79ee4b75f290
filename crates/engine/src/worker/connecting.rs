//! Connections: opened when somebody waits for one, closed when they are of no more use.

use metrics::ErrorKind;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::Worker;
use super::requests::{ENDED, READABLE};
use crate::connection::{Connection, NEVER, State};
use crate::poller::Batch;
use crate::source::Source;
use crate::wheel::TICK_NS;

/// Connections begun in one turn: each takes some 20 µs, and answers wait meanwhile.
const CONNECTS_PER_TURN: usize = 16;

/// How long a target may take to close a connection that it said it would.
const ENDING_NS: u64 = 1_000_000_000;

/// Connections of a thread that wait for their target to close them; beyond, we close first and hold the port.
const ENDING_MAX: u32 = 1024;

impl<S: Source> Worker<S> {
    /// Finishes what the turn left: unread sockets, failed sends, and those who wait for a connection.
    pub(super) fn serve(&mut self) {
        if !self.unread.is_empty() {
            let mut unread = std::mem::take(&mut self.unread);
            for id in unread.drain(..) {
                if self.connections[id as usize].state == State::Busy {
                    self.receive(id, false);
                }
            }
            unread.append(&mut self.unread);
            self.unread = unread;
            self.is_unfinished |= !self.unread.is_empty();
        }
        for pool in 0..self.pools.len() {
            if !self.pools[pool].queue.is_empty() {
                self.dispatch(pool);
                self.grow(pool);
            }
        }
        if !self.failed.is_empty() {
            self.settle_failed();
            self.is_unfinished = true;
        }
    }

    /// Opens a connection for each that waits and for whom none is being opened, as far as allowed.
    fn grow(&mut self, pool: usize) {
        for _ in 0..CONNECTS_PER_TURN {
            let wanted = &self.pools[pool];
            let is_needed = wanted.queue.len() > wanted.connecting as usize && wanted.idle.is_empty();
            if !is_needed || wanted.open >= wanted.max || self.hold_until_ns.is_some() {
                return;
            }
            let waiting = wanted.queue[wanted.connecting as usize];
            let Some(address) = self.pools[pool].next_address(self.limits.connecting) else { return };
            match self.open(pool, address) {
                Ok(id) => {
                    // Just before whoever waits for it would be missed: it was started, and failed.
                    let timeout_ns = self.program.step(waiting.step).timeout_ns;
                    let deadline_ns =
                        waiting.intended_ns.saturating_add(timeout_ns).saturating_sub(2 * TICK_NS);
                    self.connections[id as usize].deadline_ns = deadline_ns.max(self.now_ns + 1);
                    self.wheel.arm(id, deadline_ns.max(self.now_ns + 1));
                }
                Err(kind) => self.fail_waiting(pool, kind),
            }
        }
        self.is_unfinished = true;
    }

    /// Begins a connection to an address of `pool`.
    fn open(&mut self, pool: usize, address: usize) -> Result<u32, ErrorKind> {
        let target = self.pools[pool].addresses[address].socket;
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
            .map_err(connect_failure)?;
        sockopt::set_tcp_nodelay(&socket, true).map_err(connect_failure)?;
        match rustix::net::connect(&socket, &target) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(connect_failure(errno)),
        }
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(Connection::vacant());
            u32::try_from(self.connections.len() - 1).unwrap_or(u32::MAX)
        });
        let connection = &mut self.connections[id as usize];
        let token = u64::from(connection.generation) << 32 | u64::from(id);
        if self.poller.add(&socket, token).is_err() {
            // The only causes are limits of this machine (memory, `max_user_watches`).
            self.vacant.push(id);
            return Err(ErrorKind::LocalLimit);
        }
        connection.state = State::Connecting;
        connection.socket = Some(socket);
        connection.pool = u16::try_from(pool).unwrap_or(0);
        connection.address = u16::try_from(address).unwrap_or(0);
        connection.since_ns = self.now_ns;
        connection.is_used = false;
        let pool = &mut self.pools[pool];
        pool.addresses[address].connecting += 1;
        pool.connecting += 1;
        pool.open += 1;
        Ok(id)
    }

    pub(super) fn look_at_connecting(&mut self, id: u32, flags: EventFlags) {
        let connection = &self.connections[id as usize];
        if flags.intersects(EventFlags::ERR.union(EventFlags::HUP)) {
            let error = connection.socket.as_ref().map(sockopt::socket_error);
            let kind = match error {
                Some(Ok(Err(errno))) => connect_failure(errno),
                _ => ErrorKind::ConnectReset,
            };
            self.fail_connecting(id, kind);
        } else if flags.contains(EventFlags::OUT) {
            self.settle_connecting(id);
            self.make_idle(id, self.turn_ns);
            self.dispatch(usize::from(self.connections[id as usize].pool));
            // Whatever else this event told will not be told again.
            if flags.intersects(READABLE) && self.connections[id as usize].state == State::Busy {
                self.receive(id, flags.intersects(ENDED));
            } else if flags.intersects(ENDED) && self.connections[id as usize].state == State::Idle {
                self.close(id);
            }
        }
    }

    /// A connection could not be made: whoever waits longest fails with it.
    pub(super) fn fail_connecting(&mut self, id: u32, kind: ErrorKind) {
        let pool = usize::from(self.connections[id as usize].pool);
        self.close(id);
        self.fail_waiting(pool, kind);
    }

    /// It is connecting no more.
    fn settle_connecting(&mut self, id: u32) {
        let connection = &self.connections[id as usize];
        let pool = &mut self.pools[usize::from(connection.pool)];
        pool.connecting -= 1;
        pool.addresses[usize::from(connection.address)].connecting -= 1;
    }

    /// Drops idle connections that the target has closed, or on which it talks out of turn, before a request is sent on
    /// one of them.
    #[inline]
    pub(super) fn drop_unusable(&mut self, batch: &Batch) {
        for (token, flags) in batch.iter().filter(|(_, flags)| flags.intersects(READABLE)) {
            if let Some((id, State::Idle)) = self.connection_of(token)
                && (flags.intersects(ENDED) || !self.is_silent(id))
            {
                self.close(id);
            }
        }
    }

    fn is_silent(&self, id: u32) -> bool {
        let Some(socket) = &self.connections[id as usize].socket else { return false };
        let peeked = rustix::net::recv(socket, &mut [0], RecvFlags::PEEK);
        matches!(peeked, Err(Errno::AGAIN | Errno::INTR))
    }

    #[inline]
    pub(super) fn make_idle(&mut self, id: u32, since_ns: u64) {
        let connection = &mut self.connections[id as usize];
        let idle = &mut self.pools[usize::from(connection.pool)].idle;
        connection.state = State::Idle;
        connection.since_ns = since_ns;
        connection.deadline_ns = NEVER;
        connection.idle_place = u32::try_from(idle.len()).unwrap_or(u32::MAX);
        idle.push(id);
    }

    #[inline]
    pub(super) fn pop_idle(&mut self, pool: usize) -> Option<u32> {
        self.pools[pool].idle.pop()
    }

    fn leave_idle(&mut self, id: u32) {
        let connection = &self.connections[id as usize];
        let idle = &mut self.pools[usize::from(connection.pool)].idle;
        let place = connection.idle_place as usize;
        // One that was just popped is no longer there.
        if idle.get(place) == Some(&id) {
            idle.swap_remove(place);
            if let Some(moved) = idle.get(place) {
                self.connections[*moved as usize].idle_place = u32::try_from(place).unwrap_or(u32::MAX);
            }
        }
    }

    /// The last response was received. The target closes first where it can: whoever does holds the port for a minute.
    pub(super) fn end(&mut self, id: u32, is_closed: bool) {
        if is_closed || self.ending >= ENDING_MAX {
            return self.close(id);
        }
        let connection = &mut self.connections[id as usize];
        connection.state = State::Ending;
        connection.deadline_ns = self.turn_ns + ENDING_NS;
        self.wheel.arm(id, connection.deadline_ns);
        self.pools[usize::from(connection.pool)].open -= 1;
        self.ending += 1;
    }

    /// Closes connection `id`, whatever its state. A request that is out must have been recorded.
    pub(super) fn close(&mut self, id: u32) {
        let connection = &self.connections[id as usize];
        let pool = usize::from(connection.pool);
        match connection.state {
            State::Vacant => return,
            State::Ending => self.ending -= 1,
            State::Connecting => {
                self.settle_connecting(id);
                self.pools[pool].open -= 1;
            }
            State::Idle => {
                self.leave_idle(id);
                self.pools[pool].open -= 1;
            }
            State::Busy => self.pools[pool].open -= 1,
        }
        let connection = &mut self.connections[id as usize];
        connection.state = State::Vacant;
        connection.socket = None;
        connection.deadline_ns = NEVER;
        connection.generation = connection.generation.wrapping_add(1);
        self.vacant.push(id);
    }

    /// Ends what has lasted long enough: a hold, requests, waiting.
    pub(super) fn expire(&mut self) {
        if self.hold_until_ns.is_some_and(|until_ns| until_ns <= self.now_ns) {
            self.release();
        }
        let mut expired = std::mem::take(&mut self.expired);
        self.wheel.expire(self.now_ns, &mut expired);
        for id in expired.drain(..) {
            let connection = &self.connections[id as usize];
            if connection.deadline_ns > self.now_ns {
                if connection.deadline_ns != NEVER {
                    self.wheel.arm(id, connection.deadline_ns);
                }
                continue;
            }
            match connection.state {
                State::Busy => self.time_out(id),
                State::Connecting => self.fail_connecting(id, ErrorKind::ConnectTimeout),
                State::Ending => self.close(id),
                State::Idle | State::Vacant => {}
            }
        }
        self.expired = expired;
        self.expire_waiting();
    }

    /// Opens `count` connections before the run, as many as there are addresses and time for. Those that fail are opened
    /// when they are needed.
    pub(crate) fn connect_ahead(&mut self, count: u32, until: clock::Instant) -> std::io::Result<()> {
        let share = count.div_ceil(u32::try_from(self.pools.len()).unwrap_or(1));
        // A target that refuses is not asked for ever.
        let mut attempts_left = 2 * count;
        let mut batch = Batch::new();
        loop {
            let mut missing = false;
            for pool in 0..self.pools.len() {
                while self.pools[pool].open < share.min(self.pools[pool].max) && attempts_left > 0 {
                    attempts_left -= 1;
                    missing = true;
                    let Some(address) = self.pools[pool].next_address(self.limits.connecting) else { break };
                    if self.open(pool, address).is_err() {
                        return Ok(());
                    }
                }
            }
            let is_connecting = self.pools.iter().any(|pool| pool.connecting > 0);
            let left_ns = clock::nanos(until.since(clock::now()));
            if !(missing || is_connecting) || left_ns == 0 {
                break;
            }
            self.poller.wait(&mut batch, left_ns)?;
            self.drop_unusable(&batch);
            for (token, flags) in batch.iter() {
                self.handle(token, flags);
            }
        }
        let late: Vec<u32> = (0u32..)
            .zip(&self.connections)
            .filter(|(_, connection)| connection.state == State::Connecting)
            .map(|(id, _)| id)
            .collect();
        late.into_iter().for_each(|id| self.close(id));
        Ok(())
    }
}

fn connect_failure(errno: Errno) -> ErrorKind {
    match errno {
        Errno::TIMEDOUT => ErrorKind::ConnectTimeout,
        Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => ErrorKind::ConnectReset,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL | Errno::AGAIN => {
            ErrorKind::LocalLimit
        }
        // The network said no: nobody listens, no route, or a firewall.
        _ => ErrorKind::ConnectRefused,
    }
}
