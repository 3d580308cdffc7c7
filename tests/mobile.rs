//! Mobile nodes on the engine: what policies save and what they cost, and that threads and partitions cannot be seen.

use qnetsim::contract::{NodeType, Population, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet, Outage, Schedule};
use qnetsim::engine::{Distribution, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::{Detection, Flow, Stage, Truth};
use qnetsim::protocols::mobile::figures::MobileFigures;
use qnetsim::protocols::mobile::policy::WakePolicy;
use qnetsim::protocols::mobile::{Mobile, MobileOptions};
use qnetsim::topologies::TierDegrees;

const HOUR: u64 = 3_600;
const POLICIES: [WakePolicy; 4] = [
    WakePolicy::PING,
    WakePolicy::ADAPTIVE,
    WakePolicy::Piggyback { silence: SimSpan::from_secs(HOUR) },
    WakePolicy::Push { check: SimSpan::from_secs(HOUR) },
];

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn settings(secs: u64) -> Settings {
    let mut settings = Settings::new(Population::new([2, 20, 10, 500]).unwrap(), 9, at(secs));
    settings.judgements = true;
    settings
}

fn run(options: MobileOptions, loss: f64, settings: &Settings) -> (Outcome<Mobile>, MobileFigures) {
    let degrees = TierDegrees { full_peers: 0, super_parents: 0, light_parents: 2, mesh: false };
    let (population, log2) = (settings.population, settings.partitions_log2());
    let graph = degrees.children_graph(population, log2, settings.seed, None, NodeType::MobileNode);
    let mobile = Mobile::new(graph, options);
    let latency = Latency::Uniform { min: SimSpan::from_millis(20), max: SimSpan::from_millis(80) };
    let network = NetworkModel::new(latency, loss);
    let outcome = Simulation::new(&mobile, &network, settings.clone()).run().expect("nothing is lost or made up");
    let mut figures = MobileFigures::default();
    outcome.states.iter().for_each(|(_, state)| figures.merge(&mobile.figures(state, settings.end)));
    (outcome, figures)
}

/// Seconds until half of the verdicts on crashed nodes have fallen, and how many verdicts were wrong.
fn detection(outcome: &Outcome<Mobile>, settings: &Settings) -> (f64, u64) {
    let (population, end) = (settings.population, settings.end);
    let patience = [SimSpan::from_secs(3 * HOUR); 4];
    let truth = Truth { population, measured: SimTime::ZERO..end, end, patience, lives: &outcome.lives };
    let found = Detection::of("timeout", &truth, outcome.judgements.clone());
    let total = found.total();
    let stage = total.stages.iter().find(|stage| stage.stage == Stage::Down).expect("there are verdicts");
    assert_eq!((stage.never, stage.noticed), (0, total.failures), "every failure is noticed");
    let median = stage.each.expect("failures are noticed").p50;
    (median.as_secs_f64(), total.wrong.map_or(0, |wrong| wrong.verdicts))
}

#[test]
fn policies_save_energy_at_the_cost_of_time_until_failures_are_noticed() {
    let mut settings = settings(12 * HOUR);
    let crash = Outage {
        nodes: NodeSet { share: 0.1, ..NodeSet::ALL },
        from: at(6 * HOUR),
        from_over: SimSpan::from_secs(HOUR),
        until: None,
        until_over: SimSpan::ZERO,
        graceful: false,
    };
    let nodes = NodeSet { types: [false, false, false, true], ..crash.nodes.clone() };
    settings.faults = Schedule { churns: Vec::new(), outages: vec![Outage { nodes, ..crash }] };
    let results = POLICIES.map(|policy| {
        let (outcome, figures) = run(MobileOptions::new(policy), 0.0, &settings);
        let (delay, wrong) = detection(&outcome, &settings);
        assert_eq!((wrong, figures.counts.rejected), (0, 0), "{}", policy.name());
        (figures, delay)
    });
    let [ping, adaptive, piggyback, push] = &results;
    // Missed beats: 2.5 intervals after the last one, which was half an interval before, and half a look: see the table.
    for ((_, delay), (least, most)) in
        results.iter().zip([(60.0, 90.0), (1_150.0, 1_350.0), (6_300.0, 9_100.0), (6_300.0, 9_100.0)])
    {
        assert!((least..most).contains(delay), "{delay} s");
    }
    // A tenth of the nodes sends nothing for 5.5 of the 12 hours.
    let wakes = results.each_ref().map(|(figures, _)| figures.wakes_per_day());
    assert!((2_700.0..2_800.0).contains(&wakes[0]), "{wakes:?}");
    // Besides 144 heartbeats a day: six transactions, which rarely fall into a tail.
    assert!((135.0..148.0).contains(&wakes[1]), "{wakes:?}");
    assert!(wakes[2] < 40.0 && wakes[3] < 45.0, "{wakes:?}");
    let powers = results.each_ref().map(|(figures, _)| figures.mean_mw());
    assert!(powers[0] > 370.0 && powers[1] < 42.0 && powers[2] < 27.0 && powers[3] < 27.0, "{powers:?}");
    // News wait for half an interval where they are polled, and for the paging where they are pushed.
    let median = |figures: &MobileFigures| figures.counts.delay.quantile(50).unwrap().as_secs_f64();
    assert!((10.0..20.0).contains(&median(&ping.0)), "{}", median(&ping.0));
    assert!((250.0..350.0).contains(&median(&adaptive.0)), "{}", median(&adaptive.0));
    assert!(median(&piggyback.0) > 900.0, "{}", median(&piggyback.0));
    assert!((0.6..1.5).contains(&median(&push.0)), "{}", median(&push.0));
    for (figures, _) in &results {
        let counts = &figures.counts;
        assert!(counts.news > 1_000 && counts.delivered <= counts.news && counts.delivered > counts.news / 2);
    }
}

#[test]
fn each_policy_sends_what_it_says() {
    for policy in POLICIES {
        let settings = settings(6 * HOUR);
        let (outcome, figures) = run(MobileOptions::new(policy), 0.0, &settings);
        let sent = |kind| outcome.slices[0].kind_total(Flow::Sent, kind).messages;
        let counts = &figures.counts;
        assert_eq!(
            (sent(0), sent(1), sent(2), sent(3)),
            (counts.heartbeats, counts.transactions, counts.checks, counts.notices)
        );
        assert_eq!(outcome.judgements, [], "{}: nobody is taken for down", policy.name());
        // 500 nodes, a transaction and news every four hours for six hours: 750, standard deviation 27.
        assert!((640..860).contains(&counts.transactions) && (640..860).contains(&counts.news), "{counts:?}");
        let is_push = policy.name() == "push";
        assert_eq!(counts.checks > 0, is_push);
        assert_eq!(counts.piggybacked, if is_push || policy.name() == "piggyback" { counts.transactions } else { 0 });
    }
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    for policy in POLICIES {
        let mut settings = settings(3 * HOUR);
        let seconds = |mean| Distribution::Exponential { mean };
        let churn = Churn {
            nodes: NodeSet { share: 0.3, ..NodeSet::ALL },
            session: seconds(3_000.0),
            absence: seconds(600.0),
            graceful: 0.5,
            steady: true,
        };
        settings.faults = Schedule { churns: vec![churn], outages: Vec::new() };
        let options = MobileOptions {
            transactions: Some(SimSpan::from_secs(600)),
            news: Some(SimSpan::from_secs(600)),
            ..MobileOptions::new(policy)
        };
        let (expected, figures) = run(options, 0.05, &settings);
        assert!(expected.judgements.len() > 100 && figures.counts.delivered > 1_000);
        for (threads, partitions_log2) in [(1, Some(3)), (2, None), (2, Some(0)), (3, None)] {
            let settings = Settings { threads, partitions_log2, ..settings.clone() };
            let (outcome, other) = run(options, 0.05, &settings);
            let layout = format!("{}: {threads} threads, {} partitions", policy.name(), outcome.partitions);
            assert_eq!((outcome.digest, &outcome.judgements), (expected.digest, &expected.judgements), "{layout}");
            assert_eq!(other, figures, "{layout}");
        }
    }
}
