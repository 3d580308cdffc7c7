//! The engine against the reference engine, on thousands of random runs: the same events, in the same order.

mod chatter;
mod reference;

use std::sync::atomic::{AtomicU64, Ordering};

use chatter::case::{Case, Links, Resolved, whole_state};
use chatter::{Chatter, Entry, Trace};
use qnetsim::engine::Outcome;
use qnetsim::metrics::{Flow, Traffic, Turn};

#[test]
fn thousands_of_random_runs_equal_the_reference() {
    Case::check_many(2_000, false, |case| {
        check(case);
    });
}

#[test]
fn thousands_of_random_runs_with_faults_equal_the_reference() {
    let seen = [const { AtomicU64::new(0) }; 8];
    Case::check_many(2_000, true, |case| {
        let outcome = check(case);
        let total = |flow| outcome.slices.iter().map(|slice| slice.total(flow).messages).sum();
        let turns = |turn| outcome.lives.iter().filter(|event| event.turn == turn).count() as u64;
        let drops = Flow::DROPS.map(total);
        let turns = [Turn::Joined, Turn::Left, Turn::Crashed].map(turns);
        for (sum, more) in seen.iter().zip(drops.into_iter().chain(turns)) {
            sum.fetch_add(more, Ordering::Relaxed);
        }
    });
    let seen = seen.map(AtomicU64::into_inner);
    assert!(seen.iter().all(|&times| times > 500), "every cause of a drop and every turn comes up: {seen:?}");
}

/// Small runs are handled by one thread whatever the settings, because handing them out would take longer.
#[test]
fn windows_with_enough_events_for_all_threads_equal_the_reference() {
    let chatter = Chatter { starters: 3_000, energy: 12, fanout: 3, timers: 3, span: 1_000_000, one_kind: false };
    for (seed, links) in [(1, Links::Constant(1_000_000)), (2, Links::Uniform(1_000_000, 3_000_000))] {
        let case = Case {
            counts: [10, 500, 2_000, 800],
            seed,
            links,
            loss: 0.01,
            faults: None,
            chatter: chatter.clone(),
            end: None,
            boundaries: Vec::new(),
            measured: (0, 0),
            shapes: vec![(1, 5), (2, 1), (2, 3), (3, 4), (8, 3), (8, 5)],
        };
        check(&case);
    }
}

fn check(case: &Case) -> Outcome<Chatter, Trace> {
    let resolved = case.resolve();
    let (world, end) = (case.world(&resolved.settings), resolved.settings.end);
    let reference: reference::Outcome<Chatter, Trace> =
        reference::run_in(&world, &case.chatter, &resolved.network, case.population(), case.seed, end);
    assert!(reference.probe.entries.is_sorted(), "the reference goes in total order");
    let first = check_shape(case, &resolved, &reference, (1, 0));
    for &shape in &case.shapes {
        let other = check_shape(case, &resolved, &reference, shape);
        assert_eq!(other.digest, first.digest, "the digest with (threads, log2 of partitions) = {shape:?}");
        assert_eq!(other.slices, first.slices);
        assert_eq!(other.bandwidth, first.bandwidth);
        assert_eq!(other.delays, first.delays);
        assert_eq!(other.windows, first.windows);
        assert_eq!(other.lives, first.lives);
    }
    first
}

fn check_shape(
    case: &Case,
    resolved: &Resolved,
    reference: &reference::Outcome<Chatter, Trace>,
    shape: (usize, u32),
) -> Outcome<Chatter, Trace> {
    let mut outcome = resolved.run(&case.chatter, shape);
    let mut trace: Vec<Entry> = outcome.probes.iter().flat_map(|probe| &probe.entries).copied().collect();
    // Stable, so the order within each node stays as the engine had it: a node is of one lane.
    trace.sort_by_key(|entry| entry.to);
    let mut expected = reference.probe.entries.clone();
    expected.sort_by_key(|entry| entry.to);
    check_equal(&trace, &expected, "the order within a node");
    trace.sort_unstable();
    check_equal(&trace, &reference.probe.entries, "the total order");
    let state = whole_state(&mut outcome);
    assert_eq!(state.seen, reference.state.seen, "what nodes saw");
    let mut sent = reference.state.sent.clone();
    sent.sort_unstable();
    assert_eq!(state.sent, sent, "what nodes sent");
    assert_eq!(outcome.events, reference.events);
    assert_eq!(outcome.in_flight, reference.in_flight);
    let mut total = Traffic::new(reference.messages.len());
    outcome.slices.iter().for_each(|slice| total += slice);
    for (kind, counts) in reference.messages.iter().enumerate() {
        let directions = total.directions(|traffic, flow| traffic.kind_total(flow, kind));
        assert_eq!(directions.map(|(_, count)| count.messages), *counts, "sent, received and lost of kind {kind}");
    }
    outcome
}

/// Names the first difference instead of printing two traces.
fn check_equal(trace: &[Entry], expected: &[Entry], what: &str) {
    let different = trace.iter().zip(expected).position(|(one, other)| one != other);
    if let Some(place) = different {
        panic!("{what}: event {place} is {:?} instead of {:?}", trace[place], expected[place]);
    }
    assert_eq!(trace.len(), expected.len(), "{what}: number of events");
}
