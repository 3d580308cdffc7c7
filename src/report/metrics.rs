//! `metrics.csv`: every metric and figure of a run by the name that thresholds and comparisons use.

use serde::Serialize;

use super::number::Number;
use super::{RunReport, sheet};
use crate::metrics::measurements;

/// The columns of `metrics.csv`.
pub const METRICS_COLUMNS: [&str; 6] = ["approach", "nodes", "method", "metric", "unit", "value"];

/// The columns of `sweep.csv`, after those of the axes.
pub const RUN_COLUMNS: [&str; 6] = ["approach", "nodes", "seed", "metric", "unit", "value"];

/// The columns of `sweep-means.csv`, after those of the axes.
pub const MEAN_COLUMNS: [&str; 9] =
    ["approach", "nodes", "metric", "unit", "mean", "standard_deviation", "n", "ci95_low", "ci95_high"];

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    method: String,
    metric: String,
    unit: &'static str,
    value: Number,
}

/// `metrics.csv`: a row per metric or figure of a point, in its own unit. What there was nothing to measure of has no row.
pub fn metrics_csv(report: &RunReport<'_>) -> Vec<u8> {
    let rows = report.points.iter().flat_map(|point| {
        measurements(point).into_iter().map(|one| Row {
            approach: &point.approach,
            nodes: point.nodes(),
            method: point.method.to_string(),
            metric: one.name,
            unit: one.unit,
            value: Number(one.value),
        })
    });
    sheet::csv(&METRICS_COLUMNS, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Figures;
    use crate::report::sample;

    #[test]
    fn metrics_and_figures_stand_there_by_name_and_what_was_not_measured_does_not() {
        let mut point = sample::flat("ping", 3, 5);
        let mut figures = Figures::new("lookups");
        figures.add("node", "hops mean", "1", 1.5);
        figures.add("node", "delay-p99", "ms", None);
        point.figures.push(figures);
        let csv = String::from_utf8(metrics_csv(&sample::report(&[point]))).unwrap();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[0], METRICS_COLUMNS.join(","));
        for row in ["ping,3,event,messages.sent,1,5", "ping,3,event,payload.sent,B,500"] {
            assert!(lines.contains(&row), "{csv}");
        }
        assert_eq!(lines.last(), Some(&"ping,3,event,lookups.node.hops-mean,1,1.5"));
        assert!(!csv.contains("delay-p99") && !csv.contains("detection."), "{csv}");
    }
}
