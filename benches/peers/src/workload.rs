//! The two workloads, apart from any simulator: constants, random draws, the heartbeat overlay.
//!
//! Every draw is keyed by its node and its purpose and not by the order in which a simulator
//! happens to ask, so the peers play the same gossip, delivery for delivery.

/// Copies of the rumour that a node sends at first receipt, and neighbours of a heartbeat node.
pub(crate) const FANOUT: usize = 8;

/// Smallest network in which a node has [`FANOUT`] distinct neighbours other than itself.
pub(crate) const NODES_MIN: u32 = FANOUT as u32 + 1;

/// Time between two heartbeats of one node.
pub(crate) const PERIOD_NS: u64 = 30_000_000_000;

/// Simulated time of the heartbeat workload unless the command line says otherwise.
pub(crate) const SIMULATED_S_DEFAULT: u32 = 120;

const LATENCY_NS_MIN: u64 = 10_000_000;
const LATENCY_NS_MAX: u64 = 100_000_000;

const SEED: u64 = 0x71_6e_65_74_73_69_6d_21;
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a stream of random numbers is for; streams of one node are independent of each other.
#[derive(Clone, Copy)]
enum Purpose {
    Gossip = 1,
    Neighbours = 2,
    Heartbeat = 3,
}

/// A splitmix64 generator keyed by node and purpose (Steele, Lea and Flood, OOPSLA 2014).
///
/// Much cheaper than an event in any of the peers, so that the engines are compared and not
/// their generators.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Random(u64);

impl Random {
    /// Draws for the single round of gossip that a node ever sends.
    pub(crate) fn gossip(node: u32) -> Self {
        Self::keyed(node, Purpose::Gossip)
    }

    /// Draws for the phase and the latencies of one heartbeat node.
    pub(crate) fn heartbeat(node: u32) -> Self {
        Self::keyed(node, Purpose::Heartbeat)
    }

    fn keyed(node: u32, purpose: Purpose) -> Self {
        Self(mix(SEED ^ mix((u64::from(node) << 8) | purpose as u64)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        mix(self.0)
    }

    /// A uniform draw from `0..bound` by multiply and shift; the bias is below `bound / 2^64`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// One-way latency of one message: uniform in 10 to 100 ms, in whole nanoseconds.
    pub(crate) fn latency_ns(&mut self) -> u64 {
        LATENCY_NS_MIN + self.below(LATENCY_NS_MAX - LATENCY_NS_MIN)
    }

    /// Any node but `node`, each with the same probability.
    pub(crate) fn other_node(&mut self, node: u32, nodes: u32) -> u32 {
        let drawn = self.below(u64::from(nodes) - 1) as u32;
        drawn + u32::from(drawn >= node)
    }

    /// When a node first sends a heartbeat. At least 1 ns, because NeXosim schedules only into the
    /// future; a draw of zero has a chance of 1 in 3 x 10^10.
    pub(crate) fn phase_ns(&mut self) -> u64 {
        self.below(PERIOD_NS).max(1)
    }
}

/// The output function of splitmix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The distinct nodes to which `node` sends its heartbeats.
pub(crate) fn neighbours(node: u32, nodes: u32) -> [u32; FANOUT] {
    assert!(nodes >= NODES_MIN, "a node needs {FANOUT} others to choose from");
    let mut random = Random::keyed(node, Purpose::Neighbours);
    let mut chosen = [node; FANOUT];
    for i in 0..FANOUT {
        chosen[i] = loop {
            let drawn = random.other_node(node, nodes);
            if !chosen[..i].contains(&drawn) {
                break drawn;
            }
        };
    }
    chosen
}

/// One out-edge of the heartbeat overlay.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Edge {
    /// The neighbour at the far end.
    pub(crate) target: u32,
    /// Place of this edge in the neighbour's table of in-edges.
    pub(crate) slot: u32,
}

/// The heartbeat overlay, handed out node by node so that it need not be stored whole.
pub(crate) struct Overlay {
    nodes: u32,
    in_degrees: Vec<u32>,
    slots_taken: Vec<u32>,
}

impl Overlay {
    /// Counts the in-edges of every node.
    pub(crate) fn new(nodes: u32) -> Self {
        let mut in_degrees = vec![0; nodes as usize];
        for node in 0..nodes {
            for target in neighbours(node, nodes) {
                in_degrees[target as usize] += 1;
            }
        }
        Self { nodes, in_degrees, slots_taken: vec![0; nodes as usize] }
    }

    /// Number of nodes that send to `node`.
    pub(crate) fn in_degree(&self, node: u32) -> usize {
        self.in_degrees[node as usize] as usize
    }

    /// The out-edges of `node`. To be called once for each node: it takes a slot at each target.
    pub(crate) fn connect(&mut self, node: u32) -> [Edge; FANOUT] {
        neighbours(node, self.nodes).map(|target| {
            let slot = self.slots_taken[target as usize];
            self.slots_taken[target as usize] += 1;
            Edge { target, slot }
        })
    }
}
