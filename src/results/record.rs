//! What is kept of a finished run: a JSON file with a checksum, in `runs/`, named by the hash of what was run.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::FORMAT;
use super::manifest::{Manifest, RunId};
use crate::metrics::{PointResult, measurements};
use crate::report::{Number, layout_of};

/// What is kept of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Hash of the scenario.
    pub scenario: String,
    /// The point's name.
    pub approach: String,
    /// Its nodes.
    pub nodes: u32,
    /// The seed.
    pub seed: u64,
    /// How the numbers were obtained.
    pub method: String,
    /// Hash of all that was delivered.
    pub digest: String,
    /// All that was measured, each name once.
    pub metrics: Vec<RecordedMetric>,
}

/// A metric or a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedMetric {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// A number as result files have it: in up to twelve digits. Text, so that it is read as it was written.
    pub value: String,
}

/// Why a stored file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// It is larger than any that is written.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    /// A later version wrote it.
    #[error("it has format {0}, and this version reads {FORMAT}: use the version that wrote it, or another folder")]
    Newer(u64),
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is of another run than its name says.
    #[error("it is the result of another run ({0})")]
    Foreign(String),
}

impl StoredError {
    /// What a reader of JSON said, on one line.
    pub(super) fn damaged(error: &dyn std::error::Error) -> Self {
        let said: String = error.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
        StoredError::Damaged(said)
    }

    /// What the JSON document in `bytes` says, if it is of this format. Read as what it should be at once: as any document,
    /// it takes fifteen times its memory.
    pub(super) fn document<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, StoredError> {
        if bytes.len() > bytes_max {
            return Err(StoredError::TooLarge(bytes_max));
        }
        match layout_of(bytes) {
            Some(FORMAT) => serde_json::from_slice(bytes).map_err(|error| StoredError::damaged(&error)),
            Some(newer) if newer > FORMAT => Err(StoredError::Newer(newer)),
            _ => Err(StoredError::Damaged("it has no `format` that is known".to_owned())),
        }
    }
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u64,
    /// BLAKE3 of the run as JSON without blanks.
    checksum: String,
    run: Record,
}

impl Record {
    /// Longest file that is read, in bytes.
    pub const BYTES_MAX: usize = 4_000_000;

    /// What is kept of `result`, a point of the scenario with the hash `scenario`.
    pub fn of(scenario: &str, result: &PointResult) -> Self {
        let metric = |one: crate::metrics::Measurement| RecordedMetric {
            name: one.name,
            unit: one.unit.to_owned(),
            value: Number(one.value).to_string(),
        };
        Record {
            scenario: scenario.to_owned(),
            approach: result.approach.clone(),
            nodes: result.nodes(),
            seed: result.seed,
            method: result.method.to_string(),
            digest: format!("{:016x}", result.digest),
            metrics: measurements(result).into_iter().map(metric).collect(),
        }
    }

    /// The file.
    pub fn to_json(&self) -> Vec<u8> {
        const JSON: &str = "texts and numbers are JSON";
        let run = serde_json::to_vec(self).expect(JSON);
        let checksum = blake3::hash(&run).to_hex().to_string();
        let mut bytes = serde_json::to_vec(&Stored { format: FORMAT, checksum, run: self.clone() }).expect(JSON);
        bytes.push(b'\n');
        bytes
    }

    /// Reads what [`Record::to_json`] wrote for `run` of `manifest`.
    ///
    /// # Errors
    /// If the bytes are anything else: torn, changed, of another run, or of a later version.
    pub fn from_json(bytes: &[u8], manifest: &Manifest, run: RunId) -> Result<Self, StoredError> {
        let Stored { run: record, .. } = StoredError::document(bytes, Record::BYTES_MAX)?;
        if record.to_json() != bytes {
            return Err(StoredError::Damaged("its checksum is not that of its contents".to_owned()));
        }
        let combination = &manifest.combinations[run.combination];
        let point = &combination.points[run.point];
        let is_run = (&record.scenario, &record.approach, record.nodes, record.seed)
            == (&combination.scenario, &point.approach, point.nodes, run.seed);
        if !is_run {
            let shown: String = record.approach.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(StoredError::Foreign(format!("{shown}, {} nodes, seed {}", record.nodes, record.seed)));
        }
        record.check().map_err(|reason| StoredError::Damaged(reason.to_owned()))?;
        Ok(record)
    }

    fn check(&self) -> Result<(), &'static str> {
        let plain = |text: &str, blanks: bool, max: usize| {
            (1..=max).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() || blanks && c == ' ')
        };
        let mut names = std::collections::BTreeSet::new();
        for metric in &self.metrics {
            if !plain(&metric.name, false, 128) || !plain(&metric.unit, true, 32) {
                return Err("a metric or its unit has no name that can be shown");
            }
            if !names.insert(&metric.name) {
                return Err("a metric stands there twice");
            }
            if metric.number().is_none() {
                return Err("the value of a metric is no number");
            }
        }
        match plain(&self.method, false, 32) && plain(&self.digest, false, 32) {
            true => Ok(()),
            false => Err("its method or its digest is none"),
        }
    }

    /// The metric `name`.
    pub fn metric(&self, name: &str) -> Option<&RecordedMetric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

