//! Locks by what is written about: two writers wait for each other only where they might meet.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A fixed number of locks that all keys share.
pub(super) struct Stripes(Vec<Mutex<()>>);

/// What a writer holds. It is free again when this is dropped.
pub(super) struct Held<'a> {
    _guards: Vec<MutexGuard<'a, ()>>,
}

impl Stripes {
    /// Locks: of eight writers that hold three each, one in fifty meets another by accident.
    pub(super) const COUNT: usize = 1024;

    pub(super) fn new() -> Self {
        Stripes((0..Self::COUNT).map(|_| Mutex::new(())).collect())
    }

    /// Waits for the locks of all `hashes` together, in one order, so that no two writers wait for each other in a circle.
    pub(super) fn hold(&self, hashes: impl IntoIterator<Item = u64>) -> Held<'_> {
        let mut stripes: Vec<usize> = hashes.into_iter().map(|hash| (hash % Self::COUNT as u64) as usize).collect();
        stripes.sort_unstable();
        stripes.dedup();
        let lock = |stripe: usize| self.0[stripe].lock().unwrap_or_else(PoisonError::into_inner);
        Held { _guards: stripes.into_iter().map(lock).collect() }
    }
}
