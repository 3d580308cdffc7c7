//! Metrics of a point by name, such as `messages.sent` or `detection.p99`: what baselines and thresholds speak of.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use hdrhistogram::Histogram;

use super::{Flow, PointResult, Stage, StageFigures};
use crate::contract::NodeType;

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, by number.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Bits per second.
    BitsPerSecond,
    /// A share from 0 to 1.
    Share,
    /// A plain number, in the unit that its name or its table says.
    Plain,
}

impl Unit {
    /// What stands behind a number: ` s`; nothing for plain numbers and counts.
    pub const fn suffix(self) -> &'static str {
        match self {
            Unit::Count | Unit::Plain | Unit::Share => "",
            Unit::Bytes => " B",
            Unit::Seconds => " s",
            Unit::BitsPerSecond => " bps",
        }
    }

    /// What it is called in a column of units, as figures of mechanisms name theirs: `s`, `share`, `1` of counts and
    /// plain numbers.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Count | Unit::Plain => "1",
            Unit::Bytes => "B",
            Unit::Seconds => "s",
            Unit::BitsPerSecond => "bps",
            Unit::Share => "share",
        }
    }
}

/// A metric that every point may have.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name; parts are joined by dots.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    source: Source,
}

/// Where a metric comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Messages(Flow),
    Dropped,
    WireBytes(Flow),
    PayloadBytes(Flow),
    InFlight,
    State,
    Delay(Statistic),
    Noticed(Statistic),
    NeverNoticed,
    Wrong,
    Band { node_type: NodeType, is_upload: bool, statistic: Statistic },
}

/// A statistic of many values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Mean,
    Quantile(f64),
    Max,
}

const P50: Statistic = Statistic::Quantile(0.5);
const P90: Statistic = Statistic::Quantile(0.9);
const P99: Statistic = Statistic::Quantile(0.99);

impl Statistic {
    fn name(self) -> String {
        match self {
            Statistic::Mean => "mean".to_owned(),
            Statistic::Quantile(quantile) => format!("p{}", (quantile * 100.0).round()),
            Statistic::Max => "max".to_owned(),
        }
    }
}

static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let mut metrics = Vec::new();
    let mut add = |name: String, unit, source| metrics.push(Metric { name, unit, source });
    for flow in Flow::ALL {
        add(format!("messages.{}", flow.name()), Unit::Count, Source::Messages(flow));
    }
    add("messages.dropped".to_owned(), Unit::Count, Source::Dropped);
    add("messages.in-flight".to_owned(), Unit::Count, Source::InFlight);
    for flow in [Flow::Sent, Flow::Received] {
        add(format!("payload.{}", flow.name()), Unit::Bytes, Source::PayloadBytes(flow));
        add(format!("wire.{}", flow.name()), Unit::Bytes, Source::WireBytes(flow));
    }
    add("state".to_owned(), Unit::Bytes, Source::State);
    for statistic in [Statistic::Mean, P50, P90, P99, Statistic::Max] {
        add(format!("delay.{}", statistic.name()), Unit::Seconds, Source::Delay(statistic));
        add(format!("detection.{}", statistic.name()), Unit::Seconds, Source::Noticed(statistic));
    }
    add("detection.never-noticed".to_owned(), Unit::Share, Source::NeverNoticed);
    add("detection.false-positives-per-node-hour".to_owned(), Unit::Plain, Source::Wrong);
    for node_type in NodeType::ALL {
        for (direction, is_upload) in [("upload", true), ("download", false)] {
            for statistic in [Statistic::Mean, P99, Statistic::Max] {
                let name = format!("{direction}.{node_type}.{}", statistic.name());
                add(name, Unit::BitsPerSecond, Source::Band { node_type, is_upload, statistic });
            }
        }
    }
    metrics
});

impl Metric {
    /// Every metric that is not a figure of a mechanism.
    pub fn all() -> &'static [Metric] {
        &METRICS
    }

    /// The metric `name`.
    pub fn named(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// The metric in `point`; `None` if there was nothing to measure.
    pub fn of(&self, point: &PointResult) -> Option<f64> {
        let sent_or_received = |flow| point.measured.total(flow);
        match self.source {
            Source::Messages(flow) => Some(sent_or_received(flow).messages as f64),
            Source::Dropped => Some(point.measured.dropped(|traffic, flow| traffic.total(flow)).messages as f64),
            Source::WireBytes(flow) => Some(sent_or_received(flow).wire_bytes(point.header) as f64),
            Source::PayloadBytes(flow) => Some(sent_or_received(flow).bytes as f64),
            Source::InFlight => Some(point.in_flight as f64),
            Source::State => Some(point.state_bytes as f64),
            Source::Delay(statistic) => delay(&point.delays, statistic),
            Source::Noticed(statistic) => noticed(point, statistic),
            Source::NeverNoticed => taken_for_down(point)?.share_never(),
            Source::Wrong => point.detection.as_ref()?.total().wrong?.per_node_hour(),
            Source::Band { node_type, is_upload, statistic } => {
                let band = point.bandwidth[node_type as usize]?;
                let spread = if is_upload { band.upload } else { band.download };
                let bytes = match statistic {
                    Statistic::Mean => spread.mean,
                    Statistic::Quantile(_) => spread.p99 as f64,
                    Statistic::Max => spread.max as f64,
                };
                Some(bytes * 8.0 / point.measure.as_secs_f64())
            }
        }
    }
}

