//! The `[network.capacity]` table: what a node of each type can send and receive, and how much waits for it.

use super::reader::{Field, Reader, Section};
use super::tree::{Kind, Value};
use crate::contract::NodeType;
use crate::engine::Capacity;

/// The documents' bandwidth requirements (claims QN-40 to QN-43: 100, 10, 1 and 0.1 Mbps both ways), and a queue of
/// 64 KiB, which holds any one datagram.
pub const DOCUMENTED_CAPACITY: Capacity = Capacity {
    upload: [100_000_000, 10_000_000, 1_000_000, 100_000],
    download: [100_000_000, 10_000_000, 1_000_000, 100_000],
    queue: 64 << 10,
};

/// `queue`, and the names of the node types in their order.
const CAPACITY_KEYS: &[&str] = &["queue", "super", "full", "light", "mobile"];
const DIRECTION_KEYS: &[&str] = &["upload", "download"];
/// Bits per second.
const RATE: (u64, u64) = (1_000, 1_000_000_000_000);
const QUEUE_BYTES: (u32, u32) = (1 << 10, 1 << 30);

/// The capacities, if the file limits them.
pub(super) fn capacity(reader: &mut Reader, network: &Section<'_>) -> Field<Option<Capacity>> {
    let section = reader.section(network, "capacity", CAPACITY_KEYS);
    let Some(at) = section.at else { return Field::default(None) };
    let default = DOCUMENTED_CAPACITY;
    let queue = reader.field(&section, "queue", default.queue, |reader, value| {
        reader.size(value, QUEUE_BYTES.0, QUEUE_BYTES.1).map(u64::from)
    });
    let rates = NodeType::ALL.map(|node_type| {
        let index = node_type as usize;
        let default = (default.upload[index], default.download[index]);
        reader
            .field(&section, node_type.name(), default, |reader, value| rates(reader, value, node_type, default))
            .value
    });
    let spec = || {
        let [supers, fulls, lights, mobiles] = rates;
        let rates = [supers?, fulls?, lights?, mobiles?];
        let (upload, download) = (rates.map(|rate| rate.0), rates.map(|rate| rate.1));
        Some(Capacity { upload, download, queue: queue.value? })
    };
    Field { value: spec().map(Some), at: Some(at) }
}

/// One rate for both directions, or a table of two; what the table leaves out is `default`.
fn rates(reader: &mut Reader, value: &Value, node_type: NodeType, default: (u64, u64)) -> Option<(u64, u64)> {
    let rate = |reader: &mut Reader, value: &Value| reader.bitrate(value, RATE.0, RATE.1);
    if !matches!(value.kind, Kind::Table(_)) {
        return rate(reader, value).map(|rate| (rate, rate));
    }
    let section = reader.section_of(value, node_type.name(), DIRECTION_KEYS);
    let upload = reader.field(&section, "upload", default.0, rate);
    let download = reader.field(&section, "download", default.1, rate);
    upload.value.zip(download.value)
}
