//! What is made of all runs of a sweep: `sweep.csv`, `sweep-means.csv`, a table for people and one JSON document.

use serde_json::{Value, json};

use super::manifest::{Manifest, ManifestAxis, ManifestCombination, ManifestPoint, RunId};
use super::record::{Record, RecordedMetric};
use crate::metrics::{Estimate, Threshold, may_be_figure};
use crate::report::{MEAN_COLUMNS, Number, RUN_COLUMNS, SWEPT_THRESHOLD_COLUMNS, count, table_with};

/// Every metric of every run.
pub const SWEEP_FILE: &str = "sweep.csv";
/// Means over seeds, with their confidence intervals.
pub const MEANS_FILE: &str = "sweep-means.csv";

/// What every run of a sweep whose scenario has thresholds makes of them.
pub const SWEPT_THRESHOLDS_FILE: &str = "sweep-thresholds.csv";

/// Metrics that people are shown where the scenario has no thresholds that name others.
const SHOWN: [&str; 7] = [
    "detection.p50",
    "detection.false-positives-per-node-hour",
    "messages.sent",
    "delay.p99",
    "detection.never-noticed",
    "messages.dropped",
    "wire.sent",
];
/// Metrics beside each other.
const SHOWN_MAX: usize = 3;
/// The widest that a value of an axis may be, in characters, before it is wrapped.
const TEXT_WIDTH: u16 = 16;
/// Thresholds that failed and people are told of.
const FAILED_SHOWN: usize = 5;

/// The sheets of a sweep, made run by run so that not all runs need to be held.
#[derive(Debug)]
pub struct Sheets {
    /// `sweep.csv`.
    pub runs: Vec<u8>,
    /// `sweep-means.csv`.
    pub means: Vec<u8>,
    /// `sweep-thresholds.csv`; `None` if nothing is asked of any run.
    pub thresholds: Option<Vec<u8>>,
    /// The means as one JSON document.
    pub json: Vec<u8>,
    /// How often a threshold was held against a run.
    judged: usize,
    /// What failed, with the run in which it did.
    failed: Vec<String>,
    points: Vec<PointMeans>,
}

/// The means of a point.
#[derive(Debug)]
struct PointMeans {
    written: Vec<String>,
    point: ManifestPoint,
    metrics: Vec<MetricMean>,
}

#[derive(Debug)]
struct MetricMean {
    name: String,
    unit: String,
    estimate: Estimate,
}

const IN_MEMORY: &str = "a CSV in memory fails only if a row does not fit the header";

impl Sheets {
    /// The sheets of `manifest`, whose records `read` gives in the order of [`Manifest::runs`].
    ///
    /// # Errors
    /// What `read` fails with.
    pub fn of<E>(manifest: &Manifest, mut read: impl FnMut(RunId) -> Result<Record, E>) -> Result<Sheets, E> {
        let (mut runs, mut means) = (writer(manifest, &RUN_COLUMNS), writer(manifest, &MEAN_COLUMNS));
        let mut thresholds = writer(manifest, &SWEPT_THRESHOLD_COLUMNS);
        let (mut points, mut judged, mut failed) = (Vec::new(), 0, Vec::new());
        for (combination, one) in manifest.combinations.iter().enumerate() {
            for (index, point) in one.points.iter().enumerate() {
                let of_seed = |&seed: &u64| read(RunId { combination, point: index, seed });
                let records = manifest.seeds.iter().map(of_seed).collect::<Result<Vec<_>, E>>()?;
                for record in &records {
                    write_run(&mut runs, one, record);
                    for (threshold, value) in asked_of(manifest, record) {
                        judged += 1;
                        let has_passed = threshold.holds(value.and_then(RecordedMetric::number));
                        write_threshold(&mut thresholds, one, record, threshold, value, has_passed);
                        if !has_passed {
                            let run = RunId { combination, point: index, seed: record.seed };
                            failed.push(format!("{threshold}: {}", manifest.told(run)));
                        }
                    }
                }
                let metrics = means_of(&records);
                for metric in &metrics {
                    write_mean(&mut means, one, point, metric);
                }
                points.push(PointMeans { written: one.written.clone(), point: point.clone(), metrics });
            }
        }
        let bytes = |writer: csv::Writer<Vec<u8>>| writer.into_inner().expect(IN_MEMORY);
        let json = json(manifest, &points);
        let thresholds = (judged > 0).then(|| bytes(thresholds));
        Ok(Sheets { runs: bytes(runs), means: bytes(means), thresholds, json, judged, failed, points })
    }

