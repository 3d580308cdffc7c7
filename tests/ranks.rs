//! Runs over several ranks, which here are threads of one process: what they find together is what one process finds.

#[path = "ranks/hub.rs"]
mod hub;
#[path = "ranks/scaling.rs"]
mod scaling;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use qnetsim::contract::{Population, Share, SimSpan, SimTime};
use qnetsim::engine::regions::SAME_REGION;
use qnetsim::engine::{Latency, NetworkModel, Outcome, Progress, Ranks, Settings, Simulation};
use qnetsim::metrics::{EngineFigures, PointResult, RankFigures};
use qnetsim::protocols::rumour::PushGossip;
use qnetsim::scenario::build::{Watch, run_over, run_point};
use qnetsim::scenario::{Point, Scenario, load};

use hub::each_rank;

/// All of a result that is the same on every machine, and what ranks sent each other.
fn facts(result: &PointResult) -> (String, Option<RankFigures>) {
    let engine = EngineFigures { events: result.engine.events, ..EngineFigures::default() };
    let ranks = result.engine.ranks;
    (serde_json::to_string_pretty(&PointResult { engine, ..result.clone() }).unwrap(), ranks)
}

fn over(scenario: &Scenario, point: &Point, ranks: usize, threads: usize) -> PointResult {
    let mut results = each_rank(ranks, |ranks| {
        let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
        run_over(scenario, point, threads, &watch, ranks).expect("nothing is lost or made up")
    });
    assert!(results[1..].iter().all(Option::is_none), "rank 0 alone has the result");
    results.swap_remove(0).expect("rank 0 has the result")
}

fn scenario(file: &str, sets: &[&str]) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load(&path, &sets).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs all points of a scenario in one process and over ranks.
#[track_caller]
fn check(file: &str, sets: &[&str]) {
    let scenario = scenario(file, sets);
    for (number, point) in scenario.points.iter().enumerate() {
        let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
        let whole = run_point(&scenario, point, 1, &watch).expect("nothing is lost or made up");
        let (expected, alone) = facts(&whole);
        assert_eq!(alone, None);
        let shapes = [(2, 1), (3, 2), (4, 1)];
        for (ranks, threads) in [shapes[number % 3], shapes[(number + 1) % 3]] {
            let (found, figures) = facts(&over(&scenario, point, ranks, threads));
            let place = found.lines().zip(expected.lines()).find(|(one, other)| one != other);
            assert!(found == expected, "{} on {ranks} ranks of {threads} threads: {place:?}", point.label);
            let figures = figures.expect("there are several ranks");
            assert_eq!(figures.ranks, ranks);
            assert!(figures.remote_bytes >= 16 * figures.remote_messages, "{figures:?}");
        }
    }
}

/// Ranks meet after every window, so these have few.
const FEW_WINDOWS: [&str; 3] =
    ["network.latency={ model = 'uniform', min = '100ms', max = '300ms' }", "warmup=10s", "measure=20s"];

/// Two figures of each point of `scenario`, with its name.
fn of_each(scenario: &Scenario, figures: impl Fn(&Point) -> (u64, u64)) -> Vec<(&str, u64, u64)> {
    let named = scenario.points.iter().map(|point| {
        let (one, other) = figures(point);
        (point.label.as_str(), one, other)
    });
    named.collect()
}

/// What all ranks together hold of what their nodes share, and what of it each of them holds besides its own part: for each
/// point of `scenario`, with its name. What is found is that of one process.
fn held(scenario: &Scenario) -> Vec<(&str, u64, u64)> {
    let of_point = |point: &Point| {
        let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
        let whole = facts(&run_point(scenario, point, 2, &watch).unwrap()).0;
        let shared = [(2, 1), (3, 2), (4, 1)].map(|(ranks, threads)| {
            let (found, figures) = facts(&over(scenario, point, ranks, threads));
            assert_eq!(found, whole, "{} on {ranks} ranks of {threads} threads", point.label);
            figures.expect("there are several ranks").shared_bytes
        });
        let by_each = (shared[2] - shared[0]) / 2;
        // What is not held by each is held once; a rank more has the end of its rows more.
        assert!(shared[1].abs_diff(shared[0] + by_each) < 200, "{}: {shared:?}", point.label);
        (shared[0] - 2 * by_each, by_each)
    };
    of_each(scenario, of_point)
}

