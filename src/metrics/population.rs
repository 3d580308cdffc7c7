//! How many nodes are up, and how many a sample of them says there are.

use serde::{Deserialize, Serialize};

use crate::contract::{NodeType, Population, SimTime};

use super::lives::{LifeEvent, SampleCount, Turn};

/// Nodes that are up over the time of a run, with what trackers of samples estimated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PopulationOverTime {
    /// In order of time. Every bucket of the time series has a row at its start; then one for each rate at which a
    /// tracker counted in it.
    pub rows: Vec<PopulationRow>,
}

/// Nodes that are up at one moment, or on average over the moments at which trackers counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PopulationRow {
    /// When: the start of a bucket, or the latest of the moments at which its trackers counted.
    pub time: SimTime,
    /// Nodes that are up, by type.
    pub live: [f64; 4],
    /// What the trackers estimated; the truth beside it is that of the very moments at which they counted.
    pub sample: Option<SampleEstimate>,
}

impl PopulationRow {
    /// All nodes that are up.
    pub fn total(&self) -> f64 {
        // Whole numbers, or halves and thirds of them: far from where the order of addition shows.
        self.live.iter().sum()
    }
}

/// A population estimated from a sample of the ids.
///
/// Each of `n` nodes is in the sample with chance `rate`, so the sample's size is binomial: `alive / rate` estimates `n`
/// with a standard deviation of `sqrt(n (1 - rate) / rate)`, in which `alive / rate` stands for the unknown `n`. All
/// trackers watch the same sample, so their mean is no more exact than one of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleEstimate {
    /// Which share of all ids is in the sample.
    pub rate: f64,
    /// Nodes of the sample that a tracker took for up: the mean of the last counts of all trackers in the bucket.
    pub alive: f64,
    /// Estimate of the nodes that are up.
    pub estimate: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
    /// How far the estimate is above the truth, in standard errors; `None` if the standard error is zero.
    pub deviation: Option<f64>,
}

impl SampleEstimate {
    /// What `alive` nodes of a sample of `rate` say, where the truth is `live` nodes.
    pub fn new(rate: f64, alive: f64, live: f64) -> Self {
        let estimate = alive / rate;
        let standard_error = (alive * (1.0 - rate)).sqrt() / rate;
        let deviation = (standard_error > 0.0).then(|| (estimate - live) / standard_error);
        SampleEstimate { rate, alive, estimate, standard_error, deviation }
    }
}

impl PopulationOverTime {
    /// The nodes of `population` that are up, from those who came and went (`lives`, in order of time), at the starts of
    /// buckets (`starts`, ascending from zero) and whenever a tracker counted (`samples`, in any order).
    ///
    /// Takes a byte a node, and O((e + s) log(e + s)) time for e events and s samples.
    pub fn of(
        population: Population,
        starts: &[SimTime],
        lives: &[LifeEvent],
        samples: &[SampleCount],
    ) -> PopulationOverTime {
        let last = last_of_bucket(starts, samples);
        let mut moments: Vec<SimTime> =
            last.iter().map(|(_, sample)| sample.time).chain(starts.iter().copied()).collect();
        moments.sort_unstable();
        moments.dedup();
        let truth = live_at(population, &moments, lives);
        let live = |time: SimTime| moments.binary_search(&time).map_or([0; 4], |place| truth[place]);
        let mut groups = last.chunk_by(|one, other| (one.0, one.1.rate.to_bits()) == (other.0, other.1.rate.to_bits()));
        let mut next = groups.next();
        let mut rows = Vec::new();
        for (bucket, &start) in starts.iter().enumerate() {
            rows.push(PopulationRow { time: start, live: live(start).map(|count| count as f64), sample: None });
            while let Some(group) = next.filter(|group| group[0].0 == bucket) {
                rows.push(estimate(group, &live));
                next = groups.next();
            }
        }
        PopulationOverTime { rows }
    }

    /// How far off the estimates at each rate were, in standard errors: the root of the mean square over all rows that
    /// tell. The rates are in ascending order.
    pub fn deviations(&self) -> Vec<(f64, f64)> {
        let mut of_rates: Vec<(f64, f64)> = self
            .rows
            .iter()
            .filter_map(|row| row.sample)
            .filter_map(|sample| Some((sample.rate, sample.deviation?)))
            .collect();
        of_rates.sort_by(|one, other| one.0.total_cmp(&other.0));
        let same_rate = |one: &(f64, f64), other: &(f64, f64)| one.0 == other.0;
        let mean_square = |group: &[(f64, f64)]| {
            group.iter().map(|(_, deviation)| deviation * deviation).sum::<f64>() / group.len() as f64
        };
        of_rates.chunk_by(same_rate).map(|group| (group[0].0, mean_square(group).sqrt())).collect()
    }
}

/// The last sample of each tracker and rate in each bucket, by bucket, rate and tracker.
fn last_of_bucket(starts: &[SimTime], samples: &[SampleCount]) -> Vec<(usize, SampleCount)> {
    let bucket = |time: SimTime| starts.partition_point(|&start| start <= time).saturating_sub(1);
    let mut last: Vec<(usize, SampleCount)> = samples.iter().map(|sample| (bucket(sample.time), *sample)).collect();
    // The latest comes first, so that it is the one that stays.
    last.sort_by(|(one_bucket, one), (other_bucket, other)| {
        let rate = || one.rate.total_cmp(&other.rate);
        let rest = || one.observer.cmp(&other.observer).then(other.time.cmp(&one.time));
        one_bucket.cmp(other_bucket).then_with(rate).then_with(rest)
    });
    last.dedup_by_key(|(bucket, sample)| (*bucket, sample.rate.to_bits(), sample.observer));
    last
}

