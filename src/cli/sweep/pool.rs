//! The runs of a sweep: small ones side by side, each on a thread; large ones one after the other, on all threads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::super::Failure;
use super::super::progress::RunsLine;
use super::super::text::shown;
use super::super::watch::metrics;
use super::{Prepared, store};
use crate::engine::Progress;
use crate::results::{Manifest, Record, RunId};
use crate::scenario::build::{Watch, run_point};

/// What runs are made of, and where they are stored.
pub(super) struct Work<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) manifest: &'a Manifest,
    pub(super) folder: &'a Path,
}

/// Makes and stores the runs `small` and `large`. What is finished before the first failure is stored; which thread makes
/// which run decides nothing of what is stored.
pub(super) fn run(work: &Work<'_>, small: &[RunId], large: &[RunId], quiet: bool) -> Result<(), Failure> {
    let threads = work.prepared.threads;
    let line = RunsLine::start(&work.manifest.sweep, small.len() + large.len(), quiet);
    let next = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(small.len()) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let Some(&run) = small.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    match make(work, run, 1) {
                        Ok(()) => line.done(),
                        Err(error) => {
                            is_over.store(true, Ordering::Relaxed);
                            // Of several failures one is told.
                            failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(failure) = failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        return Err(failure);
    }
    for &run in large {
        make(work, run, threads)?;
        line.done();
    }
    Ok(())
}

/// Makes `run` on `threads` threads and stores what it found.
fn make(work: &Work<'_>, run: RunId, threads: usize) -> Result<(), Failure> {
    let sweep = &work.prepared.sweep;
    let scenario = sweep
        .scenario(run.combination, run.seed)
        .map_err(|error| Failure { code: Failure::INPUT_OUTPUT, message: shown(&error) })?;
    #[allow(clippy::disallowed_methods, reason = "how long a run takes is never among what is stored of it")]
    let start = Instant::now();
    let clock = move || start.elapsed().as_secs_f64();
    let progress = Arc::new(Progress::default());
    let point = &scenario.points[run.point];
    let watched = metrics::begin(&scenario, point, &progress);
    let watch = Watch { progress: &progress, clock: &clock };
    let result =
        run_point(&scenario, point, threads, &watch).map_err(|violation| Failure::of(Failure::INTERNAL, &violation))?;
    store(work.folder, work.manifest, run, &Record::of(&scenario.hash, &result))?;
    watched.done(&result);
    Ok(())
}
