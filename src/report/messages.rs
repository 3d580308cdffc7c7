//! `messages.csv` and `timeline.csv`: what was sent, received and lost, over the measured span and bucket by bucket.

use serde::Serialize;

use super::number::Number;
use super::{RunReport, sheet};
use crate::contract::NodeType;
use crate::metrics::{PointResult, Traffic};

pub(super) const MESSAGE_COLUMNS: [&str; 13] = [
    "approach",
    "nodes",
    "protocol",
    "method",
    "kind",
    "node_type",
    "direction",
    "messages",
    "payload_bytes",
    "wire_bytes",
    "messages_per_s",
    "wire_bytes_per_s",
    "messages_per_node_per_s",
];

#[derive(Serialize)]
struct MessageRow<'a> {
    approach: &'a str,
    nodes: u32,
    protocol: &'a str,
    method: String,
    kind: &'a str,
    node_type: &'static str,
    direction: &'static str,
    messages: u64,
    payload_bytes: u64,
    wire_bytes: u64,
    messages_per_s: Number,
    wire_bytes_per_s: Number,
    messages_per_node_per_s: Number,
}

/// `messages.csv`: messages and bytes of the measured span, by kind, node type and direction.
///
/// Every kind has a row for every node type that has nodes, zeros included. Rows of direction `lost` stand there if
/// the point lost any message at all. Rates are per second of simulated time; `messages_per_node_per_s` divides by
/// the nodes of the row's type. `wire_bytes` adds the IP and UDP headers to `payload_bytes`.
pub fn messages_csv(report: &RunReport<'_>) -> Vec<u8> {
    sheet::csv(&MESSAGE_COLUMNS, report.points.iter().flat_map(message_rows))
}

fn message_rows(point: &PointResult) -> Vec<MessageRow<'_>> {
    let seconds = point.measure.as_secs_f64();
    let has_losses = point.measured.dropped(Traffic::total).messages > 0;
    let mut rows = Vec::new();
    for (kind, &kind_name) in point.kinds.iter().enumerate() {
        for node_type in NodeType::ALL {
            let of_type = point.population.count(node_type);
            if of_type == 0 {
                continue;
            }
            let directions = point.measured.directions(|traffic, flow| traffic.get(flow, kind, node_type));
            for (direction, count) in directions.into_iter().take(if has_losses { 3 } else { 2 }) {
                let wire_bytes = count.wire_bytes(point.header);
                let messages_per_s = count.messages as f64 / seconds;
                rows.push(MessageRow {
                    approach: &point.approach,
                    nodes: point.nodes(),
                    protocol: point.protocol,
                    method: point.method.to_string(),
                    kind: kind_name,
                    node_type: node_type.name(),
                    direction,
                    messages: count.messages,
                    payload_bytes: count.bytes,
                    wire_bytes,
                    messages_per_s: Number(messages_per_s),
                    wire_bytes_per_s: Number(wire_bytes as f64 / seconds),
                    messages_per_node_per_s: Number(messages_per_s / f64::from(of_type)),
                });
            }
        }
    }
    rows
}

pub(super) const TIMELINE_COLUMNS: [&str; 8] =
    ["approach", "nodes", "start_s", "phase", "kind", "direction", "messages", "payload_bytes"];

#[derive(Serialize)]
struct TimelineRow<'a> {
    approach: &'a str,
    nodes: u32,
    start_s: Number,
    phase: &'static str,
    kind: &'a str,
    direction: &'static str,
    messages: u64,
    payload_bytes: u64,
}

/// `timeline.csv`: messages and bytes by time bucket, kind and direction, over all node types.
///
/// Every bucket has every kind and direction, zeros included, so that series are regular. `start_s` is where the
/// bucket starts, in simulated seconds; `phase` is `warmup` for a bucket that starts before measuring began, else
/// `measured`.
pub fn timeline_csv(report: &RunReport<'_>) -> Vec<u8> {
    sheet::csv(&TIMELINE_COLUMNS, report.points.iter().flat_map(timeline_rows))
}