    /// A table for people: a row a point, with the means of a few metrics, at most `rows_max` of them.
    pub fn table(&self, manifest: &Manifest, rows_max: usize) -> String {
        let shown = self.shown(manifest);
        let mut header = short_names(&manifest.axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>());
        header.extend(["approach", "nodes"].map(str::to_owned));
        // Names are long, and broken where their parts end.
        let metric = |name: &&str| format!("{}{}", name.replace('.', ".\n"), self.unit(name));
        header.extend(shown.iter().map(metric));
        let texts: Vec<usize> = (0..=manifest.axes.len()).collect();
        let rows = self.points.iter().take(rows_max).map(|point| {
            let mut cells = point.written.clone();
            cells.extend([point.point.approach.clone(), point.point.nodes.to_string()]);
            let of_metric = |name: &&str| {
                let mean = point.metrics.iter().find(|metric| metric.name == **name);
                mean.map_or(String::new(), |mean| told(&mean.estimate))
            };
            cells.extend(shown.iter().map(of_metric));
            cells
        });
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let seeds = match manifest.seeds.as_slice() {
            [seed] => format!("seed {seed}"),
            [first, .., last] => format!("means over seeds {first} to {last}, with 95 % confidence intervals"),
            [] => String::new(),
        };
        let mut text =
            format!("Sweep {} ({seeds})\n\n{}", manifest.sweep, table_with(&header, &texts, TEXT_WIDTH, rows));
        if self.points.len() > rows_max {
            text += &format!("... and {} more rows in {MEANS_FILE}\n", self.points.len() - rows_max);
        }
        text + &self.verdict()
    }

    /// What became of the thresholds, for people; empty if there are none.
    fn verdict(&self) -> String {
        let (judged, failed) = (self.judged, self.failed.len());
        if judged == 0 {
            return String::new();
        }
        let mut text = format!("\nThresholds: {} passed, {failed} failed\n", judged - failed);
        for failed in self.failed.iter().take(FAILED_SHOWN) {
            text += &format!("  {failed}\n");
        }
        if failed > FAILED_SHOWN {
            text += &format!("  ... and {} more in {SWEPT_THRESHOLDS_FILE}\n", failed - FAILED_SHOWN);
        }
        text
    }

    /// The metrics that people are shown: those that thresholds name, or some that were measured.
    fn shown<'m>(&self, manifest: &'m Manifest) -> Vec<&'m str> {
        let is_measured =
            |name: &&str| self.points.iter().any(|point| point.metrics.iter().any(|metric| metric.name == **name));
        let asked = manifest.thresholds.iter().map(|threshold| threshold.metric.as_str());
        let mut shown: Vec<&str> = Vec::new();
        for name in asked.chain(SHOWN).filter(is_measured) {
            if !shown.contains(&name) && shown.len() < SHOWN_MAX {
                shown.push(name);
            }
        }
        shown
    }

    /// ` [s]`; nothing of plain numbers.
    fn unit(&self, name: &str) -> String {
        let mut metrics = self.points.iter().flat_map(|point| &point.metrics);
        let unit = metrics.find(|metric| metric.name == name).map_or("1", |metric| metric.unit.as_str());
        if unit == "1" { String::new() } else { format!(" [{unit}]") }
    }
}

