//! What differs between two fingerprints, and which thresholds a run does not keep.

use std::collections::BTreeSet;

use serde::Serialize;

use super::baseline::{Bucket, Fingerprint, PointFingerprint};
use crate::metrics::{PointResult, Threshold, Tolerance, metric_value};

/// By how much metrics may differ.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    /// Of every metric that has none of its own.
    pub share: f64,
    /// Of single metrics; the last one of a name counts.
    pub of_metrics: Vec<Tolerance>,
}

/// Something that is not as it was accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The approach; `None` if it concerns the scenario as a whole.
    pub approach: Option<String>,
    /// Nodes of the point.
    pub nodes: Option<u32>,
    /// The metric, or `digest`, `scenario`, `seed`, `point`.
    pub metric: String,
    /// What it was; `None` if it was not there.
    pub old: Option<String>,
    /// What it is now; `None` if it is not there any more.
    pub new: Option<String>,
    /// The change as a share of what it was, where both are numbers and the old one is not zero.
    pub change: Option<f64>,
    /// Where in time the two part first; `None` for what is not counted over time, or is equal in every bucket.
    pub first_parting: Option<Parting>,
}

/// The first bucket of the timeline in which two runs differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    /// When the bucket begins, in seconds of simulated time.
    pub from_s: f64,
    /// What differs.
    pub metric: &'static str,
    /// What it was.
    pub old: u64,
    /// What it is.
    pub new: u64,
}

/// A threshold that a point does not keep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailedThreshold {
    /// The approach.
    pub approach: String,
    /// Nodes of the point.
    pub nodes: u32,
    /// The metric.
    pub metric: String,
    /// The threshold, as people read it.
    pub threshold: String,
    /// What was measured; `None` if nothing was.
    pub measured: Option<f64>,
    /// Where the threshold stands in the scenario file.
    pub line: Option<usize>,
}

impl Allowance {
    fn of(&self, metric: &str) -> f64 {
        let own = self.of_metrics.iter().rev().find(|tolerance| tolerance.metric == metric);
        own.map_or(self.share, |tolerance| tolerance.share)
    }

    /// Whether everything is compared exactly. If not, digests are not compared: they differ whenever anything does.
    pub fn is_exact(&self) -> bool {
        self.share == 0.0 && self.of_metrics.iter().all(|tolerance| tolerance.share == 0.0)
    }
}

/// What differs from `old` in `new`, by more than is allowed.
pub fn compare(old: &Fingerprint, new: &Fingerprint, allowance: &Allowance) -> Vec<Difference> {
    let whole = |metric: &str, old: String, new: String| {
        let (metric, old, new) = (metric.to_owned(), Some(old), Some(new));
        Difference { approach: None, nodes: None, metric, old, new, change: None, first_parting: None }
    };
    let mut found = Vec::new();
    if old.scenario_hash != new.scenario_hash {
        // As much of a hash as people compare.
        let start = |hash: &str| hash.chars().take(16).collect();
        found.push(whole("scenario", start(&old.scenario_hash), start(&new.scenario_hash)));
    }
    if old.seed != new.seed {
        found.push(whole("seed", old.seed.to_string(), new.seed.to_string()));
    }
    let keys: BTreeSet<_> = old.points.keys().chain(new.points.keys()).collect();
    for key in keys {
        let (was, is) = (old.points.get(key), new.points.get(key));
        match (was, is) {
            (Some(was), Some(is)) => found.extend(of_point(key, was, is, allowance)),
            _ => {
                let said = |point: Option<&PointFingerprint>| point.map(|_| "there".to_owned());
                found.push(Difference { old: said(was), new: said(is), ..difference(key, "point") });
            }
        }
    }
    found
}

fn difference((approach, nodes): &(String, u32), metric: &str) -> Difference {
    Difference {
        approach: Some(approach.clone()),
        nodes: Some(*nodes),
        metric: metric.to_owned(),
        old: None,
        new: None,
        change: None,
        first_parting: None,
    }
}

fn of_point(
    key: &(String, u32),
    old: &PointFingerprint,
    new: &PointFingerprint,
    allowance: &Allowance,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let names: BTreeSet<_> = old.metrics.keys().chain(new.metrics.keys()).collect();
    for name in names {
        let (was, is) = (old.metrics.get(name).copied(), new.metrics.get(name).copied());
        if let (Some(was), Some(is)) = (was, is)
            && Tolerance::allows(allowance.of(name), was, is)
        {
            continue;
        }
        let change = was.zip(is).filter(|(was, _)| *was != 0.0).map(|(was, is)| (is - was) / was);
        let text = |value: Option<f64>| value.map(|value| value.to_string());
        let first_parting = parting(old, new, Some(name));
        found.push(Difference { old: text(was), new: text(is), change, first_parting, ..difference(key, name) });
    }
    if allowance.is_exact() && old.digest != new.digest {
        let first_parting = parting(old, new, None);
        let (was, is) = (Some(old.digest.clone()), Some(new.digest.clone()));
        found.push(Difference { old: was, new: is, first_parting, ..difference(key, "digest") });
    }
    found
}

