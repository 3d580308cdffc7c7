//! Runs that are kept: checkpoints by the clock and at an interrupt, and what is left when one is broken off.

mod folder;
mod leaving;

use std::io::Write;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Failure;
use super::interrupts::Deferred;
use super::progress::ProgressLine;
use super::ranks::{Company, told_elsewhere};
use super::watch::metrics;
use crate::contract::{SimSpan, SimTime};
use crate::engine::{Checkpoint, Keeper, Progress, Snapshot};
use crate::metrics::PointResult;
use crate::scenario::build::{Ending, Keeping, Layout, RunError, Watch, run_kept};
use crate::scenario::{Point, Scenario};

use leaving::{Stage, or_leave};

pub(super) use folder::{Folder, RunNote, is_kept};

/// A checkpoint that took a second is followed by the next after so many seconds at least: 3 % of the time.
const REST: u32 = 33;

/// Least time between checkpoints, and most.
const EVERY_MIN: SimSpan = SimSpan::from_millis(10);
const EVERY_MAX: SimSpan = SimSpan::from_secs(366 * 24 * 3600);

/// Time between checkpoints, on the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Every(pub(super) Duration);

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = crate::scenario::span(text)?;
        match (EVERY_MIN..=EVERY_MAX).contains(&span) {
            true => Ok(Every(Duration::from_nanos(span.as_nanos()))),
            false => Err("write a time from 10ms to 366d, such as 60s".to_owned()),
        }
    }
}

/// What became of a run.
pub(super) enum Simulated {
    /// All of its points are done.
    Whole(Vec<PointResult>),
    /// It was interrupted.
    Broken {
        /// The points that are done, and what was measured of the one that was under way.
        results: Vec<PointResult>,
        /// What it is short of, in a sentence.
        short_of: String,
    },
}

/// How a scenario is run.
pub(super) struct Manner<'a> {
    /// Threads and partitions of this process.
    pub(super) layout: Layout,
    /// Whether progress is not shown.
    pub(super) quiet: bool,
    /// Time between checkpoints, if they are asked for.
    pub(super) every: Option<Duration>,
    /// The processes that run it together.
    pub(super) company: &'a Company<'a>,
}

/// Runs every point of `scenario` that is not done, and has checkpoints taken into `folder`: after every span of `every`,
/// or not so often where they take more than 3 % of the time; and at an interrupt. One that comes while a point is being
/// built cannot wait for that: `leave` ends the process with what there is. Processes that run together do wait, as none of
/// them knows what the others are at. The first of them gets the results.
pub(super) fn simulate(
    scenario: &Scenario,
    manner: &Manner<'_>,
    folder: &mut Folder,
    leave: &(dyn Fn(Result<Simulated, Failure>) + Sync),
) -> Result<Simulated, Failure> {
    let _deferred = Deferred::begin();
    #[allow(clippy::disallowed_methods, reason = "how long a run takes is told beside its results, never in them")]
    let start = Instant::now();
    let clock = move || start.elapsed().as_secs_f64();
    let &Manner { quiet, every, company, .. } = manner;
    let alarm = every.filter(|_| company.is_first()).map(Alarm::set);
    let folder = Mutex::new(folder);
    let mut results = Vec::with_capacity(scenario.points.len());
    for (number, point) in scenario.points.iter().enumerate() {
        let done = company.first(|| lock(&folder).result(number))?.flatten();
        if company.any(done.is_some()) {
            results.extend(done);
            continue;
        }
        if company.any(Deferred::is_asked()) {
            return broken(scenario, &mut lock(&folder), company, results, None);
        }
        let progress = Arc::new(Progress::default());
        let line = ProgressLine::start(scenario, number, &progress, quiet || !company.is_first());
        let watched = metrics::begin(scenario, point, &progress);
        let watch = Watch { progress: &progress, clock: &clock };
        let stage = Stage::default();
        let leave = || leave(broken(scenario, &mut lock(&folder), company, results.clone(), Some((point, None))));
        let run = || run_on(scenario, number, manner, &watch, &folder, alarm.as_ref(), &stage);
        let ran = match company.ranks() {
            None => or_leave(&stage, &leave, run),
            Some(_) => run(),
        };
        drop(line);
        match ran? {
            Ending::Whole(result) => {
                watched.done(&result);
                if every.is_some() {
                    company.first(|| lock(&folder).keep_result(number, &result))?;
                }
                results.push(*result);
            }
            Ending::Elsewhere => {
                // Whether the first could keep the result.
                if every.is_some() {
                    company.agree(Ok(()))?;
                }
            }
            Ending::Broken { at, result } => {
                return broken(scenario, &mut lock(&folder), company, results, Some((point, Some((at, result)))));
            }
        }
    }
    Ok(Simulated::Whole(results))
}

