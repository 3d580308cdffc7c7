//! Interrupts: the first asks a run to break off in good order, where it can; the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Failure;

/// What interrupts change.
#[derive(Default)]
struct Flags {
    /// Whether the next interrupt ends the process.
    is_last: Arc<AtomicBool>,
    /// Whether there was one.
    is_asked: Arc<AtomicBool>,
}

static FLAGS: OnceLock<Flags> = OnceLock::new();

fn flags() -> &'static Flags {
    FLAGS.get_or_init(Flags::default)
}

/// Makes an interrupt end the process with the documented exit code. Files are whole or absent at any moment. Of several
/// processes that run together (`is_launched`), whoever launched them passes an interrupt on as a termination, soon followed by
/// a kill; so that asks as well.
pub(super) fn install(is_launched: bool) {
    let Flags { is_last, is_asked } = flags();
    is_last.store(true, Ordering::SeqCst);
    // In this order, so that an interrupt that is not the last makes the next one the last. Without the handlers an
    // interrupt still ends the process, and the shell says 130 as well.
    let _ = flag::register_conditional_shutdown(SIGINT, i32::from(Failure::INTERRUPTED), Arc::clone(is_last));
    let _ = flag::register(SIGINT, Arc::clone(is_asked));
    let _ = flag::register(SIGINT, Arc::clone(is_last));
    if is_launched {
        let _ = flag::register_conditional_shutdown(SIGTERM, i32::from(Failure::INTERRUPTED), Arc::clone(is_last));
        let _ = flag::register(SIGTERM, Arc::clone(is_asked));
    }
}

/// As long as it lives, the first interrupt only asks.
pub(super) struct Deferred(());

impl Deferred {
    pub(super) fn begin() -> Self {
        flags().is_last.store(false, Ordering::SeqCst);
        Deferred(())
    }

    /// Whether there was an interrupt.
    pub(super) fn is_asked() -> bool {
        flags().is_asked.load(Ordering::Relaxed)
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        flags().is_last.store(true, Ordering::SeqCst);
    }
}
