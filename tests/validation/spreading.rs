//! One rumour in synchronous rounds: after how many rounds everyone knows it.

use qnetsim::contract::{Population, SimSpan, SimTime};
use qnetsim::engine::{Latency, NetworkModel, Settings, Simulation};
use qnetsim::protocols::dissemination::{Exchange, Spread};

use crate::dissemination::{dissemination, figures, one_message};
use crate::sample::Sample;

const ROUND: SimSpan = SimSpan::from_secs(1);

/// The rounds until all of `nodes` know, once for every seed. `rounds_max` rounds are run.
fn rounds(exchange: Exchange, nodes: u32, seeds: u64, rounds_max: u64) -> Sample {
    let network = NetworkModel::new(Latency::Constant(SimSpan::from_millis(100)), 0.0);
    let last = |seed| {
        let settings = Settings::new(Population::flat(nodes), seed, SimTime::ZERO + ROUND * (rounds_max + 1));
        let spread = Spread::Rounds { exchange, period: ROUND, synchronous: true };
        let protocol = dissemination(nodes, one_message(spread), seed);
        let outcome = Simulation::new(&protocol, &network, settings).run().expect("nothing is lost or made up");
        let reached = figures(&outcome).coverage_time(1_000);
        assert_eq!(reached.messages, 1, "seed {seed}: {rounds_max} rounds are too few");
        // The message is published at the start; the first round begins a second later.
        (SimSpan::from_nanos(reached.longest) / ROUND) as f64
    };
    Sample((1..=seeds).map(last).collect())
}

/// Checks a mean against one that was computed elsewhere and rounded to 0.1. Four standard errors of ours, and one tenth
/// for theirs: a right result fails in fewer than one of ten thousand.
#[track_caller]
fn check(exchange: Exchange, nodes: u32, seeds: u64, rounds_max: u64, expected: f64) -> Sample {
    let sample = rounds(exchange, nodes, seeds, rounds_max);
    let (mean, error) = (sample.mean(), sample.error());
    assert!(error < 0.5, "the sample is large enough: ± {error}");
    assert!((mean - expected).abs() < 4.0 * error + 0.1, "{exchange:?} at {nodes}: {mean} ± {error}, not {expected}");
    sample
}

/// Bounds of the expected number of rounds of push on a complete graph: floor(log2 n) + ln n - 1.116 and
/// ceil(log2 n) + ln n + 2.765. Source: Doerr and Künnemann, "Tight analysis of randomized rumor spreading in complete
/// graphs" (ANALCO 2014).
#[track_caller]
fn check_bounds(nodes: u32, sample: &Sample) {
    let ln = libm::log(f64::from(nodes));
    let (low, high) = (f64::from(nodes.ilog2()) + ln - 1.116, f64::from(nodes.ilog2() + 1) + ln + 2.765);
    let (mean, margin) = (sample.mean(), 4.0 * sample.error());
    assert!(low <= mean + margin && mean - margin <= high, "{low} <= {mean} ± {margin} <= {high} at {nodes}");
}

/// Source: means of an independent Monte Carlo computation. 20 seeds; the confidence is that of
/// [`check`].
#[test]
fn at_ten_thousand_nodes_push_pull_and_both_take_the_rounds_that_were_computed() {
    let push = check(Exchange::Push, 10_000, 20, 34, 23.7);
    check_bounds(10_000, &push);
    check(Exchange::Pull, 10_000, 20, 30, 17.4);
    check(Exchange::PushPull, 10_000, 20, 17, 11.6);
}

/// Source: as at ten thousand nodes. 10 seeds.
#[test]
#[ignore = "takes a minute; cargo test --release --test validation -- --ignored spreading"]
fn at_a_hundred_thousand_nodes_push_pull_and_both_take_the_rounds_that_were_computed() {
    let push = check(Exchange::Push, 100_000, 10, 38, 29.4);
    check_bounds(100_000, &push);
    check(Exchange::Pull, 100_000, 10, 34, 21.4);
    check(Exchange::PushPull, 100_000, 10, 19, 14.0);
}
