//! Heartbeat intervals by type of node: the more nodes of a type there are, the rarer their heartbeats.

use crate::contract::{NodeType, SimSpan};

/// The interval between two heartbeats of a node, as a multiple of that of super nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveHeartbeat {
    /// The interval of super nodes.
    pub base_interval: SimSpan,
}

impl AdaptiveHeartbeat {
    /// The interval of nodes of `node_type`: 1 (super), 2 (full), 10 (light) and 20 (mobile) times the base; with a
    /// base of 30 s, the documents' 30 s, 60 s, 5 min and 10 min.
    pub const fn calculate_interval(&self, node_type: NodeType) -> SimSpan {
        let factor = match node_type {
            NodeType::SuperNode => 1,
            NodeType::FullNode => 2,
            NodeType::LightNode => 10,
            NodeType::MobileNode => 20,
        };
        SimSpan::from_nanos(self.base_interval.as_nanos().saturating_mul(factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_documents() {
        let adaptive = AdaptiveHeartbeat { base_interval: SimSpan::from_secs(30) };
        let intervals = NodeType::ALL.map(|node_type| adaptive.calculate_interval(node_type).to_string());
        assert_eq!(intervals, ["30s", "60s", "300s", "600s"]);
    }
}
