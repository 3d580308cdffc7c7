//! Dissemination on the engine: loss, churn, repair, memory, and that threads and partitions cannot be seen.

use std::collections::BTreeSet;

use qnetsim::contract::{NodeType, Placement, Population, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet, Schedule};
use qnetsim::engine::{Distribution, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::Flow;
use qnetsim::protocols::dissemination::{
    Dissemination, DisseminationFigures, DisseminationOptions, Exchange, MeshOptions, Publishing, Spread,
};
use qnetsim::topologies::{Clustering, Tier};

const NODES: u32 = 1_000;
const ROUND: SimSpan = SimSpan::from_secs(1);

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn spreads() -> [Spread; 6] {
    let rounds = |exchange| Spread::Rounds { exchange, period: ROUND, synchronous: false };
    [
        Spread::Push { fanout: 6 },
        Spread::Lazy { fanout: 6 },
        rounds(Exchange::Push),
        rounds(Exchange::Pull),
        rounds(Exchange::PushPull),
        Spread::Mesh(MeshOptions::ETHEREUM),
    ]
}

/// Thirty messages from 20 s on, one a second, for twenty seconds each.
fn options(spread: Spread, repair: Option<SimSpan>) -> DisseminationOptions {
    DisseminationOptions {
        spread,
        publishing: Publishing { messages: 30, size: 1_000, first: at(20), every: ROUND, sources: 30 },
        lifetime: SimSpan::from_secs(20),
        seen: 64,
        kept: 32,
        wanted: 8,
        timeout: SimSpan::from_millis(500),
        repair,
    }
}

fn settings() -> Settings {
    Settings::new(Population::flat(NODES), 5, at(72))
}

fn churn() -> Schedule {
    let seconds = |mean| Distribution::Exponential { mean };
    let churn =
        Churn { nodes: NodeSet::ALL, session: seconds(120.0), absence: seconds(30.0), graceful: 0.5, steady: true };
    Schedule { churns: vec![churn], outages: Vec::new() }
}

fn run(options: DisseminationOptions, loss: f64, settings: Settings) -> Outcome<Dissemination> {
    let protocol = Dissemination::new(Tier::Uniform(0..settings.population.total()), options, settings.seed);
    let latency = Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) };
    let network = NetworkModel::new(latency, loss);
    Simulation::new(&protocol, &network, settings).run().expect("nothing is lost without a trace")
}

fn figures(outcome: &Outcome<Dissemination>) -> DisseminationFigures {
    let mut figures = DisseminationFigures::default();
    outcome.states.iter().for_each(|(_, state)| figures.merge(state.figures()));
    figures
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    for spread in spreads() {
        let mut settings = Settings { faults: churn(), ..settings() };
        settings.population = Population::new([5, 95, 300, 100]).unwrap();
        let options = options(spread, Some(SimSpan::from_secs(5)));
        let expected = run(options, 0.05, settings.clone());
        for (threads, partitions_log2) in [(2, None), (3, None), (2, Some(4))] {
            let outcome = run(options, 0.05, Settings { threads, partitions_log2, ..settings.clone() });
            let layout = format!("{spread:?}: {threads} threads, {} partitions", outcome.partitions);
            assert_eq!(outcome.digest, expected.digest, "{layout}");
            assert_eq!(outcome.slices, expected.slices, "{layout}");
            assert_eq!(figures(&outcome), figures(&expected), "{layout}");
        }
    }
}

#[test]
fn what_is_counted_as_sent_is_what_was_sent() {
    for spread in spreads() {
        let mut settings = settings();
        settings.boundaries = vec![at(20)];
        let outcome = run(options(spread, Some(SimSpan::from_secs(5))), 0.05, settings);
        let figures = figures(&outcome);
        for kind in 0..figures.sent.len() {
            let sent = outcome.slices[1].kind_total(Flow::Sent, kind);
            assert_eq!(sent.messages, figures.sent[kind], "{spread:?}, kind {kind}");
            assert_eq!(sent.bytes, figures.bytes[kind], "{spread:?}, kind {kind}");
        }
        assert_eq!((figures.rejected, figures.published().count()), (0, 30), "{spread:?}");
    }
}

#[test]
fn with_repair_every_spread_reaches_everybody_in_spite_of_loss() {
    for spread in spreads() {
        let figures = figures(&run(options(spread, Some(SimSpan::from_secs(2))), 0.1, settings()));
        assert_eq!(figures.missed(NodeType::FullNode), (0, 30 * u64::from(NODES)), "{spread:?}");
        assert_eq!(figures.coverage_time(1_000).messages, 30, "{spread:?}");
        let levels = [500, 900, 990, 999, 1_000].map(|level| figures.coverage_time(level).mean().unwrap());
        assert!(levels.is_sorted(), "{spread:?}: {levels:?}");
        let delays = figures.delays(NodeType::FullNode);
        assert_eq!(delays.count(), 30 * u64::from(NODES));
        let hops = figures.hops(NodeType::FullNode);
        assert_eq!((hops.counts()[0], hops.count()), (30, 30 * u64::from(NODES)));
    }
}

