//! How a quantity is spread over nodes: mean, 99th percentile and maximum.

use std::collections::BTreeMap;

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

/// How often each value of a quantity came: as much memory as there are different values, so that nobody needs those of all
/// nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values(BTreeMap<u64, u64>);

impl FromIterator<u64> for Values {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut counts = BTreeMap::new();
        values.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
        Values(counts)
    }
}

impl Values {
    /// Adds those of other nodes.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(&value, &count)| *self.0.entry(value).or_default() += count);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many of them are `value`.
    pub fn count_of(&self, value: u64) -> u64 {
        self.0.get(&value).copied().unwrap_or(0)
    }

    /// The smallest; `None` if there are none.
    pub fn min(&self) -> Option<u64> {
        self.0.keys().next().copied()
    }

    /// Their spread, as [`Spread::of`] tells it; `None` if there are none.
    pub fn spread(&self) -> Option<Spread> {
        let (&max, _) = self.0.last_key_value()?;
        let (count, mut before) = (self.count(), 0);
        let sum: u128 = self.0.iter().map(|(&value, &count)| u128::from(value) * u128::from(count)).sum();
        let rank = (u128::from(count) * 99).div_ceil(100) as u64;
        let reached = |&(_, &count): &(&u64, &u64)| {
            before += count;
            before >= rank
        };
        let p99 = self.0.iter().find(reached).map_or(max, |(&value, _)| value);
        Some(Spread { mean: sum as f64 / count as f64, p99, max })
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

    #[test]
    fn counts_of_values_tell_what_the_values_tell() {
        for numbers in [&[][..], &[7], &[1, 9], &[0, 0, 0], &[u64::MAX, u64::MAX, 3]] {
            check_values(numbers.to_vec());
        }
        check_values((1..=200).rev().map(|number| number % 70).collect());
    }

    fn check_values(mut numbers: Vec<u64>) {
        let (first, second) = numbers.split_at(numbers.len() / 2);
        let [mut values, more]: [Values; 2] = [first, second].map(|part| part.iter().copied().collect());
        values.merge(&more);
        assert_eq!((values.count(), values.min()), (numbers.len() as u64, numbers.iter().min().copied()));
        assert_eq!(values.count_of(3), numbers.iter().filter(|&&number| number == 3).count() as u64);
        assert_eq!(values.spread(), Spread::of(&mut numbers));
    }
}
