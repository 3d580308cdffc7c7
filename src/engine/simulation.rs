//! A run: builds partitions and lanes, goes from window to window, and gathers the outcome.

mod outcome;
mod post;
mod restore;
mod slices;
mod windows;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::capacity::Capacity;
use super::checkpoint::{Keeper, Standing};
use super::context::{Shared, WindowPlan};
use super::event::Windows;
use super::faults::Schedule;
use super::lane::Lane;
use super::lives::Lives;
use super::network::Network;
use super::outbox::Trip;
use super::partition::Partition;
use super::probe::Probe;
use super::ranks::Ranks;
use super::tally::{KINDS_MAX, Tally};
use super::team::lock;
use crate::contract::{Domain, Placement, Places, Population, Protocol, RandomKey, Share, SimSpan, SimTime};
pub use outcome::Outcome;
use post::{Pace, Post};
pub use post::{gather, meeting_span};

/// What [`Effects::broadcast`](crate::contract::Effects::broadcast) does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Broadcast {
    /// Sends one message to every other node.
    #[default]
    Delivered,
    /// Counts `n - 1` messages as sent, and as received at the same moment, and delivers none. Exact in what it
    /// counts as long as the network drops nothing, nodes stay up, and links carry everything.
    Counted,
}

/// How to run a simulation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nodes by type.
    pub population: Population,
    /// Everything random follows from it.
    pub seed: u64,
    /// The run handles everything before this time, and ends earlier if nothing is left to happen.
    pub end: SimTime,
    /// Threads; at least one. Cannot be seen in a result.
    pub threads: usize,
    /// Base-2 logarithm of the number of partitions, at most 16; `None` lets the engine choose. Cannot be seen in a
    /// result.
    pub partitions_log2: Option<u32>,
    /// Where a new slice of time begins: ascending, without zero and without times at or after the end.
    pub boundaries: Vec<SimTime>,
    /// Slices that begin in this range are measured by meters and delay histograms.
    pub measured: std::ops::Range<SimTime>,
    /// Whether every node's bytes are metered: 16 bytes per node.
    pub meters: bool,
    /// Whether the delays of messages are recorded.
    pub delays: bool,
    /// Whether verdicts of nodes on each other are recorded.
    pub judgements: bool,
    /// IP and UDP headers of a message, in bytes.
    pub header: u32,
    /// What a broadcast does.
    pub broadcast: Broadcast,
    /// When nodes come and go. Where they do, four bytes and a bit a node, and forty more for each that has a turn ahead.
    pub faults: Schedule,
    /// Where nodes stand, as far as faults ask for it.
    pub placement: Option<Placement>,
    /// Which partitions this process holds; the other ranks hold the rest. Cannot be seen in a result.
    pub share: Share,
    /// In which partition each node is, where they are not dealt out by number. Cannot be seen in a result.
    pub places: Option<Places>,
    /// For how many ranks the places are: what goes on from a checkpoint has the places of the run that wrote it, whatever the
    /// number of ranks is now.
    pub dealt_to: usize,
    /// No message from one rank to another takes less; `None` if no more is known than of any two nodes.
    pub apart: Option<SimSpan>,
    /// What the access links of nodes carry; without limit if `None`. 16 bytes a node, and what waits in downlinks.
    pub capacity: Option<Capacity>,
}

impl Settings {
    /// Settings with one thread, no boundaries, no meters, nothing measured, and headers of 28 bytes (IPv4 and UDP).
    pub fn new(population: Population, seed: u64, end: SimTime) -> Self {
        Settings {
            population,
            seed,
            end,
            threads: 1,
            partitions_log2: None,
            boundaries: Vec::new(),
            measured: SimTime::MAX..SimTime::MAX,
            meters: false,
            delays: false,
            judgements: false,
            header: 28,
            broadcast: Broadcast::Delivered,
            faults: Schedule::default(),
            placement: None,
            share: Share::WHOLE,
            places: None,
            dealt_to: 1,
            apart: None,
            capacity: None,
        }
    }

    /// Base-2 logarithm of the number of partitions of the run: one for each thread of all ranks, or, where these are not a
    /// power of two, several, so that threads have nearly the same number.
    pub fn partitions_log2(&self) -> u32 {
        let threads = self.threads.max(1) * self.share.ranks();
        let even = if threads.is_power_of_two() { threads } else { 4 * threads }.next_power_of_two().ilog2();
        self.partitions_log2.unwrap_or(even).min(16)
    }

