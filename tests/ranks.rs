//! Runs over several ranks, which here are threads of one process: what they find together is what one process finds.

#[path = "ranks/hub.rs"]
mod hub;
#[path = "ranks/scaling.rs"]
mod scaling;

use std::path::Path;

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

#[test]
fn links_of_a_rank_alone_find_the_same_as_those_of_all() {
    // Without detectors, a rank has the links of its own nodes.
    let sets = [FEW_WINDOWS.as_slice(), &["approaches=[\"flat-gossip\", \"ping\"]", "nodes=2000"]].concat();
    let scenario = scenario("scenarios/quickstart.toml", &sets);
    for point in &scenario.points {
        let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
        let whole = facts(&run_point(&scenario, point, 2, &watch).unwrap()).0;
        let mut shared = Vec::new();
        for (ranks, threads) in [(1, 2), (2, 1), (3, 1), (4, 2)] {
            let (found, figures) = facts(&over(&scenario, point, ranks, threads));
            assert_eq!(found, whole, "{ranks} ranks of {threads} threads");
            shared.extend(figures.map(|figures| figures.shared_bytes));
        }
        // Each link is held once, and where the links of each node begin.
        assert!(shared.windows(2).all(|pair| pair[0].abs_diff(pair[1]) < 100), "{shared:?}");
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
    for name in ["blocks", "routing"] {
        check(&format!("scenarios/small/{name}.toml"), &FEW_WINDOWS);
    }
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