impl RecordedMetric {
    /// The value, if it is a finite number.
    pub fn number(&self) -> Option<f64> {
        self.value.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::manifest::{ManifestCombination, ManifestPoint};
    use super::*;

    fn manifest() -> Manifest {
        let points = vec![ManifestPoint { approach: "ping".to_owned(), nodes: 10 }];
        let scenario = "ab".repeat(32);
        let combination = ManifestCombination { written: vec![], cells: vec![], scenario, points };
        Manifest {
            format: FORMAT,
            version: "0".to_owned(),
            sweep: "s".to_owned(),
            description: String::new(),
            command: "qnetsim run s.toml".to_owned(),
            axes: vec![],
            seeds: vec![1, 2],
            thresholds: vec![],
            combinations: vec![combination],
        }
    }

    const RUN: RunId = RunId { combination: 0, point: 0, seed: 2 };

    fn record() -> Record {
        let metric = |name: &str, value: &str| RecordedMetric {
            name: name.to_owned(),
            unit: "s".to_owned(),
            value: value.to_owned(),
        };
        Record {
            scenario: "ab".repeat(32),
            approach: "ping".to_owned(),
            nodes: 10,
            seed: 2,
            method: "event".to_owned(),
            digest: "00ff".to_owned(),
            metrics: vec![metric("delay.p99", "0.123456789012"), metric("delay.mean", "-1")],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(Record::from_json(&record().to_json(), &manifest(), RUN), Ok(record()));
        assert_eq!(Manifest::from_json(&manifest().to_json()), Ok(manifest()));
        assert_eq!(
            manifest().runs().map(|run| manifest().key(run)).collect::<std::collections::BTreeSet<_>>().len(),
            2
        );
    }

    #[test]
    fn torn_changed_foreign_and_newer_files_are_refused() {
        let bytes = record().to_json();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let refused = |bytes: &[u8]| Record::from_json(bytes, &manifest(), RUN).unwrap_err();
        for len in 0..bytes.len() {
            assert!(matches!(refused(&bytes[..len]), StoredError::Damaged(_)), "{len}");
        }
        assert!(matches!(refused(text.replace("0.1234", "0.1235").as_bytes()), StoredError::Damaged(_)));
        assert!(matches!(
            refused(text.replace("\"seed\":2", "\"seed\":2,\"more\":1").as_bytes()),
            StoredError::Damaged(_)
        ));
        assert!(matches!(refused(text.replace("\"format\":1", "\"format\":2").as_bytes()), StoredError::Newer(2)));
        let foreign = Record { seed: 1, ..record() };
        assert!(matches!(refused(&foreign.to_json()), StoredError::Foreign(_)));
        assert_eq!(refused(&vec![b' '; Record::BYTES_MAX + 1]), StoredError::TooLarge(Record::BYTES_MAX));
        for (name, value) in [("a\u{1b}[1m", "1"), ("delay.mean", "1"), ("", "1"), ("a", "inf"), ("a", "one")] {
            let mut bad = record();
            bad.metrics.push(RecordedMetric { name: name.to_owned(), unit: "s".to_owned(), value: value.to_owned() });
            assert!(matches!(refused(&bad.to_json()), StoredError::Damaged(_)), "{name} {value}");
        }
    }

    #[test]
    fn manifests_that_no_sweep_makes_are_refused() {
        let refused = |change: fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            assert!(matches!(Manifest::from_json(&manifest.to_json()), Err(StoredError::Damaged(_))), "{manifest:?}");
        };
        refused(|manifest| manifest.sweep = "../up".to_owned());
        refused(|manifest| manifest.seeds = vec![2, 1]);
        refused(|manifest| manifest.seeds = (0..30_000).collect());
        refused(|manifest| manifest.combinations[0].cells.push("1".to_owned()));
        refused(|manifest| manifest.combinations[0].scenario = "x".to_owned());
        refused(|manifest| manifest.command = "\u{1b}]0;".to_owned());
        assert!(matches!(Manifest::from_json(b"{\"format\": 9}"), Err(StoredError::Newer(9))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_an_error(at in 0..400usize, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut text = record().to_json();
            let at = at.min(text.len());
            let end = (at + bytes.len()).min(text.len());
            text.splice(at..end, bytes);
            if let Ok(read) = Record::from_json(&text, &manifest(), RUN) {
                prop_assert_eq!(read.to_json(), text.clone());
            }
            let _ = Manifest::from_json(&text);
        }
    }
}