#[test]
fn lazy_push_asks_others_where_requests_are_lost() {
    let figures = figures(&run(options(Spread::Lazy { fanout: 8 }, None), 0.2, settings()));
    let (missed, all) = figures.missed(NodeType::FullNode);
    assert!(figures.timeouts > all / 5, "{} of {all}", figures.timeouts);
    assert!(missed * 100 < all, "{missed} of {all}");
    assert!(figures.duplicates * 100 < all, "{} of {all}", figures.duplicates);
}

#[test]
fn a_mesh_survives_churn_and_those_who_join_catch_up() {
    let settings = Settings { faults: churn(), ..settings() };
    let mesh = MeshOptions { renew: 5, ..MeshOptions::ETHEREUM };
    let outcome = run(options(Spread::Mesh(mesh), Some(SimSpan::from_secs(5))), 0.01, settings);
    // Who was not there all the time.
    let turned: BTreeSet<_> = outcome.lives.iter().map(|life| life.node).collect();
    let stayed = u64::from(NODES) - turned.len() as u64;
    let figures = figures(&outcome);
    let published = figures.published().count() as u64;
    assert!((20..30).contains(&published), "a fifth of the publishers is away: {published}");
    for (number, message) in figures.published() {
        assert!(
            message.reached() > 700 && message.reached() <= u64::from(NODES),
            "message {number}: {}",
            message.reached()
        );
    }
    assert!(stayed > 400 && figures.caught_up > 30 * published, "{stayed} stayed, {} caught up", figures.caught_up);
    assert!(figures.silent > 100, "{}", figures.silent);
    let degrees = outcome.states.iter().flat_map(|(nodes, state)| {
        nodes.iter().filter(|here| !turned.contains(&here.id)).map(|here| state.degree(here.index).unwrap())
    });
    let few = degrees.filter(|&degree| degree < 4).count() as u64;
    assert!(few * 100 < stayed, "{few} of {stayed} have few links");
}

#[test]
fn nearby_contacts_shorten_the_links_of_a_mesh() {
    let placement = Placement::new(&[0.5, 0.3, 0.2], 3);
    let population = Population::flat(NODES);
    let home = |nearby| {
        let clustering =
            Clustering::new(placement.clone(), nearby, |from, to| SimSpan::from_millis(100 * from.abs_diff(to) as u64));
        let tier = Tier::new(0..NODES, Some(&clustering));
        let protocol = Dissemination::new(tier, options(Spread::Mesh(MeshOptions::ETHEREUM), None), 5);
        let network = NetworkModel::new(Latency::Constant(SimSpan::from_millis(20)), 0.0);
        let outcome = Simulation::new(&protocol, &network, Settings::new(population, 5, at(60))).run().unwrap();
        let (mut near, mut all) = (0, 0);
        for (nodes, state) in &outcome.states {
            for here in nodes.iter() {
                let region = placement.region_of(here.id);
                state.linked(here.index).for_each(|peer| {
                    near += u32::from(placement.region_of(peer) == region);
                    all += 1;
                });
            }
        }
        assert_eq!(figures(&outcome).coverage_time(1_000).messages, 30);
        f64::from(near) / f64::from(all)
    };
    let (uniform, clustered) = (home(0.0), home(0.7));
    assert!((uniform - 0.38).abs() < 0.03, "{uniform}");
    assert!((clustered - 0.7 - 0.3 * 0.38).abs() < 0.05, "{clustered}");
}

/// A million nodes, event by event: `cargo test --release --test dissemination -- --ignored --nocapture million`
#[test]
#[ignore = "takes 2 GB and minutes"]
#[expect(clippy::print_stdout, reason = "its figures are for whoever runs it")]
fn a_million_nodes_get_every_message() {
    let nodes = 1_000_000;
    let base = options(Spread::Push { fanout: 14 }, None);
    let publishing = Publishing { messages: 5, first: at(5), ..base.publishing };
    let base =
        DisseminationOptions { publishing, lifetime: SimSpan::from_secs(8), seen: 8, kept: 8, wanted: 4, ..base };
    for spread in [Spread::Push { fanout: 14 }, Spread::Lazy { fanout: 14 }, Spread::Mesh(MeshOptions::ETHEREUM)] {
        let settings = Settings { threads: 2, ..Settings::new(Population::flat(nodes), 5, at(15)) };
        let outcome = run(DisseminationOptions { spread, ..base }, 0.0, settings);
        let figures = figures(&outcome);
        let (missed, all) = figures.missed(NodeType::FullNode);
        let until = |level| figures.coverage_time(level).mean().map(SimSpan::from_nanos);
        println!(
            "{spread:?}: {} events, {} bytes a node, missed {missed} of {all}, {:?} and {:?} to 50 and 99.9 %, {:?} hops",
            outcome.events,
            outcome.bytes / nodes as usize,
            until(500),
            until(999),
            figures.coverage_hops(999).mean(),
        );
        assert!(missed * 100_000 < all, "{missed} of {all}");
    }
}
