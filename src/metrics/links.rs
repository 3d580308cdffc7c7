//! How long messages take from one region to another.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::stored;
use crate::contract::SimSpan;

/// Nanoseconds that percentiles do not tell apart, beside one in a hundred of the delay.
const RESOLUTION: u64 = 1_000;

/// Delays of messages from one region to another, in nanoseconds. Minimum, maximum and mean are exact; percentiles are
/// to one in a hundred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkDelays {
    sum: u128,
    min: u64,
    max: u64,
    #[serde(with = "stored")]
    delays: Histogram<u64>,
}

impl Default for LinkDelays {
    fn default() -> Self {
        let mut delays =
            Histogram::new_with_bounds(RESOLUTION, 2 * RESOLUTION, 2).expect("two significant digits are allowed");
        delays.auto(true);
        LinkDelays { sum: 0, min: u64::MAX, max: 0, delays }
    }
}

impl LinkDelays {
    /// Adds a message that took `nanos`.
    pub fn record(&mut self, nanos: u64) {
        self.sum += u128::from(nanos);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
        // Not `saturating_record`, which clamps to the range of the histogram instead of growing it.
        self.delays.record(nanos).expect("a histogram that grows takes every delay");
    }

    /// Adds the messages of `other`.
    pub fn add(&mut self, other: &LinkDelays) {
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.delays.add(&other.delays).expect("histograms that grow can be added");
    }

    /// How many messages there were.
    pub fn messages(&self) -> u64 {
        self.delays.len()
    }

    /// The smallest delay; `None` if there were no messages.
    pub fn min(&self) -> Option<SimSpan> {
        (self.messages() > 0).then(|| SimSpan::from_nanos(self.min))
    }

    /// The largest delay; zero if there were no messages.
    pub fn max(&self) -> SimSpan {
        SimSpan::from_nanos(self.max)
    }

    /// The mean in nanoseconds; zero if there were no messages.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.messages().max(1) as f64
    }

    /// The delay that the share `quantile` of the messages do not exceed; zero if there were none.
    pub fn percentile(&self, quantile: f64) -> SimSpan {
        if self.messages() == 0 {
            return SimSpan::ZERO;
        }
        // The end of a slot may lie outside of what was recorded.
        SimSpan::from_nanos(self.delays.value_at_quantile(quantile).clamp(self.min, self.max))
    }
}

/// Delays by pair of regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Links {
    /// The names of the regions.
    pub regions: Vec<String>,
    /// The one-way delays of the table that the network was built from, row by row: from, then to.
    pub table: Vec<SimSpan>,
    /// What messages took, in the same order.
    pub delays: Vec<LinkDelays>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_and_means_are_exact_and_percentiles_near() {
        let mut link = LinkDelays::default();
        assert_eq!((link.messages(), link.min(), link.max(), link.mean()), (0, None, SimSpan::ZERO, 0.0));
        assert_eq!(link.percentile(0.5), SimSpan::ZERO);
        let mut rest = LinkDelays::default();
        for millis in 1..=1_000u64 {
            let half = if millis % 2 == 0 { &mut link } else { &mut rest };
            half.record(millis * 1_000_000 + 7);
        }
        link.add(&rest);
        assert_eq!((link.messages(), link.mean()), (1_000, 500_500_007.0));
        assert_eq!(
            (link.min(), link.max()),
            (Some(SimSpan::from_nanos(1_000_007)), SimSpan::from_nanos(1_000_000_007))
        );
        for (quantile, exact) in [(0.5, 5e8), (0.99, 9.9e8)] {
            let found = link.percentile(quantile).as_nanos() as f64;
            assert!((found / exact - 1.0).abs() < 0.01, "{found}, not {exact}");
        }
        let mut single = LinkDelays::default();
        single.record(123_456_789);
        assert_eq!(single.percentile(0.99), SimSpan::from_nanos(123_456_789));
    }
}
