//! Points that are kept by checkpoints: they can be broken off, and gone on with.

use super::{Aside, Layout, Watch, run_into};
use crate::contract::SimTime;
use crate::engine::{Checkpoint, CheckpointError, Keeper, Ranks, Violation};
use crate::metrics::PointResult;
use crate::scenario::{Point, Scenario};

/// Who keeps a point, and where it goes on.
pub struct Keeping<'a> {
    /// Takes checkpoints.
    pub keeper: &'a mut dyn Keeper,
    /// Where the point goes on, if not at its start.
    pub from: Option<Checkpoint<'a>>,
    /// Whether more ranks may go on with what is kept, so that there should be partitions for them.
    pub has_spare: bool,
}

/// How many partitions a thread has where more ranks may go on: each costs some microseconds a window.
const SPARE: usize = 4;

impl Keeping<'_> {
    /// Base-2 logarithm of the number of partitions that the run must have, where `layout` is that of each of so many `ranks`;
    /// `None` if any will do.
    pub(super) fn partitions_log2(&self, layout: Layout, ranks: usize) -> Option<u32> {
        let threads = layout.threads * ranks;
        let spare = || self.has_spare.then(|| (SPARE * threads).next_power_of_two().ilog2().min(16));
        // What goes on from a checkpoint has its partitions.
        self.from.as_ref().map(Checkpoint::partitions_log2).or(layout.partitions_log2).or_else(spare)
    }

    /// For how many ranks the places of nodes must be; `None` if for those that there are.
    pub(super) fn dealt_to(&self) -> Option<usize> {
        self.from.as_ref().map(Checkpoint::dealt_to)
    }
}

/// What became of a point that is kept.
#[derive(Debug)]
pub enum Ending {
    /// It went to its end.
    Whole(Box<PointResult>),
    /// Its keeper broke it off.
    Broken {
        /// The end of what was simulated.
        at: SimTime,
        /// What was measured until then, without figures of mechanisms; `None` if measuring had not begun, and on all ranks
        /// but the first.
        result: Option<Box<PointResult>>,
    },
    /// It went to its end, and rank 0 has the result.
    Elsewhere,
}

/// Why a point has no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine lost messages or made some up.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It cannot go on from its checkpoint.
    #[error("the checkpoint cannot be used")]
    Checkpoint(#[from] CheckpointError),
    /// It was broken off before measuring began.
    #[error("it was broken off at {0}, before measuring began")]
    Unmeasured(SimTime),
    /// It ran to its end, or was broken off where this says, and rank 0 has the result.
    #[error("rank 0 has the result")]
    Elsewhere(Option<SimTime>),
    /// Another rank cannot go on from the checkpoint.
    #[error("another rank cannot go on")]
    OtherRank,
}

/// As [`run_point`](super::run_point), kept by `keeping`; together with other `ranks`, if there are any, all of which call
/// this with the same scenario, point, layout and checkpoint.
///
/// # Errors
/// As [`run_point`](super::run_point), and if the run cannot go on from the checkpoint: then it does on no rank.
pub fn run_kept<'a>(
    scenario: &'a Scenario,
    point: &'a Point,
    layout: impl Into<Layout>,
    watch: &'a Watch<'a>,
    keeping: Keeping<'a>,
    ranks: Option<&'a dyn Ranks>,
) -> Result<Ending, RunError> {
    let aside = Aside { keeping: Some(keeping), ranks, ..Aside::default() };
    match run_into(scenario, point, layout.into(), watch, aside) {
        Ok(result) if result.measure == point.measure => Ok(Ending::Whole(Box::new(result))),
        Ok(result) => {
            let at = SimTime::ZERO + result.warmup + result.measure;
            Ok(Ending::Broken { at, result: Some(Box::new(result)) })
        }
        Err(RunError::Unmeasured(at) | RunError::Elsewhere(Some(at))) => Ok(Ending::Broken { at, result: None }),
        Err(RunError::Elsewhere(None)) => Ok(Ending::Elsewhere),
        Err(error) => Err(error),
    }
}

/// What one rank made of a checkpoint, if all ranks could.
///
/// # Errors
/// If this rank or another one cannot go on from it.
pub(super) fn all_restored<T>(restored: Result<T, CheckpointError>, ranks: Option<&dyn Ranks>) -> Result<T, RunError> {
    let mut failed = [u64::from(restored.is_err())];
    if let Some(ranks) = ranks {
        ranks.max(&mut failed);
    }
    match restored {
        Ok(_) if failed[0] > 0 => Err(RunError::OtherRank),
        restored => Ok(restored?),
    }
}
