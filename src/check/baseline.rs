//! Baselines: the fingerprint of a run as a CSV file that is committed beside the scenario.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::metrics::{Flow, Metric, PointResult, Tolerance, long_row, metric_value};

/// Longest baseline that is read, in bytes.
pub const BASELINE_BYTES_MAX: usize = 16_000_000;
/// Longest row, in bytes.
const ROW_BYTES_MAX: usize = 10_000;
/// Version of the file's layout.
const FORMAT: u64 = 1;
/// Most buckets of traffic that a baseline keeps of a point; where there are more, neighbours are put together.
const BUCKETS_MAX: usize = 500;
const COLUMNS: [&str; 5] = ["approach", "nodes", "metric", "from_s", "value"];

/// What a baseline keeps of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fingerprint {
    /// Hash of the scenario.
    pub scenario_hash: String,
    /// The seed.
    pub seed: u64,
    /// By approach and number of nodes.
    pub points: BTreeMap<(String, u32), PointFingerprint>,
}

/// What it keeps of a point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointFingerprint {
    /// Hash of all that was delivered.
    pub digest: String,
    /// Metrics by name; those that were not measured are missing.
    pub metrics: BTreeMap<String, f64>,
    /// Traffic over time, warm-up included.
    pub timeline: Vec<Bucket>,
}

/// Traffic of a slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// When it begins, in seconds; it ends where the next one begins.
    pub from_s: f64,
    /// Messages sent, messages received, and payload bytes sent, by the order of [`Bucket::METRICS`].
    pub counts: [u64; 3],
}

impl Bucket {
    /// What is counted in a bucket.
    pub const METRICS: [&'static str; 3] = ["messages.sent", "messages.received", "payload.sent"];
}

/// Why a baseline cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BaselineError {
    /// It is larger than any that is written.
    #[error("it has more than {BASELINE_BYTES_MAX} bytes: is it a baseline at all?")]
    TooLarge,
    /// A later version wrote it.
    #[error("it has format {0}, and this version reads {FORMAT}: use the version that wrote it, or accept anew")]
    Newer(u64),
    /// It is damaged.
    #[error("line {line}: {reason}; take it from version control again, or accept anew")]
    Damaged {
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        reason: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    approach: String,
    nodes: Option<u32>,
    metric: String,
    from_s: Option<f64>,
    value: String,
}

impl Fingerprint {
    /// The fingerprint of `points`, which the scenario with `scenario_hash` gave with `seed`. Metrics that it has
    /// `tolerances` for are in it.
    pub fn of(scenario_hash: &str, seed: u64, points: &[PointResult], tolerances: &[Tolerance]) -> Self {
        let points = points
            .iter()
            .map(|point| ((point.approach.clone(), point.nodes()), PointFingerprint::of(point, tolerances)));
        Fingerprint { scenario_hash: scenario_hash.to_owned(), seed, points: points.collect() }
    }

    /// The file: tidy CSV, one row a value.
    pub fn to_csv(&self) -> Vec<u8> {
        const IN_MEMORY: &str = "a CSV in memory takes every row";
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        writer.write_record(COLUMNS).expect(IN_MEMORY);
        let mut write = |point: Option<&(String, u32)>, metric: &str, from_s: Option<f64>, value: String| {
            let (approach, nodes) = point.map_or((String::new(), None), |(name, nodes)| (name.clone(), Some(*nodes)));
            writer.serialize(Row { approach, nodes, metric: metric.to_owned(), from_s, value }).expect(IN_MEMORY);
        };
        write(None, "format", None, FORMAT.to_string());
        write(None, "scenario", None, self.scenario_hash.clone());
        write(None, "seed", None, self.seed.to_string());
        for (key, point) in &self.points {
            write(Some(key), "digest", None, point.digest.clone());
            for (name, value) in &point.metrics {
                write(Some(key), name, None, value.to_string());
            }
            for bucket in &point.timeline {
                for (name, count) in Bucket::METRICS.iter().zip(bucket.counts) {
                    write(Some(key), name, Some(bucket.from_s), count.to_string());
                }
            }
        }
        writer.into_inner().expect(IN_MEMORY)
    }

    /// Reads what [`Fingerprint::to_csv`] wrote.
    ///
    /// # Errors
    /// With the first line that it cannot have written.
    pub fn from_csv(bytes: &[u8]) -> Result<Self, BaselineError> {
        if bytes.len() > BASELINE_BYTES_MAX {
            return Err(BaselineError::TooLarge);
        }
        let mut read = Reading::default();
        let mut reader = csv::Reader::from_reader(bytes);
        let damaged = |line, reason: &str| BaselineError::Damaged { line, reason: reason.to_owned() };
        if let Some(line) = long_row(bytes, ROW_BYTES_MAX) {
            return Err(damaged(line, "the row is longer than any that is written"));
        }
        if reader.headers().is_ok_and(|header| header != COLUMNS.as_slice()) {
            return Err(damaged(1, &format!("the columns are not {}", COLUMNS.join(","))));
        }
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {}
                Err(_) => return Err(damaged(line, "not a row of five cells of UTF-8 text")),
            }
            let row = record.deserialize::<Row>(None).map_err(|_| damaged(line, "a cell is not a number"))?;
            if let Some(newer) = read.take(row).map_err(|reason| damaged(line, reason))? {
                return Err(BaselineError::Newer(newer));
            }
        }
        let last = reader.position().line();
        if read.format.is_none() || read.fingerprint.scenario_hash.is_empty() {
            return Err(damaged(last, "the file ends before its format and scenario are known"));
        }
        Ok(read.fingerprint)
    }
}

