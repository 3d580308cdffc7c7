//! Transactions and blocks on the engine: none is lost or committed twice, everybody gets every block, and what fails shows.

use std::sync::Arc;

use qnetsim::contract::{Domain, NodeType, Population, Protocol, RandomKey, SimSpan, SimTime};
use qnetsim::engine::faults::{NodeSet, Outage};
use qnetsim::engine::{Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::Flow;
use qnetsim::protocols::consensus::{ConsensusFigures, ConsensusOptions, Pattern, by_height, quorum};
use qnetsim::protocols::ledger::{Ledger, LedgerFigures, LedgerOptions, Submissions};
use qnetsim::topologies::TierDegrees;

const COUNTS: [u64; 4] = [7, 30, 1_000, 100];
const CLIENTS: u64 = 1_100;
const DEGREES: TierDegrees = TierDegrees { full_peers: 0, super_parents: 3, light_parents: 3, mesh: false };
/// One transaction a minute each, for five minutes of blocks every five seconds.
const OPTIONS: LedgerOptions = LedgerOptions {
    consensus: ConsensusOptions { records_max: 1_000, ..LedgerOptions::DEFAULT.consensus },
    submissions: Some(Submissions { every: SimSpan::from_secs(60), poisson: true, types: [false, false, true, true] }),
    ..LedgerOptions::DEFAULT
};

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(seconds)
}

fn settings() -> Settings {
    Settings::new(Population::new(COUNTS).unwrap(), 1, at(300))
}

fn network(loss: f64) -> NetworkModel {
    NetworkModel::new(Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) }, loss)
}

struct Ended {
    figures: LedgerFigures,
    consensus: ConsensusFigures,
    /// By node.
    heights: Vec<u32>,
    bytes: usize,
    outcome: Outcome<Ledger>,
}

impl Ended {
    fn sent(&self, kind: &str) -> u64 {
        let ledger = ledger(OPTIONS, 0);
        let kind = ledger.kinds().iter().position(|&name| name == kind).expect("there is such a kind");
        self.outcome.slices.iter().map(|slice| slice.kind_total(Flow::Sent, kind).messages).sum()
    }

    /// How many of those submitted are neither committed nor known to be lost; some are still on their way.
    fn unaccounted(&self) -> i64 {
        let LedgerFigures { submitted, committed, committed_again, abandoned, dropped, rejected, .. } = self.figures;
        submitted as i64 - (committed - committed_again) as i64 - (abandoned + dropped + rejected) as i64
    }
}

fn ledger(options: LedgerOptions, partitions_log2: u32) -> Ledger {
    Ledger::new(Arc::new(DEGREES.graph(Population::new(COUNTS).unwrap(), partitions_log2, 3)), options)
}

#[track_caller]
fn run(options: LedgerOptions, network: &NetworkModel, settings: &Settings) -> Ended {
    let ledger = ledger(options, settings.partitions_log2());
    let outcome = Simulation::new(&ledger, network, settings.clone()).run().expect("nothing is lost or made up");
    let (mut figures, mut consensus) = (LedgerFigures::default(), ConsensusFigures::default());
    let (mut records, mut bytes) = (Vec::new(), 0);
    let mut heights = vec![0; settings.population.total() as usize];
    for (nodes, state) in &outcome.states {
        figures.merge(state.figures());
        consensus.merge(state.consensus().figures());
        records.extend_from_slice(state.consensus().records());
        bytes += ledger.state_bytes(state);
        nodes.iter().for_each(|here| heights[here.id as usize] = state.height(here.index));
    }
    by_height(&mut records, quorum(7)).unwrap_or_else(|fork| panic!("{fork}"));
    Ended { figures, consensus, heights, bytes, outcome }
}

fn outage(types: [bool; 4], share: f64, from: u64, until: Option<u64>) -> Outage {
    let (from_over, until_over) = (SimSpan::ZERO, SimSpan::ZERO);
    let nodes = NodeSet { types, share, number: 1, ..NodeSet::ALL };
    Outage { nodes, from: at(from), from_over, until: until.map(at), until_over, graceful: false }
}

