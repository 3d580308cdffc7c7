//! One batch for all who write at the same time, and one wait for the disk for all who want to be sure.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::draft::Delta;
use super::meta::{self, Counters};
use super::store::{Batch, Store};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk: it survives whatever happens to the machine.
    #[default]
    Durable,
    /// When the system has it: it survives the end of the process.
    Buffered,
}

/// How long a batch that must reach the disk waits, at most, for writers of the batch before it to come back. It is less
/// than the disk takes: eight writers who wait for each other share one wait for the disk, where one of them and the other
/// seven took turns.
const PATIENCE: Duration = Duration::from_micros(100);

/// Where writers meet. Whoever comes while no batch is being written writes one with all that has been queued by then; the
/// others wait for it. Each writer has one change at a time in here, so the queue is as long as there are writers.
pub(super) struct Committer<E> {
    queue: Mutex<Queue<E>>,
    /// A batch is written.
    written: Condvar,
    /// As many wait as were expected.
    complete: Condvar,
}

struct Queue<E> {
    counters: Counters,
    batch: Batch,
    delta: Delta,
    durable: bool,
    /// The number of the batch that is being filled.
    filling: u64,
    /// All batches below this number are written, or have failed.
    done: u64,
    writing: bool,
    /// The batch that failed last, and why. Its writers have read it before the next one can fail after them.
    failed: Vec<(u64, usize, Arc<E>)>,
    waiting: usize,
    /// How many will wait when those of the batch before have come back.
    expected: usize,
}

impl<E> Committer<E> {
    pub(super) fn new(counters: Counters) -> Self {
        let queue = Queue {
            counters,
            batch: Batch::default(),
            delta: Delta::default(),
            durable: false,
            filling: 0,
            done: 0,
            writing: false,
            failed: Vec::new(),
            waiting: 0,
            expected: 0,
        };
        Committer { queue: Mutex::new(queue), written: Condvar::new(), complete: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<E>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the counters say of all that is written.
    pub(super) fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// Replaces the counters.
    pub(super) fn set_counters(&self, counters: Counters) {
        self.lock().counters = counters;
    }

    /// Makes `batch` and the change of the counters, together with whatever other writers bring. `next_id` tells the least
    /// number that no user has got.
    pub(super) fn commit<S: Store<Error = E>>(
        &self,
        store: &S,
        batch: Batch,
        delta: Delta,
        durability: Durability,
        next_id: impl Fn() -> u64,
    ) -> Result<(), Arc<E>> {
        let mut queue = self.lock();
        queue.batch.changes.extend(batch.changes);
        queue.delta.add(delta);
        queue.durable |= durability == Durability::Durable;
        queue.waiting += 1;
        let mine = queue.filling;
        if queue.waiting == queue.expected {
            self.complete.notify_one();
        }
        while queue.done <= mine && queue.writing {
            queue = self.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.done <= mine {
            queue.writing = true;
            queue = self.wait_for_others(queue);
            queue = self.write(store, queue, next_id());
        }
        let Some(place) = queue.failed.iter().position(|(batch, ..)| *batch == mine) else { return Ok(()) };
        let (_, readers, cause) = &mut queue.failed[place];
        let cause = Arc::clone(cause);
        *readers -= 1;
        if *readers == 0 {
            queue.failed.swap_remove(place);
        }
        Err(cause)
    }

    /// Waits for those who are expected, if there is a wait for the disk to share. Whoever was waited for in vain is not
    /// expected again.
    fn wait_for_others<'a>(&self, queue: MutexGuard<'a, Queue<E>>) -> MutexGuard<'a, Queue<E>> {
        if !queue.durable {
            return queue;
        }
        let too_few = |queue: &mut Queue<E>| queue.waiting < queue.expected;
        self.complete.wait_timeout_while(queue, PATIENCE, too_few).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Writes all that is queued.
    fn write<'a, S: Store<Error = E>>(
        &'a self,
        store: &S,
        mut queue: MutexGuard<'a, Queue<E>>,
        next_id: u64,
    ) -> MutexGuard<'a, Queue<E>> {
        let number = queue.filling;
        let writers = std::mem::take(&mut queue.waiting);
        let durable = std::mem::take(&mut queue.durable);
        let counters = queue.counters.after(std::mem::take(&mut queue.delta), next_id);
        let mut batch = std::mem::take(&mut queue.batch);
        queue.filling += 1;
        drop(queue);
        meta::put_counters(&counters, &mut batch);
        let written = store.commit(batch).and_then(|()| if durable { store.sync() } else { Ok(()) });
        let mut queue = self.lock();
        queue.writing = false;
        queue.done = number + 1;
        queue.expected = queue.waiting + writers;
        match written {
            Ok(()) => queue.counters = counters,
            Err(cause) => queue.failed.push((number, writers, Arc::new(cause))),
        }
        self.written.notify_all();
        queue
    }
}
