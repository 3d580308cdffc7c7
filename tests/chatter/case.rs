//! Random runs of chatter: how they are drawn, and how the reference and the engine carry them out.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use qnetsim::contract::{Placement, Population, SimSpan, SimTime};
use qnetsim::engine::regions::RegionTable;
use qnetsim::engine::{Jitter, Latency, Lives, Network, NetworkModel, Outcome, RegionMatrix, Settings, Simulation};

use super::faulty::{self, Faults, any_faults};
use super::{Chatter, Entry, Minds, Trace};
use crate::reference;

/// The longest delay, in nanoseconds.
const DELAY_MAX: f64 = 1e12;

/// A run, as plain data that a failing test shows.
#[derive(Clone, Debug)]
pub struct Case {
    pub counts: [u64; 4],
    pub seed: u64,
    pub links: Links,
    pub loss: f64,
    /// With faults, the run ends when they say, not when nothing is left to happen.
    pub faults: Option<Faults>,
    pub chatter: Chatter,
    /// `None`: until nothing is left to happen.
    pub end: Option<Moment>,
    pub boundaries: Vec<Moment>,
    /// The first and the last boundary that a measured slice begins at; zero is the start of the run.
    pub measured: (usize, usize),
    /// Threads and base-2 logarithms of partitions to run with, beside one of each.
    pub shapes: Vec<(usize, u32)>,
}

#[derive(Clone, Debug)]
pub enum Links {
    Constant(u64),
    Uniform(u64, u64),
    /// Jitter, and whether all thirteen regions are used or two.
    Regions(f64, bool),
}

/// A moment close to an event of the run: which event, in thousandths of their number, and nanoseconds to add.
/// Exactly at, just before and just after events is where cutting goes wrong.
#[derive(Clone, Debug)]
pub struct Moment(usize, i64);

impl Moment {
    fn of(&self, trace: &[Entry]) -> u64 {
        trace.get(self.0 * trace.len() / 1_000).map_or(5, |entry| entry.time.saturating_add_signed(self.1))
    }
}

/// What the reference makes of a case, and the settings that the engine must do the same with.
pub struct Resolved {
    pub network: NetworkModel,
    pub settings: Settings,
    /// Everything that happens if the run does not end early.
    pub whole: reference::Outcome<Chatter, Trace>,
}

