//! Faults for random runs of chatter: churn, outages, disturbances and capacities, scaled to the smallest delay.

use proptest::prelude::*;
use qnetsim::contract::{NodeType, Placement, Population, SimSpan, SimTime};
use qnetsim::engine::faults::{Between, Churn, Disturbances, NodeSet, Outage, Schedule};
use qnetsim::engine::{Capacity, Distribution};

/// What goes wrong in a run. Times are in thousandths of the smallest delay.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Mean session and absence, which distribution they have, the share of graceful departures, and whether the run
    /// starts in the steady state.
    pub churn: Option<(u64, u64, u8, f64, bool)>,
    /// Share and types of the nodes that are hit, when, and for how long; graceful if the last number is even, and for
    /// ever if it is a multiple of three.
    pub outages: Vec<(f64, u8, u64, u64, u8)>,
    /// Kind, share of nodes, start and length, and a number that says how bad it is.
    pub disturbances: Vec<(u8, f64, u64, u64, f64)>,
    /// How many thousandths of the smallest delay a byte takes up and down, and the bytes of a queue.
    pub capacity: Option<(u64, u64, u64)>,
    /// When the run ends.
    pub end: u64,
}

fn set(share: f64, types: u8, number: u32) -> NodeSet {
    let types = if types.is_multiple_of(16) { 15 } else { types };
    NodeSet { types: std::array::from_fn(|index| types >> index & 1 == 1), share, number, ..NodeSet::ALL }
}

impl Faults {
    pub fn schedule(&self, span: u64) -> Schedule {
        let seconds = |mean: u64| (mean * span.max(1)) as f64 / 1e12;
        let churn = |&(session, absence, kind, graceful, steady): &(u64, u64, u8, f64, bool)| {
            let distribution = |mean: u64| match kind {
                0 => Distribution::Exponential { mean: seconds(mean) },
                1 => Distribution::Weibull { shape: 0.5, scale: seconds(mean) / 2.0 },
                2 => Distribution::Lognormal { median: seconds(mean), sigma: 1.0 },
                _ => Distribution::Constant(seconds(mean)),
            };
            let (session, absence) = (distribution(session), distribution(absence));
            Churn { nodes: set(0.8, 15, 1), session, absence, graceful, steady }
        };
        let outage = |(number, &(share, types, from, length, how)): (usize, &(f64, u8, u64, u64, u8))| Outage {
            nodes: set(share, types, 10 + number as u32),
            from: at(from, span),
            from_over: SimSpan::from_nanos(length * span / 3_000),
            until: (!how.is_multiple_of(3)).then(|| at(from + length, span)),
            until_over: SimSpan::from_nanos(length * span / 2_000),
            graceful: how.is_multiple_of(2),
        };
        Schedule {
            churns: self.churn.iter().map(churn).collect(),
            outages: self.outages.iter().enumerate().map(outage).collect(),
        }
    }

    pub fn disturbances(&self, span: u64) -> Disturbances {
        let mut disturbances = Disturbances::default();
        for (number, &(kind, share, start, length, bad)) in self.disturbances.iter().enumerate() {
            let during = at(start, span)..at(start + length, span);
            let nodes = set(share, 15, 100 + number as u32);
            let between =
                Between { during: during.clone(), from: nodes.clone(), to: NodeSet::ALL, both_ways: bad < 0.5 };
            match kind {
                0 => disturbances.losses.push((between, bad)),
                1 => disturbances.surges.push((between, 1.0 + 5.0 * bad, SimSpan::from_nanos(length))),
                _ => disturbances.partitions.push((during, nodes)),
            }
        }
        disturbances
    }

    pub fn capacity(&self, span: u64) -> Option<Capacity> {
        self.capacity.map(|(up, down, queue)| {
            // A byte that takes `thousandths` of `span` makes so many bits per second.
            let rate = |thousandths: u64| (8_000_000_000_000 / (thousandths * span).max(1)).max(1);
            let uneven = |rate: u64| std::array::from_fn(|index| rate * (index as u64 + 1));
            Capacity { upload: uneven(rate(up)), download: uneven(rate(down)), queue }
        })
    }

    pub fn end(&self, span: u64) -> u64 {
        at(self.end, span).as_nanos()
    }
}

/// A placement in regions that every run may have: it must not matter, because no fault names a region.
pub fn anywhere(seed: u64, population: Population) -> Option<Placement> {
    population.count(NodeType::FullNode).is_multiple_of(2).then(|| Placement::new(&[0.5, 0.5], seed))
}

fn at(thousandths: u64, span: u64) -> SimTime {
    SimTime::from_nanos((u128::from(thousandths) * u128::from(span) / 1_000) as u64)
}

pub fn any_faults() -> impl Strategy<Value = Faults> {
    let length = || prop_oneof![1u64..900, 900u64..20_000, 20_000u64..1_000_000];
    let churn = (length(), length(), 0u8..4, 0.0..1.0f64, any::<bool>());
    let outage = (0.05..1.2f64, 0u8..16, 0u64..30_000, length(), 0u8..6);
    let disturbance = (0u8..3, 0.05..1.0f64, 0u64..20_000, length(), 0.0..1.0f64);
    let capacity = (1u64..30, 1u64..30, prop_oneof![Just(0u64), 20u64..2_000, Just(1 << 30)]);
    (
        prop::option::of(churn),
        prop::collection::vec(outage, 0..4),
        prop::collection::vec(disturbance, 0..4),
        prop::option::of(capacity),
        1u64..300_000,
    )
        .prop_map(|(churn, outages, disturbances, capacity, end)| {
            // Nodes that come and go all the time make many turns, so such runs are short.
            let shortest = churn.map_or(u64::MAX, |(session, absence, ..)| session.min(absence));
            let end = end.min(shortest.saturating_mul(60)).max(1);
            Faults { churn, outages, disturbances, capacity, end }
        })
}
