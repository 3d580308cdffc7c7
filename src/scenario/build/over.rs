//! Points that several processes run together.

use super::{Job, Keeping, Ran, RunError, Sink, Watch, run_into};
use crate::contract::Protocol;
use crate::engine::Ranks;
use crate::metrics::{PointResult, RankFigures, peak_memory};
use crate::scenario::{Point, Scenario};

/// What there is beside a run.
#[derive(Default)]
pub(super) struct Aside<'a> {
    /// Where the trace goes, if there is to be one.
    pub(super) sink: Option<&'a Sink>,
    /// Who keeps checkpoints.
    pub(super) keeping: Option<Keeping<'a>>,
    /// The other processes that run parts of it, if there are any.
    pub(super) ranks: Option<&'a dyn Ranks>,
}

/// As [`run_point`](super::run_point), together with other `ranks`, all of which call this with the same scenario, point and
/// number of threads. Rank 0 gets the result, which is that of one process; the others get `None`.
///
/// # Errors
/// As [`run_point`](super::run_point).
pub fn run_over(
    scenario: &Scenario,
    point: &Point,
    threads: usize,
    watch: &Watch<'_>,
    ranks: &dyn Ranks,
) -> Result<Option<PointResult>, RunError> {
    let aside = Aside { ranks: Some(ranks), ..Aside::default() };
    match run_into(scenario, point, threads.into(), watch, aside) {
        Ok(result) => Ok(Some(result)),
        Err(RunError::Elsewhere(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Job<'_> {
    /// How the ranks fared, if there are several; all of them must ask.
    pub(super) fn over_ranks<P: Protocol>(&self, outcome: &Ran<P>, shared_bytes: usize) -> Option<RankFigures> {
        let ranks = self.ranks.filter(|ranks| !ranks.share().is_whole())?;
        let peak = peak_memory();
        // The smallest as well, as the largest of what is left to the largest number.
        let mut ends = [peak, !peak];
        ranks.max(&mut ends);
        let mut shared = [shared_bytes as u64];
        ranks.sum(&mut shared);
        Some(RankFigures {
            ranks: ranks.share().ranks(),
            peak_memory_most: ends[0],
            peak_memory_least: !ends[1],
            shared_bytes: shared[0],
            windows: outcome.windows,
            meetings: outcome.remote.meetings,
            exchanges: outcome.remote.exchanges,
            lookahead: outcome.remote.lookahead,
            remote_messages: outcome.remote.messages,
            remote_bytes: outcome.remote.bytes,
        })
    }
}
