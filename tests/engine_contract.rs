//! What the engine promises beside the order of events: what it counts, what it refuses, and how it says so.

mod chatter;
mod reference;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chatter::case::{Case, Resolved};
use chatter::{Departure, Trace};
use hdrhistogram::Histogram;
use qnetsim::contract::{Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, SimTime};
use qnetsim::engine::{Latency, Network, NetworkModel, Outcome, Progress, Settings, Simulation, Violation};
use qnetsim::metrics::{Bandwidth, Count, Flow, Spread, Traffic};
use qnetsim::protocols::rumour::PushGossip;

/// Node 0 does one thing at the start.
enum Act {
    SendTo(NodeId),
    SendBytes(usize),
}

impl Protocol for Act {
    type Message = ();
    type Timer = ();
    /// Bytes that arrived.
    type State = usize;

    fn kinds(&self) -> &'static [&'static str] {
        &["act"]
    }
    fn wire_len(&self, (): &(), payload: usize) -> u32 {
        payload as u32
    }
    fn state(&self, _: Nodes) -> usize {
        0
    }
    fn handle_start(&self, _: &mut usize, here: Here, fx: &mut impl Effects<Self>) {
        match *self {
            _ if here.id != 0 => {}
            Act::SendTo(to) => fx.send(to, ()),
            Act::SendBytes(len) => fx.send_payload(1, (), &vec![7; len]),
        }
    }
    fn handle_message(
        &self,
        arrived: &mut usize,
        _: Here,
        _: NodeId,
        (): (),
        payload: &[u8],
        _: &mut impl Effects<Self>,
    ) {
        *arrived += payload.len();
    }
    fn handle_timer(&self, _: &mut usize, _: Here, (): (), _: &mut impl Effects<Self>) {}
}

/// A network that takes `delay` and says that it takes `stated` at least.
struct Lying {
    stated: SimSpan,
    delay: SimSpan,
}

impl Network for Lying {
    fn smallest_delay(&self) -> SimSpan {
        self.stated
    }
    fn largest_delay(&self) -> Option<SimSpan> {
        None
    }
    fn delay(&self, _: NodeId, _: NodeId, _: SimTime, _: u64) -> SimSpan {
        self.delay
    }
}

fn run<P: Protocol, N: Network>(protocol: &P, network: &N) -> Outcome<P> {
    let settings = Settings::new(Population::flat(10), 1, SimTime::MAX);
    Simulation::new(protocol, network, settings).run().expect("nothing is lost")
}

fn constant(delay: SimSpan) -> NetworkModel {
    NetworkModel::new(Latency::Constant(delay), 0.0)
}

#[test]
#[should_panic(expected = "a message undercuts the smallest delay that its network states")]
fn a_network_faster_than_it_says_stops_the_run() {
    // The window at the start has no length, so only the second message can come too early.
    run(&PushGossip::new(3), &Lying { stated: SimSpan::from_millis(8), delay: SimSpan::from_nanos(1) });
}

/// Around the 4096 windows that the engine's ring of windows spans, and far beyond.
#[test]
fn a_network_slower_than_it_says_is_fine() {
    for delay in (4_090..4_100).chain([86_400_000_000_000]).map(SimSpan::from_nanos) {
        let outcome = run(&PushGossip::new(3), &Lying { stated: SimSpan::from_nanos(1), delay });
        assert!(outcome.events >= 6, "{} events with a delay of {delay}", outcome.events);
        assert_eq!(outcome.in_flight, 0);
    }
}

#[test]
#[should_panic(expected = "a network whose smallest delay is zero leaves no lookahead")]
fn a_network_without_delay_is_refused_before_the_run() {
    let settings = Settings::new(Population::flat(10), 1, SimTime::MAX);
    let network = constant(SimSpan::ZERO);
    let _ = Simulation::new(&PushGossip::new(1), &network, settings);
}

#[test]
#[should_panic(expected = "node 0 sends to node 0: itself, or nobody")]
fn a_node_cannot_send_to_itself() {
    run(&Act::SendTo(0), &constant(SimSpan::from_millis(1)));
}

#[test]
#[should_panic(expected = "node 0 sends to node 10: itself, or nobody")]
fn a_node_cannot_send_to_a_node_that_does_not_exist() {
    run(&Act::SendTo(10), &constant(SimSpan::from_millis(1)));
}

#[test]
fn the_longest_datagram_arrives_whole() {
    let outcome = run(&Act::SendBytes(65_507), &constant(SimSpan::from_millis(1)));
    assert_eq!(outcome.states.iter().map(|(_, arrived)| arrived).sum::<usize>(), 65_507);
}

#[test]
#[should_panic(expected = "a payload of 65508 bytes does not fit a datagram")]
fn a_payload_longer_than_a_datagram_is_refused() {
    run(&Act::SendBytes(65_508), &constant(SimSpan::from_millis(1)));
}

#[test]
#[should_panic(expected = "boundaries ascend")]
fn a_boundary_out_of_order_is_refused() {
    let mut settings = Settings::new(Population::flat(10), 1, SimTime::MAX);
    settings.boundaries = [5, 5].map(SimTime::from_nanos).to_vec();
    let _ = Simulation::new(&PushGossip::new(1), &constant(SimSpan::from_millis(1)), settings);
}

