//! What mobile nodes spent and what travelled: counters and histograms of fixed size.

use serde::{Deserialize, Serialize};

use crate::contract::{SimSpan, Spans};

/// Steps of [`Powers`], in tenths of a milliwatt: up to 2 W, above what any state of the radio takes without bytes.
const STEPS: usize = 20_000;

/// Average powers of radios, each to within 0.05 mW; those above 2 W count as 2 W.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Powers {
    cells: Box<[u64]>,
}

impl Default for Powers {
    fn default() -> Self {
        Powers { cells: vec![0; STEPS + 1].into() }
    }
}

impl Powers {
    /// Adds a radio that took `energy_pj` picojoules over `span`, which is not zero.
    pub fn add(&mut self, energy_pj: u64, span: SimSpan) {
        let (tenths, nanos) = (u128::from(energy_pj) * 10, u128::from(span.as_nanos()));
        self.cells[((tenths + nanos / 2) / nanos).min(STEPS as u128) as usize] += 1;
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        self.cells.iter_mut().zip(&other.cells).for_each(|(own, more)| *own += more);
    }

    /// A power in milliwatts that `percent` per cent of all radios do not exceed; `None` if there are none.
    pub fn quantile(&self, percent: u64) -> Option<f64> {
        let count: u64 = self.cells.iter().sum();
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
        let mut before = 0u128;
        let cell = self.cells.iter().position(|&cell| {
            before += u128::from(cell);
            before >= rank
        })?;
        Some(cell as f64 / 10.0)
    }
}

/// What travelled between mobile nodes and their parents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobileCounts {
    /// Heartbeats that mobile nodes sent, those in answer to a check included.
    pub heartbeats: u64,
    /// Of these, those that followed a transaction in the same wake.
    pub piggybacked: u64,
    /// Transactions that mobile nodes sent. At parents that hear them they count as heartbeats.
    pub transactions: u64,
    /// Pushes that asked whether a node lives.
    pub checks: u64,
    /// Messages that told a node that there is something for it: pushed, or in answer to a heartbeat.
    pub notices: u64,
    /// How often there was something for a node.
    pub news: u64,
    /// What of it nodes have confirmed.
    pub delivered: u64,
    /// What was forgotten because the parent went away.
    pub forgotten: u64,
    /// From when there was something until the node confirmed the oldest of what it was told together.
    pub delay: Spans,
    /// Messages from nodes that are not linked as they say.
    pub rejected: u64,
}

impl MobileCounts {
    /// Adds those of another partition.
    pub fn merge(&mut self, other: &Self) {
        self.heartbeats += other.heartbeats;
        self.piggybacked += other.piggybacked;
        self.transactions += other.transactions;
        self.checks += other.checks;
        self.notices += other.notices;
        self.news += other.news;
        self.delivered += other.delivered;
        self.forgotten += other.forgotten;
        self.delay.merge(&other.delay);
        self.rejected += other.rejected;
    }
}

/// What the mobile nodes of a partition, or of several together, spent from the start of the run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobileFigures {
    /// How many there are.
    pub nodes: u64,
    /// How long the run was.
    pub span: SimSpan,
    /// How often their radios woke.
    pub wakes: u64,
    /// What their radios took, in picojoules.
    pub energy_pj: u128,
    /// The average power of each.
    pub powers: Powers,
    /// What travelled.
    pub counts: MobileCounts,
}

impl MobileFigures {
    /// Adds those of another partition of the same run.
    pub fn merge(&mut self, other: &Self) {
        self.nodes += other.nodes;
        self.span = self.span.max(other.span);
        self.wakes += other.wakes;
        self.energy_pj += other.energy_pj;
        self.powers.merge(&other.powers);
        self.counts.merge(&other.counts);
    }

    /// So many, for each node and each day; zero without nodes or time.
    pub fn per_day(&self, count: u64) -> f64 {
        let days = self.span.as_secs_f64() / 86_400.0 * self.nodes as f64;
        if days > 0.0 { count as f64 / days } else { 0.0 }
    }

    /// Wakes of a node a day.
    pub fn wakes_per_day(&self) -> f64 {
        self.per_day(self.wakes)
    }

    /// Average power of a radio, in milliwatts; zero without nodes or time.
    pub fn mean_mw(&self) -> f64 {
        let nanos = u128::from(self.nodes) * u128::from(self.span.as_nanos());
        if nanos > 0 { self.energy_pj as f64 / nanos as f64 } else { 0.0 }
    }

    /// What a radio takes a day, in joules.
    pub fn joules_per_day(&self) -> f64 {
        self.mean_mw() * 86.4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SimSpan = SimSpan::from_secs(86_400);

    #[test]
    fn quantiles_of_power_are_to_within_a_twentieth_of_a_milliwatt() {
        let mut powers = Powers::default();
        assert_eq!(powers.quantile(50), None);
        for milliwatts in 1..=100u64 {
            // A milliwatt is a picojoule a nanosecond.
            powers.add(milliwatts * DAY.as_nanos() + DAY.as_nanos() / 30, DAY);
        }
        let mut twice = powers.clone();
        twice.merge(&powers);
        assert_eq!([1, 50, 99, 100].map(|percent| twice.quantile(percent).unwrap()), [1.0, 50.0, 99.0, 100.0]);
        twice.add(u64::MAX, SimSpan::from_nanos(1));
        assert_eq!(twice.quantile(100), Some(2_000.0));
    }

    #[test]
    fn figures_of_partitions_add_up() {
        let joule = 1_000_000_000_000;
        let mut figures =
            MobileFigures { nodes: 1, span: DAY, wakes: 10, energy_pj: 864 * joule, ..MobileFigures::default() };
        let other = MobileFigures { nodes: 3, wakes: 30, energy_pj: 0, ..figures.clone() };
        assert_eq!((figures.mean_mw(), figures.joules_per_day(), figures.wakes_per_day()), (10.0, 864.0, 10.0));
        figures.merge(&other);
        assert_eq!((figures.mean_mw(), figures.joules_per_day(), figures.wakes_per_day()), (2.5, 216.0, 10.0));
        assert_eq!(MobileFigures::default().mean_mw() + MobileFigures::default().wakes_per_day(), 0.0);
    }
}
