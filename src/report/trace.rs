//! Traces: events of a run, one by one, as CSV or as lines of JSON.

use serde::Serialize;

use super::sheet;
use crate::contract::{NodeId, SimTime};
use crate::metrics::{PointResult, Turn};

/// The columns of a trace.
pub const TRACE_COLUMNS: [&str; 10] =
    ["approach", "nodes", "time_ns", "node", "event", "kind", "sender", "receiver", "sequence", "cut_records"];

/// An event, or how many were left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceRow<'a> {
    /// The approach.
    pub approach: &'a str,
    /// Nodes of the point.
    pub nodes: u32,
    /// When it happened, in nanoseconds; empty in the row that tells what was left out.
    pub time_ns: Option<u64>,
    /// Where it happened.
    pub node: Option<NodeId>,
    /// sent, received, the cause of a drop, timer, joined, left, crashed; or cut.
    pub event: &'static str,
    /// The kind of the message.
    pub kind: Option<&'a str>,
    /// The sender of the message.
    pub sender: Option<NodeId>,
    /// Its receiver.
    pub receiver: Option<NodeId>,
    /// The sender's number of the message, or the node's of its timer.
    pub sequence: Option<u32>,
    /// How many records were left out.
    pub cut_records: Option<u64>,
}

impl<'a> TraceRow<'a> {
    /// Something that happened at `node` in a run of `point`.
    pub fn event(point: &'a PointResult, time: SimTime, node: NodeId, event: &'static str) -> Self {
        let (time_ns, node) = (Some(time.as_nanos()), Some(node));
        TraceRow { time_ns, node, event, ..TraceRow::cut(point, 0) }
    }

    /// So many records of `point` were left out.
    pub fn cut(point: &'a PointResult, records: u64) -> Self {
        TraceRow {
            approach: &point.approach,
            nodes: point.nodes(),
            time_ns: None,
            node: None,
            event: "cut",
            kind: None,
            sender: None,
            receiver: None,
            sequence: None,
            cut_records: (records > 0).then_some(records),
        }
    }
}

/// What a turn is called in a trace.
pub const fn turn_name(turn: Turn) -> &'static str {
    match turn {
        Turn::Joined => "joined",
        Turn::Left => "left",
        Turn::Crashed => "crashed",
    }
}

/// A trace as CSV.
pub fn trace_csv<'a>(rows: impl Iterator<Item = TraceRow<'a>>) -> Vec<u8> {
    sheet::csv(&TRACE_COLUMNS, rows)
}

/// A trace as lines of JSON, with `null` where a cell of the CSV is empty.
///
/// # Panics
/// Never: a row is always JSON.
pub fn trace_jsonl<'a>(rows: impl Iterator<Item = TraceRow<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, &row).expect("numbers and texts are JSON");
        bytes.push(b'\n');
    }
    bytes
}
