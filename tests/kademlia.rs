//! Kademlia on the engine: who joins finds their place, lookups find the closest, and nothing depends on threads.

use qnetsim::contract::{NodeId, Nodes, Population, Protocol, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet, Outage, Schedule};
use qnetsim::engine::{Distribution, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::{Flow, Turn};
use qnetsim::protocols::kademlia::lookup::Purpose;
use qnetsim::protocols::kademlia::wire::{CONTACT_LEN, HEAD_LEN};
use qnetsim::protocols::kademlia::{Bootstrap, Kademlia, KademliaFigures, KademliaOptions, LookupRecord, Publishing};

const PING: usize = 0;
const PONG: usize = 1;
const FIND_NODE: usize = 2;
const NODES: usize = 3;
const STORE: usize = 4;
const STORED: usize = 5;
const FIND_VALUE: usize = 6;
const VALUE: usize = 7;

const OPTIONS: KademliaOptions = KademliaOptions {
    k: 8,
    refresh: None,
    lookups: Some(SimSpan::from_secs(20)),
    records_max: u16::MAX,
    ..KademliaOptions::PAPER
};

const VALUES: Publishing = Publishing {
    values: 300,
    len: 64,
    over: SimSpan::from_secs(10),
    again: None,
    lookups: Some(SimSpan::from_secs(20)),
    kept_max: 100,
};

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn network(loss: f64) -> NetworkModel {
    NetworkModel::new(Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) }, loss)
}

fn settings(members: u32, secs: u64) -> Settings {
    Settings::new(Population::flat(members), 5, at(secs))
}

/// Three in ten nodes are gone for good between 20 and 21 s.
fn outage() -> Schedule {
    let outage = Outage {
        nodes: NodeSet { share: 0.3, ..NodeSet::ALL },
        from: at(20),
        from_over: SimSpan::from_secs(1),
        until: None,
        until_over: SimSpan::ZERO,
        graceful: false,
    };
    Schedule { churns: Vec::new(), outages: vec![outage] }
}

fn kademlia(settings: &Settings, options: KademliaOptions, bootstrap: Bootstrap) -> Kademlia {
    Kademlia::new(settings.population, options, bootstrap, settings.seed)
}

fn run(kademlia: &Kademlia, loss: f64, settings: Settings) -> Outcome<Kademlia> {
    Simulation::new(kademlia, &network(loss), settings).run().expect("nothing is lost or made up")
}

fn figures(outcome: &Outcome<Kademlia>) -> KademliaFigures {
    let mut figures = KademliaFigures::default();
    outcome.states.iter().for_each(|(_, state)| figures.merge(state.figures()));
    figures
}

/// The lookups that were recorded, by time and node.
fn records(outcome: &Outcome<Kademlia>) -> Vec<LookupRecord> {
    let mut records: Vec<_> = outcome.states.iter().flat_map(|(_, state)| state.records()).cloned().collect();
    records.sort_by_key(|record| (record.ended, record.node, record.purpose));
    records
}

/// Which share of the lookups for nodes that ended after `since` found nobody farther than the closest of all that had
/// been up for at least `settled` when it ended.
fn success(kademlia: &Kademlia, outcome: &Outcome<Kademlia>, since: SimTime, settled: SimSpan) -> f64 {
    let is_settled = |node: NodeId, time: SimTime| {
        let turns = outcome.lives.iter().filter(|life| life.node == node && life.time <= time);
        let last = turns.max_by_key(|life| life.time);
        last.is_none_or(|life| life.turn == Turn::Joined && time.since(life.time) >= settled)
    };
    let records = records(outcome);
    let of = records.iter().filter(|record| record.purpose == Purpose::Node && record.ended >= since);
    let is_right = |record: &&LookupRecord| {
        let closest = kademlia.keys().closest(&record.target, |node| is_settled(node, record.ended));
        let is_farther = |other| kademlia.keys().compare(&record.target, record.closest, other).is_gt();
        record.found && !closest.is_some_and(is_farther)
    };
    let (right, all) = (of.clone().filter(is_right).count(), of.count());
    assert!(all > 200, "only {all} lookups");
    right as f64 / all as f64
}

fn sent(outcome: &Outcome<Kademlia>, kind: usize) -> u64 {
    outcome.slices.iter().map(|slice| slice.kind_total(Flow::Sent, kind).messages).sum()
}

