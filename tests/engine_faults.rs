//! Faults in the engine: who is up when, what becomes of messages and timers, disturbed links, access links that fill.

mod idle;

use idle::Idle;
use qnetsim::contract::{Effects, Here, NodeId, NodeType, Nodes, Placement, Population, Protocol, SimSpan, SimTime};
use qnetsim::engine::faults::{Between, Disturbances, NodeSet, Outage, Schedule};
use qnetsim::engine::{Capacity, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::{Flow, LifeEvent, Turn};
use serde::{Deserialize, Serialize};

const SECOND: u64 = 1_000_000_000;

fn secs(seconds: u64) -> SimSpan {
    SimSpan::from_secs(seconds)
}

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + secs(seconds)
}

/// Every node writes to its successor, and to the node a third of the way round, once a second. It keeps what happened
/// to it, and a node that leaves says so to its successor.
struct Ring {
    size: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Note {
    Tick,
    Farewell,
}

/// What happened to a node, by time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Seen {
    Started(u64),
    Joined(u64),
    Left(u64),
    Fired(u64),
    Heard(u64, NodeId),
    Farewell(u64, NodeId),
}

impl Protocol for Ring {
    type Message = Note;
    type Timer = ();
    type State = Vec<Vec<Seen>>;

    fn kinds(&self) -> &'static [&'static str] {
        &["tick", "farewell"]
    }
    fn kind(&self, note: &Note) -> usize {
        *note as usize
    }
    fn wire_len(&self, _: &Note, _: usize) -> u32 {
        self.size
    }
    fn state(&self, nodes: Nodes) -> Vec<Vec<Seen>> {
        vec![Vec::new(); nodes.len()]
    }
    fn handle_start(&self, state: &mut Vec<Vec<Seen>>, here: Here, fx: &mut impl Effects<Self>) {
        state[here.index].push(Seen::Started(fx.now().as_nanos()));
        fx.wake_after(secs(1), ());
    }
    fn handle_join(&self, state: &mut Vec<Vec<Seen>>, here: Here, fx: &mut impl Effects<Self>) {
        state[here.index].push(Seen::Joined(fx.now().as_nanos()));
        fx.wake_after(secs(1), ());
    }
    fn handle_leave(&self, state: &mut Vec<Vec<Seen>>, here: Here, fx: &mut impl Effects<Self>) {
        state[here.index].push(Seen::Left(fx.now().as_nanos()));
        fx.send((here.id + 1) % 30, Note::Farewell);
    }
    fn handle_message(
        &self,
        state: &mut Vec<Vec<Seen>>,
        here: Here,
        from: NodeId,
        note: Note,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let time = fx.now().as_nanos();
        state[here.index].push(match note {
            Note::Tick => Seen::Heard(time, from),
            Note::Farewell => Seen::Farewell(time, from),
        });
    }
    fn handle_timer(&self, state: &mut Vec<Vec<Seen>>, here: Here, (): (), fx: &mut impl Effects<Self>) {
        state[here.index].push(Seen::Fired(fx.now().as_nanos()));
        fx.send((here.id + 1) % 30, Note::Tick);
        fx.send((here.id + 10) % 30, Note::Tick);
        fx.wake_after(secs(1), ());
    }
}

/// Ten super, ten full and ten light nodes for `end` seconds.
fn settings(end: u64) -> Settings {
    Settings::new(Population::new([10, 10, 10, 0]).unwrap(), 1, at(end))
}

fn network() -> NetworkModel {
    NetworkModel::new(Latency::Constant(SimSpan::from_millis(100)), 0.0)
}

fn run(network: &NetworkModel, settings: &Settings) -> (Vec<Vec<Seen>>, Outcome<Ring>) {
    let mut outcome = Simulation::new(&Ring { size: 100 }, network, settings.clone()).run().expect("nothing is lost");
    let (_, seen) = outcome.states.remove(0);
    (seen, outcome)
}

fn of_type(node_type: NodeType) -> NodeSet {
    let types = NodeType::ALL.map(|other| other == node_type);
    NodeSet { types, ..NodeSet::ALL }
}

fn outage(nodes: NodeSet, from: u64, until: Option<u64>, graceful: bool) -> Outage {
    let (from_over, until_over) = (SimSpan::ZERO, SimSpan::ZERO);
    Outage { nodes, from: at(from), from_over, until: until.map(at), until_over, graceful }
}

fn total(outcome: &Outcome<Ring>, flow: Flow) -> u64 {
    outcome.slices.iter().map(|slice| slice.total(flow).messages).sum()
}