#[test]
fn every_transaction_is_committed_once_and_everybody_gets_every_block() {
    for (pattern, rotates) in [(Pattern::Pbft, false), (Pattern::Pbft, true), (Pattern::Linear, true)] {
        let options =
            LedgerOptions { consensus: ConsensusOptions { pattern, rotates, ..OPTIONS.consensus }, ..OPTIONS };
        let ended = run(options, &network(0.0), &settings());
        let figures = &ended.figures;
        // 1 100 nodes and five minutes.
        assert!((5_000..6_000).contains(&figures.submitted), "{}", figures.submitted);
        assert_eq!([figures.abandoned, figures.dropped, figures.rejected, figures.refused, figures.invalid], [0; 5]);
        assert_eq!([figures.committed_again, figures.duplicates, figures.retried], [0; 3]);
        // What was submitted in the last interval and on the way to the leader is in no block yet.
        assert!((0..200).contains(&ended.unaccounted()), "{}", ended.unaccounted());
        let tip = ended.consensus.height_max;
        assert!((55..=60).contains(&tip) && figures.blocks == u64::from(tip), "{tip} heights");
        assert!(ended.heights.iter().all(|&height| height + 1 >= tip), "a block may be under way");
        let mut held = 0;
        for (node_type, count) in [(NodeType::FullNode, 30), (NodeType::LightNode, 1_000), (NodeType::MobileNode, 100)]
        {
            let hold = figures.hold(node_type).unwrap();
            assert_eq!((hold.passed_over, hold.switched), (0, 0));
            let expected = count * u64::from(tip);
            assert!((expected - count..=expected).contains(&hold.since_commit.count()), "{node_type}");
            let [p50, p99] = [50, 99].map(|percent| hold.since_commit.quantile(percent).unwrap());
            // Two or three ways of 10 to 100 ms after the commit: announcement, request, block, and the header.
            let ways = if node_type == NodeType::FullNode { 3 } else { 4 };
            assert!(
                p50 >= SimSpan::from_millis(10 * ways) && p99 <= SimSpan::from_millis(101 * ways * 9 / 8),
                "{p50} {p99}"
            );
            assert!(hold.since_proposal.quantile(50) > hold.since_commit.quantile(50));
            held += hold.since_commit.count();
        }
        assert!(ended.sent("header") <= CLIENTS * u64::from(tip) && held > 1_000 * u64::from(tip - 1));
        // At most an interval until the next block, and it is seen a little later.
        let [commit, seen] = [&figures.commit, &figures.seen].map(|spans| spans.mean().unwrap());
        assert!(commit > SimSpan::from_secs(2) && commit < SimSpan::from_secs(6), "{commit}");
        assert!(seen > commit + SimSpan::from_millis(40) && seen < commit + SimSpan::from_secs(1), "{seen}");
        assert!(figures.seen.count() <= figures.committed && figures.seen.count() + 200 > figures.committed);
    }
}

#[test]
fn nothing_can_be_seen_of_threads() {
    let of = |threads| {
        let mut settings = Settings { threads, end: at(120), ..settings() };
        settings.faults.outages = vec![outage([true; 4], 0.1, 20, Some(60))];
        let ended = run(OPTIONS, &network(0.03), &settings);
        (ended.outcome.digest, ended.figures, ended.consensus, ended.heights, ended.bytes)
    };
    let alone = of(1);
    assert!(alone.1.committed > 1_000 && alone.1.retried > 10, "{:?}", alone.1);
    assert_eq!(of(2), alone);
    assert_eq!(of(3), alone);
}

#[test]
fn what_is_lost_on_the_way_is_sent_again_and_committed_once() {
    let ended = run(OPTIONS, &network(0.05), &settings());
    let figures = &ended.figures;
    assert!(figures.retried > 300 && figures.duplicates > 50, "{figures:?}");
    assert!(figures.committed_again <= figures.committed / 1_000, "{figures:?}");
    assert!(figures.abandoned <= figures.submitted / 200, "{figures:?}");
    assert!((-100..400).contains(&ended.unaccounted()), "{}", ended.unaccounted());
    // A header that is lost is passed over with the next.
    let hold = figures.hold(NodeType::LightNode).unwrap();
    let share = hold.passed_over as f64 / hold.since_commit.count() as f64;
    assert!((0.04..0.07).contains(&share), "{share}");
}