#[test]
fn where_nothing_fails_every_lookup_finds_the_closest_and_every_request_is_accounted_for() {
    let settings = settings(1_000, 60);
    let kademlia = kademlia(&settings, OPTIONS, Bootstrap::Ideal);
    let outcome = run(&kademlia, 0.0, settings);
    assert_eq!(success(&kademlia, &outcome, SimTime::ZERO, SimSpan::ZERO), 1.0);
    let figures = figures(&outcome);
    let lookups = figures.lookups(Purpose::Node);
    assert!((2_000..4_000).contains(&lookups.finished), "every 20 s: {}", lookups.finished);
    assert_eq!(lookups.found, lookups.finished);
    let under_way = sent(&outcome, FIND_NODE) - lookups.requests.sum();
    assert!(under_way < 500, "{under_way} are of lookups that have not ended");
    assert!(sent(&outcome, FIND_NODE).abs_diff(sent(&outcome, NODES)) < 100);
    assert_eq!(sent(&outcome, PING), figures.checks);
    assert!(sent(&outcome, PING).abs_diff(sent(&outcome, PONG)) < 200);
    assert_eq!([STORE, STORED, FIND_VALUE, VALUE].map(|kind| sent(&outcome, kind)), [0; 4]);
    let others = [figures.rejected, figures.unasked, figures.skipped, figures.evicted, figures.failed, figures.refused];
    assert_eq!((others, lookups.timeouts), ([0; 6], 0));
    let bytes = |kind| outcome.slices[0].kind_total(Flow::Sent, kind).bytes;
    assert_eq!(bytes(FIND_NODE), (HEAD_LEN as u64 + 32) * sent(&outcome, FIND_NODE));
    assert_eq!(bytes(NODES), (HEAD_LEN + 8 * CONTACT_LEN) as u64 * sent(&outcome, NODES));
    let latency = [50, 99].map(|percent| lookups.latency.quantile(percent).unwrap());
    assert!(latency[0] > SimSpan::from_millis(200) && latency[1] < SimSpan::from_secs(2), "{latency:?}");
}

#[test]
fn nodes_that_join_one_after_the_other_find_their_places_and_each_other() {
    let mut settings = settings(1_000, 120);
    settings.boundaries = vec![at(60)];
    let kademlia = kademlia(&settings, OPTIONS, Bootstrap::Joins(SimSpan::from_secs(60)));
    let outcome = run(&kademlia, 0.0, settings);
    assert_eq!(figures(&outcome).lookups(Purpose::Join).found, 999, "all but the first");
    assert!(success(&kademlia, &outcome, at(62), SimSpan::ZERO) > 0.999);
    let ideal = Kademlia::new(Population::flat(1_000), OPTIONS, Bootstrap::Ideal, 5);
    let ideal = ideal.state(Nodes::all(Population::flat(1_000)));
    let mut entries = [0, 0];
    for (nodes, state) in &outcome.states {
        for here in nodes.iter() {
            assert!(state.has_joined(here.index));
            let (own, best) = (state.table(here.index).contacts(), ideal.table(here.id as usize).contacts());
            entries[0] += own.len();
            entries[1] += best.len();
        }
    }
    assert!(entries[0] <= entries[1] && entries[0] * 100 > entries[1] * 97, "{entries:?}");
}

#[test]
fn lookups_go_on_when_a_third_of_the_nodes_is_gone() {
    let mut settings = settings(1_000, 180);
    settings.faults = outage();
    let options = KademliaOptions { values: Some(VALUES), ..OPTIONS };
    let kademlia = kademlia(&settings, options, Bootstrap::Ideal);
    let outcome = run(&kademlia, 0.0, settings);
    let gone = outcome.lives.len();
    assert!((200..400).contains(&gone), "{gone}");
    assert!(success(&kademlia, &outcome, at(22), SimSpan::ZERO) > 0.99);
    let figures = figures(&outcome);
    assert!(figures.failed > 1_000 && figures.evicted > 1_000, "{} and {}", figures.failed, figures.evicted);
    // All eight keepers of a value are gone with a chance of 0.3^8.
    let values: Vec<_> = records(&outcome)
        .into_iter()
        .filter(|record| matches!(record.purpose, Purpose::Value { .. }) && record.ended > at(22))
        .collect();
    let found = values.iter().filter(|record| record.found).count();
    assert!(values.len() > 3_000 && found * 1_000 > values.len() * 998, "{found} of {}", values.len());
    // Those who are gone are forgotten by those who had to do with them.
    let is_gone = |node: NodeId| outcome.lives.iter().any(|life| life.node == node);
    let (mut stale, mut known) = (0, 0);
    for (nodes, state) in &outcome.states {
        for here in nodes.iter().filter(|here| !is_gone(here.id)) {
            let contacts = state.table(here.index).contacts();
            known += contacts.len();
            stale += contacts.iter().filter(|&&other| is_gone(other)).count();
        }
    }
    assert!(stale * 100 < known * 15, "{stale} of {known}; it was three in ten");
}