    /// In which partition each node is.
    ///
    /// # Panics
    /// If they are in a table for another number of partitions.
    pub fn places(&self) -> Places {
        let partitions_log2 = self.partitions_log2();
        let places = self.places.clone().unwrap_or_else(|| partitions_log2.into());
        assert_eq!(places.partitions_log2(), partitions_log2, "the places of nodes are those of the run");
        places
    }
}

/// How far a run has come; can be read from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    now: AtomicU64,
    events: AtomicU64,
}

impl Progress {
    /// The start of the window that was handled last.
    pub fn now(&self) -> SimTime {
        SimTime::from_nanos(self.now.load(Ordering::Relaxed))
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

/// Messages were lost or made up: a bug of the engine, so the run has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "conservation of {kind:?} messages is violated at {time}: {sent} sent, but {received} received + {dropped} dropped + \
     {in_flight} in flight; replay with seed {seed}"
)]
pub struct Violation {
    /// The message kind.
    pub kind: &'static str,
    /// The start of the window after which it was found.
    pub time: SimTime,
    /// Messages sent.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Messages dropped, for whatever cause.
    pub dropped: u64,
    /// Messages in queues.
    pub in_flight: i64,
    /// The seed of the run.
    pub seed: u64,
}

/// A protocol on a network, ready to run.
///
/// ```
/// # use qnetsim::contract::{Population, SimSpan, SimTime};
/// # use qnetsim::engine::{Latency, NetworkModel, Settings, Simulation};
/// # use qnetsim::protocols::rumour::PushGossip;
/// let network = NetworkModel::new(Latency::Constant(SimSpan::from_millis(50)), 0.0);
/// let settings = Settings::new(Population::flat(1_000), 1, SimTime::MAX);
/// let outcome = Simulation::new(&PushGossip::new(8), &network, settings).run()?;
/// assert!(outcome.events > 7_900, "nearly every node sends the rumour to eight others");
/// # Ok::<(), qnetsim::engine::Violation>(())
/// ```
pub struct Simulation<'a, P: Protocol, N, O = ()> {
    run: Run<'a, P, N, O>,
    pool: rayon::ThreadPool,
}

impl<'a, P: Protocol, N: Network> Simulation<'a, P, N> {
    /// Builds the state of every node.
    ///
    /// # Panics
    /// If the network's smallest delay is zero (there is no lookahead), if a boundary is out of order, if there are
    /// more than 16 message kinds, or if threads cannot be started.
    pub fn new(protocol: &'a P, network: &'a N, settings: Settings) -> Self {
        Simulation::with_probe(protocol, network, settings)
    }
}

impl<'a, P: Protocol, N: Network, O: Probe> Simulation<'a, P, N, O> {
    /// As [`Simulation::new`], with a probe of type `O` in every thread.
    ///
    /// # Panics
    /// As [`Simulation::new`].
    pub fn with_probe(protocol: &'a P, network: &'a N, settings: Settings) -> Self {
        Simulation::with_probes(protocol, network, settings, O::default)
    }

    /// As [`Simulation::new`], with what `probe` makes in every thread.
    ///
    /// # Panics
    /// As [`Simulation::new`].
    pub fn with_probes(protocol: &'a P, network: &'a N, settings: Settings, probe: impl Fn() -> O) -> Self {
        let kinds = protocol.kinds().len();
        assert!((1..=KINDS_MAX).contains(&kinds), "a protocol has 1 to {KINDS_MAX} message kinds, not {kinds}");
        let longest = network.largest_delay().map_or(u64::MAX, SimSpan::as_nanos);
        let windows = Windows::for_delays(window_length(network, &settings), longest);
        let ahead = (longest / windows.length()).saturating_add(1);
        let places = settings.places();
        let partitions_log2 = places.partitions_log2();
        let own: Vec<u32> = settings.share.partitions(partitions_log2).collect();
        let threads = settings.threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        let Settings { faults, population, placement, seed, end, .. } = &settings;
        let lives = Lives::new(faults.clone(), *population, placement.clone(), *seed, *end);
        let shared = Shared {
            protocol,
            network,
            population: settings.population,
            windows,
            places,
            broadcast: settings.broadcast,
            header: settings.header,
            judgements: settings.judgements,
            lives: Some(lives).filter(|lives| !lives.is_empty()),
            capacity: settings.capacity,
            may_drop: network.may_drop(),
            latency_key: RandomKey::new(settings.seed, Domain::Latency),
            loss_key: RandomKey::new(settings.seed, Domain::Loss),
            protocol_key: RandomKey::new(settings.seed, Domain::Protocol),
        };
        let build = |&partition: &u32| {
            let nodes = shared.places.nodes(settings.population, partition);
            Some(Partition::new(&shared, nodes, settings.meters))
        };
        let mut built: Vec<Option<Partition<P>>> = pool.install(|| own.par_iter().map(build).collect());
        let regions = network.placement().map_or(0, Placement::regions);
        let lanes = (0..threads)
            .map(|lane| {
                let own = (lane..own.len()).step_by(threads).filter_map(|place| built[place].take()).collect();
                let tally = Tally::new(kinds, settings.delays, regions);
                Mutex::new(Lane::new(own, partitions_log2, windows, ahead, tally, probe()))
            })
            .collect();
        Simulation { run: Run { shared, settings, lanes, partitions: own.len(), restored: None, post: None }, pool }
    }

