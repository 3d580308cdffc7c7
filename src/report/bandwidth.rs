//! What a node of each type moves, beside what the documents grant it: `bandwidth.csv` and a table.

use serde::Serialize;

use super::number::{MONTH_SECONDS, Number, count, mbps, metric, monthly_gigabytes, percent, plain, size};
use super::table::{bullet, table};
use super::{RunReport, sheet};
use crate::claims::{bandwidth_budget, monthly_data};
use crate::contract::NodeType;
use crate::metrics::{Bandwidth, PointResult, Spread};

pub(super) const COLUMNS: [&str; 13] = [
    "approach",
    "nodes",
    "method",
    "node_type",
    "nodes_of_type",
    "direction",
    "mean_mbps",
    "p99_mbps",
    "max_mbps",
    "monthly_gb",
    "documented_mbps",
    "documented_monthly_gb",
    "share_of_budget",
];

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    method: String,
    node_type: &'static str,
    nodes_of_type: u32,
    direction: &'static str,
    mean_mbps: Number,
    p99_mbps: Number,
    max_mbps: Number,
    monthly_gb: Number,
    documented_mbps: Number,
    documented_monthly_gb: Number,
    share_of_budget: Number,
}

/// `bandwidth.csv`: what a node moves on the wire (headers included), by node type and direction.
///
/// `mean_mbps`, `p99_mbps` and `max_mbps` are over the nodes of the type, in Mbit/s of the measured span; `monthly_gb`
/// is the mean kept up for 30 days in this one direction, in decimal gigabytes; `share_of_budget` is the mean divided
/// by `documented_mbps`. A type without nodes has no row.
pub fn bandwidth_csv(report: &RunReport<'_>) -> Vec<u8> {
    sheet::csv(&COLUMNS, report.points.iter().flat_map(rows))
}

fn rows(point: &PointResult) -> impl Iterator<Item = Row<'_>> {
    point.bandwidth_by_type().flat_map(move |(node_type, bandwidth)| {
        let budget = bandwidth_budget(node_type);
        let directions =
            [("upload", bandwidth.upload, budget.upload_mbps), ("download", bandwidth.download, budget.download_mbps)];
        directions.map(|(direction, spread, documented_mbps)| {
            let mean_mbps = mbps(point, spread.mean);
            Row {
                approach: &point.approach,
                nodes: point.nodes(),
                method: point.method.to_string(),
                node_type: node_type.name(),
                nodes_of_type: point.population.count(node_type),
                direction,
                mean_mbps: Number(mean_mbps),
                p99_mbps: Number(mbps(point, spread.p99 as f64)),
                max_mbps: Number(mbps(point, spread.max as f64)),
                monthly_gb: Number(monthly_gigabytes(point, spread.mean)),
                documented_mbps: Number(documented_mbps),
                documented_monthly_gb: Number(monthly_data(node_type).gigabytes),
                share_of_budget: Number(mean_mbps / documented_mbps),
            }
        })
    })
}

/// Bandwidth per node as a table for people, in the shape of the documents' own: under a heading for every point, a row
/// per node type in Mbps, and what the documents grant beneath it. No line is wider than a hundred characters.
pub fn bandwidth_table(report: &RunReport<'_>) -> String {
    let header = [
        "Node Type",
        "Upload\nmean",
        "\np99",
        "\nmax",
        "Download\nmean",
        "\np99",
        "\nmax",
        "Monthly\nData",
        "share of\nbudget",
    ];
    let rows = report.points.iter().flat_map(|point| point.bandwidth_by_type().flat_map(|band| rows_of(point, band)));
    let rows = table(&header, &[0], rows);
    let mut lines = rows.lines();
    let mut text = format!("Bandwidth per node in Mbps, IP and UDP headers included (seed {})\n\n", report.seed);
    let push = |text: &mut String, line: &str| *text += &format!("{line}\n");
    lines.by_ref().take(HEADER_LINES).for_each(|line| push(&mut text, line));
    // The table knows no row across all columns, so the headings are put between the lines of the finished table.
    for (index, point) in report.points.iter().enumerate() {
        let heading = format!("{}, {} nodes, {}", point.approach, size(point.nodes()), point.method);
        push(&mut text, &format!("{}{heading}", if index == 0 { "" } else { "\n" }));
        lines.by_ref().take(2 * point.bandwidth_by_type().count()).for_each(|line| push(&mut text, line));
    }
    text.push('\n');
    text.push_str(&bullet(
        "monthly data: the mean of upload and download together, kept up for 30 days, in bytes; \
         share of budget: the larger of mean upload and mean download, divided by what the documents grant",
    ));
    let present = |node_type: &NodeType| report.points.iter().any(|point| point.population.count(*node_type) > 0);
    let types: Vec<_> = NodeType::ALL.into_iter().filter(present).map(budget_text).collect();
    if !types.is_empty() {
        text.push_str(&bullet(&format!(
            "documented data beside the documented upload used in full for 30 days: {}",
            types.join("; ")
        )));
    }
    text
}

/// Lines of the table before its first row: two of headers and the rule beneath them.
const HEADER_LINES: usize = 3;