#[test]
fn a_rank_has_the_links_of_its_own_nodes_alone() {
    let links = |name: &str| match name {
        "flat-gossip" => 8 * 2_000,
        "ping" => 2_000,
        // Between all super nodes, of full nodes to super and full nodes, and of the others to full nodes.
        "hierarchical" => 10 * 9 + 100 * (2 + 32) + 4 * 1_890,
        "gossip" => 100 * 2 + 4 * 1_890,
        // Half of the nodes, about.
        _ => 3 * 950,
    };
    let tiers = ["tiers={ super = 10, full = 100, mobile = 90 }", "nodes=2000"];
    let all = "approaches=[\"flat-gossip\", \"ping\", \"hierarchical\", \"gossip\", \"sampled\"]";
    let sample = ["approach.sampled.rates=0.5"];
    for detection in ["timeline=10s", "detection={ detector = 'timeout' }", "detection={ detector = 'phi' }"] {
        let sets = [&FEW_WINDOWS[..], &tiers, &sample, &[all, detection]].concat();
        let scenario = scenario("scenarios/quickstart.toml", &sets);
        for (name, once, by_each) in held(&scenario) {
            assert!(once >= 8 * links(name), "{name}, {detection}: {once} bytes for {} links", links(name));
            // Who is where, who is tracked, and who sends to whom by type.
            let besides = 4 * 2_000 + 20 * 110 + 8 * 110 + 100;
            assert!(by_each <= besides, "{name}, {detection}: {by_each} bytes on every rank");
            assert!(!["flat-gossip", "ping"].contains(&name) || by_each < 100, "{name}: {by_each} bytes on every rank");
        }
    }
}

#[test]
fn mechanisms_have_the_links_of_a_ranks_own_nodes_alone() {
    let tiers = ["tiers={ super = 5, full = 20, mobile = 400 }", "nodes=1000", "warmup=0s", "measure=20s"];
    let sets = [&FEW_WINDOWS[..1], &tiers, &["approaches=[\"ledger\", \"mobile\", \"registry\"]"]].concat();
    let scenario = scenario("scenarios/quickstart.toml", &[&sets[..], &["approach.registry.users=100"]].concat());
    for (name, once, by_each) in held(&scenario) {
        let links = if name.starts_with("mobile") { 2 * 400 } else { 3 * 975 };
        assert!(once >= 8 * links, "{name}: {once} bytes for {links} links");
        // Users and shards are known by all.
        let besides = if name.starts_with("registry") { 6_000 } else { 20 * 25 + 100 };
        assert!(by_each <= besides, "{name}: {by_each} bytes on every rank");
    }
}

/// A way to other ranks that counts what goes there.
struct Counted<'a>(&'a dyn Ranks, AtomicU64);

impl Ranks for Counted<'_> {
    fn share(&self) -> Share {
        self.0.share()
    }

    fn max(&self, values: &mut [u64]) {
        self.0.max(values);
    }

    fn sum(&self, values: &mut [u64]) {
        self.0.sum(values);
    }

    fn swap(&self, outgoing: &[Vec<u8>], incoming: &mut [Vec<u8>]) {
        self.1.fetch_add(outgoing.iter().map(|bytes| bytes.len() as u64).sum(), Ordering::Relaxed);
        self.0.swap(outgoing, incoming);
    }
}

/// Bytes that rank 0 gets of three others when the run has ended, and those that the states of all nodes take, point by point.
fn gathered(scenario: &Scenario) -> Vec<(&str, u64, u64)> {
    let of_point = |point: &Point| {
        let outcomes = each_rank(4, |ranks| {
            let counted = Counted(ranks, AtomicU64::new(0));
            let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
            let result = run_over(scenario, point, 1, &watch, &counted).expect("nothing is lost or made up");
            (result, counted.1.into_inner())
        });
        let sent: u64 = outcomes.iter().map(|(_, bytes)| bytes).sum();
        let result = outcomes[0].0.as_ref().expect("rank 0 has the result");
        let remote = result.engine.ranks.expect("there are several ranks").remote_bytes;
        (sent - remote, result.state_bytes)
    };
    of_each(scenario, of_point)
}

#[test]
fn rank_0_gathers_what_is_found_in_states_and_not_the_states() {
    let constant = "network.latency={ model = 'constant', delay = '300ms' }";
    let short = [constant, "warmup=0s", "measure=10s", "timeline=10s"];
    let tiers = ["nodes=6000", "tiers={ super = 5, full = 100, mobile = 3000 }"];
    let all = "approaches=[\"sampled\", \"discovery\", \"routing\", \"dissemination\", \"ledger\", \"kademlia\"]";
    let sets = ["approach.sampled.rates=0.9", "approach.kademlia.bootstrap=ideal", "approach.dissemination.every=5s"];
    let scenario = scenario("scenarios/quickstart.toml", &[&short[..], &tiers, &sets, &[all]].concat());
    for (name, gathered, states) in gathered(&scenario) {
        // Three quarters of the states are those of other ranks.
        assert!(gathered < states / 4, "{name}: {gathered} bytes went to rank 0, where states take {states}");
    }
}

#[test]
fn churn_loss_and_narrow_links_find_the_same_over_ranks() {
    check("tests/ranks/faults.toml", &[]);
}

