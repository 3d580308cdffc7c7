//! `latency.csv`: one-way delays by message kind.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::number::Number;
use super::{RunReport, sheet};
use crate::metrics::PointResult;

pub(super) const COLUMNS: [&str; 11] =
    ["approach", "nodes", "kind", "count", "min_ms", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "mean_ms"];

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    kind: &'a str,
    count: u64,
    min_ms: Number,
    p50_ms: Number,
    p90_ms: Number,
    p99_ms: Number,
    p999_ms: Number,
    max_ms: Number,
    mean_ms: Number,
}

/// `latency.csv`: one-way delays, in milliseconds of simulated time, of the messages sent in the measured span.
///
/// A kind without samples has no row. Figures carry the resolution of the histogram they come from: percentiles and
/// the maximum are the upper ends of its slots, the minimum a lower end.
pub fn latency_csv(report: &RunReport<'_>) -> Vec<u8> {
    sheet::csv(&COLUMNS, report.points.iter().flat_map(rows))
}

fn rows(point: &PointResult) -> impl Iterator<Item = Row<'_>> {
    point.kinds.iter().zip(&point.delays).filter(|(_, delays)| !delays.is_empty()).map(|(kind, delays)| {
        let at = |quantile| millis(delays.value_at_quantile(quantile));
        Row {
            approach: &point.approach,
            nodes: point.nodes(),
            kind,
            count: delays.len(),
            min_ms: millis(delays.min()),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(delays.max()),
            mean_ms: mean(delays),
        }
    })
}

fn millis(nanos: u64) -> Number {
    Number(nanos as f64 / 1e6)
}

/// The mean in integers, so that no order of addition can move it.
fn mean(delays: &Histogram<u64>) -> Number {
    let weighted = |(value, count): (u64, u64)| u128::from(delays.median_equivalent(value)) * u128::from(count);
    let values = delays.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()));
    let sum: u128 = values.map(weighted).sum();
    Number(sum as f64 / delays.len() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn delays_are_percentiles_in_milliseconds_and_kinds_without_samples_are_left_out() {
        let mut pings = Histogram::new_with_bounds(1, 1 << 40, 5).unwrap();
        for millis in 1..=1_000u64 {
            pings.record(millis * 1_000).unwrap();
        }
        let mut point = sample::flat("gossip", 3, 1_000);
        point.delays = vec![pings, Histogram::new_with_bounds(1, 1 << 40, 5).unwrap()];
        let points = [sample::tiers(), point];
        let text = String::from_utf8(latency_csv(&sample::report(&points))).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], COLUMNS.join(","));
        assert_eq!(lines[1..].len(), 1);
        let cells: Vec<_> = lines[1].split(',').collect();
        assert_eq!(cells[..4], ["gossip", "3", "ping", "1000"]);
        let figures: Vec<f64> = cells[4..].iter().map(|cell| cell.parse().unwrap()).collect();
        for (figure, exact) in figures.iter().zip([0.001, 0.5, 0.9, 0.99, 0.999, 1.0, 0.5005]) {
            assert!((figure - exact).abs() <= exact / 1e4, "{figure} is not {exact}");
        }
    }
}