#[test]
fn a_crash_is_silent_and_drops_what_is_under_way() {
    let mut settings = settings(20);
    settings.faults.outages = vec![outage(of_type(NodeType::FullNode), 5, Some(9), false)];
    let (seen, outcome) = run(&network(), &settings);
    let full = &seen[15];
    // What was sent at 5 s, a moment before the crash, is under way then.
    let times = |pick: fn(&Seen) -> Option<u64>| full.iter().filter_map(pick).collect::<Vec<u64>>();
    let fired = times(|seen| if let Seen::Fired(time) = seen { Some(time / SECOND) } else { None });
    assert_eq!(fired, [1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19], "a timer at 5 s is before the crash");
    let heard = times(|seen| if let Seen::Heard(time, 14) = seen { Some(*time / SECOND) } else { None });
    assert_eq!(heard, [1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19], "its predecessor crashed as well");
    assert!(full.contains(&Seen::Joined(9 * SECOND)) && !full.contains(&Seen::Left(5 * SECOND)));
    assert_eq!(outcome.lives.len(), 20);
    assert_eq!(outcome.lives[0], LifeEvent { time: at(5), node: 10, turn: Turn::Crashed });
    assert_eq!(outcome.lives[19], LifeEvent { time: at(9), node: 19, turn: Turn::Joined });
    // Twenty nodes outside the tier send two messages a second; of these, node 9 to 10 and ten more go into it. The
    // messages of 5, 6, 7 and 8 s arrive while it is down, those of 5 s from within it as well.
    let slice = &outcome.slices[0];
    let down = |node_type| slice.get(Flow::ReceiverDown, 0, node_type).messages;
    assert_eq!(NodeType::ALL.map(down), [0, 4 * 11 + 9, 0, 0]);
}

#[test]
fn a_node_that_leaves_says_so_and_then_is_gone() {
    let mut settings = settings(20);
    settings.faults.outages = vec![outage(of_type(NodeType::LightNode), 5, None, true)];
    let (seen, outcome) = run(&network(), &settings);
    assert!(seen[29].contains(&Seen::Left(5 * SECOND)));
    assert!(seen[0].contains(&Seen::Farewell(5 * SECOND + 100_000_000, 29)), "node 0 follows the last light node");
    assert!(outcome.lives.iter().all(|event| event.turn == Turn::Left && event.time == at(5)));
    assert!(!seen[29].iter().any(|seen| matches!(seen, Seen::Fired(time) if *time > 5 * SECOND)));
    assert_eq!(total(&outcome, Flow::ReceiverDown), 15 * 11 + 9 + 9, "ticks into the tier, within it, and farewells");
}

#[test]
fn a_crowd_is_away_at_first_and_joins_one_by_one() {
    let mut settings = settings(20);
    let crowd = Outage { until_over: secs(4), ..outage(of_type(NodeType::LightNode), 0, Some(5), true) };
    settings.faults.outages = vec![crowd];
    let (seen, outcome) = run(&network(), &settings);
    for light in &seen[20..] {
        assert!(matches!(light[0], Seen::Joined(time) if (5 * SECOND..=9 * SECOND).contains(&time)), "{:?}", light[0]);
    }
    let turns = |turn| outcome.lives.iter().filter(|event| event.turn == turn).count();
    assert_eq!([Turn::Left, Turn::Joined, Turn::Crashed].map(turns), [10, 10, 0]);
    assert!(outcome.lives[..10].iter().all(|event| event.time == SimTime::ZERO));
    let joined: Vec<_> = outcome.lives[10..].iter().map(|event| event.time).collect();
    assert!(joined.is_sorted_by(|earlier, later| earlier < later), "each at a moment of its own");
}

#[test]
fn outages_that_overlap_are_one_and_the_earliest_return_does_not_end_them() {
    let mut settings = settings(20);
    let full = || of_type(NodeType::FullNode);
    settings.faults.outages = vec![outage(full(), 3, Some(8), false), outage(full(), 5, Some(12), true)];
    let (_, outcome) = run(&network(), &settings);
    let of_one: Vec<_> = outcome.lives.iter().filter(|event| event.node == 12).map(|e| (e.time, e.turn)).collect();
    assert_eq!(of_one, [(at(3), Turn::Crashed), (at(12), Turn::Joined)]);
}