fn timeline_rows(point: &PointResult) -> impl Iterator<Item = TimelineRow<'_>> {
    point.timeline.iter().flat_map(move |bucket| {
        let start = bucket.start.as_nanos();
        point.kinds.iter().enumerate().flat_map(move |(kind, &kind_name)| {
            bucket.traffic.directions(|traffic, flow| traffic.kind_total(flow, kind)).map(|(direction, count)| {
                TimelineRow {
                    approach: &point.approach,
                    nodes: point.nodes(),
                    start_s: Number(start as f64 / 1e9),
                    phase: if start < point.warmup.as_nanos() { "warmup" } else { "measured" },
                    kind: kind_name,
                    direction,
                    messages: count.messages,
                    payload_bytes: count.bytes,
                }
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn messages_have_a_row_per_kind_type_and_direction() {
        let points = [sample::tiers()];
        let expected = "\
approach,nodes,protocol,method,kind,node_type,direction,messages,payload_bytes,wire_bytes,messages_per_s,\
wire_bytes_per_s,messages_per_node_per_s
hierarchical,10,heartbeat,event,ping,super,sent,30,3000,3840,1,128,0.5
hierarchical,10,heartbeat,event,ping,super,received,0,0,0,0,0,0
hierarchical,10,heartbeat,event,ping,light,sent,0,0,0,0,0,0
hierarchical,10,heartbeat,event,ping,light,received,29,2900,3712,0.966666666667,123.733333333,0.120833333333
hierarchical,10,heartbeat,event,pong,super,sent,0,0,0,0,0,0
hierarchical,10,heartbeat,event,pong,super,received,0,0,0,0,0,0
hierarchical,10,heartbeat,event,pong,light,sent,0,0,0,0,0,0
hierarchical,10,heartbeat,event,pong,light,received,0,0,0,0,0,0
";
        assert_eq!(text(messages_csv(&sample::report(&points))), expected);
    }

    #[test]
    fn losses_have_rows_where_a_point_lost_anything() {
        let mut lossy = sample::tiers();
        lossy.measured.add(
            crate::metrics::Flow::Lost,
            0,
            NodeType::SuperNode,
            crate::metrics::Count { messages: 1, bytes: 100 },
        );
        let points = [sample::tiers(), lossy];
        let text = text(messages_csv(&sample::report(&points)));
        let lost: Vec<_> = text.lines().filter(|line| line.contains(",lost,")).collect();
        assert_eq!(lost.len(), 4, "one point with two kinds and two types");
        assert_eq!(
            lost[0],
            "hierarchical,10,heartbeat,event,ping,super,lost,1,100,128,0.0333333333333,\
                             4.26666666667,0.0166666666667"
        );
    }

    #[test]
    fn odd_names_are_quoted() {
        let mut point = sample::flat("full, \"mesh\"", 2, 60);
        point.timeline.clear();
        let points = [point];
        let text = text(messages_csv(&sample::report(&points)));
        assert_eq!(
            text.lines().nth(1),
            Some("\"full, \"\"mesh\"\"\",2,heartbeat,event,ping,full,sent,60,6000,7680,2,256,1")
        );
        let read: Vec<csv::StringRecord> =
            csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect();
        assert!(!read.is_empty() && read.iter().all(|row| &row[0] == "full, \"mesh\""));
    }

    #[test]
    fn a_timeline_is_regular_and_tells_warm_up_from_measured() {
        let points = [sample::tiers()];
        let expected = "\
approach,nodes,start_s,phase,kind,direction,messages,payload_bytes
hierarchical,10,0,warmup,ping,sent,5,500
hierarchical,10,0,warmup,ping,received,0,0
hierarchical,10,0,warmup,ping,lost,0,0
hierarchical,10,0,warmup,pong,sent,0,0
hierarchical,10,0,warmup,pong,received,0,0
hierarchical,10,0,warmup,pong,lost,0,0
hierarchical,10,12.5,measured,ping,sent,0,0
hierarchical,10,12.5,measured,ping,received,7,700
hierarchical,10,12.5,measured,ping,lost,0,0
hierarchical,10,12.5,measured,pong,sent,0,0
hierarchical,10,12.5,measured,pong,received,0,0
hierarchical,10,12.5,measured,pong,lost,0,0
";
        assert_eq!(text(timeline_csv(&sample::report(&points))), expected);
    }
}