/// The mean of trackers that counted at the same rate in the same bucket.
fn estimate(group: &[(usize, SampleCount)], live: &dyn Fn(SimTime) -> [u64; 4]) -> PopulationRow {
    let (mut alive, mut sums, mut time) = (0, [0; 4], SimTime::ZERO);
    for (_, sample) in group {
        alive += u64::from(sample.alive);
        sums.iter_mut().zip(live(sample.time)).for_each(|(sum, count)| *sum += count);
        time = time.max(sample.time);
    }
    let mean = |sum: u64| sum as f64 / group.len() as f64;
    let total: u64 = sums.iter().sum();
    let sample = SampleEstimate::new(group[0].1.rate, mean(alive), mean(total));
    PopulationRow { time, live: sums.map(mean), sample: Some(sample) }
}

/// Nodes that are up at each of `moments` (ascending), by type; what happens at the moment is included.
fn live_at(population: Population, moments: &[SimTime], lives: &[LifeEvent]) -> Vec<[u64; 4]> {
    let mut live = NodeType::ALL.map(|node_type| u64::from(population.count(node_type)));
    let mut is_up = vec![true; if lives.is_empty() { 0 } else { population.total() as usize }];
    let mut events = lives.iter().peekable();
    let mut at = |&moment: &SimTime| {
        while let Some(event) = events.next_if(|event| event.time <= moment) {
            let joins = event.turn == Turn::Joined;
            if std::mem::replace(&mut is_up[event.node as usize], joins) != joins {
                let count = &mut live[population.type_of(event.node) as usize];
                *count = if joins { *count + 1 } else { *count - 1 };
            }
        }
        live
    };
    moments.iter().map(&mut at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::SimSpan;

    fn at(secs: u64) -> SimTime {
        SimTime::ZERO + SimSpan::from_secs(secs)
    }

    fn event(secs: u64, node: u32, turn: Turn) -> LifeEvent {
        LifeEvent { time: at(secs), node, turn }
    }

    fn sample(secs: u64, observer: u32, rate: f64, alive: u32) -> SampleCount {
        SampleCount { time: at(secs), observer, rate, alive }
    }

    /// 2 super nodes and 8 light nodes, in buckets of 10 s.
    fn rows(lives: &[LifeEvent], samples: &[SampleCount]) -> Vec<PopulationRow> {
        let population = Population::new([2, 0, 8, 0]).unwrap();
        PopulationOverTime::of(population, &[at(0), at(10), at(20)], lives, samples).rows
    }

    #[test]
    fn the_truth_follows_who_comes_and_goes() {
        let lives = [
            event(0, 9, Turn::Left),
            event(4, 1, Turn::Crashed),
            event(10, 2, Turn::Left),
            event(11, 2, Turn::Crashed),
            event(12, 9, Turn::Joined),
            event(20, 2, Turn::Joined),
        ];
        let rows = rows(&lives, &[]);
        let live: Vec<_> = rows.iter().map(|row| (row.live, row.total())).collect();
        let expected = [([2.0, 0.0, 7.0, 0.0], 9.0), ([1.0, 0.0, 6.0, 0.0], 7.0), ([1.0, 0.0, 8.0, 0.0], 9.0)];
        assert_eq!(live, expected);
        assert!(rows.iter().all(|row| row.sample.is_none()));
    }

    #[test]
    fn a_bucket_keeps_the_last_count_of_each_tracker_beside_the_truth_of_that_moment() {
        let lives = [event(13, 5, Turn::Crashed), event(16, 6, Turn::Crashed), event(17, 7, Turn::Crashed)];
        let samples = [
            sample(18, 1, 0.5, 3),
            sample(12, 0, 0.5, 5),
            sample(14, 0, 0.5, 4),
            sample(19, 1, 0.1, 1),
            sample(25, 0, 0.5, 0),
            sample(26, 0, 1.0, 7),
        ];
        let rows = rows(&lives, &samples);
        let keys: Vec<_> = rows.iter().map(|row| (row.time, row.sample.map(|sample| sample.rate))).collect();
        let expected =
            [(0, None), (10, None), (19, Some(0.1)), (18, Some(0.5)), (20, None), (25, Some(0.5)), (26, Some(1.0))];
        assert_eq!(keys, expected.map(|(secs, rate)| (at(secs), rate)));
        let mean = rows[3];
        assert_eq!((mean.live, mean.total()), ([2.0, 0.0, 6.0, 0.0], 8.0), "9 at 14 s and 7 at 18 s");
        let sample = mean.sample.unwrap();
        assert_eq!((sample.alive, sample.estimate), (3.5, 7.0));
        assert_eq!(sample.standard_error, (3.5f64 * 0.5).sqrt() / 0.5);
        assert_eq!(sample.deviation, Some((7.0 - 8.0) / sample.standard_error));
        let nobody = rows[5].sample.unwrap();
        assert_eq!((nobody.estimate, nobody.standard_error, nobody.deviation), (0.0, 0.0, None));
        assert_eq!(rows[6].sample.unwrap().deviation, None, "all nodes are no sample");
    }

    #[test]
    fn deviations_are_root_mean_squares_by_rate() {
        let row = |rate, deviation| {
            let sample = SampleEstimate { rate, alive: 1.0, estimate: 1.0, standard_error: 1.0, deviation };
            PopulationRow { time: at(0), live: [0.0; 4], sample: Some(sample) }
        };
        let rows = vec![row(0.1, Some(3.0)), row(0.01, Some(-2.0)), row(0.1, None), row(0.1, Some(-4.0))];
        assert_eq!(PopulationOverTime { rows }.deviations(), [(0.01, 2.0), (0.1, 12.5f64.sqrt())]);
    }
}
