//! Connections: opened when somebody waits for one, closed when they are of no more use.

use metrics::{ErrorKind, LocalLimit, Outcome, Phases};
use rustix::io::Errno;

use super::Worker;
use crate::connection::{Connection, NEVER, NOWHERE, State};
use crate::peer::{dial, stamp_arrivals};
use crate::pool::Pool;
use crate::source::Source;
use crate::wheel::TICK_NS;

/// Connections begun in one turn: each takes some 20 µs, and answers wait meanwhile.
const CONNECTS_PER_TURN: usize = 16;

/// How long a target may take to close a connection that it said it would.
const ENDING_NS: u64 = 1_000_000_000;

/// Connections of a thread that wait for their target to close them; beyond, we close first and hold the port.
const ENDING_MAX: u32 = 1024;

impl<S: Source> Worker<S> {
    /// Serves those who wait for a connection.
    #[inline]
    pub(super) fn serve(&mut self) {
        for pool in 0..self.pools.len() {
            if !self.pools[pool].queue.is_empty() {
                self.dispatch(pool);
                self.grow(pool);
            }
        }
    }

    /// Opens a connection for each that waits and for whom none is being opened, as far as allowed.
    fn grow(&mut self, pool: usize) {
        for _ in 0..CONNECTS_PER_TURN {
            if !self.is_wanted(pool) {
                return;
            }
            let wanted = &self.pools[pool];
            let waiting = wanted.queue[wanted.connecting as usize];
            // Just before whoever waits for it would be missed: it was started, and failed.
            let timeout_ns = self.program.step(waiting.step).timeout_ns;
            // A user may have waited for the limit longer than that, which is not the target's doing.
            let since_ns = if S::CLOSED { self.now_ns } else { waiting.intended_ns };
            let deadline_ns = since_ns.saturating_add(timeout_ns).saturating_sub(2 * TICK_NS);
            let deadline_ns = deadline_ns.max(self.now_ns + 1);
            let looks_up = wanted.looks_up;
            let is_begun = if looks_up {
                self.look_up(pool, deadline_ns)
            } else {
                self.open_for_waiting(pool, deadline_ns, None)
            };
            if !is_begun {
                return;
            }
        }
        self.is_unfinished = true;
    }

    /// Whether somebody waits for whom no connection of `pool` is there or being opened, and another may be.
    pub(super) fn is_wanted(&self, pool: usize) -> bool {
        let pool = &self.pools[pool];
        let is_needed = pool.queue.len() > pool.connecting as usize && pool.idle.is_empty();
        is_needed && pool.open < pool.max && self.hold_until_ns.is_none()
    }

    /// Opens a connection of `pool` for whoever waits, after a look-up of `lookup_ns` if there was one. False when as
    /// many as may be are being opened.
    pub(super) fn open_for_waiting(&mut self, pool: usize, deadline_ns: u64, lookup_ns: Option<u64>) -> bool {
        let Some(address) = self.pools[pool].next_address(self.limits.connecting) else { return false };
        match self.open(pool, address, true) {
            Ok((id, is_connected)) => {
                let connection = &mut self.connections[id as usize];
                connection.opened.lookup_ns = lookup_ns;
                connection.deadline_ns = deadline_ns;
                self.wheel.arm(id, deadline_ns);
                if is_connected {
                    self.connected(id);
                }
            }
            Err(outcome) => self.fail_waiting(pool, outcome),
        }
        true
    }

    /// Begins a connection to an address of `pool`, for a `request` that waits or for later; whether it is there already,
    /// as it can be on the same machine.
    fn open(&mut self, pool: usize, address: usize, request: bool) -> Result<(u32, bool), Outcome> {
        let (peer, source) = self.pools[pool].route(address);
        let (socket, is_connected) = dial(peer, source, request).map_err(failure)?;
        if !S::CLOSED {
            stamp_arrivals(&socket);
        }
        let id = self.io.add(socket, is_connected).map_err(|_| Outcome::local_limit(LocalLimit::Other))?;
        while self.connections.len() <= id as usize {
            self.connections.push(Connection::vacant());
        }
        let connection = &mut self.connections[id as usize];
        let number = u16::try_from(pool).unwrap_or(0);
        if connection.pool != number {
            connection.session = None;
        }
        connection.state = State::Connecting;
        connection.pool = number;
        connection.address = u16::try_from(address).unwrap_or(0);
        connection.since_ns = self.now_ns;
        connection.bytes_in = 0;
        connection.failure = None;
        connection.is_used = false;
        connection.requests = 0;
        connection.expires_ns = self.now_ns.saturating_add(self.keeping.lifetime_ns);
        connection.opened = Phases::default();
        let pool = &mut self.pools[pool];
        pool.addresses[address].connecting += 1;
        pool.connecting += 1;
        pool.open += 1;
        Ok((id, is_connected))
    }

