//! Tests of the radio's ledger, against one that goes from millisecond to millisecond.

use proptest::prelude::*;

use super::*;

const LTE: RadioModel = RadioModel::LTE;

fn at(millis: u64) -> SimTime {
    SimTime::from_nanos(millis * 1_000_000)
}

/// Picojoules of a millisecond at so many milliwatts.
fn millisecond(mw: u64) -> u64 {
    mw * 1_000_000
}

/// What a radio that is first paged at `paged` takes until `end` if it transfers nothing at each of `times`, all in
/// milliseconds: written down from the table of the module, without any of its code.
fn by_milliseconds(paged: u64, times: &[u64], end: u64) -> (u64, u32) {
    let (mut energy, mut wakes, mut idle_from) = (0, 0, 0);
    let mut idle_until = Vec::new();
    for &time in times {
        if time >= idle_from {
            wakes += 1;
            energy += 260 * millisecond(1_210);
            idle_until.push((idle_from, time.saturating_sub(260).max(idle_from)));
        }
        idle_from = time + 10_120;
    }
    idle_until.push((idle_from, end.max(idle_from)));
    for milli in 0..end {
        let last = times.iter().rev().find(|&&time| time <= milli);
        energy += match last.map(|time| milli - time) {
            Some(0..100) => millisecond(1_200),
            Some(100) => millisecond(1_680),
            Some(101..120) => millisecond(1_060),
            Some(into @ 120..10_120) => millisecond(if (into - 120) % 40 < 2 { 1_680 } else { 1_060 }),
            _ => {
                let is_idle = idle_until.iter().any(|&(from, until)| (from..until).contains(&milli));
                millisecond(if is_idle && (milli + 1_280 - paged) % 1_280 < 43 { 594 } else { 0 })
            }
        };
    }
    (energy, wakes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_ledger_agrees_with_a_walk_over_every_millisecond(
        gaps in prop::collection::vec(prop_oneof![0u64..300, 9_900u64..10_700, 0u64..60_000], 0..8),
        rest in 0u64..15_000,
        paged in 0u32..1_280,
    ) {
        let mut ledger = RadioLedger { paged: paged * 1_000_000, ..RadioLedger::default() };
        let (mut now, mut times) = (0, Vec::new());
        for gap in gaps {
            now += gap;
            times.push(now);
            LTE.activity(&mut ledger, at(now), 0, 0);
        }
        let end = now + rest;
        let (energy, wakes) = by_milliseconds(u64::from(paged), &times, end);
        prop_assert_eq!((LTE.energy(&ledger, at(end)), ledger.wakes()), (energy, wakes));
    }

    #[test]
    fn energy_never_falls(times in prop::collection::vec(0u64..100_000, 1..30), bytes: u32, node: u32) {
        let (mut times, mut ledger, mut before) = (times, LTE.ledger(node), 0);
        times.sort_unstable();
        for &time in &times {
            let energy = LTE.energy(&ledger, at(time));
            prop_assert!(energy >= before);
            before = energy;
            LTE.activity(&mut ledger, at(time), bytes % 100_000, bytes / 100_000);
            prop_assert!(LTE.energy(&ledger, at(time)) >= before);
        }
    }
}

#[test]
fn a_wake_takes_what_the_table_says() {
    assert!(LTE.is_valid());
    assert_eq!(LTE.wake_energy(), 11_366_420_000_000);
    assert_eq!(LTE.tail() + LTE.promotion.span, SimSpan::from_millis(10_380));
    // Nothing but the wake: idling is subtracted.
    let mut ledger = LTE.ledger(3);
    LTE.activity(&mut ledger, at(50_000), 0, 0);
    let idle = |from, to| LTE.idling(&ledger, at(from), at(to));
    let expected = LTE.wake_energy() + idle(0, 49_740) + idle(60_120, 100_000);
    assert_eq!((LTE.energy(&ledger, at(100_000)), ledger.wakes()), (expected, 1));
}

#[test]
fn bytes_take_their_time_and_their_energy() {
    let mut ledger = LTE.ledger(0);
    let before = LTE.energy(&ledger, at(0));
    // A megabit each way: 177.3 ms up and 78.5 ms down at 1.2 W, and 0.43839 J and 0.05197 J besides.
    LTE.activity(&mut ledger, at(0), 125_000, 125_000);
    let joules = (LTE.energy(&ledger, ledger.idle_from) - before - LTE.wake_energy()) as f64 / 1e12;
    let seconds = 1.0 / 5.64 + 1.0 / 12.74;
    assert!((joules - (0.43839 + 0.05197 + 1.2 * seconds)).abs() < 1e-6, "{joules} J");
    assert!((ledger.idle_from.as_nanos() as f64 / 1e9 - 10.12 - seconds).abs() < 1e-6);
    // What comes while they flow follows them.
    let half = ledger;
    LTE.activity(&mut ledger, at(100), 125_000, 0);
    assert_eq!(ledger.idle_from, half.idle_from + LTE.up.span(125_000));
    assert_eq!(ledger.wakes(), 1);
}

#[test]
fn states_follow_each_other_and_tell_how_long_the_network_waits() {
    let mut ledger = RadioLedger { paged: 500_000_000, ..RadioLedger::default() };
    let millis = |span: SimSpan| span.as_nanos() as f64 / 1e6;
    // Idle: until the next paging, and the promotion.
    for (now, wait) in [(0, 500 + 260), (499, 261), (500, 260), (542, 260), (543, 1_237 + 260), (1_780, 260)] {
        assert_eq!(LTE.state(&ledger, at(now)), RadioState::Idle);
        assert_eq!(millis(LTE.wait_to_receive(&ledger, at(now))), f64::from(wait), "at {now} ms");
        assert_eq!(LTE.wait_to_send(&ledger, at(now)), LTE.promotion.span);
    }
    LTE.activity(&mut ledger, at(5_000), 0, 0);
    use RadioState::{Idle, LongDrx, Reception, ShortDrx};
    let after = [(0, Reception, 0), (99, Reception, 0), (100, ShortDrx, 0), (101, ShortDrx, 19), (119, ShortDrx, 1)];
    let long = [(120, LongDrx, 0), (121, LongDrx, 0), (122, LongDrx, 38), (10_119, LongDrx, 1)];
    for (into, state, wait) in after.into_iter().chain(long) {
        let now = at(5_000 + into);
        assert_eq!((LTE.state(&ledger, now), millis(LTE.wait_to_receive(&ledger, now))), (state, f64::from(wait)));
        assert_eq!(LTE.wait_to_send(&ledger, now), SimSpan::ZERO);
    }
    assert_eq!(LTE.state(&ledger, at(15_120)), Idle);
}

#[test]
fn nodes_are_paged_evenly_over_the_cycle() {
    let cycle = LTE.paging.cycle.as_nanos();
    let mut counts = [0; 10];
    for node in 0..10_000 {
        counts[(u64::from(LTE.ledger(node).paged) * 10 / cycle) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (990..=1_010).contains(count)), "{counts:?}");
    assert_eq!(size_of::<RadioLedger>(), 24);
}

#[test]
fn what_overflows_saturates() {
    let mut ledger = LTE.ledger(1);
    LTE.activity(&mut ledger, SimTime::from_nanos(u64::MAX / 2), u32::MAX, u32::MAX);
    LTE.activity(&mut ledger, SimTime::MAX, u32::MAX, u32::MAX);
    assert!(LTE.energy(&ledger, SimTime::MAX) > 0);
    let wrong = RadioModel { paging: Drx { cycle: SimSpan::ZERO, ..LTE.paging }, ..LTE };
    assert!(!wrong.is_valid());
    assert!(!RadioModel { up: Direction { rate: 0, ..LTE.up }, ..LTE }.is_valid());
}