/// The columns of the axes: keys with the unit of their cells, told apart from the other columns.
pub(super) fn axis_columns(axes: &[ManifestAxis]) -> Vec<String> {
    let column = |axis: &ManifestAxis| {
        let name = if axis.unit.is_empty() { axis.name.clone() } else { format!("{}_{}", axis.name, axis.unit) };
        let is_taken =
            RUN_COLUMNS.iter().chain(&MEAN_COLUMNS).chain(&SWEPT_THRESHOLD_COLUMNS).any(|column| *column == name);
        if is_taken { format!("{name}_axis") } else { name }
    };
    axes.iter().map(column).collect()
}

/// The last part of each name of an axis, or all of it where another has the same.
pub fn short_names(names: &[&str]) -> Vec<String> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let is_alone = |name: &str| names.iter().filter(|other| last(other) == last(name)).count() == 1;
    let short = |name: &&str| last(name).filter(|_| is_alone(name)).unwrap_or_else(|| (*name).to_owned());
    names.iter().map(short).collect()
}

fn writer(manifest: &Manifest, columns: &[&str]) -> csv::Writer<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = axis_columns(&manifest.axes).into_iter().chain(columns.iter().map(|column| (*column).to_owned()));
    writer.write_record(columns).expect(IN_MEMORY);
    writer
}

fn write_run(writer: &mut csv::Writer<Vec<u8>>, combination: &ManifestCombination, record: &Record) {
    let (nodes, seed) = (record.nodes.to_string(), record.seed.to_string());
    for metric in &record.metrics {
        let of_run = [&record.approach, &nodes, &seed, &metric.name, &metric.unit, &metric.value];
        writer.write_record(combination.cells.iter().chain(of_run)).expect(IN_MEMORY);
    }
}

/// What is asked of the run of `record`, each with the metric that was measured there, if it was. A figure that another
/// mechanism of the scenario has is not this one's.
fn asked_of<'a>(
    manifest: &'a Manifest,
    record: &'a Record,
) -> impl Iterator<Item = (&'a Threshold, Option<&'a RecordedMetric>)> {
    let applying = manifest.thresholds.iter().filter(|threshold| threshold.applies_to(&record.approach));
    let measured = applying.map(|threshold| (threshold, record.metric(&threshold.metric)));
    measured.filter(|(threshold, value)| value.is_some() || !may_be_figure(&threshold.metric))
}

fn write_threshold(
    writer: &mut csv::Writer<Vec<u8>>,
    combination: &ManifestCombination,
    record: &Record,
    threshold: &Threshold,
    value: Option<&RecordedMetric>,
    has_passed: bool,
) {
    let cells = [
        record.approach.clone(),
        record.nodes.to_string(),
        record.seed.to_string(),
        threshold.to_string(),
        threshold.metric.clone(),
        value.map_or(String::new(), |value| value.value.clone()),
        crate::report::verdict(has_passed).to_owned(),
    ];
    writer.write_record(combination.cells.iter().chain(&cells)).expect(IN_MEMORY);
}

fn write_mean(
    writer: &mut csv::Writer<Vec<u8>>,
    combination: &ManifestCombination,
    point: &ManifestPoint,
    metric: &MetricMean,
) {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| Number(value).to_string());
    let Estimate { count, mean, deviation, .. } = metric.estimate;
    let interval = metric.estimate.interval();
    let cells = [
        point.approach.clone(),
        point.nodes.to_string(),
        metric.name.clone(),
        metric.unit.clone(),
        number(Some(mean)),
        number(deviation),
        count.to_string(),
        number(interval.map(|(low, _)| low)),
        number(interval.map(|(_, high)| high)),
    ];
    writer.write_record(combination.cells.iter().chain(&cells)).expect(IN_MEMORY);
}