#[test]
fn a_message_due_after_the_end_of_time_stays_under_way() {
    let delays = [u64::MAX, u64::MAX - 1, u64::MAX / 2].map(SimSpan::from_nanos);
    let outcomes = delays.map(|delay| run(&PushGossip::new(2), &Lying { stated: SimSpan::from_nanos(1), delay }));
    let counts = outcomes.map(|outcome| (outcome.events, outcome.in_flight));
    // The end of the run is not part of it. The first hop of the last network ends in time, at up to two nodes, and so
    // does the second, one nanosecond before the end, at up to four more.
    assert_eq!(counts[0], (0, 2));
    assert_eq!(counts[1].0, 2);
    assert!(counts[1].1 >= 2 && counts[2].0 > 2 && counts[2].1 > 0, "{counts:?}");
}

#[test]
fn a_violation_says_what_is_violated_and_how_to_replay_it() {
    let time = SimTime::from_nanos(1_500_000_000);
    let violation = Violation { kind: "ping", time, sent: 9, received: 5, dropped: 1, in_flight: 2, seed: 42 };
    assert_eq!(
        violation.to_string(),
        "conservation of \"ping\" messages is violated at 1.5s: 9 sent, but 5 received + 1 dropped + 2 in flight; \
         replay with seed 42"
    );
}

/// What a case must be counted as, found from what the reference's nodes sent and what arrived.
struct Counted {
    slices: Vec<Traffic>,
    bandwidth: [Option<Bandwidth>; 4],
    /// By kind, in the order of departure.
    delays: Vec<Vec<u64>>,
}

impl Counted {
    fn of(case: &Case, resolved: &Resolved) -> Counted {
        let population = case.population();
        let settings = &resolved.settings;
        let arrivals: BTreeMap<_, u64> =
            resolved.whole.probe.entries.iter().map(|e| ((e.from, e.to, e.contents), e.time)).collect();
        let kinds = resolved.whole.messages.len();
        let mut slices = vec![Traffic::new(kinds); settings.boundaries.len() + 1];
        let mut meters = vec![[0u64; 2]; population.total() as usize];
        let mut delays = vec![Vec::new(); kinds];
        let end = settings.end.as_nanos();
        let slice_of = |time| settings.boundaries.partition_point(|boundary| boundary.as_nanos() <= time);
        let is_measured = |slice: usize| {
            let start = slice.checked_sub(1).map_or(SimTime::ZERO, |boundary| settings.boundaries[boundary]);
            settings.measured.contains(&start)
        };
        // What nodes do at the start happens in any case.
        for departure in resolved.whole.state.sent.iter().filter(|sent| sent.time < end.max(1)) {
            let &Departure { time, from, to, kind, bytes, contents } = departure;
            let arrival = arrivals.get(&(from, to, contents)).copied();
            // The end of time is before the arrival of what is under way then, and it is not lost.
            let lost = arrival.is_none() && time < FAR;
            let mut count = |flow, time, node, side: usize| {
                let slice = slice_of(time);
                slices[slice].add(flow, kind, population.type_of(node), Count { messages: 1, bytes });
                if is_measured(slice) && flow != Flow::Lost {
                    meters[node as usize][side] += bytes + u64::from(settings.header);
                }
            };
            count(Flow::Sent, time, from, 0);
            if lost {
                count(Flow::Lost, time, from, 0);
            }
            if let Some(arrival) = arrival.filter(|&arrival| arrival < end) {
                count(Flow::Received, arrival, to, 1);
            }
            if let Some(arrival) = arrival.filter(|_| is_measured(slice_of(time))) {
                delays[kind].push(arrival - time);
            }
        }
        let bandwidth = NodeType::ALL.map(|node_type| {
            let of = |side: usize| {
                let values = population.range(node_type).map(|node| meters[node as usize][side]);
                Spread::of(&mut values.collect::<Vec<_>>())
            };
            Some(Bandwidth { upload: of(0)?, download: of(1)? })
        });
        Counted { slices, bandwidth, delays }
    }
}

/// Close to the end of time, where the trace cannot tell what is lost from what cannot arrive.
const FAR: u64 = u64::MAX / 2;

#[test]
fn slices_meters_and_delays_are_what_the_trace_says() {
    let totals = [const { AtomicU64::new(0) }; 4];
    Case::check_many(400, false, |case| {
        let resolved = case.resolve();
        if resolved.whole.state.sent.iter().any(|sent| sent.time > FAR) {
            return;
        }
        let counted = Counted::of(case, &resolved);
        let shapes = case.shapes.iter().copied().chain([(1, 0)]);
        for shape in shapes {
            let outcome = resolved.run(&case.chatter, shape);
            check_counts(&outcome, &counted);
        }
        let many = [
            counted.slices.len(),
            counted.delays.iter().map(Vec::len).sum(),
            counted.bandwidth.iter().flatten().map(|band| band.download.max as usize).sum(),
            counted.slices.iter().map(|slice| slice.total(Flow::Lost).messages as usize).sum(),
        ];
        totals.iter().zip(many).for_each(|(total, more)| {
            total.fetch_add(more as u64, Ordering::Relaxed);
        });
    });
    // Or else the cases have nothing to compare.
    let seen = totals.map(AtomicU64::into_inner);
    assert!(seen.iter().all(|&seen| seen > 500), "slices, delays, bytes, losses: {seen:?}");
}

