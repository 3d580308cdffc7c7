//! `links.csv`: one-way delays by pair of regions.

use serde::Serialize;

use super::number::Number;
use super::{RunReport, sheet};
use crate::contract::SimSpan;
use crate::metrics::PointResult;

pub(super) const COLUMNS: [&str; 11] = [
    "approach",
    "nodes",
    "from_region",
    "to_region",
    "messages",
    "min_ms",
    "mean_ms",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "table_ms",
];

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    from_region: &'a str,
    to_region: &'a str,
    messages: u64,
    min_ms: Number,
    mean_ms: Number,
    p50_ms: Number,
    p99_ms: Number,
    max_ms: Number,
    table_ms: Number,
}

/// `links.csv`: what the messages sent in the measured span took from region to region, in milliseconds of simulated
/// time, and the one-way delay of the table behind it. `None` if no network of the run has regions.
///
/// A pair of regions without messages has no row. Percentiles are to one in a hundred, all else is exact.
pub fn links_csv(report: &RunReport<'_>) -> Option<Vec<u8>> {
    let has_links = report.points.iter().any(|point| point.links.is_some());
    has_links.then(|| sheet::csv(&COLUMNS, report.points.iter().flat_map(rows)))
}

fn rows(point: &PointResult) -> impl Iterator<Item = Row<'_>> {
    point.links.iter().flat_map(move |links| {
        let regions = links.regions.len().max(1);
        let pairs = links.delays.iter().zip(&links.table).enumerate();
        pairs.filter_map(move |(pair, (delays, table))| {
            Some(Row {
                approach: &point.approach,
                nodes: point.nodes(),
                from_region: &links.regions[pair / regions],
                to_region: &links.regions[pair % regions],
                messages: delays.messages(),
                min_ms: millis(delays.min()?),
                mean_ms: Number(delays.mean() / 1e6),
                p50_ms: millis(delays.percentile(0.5)),
                p99_ms: millis(delays.percentile(0.99)),
                max_ms: millis(delays.max()),
                table_ms: millis(*table),
            })
        })
    })
}

fn millis(span: SimSpan) -> Number {
    Number(span.as_nanos() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{LinkDelays, Links};
    use crate::report::sample;

    #[test]
    fn each_pair_of_regions_with_messages_has_a_row() {
        let mut point = sample::flat("gossip", 3, 4);
        let mut delays = vec![LinkDelays::default(); 4];
        delays[1].record(10_000_000);
        delays[1].record(12_000_000);
        delays[2].record(250_000);
        point.links = Some(Links {
            regions: vec!["a".to_owned(), "b".to_owned()],
            table: [1, 10, 20, 1].map(SimSpan::from_millis).to_vec(),
            delays,
        });
        let points = [sample::tiers(), point];
        let text = String::from_utf8(links_csv(&sample::report(&points)).unwrap()).unwrap();
        let rows = ["gossip,3,a,b,2,10,11,10.0", "gossip,3,b,a,1,0.25,0.25,0.25,0.25,0.25,20"];
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], COLUMNS.join(","));
        assert_eq!(lines.len(), 3, "{text}");
        for (line, row) in lines[1..].iter().zip(rows) {
            assert!(line.starts_with(row), "{text}");
        }
        assert_eq!(links_csv(&sample::report(&points[..1])), None, "no regions, no file");
    }
}
