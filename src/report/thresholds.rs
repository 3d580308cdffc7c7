//! `thresholds.csv`: what a scenario asks of its metrics, and what they were.

use serde::Serialize;

use super::number::Number;
use super::{RunReport, sheet};
use crate::metrics::metric_value;

pub(super) const COLUMNS: [&str; 6] = ["threshold", "approach", "nodes", "metric", "measured", "verdict"];

/// Columns of `sweep-thresholds.csv` after those of the axes.
pub const SWEPT_THRESHOLD_COLUMNS: [&str; 7] =
    ["approach", "nodes", "seed", "threshold", "metric", "measured", "verdict"];

#[derive(Serialize)]
struct Row<'a> {
    threshold: String,
    approach: &'a str,
    nodes: u32,
    metric: &'a str,
    measured: Option<Number>,
    verdict: &'static str,
}

/// `thresholds.csv`: a row for each threshold and each point that it applies to, in the unit of the metric. A threshold
/// is passed or failed; where nothing was measured it is failed, as it is for `qnetsim check`. `None` if the scenario has
/// no thresholds.
pub fn thresholds_csv(report: &RunReport<'_>) -> Option<Vec<u8>> {
    let rows = report.thresholds.iter().flat_map(|threshold| {
        let points = report.points.iter().filter(|point| threshold.applies_to(&point.approach));
        // A figure that another mechanism of the scenario has is not this one's.
        points.filter_map(|point| {
            let measured = metric_value(point, &threshold.metric)?;
            Some(Row {
                threshold: threshold.to_string(),
                approach: &point.approach,
                nodes: point.nodes(),
                metric: &threshold.metric,
                measured: measured.map(Number),
                verdict: verdict(threshold.holds(measured)),
            })
        })
    });
    (!report.thresholds.is_empty()).then(|| sheet::csv(&COLUMNS, rows))
}

/// How sheets say it.
pub fn verdict(has_passed: bool) -> &'static str {
    if has_passed { "pass" } else { "fail" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Comparison, Threshold};
    use crate::report::sample;

    #[test]
    fn thresholds_stand_beside_what_was_measured() {
        let threshold = |metric: &str, approach: Option<&str>, value, written: &str| Threshold {
            metric: metric.to_owned(),
            approach: approach.map(str::to_owned),
            comparison: Comparison::Below,
            value,
            written: written.to_owned(),
            line: None,
        };
        let thresholds =
            [threshold("messages.sent", None, 100.0, "< 100"), threshold("detection.p99", Some("gossip"), 5.0, "< 5s")];
        let points = [sample::flat("ping", 3, 99), sample::flat("gossip", 3, 100)];
        let report = RunReport { thresholds: &thresholds, ..sample::report(&points) };
        let text = String::from_utf8(thresholds_csv(&report).unwrap()).unwrap();
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "messages.sent < 100,ping,3,messages.sent,99,pass",
                "messages.sent < 100,gossip,3,messages.sent,100,fail",
                "gossip: detection.p99 < 5s,gossip,3,detection.p99,,fail",
            ]
        );
        assert_eq!(thresholds_csv(&sample::report(&points)), None);
    }
}
