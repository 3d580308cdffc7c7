//! Discovery of parents on the engine: everybody finds the closest full nodes, and others where those are gone.

use qnetsim::contract::{Key256, NodeId, NodeType, Population, SimSpan, SimTime};
use qnetsim::engine::faults::{NodeSet, Outage, Schedule};
use qnetsim::engine::{Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::protocols::kademlia::KademliaOptions;
use qnetsim::protocols::kademlia::discovery::{Discovery, DiscoveryFigures};
use qnetsim::protocols::kademlia::keys::id_of;

const PARENTS: usize = 3;
const MEMBERS: NodeId = 210;
const TOTAL: NodeId = 2_210;

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn settings(secs: u64) -> Settings {
    Settings::new(Population::new([10, 200, 1_900, 100]).unwrap(), 3, at(secs))
}

fn discovery(settings: &Settings) -> Discovery {
    let options = KademliaOptions { k: 8, refresh: None, ..KademliaOptions::PAPER };
    Discovery::new(settings.population, options, PARENTS, SimSpan::from_secs(10), settings.seed)
}

fn run(loss: f64, settings: Settings) -> Outcome<Discovery> {
    let latency = Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) };
    let outcome = Simulation::new(&discovery(&settings), &NetworkModel::new(latency, loss), settings).run();
    outcome.expect("nothing is lost or made up")
}

fn figures(outcome: &Outcome<Discovery>) -> DiscoveryFigures {
    let mut figures = DiscoveryFigures::default();
    outcome.states.iter().for_each(|(_, state)| figures.merge(state.figures()));
    figures
}

/// The parents of every light and mobile node, by number.
fn parents(outcome: &Outcome<Discovery>) -> Vec<(NodeId, Vec<NodeId>)> {
    let of = |(nodes, state): &(qnetsim::contract::Nodes, qnetsim::protocols::kademlia::discovery::DiscoveryState)| {
        let clients = nodes.iter().skip(nodes.up_to(NodeType::FullNode).len()).map(|here| here.id);
        clients.zip(state.parents().map(<[NodeId]>::to_vec)).collect::<Vec<_>>()
    };
    let mut parents: Vec<_> = outcome.states.iter().flat_map(of).collect();
    parents.sort();
    parents
}

fn distance(target: &Key256, node: NodeId) -> Key256 {
    let id = id_of(node);
    std::array::from_fn(|place| id[place] ^ target[place])
}

#[test]
fn where_nothing_fails_everybody_gets_the_members_closest_to_its_id_as_parents() {
    let outcome = run(0.0, settings(15));
    let parents = parents(&outcome);
    assert_eq!(parents.len(), (TOTAL - MEMBERS) as usize);
    let closest = |client: NodeId| {
        let mut members: Vec<NodeId> = (0..MEMBERS).collect();
        members.sort_by_key(|&member| distance(&id_of(client), member));
        members.truncate(PARENTS);
        members.sort_unstable();
        members
    };
    let mut right = 0;
    for (client, mut parents) in parents {
        assert_eq!(parents.len(), PARENTS);
        parents.sort_unstable();
        right += u32::from(parents == closest(client));
    }
    assert!(right * 1_000 >= (TOTAL - MEMBERS) * 998, "{right}");
    let figures = figures(&outcome);
    assert_eq!((figures.retries, figures.rejected), (0, 0));
    assert_eq!(figures.delay.count(), u64::from(TOTAL - MEMBERS));
    let children: usize = outcome.states.iter().flat_map(|(_, state)| state.children()).sum();
    assert_eq!(children, PARENTS * (TOTAL - MEMBERS) as usize);
    // Whoever only asks is nobody's contact.
    for (nodes, state) in &outcome.states {
        for index in 0..nodes.up_to(NodeType::FullNode).len() {
            assert!(state.kademlia().table(index).contacts().iter().all(|&contact| contact < MEMBERS));
        }
    }
}

#[test]
fn with_loss_and_a_third_of_the_members_gone_everybody_finds_others() {
    let mut settings = settings(120);
    let members = [true, true, false, false];
    settings.faults = Schedule {
        churns: Vec::new(),
        outages: vec![Outage {
            nodes: NodeSet { types: members, share: 0.3, ..NodeSet::ALL },
            from: at(0),
            from_over: SimSpan::from_secs(1),
            until: None,
            until_over: SimSpan::ZERO,
            graceful: false,
        }],
    };
    let outcome = run(0.05, settings);
    let down: Vec<NodeId> = outcome.lives.iter().map(|life| life.node).collect();
    assert!(down.len() > 40, "{}", down.len());
    let parents = parents(&outcome);
    let attached = parents.iter().filter(|(_, parents)| parents.len() == PARENTS).count();
    assert_eq!(attached, parents.len(), "everybody has parents in the end");
    let gone = parents.iter().flat_map(|(_, parents)| parents).filter(|parent| down.contains(parent)).count();
    assert!(gone < 300, "only those who asked in the first second may have one that is gone: {gone}");
    assert!(figures(&outcome).retries > 100);
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    let outcomes = [1, 2, 3].map(|threads| {
        let mut settings = settings(12);
        settings.threads = threads;
        run(0.02, settings)
    });
    let seen = outcomes.map(|outcome| (outcome.digest, figures(&outcome), parents(&outcome)));
    assert!(seen.iter().all(|other| *other == seen[0]));
}