#[test]
fn a_partition_lets_nothing_through_until_it_heals() {
    let parts = vec![(at(5)..at(9), of_type(NodeType::SuperNode))];
    let population = settings(20).population;
    let network =
        network().with_disturbances(Disturbances { partitions: parts, ..Disturbances::default() }, population, None, 1);
    let (seen, outcome) = run(&network, &settings(20));
    let crossing = |time: u64| seen[10].contains(&Seen::Heard(time * SECOND + 100_000_000, 9));
    let crossed: Vec<u64> = (1..20).filter(|&time| crossing(time)).collect();
    assert_eq!(crossed, [1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    // Out of the tier: its last node to its successor, and all ten a third of the way round. Into it: as many.
    assert_eq!(total(&outcome, Flow::Partitioned), 4 * (11 + 11));
}

#[test]
fn losses_and_surges_hold_between_their_nodes_and_in_their_time() {
    let between = |both_ways| Between {
        during: at(5)..at(10),
        from: of_type(NodeType::SuperNode),
        to: of_type(NodeType::FullNode),
        both_ways,
    };
    let population = settings(20).population;
    for both_ways in [false, true] {
        let losses = vec![(between(both_ways), 1.0)];
        let surges = vec![(between(both_ways), 3.0, SimSpan::from_millis(50))];
        let lossy =
            network().with_disturbances(Disturbances { losses, ..Disturbances::default() }, population, None, 1);
        let (_, outcome) = run(&lossy, &settings(20));
        // Down: 9 to 10 and ten ticks a third of the way round. Up: nothing goes from full to super nodes.
        assert_eq!(total(&outcome, Flow::Lost), 5 * 11);
        let slow = network().with_disturbances(Disturbances { surges, ..Disturbances::default() }, population, None, 1);
        let (seen, _) = run(&slow, &settings(20));
        assert!(seen[10].contains(&Seen::Heard(5 * SECOND + 350_000_000, 9)), "three times 100 ms and 50 ms");
        assert!(seen[10].contains(&Seen::Heard(10 * SECOND + 100_000_000, 9)));
        assert!(seen[11].contains(&Seen::Heard(5 * SECOND + 100_000_000, 10)));
    }
}

#[test]
fn regions_tell_who_is_divided() {
    let population = Population::new([10, 10, 10, 0]).unwrap();
    let placement = Placement::new(&[0.5, 0.5], 1);
    let side = NodeSet { regions: 0b10, ..NodeSet::ALL };
    let disturbances =
        Disturbances { partitions: vec![(SimTime::ZERO..SimTime::MAX, side)], ..Disturbances::default() };
    let network = network().with_disturbances(disturbances, population, Some(placement.clone()), 1);
    let (seen, outcome) = run(&network, &settings(20));
    assert!(total(&outcome, Flow::Partitioned) > 100);
    for (node, seen) in seen.iter().enumerate() {
        for from in seen.iter().filter_map(|seen| if let Seen::Heard(_, from) = seen { Some(*from) } else { None }) {
            assert_eq!(placement.region_of(node as u32), placement.region_of(from));
        }
    }
}

/// Everyone sends ten messages to node 0 at once.
struct Burst;

impl Protocol for Burst {
    type Message = u32;
    type Timer = ();
    type State = Vec<(u64, NodeId, u32, usize)>;
    fn kinds(&self) -> &'static [&'static str] {
        &["burst"]
    }
    fn wire_len(&self, _: &u32, payload: usize) -> u32 {
        72 + payload as u32
    }
    fn state(&self, _: Nodes) -> Self::State {
        Vec::new()
    }
    fn handle_start(&self, _: &mut Self::State, here: Here, fx: &mut impl Effects<Self>) {
        if here.id > 0 {
            (0..10).for_each(|number| fx.send_payload(0, number, &[7; 900][..number as usize * 100]));
        }
    }
    fn handle_message(
        &self,
        state: &mut Self::State,
        _: Here,
        from: NodeId,
        number: u32,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        assert_eq!(payload, &[7; 900][..number as usize * 100]);
        state.push((fx.now().as_nanos(), from, number, payload.len()));
    }
    fn handle_timer(&self, _: &mut Self::State, _: Here, (): (), _: &mut impl Effects<Self>) {}
}

fn burst(nodes: u32, capacity: Capacity) -> Outcome<Burst> {
    let mut settings = Settings::new(Population::flat(nodes), 1, at(3_600));
    settings.capacity = Some(capacity);
    settings.delays = true;
    settings.measured = SimTime::ZERO..SimTime::MAX;
    Simulation::new(&Burst, &network(), settings).run().unwrap()
}

#[test]
fn an_uplink_sends_one_message_after_the_other_and_a_downlink_receives_them_so() {
    // A megabit per second: a byte takes 8 us. Messages take 100, 200, ... 1,000 bytes with their headers.
    let slow = [1_000_000; 4];
    // Fast enough that a message takes few nanoseconds.
    let fast = [1_000_000_000_000; 4];
    let sent = |number: u64| 8_000 * 100 * (number + 1) * (number + 2) / 2;
    let outcome = burst(2, Capacity { upload: slow, download: fast, queue: 1 << 20 });
    let fast_takes = |number: u64| (8 * 100 * (number + 1)).div_ceil(1_000);
    let expected: Vec<_> = (0..10).map(|number| 100_000_000 + sent(number) + fast_takes(number)).collect();
    let times = |outcome: &Outcome<Burst>| outcome.states[0].1.iter().map(|&(time, ..)| time).collect::<Vec<_>>();
    assert_eq!(times(&outcome), expected);
    assert_eq!(outcome.delays[0].max() / 1_000_000, (100_000_000 + sent(9)) / 1_000_000, "delays hold the wait");
    let outcome = burst(2, Capacity { upload: fast, download: slow, queue: 1 << 20 });
    let expected: Vec<_> = (0..10).map(|number| 100_000_000 + fast_takes(0) + sent(number)).collect();
    assert_eq!(times(&outcome), expected);
}

#[test]
fn what_a_link_cannot_hold_is_dropped_and_counted() {
    let (slow, fast) = ([1_000_000; 4], [1_000_000_000_000; 4]);
    let count = |outcome: &Outcome<Burst>, flow| outcome.slices[0].total(flow);
    let outcome = burst(2, Capacity { upload: slow, download: fast, queue: 1_000 });
    // 100 + 200 + 300 + 400 bytes are still to be sent when the fifth comes, which is taken; then there are 1,500.
    assert_eq!(count(&outcome, Flow::UplinkFull).messages, 5);
    assert_eq!(count(&outcome, Flow::Received).messages, 5);
    // Four senders at once: 4,000 bytes of the first sixteen messages, and of the next four the three that find no more
    // than 5,000 bytes.
    let outcome = burst(5, Capacity { upload: fast, download: slow, queue: 5_000 });
    assert_eq!(count(&outcome, Flow::Received).messages, 19);
    assert_eq!(count(&outcome, Flow::DownlinkFull).messages, 21);
    let dropped = 500 + 4 * (600 + 700 + 800 + 900 + 1_000);
    assert_eq!(count(&outcome, Flow::DownlinkFull).bytes, dropped - 21 * 28);
    assert_eq!(outcome.in_flight, 0);
    // Many senders: the downlink of one gigabit carries no more than it can.
    let outcome = burst(2_000, Capacity { upload: fast, download: [1_000_000_000; 4], queue: 1 << 30 });
    let last = outcome.states[0].1.last().unwrap().0;
    let bytes = 1_999 * 5_500;
    assert_eq!(last, 100_000_001 + bytes * 8, "8 ns a byte, without a gap");
}

#[test]
fn what_is_off_takes_no_memory_and_what_is_on_what_it_says() {
    let bytes = |change: fn(&mut Settings)| {
        let mut settings = Settings::new(Population::flat(100_000), 1, at(10));
        change(&mut settings);
        Simulation::new(&Idle, &network(), settings).run().unwrap().bytes
    };
    let plain = bytes(|_| {});
    let nobody = NodeSet { share: 0.0, ..NodeSet::ALL };
    let lives = bytes(|settings| {
        let nodes = NodeSet { share: 0.0, ..NodeSet::ALL };
        settings.faults = Schedule { churns: Vec::new(), outages: vec![outage(nodes, 5, None, false)] };
    });
    assert!(!nobody.contains(
        &qnetsim::contract::RandomKey::new(1, qnetsim::contract::Domain::Fault),
        1,
        NodeType::FullNode,
        0
    ));
    // Four bytes and a bit a node, and the slots of a timing wheel that is never used.
    assert!((412_500..414_000).contains(&(lives - plain)), "{}", lives - plain);
    let capacity = bytes(|settings| {
        settings.capacity = Some(Capacity { upload: [1; 4], download: [1; 4], queue: 0 });
    });
    assert!((1_600_000..1_602_000).contains(&(capacity - plain)), "{}", capacity - plain);
    assert_eq!(plain, bytes(|settings| settings.placement = Some(Placement::new(&[1.0], 1))));
}

#[test]
fn a_share_hits_as_many_and_smaller_shares_are_subsets() {
    let key = qnetsim::contract::RandomKey::new(9, qnetsim::contract::Domain::Fault);
    let members = |share: f64, number: u32| {
        let set = NodeSet { share, number, ..NodeSet::ALL };
        (0..100_000).filter(|&node| set.contains(&key, node, NodeType::LightNode, 0)).collect::<Vec<_>>()
    };
    let (few, many, other) = (members(0.1, 4), members(0.3, 4), members(0.1, 5));
    assert!((few.len() as f64 - 10_000.0).abs() < 5.0 * 95.0 && (many.len() as f64 - 30_000.0).abs() < 5.0 * 145.0);
    assert!(few.iter().all(|node| many.binary_search(node).is_ok()));
    let both = few.iter().filter(|node| other.binary_search(node).is_ok()).count();
    assert!((both as f64 - 1_000.0).abs() < 5.0 * 32.0, "independent sets share {both}");
    assert_eq!((members(0.0, 1).len(), members(1.0, 1).len()), (0, 100_000));
}