#[test]
fn ranks_with_whole_regions_find_the_same_send_less_and_meet_seldom() {
    let scenario = scenario("tests/ranks/regions.toml", &[]);
    for (number, point) in scenario.points.iter().enumerate() {
        let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
        let whole = facts(&run_point(&scenario, point, 1, &watch).unwrap()).0;
        for (ranks, threads) in [(2, 1), (3, 2), (4, 1), (15, 1)].into_iter().skip(number % 2).step_by(2) {
            let result = over(&scenario, point, ranks, threads);
            let (found, figures) = facts(&result);
            assert_eq!(found, whole, "{} on {ranks} ranks of {threads} threads", point.label);
            let figures = figures.expect("there are several ranks");
            if ranks > 13 {
                // More ranks than regions.
                assert_eq!((figures.lookahead, figures.meetings >= figures.windows), (SAME_REGION, true));
                continue;
            }
            // Windows are of 0.2 ms, and no two of these regions are nearer to each other than 5 ms.
            assert!(figures.lookahead >= SimSpan::from_millis(4), "{figures:?}");
            let stretches = SimSpan::from_secs(20).as_nanos().div_ceil(figures.lookahead.as_nanos());
            assert!(figures.meetings <= stretches + 1 && figures.meetings < figures.windows, "{figures:?}");
            assert!(figures.exchanges <= figures.meetings, "{figures:?}");
            let share = figures.remote_messages as f64 / result.engine.events as f64;
            assert!(share < 0.75 * (ranks - 1) as f64 / ranks as f64, "{share} of the events on {ranks} ranks");
        }
    }
}

#[test]
fn ranks_that_meet_in_the_middle_of_blocks_find_the_same() {
    // Windows of 4 ms, eight of them in a block, and nothing that keeps ranks apart.
    let latency = "network.latency={ model = 'uniform', min = '4ms', max = '1s' }";
    check("scenarios/quickstart.toml", &[latency, "nodes=300", "warmup=2s", "measure=3s"]);
}

#[test]
fn mechanisms_find_the_same_over_ranks() {
    for name in ["blocks", "routing", "kademlia"] {
        check(&format!("scenarios/small/{name}.toml"), &FEW_WINDOWS);
    }
    let placements = "approach.sharding.placement=[\"modulo\", \"consistent-hashing\"]";
    let few_records = ["measure=70s", "approach.sharding.records=200", placements];
    check("scenarios/small/sharding.toml", &[&FEW_WINDOWS[..1], &few_records].concat());
    let spreads = ["nodes=500", "approach.dissemination.spread=[\"pull\", \"mesh\"]"];
    check("scenarios/small/dissemination.toml", &[&FEW_WINDOWS[..], &spreads].concat());
}

#[test]
fn devices_find_the_same_over_ranks() {
    check(
        "scenarios/small/mobile.toml",
        &[&FEW_WINDOWS[..1], &["nodes=300", "tiers.mobile=200", "measure=130min"]].concat(),
    );
    let users = ["nodes=300", "approach.registry.users=500", "approach.registry.shards=8", "measure=60s"];
    check("scenarios/small/registry.toml", &[&FEW_WINDOWS[..1], &users].concat());
}

#[test]
fn all_layers_together_find_the_same_over_ranks() {
    check("scenarios/small/recommended.toml", &[&FEW_WINDOWS[..], &["nodes=400"]].concat());
}

#[test]
fn those_that_judge_find_the_same_over_ranks() {
    let sets = [FEW_WINDOWS[0], "warmup=20s", "measure=40s", "nodes=300"];
    check("scenarios/small/liveness.toml", &sets);
}

#[test]
fn ranks_agree_on_all_windows_and_messages_take_few_bytes() {
    let network = NetworkModel::new(Latency::Constant(SimSpan::from_millis(50)), 0.0);
    let protocol = PushGossip::new(8);
    let run = |ranks: Option<&dyn Ranks>| -> Outcome<PushGossip> {
        let share = ranks.map_or(Share::WHOLE, Ranks::share);
        let settings = Settings { share, ..Settings::new(Population::flat(3_000), 1, SimTime::MAX) };
        let simulation = Simulation::new(&protocol, &network, settings);
        let simulation = match ranks {
            Some(ranks) => simulation.over(ranks, false),
            None => simulation,
        };
        simulation.run().expect("nothing is lost or made up")
    };
    let whole = run(None);
    for ranks in [2, 3] {
        let outcomes = each_rank(ranks, |ranks| {
            let Outcome { digest, windows, remote, events, .. } = run(Some(ranks));
            (digest, windows, remote, events)
        });
        let (digest, windows, remote, events) = outcomes[0];
        assert_eq!((digest, windows, events), (whole.digest, whole.windows, whole.events));
        assert!(outcomes.iter().all(|outcome| (outcome.1, outcome.2) == (windows, remote)));
        let expected = events as f64 * (ranks - 1) as f64 / ranks as f64;
        assert!((remote.messages as f64 / expected - 1.0).abs() < 0.1, "{remote:?} of {events} events");
        assert!(remote.bytes <= 24 * remote.messages && remote.exchanges <= windows, "{remote:?}");
    }
}