    /// A connection is there: its session says what comes first.
    pub(super) fn connected(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        let pool = &mut self.pools[usize::from(connection.pool)];
        pool.addresses[usize::from(connection.address)].connecting -= 1;
        connection.state = State::Greeting;
        connection.opened.connect_ns = Some(self.now_ns.saturating_sub(connection.since_ns));
        let session = connection.session.get_or_insert_with(|| pool.protocol.session());
        session.reset();
        let mut heard = std::mem::take(&mut self.heard);
        session.start(&mut heard);
        self.act_on(id, &mut heard, false);
        self.heard = heard;
        self.say(id);
    }

    /// Requests can be sent on it.
    pub(super) fn ready(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        if connection.state != State::Greeting {
            return;
        }
        let pool = usize::from(connection.pool);
        connection.state = State::Open;
        connection.deadline_ns = NEVER;
        if self.pools[pool].has_tls {
            let connect_ns = connection.opened.connect_ns.unwrap_or(0);
            connection.opened.tls_ns = Some((self.now_ns - connection.since_ns).saturating_sub(connect_ns));
        }
        self.pools[pool].connecting -= 1;
        self.offer(id, self.now_ns);
        self.dispatch(pool);
    }

    /// A connection could not be made: whoever waits longest fails with it.
    pub(super) fn fail_connecting(&mut self, id: u32, outcome: Outcome) {
        let pool = usize::from(self.connections[id as usize].pool);
        self.close(id);
        self.fail_waiting(pool, outcome);
    }

    /// Hears first what idle connections have to say: the target may have closed them, and nothing must be sent on those.
    #[inline]
    pub(super) fn hear_idle(&mut self) {
        for piece in 0..self.io.news() {
            if let Some(id) = self.io.subject(piece)
                && self.connections[id as usize].is_idle()
            {
                self.handle(piece);
            }
        }
    }

    /// Lists a connection that has room among those that can be used.
    #[inline]
    pub(super) fn offer(&mut self, id: u32, since_ns: u64) {
        let connection = &mut self.connections[id as usize];
        if connection.idle_place != NOWHERE || connection.room() == 0 {
            return;
        }
        let idle = &mut self.pools[usize::from(connection.pool)].idle;
        connection.since_ns = since_ns;
        connection.idle_place = u32::try_from(idle.len()).unwrap_or(NOWHERE);
        idle.push(id);
    }

    #[inline]
    pub(super) fn pop_idle(&mut self, pool: usize) -> Option<u32> {
        loop {
            let id = self.pools[pool].idle.pop()?;
            let connection = &mut self.connections[id as usize];
            connection.idle_place = NOWHERE;
            let is_spent =
                connection.expires_ns <= self.now_ns || connection.requests >= self.keeping.requests;
            if !is_spent && connection.room() > 0 {
                return Some(id);
            }
            if connection.in_flight == 0 {
                self.close(id);
            }
        }
    }

    pub(super) fn leave_idle(&mut self, id: u32) {
        let connection = &mut self.connections[id as usize];
        let place = std::mem::replace(&mut connection.idle_place, NOWHERE);
        if place == NOWHERE {
            return;
        }
        let idle = &mut self.pools[usize::from(connection.pool)].idle;
        idle.swap_remove(place as usize);
        if let Some(moved) = idle.get(place as usize) {
            self.connections[*moved as usize].idle_place = place;
        }
    }

