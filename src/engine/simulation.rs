//! A run: builds partitions and lanes, goes from window to window, checks that nothing is lost, gathers the outcome.

mod restore;
mod slices;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use rayon::prelude::*;

use super::capacity::Capacity;
use super::checkpoint::{Keeper, Snapshot, Standing};
use super::context::{Meter, Shared, WindowPlan};
use super::event::Windows;
use super::faults::Schedule;
use super::inbox::Inbox;
use super::lane::Lane;
use super::lives::Lives;
use super::network::Network;
use super::outbox::Outbox;
use super::partition::Partition;
use super::probe::Probe;
use super::tally::{KINDS_MAX, KindTotals, Tally};
use super::team::{Team, lock};
use crate::contract::{Domain, NodeType, Nodes, Placement, Population, Protocol, RandomKey, SimSpan, SimTime};
use crate::metrics::{Bandwidth, Judgement, LifeEvent, LinkDelays, Spread, Traffic};
use slices::Slices;

/// Windows with fewer events per thread than this, on average, are handled by one thread: handing them out would take
/// longer.
const PARALLEL_EVENTS_MIN: u64 = 16;
/// The average goes over about so many windows. What changed threads from one window to the next would find nothing in
/// its cache.
const WINDOWS_AVERAGED: u64 = 64;
/// A window with so many times as many messages as that is handed out whatever came before it.
const PARALLEL_AT_ONCE: u64 = 8;

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
            capacity: None,
        }
    }

    /// Base-2 logarithm of the number of partitions of the run: one for each thread, or, where the threads are not a
    /// power of two, several, so that threads have nearly the same number.
    pub fn partitions_log2(&self) -> u32 {
        let threads = self.threads.max(1);
        let even = if threads.is_power_of_two() { threads } else { 4 * threads }.next_power_of_two().ilog2();
        self.partitions_log2.unwrap_or(even).min(16)
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

/// What a run gave.
pub struct Outcome<P: Protocol, O = ()> {
    /// Traffic slice by slice, one more than there were boundaries.
    pub slices: Vec<Traffic>,
    /// One-way delays of messages sent in the measured span, in nanoseconds, by kind; empty if not recorded.
    pub delays: Vec<Histogram<u64>>,
    /// The same delays by region of sender and receiver, row by row; empty if nodes stand in no regions.
    pub links: Vec<LinkDelays>,
    /// Wire bytes per node in the measured span, by type; `None` for types without nodes, or if not metered.
    pub bandwidth: [Option<Bandwidth>; 4],
    /// Hash of all that was delivered: order-independent across nodes, ordered within one.
    pub digest: u64,
    /// Deliveries, timer firings, and nodes that come or go.
    pub events: u64,
    /// Windows that were handled.
    pub windows: u64,
    /// Messages still under way at the end.
    pub in_flight: u64,
    /// Memory of node state and queues at the end, in bytes: what was allocated, not what the system counts.
    pub bytes: usize,
    /// Number of partitions.
    pub partitions: usize,
    /// When nodes came and went, in order.
    pub lives: Vec<LifeEvent>,
    /// What nodes took each other for, in order; empty if not recorded.
    pub judgements: Vec<Judgement>,
    /// The state of every partition at the end.
    pub states: Vec<(Nodes, P::State)>,
    /// The probe of every thread.
    pub probes: Vec<O>,
    /// The end of what was simulated, where the run was broken off before its end.
    pub stopped: Option<SimTime>,
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
        let partitions_log2 = settings.partitions_log2();
        let partitions = 1usize << partitions_log2;
        let threads = settings.threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        let Settings { faults, population, placement, seed, end, .. } = &settings;
        let lives = Lives::new(faults.clone(), *population, placement.clone(), *seed, *end);
        let shared = Shared {
            protocol,
            network,
            population: settings.population,
            windows,
            partitions_log2,
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
        let build = |partition: usize| {
            let nodes = Nodes::partition(settings.population, partition as u32, partitions_log2);
            Partition::new(&shared, nodes, settings.meters)
        };
        let mut built: Vec<Option<Partition<P>>> =
            pool.install(|| (0..partitions).into_par_iter().map(|partition| Some(build(partition))).collect());
        let regions = network.placement().map_or(0, Placement::regions);
        let lanes = (0..threads)
            .map(|lane| {
                let own = (lane..partitions).step_by(threads).filter_map(|partition| built[partition].take()).collect();
                let tally = Tally::new(kinds, settings.delays, regions);
                Mutex::new(Lane::new(own, partitions_log2, windows, ahead, tally, probe()))
            })
            .collect();
        Simulation { run: Run { shared, settings, lanes, partitions, restored: None }, pool }
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
    partitions: usize,
    /// Where the run stands, if it goes on from a checkpoint.
    restored: Option<Standing>,
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

/// Takes the messages for a partition.
type Deliver<'a, M> = dyn FnMut(usize, &mut Inbox<M>) + 'a;

/// What all lanes do at the same time.
#[derive(Clone, Copy)]
enum Job {
    Start(WindowPlan),
    /// Begin the block with this number.
    Open(u64),
    Run(WindowPlan),
}

impl<P: Protocol, N: Network, O: Probe> Run<'_, P, N, O> {
    /// Runs to the end with a thread for each lane.
    fn run_windows(&mut self, progress: &Progress, keeper: Option<&mut dyn Keeper>) -> Result<Ended, Violation> {
        let run = &*self;
        let work = |lane: usize, job: Job| {
            let mut lane = lock(&run.lanes[lane]);
            match job {
                Job::Start(plan) => lane.start(&run.shared, plan),
                Job::Open(block) => lane.open_block(&run.shared, block),
                Job::Run(plan) => lane.run(&run.shared, plan),
            }
        };
        Team::gather(self.lanes.len(), work, |all_lanes| run.go_through_windows(progress, keeper, all_lanes, &work))
    }

    /// `all_lanes` does a job in all lanes, each in its thread; `one_lane` does it in one of them, in this thread.
    fn go_through_windows(
        &self,
        progress: &Progress,
        mut keeper: Option<&mut dyn Keeper>,
        all_lanes: &dyn Fn(Job),
        one_lane: &dyn Fn(usize, Job),
    ) -> Result<Ended, Violation> {
        let end = self.settings.end.as_nanos();
        let mut slices = Slices::new(&self.settings);
        let Standing { mut handled, mut opened, .. } = match self.restored {
            Some(standing) => {
                slices.pass_first(standing.passed);
                standing
            }
            None => {
                all_lanes(Job::Start(slices.plan(0, &self.shared.windows, end, 0)));
                Standing::default()
            }
        };
        let mut survey = self.survey(SimTime::ZERO)?;
        // Events of the last windows, on average, times their number.
        let threshold = PARALLEL_EVENTS_MIN * self.lanes.len() as u64;
        let mut recent = threshold * WINDOWS_AVERAGED;
        let spread = |recent: u64, messages: u64, job: Job| {
            if recent / WINDOWS_AVERAGED >= threshold || messages >= PARALLEL_AT_ONCE * threshold {
                all_lanes(job);
            } else {
                (0..self.lanes.len()).for_each(|lane| one_lane(lane, job));
            }
        };
        while let Some(window) = survey.next {
            let start = self.shared.windows.start(window);
            if start >= end {
                break;
            }
            let block = self.shared.windows.block(window);
            if self.shared.windows.block_log2() > 0 && block > opened {
                opened = block;
                self.exchange(|outbox, deliver| outbox.take_block(block, deliver));
                spread(recent, 0, Job::Open(block));
                // Only now is the first window of the block known that has anything to do.
                survey = self.survey(SimTime::from_nanos(start))?;
                continue;
            }
            self.close_slices(slices.pass(start));
            let job = Job::Run(slices.plan(window, &self.shared.windows, end, survey.index_max));
            let messages = self.exchange(|outbox, deliver| outbox.take_window(window, deliver));
            spread(recent, messages, job);
            handled += 1;
            let events_before = survey.events;
            survey = self.survey(SimTime::from_nanos(start))?;
            recent = recent - recent / WINDOWS_AVERAGED + (survey.events - events_before);
            progress.now.store(start, Ordering::Relaxed);
            progress.events.store(survey.events, Ordering::Relaxed);
            if let Some(keeper) = keeper.as_deref_mut().filter(|keeper| keeper.is_wanted()) {
                let (passed, index_max) = (slices.passed(), survey.index_max);
                let standing = Standing { window, handled, opened, passed, index_max };
                let (time, events) = (SimTime::from_nanos(start), survey.events);
                let write = |out: &mut dyn Write| self.save(standing, out);
                let handled_until = self.shared.windows.start(window.saturating_add(1));
                if keeper.keep(&Snapshot { time, events, write: &write }).is_break() && handled_until < end {
                    return Ok(Ended { windows: handled, stopped: Some(SimTime::from_nanos(handled_until)) });
                }
            }
        }
        self.close_slices(slices.pass(u64::MAX));
        Ok(Ended { windows: handled, stopped: None })
    }

    /// Passes so many boundaries between slices.
    fn close_slices(&self, passed: usize) {
        for lane in &self.lanes {
            (0..passed).for_each(|_| lock(lane).core.tally.close_slice());
        }
    }

    /// Swaps messages that `take` takes out: from the lanes that sent them to the partitions that they are for. Returns
    /// their number.
    fn exchange(&self, take: impl Fn(&mut Outbox<P::Message>, &mut Deliver<'_, P::Message>)) -> u64 {
        let lanes = self.lanes.len();
        let mut messages = 0;
        for sender in 0..lanes {
            let Lane { inboxes, core, .. } = &mut *lock(&self.lanes[sender]);
            let mut repaid = Inbox::new();
            take(&mut core.outbox, &mut |partition, from| {
                messages += from.len() as u64;
                if partition % lanes == sender {
                    inboxes[partition / lanes].append(from);
                } else {
                    let receiver = &mut *lock(&self.lanes[partition % lanes]);
                    receiver.core.outbox.repay(from, &mut repaid);
                    receiver.inboxes[partition / lanes].append(from);
                }
            });
            core.outbox.take_over(&mut repaid);
        }
        messages
    }

    /// Looks at all lanes after a window that began at `time`.
    ///
    /// # Errors
    /// Unless sent = received + dropped + in flight, for every kind.
    fn survey(&self, time: SimTime) -> Result<Survey, Violation> {
        /// Most protocols have fewer, and what they have not is not to be cleared at every window.
        const KINDS_AT_ONCE: usize = 16;
        let mut survey = Survey { next: None, events: 0, index_max: 0 };
        for (part, kinds) in self.shared.protocol.kinds().chunks(KINDS_AT_ONCE).enumerate() {
            let first = part * KINDS_AT_ONCE;
            let (mut totals, mut in_flight) = ([KindTotals::default(); KINDS_AT_ONCE], [0; KINDS_AT_ONCE]);
            survey = Survey { next: None, events: 0, index_max: 0 };
            for lane in &self.lanes {
                let lane = lock(lane);
                survey.next = survey.next.into_iter().chain(lane.next).min();
                survey.events += lane.core.tally.events;
                survey.index_max = survey.index_max.max(lane.core.outbox.index_max());
                for (kind, sum) in totals.iter_mut().enumerate().take(kinds.len()) {
                    *sum += lane.core.tally.totals(first + kind);
                    in_flight[kind] += lane.core.tally.queued[first + kind];
                }
            }
            for ((&kind, totals), in_flight) in kinds.iter().zip(totals).zip(in_flight) {
                let KindTotals { sent, received, dropped } = totals;
                if i128::from(sent) != i128::from(received) + i128::from(dropped) + i128::from(in_flight) {
                    return Err(Violation { kind, time, sent, received, dropped, in_flight, seed: self.settings.seed });
                }
            }
        }
        Ok(survey)
    }

    fn finish(self, Ended { windows, stopped }: Ended) -> Outcome<P, O> {
        let protocol = self.shared.protocol;
        let unlocked = |lane: Mutex<Lane<P, O>>| lane.into_inner().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<Lane<P, O>> = self.lanes.into_iter().map(unlocked).collect();
        let bytes = all.iter().map(|lane| lane.bytes(protocol)).sum();
        let events = all.iter().map(|lane| lane.core.tally.events).sum();
        let in_flight: i64 = all.iter().flat_map(|lane| &lane.core.tally.queued).sum();
        let digest = all.iter().fold(0u64, |sum, lane| sum.wrapping_add(lane.core.digest.value()));
        let bandwidth = bandwidth(&all);
        let lanes = all.len();
        let mut states: Vec<Option<(Nodes, P::State)>> = (0..self.partitions).map(|_| None).collect();
        let (mut slices, mut delays, mut probes) = (Vec::<Traffic>::new(), Vec::<Histogram<u64>>::new(), Vec::new());
        let (mut lives, mut judgements) = (Vec::<LifeEvent>::new(), Vec::<Judgement>::new());
        let mut links = Vec::<LinkDelays>::new();
        for (number, lane) in all.into_iter().enumerate() {
            for (place, partition) in lane.partitions.into_iter().enumerate() {
                lives.extend(partition.living.map(|living| living.into_log()).unwrap_or_default());
                states[place * lanes + number] = Some((partition.nodes, partition.state));
            }
            judgements.extend(lane.core.judgements);
            let (lane_slices, lane_delays, lane_links) = lane.core.tally.into_results();
            merge(&mut slices, lane_slices, |sum, more| *sum += &more);
            merge(&mut delays, lane_delays, |sum, more| sum.add(more).expect("histograms that grow can be added"));
            merge(&mut links, lane_links, |sum, more| sum.add(&more));
            probes.push(lane.core.probe);
        }
        lives.par_sort_unstable();
        judgements.par_sort_unstable();
        Outcome {
            slices,
            delays,
            links,
            bandwidth,
            digest,
            events,
            windows,
            in_flight: in_flight as u64,
            bytes,
            partitions: self.partitions,
            lives,
            judgements,
            states: states.into_iter().flatten().collect(),
            probes,
            stopped,
        }
    }
}

/// The spread of the nodes' bytes, by type.
fn bandwidth<P: Protocol, O>(lanes: &[Lane<P, O>]) -> [Option<Bandwidth>; 4] {
    // What was broadcast reached every node and is on no meter yet.
    let broadcast_bytes: u64 = lanes.iter().map(|lane| lane.core.tally.broadcast_bytes).sum();
    let spread = |node_type: NodeType, pick: fn(&Meter) -> u64, more: u64| {
        let mut values = Vec::new();
        for partition in lanes.iter().flat_map(|lane| &lane.partitions).filter(|part| !part.meters.is_empty()) {
            let first = NodeType::ALL[..node_type as usize].last().map_or(0, |&before| partition.nodes.end_of(before));
            let meters = &partition.meters[first..partition.nodes.end_of(node_type)];
            values.extend(meters.iter().map(|meter| pick(meter).wrapping_add(more)));
        }
        Spread::of(&mut values)
    };
    NodeType::ALL.map(|node_type| {
        Some(Bandwidth {
            upload: spread(node_type, |meter| meter.sent, 0)?,
            download: spread(node_type, |meter| meter.received, broadcast_bytes)?,
        })
    })
}

/// Adds `more` to `sums` element by element; the first addition moves.
fn merge<T>(sums: &mut Vec<T>, more: Vec<T>, add: impl Fn(&mut T, T)) {
    if sums.is_empty() {
        *sums = more;
    } else {
        sums.iter_mut().zip(more).for_each(|(sum, more)| add(sum, more));
    }
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