/// What the nodes of one type move, and beneath it what the documents grant them. Each row is one line.
fn rows_of(point: &PointResult, (node_type, bandwidth): (NodeType, &Bandwidth)) -> [Vec<String>; 2] {
    let (budget, granted) = (bandwidth_budget(node_type), gigabytes(monthly_data(node_type).gigabytes));
    let rate = |bytes: f64| plain(mbps(point, bytes));
    let spread = |spread: Spread| [rate(spread.mean), rate(spread.p99 as f64), rate(spread.max as f64)];
    let (upload, download) = (bandwidth.upload.mean, bandwidth.download.mean);
    let share = (mbps(point, upload) / budget.upload_mbps).max(mbps(point, download) / budget.download_mbps);
    let mut measured = vec![label(node_type).to_owned()];
    measured.extend(spread(bandwidth.upload));
    measured.extend(spread(bandwidth.download));
    measured.push(gigabytes(monthly_gigabytes(point, upload + download)));
    measured.push(percent(share));
    let mut documented = vec![String::new(); measured.len()];
    documented[0] = "  documented".to_owned();
    documented[1] = plain(budget.upload_mbps);
    documented[4] = plain(budget.download_mbps);
    documented[7] = granted;
    [measured, documented]
}

/// The name of a node type in the documents' table.
fn label(node_type: NodeType) -> &'static str {
    match node_type {
        NodeType::SuperNode => "Super Node",
        NodeType::FullNode => "Full Node",
        NodeType::LightNode => "Light Node",
        NodeType::MobileNode => "Mobile Node",
    }
}

fn gigabytes(value: f64) -> String {
    format!("{}B", metric(value * 1e9))
}

/// How the documented volume and the documented rate of a type go together.
fn budget_text(node_type: NodeType) -> String {
    let (rate, volume) = (bandwidth_budget(node_type).upload_mbps, monthly_data(node_type).gigabytes);
    let in_full = rate * 1e6 / 8.0 * MONTH_SECONDS / 1e9;
    format!("{node_type} {} of {} ({})", gigabytes(volume), gigabytes(in_full), count(volume / in_full))
}

#[cfg(test)]
mod tests {
    use super::super::table::WIDTH;
    use super::*;
    use crate::report::sample;

    #[test]
    fn rates_are_of_the_measured_span_and_volumes_of_thirty_days() {
        let points = [sample::tiers()];
        let expected = "\
approach,nodes,method,node_type,nodes_of_type,direction,mean_mbps,p99_mbps,max_mbps,monthly_gb,documented_mbps,\
documented_monthly_gb,share_of_budget
hierarchical,10,event,super,2,upload,0.000512,0.000682666666667,1,0.165888,100,30000,0.00000512
hierarchical,10,event,super,2,download,0,0,0,0,100,30000,0
hierarchical,10,event,light,8,upload,0,0,0,0,1,300,0
hierarchical,10,event,light,8,download,0.000123733333333,0.000136533333333,0.000170666666667,0.0400896,1,300,\
0.000123733333333
";
        assert_eq!(String::from_utf8(bandwidth_csv(&sample::report(&points))).unwrap(), expected);
    }

    #[test]
    fn the_table_is_the_documents_in_mbps_with_what_they_grant_beneath() {
        let points = [sample::tiers(), sample::tiers()];
        let expected = "\
Bandwidth per node in Mbps, IP and UDP headers included (seed 7)

Node Type        Upload                     Download                         Monthly    share of
                   mean        p99    max       mean        p99        max      Data      budget
────────────────────────────────────────────────────────────────────────────────────────────────
hierarchical, 10 nodes, event
Super Node     0.000512   0.000683   1.00          0          0          0     166MB   0.000512%
  documented        100                          100                          30.0TB
Light Node            0          0      0   0.000124   0.000137   0.000171    40.1MB     0.0124%
  documented       1.00                         1.00                           300GB

hierarchical, 10 nodes, event
Super Node     0.000512   0.000683   1.00          0          0          0     166MB   0.000512%
  documented        100                          100                          30.0TB
Light Node            0          0      0   0.000124   0.000137   0.000171    40.1MB     0.0124%
  documented       1.00                         1.00                           300GB
";
        let text = bandwidth_table(&sample::report(&points));
        assert_eq!(text.split("\n\n-").next(), Some(expected.trim_end()), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.ends_with("super 30.0TB of 32.4TB (0.926); light 300GB of 324GB (0.926)"), "{text}");
        assert!(!text.contains("Mobile"));
    }

    #[test]
    fn a_run_without_points_has_headers_only() {
        assert_eq!(bandwidth_table(&sample::report(&[])).matches("Node Type").count(), 1);
    }

    #[test]
    fn twenty_points_and_long_names_stay_within_a_hundred_columns() {
        let fast = Spread { mean: 1.25e-3, p99: 12_345_678, max: 987_654_321_000 };
        let slow = Spread { mean: 3.75e1, p99: 40, max: 45 };
        let mut points = Vec::new();
        for index in 0..20 {
            let name = "an-approach-with-a-name-of-sixty-four-characters-xxxxxxxxxxxxxxx";
            let mut point = sample::flat(name, 1_234_567 + index, 1);
            point.bandwidth = [Some(Bandwidth { upload: fast, download: slow }); 4];
            points.push(point);
        }
        let text = bandwidth_table(&sample::report(&points));
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= WIDTH, "{widest} columns\n{text}");
        let wholes = [("263000", 80), ("<0.000001", 80), ("0.0000107", 80), ("30.0TB", 20), ("  documented", 80)];
        for (whole, times) in wholes.into_iter().chain([("xxx, 1.234579M nodes, event", 1)]) {
            assert_eq!(text.matches(whole).count(), times, "{whole} in\n{text}");
        }
    }
}