impl PointFingerprint {
    fn of(point: &PointResult, tolerances: &[Tolerance]) -> Self {
        let counted = Metric::all()
            .iter()
            .filter(|metric| ["messages.", "payload.", "wire."].iter().any(|family| metric.name.starts_with(family)));
        let names = counted.map(|metric| &metric.name).chain(tolerances.iter().map(|tolerance| &tolerance.metric));
        let metrics = names.filter_map(|name| Some((name.clone(), metric_value(point, name)??)));
        PointFingerprint {
            digest: format!("{:016x}", point.digest),
            metrics: metrics.collect(),
            timeline: timeline(point),
        }
    }
}

/// Traffic over time in at most [`BUCKETS_MAX`] buckets.
fn timeline(point: &PointResult) -> Vec<Bucket> {
    let together = point.timeline.len().div_ceil(BUCKETS_MAX).max(1);
    let bucket = |slices: &[crate::metrics::TimelineBucket]| {
        let sum = |pick: fn(&crate::metrics::Traffic) -> u64| slices.iter().map(|slice| pick(&slice.traffic)).sum();
        Bucket {
            from_s: slices[0].start.as_nanos() as f64 / 1e9,
            counts: [
                sum(|traffic| traffic.total(Flow::Sent).messages),
                sum(|traffic| traffic.total(Flow::Received).messages),
                sum(|traffic| traffic.total(Flow::Sent).bytes),
            ],
        }
    };
    point.timeline.chunks(together).map(bucket).collect()
}

/// What is read of a file so far.
#[derive(Debug, Default)]
struct Reading {
    format: Option<u64>,
    fingerprint: Fingerprint,
}

impl Reading {
    /// Takes a row in; returns the format if it is a later one than is known.
    fn take(&mut self, row: Row) -> Result<Option<u64>, &'static str> {
        let whole = |text: &str| text.parse::<u64>().map_err(|_| "the value is no whole number");
        let Some(nodes) = row.nodes else {
            match row.metric.as_str() {
                "format" => {
                    let format = whole(&row.value)?;
                    self.format = Some(format);
                    return Ok((format > FORMAT).then_some(format));
                }
                "scenario" => self.fingerprint.scenario_hash = row.value,
                "seed" => self.fingerprint.seed = whole(&row.value)?,
                _ => return Err("neither a point nor one of format, scenario, seed"),
            }
            return Ok(None);
        };
        let point = self.fingerprint.points.entry((row.approach, nodes)).or_default();
        let Some(from_s) = row.from_s else {
            if row.metric == "digest" {
                point.digest = row.value;
                return Ok(None);
            }
            let value: f64 = row.value.parse().map_err(|_| "the value is no number")?;
            return match value.is_finite() && point.metrics.insert(row.metric, value).is_none() {
                true => Ok(None),
                false => Err("the metric stands there for the second time, or is no finite number"),
            };
        };
        let of = Bucket::METRICS.iter().position(|name| *name == row.metric).ok_or("no metric of a bucket")?;
        match point.timeline.last() {
            Some(last) if last.from_s == from_s => {}
            Some(last) if last.from_s > from_s => return Err("buckets are not in order"),
            _ if !from_s.is_finite() => return Err("the bucket begins at no moment"),
            _ => point.timeline.push(Bucket { from_s, counts: [0; 3] }),
        }
        let bucket = point.timeline.last_mut().ok_or("no bucket")?;
        bucket.counts[of] = whole(&row.value)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some() -> Fingerprint {
        let bucket = |from_s: f64, sent| Bucket { from_s, counts: [sent, sent - 1, 100 * sent] };
        let metrics = [("messages.sent", 12.0), ("delay.p99", 0.123_456_789_012_345_68)];
        let point = PointFingerprint {
            digest: "00ff".to_owned(),
            metrics: metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            timeline: vec![bucket(0.0, 5), bucket(0.1, 7)],
        };
        let points = [("gossip".to_owned(), 10), ("gossip nearby 0.5".to_owned(), 10)];
        let points = points.into_iter().map(|key| (key, point.clone()));
        Fingerprint { scenario_hash: "abc".to_owned(), seed: 7, points: points.collect() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(Fingerprint::from_csv(&some().to_csv()), Ok(some()));
    }

    #[test]
    fn damage_is_refused_with_its_line() {
        let text = String::from_utf8(some().to_csv()).unwrap();
        let damage = [
            ("approach,nodes", "approach,modes", 1),
            ("format,,1", "format,,one", 2),
            ("messages.sent,,12", "messages.sent,,twelve", 7),
            ("messages.sent,,12", "messages.sent,,inf", 7),
            ("messages.received,0.0,4", "messages.received,0.0,4,5", 9),
            ("messages.sent,0.1,7", "messages.sent,-1,7", 11),
        ];
        for (from, to, line) in damage {
            let error = Fingerprint::from_csv(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(matches!(error, BaselineError::Damaged { line: found, .. } if found == line), "{to}: {error}");
        }
        let newer = text.replacen("format,,1", "format,,2", 1);
        assert_eq!(Fingerprint::from_csv(newer.as_bytes()), Err(BaselineError::Newer(2)));
        assert!(Fingerprint::from_csv(b"").is_err());
        assert_eq!(Fingerprint::from_csv(&vec![b'a'; BASELINE_BYTES_MAX + 1]), Err(BaselineError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_baseline_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..900usize) {
            let _ = Fingerprint::from_csv(&bytes);
            let mut text = some().to_csv();
            let at = cut.min(text.len());
            text.splice(at..at, bytes);
            if let Ok(read) = Fingerprint::from_csv(&text) {
                prop_assert_eq!(Fingerprint::from_csv(&read.to_csv()), Ok(read));
            }
        }
    }
}
