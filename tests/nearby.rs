//! Links nearby first: what it does to a network, and that the layout of the run cannot be seen.

use qnetsim::contract::{NodeId, NodeType, Placement, Population};
use qnetsim::engine::Progress;
use qnetsim::engine::regions::RegionTable;
use qnetsim::metrics::PointResult;
use qnetsim::scenario::build::{Watch, run_point};
use qnetsim::scenario::parse;
use qnetsim::topologies::{Clustering, Graph, TierDegrees};

const DEGREES: TierDegrees = TierDegrees { full_peers: 20, super_parents: 3, light_parents: 4, mesh: true };

fn placement() -> Placement {
    Placement::new(&[1.0 / 13.0; 13], 1)
}

fn graph(nearby: f64, population: Population) -> Graph {
    let table = RegionTable::published("aws-13", None).expect("it is published");
    let clustering = Clustering::new(placement(), nearby, |from, to| table.one_way(from, to));
    DEGREES.clustered_graph(population, 1, 1, Some(&clustering))
}

/// How many nodes can be reached along links in either direction within the tier of full nodes.
fn connected(graph: &Graph) -> usize {
    let tier = graph.population().range(NodeType::FullNode);
    let mut group: Vec<NodeId> = (0..graph.population().total()).collect();
    fn root(group: &mut [NodeId], mut node: NodeId) -> NodeId {
        while group[node as usize] != node {
            group[node as usize] = group[group[node as usize] as usize];
            node = group[node as usize];
        }
        node
    }
    for node in tier.clone() {
        for link in graph.links(node).iter().filter(|link| tier.contains(&link.peer)) {
            let (one, other) = (root(&mut group, node), root(&mut group, link.peer));
            group[one as usize] = other;
        }
    }
    let first = root(&mut group, tier.start);
    tier.filter(|&node| root(&mut group, node) == first).count()
}

#[test]
fn most_links_stay_in_the_region_and_far_ones_keep_the_tier_in_one_piece() {
    let population = Population::new([100, 2_000, 5_000, 500]).unwrap();
    let placement = placement();
    for (nearby, far_min) in [(0.0, 10), (0.5, 5), (0.8, 1)] {
        let graph = graph(nearby, population);
        let (mut near, mut links, mut least_far) = (0u32, 0u32, u32::MAX);
        for node in population.range(NodeType::FullNode) {
            let peers = graph.links(node).iter().skip(3);
            let own = peers.clone().filter(|link| placement.region_of(link.peer) == placement.region_of(node)).count();
            assert_eq!(peers.len(), 20);
            near += own as u32;
            links += 20;
            least_far = least_far.min(20 - own as u32);
        }
        let (share, expected) = (f64::from(near) / f64::from(links), nearby + (1.0 - nearby) / 13.0);
        // About 150 full nodes stand in a region, one of whom cannot choose himself.
        assert!((share - expected).abs() < 0.01, "{share} of the links stay in the region, expected {expected}");
        assert!(least_far >= far_min, "a node has {least_far} far links");
        assert_eq!(connected(&graph), 2_000);
    }
    assert!(connected(&graph(1.0, population)) < 2_000, "without far links there are islands");
}

#[test]
fn parents_are_near_too_and_everyone_has_as_many_as_before() {
    let population = Population::new([100, 2_000, 5_000, 500]).unwrap();
    let placement = placement();
    let graph = graph(0.75, population);
    for node in population.range(NodeType::LightNode) {
        let parents = graph.links(node);
        let near = parents.iter().filter(|link| placement.region_of(link.peer) == placement.region_of(node)).count();
        assert!(parents.len() == 4 && near >= 3, "node {node}: {near} of {}", parents.len());
    }
    assert_eq!(graph.edges(), 100 * 99 + 2_000 * 23 + 5_500 * 4);
}

fn run(approach: &str, nearby: &str, threads: usize) -> Vec<PointResult> {
    let text = format!(
        "name = \"a\"\nnodes = \"3K\"\napproaches = \"{approach}\"\nwarmup = \"1s\"\nmeasure = \"6s\"\n\
         heartbeat.interval = \"1s\"\nnetwork.latency.model = \"regions\"\n{nearby}"
    );
    let scenario = parse("a.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let (progress, clock) = (Progress::default(), || 0.0);
    let run = |point| run_point(&scenario, point, threads, &Watch { progress: &progress, clock: &clock }).unwrap();
    scenario.points.iter().map(run).collect()
}

#[test]
fn near_links_make_messages_faster_and_no_layout_can_be_seen() {
    for approach in ["hierarchical", "gossip", "flat-gossip", "ping"] {
        let uniform = &run(approach, "", 1)[0];
        let axis = "topology.nearby = [0, 1, 0.5]";
        let [none, all, half] = &run(approach, axis, 1)[..] else { panic!("three points") };
        assert_eq!((uniform.approach.as_str(), none.approach.as_str()), (approach, &*format!("{approach} nearby 0")));
        assert_eq!((none.digest, &none.measured), (uniform.digest, &uniform.measured), "none nearby is as without");
        let mean = |point: &PointResult| point.delays.iter().map(|delays| delays.mean()).fold(0.0, f64::max);
        assert!(mean(half) < 0.9 * mean(none), "{approach}");
        // Half of a single link is rounded to one.
        assert!(mean(all) < mean(half) || (approach == "ping" && all.digest == half.digest), "{approach}");
        if approach != "gossip" {
            let sent = |point: &PointResult| point.measured.total(qnetsim::metrics::Flow::Sent);
            assert_eq!(sent(all), sent(none), "{approach}: as many links as before");
        }
        for threads in [2, 3] {
            for (point, same) in [none, all, half].into_iter().zip(&run(approach, axis, threads)) {
                assert_eq!((point.digest, point.state_bytes), (same.digest, same.state_bytes), "{threads} threads");
                assert_eq!(point.measured, same.measured);
            }
        }
    }
}
