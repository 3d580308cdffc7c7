//! The `[network]` and `[heartbeat]` tables: losses, headers and what a heartbeat is.

use super::capacity::capacity;
use super::latency::latency;
use super::points::PerMessage;
use super::reader::{Field, Reader, SPAN_MAX, Section};
use super::{HeartbeatSpec, LatencySpec, NetworkSpec};
use crate::contract::SimSpan;
use crate::engine::Capacity;

const NETWORK_KEYS: &[&str] = &["latency", "loss", "header", "capacity"];
const HEARTBEAT_KEYS: &[&str] = &["interval", "size"];

/// Shortest interval that is simulated.
const INTERVAL_MIN: SimSpan = SimSpan::from_millis(1);
/// Sizes of a heartbeat: its fixed fields, and the most that a UDP datagram over IPv4 carries.
const HEARTBEAT_SIZE: (u32, u32) = (48, 65_507);

/// The network as written; a part that is refused is `None`.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) latency: Option<LatencySpec>,
    pub(super) loss: Field<f64>,
    header: Option<u32>,
    capacity: Field<Option<Capacity>>,
}

/// Reads the network.
pub(super) fn network(reader: &mut Reader, root: &Section<'_>) -> Parts {
    let section = reader.section(root, "network", NETWORK_KEYS);
    let loss = reader.field(&section, "loss", 0.0, |reader, value| {
        reader.number(value, "a share of messages from 0 up to, not including, 1", |loss| (0.0..1.0).contains(&loss))
    });
    let header = reader.field(&section, "header", 28, |reader, value| reader.size(value, 0, 1_500));
    let latency = latency(reader, &section);
    Parts { latency, loss, header: header.value, capacity: capacity(reader, &section) }
}

impl Parts {
    /// The network, unless a part of it is refused.
    pub(super) fn spec(self) -> Option<NetworkSpec> {
        let Parts { latency, loss, header, capacity } = self;
        Some(NetworkSpec { latency: latency?, loss: loss.value?, header: header?, capacity: capacity.value? })
    }

    /// What of it concerns single messages.
    pub(super) fn per_message(&self) -> Vec<PerMessage> {
        let losing = self.loss.at.filter(|_| self.loss.value.is_some_and(|loss| loss > 0.0)).map(|at| PerMessage {
            at,
            what: "lose messages",
            without: "set network.loss = 0",
            why: "counted cannot draw n(n-1) losses",
        });
        let queueing = self.capacity.at.map(|at| PerMessage {
            at,
            what: "have capacities",
            without: "remove network.capacity",
            why: "messages that are counted wait in no queue",
        });
        losing.into_iter().chain(queueing).collect()
    }
}

/// What a heartbeat is.
pub(super) fn heartbeat(reader: &mut Reader, root: &Section<'_>) -> Option<HeartbeatSpec> {
    let section = reader.section(root, "heartbeat", HEARTBEAT_KEYS);
    let interval = reader.field(&section, "interval", SimSpan::from_secs(30), |reader, value| {
        reader.span(value, INTERVAL_MIN, SPAN_MAX)
    });
    let (min, max) = HEARTBEAT_SIZE;
    let size = reader.field(&section, "size", 100, |reader, value| reader.size(value, min, max));
    Some(HeartbeatSpec { interval: interval.value?, size: size.value? })
}