    /// Runs together with the other `ranks`, each of which has built the same simulation but for its
    /// [`share`](Settings::share). At the end rank 0 has the outcome of the whole run, without probes; with the states of
    /// all nodes if `with_states`, else with those of its own. The others have their own part.
    ///
    /// # Panics
    /// If the settings have another share than the rank.
    #[must_use]
    pub fn over(mut self, ranks: &'a dyn Ranks, with_states: bool) -> Self {
        assert_eq!(self.run.settings.share, ranks.share(), "the nodes that were built are those of the rank");
        let windows = self.run.shared.windows;
        let apart = self.run.settings.apart.unwrap_or(SimSpan::from_nanos(windows.length()));
        let pace = Pace::new(windows, apart, lock(&self.run.lanes[0]).core.outbox.trip_max());
        self.run.post = (!ranks.share().is_whole()).then(|| Post::new(ranks, with_states, pace));
        self
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When messages were lost or made up.
    ///
    /// # Panics
    /// If the network undercuts its smallest delay, or the protocol sends to a node that does not exist.
    pub fn run(self) -> Result<Outcome<P, O>, Violation> {
        self.run_watched(&Progress::default())
    }

    /// As [`Simulation::run`], and tells `progress` how far it has come.
    ///
    /// # Errors
    /// As [`Simulation::run`].
    ///
    /// # Panics
    /// As [`Simulation::run`].
    pub fn run_watched(self, progress: &Progress) -> Result<Outcome<P, O>, Violation> {
        self.run_kept(progress, None)
    }

    /// As [`Simulation::run_watched`], and has `keeper` take checkpoints and break the run off when it wants to.
    ///
    /// # Errors
    /// As [`Simulation::run`].
    ///
    /// # Panics
    /// As [`Simulation::run`].
    pub fn run_kept(self, progress: &Progress, keeper: Option<&mut dyn Keeper>) -> Result<Outcome<P, O>, Violation> {
        let Simulation { mut run, pool } = self;
        pool.install(|| {
            let ended = run.run_windows(progress, keeper)?;
            Ok(run.finish(ended))
        })
    }
}

/// How a run ended.
struct Ended {
    /// Windows that were handled.
    windows: u64,
    /// The end of what was simulated, where the run was broken off.
    stopped: Option<SimTime>,
}

/// A run under way.
struct Run<'a, P: Protocol, N, O> {
    shared: Shared<'a, P, N>,
    settings: Settings,
    lanes: Vec<Mutex<Lane<P, O>>>,
    /// Partitions that this process holds.
    partitions: usize,
    /// Where the run stands, if it goes on from a checkpoint.
    restored: Option<Standing>,
    /// The way to other ranks, if there are any.
    post: Option<Post<'a>>,
}

/// Where all lanes stand after a window.
struct Survey {
    /// The next window in which anything can happen.
    next: Option<u64>,
    /// Events so far.
    events: u64,
    /// The largest index that a message was ever sent to.
    index_max: u32,
}

/// What all lanes do at the same time.
#[derive(Clone, Copy)]
enum Job {
    Start(WindowPlan),
    /// Begin the block with this number.
    Open(u64),
    Run(WindowPlan),
    /// Pack what goes to other ranks.
    Pack(Trip),
    /// Take what came from other ranks.
    Unpack(Trip),
}

/// Windows must not exceed the lookahead, and a window must not hold two boundaries.
fn window_length<N: Network>(network: &N, settings: &Settings) -> u64 {
    let lookahead = network.smallest_delay();
    assert!(lookahead > SimSpan::ZERO, "a network whose smallest delay is zero leaves no lookahead");
    let mut shortest = lookahead.as_nanos();
    let mut last = SimTime::ZERO;
    for &boundary in &settings.boundaries {
        assert!(boundary > last && boundary < settings.end, "boundaries ascend between the start and the end");
        shortest = shortest.min(boundary.since(last).as_nanos());
        last = boundary;
    }
    shortest
}

#[cfg(test)]
mod tests;
