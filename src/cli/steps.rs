//! The steps of keeping a run by name, at which a test can have the process killed.

/// Every step, in the order in which a run first takes them.
#[cfg(test)]
pub(super) const STEPS: [&str; 11] = [
    "run-noted",
    "state-begun",
    "state-half-written",
    "state-written",
    "share-kept",
    "state-kept",
    "shares-removed",
    "result-kept",
    "results-written",
    "run-forgotten",
    "checkpoint-removed",
];

/// Takes the step `name`. In a build with debug assertions the process is killed here if the variable `QNETSIM_KILL_AT`
/// says `name:N` and this is the N-th time; in others nothing happens.
pub(super) fn step(name: &str) {
    if cfg!(debug_assertions) {
        kill_if_wanted(name);
    }
}

fn kill_if_wanted(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};

    static TIMES: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var("QNETSIM_KILL_AT") else { return };
    let Some((wanted, time)) = wanted.split_once(':') else { return };
    if wanted == name && time.parse() == Ok(TIMES.fetch_add(1, Ordering::Relaxed) + 1) {
        #[cfg(unix)]
        let _ = signal_hook::low_level::raise(signal_hook::consts::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_those_that_are_taken() {
        let taken = concat!(include_str!("keeping/folder.rs"), include_str!("run.rs"));
        assert!(STEPS.iter().all(|step| taken.contains(&format!("step(\"{step}\")"))));
        assert_eq!(taken.matches("step(\"").count(), STEPS.len());
    }
}
