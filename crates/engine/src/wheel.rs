//! Deadlines of requests, cheap enough to be set with each one.
//!
//! A request that is answered in time costs the wheel nothing: its connection has an entry already, which is looked at
//! when it comes up and moved on when the deadline has moved. So there is about one entry per connection and timeout,
//! whatever the rate.
//!
//! Invariant: an armed connection comes up at its deadline at the latest one tick after it. Deliberately absent:
//! precision (intended times have the pacer) and cancellation (a connection that has no deadline is just not armed
//! again).

/// Nanoseconds of a tick: how late a timeout may be noticed. A power of two, so that a division is a shift.
pub(crate) const TICK_NS: u64 = 1 << 22;

/// Slots of the wheel; later deadlines are looked at once a turn (17 s).
const SLOTS: usize = 4096;

/// What has no entry.
const NEVER: u64 = u64::MAX;

/// A timing wheel of connection numbers.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<u32>>,
    /// One bit per slot that has entries.
    occupied: Vec<u64>,
    /// The tick at which each connection comes up next, by connection number.
    armed: Vec<u64>,
    /// All ticks before this one have been looked at.
    tick: u64,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { slots: vec![Vec::new(); SLOTS], occupied: vec![0; SLOTS / 64], armed: Vec::new(), tick: 0 }
    }

    /// Forgets all deadlines, for a time that begins anew.
    pub(crate) fn restart(&mut self) {
        self.slots.iter_mut().for_each(Vec::clear);
        self.occupied.fill(0);
        self.armed.fill(NEVER);
        self.tick = 0;
    }

    /// Has `connection` come up at `deadline_ns` or before.
    #[inline]
    pub(crate) fn arm(&mut self, connection: u32, deadline_ns: u64) {
        // Up to the next whole tick: what comes up has then passed its deadline.
        let tick = deadline_ns / TICK_NS + 1;
        match self.armed.get(connection as usize) {
            Some(armed) if *armed <= tick => {}
            _ => self.insert(connection, tick),
        }
    }

    #[cold]
    fn insert(&mut self, connection: u32, tick: u64) {
        if self.armed.len() <= connection as usize {
            self.armed.resize(connection as usize + 1, NEVER);
        }
        let tick = tick.clamp(self.tick, self.tick + SLOTS as u64 - 1);
        self.armed[connection as usize] = tick;
        let slot = slot_of(tick);
        self.slots[slot].push(connection);
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    /// Moves the connections that come up by `now_ns` to `due`. Each must be armed again if it still has a deadline.
    pub(crate) fn expire(&mut self, now_ns: u64, due: &mut Vec<u32>) {
        let target = now_ns / TICK_NS;
        // After a pause longer than a turn every slot is looked at once.
        let start = self.tick.max(target.saturating_sub(SLOTS as u64 - 1));
        for tick in start..=target {
            let slot = slot_of(tick);
            if self.occupied[slot / 64] & 1 << (slot % 64) == 0 {
                continue;
            }
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            for connection in self.slots[slot].drain(..) {
                let armed = &mut self.armed[connection as usize];
                // An entry that an earlier one has replaced says nothing.
                if *armed <= target {
                    *armed = NEVER;
                    due.push(connection);
                }
            }
        }
        self.tick = target + 1;
    }

    /// When [`expire`](Self::expire) is to be called next, at `before_ns` at the latest.
    pub(crate) fn next_ns(&self, before_ns: u64) -> u64 {
        let last = (before_ns / TICK_NS).min(self.tick + SLOTS as u64 - 1);
        let mut tick = self.tick;
        while tick <= last {
            let slot = slot_of(tick);
            let word = self.occupied[slot / 64] >> (slot % 64);
            if word != 0 {
                return (tick + u64::from(word.trailing_zeros())).saturating_mul(TICK_NS).min(before_ns);
            }
            tick += 64 - slot as u64 % 64;
        }
        before_ns
    }
}

fn slot_of(tick: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
    let slot = (tick % SLOTS as u64) as usize;
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Expires until `until_ns`, sleeping as told; the connections that came up and when.
    fn run(wheel: &mut Wheel, until_ns: u64) -> Vec<(u32, u64)> {
        let mut seen = Vec::new();
        let mut due = Vec::new();
        let mut now = wheel.next_ns(until_ns);
        loop {
            wheel.expire(now, &mut due);
            seen.extend(due.drain(..).map(|connection| (connection, now)));
            if now >= until_ns {
                return seen;
            }
            now = wheel.next_ns(until_ns).max(now + 1);
        }
    }

    #[test]
    fn a_connection_comes_up_within_a_tick_of_its_deadline() {
        for deadline in [0, 1, TICK_NS - 1, TICK_NS, 5 * SECOND / 3, 16 * SECOND] {
            let mut wheel = Wheel::new();
            wheel.arm(3, deadline);
            let seen = run(&mut wheel, 17 * SECOND);
            assert_eq!(seen.len(), 1, "{deadline}");
            let (connection, at) = seen[0];
            assert_eq!(connection, 3);
            assert!(at >= deadline && at <= deadline + TICK_NS, "{deadline}: {at}");
        }
    }

    #[test]
    fn a_deadline_beyond_the_wheel_comes_up_early_and_is_armed_again() {
        let mut wheel = Wheel::new();
        wheel.arm(0, 60 * SECOND);
        let mut looks = 0;
        let mut now = 0;
        loop {
            let mut due = Vec::new();
            now = wheel.next_ns(now + SECOND).max(now + 1);
            wheel.expire(now, &mut due);
            if due.is_empty() {
                continue;
            }
            looks += 1;
            if now >= 60 * SECOND {
                break;
            }
            wheel.arm(0, 60 * SECOND);
        }
        assert!((4..=5).contains(&looks), "{looks}");
    }

    #[test]
    fn setting_a_later_deadline_adds_no_entry() {
        let mut wheel = Wheel::new();
        for i in 0..1000 {
            wheel.arm(0, SECOND + i);
        }
        assert_eq!(wheel.slots.iter().map(Vec::len).sum::<usize>(), 1);
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one() {
        let mut wheel = Wheel::new();
        wheel.arm(0, 10 * SECOND);
        wheel.arm(0, SECOND);
        let seen = run(&mut wheel, 12 * SECOND);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].1 <= SECOND + TICK_NS);
    }

    #[test]
    fn nothing_is_forgotten_over_a_long_pause() {
        let mut wheel = Wheel::new();
        for connection in 0..3 {
            wheel.arm(connection, SECOND * u64::from(connection + 1));
        }
        let mut due = Vec::new();
        wheel.expire(100 * SECOND, &mut due);
        due.sort_unstable();
        assert_eq!(due, [0, 1, 2]);
    }
}
