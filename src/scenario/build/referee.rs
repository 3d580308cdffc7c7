//! Every approach against the reference engine, on random scenarios: no deadline missed, the same events in the same order,
//! the same figures.
//!
//! The reference (`tests/reference`) runs any protocol; here it runs each as a scenario sets it up. Heartbeats that are
//! counted as a whole are left out, because it has no such thing.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{Aside, Found, Job, Layout, Ran, Watch, run_into};
use crate::contract::{NodeId, Nodes, Protocol, SimTime};
use crate::engine::trace::{Happening, Tracing};
use crate::engine::{Broadcast, Cause, Lives, NetworkModel, Outcome, Probe, Progress, Settings};
use crate::metrics::Traffic;
use crate::scenario::{Scenario, load};

mod deadlines;
#[path = "../../../tests/generated/options.rs"]
mod options;
#[path = "../../../tests/reference/mod.rs"]
mod reference;
#[path = "../../../tests/generated/scenarios.rs"]
mod scenarios;

use deadlines::Kept;
use scenarios::{Choice, any_scenario};

/// Scenarios of each choice, without `PROPTEST_CASES`.
const CASES: u32 = 25;

thread_local! {
    /// Whether runs of this thread are compared, how many events were, and how many deadlines were kept.
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static COMPARED: Cell<u64> = const { Cell::new(0) };
    static KEPT: Cell<Kept> = const { Cell::new(Kept::NONE) };
}

/// What happened at a node: time, node, sender, sequence, and what.
type Event = (SimTime, NodeId, NodeId, u32, Cause);

/// Keeps every event, in the total order, in which the reference handles them.
#[derive(Default)]
struct Seen(Vec<Event>);

impl Probe for Seen {
    fn on_event(&mut self, time: SimTime, to: NodeId, from: NodeId, sequence: u32, cause: Cause, _: u64) {
        self.0.push((time, to, from, sequence, cause));
    }
}

/// Checks that the reference makes of `protocol` what `outcome` says, and figures that `find` takes out of it; if this
/// thread is to.
pub(super) fn check<P: Protocol>(
    job: &Job<'_>,
    protocol: &P,
    network: &NetworkModel,
    outcome: &Ran<P>,
    found: &Found,
    find: impl Fn(&Ran<P>) -> Found,
) {
    if !IS_ON.get() || job.settings.broadcast == Broadcast::Counted {
        return;
    }
    let label = &job.point.label;
    let Settings { faults, population, placement, seed, end, capacity, header, .. } = job.settings.clone();
    let lives = Some(Lives::new(faults, population, placement, seed, end));
    let world = reference::World { lives, capacity, header, notes_dues: true };
    let reference: reference::Outcome<P, Seen> = reference::run_in(&world, protocol, network, population, seed, end);
    let sink = job.sink.expect("compared runs are traced");
    let records = &sink.log.borrow().records;
    // First, as what happens late makes all else differ too.
    KEPT.set(KEPT.get() + deadlines::check(label, records, &reference.dues, end, outcome.in_flight));
    let events: Vec<Event> = records.iter().filter_map(event).collect();
    let expected = reference.probe.0;
    if let Some(place) = events.iter().zip(&expected).position(|(one, other)| one != other) {
        panic!("{label}: event {place} is {:?} instead of {:?}", events[place], expected[place]);
    }
    assert_eq!(events.len(), expected.len(), "{label}: number of events");
    assert_eq!(outcome.events, reference.events, "{label}: number of events that the engine counts");
    assert_eq!(outcome.in_flight, reference.in_flight, "{label}: messages in flight");
    let mut total = Traffic::new(reference.messages.len());
    outcome.slices.iter().for_each(|slice| total += slice);
    for (kind, counts) in reference.messages.iter().enumerate() {
        let directions = total.directions(|traffic, flow| traffic.kind_total(flow, kind));
        assert_eq!(
            directions.map(|(_, count)| count.messages),
            *counts,
            "{label}: sent, received, lost of kind {kind}"
        );
    }
    let by_reference = find(&Outcome {
        states: vec![(Nodes::all(population), reference.state)],
        slices: outcome.slices.clone(),
        delays: outcome.delays.clone(),
        links: outcome.links.clone(),
        bandwidth: outcome.bandwidth,
        lives: outcome.lives.clone(),
        judgements: outcome.judgements.clone(),
        probes: vec![None],
        ..*outcome
    });
    let told = |found: &Found| format!("{:?} {:?}", found.samples, found.figures);
    assert_eq!(told(found), told(&by_reference), "{label}: what the protocol found");
    COMPARED.set(COMPARED.get() + expected.len() as u64);
}

/// What a node handled; `None` for what was sent or dropped.
fn event(record: &crate::engine::trace::Record) -> Option<Event> {
    let cause = match record.happening {
        Happening::Received => Cause::Message(usize::from(record.kind)),
        Happening::Timer => Cause::Timer,
        Happening::Turn(turn) => Cause::Turn(turn),
        Happening::Sent | Happening::Dropped(_) => return None,
    };
    Some((record.time, record.node, record.sender, record.sequence, cause))
}

fn compare(scenario: &Scenario) {
    let (progress, clock) = (Progress::default(), || 0.0);
    let watch = Watch { progress: &progress, clock: &clock };
    let tracing = Tracing { max: Tracing::MAX, rate: 1.0, seed: scenario.seed };
    // Links are kept by partition, and the reference has one.
    let layout = Layout { threads: 1, partitions_log2: Some(0) };
    for point in &scenario.points {
        let sink = super::Sink { tracing, log: std::cell::RefCell::default() };
        let aside = Aside { sink: Some(&sink), ..Aside::default() };
        run_into(scenario, point, layout, &watch, aside).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

fn compare_many(choice: Choice) {
    IS_ON.set(true);
    let mut config = Config { failure_persistence: None, rng_seed: RngSeed::Fixed(5), ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let outcome = TestRunner::new(config).run(&any_scenario(choice), |toml| {
        compare(&toml.scenario());
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(COMPARED.get() > 2_000, "only {} events were compared", COMPARED.get());
    KEPT.get().check_all_came_up();
}

#[test]
fn random_ways_of_keeping_a_network_alive_equal_the_reference() {
    compare_many(Choice::Liveness);
}

#[test]
fn random_mechanisms_equal_the_reference() {
    compare_many(Choice::Mechanisms);
}

#[test]
fn scenarios_that_once_failed_equal_the_reference() {
    IS_ON.set(true);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated/kept");
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            compare(&load(&path, &[]).unwrap_or_else(|error| panic!("{error}")));
        }
    }
    assert!(COMPARED.get() > 500, "only {} events were compared", COMPARED.get());
}