/// The first bucket in which `metric`, or any if it is `None`, is not the same in both.
fn parting(old: &PointFingerprint, new: &PointFingerprint, metric: Option<&str>) -> Option<Parting> {
    let of_metric = |index: &usize| metric.is_none_or(|metric| Bucket::METRICS[*index] == metric);
    let indices: Vec<usize> = (0..Bucket::METRICS.len()).filter(of_metric).collect();
    old.timeline.iter().zip(&new.timeline).filter(|(was, is)| was.from_s == is.from_s).find_map(|(was, is)| {
        let index = *indices.iter().find(|&&index| was.counts[index] != is.counts[index])?;
        let (old, new) = (was.counts[index], is.counts[index]);
        Some(Parting { from_s: was.from_s, metric: Bucket::METRICS[index], old, new })
    })
}

/// The thresholds that `points` do not keep. Those that speak of figures that no point to which they apply has are
/// returned apart.
pub fn failed_thresholds<'t>(
    thresholds: &'t [Threshold],
    points: &[PointResult],
) -> (Vec<FailedThreshold>, Vec<&'t Threshold>) {
    let (mut failed, mut unknown) = (Vec::new(), Vec::new());
    for threshold in thresholds {
        let mut is_known = false;
        for point in points.iter().filter(|point| threshold.applies_to(&point.approach)) {
            let measured = metric_value(point, &threshold.metric);
            is_known |= measured.is_some();
            // A figure that another mechanism of the scenario has is not this one's.
            let Some(measured) = measured else { continue };
            if !threshold.holds(measured) {
                failed.push(FailedThreshold {
                    approach: point.approach.clone(),
                    nodes: point.nodes(),
                    metric: threshold.metric.clone(),
                    threshold: threshold.to_string(),
                    measured,
                    line: threshold.line,
                });
            }
        }
        if !is_known {
            unknown.push(threshold);
        }
    }
    (failed, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sent: [u64; 3], digest: &str) -> Fingerprint {
        let bucket = |(index, &sent): (usize, &u64)| Bucket { from_s: index as f64, counts: [sent, sent, 100 * sent] };
        let total = sent.iter().sum::<u64>() as f64;
        let point = PointFingerprint {
            digest: digest.to_owned(),
            metrics: [("messages.sent".to_owned(), total), ("delay.p99".to_owned(), 0.5)].into(),
            timeline: sent.iter().enumerate().map(bucket).collect(),
        };
        let points = [(("gossip".to_owned(), 10), point)].into();
        Fingerprint { scenario_hash: "abc".to_owned(), seed: 1, points }
    }

    #[test]
    fn a_run_equals_itself() {
        assert_eq!(compare(&run([1, 2, 3], "a"), &run([1, 2, 3], "a"), &Allowance::default()), []);
    }

    #[test]
    fn what_moved_is_named_with_the_bucket_where_it_parted() {
        let found = compare(&run([1, 2, 3], "a"), &run([1, 4, 3], "b"), &Allowance::default());
        let metrics: Vec<_> = found.iter().map(|difference| difference.metric.as_str()).collect();
        assert_eq!(metrics, ["messages.sent", "digest"]);
        assert_eq!((found[0].old.as_deref(), found[0].new.as_deref()), (Some("6"), Some("8")));
        assert_eq!(found[0].change, Some(2.0 / 6.0));
        let parting = Parting { from_s: 1.0, metric: "messages.sent", old: 2, new: 4 };
        assert_eq!(found[0].first_parting, Some(parting.clone()));
        assert_eq!(found[1].first_parting, Some(parting));
    }

    #[test]
    fn order_alone_shows_in_the_digest_alone() {
        let found = compare(&run([1, 2, 3], "a"), &run([1, 2, 3], "b"), &Allowance::default());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].metric.as_str(), &found[0].first_parting), ("digest", &None));
    }

    #[test]
    fn tolerances_let_metrics_move_and_leave_the_digest_out() {
        let (old, new) = (run([1, 2, 97], "a"), run([1, 2, 98], "b"));
        let all = Allowance { share: 0.01, of_metrics: Vec::new() };
        assert_eq!(compare(&old, &new, &all), []);
        let exactly = Tolerance { metric: "messages.sent".to_owned(), share: 0.0 };
        let but_one = Allowance { share: 0.01, of_metrics: vec![exactly] };
        assert_eq!(compare(&old, &new, &but_one).len(), 1);
    }

    #[test]
    fn another_scenario_seed_or_set_of_points_differs() {
        let old = run([1, 2, 3], "a");
        let other = Fingerprint { scenario_hash: "x".to_owned(), seed: 2, points: [].into() };
        let metrics: Vec<_> =
            compare(&old, &other, &Allowance::default()).into_iter().map(|found| (found.metric, found.new)).collect();
        let expected = [("scenario", Some("x")), ("seed", Some("2")), ("point", None)];
        assert_eq!(metrics, expected.map(|(metric, new)| (metric.to_owned(), new.map(str::to_owned))));
    }
}
