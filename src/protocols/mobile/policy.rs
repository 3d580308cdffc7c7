//! When a mobile node wakes its radio to say that it lives.

use crate::contract::{NodeType, SimSpan};
use crate::protocols::adaptive::AdaptiveHeartbeat;

/// When a mobile node says that it lives. In each case its parents expect to hear of it once per
/// [`WakePolicy::interval`], so what a policy saves it costs in the time until a failure is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakePolicy {
    /// It sends heartbeats at an interval that is the same for nodes of all types.
    Ping {
        /// The interval.
        interval: SimSpan,
    },
    /// It sends heartbeats at the interval of mobile nodes.
    Adaptive {
        /// The intervals by type.
        heartbeat: AdaptiveHeartbeat,
    },
    /// Its transactions, which wake the radio anyway, count as heartbeats, and heartbeats to its other parents follow them
    /// in the same wake. It sends others only after a long silence.
    Piggyback {
        /// How long it sends nothing before it sends a heartbeat.
        silence: SimSpan,
    },
    /// It sends nothing by itself but transactions, with heartbeats as for [`WakePolicy::Piggyback`]. Parents push what
    /// there is for it, which the paging of the radio delays, and push a check to nodes that they have not heard for long.
    Push {
        /// How long a parent has not heard a node when it pushes a check; and again after each such span.
        check: SimSpan,
    },
}

impl WakePolicy {
    /// A heartbeat every 30 s, as in the documents' current design.
    pub const PING: WakePolicy = WakePolicy::Ping { interval: SimSpan::from_secs(30) };

    /// Heartbeats every 10 min, as the documents propose.
    pub const ADAPTIVE: WakePolicy =
        WakePolicy::Adaptive { heartbeat: AdaptiveHeartbeat { base_interval: SimSpan::from_secs(30) } };

    /// The name in scenario and result files.
    pub const fn name(&self) -> &'static str {
        match self {
            WakePolicy::Ping { .. } => "ping",
            WakePolicy::Adaptive { .. } => "adaptive",
            WakePolicy::Piggyback { .. } => "piggyback",
            WakePolicy::Push { .. } => "push",
        }
    }

    /// How long a node that lives is silent at most, as far as its parents know.
    pub const fn interval(&self) -> SimSpan {
        match *self {
            WakePolicy::Ping { interval } => interval,
            WakePolicy::Adaptive { heartbeat } => heartbeat.calculate_interval(NodeType::MobileNode),
            WakePolicy::Piggyback { silence } => silence,
            WakePolicy::Push { check } => check,
        }
    }

    /// Whether transactions count as heartbeats at all parents, not only at the one that gets them.
    pub(super) const fn tells_all(&self) -> bool {
        matches!(self, WakePolicy::Piggyback { .. } | WakePolicy::Push { .. })
    }

    /// Whether parents push, instead of waiting until they hear of the node.
    pub(super) const fn is_push(&self) -> bool {
        matches!(self, WakePolicy::Push { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_documents() {
        assert_eq!(WakePolicy::PING.interval(), SimSpan::from_secs(30));
        assert_eq!(WakePolicy::ADAPTIVE.interval(), SimSpan::from_secs(600));
        let silence = SimSpan::from_secs(7);
        assert_eq!(WakePolicy::Piggyback { silence }.interval(), silence);
        assert_eq!(WakePolicy::Push { check: silence }.interval(), silence);
    }
}
