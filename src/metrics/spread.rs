//! How a quantity is spread over nodes: mean, 99th percentile and maximum.

use serde::{Deserialize, Serialize};

/// Mean, 99th percentile and maximum of a quantity over nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// The smallest value that at least 99 % of the nodes do not exceed (nearest rank).
    pub p99: u64,
    /// The largest value.
    pub max: u64,
}

impl Spread {
    /// The spread of `values`, which are reordered; `None` if there are none.
    pub fn of(values: &mut [u64]) -> Option<Spread> {
        let last = values.len().checked_sub(1)?;
        let sum: u128 = values.iter().map(|&value| u128::from(value)).sum();
        let rank = (values.len() * 99).div_ceil(100) - 1;
        let (_, &mut p99, above) = values.select_nth_unstable(rank);
        let max = above.iter().copied().max().unwrap_or(p99);
        Some(Spread { mean: sum as f64 / (last + 1) as f64, p99, max })
    }
}

/// Wire bytes per node of one type over the measured span, headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Bytes sent.
    pub upload: Spread,
    /// Bytes received.
    pub download: Spread,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(Spread::of(&mut values), Some(Spread { mean: 100.5, p99: 198, max: 200 }));
        assert_eq!(Spread::of(&mut [7]), Some(Spread { mean: 7.0, p99: 7, max: 7 }));
        assert_eq!(Spread::of(&mut [1, 9]), Some(Spread { mean: 5.0, p99: 9, max: 9 }));
        assert_eq!(Spread::of(&mut []), None);
    }
}
