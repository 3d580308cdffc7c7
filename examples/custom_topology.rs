//! A topology of one's own: how soon does a message come to all of a ring, and of a ring with a few shortcuts?
//!
//! Watts and Strogatz ("Collective dynamics of small-world networks", Nature 1998): in a ring in which every node knows its
//! nearest neighbours, a few links to anywhere make all ways short. A [`Graph`] takes any function that says whom a node
//! knows; the protocol here floods along its links.
//!
//! Run it with `cargo run --example custom_topology`.
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use qnetsim::contract::{
    Column, Domain, Effects, Here, NodeId, Nodes, Population, Protocol, RandomKey, SimSpan, SimTime,
};
use qnetsim::engine::{Latency, NetworkModel, Settings, Simulation, Violation};
use qnetsim::topologies::Graph;

/// Every node knows so many of its nearest neighbours on each side, and one in `shortcuts` nodes somebody anywhere.
fn small_world(population: Population, neighbours: u32, shortcuts: Option<u64>, seed: u64) -> Graph {
    let nodes = population.total();
    let key = RandomKey::new(seed, Domain::Topology);
    // One partition, as `Settings::new` has it on one thread.
    Graph::new(population, 0, |node, peers| {
        peers.extend((1..=neighbours).flat_map(|step| [(node + step) % nodes, (node + nodes - step) % nodes]));
        let mut random = key.stream(node, 0);
        if shortcuts.is_some_and(|one_in| random.below(one_in) == 0) {
            // Anybody but the node itself and its neighbours.
            let others = u64::from(nodes - 2 * neighbours - 1);
            peers.push((node + neighbours + 1 + random.below(others) as NodeId) % nodes);
        }
    })
}

/// Whoever hears of it for the first time tells everybody whom it knows. Node 0 begins.
struct Flood {
    graph: Graph,
}

impl Protocol for Flood {
    type Message = ();
    type Timer = ();
    /// When each node of the partition heard of it.
    type State = Column<SimTime>;

    fn kinds(&self) -> &'static [&'static str] {
        &["news"]
    }

    fn wire_len(&self, _: &(), _: usize) -> u32 {
        100
    }

    fn fingerprint(&self, _: &()) -> u64 {
        0
    }

    fn state(&self, nodes: Nodes) -> Self::State {
        Column::filled(nodes.len(), SimTime::MAX)
    }

    fn handle_start(&self, heard: &mut Self::State, here: Here, fx: &mut impl Effects<Self>) {
        if here.id == 0 {
            self.handle_message(heard, here, here.id, (), &[], fx);
        }
    }

    fn handle_message(
        &self,
        heard: &mut Self::State,
        here: Here,
        _: NodeId,
        (): (),
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if heard[here.index] == SimTime::MAX {
            heard[here.index] = fx.now();
            fx.send_each(self.graph.links(here.id).iter().map(|link| (link.peer, ())));
        }
    }

    fn handle_timer(&self, _: &mut Self::State, _: Here, (): (), _: &mut impl Effects<Self>) {}
}

/// When the last of `nodes` heard of it.
fn time_to_all(nodes: u32, shortcuts: Option<u64>) -> Result<SimSpan, Violation> {
    let population = Population::flat(nodes);
    let flood = Flood { graph: small_world(population, 2, shortcuts, 1) };
    let network = NetworkModel::new(Latency::Constant(SimSpan::from_millis(50)), 0.0);
    let outcome = Simulation::new(&flood, &network, Settings::new(population, 1, SimTime::MAX)).run()?;
    let times = outcome.states.iter().flat_map(|(_, heard)| heard.iter().copied());
    Ok(times.max().map_or(SimSpan::ZERO, |last| last.since(SimTime::ZERO)))
}

fn main() -> Result<(), Violation> {
    const NODES: u32 = 10_000;
    for (name, shortcuts) in [("a ring", None), ("one shortcut for 100 nodes", Some(100)), ("for ten", Some(10))] {
        println!("{name:30} {:7.2} s until all {NODES} nodes know", time_to_all(NODES, shortcuts)?.as_secs_f64());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_takes_a_step_for_four_nodes_and_shortcuts_make_it_short() {
        // Two neighbours on each side: 250 steps of 50 ms to the far side of 1,000 nodes.
        assert_eq!(time_to_all(1_000, None).unwrap(), SimSpan::from_millis(250 * 50));
        assert!(time_to_all(1_000, Some(10)).unwrap() < SimSpan::from_millis(40 * 50));
    }
}