#[test]
fn a_leader_that_crashes_takes_no_transactions_with_it_but_those_it_alone_had() {
    let mut settings = settings();
    // The first leader and another, of seven.
    let key = RandomKey::new(settings.seed, Domain::Fault);
    let supers = |number| NodeSet { types: [true, false, false, false], share: 0.3, number, ..NodeSet::ALL };
    let hits = |number, node| supers(number).contains(&key, node, NodeType::SuperNode, 0);
    let is_right = |&number: &u32| hits(number, 0) && (1..7).filter(|&node| hits(number, node)).count() == 1;
    let number = (0..1_000).find(is_right).expect("one of so many sets is right");
    settings.faults.outages = vec![Outage { nodes: supers(number), ..outage([true; 4], 0.0, 100, None) }];
    let ended = run(OPTIONS, &network(0.0), &settings);
    let down = ended.heights[..7].iter().filter(|&&height| height < 30).count();
    assert!(down == 2 && ended.heights[0] < 30, "the leader is among them: {:?}", &ended.heights[..7]);
    assert!(ended.consensus.view_changes > 0 && ended.consensus.height_max > 50);
    // Some batches were acknowledged by those who crashed.
    assert!(ended.unaccounted() < 300, "{} of {}", ended.unaccounted(), ended.figures.submitted);
    assert!(ended.figures.committed > 4_500, "{:?}", ended.figures.committed);
    let tip = ended.consensus.height_max;
    assert!(ended.heights[7..].iter().all(|&height| height + 1 >= tip), "other parents send the blocks");
}

#[test]
fn who_loses_its_parent_finds_another() {
    let mut settings = settings();
    settings.faults.outages = vec![outage([false, true, false, false], 0.4, 60, None)];
    let ended = run(LedgerOptions { check: Some(SimSpan::from_secs(20)), ..OPTIONS }, &network(0.0), &settings);
    let tip = ended.consensus.height_max;
    let behind = ended.heights[37..].iter().filter(|&&height| height + 1 < tip).count();
    let down = ended.heights[7..37].iter().filter(|&&height| height + 3 < tip).count();
    assert!((6..18).contains(&down), "{down} full nodes are down");
    assert!(ended.figures.hold(NodeType::LightNode).unwrap().switched > 200);
    // Who has no parent left, about 0.4^3 of all.
    assert!(behind < 200, "{behind} of {CLIENTS} follow nobody");
}

#[test]
fn what_finds_no_room_is_refused_and_counted() {
    let few = run(LedgerOptions { mempool_max: 20, block_max: 10, ..OPTIONS }, &network(0.0), &settings());
    assert!(few.figures.rejected > 3_000, "{:?}", few.figures);
    assert!(few.figures.committed <= 10 * few.figures.blocks && few.figures.committed > 8 * few.figures.blocks);
    let slow = LedgerOptions { validation: SimSpan::from_secs(3), queue_max: 5, ..OPTIONS };
    let slow = run(slow, &network(0.0), &settings());
    assert!(slow.figures.refused > 100 && slow.figures.abandoned > 100, "{:?}", slow.figures);
    // A full node validates no more than 100 in five minutes.
    assert!(slow.figures.validated <= 30 * 100 && slow.figures.validated > 2_000, "{:?}", slow.figures);
}

#[test]
fn who_does_not_submit_nor_look_takes_four_bytes() {
    let quiet = LedgerOptions { submissions: None, check: None, ..OPTIONS };
    let settings = Settings { end: at(1), ..settings() };
    let [busy, idle] = [OPTIONS, quiet].map(|options| run(options, &network(0.0), &settings));
    let pools = busy.bytes as i64 - idle.bytes as i64 - 16 * CLIENTS as i64;
    assert!((0..50_000).contains(&pools), "{} and {} bytes", busy.bytes, idle.bytes);
    // Five bytes a link, of which clients have three, and four a client.
    let links = 30 * 3 + CLIENTS * 3;
    assert!(idle.bytes as u64 - 5 * links - 4 * CLIENTS < 30 * 500 + 7 * 2_000, "{} bytes", idle.bytes);
}
