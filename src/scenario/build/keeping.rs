//! Points that are kept by checkpoints: they can be broken off, and gone on with.

use super::{Aside, Watch, run_into};
use crate::contract::SimTime;
use crate::engine::{Checkpoint, CheckpointError, Keeper, Violation};
use crate::metrics::PointResult;
use crate::scenario::{Point, Scenario};

/// Who keeps a point, and where it goes on.
pub struct Keeping<'a> {
    /// Takes checkpoints.
    pub keeper: &'a mut dyn Keeper,
    /// Where the point goes on, if not at its start.
    pub from: Option<Checkpoint<'a>>,
}

impl Keeping<'_> {
    pub(super) fn partitions_log2(&self) -> Option<u32> {
        self.from.as_ref().map(Checkpoint::partitions_log2)
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
        /// What was measured until then, without figures of mechanisms; `None` if measuring had not begun.
        result: Option<Box<PointResult>>,
    },
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
    /// It ran to its end, and rank 0 has the result.
    #[error("rank 0 has the result")]
    Elsewhere,
}

/// As [`run_point`](super::run_point), kept by `keeping`.
///
/// # Errors
/// As [`run_point`](super::run_point), and if the run cannot go on from the checkpoint.
pub fn run_kept<'a>(
    scenario: &'a Scenario,
    point: &'a Point,
    threads: usize,
    watch: &'a Watch<'a>,
    keeping: Keeping<'a>,
) -> Result<Ending, RunError> {
    let aside = Aside { keeping: Some(keeping), ..Aside::default() };
    match run_into(scenario, point, threads.into(), watch, aside) {
        Ok(result) if result.measure == point.measure => Ok(Ending::Whole(Box::new(result))),
        Ok(result) => {
            let at = SimTime::ZERO + result.warmup + result.measure;
            Ok(Ending::Broken { at, result: Some(Box::new(result)) })
        }
        Err(RunError::Unmeasured(at)) => Ok(Ending::Broken { at, result: None }),
        Err(error) => Err(error),
    }
}