fn lock<'m, 'f>(folder: &'m Mutex<&'f mut Folder>) -> MutexGuard<'m, &'f mut Folder> {
    folder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs point number `number` from where it stands.
fn run_on(
    scenario: &Scenario,
    number: usize,
    manner: &Manner<'_>,
    watch: &Watch<'_>,
    folder: &Mutex<&mut Folder>,
    alarm: Option<&Alarm>,
    stage: &Stage,
) -> Result<Ending, Failure> {
    let company = manner.company;
    let path = lock(folder).state_path(number);
    let refused = |error: &dyn std::error::Error| Failure {
        message: format!("error: cannot go on from {}: {error}", path.display()),
        ..Failure::of(Failure::INPUT_OUTPUT, error)
    };
    let state = lock(folder).state(number, company)?;
    let open = |piece: usize| match &state {
        Some(state) => state.piece(piece),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    let from = state.as_ref().map(|state| Checkpoint::open(state.len(), &open)).transpose();
    let from = company.agree(from.map_err(|error| refused(&error)))?;
    let mut keeper = PointKeeper { folder, number, company, alarm, stage, failure: None };
    let has_spare = company.ranks().is_some() && manner.every.is_some();
    let keeping = Keeping { keeper: &mut keeper, from, has_spare };
    let ran = run_kept(scenario, &scenario.points[number], manner.layout, watch, keeping, company.ranks());
    match (keeper.failure, ran) {
        (Some(failure), _) => Err(failure),
        (None, Ok(ending)) => Ok(ending),
        // All ranks know of these.
        (None, Err(RunError::Checkpoint(error))) => company.agree(Err(refused(&error))),
        (None, Err(RunError::OtherRank)) => company.agree(Err(told_elsewhere())),
        (None, Err(error)) => Err(company.abandon(Failure::of(Failure::INTERNAL, &error))),
    }
}

/// When a point was broken off, and what was measured of it.
type Measured = (SimTime, Option<Box<PointResult>>);

/// Keeps the points that are done of a run that was interrupted, and says what it is short of. The state of the point
/// under way is kept already.
fn broken(
    scenario: &Scenario,
    folder: &mut Folder,
    company: &Company<'_>,
    mut results: Vec<PointResult>,
    under_way: Option<(&Point, Option<Measured>)>,
) -> Result<Simulated, Failure> {
    company.first(|| {
        folder.begin()?;
        let lacking = results.iter().enumerate().filter(|(number, _)| !folder.has_result(*number));
        let lacking: Vec<(usize, &PointResult)> = lacking.collect();
        lacking.into_iter().try_for_each(|(number, result)| folder.keep_result(number, result))
    })?;
    let (done, all) = (results.len(), scenario.points.len());
    let mut short_of = format!("interrupted: {done} of {all} points are whole");
    let of = |point: &Point| format!("; {} at {} nodes", point.label, point.population.total());
    if let Some((point, None)) = under_way {
        short_of += &format!("{} is left out, as it was still being built", of(point));
    }
    if let Some((point, Some((at, result)))) = under_way {
        let span = point.warmup + point.measure;
        // Windows end at odd nanoseconds, which nobody wants to read.
        let end = SimSpan::from_millis(at.as_nanos() / 1_000_000);
        let what = if result.is_some() { "is measured up to" } else { "is left out, as measuring had not begun at" };
        short_of += &format!("{} {what} {end} of {span}, without figures of mechanisms", of(point));
        results.extend(result.map(|result| *result));
    }
    Ok(Simulated::Broken { results, short_of })
}

/// Says when the next checkpoint is due.
struct Alarm {
    every: Duration,
    is_due: Arc<AtomicBool>,
    next: Sender<Duration>,
}

impl Alarm {
    /// An alarm that goes off after `every`, and then only when it is set again.
    fn set(every: Duration) -> Self {
        let is_due = Arc::new(AtomicBool::new(false));
        let (next, set) = mpsc::channel();
        let rings = Arc::clone(&is_due);
        // Ends when the alarm is dropped.
        std::thread::spawn(move || {
            let mut wait = every;
            loop {
                match set.recv_timeout(wait) {
                    Ok(next) => wait = next,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        rings.store(true, Ordering::Relaxed);
                        let Ok(next) = set.recv() else { return };
                        wait = next;
                    }
                }
            }
        });
        Alarm { every, is_due, next }
    }

    /// Sets it again, after a checkpoint that took so long.
    fn reset(&self, took: Duration) {
        self.is_due.store(false, Ordering::Relaxed);
        // Without the thread there is no alarm; the run does not suffer.
        let _ = self.next.send(self.every.max(took.saturating_mul(REST)));
    }
}

/// Keeps the point under way.
struct PointKeeper<'a, 'f> {
    folder: &'a Mutex<&'f mut Folder>,
    number: usize,
    company: &'a Company<'a>,
    alarm: Option<&'a Alarm>,
    stage: &'a Stage,
    failure: Option<Failure>,
}

impl Keeper for PointKeeper<'_, '_> {
    fn is_wanted(&self) -> bool {
        self.stage.run();
        Deferred::is_asked() || self.alarm.is_some_and(|alarm| alarm.is_due.load(Ordering::Relaxed))
    }

    fn keep(&mut self, snapshot: &Snapshot<'_>) -> ControlFlow<()> {
        let is_asked = self.company.any(Deferred::is_asked());
        if is_asked && self.company.is_first() {
            // Nothing is left to be done if standard error is gone.
            let _ = writeln!(std::io::stderr(), "interrupted: writing a checkpoint; interrupt again to stop at once");
        }
        #[allow(clippy::disallowed_methods, reason = "how long a checkpoint takes decides when the next is due")]
        let start = Instant::now();
        let kept = lock(self.folder).keep_state(self.number, snapshot, self.company);
        if let Some(alarm) = self.alarm {
            alarm.reset(start.elapsed());
        }
        match kept {
            Ok(()) if !is_asked => ControlFlow::Continue(()),
            Ok(()) => ControlFlow::Break(()),
            Err(failure) => {
                self.failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }
}
