//! The `[network]` and `[heartbeat]` tables: losses, headers and what a heartbeat is.

use super::latency::latency;
use super::reader::{Field, Reader, SPAN_MAX, Section};
use super::{HeartbeatSpec, NetworkSpec};
use crate::contract::SimSpan;

const NETWORK_KEYS: &[&str] = &["latency", "loss", "header"];
const HEARTBEAT_KEYS: &[&str] = &["interval", "size"];

/// Shortest interval that is simulated.
const INTERVAL_MIN: SimSpan = SimSpan::from_millis(1);
/// Sizes of a heartbeat: its fixed fields, and the most that a UDP datagram over IPv4 carries.
const HEARTBEAT_SIZE: (u32, u32) = (48, 65_507);

/// The network, and the loss with its place for checks that concern more than the network.
pub(super) fn network(reader: &mut Reader, root: &Section<'_>) -> (Option<NetworkSpec>, Field<f64>) {
    let section = reader.section(root, "network", NETWORK_KEYS);
    let loss = reader.field(&section, "loss", 0.0, |reader, value| {
        reader.number(value, "a share of messages from 0 up to, not including, 1", |loss| (0.0..1.0).contains(&loss))
    });
    let header = reader.field(&section, "header", 28, |reader, value| reader.size(value, 0, 1_500));
    let latency = latency(reader, &section);
    let spec = || Some(NetworkSpec { latency: latency?, loss: loss.value?, header: header.value? });
    (spec(), loss)
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
