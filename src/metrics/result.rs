//! The result of one point of a scenario: one approach at one size.

use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::stored::{self, StaticStr, name};
use super::{Bandwidth, Detection, Figures, Flow, Links, PopulationOverTime, Traffic};
use crate::contract::{NodeType, Population, SimSpan, SimTime};

/// How a number was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Every message was an event of the engine.
    Event,
    /// Every firing was an event; its broadcast was counted as a whole.
    Counted,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Event => "event",
            Method::Counted => "counted",
        })
    }
}

/// Traffic of one slice of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineBucket {
    /// Where the slice starts; it ends where the next one starts.
    pub start: SimTime,
    /// What was sent, received and lost in it.
    pub traffic: Traffic,
}

/// What one approach at one size gave. All but `engine` is the same on every machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PointResult {
    /// The approach, as the scenario names it.
    pub approach: String,
    /// The protocol that ran.
    #[serde(with = "name")]
    pub protocol: StaticStr,
    /// Nodes by type.
    pub population: Population,
    /// How the numbers were obtained.
    pub method: Method,
    /// The seed.
    pub seed: u64,
    /// Simulated time before measuring began.
    pub warmup: SimSpan,
    /// Simulated time that was measured.
    pub measure: SimSpan,
    /// The heartbeat interval of the fastest node type: "per interval" refers to it.
    pub interval: SimSpan,
    /// IP and UDP headers per message, in bytes.
    pub header: u32,
    /// Names of the message kinds.
    #[serde(with = "name")]
    pub kinds: &'static [&'static str],
    /// Traffic of the measured span.
    pub measured: Traffic,
    /// Traffic bucket by bucket, warm-up included.
    pub timeline: Vec<TimelineBucket>,
    /// One-way delays of the messages sent in the measured span, in nanoseconds, by kind. Empty where messages
    /// were counted.
    #[serde(with = "stored::list")]
    pub delays: Vec<Histogram<u64>>,
    /// Delays of the same messages by region of sender and receiver; `None` where nodes stand in no regions, or where
    /// messages were counted.
    pub links: Option<Links>,
    /// Wire bytes per node over the measured span, by node type in the order of [`NodeType::ALL`]; `None` for a type
    /// without nodes.
    pub bandwidth: [Option<Bandwidth>; 4],
    /// How failures were detected; `None` where no detector ran.
    pub detection: Option<Detection>,
    /// Nodes that were up; `None` where all were all the time and nobody counted them.
    pub population_over_time: Option<PopulationOverTime>,
    /// What the mechanism found of its own, by topic; none for approaches that only keep a network alive.
    pub figures: Vec<Figures>,
    /// Memory of the protocol in all nodes when the run ended, in bytes.
    pub state_bytes: u64,
    /// Messages still under way when the run ended.
    pub in_flight: u64,
    /// Hash of everything that was delivered: order-independent across nodes, ordered within one.
    pub digest: u64,
    /// How the engine fared on this machine.
    pub engine: EngineFigures,
}

/// How the engine fared. Differs from machine to machine.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct EngineFigures {
    /// Deliveries and timer firings.
    pub events: u64,
    /// Wall time of the event loop, in seconds.
    pub seconds: f64,
    /// Wall time of building topology and node state, in seconds.
    pub build_seconds: f64,
    /// Peak resident memory of the process so far, in bytes; zero where the system does not tell.
    pub peak_memory: u64,
    /// Memory of node state, topology and queues, counted by what is allocated, divided by the number of nodes.
    pub bytes_per_node: f64,
    /// Threads used.
    pub threads: usize,
    /// Partitions of the node columns.
    pub partitions: usize,
    /// How several processes fared that ran the point together; `None` if one did.
    pub ranks: Option<RankFigures>,
}

/// How the processes fared that ran a point together: the ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankFigures {
    /// How many there were.
    pub ranks: usize,
    /// Peak resident memory of the rank that took the most, and of that which took the least, in bytes.
    pub peak_memory_most: u64,
    /// See there.
    pub peak_memory_least: u64,
    /// What all ranks together hold of what nodes share, such as links, in bytes.
    pub shared_bytes: u64,
    /// Windows that were handled, by the rank that handled the most.
    pub windows: u64,
    /// Times at which the ranks agreed on what is next.
    pub meetings: u64,
    /// Meetings at which messages went from rank to rank.
    pub exchanges: u64,
    /// The stretch of time that ranks handle between two meetings.
    pub lookahead: SimSpan,
    /// Messages that went from rank to rank.
    pub remote_messages: u64,
    /// What they took, in bytes.
    pub remote_bytes: u64,
}

impl PointResult {
    /// Number of nodes.
    pub fn nodes(&self) -> u32 {
        self.population.total()
    }

    /// Messages sent per second of simulated time.
    pub fn messages_per_second(&self) -> f64 {
        self.measured.total(Flow::Sent).messages as f64 / self.measure.as_secs_f64()
    }

    /// Messages sent per heartbeat interval.
    pub fn messages_per_interval(&self) -> f64 {
        self.messages_per_second() * self.interval.as_secs_f64()
    }

    /// Messages sent per node and second of simulated time.
    pub fn messages_per_node_per_second(&self) -> f64 {
        self.messages_per_second() / f64::from(self.nodes())
    }

    /// Bytes sent per node and second of simulated time, with IP and UDP headers.
    pub fn wire_bytes_per_node_per_second(&self) -> f64 {
        let bytes = self.measured.total(Flow::Sent).wire_bytes(self.header);
        bytes as f64 / self.measure.as_secs_f64() / f64::from(self.nodes())
    }

    /// Memory of the protocol per node when the run ended, in bytes.
    pub fn state_bytes_per_node(&self) -> f64 {
        self.state_bytes as f64 / f64::from(self.nodes())
    }

    /// The types that have nodes, with their bandwidth.
    pub fn bandwidth_by_type(&self) -> impl Iterator<Item = (NodeType, &Bandwidth)> {
        NodeType::ALL.into_iter().zip(&self.bandwidth).filter_map(|(node_type, band)| Some((node_type, band.as_ref()?)))
    }
}
