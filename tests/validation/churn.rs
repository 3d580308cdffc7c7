//! Churn as the engine plays it out, against published sessions and the theory of renewals.

use qnetsim::contract::{Population, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet};
use qnetsim::engine::{Distribution, Latency, NetworkModel, Outcome, Settings, Simulation, published};
use qnetsim::metrics::Turn;

use crate::idle::Idle;
use crate::statistics::SIGMAS;

const NODES: u32 = 20_000;

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(seconds)
}

/// A run of `seconds` in which all nodes follow `churn`.
fn run(churn: Churn, seed: u64, seconds: u64) -> Outcome<Idle> {
    let mut settings = Settings::new(Population::flat(NODES), seed, at(seconds));
    settings.faults.churns = vec![churn];
    let network = NetworkModel::new(Latency::Constant(SimSpan::from_millis(100)), 0.0);
    Simulation::new(&Idle, &network, settings).run().expect("nothing is lost or made up")
}

/// The share of the nodes that is up at each of ten moments of a day with `churn`.
fn up_over_time(churn: Churn) -> Vec<f64> {
    let outcome = run(churn, 3, 86_400);
    let mut up = i64::from(NODES);
    let mut lives = outcome.lives.iter().peekable();
    let mut shares = Vec::new();
    for moment in 0..10 {
        while let Some(event) = lives.next_if(|event| event.time <= at(moment * 8_640)) {
            up += if event.turn == Turn::Joined { 1 } else { -1 };
        }
        shares.push(up as f64 / f64::from(NODES));
    }
    shares
}

/// Source: Cox, "Renewal theory" (1962), section 7.1: in the steady state a node is up with the chance mean session /
/// (mean session + mean absence), at every moment, whatever the distributions.
///
/// Confidence: sixty comparisons; five standard deviations are exceeded by chance once in thirty thousand such tests.
#[test]
fn a_steady_start_stays_steady_whatever_the_distributions() {
    let hour = 3_600.0;
    let absences = Distribution::Exponential { mean: hour };
    let sessions = [
        Distribution::Exponential { mean: 2.0 * hour },
        Distribution::Lognormal { median: hour, sigma: 1.2 },
        Distribution::Constant(1.5 * hour),
        published("flatout").unwrap(),
        published("debian").unwrap(),
        Distribution::Observed(vec![600.0, 7_200.0, 86_400.0].into()),
    ];
    for session in sessions {
        let expected = session.mean() / (session.mean() + hour);
        let absence = absences.clone();
        let churn = Churn { nodes: NodeSet::ALL, session: session.clone(), absence, graceful: 0.5, steady: true };
        for (moment, share) in up_over_time(churn).into_iter().enumerate() {
            let sigma = (expected * (1.0 - expected) / f64::from(NODES)).sqrt();
            assert!((share - expected).abs() < 5.0 * sigma, "{session:?} at {moment}: {share} instead of {expected}");
        }
    }
}

/// Source: arithmetic. Sessions of 3,600 s and absences of 1,800 s that all begin together make a period of 5,400 s.
#[test]
fn a_start_with_everyone_up_begins_with_whole_sessions() {
    let session = Distribution::Constant(3_600.0);
    let absence = Distribution::Constant(1_800.0);
    let churn = Churn { nodes: NodeSet::ALL, session, absence, graceful: 0.0, steady: false };
    let up = up_over_time(churn);
    // At 0 s and 17,280 s (3 periods of 5,400 s and 1,080 s) all are up, at 8,640 s (1 period and 3,240 s) as well.
    assert_eq!(&up[..3], [1.0, 1.0, 1.0]);
    assert_eq!(up[3], 0.0, "25,920 s are four periods and 4,320 s, in an absence");
}

/// Source: Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks" (IMC 2006): shapes and scales of Weibull
/// sessions in three swarms. The means and medians in minutes follow from them by an independent
/// computation; here they are those of the whole sessions that the engine plays out.
///
/// Confidence: the mean to within 4.9 standard errors (a false alarm in a million), of which the long tails of the
/// sessions make much: 1.8 to 4.1 means are their standard deviations. As for the median, the share of the sessions below
/// it is binomial; rounding it to a tenth of a minute moves that share by up to a quarter of a standard deviation.
#[test]
fn the_sessions_that_are_played_out_have_the_published_means_and_medians() {
    for (name, mean, median, deviations) in
        [("debian", 163.0, 16.2, 3.4), ("redhat", 119.0, 7.2, 4.1), ("flatout", 64.0, 22.5, 1.8)]
    {
        let absence = Distribution::Constant(30.0 * 86_400.0 * 100.0);
        let session = published(name).unwrap();
        let churn = Churn { nodes: NodeSet::ALL, session, absence, graceful: 0.0, steady: false };
        let outcome = run(churn, 5, 400 * 86_400);
        let minutes: Vec<f64> = outcome.lives.iter().map(|event| event.time.as_nanos() as f64 / 60e9).collect();
        assert_eq!(minutes.len(), NODES as usize, "every session ends");
        let count = f64::from(NODES);
        let measured = minutes.iter().fold(0.0, |sum, minutes| sum + minutes) / count;
        let tolerance = SIGMAS * deviations * mean / count.sqrt() + 0.5;
        assert!((measured - mean).abs() < tolerance, "{name}: mean {measured} instead of {mean} ± {tolerance}");
        let below = minutes.iter().filter(|&&minutes| minutes < median).count() as f64;
        let off = (below - count / 2.0) / (count / 4.0).sqrt();
        assert!(off.abs() < SIGMAS + 0.25, "{name}: {below} of {count} are below {median}, {off:.1} sigmas off");
    }
}