#[test]
fn values_are_found_by_everyone() {
    let settings = settings(500, 60);
    let options = KademliaOptions { values: Some(VALUES), lookups: None, ..OPTIONS };
    let kademlia = kademlia(&settings, options, Bootstrap::Ideal);
    let outcome = run(&kademlia, 0.0, settings);
    let figures = figures(&outcome);
    assert_eq!(figures.lookups(Purpose::Publish { value: 0 }).finished, 300);
    assert_eq!((figures.failed, figures.evicted), (0, 0), "everybody answers, also those who have the value as well");
    assert_eq!((figures.stored, figures.refused), (8 * 300, 0));
    assert!(figures.stored.abs_diff(sent(&outcome, STORE)) < 100, "a node may be among the closest itself");
    assert_eq!(sent(&outcome, STORE), sent(&outcome, STORED));
    let lookups = figures.lookups(Purpose::Value { value: 0 });
    assert!(lookups.finished > 1_000);
    // One that is published in the last moment of the ten seconds may be looked for in the next.
    assert!(lookups.finished - lookups.found < 5, "{} of {}", lookups.found, lookups.finished);
    assert!(lookups.requests.mean().unwrap() < 8.0, "a lookup ends with the first who has it");
    assert!(sent(&outcome, FIND_VALUE) > 1_000 && sent(&outcome, VALUE) > 1_000);
    let kept: usize = outcome
        .states
        .iter()
        .flat_map(|(nodes, state)| nodes.iter().map(|here| state.values(here.index).map_or(0, |values| values.len())))
        .sum();
    assert_eq!(kept, 8 * 300);
}

#[test]
fn messages_that_are_lost_cost_contacts_and_time_but_hardly_any_success() {
    let settings = settings(1_000, 120);
    let kademlia = kademlia(&settings, OPTIONS, Bootstrap::Ideal);
    let outcome = run(&kademlia, 0.05, settings);
    let found = success(&kademlia, &outcome, SimTime::ZERO, SimSpan::ZERO);
    // The closest answers neither a request nor its repetition in one lookup of a hundred, and is taken for down by it.
    assert!((0.98..1.0).contains(&found), "{found}");
    let figures = figures(&outcome);
    let lookups = figures.lookups(Purpose::Node);
    let asked = (lookups.requests.sum() - figures.repeated) as f64;
    let (repeated, lost) = (figures.repeated as f64 / asked, lookups.timeouts as f64 / asked);
    // A request or its answer is lost 0.0975 of the time, and both tries 0.0095 of the time; but those that go to far nodes
    // are not waited for at the end.
    assert!((0.08..0.105).contains(&repeated) && (0.006..0.0105).contains(&lost), "{repeated} {lost}");
}

fn churn() -> Schedule {
    let seconds = |mean| Distribution::Exponential { mean };
    let churn =
        Churn { nodes: NodeSet::ALL, session: seconds(300.0), absence: seconds(100.0), graceful: 0.5, steady: true };
    Schedule { churns: vec![churn], outages: Vec::new() }
}

