//! Consensus on the engine: what it costs, that it stays safe and goes on whatever fails, and that nothing is too fast.

use proptest::prelude::*;
use qnetsim::contract::{Domain, NodeId, NodeType, Population, RandomKey, SimSpan, SimTime};
use qnetsim::engine::faults::{Disturbances, NodeSet, Outage};
use qnetsim::engine::{Capacity, Latency, Network, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::Flow;
use qnetsim::protocols::consensus::{
    Consensus, ConsensusFigures, ConsensusOptions, HISTORY_MAX, HeightFigures, MessageKind, Pattern, by_height,
    faults_max, quorum,
};

const PATTERNS: [Pattern; 2] = [Pattern::Pbft, Pattern::Linear];
const OPTIONS: ConsensusOptions =
    ConsensusOptions { heights: Some(1), records_max: 1_000, ..ConsensusOptions::DEFAULT };

fn millis(millis: u64) -> SimSpan {
    SimSpan::from_millis(millis)
}

fn at(millis: u64) -> SimTime {
    SimTime::ZERO + self::millis(millis)
}

fn supers(replicas: u32) -> Population {
    Population::new([u64::from(replicas), 0, 0, 0]).unwrap()
}

fn uniform() -> NetworkModel {
    NetworkModel::new(Latency::Uniform { min: millis(10), max: millis(100) }, 0.0)
}

/// A run that ended: no fork, and what became of each height.
struct Ended {
    figures: ConsensusFigures,
    heights: Vec<HeightFigures>,
    /// Of each replica, the last height that it committed.
    tips: Vec<u32>,
    /// When each replica committed height 1, where it did.
    first: Vec<Option<u64>>,
    outcome: Outcome<Consensus>,
}

impl Ended {
    fn sent(&self, kind: MessageKind) -> u64 {
        self.outcome.slices.iter().map(|slice| slice.kind_total(Flow::Sent, kind as usize).messages).sum()
    }
}

#[track_caller]
fn run(options: ConsensusOptions, network: &impl Network, settings: Settings) -> Ended {
    let replicas = settings.population.count(NodeType::SuperNode);
    let consensus = Consensus::new(settings.population, options);
    let outcome = Simulation::new(&consensus, network, settings).run().expect("nothing is lost or made up");
    let (mut figures, mut records) = (ConsensusFigures::default(), Vec::new());
    let (mut tips, mut first) = (vec![0; replicas as usize], vec![None; replicas as usize]);
    for (nodes, state) in &outcome.states {
        figures.merge(state.figures());
        records.extend_from_slice(state.records());
        for index in 0..nodes.end_of(NodeType::SuperNode) {
            tips[nodes.id(index) as usize] = state.height(index) - 1;
        }
    }
    // What the equivocator itself believes does not count.
    records.retain(|record| options.equivocator != Some(record.replica));
    for record in records.iter().filter(|record| record.height == 1) {
        first[record.replica as usize] = Some(record.committed.as_nanos());
    }
    let heights = by_height(&mut records, quorum(replicas)).unwrap_or_else(|fork| panic!("{fork}"));
    Ended { figures, heights, tips, first, outcome }
}

fn settings(replicas: u32, seed: u64) -> Settings {
    Settings::new(supers(replicas), seed, SimTime::MAX)
}

/// What `heights` rounds of `pattern` cost among `replicas`, message kind by kind.
#[track_caller]
fn check_counts(pattern: Pattern, replicas: u32, heights: u32) {
    let ended = run(
        ConsensusOptions { pattern, heights: Some(heights), ..OPTIONS },
        &uniform(),
        settings(replicas, u64::from(replicas)),
    );
    let (n, rounds) = (u64::from(replicas), u64::from(heights));
    let each = match pattern {
        Pattern::Pbft => [n - 1, n * (n - 1), n * (n - 1), 0, 0, 0, 0],
        Pattern::Linear => [n - 1, n - 1, n - 1, 0, 0, 0, 0],
    };
    assert_eq!(MessageKind::ALL.map(|kind| ended.sent(kind)), each.map(|count| count * rounds), "n = {n}");
    assert_eq!(ended.figures.committed, n * rounds);
    assert_eq!(ended.heights.len(), heights as usize);
    assert!(ended.heights.iter().all(|height| height.replicas == replicas && height.quorum.is_some()));
}

#[test]
fn pbft_takes_exactly_two_messages_for_each_ordered_pair_beside_the_pre_prepare() {
    for replicas in [4, 7, 10, 49] {
        check_counts(Pattern::Pbft, replicas, 5);
    }
    for replicas in [100, 200, 1_000] {
        check_counts(Pattern::Pbft, replicas, 1);
    }
    for (n, documented) in [(100, 19_800), (200, 79_600), (1_000, 1_998_000)] {
        assert_eq!(2 * n * (n - 1), documented);
    }
}

#[test]
fn the_linear_pattern_takes_three_messages_for_each_other_replica() {
    for replicas in [4, 7, 10, 49, 100, 200, 1_000] {
        check_counts(Pattern::Linear, replicas, 5);
    }
}

#[test]
fn nothing_can_be_seen_of_threads_and_nodes_of_other_types_take_no_memory() {
    let of = |threads, pattern, lights| {
        let population = Population::new([13, 0, lights, 0]).unwrap();
        let end = at(60_000);
        let mut settings = Settings { threads, ..Settings::new(population, 3, end) };
        settings.faults.outages = vec![outage(NodeSet { share: 0.2, number: 4, ..NodeSet::ALL }, 7_000, Some(20_000))];
        let network = NetworkModel::new(Latency::Uniform { min: millis(10), max: millis(100) }, 0.02);
        let ended = run(ConsensusOptions { pattern, heights: None, ..OPTIONS }, &network, settings);
        let bytes: usize = ended
            .outcome
            .states
            .iter()
            .map(|(nodes, state)| {
                use qnetsim::contract::Protocol;
                Consensus::new(nodes.population(), OPTIONS).state_bytes(state)
            })
            .sum();
        (ended.outcome.digest, ended.figures, ended.heights, bytes)
    };
    for pattern in PATTERNS {
        let alone = of(1, pattern, 0);
        assert!(alone.1.view_changes > 0 && alone.1.committed > 100, "{:?}", alone.1);
        assert_eq!(of(3, pattern, 0), alone);
        let (_, figures, heights, bytes) = of(2, pattern, 10_000);
        assert_eq!((figures.height_max > 5, heights.len() > 5), (true, true));
        assert!(bytes < 2 * alone.3, "{bytes} bytes with 10 000 light nodes, {} without", alone.3);
    }
}

fn outage(nodes: NodeSet, from: u64, until: Option<u64>) -> Outage {
    let (from_over, until_over) = (SimSpan::ZERO, SimSpan::ZERO);
    Outage { nodes, from: at(from), from_over, until: until.map(at), until_over, graceful: false }
}

/// Which of `replicas` are in `set` in a run with `seed`.
fn members(set: &NodeSet, seed: u64, replicas: u32) -> Vec<NodeId> {
    let key = RandomKey::new(seed, Domain::Fault);
    (0..replicas).filter(|&node| set.contains(&key, node, NodeType::SuperNode, 0)).collect()
}

/// A set of exactly `count` of `replicas`, which holds `wanted` if it is some node.
fn set_of(count: u32, wanted: Option<NodeId>, seed: u64, replicas: u32) -> NodeSet {
    let share = f64::from(count) / f64::from(replicas);
    let is_right = |set: &NodeSet| {
        let members = members(set, seed, replicas);
        members.len() as u32 == count && wanted.is_none_or(|wanted| members.contains(&wanted))
    };
    let sets = (0..100_000).map(|number| NodeSet { share, number, ..NodeSet::ALL });
    sets.into_iter().find(is_right).expect("one of so many sets has the right size")
}

#[test]
fn a_leader_that_crashes_is_replaced_after_the_timeout() {
    for (pattern, rotates) in [(Pattern::Pbft, false), (Pattern::Pbft, true), (Pattern::Linear, false)] {
        let mut settings = settings(7, 5);
        settings.faults.outages = vec![outage(set_of(1, Some(0), 5, 7), 500, None)];
        let options = ConsensusOptions { pattern, rotates, heights: Some(9), ..OPTIONS };
        let ended = run(options, &uniform(), settings);
        assert_eq!(ended.tips, [0, 9, 9, 9, 9, 9, 9]);
        // Six replicas leave a view at the first height, and once more when it is the crashed one's turn again.
        let turns = if rotates { 2 } else { 1 };
        assert_eq!((ended.figures.view_changes, ended.figures.new_views), (6 * turns, 6 * turns));
        assert_eq!((ended.sent(MessageKind::ViewChange), ended.sent(MessageKind::NewView)), (36 * turns, 6 * turns));
    }
}

#[test]
fn with_f_down_the_rest_goes_on_and_with_one_more_nobody_does() {
    for pattern in PATTERNS {
        for replicas in [4, 7, 10, 31] {
            for more in [0, 1] {
                let mut settings = Settings { end: at(600_000), ..settings(replicas, 9) };
                let down = faults_max(replicas) + more;
                settings.faults.outages = vec![outage(set_of(down, Some(0), 9, replicas), 0, None)];
                let ended = run(ConsensusOptions { pattern, heights: Some(5), ..OPTIONS }, &uniform(), settings);
                let ends = ended.tips.iter().filter(|&&tip| tip == if more == 0 { 5 } else { 0 }).count() as u32;
                assert_eq!(ends, if more == 0 { replicas - down } else { replicas }, "{pattern:?}, n = {replicas}");
            }
        }
    }
}

#[test]
fn who_was_down_gets_the_blocks_that_are_still_kept() {
    for (down_for, skips) in [(10_000, false), (60_000, true)] {
        let mut settings = settings(7, 5);
        settings.faults.outages = vec![outage(set_of(2, None, 5, 7), 2_500, Some(2_500 + down_for))];
        let ended = run(ConsensusOptions { heights: Some(80), ..OPTIONS }, &uniform(), settings);
        assert_eq!(ended.tips, [80; 7]);
        assert!(ended.figures.synced >= 10, "{:?}", ended.figures);
        assert_eq!(ended.figures.skipped > 0, skips, "{HISTORY_MAX} blocks are kept: {:?}", ended.figures);
        assert_eq!(ended.figures.committed + ended.figures.skipped, 7 * 80);
    }
}

#[test]
fn a_leader_that_proposes_two_blocks_divides_nobody() {
    for pattern in PATTERNS {
        for replicas in [4, 5, 6, 7, 10, 13, 50] {
            for equivocator in [0, 1, replicas - 1] {
                let options = ConsensusOptions {
                    pattern,
                    heights: Some(6),
                    rotates: true,
                    first: equivocator,
                    equivocator: Some(equivocator),
                    ..OPTIONS
                };
                let ended = run(options, &uniform(), settings(replicas, u64::from(equivocator)));
                let honest = (0..replicas).filter(|&replica| replica != equivocator);
                assert!(honest.into_iter().all(|replica| ended.tips[replica as usize] == 6), "{:?}", ended.tips);
                assert!(ended.figures.view_changes > 0 || ended.figures.fetches > 0, "it does harm");
            }
        }
    }
}

/// One-way delays between each pair, in nanoseconds.
struct Matrix {
    replicas: usize,
    delays: Vec<u64>,
}

impl Matrix {
    fn between(&self, from: usize, to: usize) -> u64 {
        if from == to { 0 } else { self.delays[from * self.replicas + to] }
    }

    /// What all of `sent`, at its time, reaches `to`: when the `count`-th arrives.
    fn arrives(&self, sent: &[u64], to: usize, count: u32) -> u64 {
        let mut arrivals: Vec<u64> =
            sent.iter().enumerate().map(|(from, sent)| sent + self.between(from, to)).collect();
        arrivals.sort_unstable();
        arrivals[count as usize - 1]
    }

    /// When each replica can commit at the earliest a block of `leader` that is proposed at time zero, if each message
    /// takes `takes` to handle.
    fn floor(&self, pattern: Pattern, leader: usize, takes: u64) -> Vec<u64> {
        let (all, quorum) = (0..self.replicas, quorum(self.replicas as u32));
        let handled = |from: usize, to: usize| if from == to { 0 } else { self.between(from, to) + takes };
        let proposed: Vec<u64> = all.clone().map(|replica| handled(leader, replica)).collect();
        let phase = |sent: &[u64], to: usize| {
            // Its own vote takes no way and no handling.
            sent[to].max(self.arrives(sent, to, quorum).saturating_add(if quorum > 1 { takes } else { 0 }))
        };
        match pattern {
            Pattern::Pbft => {
                let prepared: Vec<u64> = all.clone().map(|replica| phase(&proposed, replica)).collect();
                all.map(|replica| self.arrives(&prepared, replica, quorum) + takes).collect()
            }
            Pattern::Linear => {
                let certified = phase(&proposed, leader);
                all.map(|replica| certified + handled(leader, replica)).collect()
            }
        }
    }
}

impl Network for Matrix {
    fn smallest_delay(&self) -> SimSpan {
        SimSpan::from_nanos(*self.delays.iter().min().unwrap())
    }
    fn largest_delay(&self) -> Option<SimSpan> {
        self.delays.iter().max().map(|&delay| SimSpan::from_nanos(delay))
    }
    fn delay(&self, from: NodeId, to: NodeId, _: SimTime, _: u64) -> SimSpan {
        SimSpan::from_nanos(self.between(from as usize, to as usize))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Without processing, commits come exactly when the delays of the votes allow it: not later, and above all not
    /// sooner. With processing, not sooner than if everybody handled only the message that matters.
    #[test]
    fn no_commit_is_sooner_than_the_floor_of_the_network(
        replicas in 4usize..40, leader in 0usize..40, is_pbft: bool, takes in 0u64..2_000_000, seed: u64,
    ) {
        let mut random = RandomKey::new(seed, Domain::Protocol).stream(0, 0);
        let delays = (0..replicas * replicas).map(|_| 100_000 + random.below(150_000_000)).collect();
        let (matrix, leader) = (Matrix { replicas, delays }, leader % replicas);
        let pattern = if is_pbft { Pattern::Pbft } else { Pattern::Linear };
        for takes in [0, takes] {
            let options = ConsensusOptions {
                pattern,
                first: leader as u32,
                interval: SimSpan::ZERO,
                processing: [SimSpan::from_nanos(takes); 7],
                ..OPTIONS
            };
            let ended = run(options, &matrix, settings(replicas as u32, seed));
            let floor = matrix.floor(pattern, leader, takes);
            for (replica, (committed, floor)) in ended.first.iter().zip(floor).enumerate() {
                let committed = committed.expect("all commit");
                prop_assert!(committed >= floor, "replica {replica}: {committed} ns, below {floor} ns");
                prop_assert!(takes > 0 || committed == floor, "replica {replica}: {committed} ns, not {floor} ns");
            }
        }
    }

    /// Random crashes of any number of replicas, partitions and losses, until all that returns has returned; then at most
    /// f are down. There is never a fork, and in the end everybody who is up has everything.
    #[test]
    fn consensus_is_safe_always_and_live_when_enough_are_up(
        replicas in 4u32..14,
        is_pbft: bool,
        rotates: bool,
        seed in 0u64..1_000_000,
        crashes in prop::collection::vec((0.0..0.8f64, 0u64..30_000, 1u64..20_000, 0u32..1_000), 0..4),
        partitions in prop::collection::vec((0.1..0.9f64, 0u64..30_000, 1u64..20_000, 1_000u32..2_000), 0..3),
        loss in 0.0..0.25f64,
        lasting in 0.0..0.03f64,
        down_for_good: bool,
    ) {
        let mut settings = Settings { end: at(4_000_000), ..settings(replicas, seed) };
        let some = |share, number| NodeSet { share, number, ..NodeSet::ALL };
        settings.faults.outages = crashes
            .iter()
            .map(|&(share, from, length, number)| outage(some(share, number), from, Some(from + length)))
            .collect();
        let mut gone = Vec::new();
        if down_for_good {
            let set = set_of(faults_max(replicas), None, seed, replicas);
            gone = members(&set, seed, replicas);
            settings.faults.outages.push(outage(set, 10_000, None));
        }
        let all = qnetsim::engine::faults::Between {
            during: at(0)..at(50_000), from: NodeSet::ALL, to: NodeSet::ALL, both_ways: true,
        };
        let disturbances = Disturbances {
            losses: vec![(all, loss)],
            partitions: partitions
                .iter()
                .map(|&(share, from, length, number)| (at(from)..at(from + length), some(share, number)))
                .collect(),
            ..Disturbances::default()
        };
        let network = NetworkModel::new(Latency::Uniform { min: millis(5), max: millis(200) }, lasting)
            .with_disturbances(disturbances, settings.population, None, seed);
        let pattern = if is_pbft { Pattern::Pbft } else { Pattern::Linear };
        let options = ConsensusOptions {
            pattern, rotates, timeout: SimSpan::from_secs(1), heights: Some(30), ..OPTIONS
        };
        let ended = run(options, &network, settings);
        for (replica, &tip) in ended.tips.iter().enumerate() {
            let is_gone = gone.contains(&(replica as u32));
            prop_assert!(is_gone || tip == 30, "replica {replica} of {replicas}: {tip}, {:?}", ended.figures);
        }
    }
}

#[test]
fn blocks_take_as_long_as_the_uplink_of_the_leader() {
    let rate = 100_000_000;
    let block = 1_000_000;
    for pattern in PATTERNS {
        let mut settings = settings(10, 1);
        settings.capacity = Some(Capacity { upload: [rate; 4], download: [10 * rate; 4], queue: 1 << 30 });
        let network = NetworkModel::new(Latency::Constant(millis(10)), 0.0);
        let options = ConsensusOptions { pattern, block, interval: SimSpan::ZERO, ..OPTIONS };
        let committed = run(options, &network, settings).first;
        // A quorum of seven is the leader and six others, to the last of which its copy leaves after six times 80 ms. In
        // Pbft the prepare of the leader waits behind all copies, so it takes a seventh.
        let (copies, ways) = if pattern == Pattern::Pbft { (7, 3) } else { (6, 2) };
        let floor = (copies * 80 + ways * 10) * 1_000_000;
        let found = committed.iter().map(|time| time.expect("all commit")).min().unwrap();
        assert!(found >= floor && found < floor + 60_000_000, "{pattern:?}: {found} ns for {floor} ns");
    }
}

#[test]
fn handling_votes_one_after_the_other_takes_its_time() {
    let network = NetworkModel::new(Latency::Constant(millis(10)), 0.0);
    let options = ConsensusOptions { processing: [SimSpan::from_micros(100); 7], interval: SimSpan::ZERO, ..OPTIONS };
    let ended = run(options, &network, settings(100, 1));
    // Three ways; the proposal; then 66 prepares and, at least, 66 commits, which the leader's prepare may precede.
    let found = ended.heights[0].quorum.unwrap();
    assert!(found >= millis(30) + SimSpan::from_micros(100 * (66 + 66)), "{found}");
    assert!(found <= millis(30) + SimSpan::from_micros(100 * (1 + 2 * 99)), "{found}");
    assert_eq!((ended.figures.overrun, ended.figures.committed), (0, 100));
}