fn check_counts(outcome: &Outcome<chatter::Chatter, Trace>, counted: &Counted) {
    assert_eq!(outcome.slices, counted.slices);
    assert_eq!(outcome.bandwidth, counted.bandwidth);
    assert_eq!(outcome.delays.len(), counted.delays.len());
    for (histogram, delays) in outcome.delays.iter().zip(&counted.delays) {
        assert_eq!(histogram.len(), delays.len() as u64);
        let mut expected = Histogram::<u64>::new(3).unwrap();
        delays.iter().for_each(|&delay| expected.record(delay).unwrap());
        assert_eq!(*histogram, expected);
        if let (Some(&min), Some(&max)) = (delays.iter().min(), delays.iter().max()) {
            assert!(histogram.equivalent(histogram.min(), min), "{} is not {min}", histogram.min());
            assert!(histogram.equivalent(histogram.max(), max), "{} is not {max}", histogram.max());
        }
    }
}

/// A network that looks at the progress of its run whenever it is asked for a delay.
struct Watching<'a> {
    progress: &'a Progress,
    /// Time and events when it looked last.
    last: Mutex<(SimTime, u64)>,
    changes: AtomicU64,
}

impl Network for Watching<'_> {
    fn smallest_delay(&self) -> SimSpan {
        SimSpan::from_millis(10)
    }
    fn largest_delay(&self) -> Option<SimSpan> {
        Some(SimSpan::from_millis(20))
    }
    fn delay(&self, _: NodeId, _: NodeId, _: SimTime, word: u64) -> SimSpan {
        let seen = (self.progress.now(), self.progress.events());
        let last = std::mem::replace(&mut *self.last.lock().unwrap(), seen);
        assert!(last.0 <= seen.0 && last.1 <= seen.1, "{last:?}, then {seen:?}");
        self.changes.fetch_add(u64::from(last.0 < seen.0 && last.1 < seen.1), Ordering::Relaxed);
        SimSpan::from_millis(10 + word % 11)
    }
}

#[test]
fn progress_goes_forward_and_ends_at_all_events() {
    for threads in [1, 2] {
        let progress = Progress::default();
        let last = Mutex::new((SimTime::ZERO, 0));
        let network = Watching { progress: &progress, last, changes: AtomicU64::new(0) };
        let mut settings = Settings::new(Population::flat(3_000), 1, SimTime::MAX);
        settings.threads = threads;
        let outcome = Simulation::new(&PushGossip::new(6), &network, settings).run_watched(&progress).unwrap();
        assert_eq!(progress.events(), outcome.events);
        assert!(network.changes.load(Ordering::Relaxed) >= 5, "progress is told between windows");
        assert!(progress.now() > SimTime::ZERO);
    }
}

/// Every node but node 0 reports to it once a second, with a payload and without.
struct Report;

impl Protocol for Report {
    type Message = ();
    type Timer = ();
    type State = ();

    fn kinds(&self) -> &'static [&'static str] {
        &["report"]
    }
    fn wire_len(&self, (): &(), payload: usize) -> u32 {
        payload as u32
    }
    fn state(&self, _: Nodes) {}
    fn handle_start(&self, (): &mut (), here: Here, fx: &mut impl Effects<Self>) {
        if here.id > 0 {
            fx.wake_after(SimSpan::from_millis(u64::from(here.id) % 1_000), ());
        }
    }
    fn handle_message(&self, (): &mut (), _: Here, _: NodeId, (): (), _: &[u8], _: &mut impl Effects<Self>) {}
    fn handle_timer(&self, (): &mut (), _: Here, (): (), fx: &mut impl Effects<Self>) {
        fx.send(0, ());
        fx.send_payload(0, (), &[7; 100]);
        fx.wake_after(SimSpan::from_secs(1), ());
    }
}

#[test]
fn messages_that_all_go_one_way_between_threads_take_no_more_memory_the_longer_the_run() {
    let bytes = |min: SimSpan, seconds: u64| {
        let network = NetworkModel::new(Latency::Uniform { min, max: SimSpan::from_millis(100) }, 0.0);
        let end = SimTime::ZERO + SimSpan::from_secs(seconds);
        let settings = Settings { threads: 2, ..Settings::new(Population::flat(2_000), 1, end) };
        Simulation::new(&Report, &network, settings).run().unwrap().bytes as f64
    };
    // Windows as they are, and in blocks.
    for min in [SimSpan::from_millis(10), SimSpan::from_micros(200)] {
        let (short, long) = (bytes(min, 30), bytes(min, 120));
        assert!(long < 1.2 * short, "{short} bytes after 30 s, {long} after 120 s");
    }
}