#[test]
fn tables_and_values_outlive_churn() {
    let mut settings = settings(1_000, 600);
    settings.faults = churn();
    let values = Publishing { again: Some(SimSpan::from_secs(60)), lookups: Some(SimSpan::from_secs(60)), ..VALUES };
    let options = KademliaOptions {
        lookups: Some(SimSpan::from_secs(60)),
        values: Some(values),
        refresh: Some(SimSpan::from_secs(60)),
        ..OPTIONS
    };
    let kademlia = kademlia(&settings, options, Bootstrap::Ideal);
    let outcome = run(&kademlia, 0.0, settings);
    let [found, found_settled] = [0, 10].map(|secs| success(&kademlia, &outcome, at(100), SimSpan::from_secs(secs)));
    // Who has just come back is not known to all of its neighbours yet.
    assert!(found > 0.9 && found_settled > 0.98, "{found}, and {found_settled} of those up for ten seconds");
    let figures = figures(&outcome);
    assert!(figures.lookups(Purpose::Refresh).finished > 5_000 && figures.aborted > 0);
    let of_values = figures.lookups(Purpose::Value { value: 0 });
    let share = of_values.found as f64 / of_values.finished as f64;
    // A quarter of the publishers are away, and what they published goes with its keepers.
    assert!(share > 0.94, "{share}");
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    let mut settings = settings(400, 60);
    settings.faults = churn();
    settings.boundaries = vec![at(20)];
    let values = Publishing { again: Some(SimSpan::from_secs(20)), over: SimSpan::from_secs(5), ..VALUES };
    let options = KademliaOptions { values: Some(values), refresh: Some(SimSpan::from_secs(20)), ..OPTIONS };
    for bootstrap in [Bootstrap::Ideal, Bootstrap::Joins(SimSpan::from_secs(20))] {
        let kademlia = kademlia(&settings, options, bootstrap);
        let bytes = |outcome: &Outcome<Kademlia>| -> usize {
            outcome.states.iter().map(|(_, state)| kademlia.state_bytes(state)).sum()
        };
        let expected = run(&kademlia, 0.02, settings.clone());
        assert!(records(&expected).len() > 1_000);
        let layouts = [1, 2, 3].map(|threads| (threads, None)).into_iter().chain([0, 1, 4].map(|log2| (2, Some(log2))));
        for (threads, partitions_log2) in layouts {
            let settings = Settings { threads, partitions_log2, ..settings.clone() };
            let outcome = run(&kademlia, 0.02, settings);
            let layout = format!("{threads} threads, {} partitions", outcome.partitions);
            assert_eq!(outcome.digest, expected.digest, "{layout}");
            assert_eq!(outcome.slices, expected.slices, "{layout}");
            assert_eq!(figures(&outcome), figures(&expected), "{layout}");
            assert_eq!(records(&outcome), records(&expected), "{layout}");
            assert_eq!(bytes(&outcome), bytes(&expected), "{layout}");
        }
    }
}

#[test]
fn one_node_alone_and_two_find_what_there_is() {
    for bootstrap in [Bootstrap::Ideal, Bootstrap::Joins(SimSpan::from_secs(1)), Bootstrap::Joins(SimSpan::ZERO)] {
        for members in [1, 2] {
            let settings = settings(members, 100);
            let values = Publishing { values: 3, ..VALUES };
            let options = KademliaOptions { values: Some(values), refresh: Some(SimSpan::from_secs(10)), ..OPTIONS };
            let kademlia = kademlia(&settings, options, bootstrap);
            let outcome = run(&kademlia, 0.0, settings);
            let figures = figures(&outcome);
            assert_eq!(figures.stored, u64::from(3 * members), "{bootstrap:?}, {members}");
            let (nodes, values) = (figures.lookups(Purpose::Node), figures.lookups(Purpose::Value { value: 0 }));
            assert!(nodes.finished > 0 && values.found == values.finished);
            assert_eq!(nodes.found, if members == 1 { 0 } else { nodes.finished });
        }
    }
}

/// `cargo test --release --test kademlia -- --ignored --nocapture million`
#[test]
#[ignore = "takes 2 GB and a minute"]
#[expect(clippy::print_stdout, reason = "its figures are for whoever runs it")]
fn a_million_nodes_fit_and_find_each_other() {
    for members in [100_000, 1_000_000] {
        let settings = Settings { threads: 2, ..settings(members, 20) };
        let mean = SimSpan::from_secs(200);
        let options = KademliaOptions { k: 20, lookups: Some(mean), records_max: 0, ..OPTIONS };
        let kademlia = kademlia(&settings, options, Bootstrap::Ideal);
        let outcome = run(&kademlia, 0.0, settings);
        let figures = figures(&outcome);
        let lookups = figures.lookups(Purpose::Node);
        let bytes: usize = outcome.states.iter().map(|(_, state)| kademlia.state_bytes(state)).sum();
        let each = bytes / members as usize;
        println!(
            "{members} nodes: {each} bytes a node and {} for its id, {} lookups, {:?} requests, {:?} hops, {} events",
            kademlia.keys().bytes() / members as usize,
            lookups.finished,
            lookups.requests.mean(),
            lookups.hops.mean(),
            outcome.events,
        );
        assert!(each < 1_700, "{each}");
        assert_eq!(lookups.found, lookups.finished);
    }
}