impl Case {
    /// Draws cases and checks each: as many as `cases`, or as `PROPTEST_CASES` says. The same ones every time, unless
    /// `PROPTEST_RNG_SEED` says otherwise.
    pub fn check_many(cases: u32, faulty: bool, check: impl Fn(&Case)) {
        let mut config = Config { failure_persistence: None, ..Config::default() };
        if std::env::var_os("PROPTEST_CASES").is_none() {
            config.cases = cases;
        }
        if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
            config.rng_seed = RngSeed::Fixed(1);
        }
        let outcome = TestRunner::new(config).run(&any_case(faulty), |case| {
            check(&case);
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    }

    pub fn population(&self) -> Population {
        Population::new(self.counts).expect("a case has nodes")
    }

    pub fn network(&self) -> NetworkModel {
        let delay = match self.links {
            Links::Constant(delay) => Latency::Constant(SimSpan::from_nanos(delay)),
            Links::Uniform(min, max) => {
                Latency::Uniform { min: SimSpan::from_nanos(min), max: SimSpan::from_nanos(max) }
            }
            Links::Regions(jitter, all) => {
                let share = |region| if all { 1.0 / 13.0 } else { f64::from(u8::from(region < 2)) / 2.0 };
                let shares: Vec<f64> = (0..13).map(share).collect();
                let table = RegionTable::published("aws-13", None).expect("the table is published");
                let placement = Placement::new(&shares, self.seed);
                Latency::Regions(RegionMatrix::new(&table, placement, Jitter::Uniform { share: jitter }))
            }
        };
        let network = NetworkModel::new(delay, self.loss);
        let disturbances = self.faults.as_ref().map(|faults| faults.disturbances(self.chatter.span));
        let placement = faulty::anywhere(self.seed, self.population());
        network.with_disturbances(disturbances.unwrap_or_default(), self.population(), placement, self.seed)
    }

    /// The world of the reference.
    pub fn world(&self, settings: &Settings) -> reference::World {
        let Settings { faults, population, placement, seed, end, capacity, header, .. } = settings.clone();
        let lives = Some(Lives::new(faults, population, placement, seed, end));
        reference::World { lives, capacity, header, notes_dues: false }
    }

    /// Runs the reference without an end, to find the moments of the case.
    pub fn resolve(&self) -> Resolved {
        let network = self.network();
        let mut settings = Settings::new(self.population(), self.seed, SimTime::MAX);
        if let Some(faults) = &self.faults {
            settings.faults = faults.schedule(self.chatter.span);
            settings.placement = faulty::anywhere(self.seed, self.population());
            settings.capacity = faults.capacity(self.chatter.span);
            settings.end = SimTime::from_nanos(faults.end(self.chatter.span));
        }
        let whole: reference::Outcome<Chatter, Trace> = reference::run_in(
            &self.world(&settings),
            &self.chatter,
            &network,
            self.population(),
            self.seed,
            settings.end,
        );
        let trace = &whole.probe.entries;
        let end = self.end.as_ref().map_or(u64::MAX, |moment| moment.of(trace)).min(settings.end.as_nanos());
        let mut boundaries: Vec<u64> = self.boundaries.iter().map(|moment| moment.of(trace)).collect();
        boundaries.retain(|&boundary| boundary > 0 && boundary < end);
        boundaries.sort_unstable();
        boundaries.dedup();
        let start_of = |slice: usize| slice.checked_sub(1).map_or(Some(0), |slice| boundaries.get(slice).copied());
        let [first, last] = [self.measured.0, self.measured.1].map(|slice| start_of(slice).unwrap_or(u64::MAX));
        settings.end = SimTime::from_nanos(end);
        settings.measured = SimTime::from_nanos(first)..SimTime::from_nanos(last);
        settings.boundaries = boundaries.into_iter().map(SimTime::from_nanos).collect();
        settings.meters = true;
        settings.delays = true;
        Resolved { network, settings, whole }
    }
}

impl Resolved {
    /// Runs the engine with `threads` and `2^partitions_log2` partitions.
    pub fn run(&self, chatter: &Chatter, (threads, partitions_log2): (usize, u32)) -> Outcome<Chatter, Trace> {
        let settings = Settings { threads, partitions_log2: Some(partitions_log2), ..self.settings.clone() };
        Simulation::with_probe(chatter, &self.network, settings).run().expect("nothing is lost")
    }
}

/// The states of all partitions, as one state would be: hashes by node, and departures in order.
pub fn whole_state(outcome: &mut Outcome<Chatter, Trace>) -> Minds {
    let population = outcome.states[0].0.population();
    let mut whole = Minds {
        nodes: qnetsim::contract::Nodes::all(population),
        seen: vec![0; population.total() as usize],
        sent: Vec::new(),
    };
    for (nodes, minds) in &mut outcome.states {
        for here in nodes.iter() {
            whole.seen[here.id as usize] = minds.seen[here.index];
        }
        whole.sent.append(&mut minds.sent);
    }
    whole.sent.sort_unstable();
    whole
}

fn any_counts() -> impl Strategy<Value = [u64; 4]> {
    let flat = (1u64..200).prop_map(|nodes| [0, nodes, 0, 0]);
    let few = (1u64..5).prop_map(|nodes| [0, nodes, 0, 0]);
    let mixed = [0u64..3, 0..9, 0..60, 0..120].prop_filter("a run has nodes", |counts| counts.iter().any(|&n| n > 0));
    prop_oneof![2 => flat, 2 => few, 4 => mixed]
}

fn any_links() -> impl Strategy<Value = Links> {
    // A power of ten and what comes before the next, so that every magnitude comes up.
    let scaled = |(exponent, factor): (u32, f64)| factor * 10u64.pow(exponent) as f64;
    let delay = move || (0u32..9, 1.0..10.0f64).prop_map(scaled);
    let ratio = (prop_oneof![3 => 0u32..2, 1 => 0u32..6], 1.0..10.0f64).prop_map(scaled);
    let uniform = (delay(), ratio).prop_map(|(min, ratio)| {
        let max = (min * ratio).clamp(min, DELAY_MAX);
        Links::Uniform(min as u64, max as u64)
    });
    prop_oneof![
        2 => delay().prop_map(|delay| Links::Constant(delay as u64)),
        4 => uniform,
        2 => (0.0..0.5f64, any::<bool>()).prop_map(|(jitter, all)| Links::Regions(jitter, all)),
    ]
}

fn any_moment() -> impl Strategy<Value = Moment> {
    (0usize..1_000, prop_oneof![3 => -1i64..=1, 1 => -1_000_000i64..1_000_000])
        .prop_map(|(place, nudge)| Moment(place, nudge))
}

/// Mostly few partitions: thousands of slots are made and dropped for every other run.
fn any_shapes() -> impl Strategy<Value = Vec<(usize, u32)>> {
    let threads = prop_oneof![2 => Just(1usize), 2 => Just(2), 2 => Just(3), 1 => Just(8)];
    let partitions_log2 = prop_oneof![6 => 0u32..=3, 1 => 4u32..=5];
    prop::collection::vec((threads, partitions_log2), 1..3)
}

fn any_chatter() -> impl Strategy<Value = Chatter> {
    (1u32..20, 0u32..80, 1u32..7, 0u64..14, any::<bool>()).prop_map(|(starters, energy, fanout, timers, one_kind)| {
        Chatter { starters, energy, fanout, timers, span: 0, one_kind }
    })
}

fn any_case(faulty: bool) -> impl Strategy<Value = Case> {
    let time = (
        prop::option::of(any_moment()),
        prop_oneof![1 => Just(Vec::new()), 2 => prop::collection::vec(any_moment(), 0..6)],
        (0usize..5, 0usize..7),
    );
    let loss = prop_oneof![Just(0.0), 0.0..0.5f64];
    let faults = any_faults().prop_map(move |faults| faulty.then_some(faults));
    (any_counts(), any::<u64>(), any_links(), loss, any_chatter(), time, any_shapes(), faults).prop_map(
        |(counts, seed, links, loss, chatter, (end, boundaries, measured), shapes, faults)| {
            let mut case = Case { counts, seed, links, loss, faults, chatter, end, boundaries, measured, shapes };
            case.chatter.span = case.network().smallest_delay().as_nanos();
            case
        },
    )
}
