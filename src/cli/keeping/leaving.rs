//! Interrupts while a point is built, which nothing breaks off: the process leaves from another thread.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::super::interrupts::Deferred;

/// How soon an interrupt is noticed.
const LOOK: Duration = Duration::from_millis(50);

const BUILT: u8 = 0;
const RUNS: u8 = 1;
const LEFT: u8 = 2;

/// What becomes of a point: it is being built, and then it either runs or is left.
#[derive(Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    /// The point runs, so it can be broken off and kept. Does not return if it is left, as the process is about to end.
    #[inline]
    pub(super) fn run(&self) {
        if self.0.load(Ordering::Relaxed) == RUNS || self.go_on_to(RUNS) {
            return;
        }
        loop {
            std::thread::park();
        }
    }

    /// Whether the point was being built, and no longer is.
    fn go_on_to(&self, next: u8) -> bool {
        self.0.compare_exchange(BUILT, next, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn is_built(&self) -> bool {
        self.0.load(Ordering::Relaxed) == BUILT
    }
}

/// Does `work`, which builds a point and says when it runs. At an interrupt before that, `leave` ends the process.
pub(super) fn or_leave<R>(stage: &Stage, leave: &(dyn Fn() + Sync), work: impl FnOnce() -> R) -> R {
    std::thread::scope(|scope| {
        let (working, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            while stage.is_built() && is_done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if Deferred::is_asked() && stage.go_on_to(LEFT) {
                    leave();
                }
            }
        });
        let result = work();
        drop(working);
        result
    })
}