/// The mean of every metric that any of `records` has, over those that have it.
fn means_of(records: &[Record]) -> Vec<MetricMean> {
    let mut names: Vec<(&str, &str)> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for metric in records.iter().flat_map(|record| &record.metrics) {
        if seen.insert(metric.name.as_str()) {
            names.push((&metric.name, &metric.unit));
        }
    }
    let mean = |(name, unit): (&str, &str)| {
        let values: Vec<f64> = records.iter().filter_map(|record| record.metric(name)?.number()).collect();
        let estimate = Estimate::of(&values)?;
        Some(MetricMean { name: name.to_owned(), unit: unit.to_owned(), estimate })
    };
    names.into_iter().filter_map(mean).collect()
}

/// `1.23K ±0.04K` in three digits; without an interval of a single value or of none that differ.
fn told(estimate: &Estimate) -> String {
    match estimate.half_width {
        Some(half) if half > 0.0 => format!("{} ±{}", count(estimate.mean), count(half)),
        _ => count(estimate.mean),
    }
}

fn json(manifest: &Manifest, points: &[PointMeans]) -> Vec<u8> {
    let number = |value: f64| json!(Number(value).to_string().parse::<f64>().ok());
    let point = |one: &PointMeans| -> Value {
        let axes: serde_json::Map<String, Value> =
            manifest.axes.iter().zip(&one.written).map(|(axis, value)| (axis.name.clone(), json!(value))).collect();
        let metric = |metric: &MetricMean| {
            let Estimate { count, mean, deviation, .. } = metric.estimate;
            let interval = metric.estimate.interval();
            let value = json!({
                "unit": metric.unit, "n": count, "mean": number(mean),
                "standard_deviation": deviation.map(number),
                "ci95_low": interval.map(|(low, _)| number(low)), "ci95_high": interval.map(|(_, high)| number(high)),
            });
            (metric.name.clone(), value)
        };
        let metrics: serde_json::Map<String, Value> = one.metrics.iter().map(metric).collect();
        json!({ "axes": axes, "approach": one.point.approach, "nodes": one.point.nodes, "metrics": metrics })
    };
    let document = json!({
        "format": manifest.format, "version": manifest.version, "sweep": manifest.sweep,
        "command": manifest.command, "seeds": manifest.seeds,
        "points": points.iter().map(point).collect::<Vec<_>>(),
    });
    format!("{document:#}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Comparison;

    fn manifest() -> Manifest {
        let points = vec![ManifestPoint { approach: "ping".to_owned(), nodes: 10 }];
        let combination = |cells: [&str; 2]| ManifestCombination {
            written: cells.map(|cell| format!("{cell}!")).into(),
            cells: cells.map(str::to_owned).into(),
            scenario: "ab".repeat(32),
            points: points.clone(),
        };
        let axis = |name: &str, unit: &str| ManifestAxis { name: name.to_owned(), unit: unit.to_owned() };
        Manifest {
            format: 1,
            version: "0".to_owned(),
            sweep: "s".to_owned(),
            description: String::new(),
            command: "qnetsim run s.toml".to_owned(),
            axes: vec![axis("nodes", ""), axis("heartbeat.interval", "s")],
            seeds: vec![1, 2, 3],
            thresholds: vec![Threshold {
                metric: "state".to_owned(),
                approach: None,
                comparison: Comparison::Below,
                value: 3.0,
                written: "< 3".to_owned(),
                line: None,
            }],
            combinations: vec![combination(["10", "1"]), combination(["10", "2, 3"])],
        }
    }

    fn sheets() -> Sheets {
        sheets_of(&manifest())
    }

    fn sheets_of(manifest: &Manifest) -> Sheets {
        let metric = |name: &str, value: String| RecordedMetric { name: name.to_owned(), unit: "1".to_owned(), value };
        let record = |run: RunId| -> Result<Record, ()> {
            let mut metrics = vec![metric("state", run.seed.to_string())];
            // Not every seed has something to measure.
            metrics.extend((run.seed == 2).then(|| metric("delay.p99", "7".to_owned())));
            Ok(Record {
                scenario: "ab".repeat(32),
                approach: "ping".to_owned(),
                nodes: 10,
                seed: run.seed,
                method: "event".to_owned(),
                digest: "0".to_owned(),
                metrics,
            })
        };
        Sheets::of(manifest, record).unwrap()
    }

    #[test]
    fn runs_and_means_are_tidy() {
        let sheets = sheets();
        let runs = String::from_utf8(sheets.runs).unwrap();
        let lines: Vec<_> = runs.lines().collect();
        assert_eq!(lines[0], "nodes_axis,heartbeat.interval_s,approach,nodes,seed,metric,unit,value");
        assert_eq!(
            lines[1..4],
            ["10,1,ping,10,1,state,1,1", "10,1,ping,10,2,state,1,2", "10,1,ping,10,2,delay.p99,1,7"]
        );
        assert_eq!((lines.len(), lines[5]), (9, "10,\"2, 3\",ping,10,1,state,1,1"));
        let means = String::from_utf8(sheets.means).unwrap();
        let lines: Vec<_> = means.lines().collect();
        let half = 4.303 / libm::sqrt(3.0);
        let interval = format!("{},{}", Number(2.0 - half), Number(2.0 + half));
        assert_eq!(lines[1], format!("10,1,ping,10,state,1,2,1,3,{interval}"));
        assert_eq!(lines[2], "10,1,ping,10,delay.p99,1,7,,1,,");
    }

    #[test]
    fn people_are_shown_a_row_a_point_and_what_was_left_out() {
        let table = sheets().table(&manifest(), 1);
        for part in ["means over seeds 1 to 3", "interval", "2.00 ±2.48", "7.00", "and 1 more rows"] {
            assert!(table.contains(part), "{part}\n{table}");
        }
        assert!(table.find("state").unwrap() < table.find("delay.").unwrap(), "{table}");
    }

    #[test]
    fn thresholds_are_held_against_every_run() {
        let text = String::from_utf8(sheets().thresholds.unwrap()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "nodes_axis,heartbeat.interval_s,approach,nodes,seed,threshold,metric,measured,verdict");
        assert_eq!(lines[2..4], ["10,1,ping,10,2,state < 3,state,2,pass", "10,1,ping,10,3,state < 3,state,3,fail"]);
        assert_eq!(lines.len(), 7);
        let table = sheets().table(&manifest(), 10);
        let failed = "Thresholds: 4 passed, 2 failed\n  state < 3: nodes = 10!, heartbeat.interval = 1!, ping, 10 nodes, seed 3\n";
        assert!(table.contains(failed), "{table}");
    }

    #[test]
    fn what_was_not_measured_fails_unless_another_mechanism_may_have_it() {
        let mut manifest = manifest();
        let asked = |metric: &str| Threshold { metric: metric.to_owned(), ..manifest.thresholds[0].clone() };
        manifest.thresholds = vec![asked("delay.p99"), asked("lookups.node.hops-mean")];
        let text = String::from_utf8(sheets_of(&manifest).thresholds.unwrap()).unwrap();
        assert_eq!(text.lines().nth(1), Some("10,1,ping,10,1,delay.p99 < 3,delay.p99,,fail"));
        assert_eq!(text.lines().count(), 7);
        manifest.thresholds.clear();
        assert_eq!(sheets_of(&manifest).thresholds, None);
    }

    #[test]
    fn json_has_the_values_of_the_means() {
        let value: Value = serde_json::from_slice(&sheets().json).unwrap();
        assert_eq!(value["points"][1]["axes"]["heartbeat.interval"], "2, 3!");
        assert_eq!(value["points"][0]["metrics"]["state"]["mean"], 2.0);
        assert_eq!(value["points"][0]["metrics"]["delay.p99"]["ci95_low"], Value::Null);
    }
}
