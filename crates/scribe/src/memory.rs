//! The memory that all connections share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes, for all connections together.
#[derive(Debug)]
pub struct Memory {
    free: AtomicUsize,
}

impl Memory {
    pub const fn new(bytes: usize) -> Self {
        Self { free: AtomicUsize::new(bytes) }
    }

    /// A part of it, of nothing yet.
    pub const fn share(&self) -> Share<'_> {
        Share { memory: self, held: 0 }
    }
}

/// What one connection holds of it. Given back when it is dropped.
#[derive(Debug)]
pub struct Share<'a> {
    memory: &'a Memory,
    held: usize,
}

impl Share<'_> {
    /// Whether the share may be of so many bytes. If not, it holds none.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.held);
        let taken = self
            .memory
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(more));
        match taken {
            Ok(_) => self.held += more,
            Err(_) => self.release(),
        }
        taken.is_ok()
    }

    /// Gives back all of it.
    pub fn release(&mut self) {
        self.memory.free.fetch_add(std::mem::take(&mut self.held), Ordering::Relaxed);
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_together_and_given_back() {
        let memory = Memory::new(100);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert!(one.grow_to(60) && one.grow_to(40), "a share does not shrink");
        assert!(other.grow_to(40));
        assert!(!other.grow_to(41), "and has given back what it had");
        assert!(one.grow_to(100));
        drop(one);
        assert!(other.grow_to(100));
    }
}
