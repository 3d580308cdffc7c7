//! The documents' table of network load, measured: messages per second by approach and size.

use super::number::{count, size};
use super::table::{bullet, table};
use super::{Comparison, RunReport, notes};
use crate::metrics::PointResult;

/// Sizes side by side before the table goes on below.
const SIZES_PER_TABLE: usize = 6;

/// The network load as tables for people: first in the documents' shape (a row per approach, a column per size, the
/// documented figure beneath the measured one), then point by point, then notes on where documented figures follow
/// from other parameters than stated. No line is wider than a hundred characters.
pub fn network_load_table(report: &RunReport<'_>) -> String {
    let mut sizes: Vec<u32> = report.points.iter().map(PointResult::nodes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text = format!("Network load, messages per second (seed {})\n\n", report.seed);
    for sizes in sizes.chunks(SIZES_PER_TABLE) {
        text.push_str(&by_size(report.points, sizes));
        text.push('\n');
    }
    text.push_str(&point_by_point(report.points));
    let notes = notes::notes(report.points);
    if !notes.is_empty() {
        text.push_str("\nNotes\n");
        text.extend(notes.iter().map(|note| bullet(note)));
    }
    text
}

/// The approaches in the order in which they first appear.
pub(super) fn approaches(points: &[PointResult]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for point in points {
        if !names.contains(&point.approach.as_str()) {
            names.push(&point.approach);
        }
    }
    names
}

fn by_size(points: &[PointResult], sizes: &[u32]) -> String {
    let names: Vec<String> = sizes.iter().map(|&nodes| size(nodes)).collect();
    let header: Vec<&str> = std::iter::once("approach").chain(names.iter().map(String::as_str)).collect();
    let rows = approaches(points).into_iter().map(|approach| {
        let cells = sizes.iter().map(|&nodes| cell(points, approach, nodes));
        std::iter::once(approach.to_owned()).chain(cells).collect()
    });
    table(&header, &[0], rows)
}

/// Every point of `approach` at `nodes`, a line each, with what the documents say beneath.
fn cell(points: &[PointResult], approach: &str, nodes: u32) -> String {
    let here = points.iter().filter(|point| point.approach == approach && point.nodes() == nodes);
    let mut lines: Vec<String> = here.map(|point| count(point.messages_per_second())).collect();
    let documented = points.iter().find(|point| point.approach == approach && point.nodes() == nodes);
    if let Some(comparison) = documented.and_then(Comparison::of) {
        lines.push(format!("doc. {}", count(comparison.messages_per_s)));
    }
    lines.join("\n")
}

fn point_by_point(points: &[PointResult]) -> String {
    let header = [
        "approach",
        "obtained",
        "nodes",
        "msg/s",
        "interval",
        "msg/interval",
        "documented\nmsg/s",
        "measured/\ndocumented",
        "claim",
    ];
    let rows = points.iter().map(|point| {
        let documented = Comparison::of(point);
        let [figure, ratio, claim] = documented.map_or_else(Default::default, |documented| {
            [count(documented.messages_per_s), count(documented.ratio), documented.claim]
        });
        vec![
            point.approach.clone(),
            point.method.to_string(),
            size(point.nodes()),
            count(point.messages_per_second()),
            point.interval.to_string(),
            count(point.messages_per_interval()),
            figure,
            ratio,
            claim,
        ]
    });
    table(&header, &[0, 1], rows)
}

#[cfg(test)]
mod tests {
    use super::super::table::WIDTH;
    use super::*;
    use crate::metrics::Method;
    use crate::report::sample;

    #[test]
    fn measured_stands_above_documented_and_unknown_sizes_have_no_claim() {
        let mut mesh = sample::flat("full-mesh", 1_000, 999_000);
        mesh.method = Method::Counted;
        let points = [mesh, sample::flat("gossip", 2_000, 16_000)];
        let text = network_load_table(&sample::report(&points));
        let expected = "\
Network load, messages per second (seed 7)

approach            1K    2K
────────────────────────────
full-mesh        33.3K
            doc. 1.00M
gossip                   533

approach    obtained   nodes   msg/s   interval   msg/interval   documented    measured/   claim
                                                                      msg/s   documented
────────────────────────────────────────────────────────────────────────────────────────────────
full-mesh   counted       1K   33.3K        30s           999K        1.00M       0.0333   QN-20
gossip      event         2K     533        30s          16.0K
";
        assert_eq!(text.split("\nNotes").next(), Some(expected));
        assert!(text.contains("\nNotes\n- full-mesh at 1K (QN-20): "));
    }

    #[test]
    fn many_points_and_long_names_stay_within_a_hundred_columns() {
        let long = "an-approach-with-a-name-of-sixty-four-characters-which-is-allowed";
        let mut points = Vec::new();
        for nodes in [1_000, 1_234_567, 100_000, 1_010_100, 10_000_000, 7, 40_000, 999_999, 4_000_000_000, 12_345] {
            for approach in ["full-mesh", long] {
                points.push(sample::flat(approach, nodes, u64::from(nodes) * 123_456));
            }
        }
        let text = network_load_table(&sample::report(&points));
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= WIDTH, "{widest} columns\n{text}");
        assert!(text.contains("1.234567M") && text.contains("4000M"), "{text}");
        for point in &points {
            assert!(text.contains(&count(point.messages_per_second())), "{} is cut off", point.nodes());
        }
    }

    #[test]
    fn a_run_without_points_has_headers_only() {
        assert!(network_load_table(&sample::report(&[])).contains("msg/interval"));
    }
}
