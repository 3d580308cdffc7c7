//! From which size on a node's load exceeds its budget: a search over sizes, each of which is run.

use crate::contract::NodeType;
use crate::metrics::PointResult;

use super::bandwidth_budget;

/// How near the search comes: the size that is given is at most so much above the largest size that did not exceed.
pub const PRECISION: f64 = 1.02;

/// Where a budget is exceeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// The approach.
    pub approach: &'static str,
    /// Whose budget it is.
    pub node_type: NodeType,
    /// The least size that exceeds it, once for each seed; or the largest that was run.
    pub sizes: Vec<f64>,
    /// Whether no size exceeded it.
    pub is_open: bool,
    /// Whether broadcasts were counted.
    pub is_counted: bool,
}

/// What an approach is searched between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least size that is run.
    pub low: u32,
    /// The largest.
    pub high: u32,
}

/// The busiest node's upload or download by the budget of `node_type`, whichever is more. In an approach without types,
/// every node is held against that budget.
pub fn share_of_budget(point: &PointResult, node_type: NodeType) -> Option<f64> {
    let budget = bandwidth_budget(node_type);
    let is_flat = point.bandwidth_by_type().all(|(of, _)| of == NodeType::FullNode);
    let own = if is_flat { NodeType::FullNode } else { node_type };
    let band = point.bandwidth[own as usize]?;
    let mbps = |bytes: u64| bytes as f64 * 8.0 / 1e6 / point.measure.as_secs_f64();
    Some((mbps(band.upload.max) / budget.upload_mbps).max(mbps(band.download.max) / budget.download_mbps))
}

/// The least size within `bounds` that `exceeds`, to within [`PRECISION`]; `Ok(None)` if the largest does not.
///
/// The largest size is run first, then the least; then sizes in between, by halving the ratio of what is left. So a load
/// that grows with the size is assumed, and at most some twenty sizes are run.
///
/// # Errors
/// Those of `exceeds`.
pub fn least_size<E>(bounds: Bounds, mut exceeds: impl FnMut(u32) -> Result<bool, E>) -> Result<Option<u32>, E> {
    let Bounds { mut low, mut high } = bounds;
    if !exceeds(high)? {
        return Ok(None);
    }
    if low >= high || exceeds(low)? {
        return Ok(Some(low.min(high)));
    }
    while f64::from(high) > f64::from(low) * PRECISION && low + 1 < high {
        let middle = libm::round(libm::sqrt(f64::from(low) * f64::from(high))) as u32;
        let middle = middle.clamp(low + 1, high - 1);
        *(if exceeds(middle)? { &mut high } else { &mut low }) = middle;
    }
    Ok(Some(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(low: u32, high: u32, least: u32) -> (Option<u32>, usize) {
        let mut runs = 0;
        let found = least_size(Bounds { low, high }, |size| {
            runs += 1;
            Ok::<_, ()>(size >= least)
        });
        (found.unwrap(), runs)
    }

    #[test]
    fn the_least_size_is_found_to_within_the_precision_by_few_runs() {
        for least in [101, 130, 2_900, 29_000, 293_000, 999_999] {
            let (found, runs) = search(100, 1_000_000, least);
            let found = found.unwrap();
            let most = (f64::from(least) * PRECISION).max(f64::from(least + 1));
            assert!(found >= least && f64::from(found) <= most, "{found} for {least}");
            assert!(runs <= 16, "{runs} runs for {least}");
        }
    }

    #[test]
    fn what_is_never_exceeded_takes_one_run_and_what_always_is_takes_two() {
        assert_eq!(search(100, 100_000, 100_001), (None, 1));
        assert_eq!(search(100, 100_000, 7), (Some(100), 2));
        assert_eq!(search(100, 100, 7), (Some(100), 1));
    }

    #[test]
    fn a_run_that_fails_ends_the_search() {
        assert_eq!(least_size(Bounds { low: 1, high: 9 }, |_| Err("no")), Err("no"));
    }
}