fn delay(delays: &[Histogram<u64>], statistic: Statistic) -> Option<f64> {
    let mut all = delays.first()?.clone();
    for more in &delays[1..] {
        all.add(more).ok()?;
    }
    let nanos = match statistic {
        _ if all.is_empty() => return None,
        Statistic::Mean => all.mean(),
        Statistic::Quantile(quantile) => all.value_at_quantile(quantile) as f64,
        Statistic::Max => all.max() as f64,
    };
    Some(nanos / 1e9)
}

/// What became of failures until somebody took the node for down.
fn taken_for_down(point: &PointResult) -> Option<&StageFigures> {
    point.detection.as_ref()?.total().stages.iter().find(|stage| stage.stage == Stage::Down)
}

fn noticed(point: &PointResult, statistic: Statistic) -> Option<f64> {
    let first = taken_for_down(point)?.first?;
    Some(match statistic {
        P50 => first.p50.as_secs_f64(),
        P90 => first.p90.as_secs_f64(),
        Statistic::Quantile(_) => first.p99.as_secs_f64(),
        Statistic::Max => first.max.as_secs_f64(),
        Statistic::Mean => first.mean_s,
    })
}

/// Whether `name` may be a figure of a mechanism: `topic.subject.name`, of a topic that no built-in metric has.
pub fn may_be_figure(name: &str) -> bool {
    let topic = name.split('.').next().unwrap_or("");
    let is_family = |metric: &Metric| metric.name.split('.').next() == Some(topic);
    name.split('.').count() == 3 && !METRICS.iter().any(is_family)
}

/// The names and figures of what the mechanism of `point` found of its own: `lookups.node.hops-mean`. Spaces become
/// hyphens.
pub fn named_figures(point: &PointResult) -> impl Iterator<Item = (String, Option<f64>)> {
    point.figures.iter().flat_map(|figures| {
        figures.rows.iter().map(move |row| {
            let name = format!("{}.{}.{}", figures.topic, row.subject, row.name);
            (name.replace(' ', "-"), row.value)
        })
    })
}

/// The metric or figure `name` of `point`: `None` if the point has no such figure, `Some(None)` if there was nothing to
/// measure.
pub fn metric_value(point: &PointResult, name: &str) -> Option<Option<f64>> {
    match Metric::named(name) {
        Some(metric) => Some(metric.of(point)),
        None => named_figures(point).find(|(other, _)| other == name).map(|(_, value)| value),
    }
}

/// A metric or a figure of a mechanism, as it was measured at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Its name, as thresholds have it.
    pub name: String,
    /// Its unit: `s`, `B`, `bps`, `1` of counts, or the figure's own.
    pub unit: &'static str,
    /// The value; finite.
    pub value: f64,
}

/// All that was measured at `point`, each name once: metrics in the order of [`Metric::all`], then figures. What there
/// was nothing to measure of is not among them.
pub fn measurements(point: &PointResult) -> Vec<Measurement> {
    let of_metric = |metric: &Metric| {
        let (name, unit) = (metric.name.clone(), metric.unit.name());
        metric.of(point).map(|value| Measurement { name, unit, value })
    };
    let units = point.figures.iter().flat_map(|figures| figures.rows.iter().map(|row| row.unit));
    let of_figure = |((name, value), unit): ((String, Option<f64>), &'static str)| {
        value.map(|value| Measurement { name, unit, value })
    };
    let figures = named_figures(point).zip(units).filter_map(of_figure);
    let mut seen = BTreeSet::new();
    let all = Metric::all().iter().filter_map(of_metric).chain(figures);
    all.filter(|one| one.value.is_finite() && seen.insert(one.name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        let names: BTreeSet<_> = Metric::all().iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names.len(), Metric::all().len());
        for name in ["messages.sent", "wire.sent", "delay.p99", "detection.p90", "upload.super.max", "state"] {
            assert_eq!(Metric::named(name).unwrap().name, name);
        }
        assert!(Metric::named("messages.sold").is_none());
    }

    #[test]
    fn a_figure_is_of_no_family_of_metrics() {
        for name in ["lookups.node.hops-mean", "blocks-held.full.delay-p99"] {
            assert!(may_be_figure(name), "{name}");
        }
        for name in ["messages.super.sent", "lookups.node", "upload.supper.mean", ""] {
            assert!(!may_be_figure(name), "{name}");
        }
    }
}
