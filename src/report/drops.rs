//! Messages that did not arrive, by cause: `drops.csv` and a table.

use serde::Serialize;

use super::number::{Number, count, metric, percent, size};
use super::table::table;
use super::{RunReport, sheet};
use crate::contract::NodeType;
use crate::metrics::{Count, Flow, PointResult};

pub(super) const COLUMNS: [&str; 9] =
    ["approach", "nodes", "kind", "node_type", "cause", "messages", "payload_bytes", "wire_bytes", "share_of_sent"];

/// The word for all kinds of messages and all types of nodes.
const ALL: &str = "all";

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    kind: &'a str,
    node_type: &'static str,
    cause: &'static str,
    messages: u64,
    payload_bytes: u64,
    wire_bytes: u64,
    share_of_sent: Number,
}

/// `drops.csv`: messages dropped in the measured span, by kind, node type and cause; rows with messages only, and for
/// each cause that occurred a last row over `all` kinds and types.
///
/// `node_type` is the sender's for what is dropped on the way (`lost`, `partitioned`, `uplink-full`) and the receiver's
/// for what is dropped on arrival (`downlink-full`, `receiver-down`). `share_of_sent` is of all messages of the kind
/// that were sent in the span, by whatever type of node; of `all` kinds, of all messages.
pub fn drops_csv(report: &RunReport<'_>) -> Vec<u8> {
    sheet::csv(&COLUMNS, report.points.iter().flat_map(rows))
}

fn rows(point: &PointResult) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (kind, &name) in point.kinds.iter().enumerate() {
        let sent = point.measured.kind_total(Flow::Sent, kind);
        for node_type in NodeType::ALL {
            let drops = Flow::DROPS.map(|cause| (cause, point.measured.get(cause, kind, node_type)));
            let dropped = drops.into_iter().filter(|(_, drops)| drops.messages > 0);
            rows.extend(dropped.map(|(cause, drops)| row(point, name, node_type.name(), cause, drops, sent)));
        }
    }
    let sent = point.measured.total(Flow::Sent);
    rows.extend(totals(point).map(|(cause, drops)| row(point, ALL, ALL, cause, drops, sent)));
    rows
}

fn row<'a>(
    point: &'a PointResult,
    kind: &'a str,
    node_type: &'static str,
    cause: Flow,
    drops: Count,
    sent: Count,
) -> Row<'a> {
    Row {
        approach: &point.approach,
        nodes: point.nodes(),
        kind,
        node_type,
        cause: cause.name(),
        messages: drops.messages,
        payload_bytes: drops.bytes,
        wire_bytes: drops.wire_bytes(point.header),
        share_of_sent: Number(share(drops, sent)),
    }
}

/// What was dropped for each cause that occurred.
fn totals(point: &PointResult) -> impl Iterator<Item = (Flow, Count)> {
    let totals = Flow::DROPS.map(|cause| (cause, point.measured.total(cause)));
    totals.into_iter().filter(|(_, drops)| drops.messages > 0)
}

/// Dropped messages as a share of those sent. More than all is possible: what is dropped may have been sent earlier.
fn share(drops: Count, sent: Count) -> f64 {
    drops.messages as f64 / sent.messages as f64
}

/// Drops as a table for people, a row per cause. `None` if all messages arrived. No line is wider than a hundred
/// characters.
pub fn drops_table(report: &RunReport<'_>) -> Option<String> {
    let rows = report.points.iter().flat_map(|point| {
        let sent = point.measured.total(Flow::Sent);
        totals(point).map(move |(cause, drops)| {
            vec![
                point.approach.clone(),
                size(point.nodes()),
                cause.name().to_owned(),
                count(drops.messages as f64),
                metric(drops.wire_bytes(point.header) as f64),
                percent(share(drops, sent)),
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return None;
    }
    let header = ["approach", "nodes", "cause", "messages", "wire B", "share of sent"];
    Some(format!("Dropped messages (seed {})\n\n{}", report.seed, table(&header, &[0, 2], rows)))
}

#[cfg(test)]
mod tests {
    use super::super::table::WIDTH;
    use super::*;
    use crate::report::sample;

    /// Tiers of which some lost pings and some pongs met nobody.
    fn lossy(approach: &str) -> PointResult {
        let mut point = PointResult { approach: approach.to_owned(), ..sample::tiers() };
        let mut drop = |cause, kind, node_type, messages| {
            point.measured.add(cause, kind, node_type, Count { messages, bytes: 100 * messages });
        };
        drop(Flow::Lost, 0, NodeType::SuperNode, 3);
        drop(Flow::ReceiverDown, 0, NodeType::LightNode, 6);
        drop(Flow::ReceiverDown, 0, NodeType::SuperNode, 1);
        drop(Flow::Sent, 1, NodeType::LightNode, 10);
        drop(Flow::ReceiverDown, 1, NodeType::SuperNode, 5);
        point
    }

    #[test]
    fn every_cause_that_occurred_has_its_rows_and_a_total() {
        let points = [sample::tiers(), lossy("hierarchical")];
        let expected = "\
approach,nodes,kind,node_type,cause,messages,payload_bytes,wire_bytes,share_of_sent
hierarchical,10,ping,super,lost,3,300,384,0.1
hierarchical,10,ping,super,receiver-down,1,100,128,0.0333333333333
hierarchical,10,ping,light,receiver-down,6,600,768,0.2
hierarchical,10,pong,super,receiver-down,5,500,640,0.5
hierarchical,10,all,all,lost,3,300,384,0.075
hierarchical,10,all,all,receiver-down,12,1200,1536,0.3
";
        assert_eq!(String::from_utf8(drops_csv(&sample::report(&points))).unwrap(), expected);
    }

    #[test]
    fn the_table_has_a_row_per_cause() {
        let points = [sample::tiers(), lossy("hierarchical")];
        let expected = "\
Dropped messages (seed 7)

approach       nodes   cause           messages   wire B   share of sent
────────────────────────────────────────────────────────────────────────
hierarchical      10   lost                3.00      384           7.50%
hierarchical      10   receiver-down       12.0    1.54K           30.0%
";
        assert_eq!(drops_table(&sample::report(&points)).as_deref(), Some(expected));
    }

    #[test]
    fn where_all_messages_arrive_there_is_nothing_to_say() {
        let points = [sample::tiers()];
        assert_eq!(drops_csv(&sample::report(&points)), (COLUMNS.join(",") + "\n").into_bytes());
        assert_eq!(drops_table(&sample::report(&points)), None);
    }

    #[test]
    fn long_names_stay_within_a_hundred_columns() {
        let points = [lossy("an-approach-with-a-name-of-sixty-four-characters-xxxxxxxxxxxxxxx")];
        let text = drops_table(&sample::report(&points)).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
