//! The threads of a run: they take turns with the main thread at every window, without a system call when busy.
//!
//! A window of a million nodes takes some fifty microseconds, about as long as it takes to wake a thread that sleeps.
//! So helpers wait for the next window spinning, and sleep only when none comes for a while.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

/// Looks at the epoch of the team before a helper sleeps, or the main thread yields: some tens of microseconds.
const SPINS_MAX: u32 = 4_000;

/// A piece of work that all members of a team do at the same time: member 0 is the main thread.
pub(super) struct Team<J> {
    /// Counts the jobs handed out.
    epoch: AtomicU64,
    /// Helpers that have done the current job.
    done: AtomicUsize,
    stop: AtomicBool,
    /// Whether a helper panicked.
    failed: AtomicBool,
    job: Mutex<Option<J>>,
    helpers: Vec<Helper>,
}

#[derive(Default)]
struct Helper {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Locks, also after another thread panicked: the panic itself ends the run.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J: Copy + Send> Team<J> {
    /// Runs `main` on this thread, with a team of `members` that do each job by calling `work` with their number.
    ///
    /// Must be called on a thread of a rayon pool with at least `members` threads, none of them busy.
    pub(super) fn gather<R: Send>(
        members: usize,
        work: impl Fn(usize, J) + Sync,
        main: impl FnOnce(&dyn Fn(J)) -> R + Send,
    ) -> R
    where
        J: Sync,
    {
        let team = Team {
            epoch: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            job: Mutex::new(None),
            helpers: (1..members).map(|_| Helper::default()).collect(),
        };
        rayon::scope(|scope| {
            for number in 1..members {
                let (team, work) = (&team, &work);
                scope.spawn(move |_| team.help(number, work));
            }
            // Also when `main` panics, or the scope would wait for ever.
            let _dismissal = Dismissal(&team);
            main(&|job| {
                team.hand_out(job);
                work(0, job);
                team.wait_until_done();
            })
        })
    }

    fn help(&self, number: usize, work: &impl Fn(usize, J)) {
        let helper = &self.helpers[number - 1];
        #[allow(clippy::disallowed_methods, reason = "the thread's handle wakes it, and is seen by nobody else")]
        let own = std::thread::current();
        let _ = helper.thread.set(own);
        let mut seen = 0;
        loop {
            seen = self.wait_for_job(helper, seen);
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let _done = Done(self);
            let job = *lock(&self.job);
            if let Some(job) = job {
                work(number, job);
            }
        }
    }

    /// Returns the epoch when it is another than `seen`.
    fn wait_for_job(&self, helper: &Helper, seen: u64) -> u64 {
        loop {
            for _ in 0..SPINS_MAX {
                let epoch = self.epoch.load(Ordering::Acquire);
                if epoch != seen {
                    return epoch;
                }
                std::hint::spin_loop();
            }
            // Announced before the last look, so that whoever changes the epoch after it sees the announcement.
            helper.asleep.store(true, Ordering::SeqCst);
            if self.epoch.load(Ordering::SeqCst) == seen {
                std::thread::park();
            }
            helper.asleep.store(false, Ordering::SeqCst);
        }
    }

    fn hand_out(&self, job: J) {
        *lock(&self.job) = Some(job);
        self.done.store(0, Ordering::Release);
        self.next_epoch();
    }

    fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        for helper in &self.helpers {
            if helper.asleep.load(Ordering::SeqCst)
                && let Some(thread) = helper.thread.get()
            {
                thread.unpark();
            }
        }
    }

    fn wait_until_done(&self) {
        let mut spins = 0;
        while self.done.load(Ordering::Acquire) < self.helpers.len() {
            spins += 1;
            if spins < SPINS_MAX {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        // The helper's own panic, which says more, goes up through the scope.
        assert!(!self.failed.load(Ordering::Acquire), "a helper panicked");
    }
}

/// Sends the helpers home when it is dropped.
struct Dismissal<'t, J: Copy + Send>(&'t Team<J>);

impl<J: Copy + Send> Drop for Dismissal<'_, J> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
        self.0.next_epoch();
    }
}

/// Counts its owner as done when it is dropped, also because it panics.
struct Done<'t, J: Copy + Send>(&'t Team<J>);

impl<J: Copy + Send> Drop for Done<'_, J> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Release);
        }
        self.0.done.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn in_pool<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
    }

    #[test]
    fn every_member_does_every_job_once_before_the_next() {
        for members in [1, 2, 3, 8] {
            let sums: Vec<Mutex<Vec<u32>>> = (0..members).map(|_| Mutex::default()).collect();
            in_pool(members, || {
                let work = |number: usize, job: u32| lock(&sums[number]).push(job);
                Team::gather(members, work, |hand_out| {
                    for job in 0..200 {
                        if job % 50 == 0 {
                            // Long enough for helpers to fall asleep.
                            std::thread::sleep(std::time::Duration::from_millis(2));
                        }
                        hand_out(job);
                        assert!(sums.iter().all(|done| lock(done).len() == job as usize + 1));
                    }
                });
            });
            assert!(sums.iter().all(|done| *lock(done) == (0..200).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn a_panic_of_any_member_ends_the_run() {
        for guilty in 0..3 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                in_pool(3, || {
                    let work = |number: usize, job: u32| assert!(number != guilty || job < 5, "member {number}");
                    Team::gather(3, work, |hand_out| (0..10).for_each(hand_out));
                });
            }));
            assert!(outcome.is_err());
        }
    }
}