    /// The last response was received. The target closes first where it can: whoever does holds the port for a minute.
    pub(super) fn end(&mut self, id: u32, is_closed: bool) {
        if is_closed || self.ending >= ENDING_MAX {
            return self.close(id);
        }
        self.leave_idle(id);
        let connection = &mut self.connections[id as usize];
        connection.state = State::Ending;
        connection.deadline_ns = self.turn_ns + ENDING_NS;
        self.wheel.arm(id, connection.deadline_ns);
        self.pools[usize::from(connection.pool)].open -= 1;
        self.ending += 1;
    }

    /// Closes connection `id`, whatever its state. Requests that are out must have been recorded.
    pub(super) fn close(&mut self, id: u32) {
        self.leave_idle(id);
        let connection = &mut self.connections[id as usize];
        let pool = &mut self.pools[usize::from(connection.pool)];
        match connection.state {
            State::Vacant => return,
            State::Ending => self.ending -= 1,
            State::Connecting => {
                pool.addresses[usize::from(connection.address)].connecting -= 1;
                pool.connecting -= 1;
                pool.open -= 1;
            }
            State::Greeting => {
                pool.connecting -= 1;
                pool.open -= 1;
            }
            State::Open => pool.open -= 1,
        }
        connection.state = State::Vacant;
        connection.serial = connection.serial.wrapping_add(1);
        connection.deadline_ns = NEVER;
        self.io.close(id);
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
                State::Open => self.time_out(id),
                State::Connecting => self.fail_connecting(id, Outcome::Failed(ErrorKind::ConnectTimeout, 0)),
                State::Greeting => self.fail_connecting(id, Outcome::Failed(ErrorKind::Tls, 0)),
                State::Ending => self.close(id),
                State::Vacant => {}
            }
        }
        self.expired = expired;
        self.expire_lookups();
        self.expire_waiting();
    }

    /// Opens `count` connections before the run, divided as they are at most, as far as there is time for it. Those that
    /// fail are opened when they are needed.
    pub(crate) fn connect_ahead(&mut self, count: u32, until: clock::Instant) -> std::io::Result<()> {
        let max: u64 = self.pools.iter().map(|pool| u64::from(pool.max)).sum();
        let share = |pool: &Pool| (u64::from(count) * u64::from(pool.max)).div_ceil(max);
        // A target that refuses is not asked for ever.
        let mut attempts_left = 2 * count;
        loop {
            self.read_clock();
            let mut missing = false;
            for pool in 0..self.pools.len() {
                while u64::from(self.pools[pool].open) < share(&self.pools[pool]) && attempts_left > 0 {
                    attempts_left -= 1;
                    missing = true;
                    let Some(address) = self.pools[pool].next_address(self.limits.connecting) else { break };
                    match self.open(pool, address, false) {
                        Ok((id, true)) => self.connected(id),
                        Ok((_, false)) => {}
                        Err(_) => return Ok(()),
                    }
                }
            }
            let is_connecting = self.pools.iter().any(|pool| pool.connecting > 0);
            let left_ns = clock::nanos(until.since(clock::now()));
            if !(missing || is_connecting) || left_ns == 0 {
                break;
            }
            self.io.wait(left_ns.min(super::SECOND_NS), 1)?;
            self.read_clock();
            self.hear();
        }
        let late: Vec<u32> = (0u32..)
            .zip(&self.connections)
            .filter(|(_, connection)| matches!(connection.state, State::Connecting | State::Greeting))
            .map(|(id, _)| id)
            .collect();
        late.into_iter().for_each(|id| self.close(id));
        Ok(())
    }
}

/// What making a connection failed by: socket(2), bind(2), connect(2).
pub(super) fn failure(errno: Errno) -> Outcome {
    let kind = match errno {
        Errno::MFILE | Errno::NFILE => return Outcome::local_limit(LocalLimit::Descriptors),
        Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::AGAIN => {
            return Outcome::local_limit(LocalLimit::Ports);
        }
        Errno::NOBUFS | Errno::NOMEM => return Outcome::local_limit(LocalLimit::Memory),
        Errno::TIMEDOUT => ErrorKind::ConnectTimeout,
        Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => ErrorKind::ConnectReset,
        // The network said no: nobody listens, no route, or a firewall.
        _ => ErrorKind::ConnectRefused,
    };
    Outcome::Failed(kind, 0)
}
