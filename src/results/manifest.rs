//! `sweep.json`: what a sweep is to run, in the order in which its results stand.

use serde::{Deserialize, Serialize};

use super::FORMAT;
use super::record::StoredError;
use crate::metrics::Threshold;
use crate::scenario::{COMBINATIONS_MAX, RUNS_MAX, Sweep};

/// Its name.
pub const MANIFEST_FILE: &str = "sweep.json";

/// What a sweep is to run. The same for every shard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u64,
    /// The version of the program, on which results may depend.
    pub version: String,
    /// The name of the sweep.
    pub sweep: String,
    /// What it is about.
    pub description: String,
    /// A command line that makes it.
    pub command: String,
    /// What is varied.
    pub axes: Vec<ManifestAxis>,
    /// The seeds of every combination.
    pub seeds: Vec<u64>,
    /// What the scenario asks of its metrics, without lines.
    pub thresholds: Vec<Threshold>,
    /// The combinations of values.
    pub combinations: Vec<ManifestCombination>,
}

/// Something that is varied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestAxis {
    /// The key.
    pub name: String,
    /// The unit of its cells, empty of plain numbers and texts.
    pub unit: String,
}

/// A combination of values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestCombination {
    /// Its values as they are written, by axis.
    pub written: Vec<String>,
    /// Its values in the units of the axes.
    pub cells: Vec<String>,
    /// Hash of its scenario.
    pub scenario: String,
    /// Its points.
    pub points: Vec<ManifestPoint>,
}

/// A point of a combination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestPoint {
    /// What it is called.
    pub approach: String,
    /// Its nodes.
    pub nodes: u32,
}

/// A run of a sweep: a point of a combination with one of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId {
    /// Number of the combination.
    pub combination: usize,
    /// Number of the point in it.
    pub point: usize,
    /// The seed.
    pub seed: u64,
}

impl Manifest {
    /// The manifest of `sweep`, which `command` makes; `thresholds` are those of its scenario.
    pub fn of(sweep: &Sweep, command: &str, thresholds: &[Threshold]) -> Self {
        let combination = |combination: &crate::scenario::Combination| ManifestCombination {
            written: combination.written.clone(),
            cells: combination.cells.clone(),
            scenario: combination.hash.clone(),
            points: combination
                .points
                .iter()
                .map(|(approach, nodes)| ManifestPoint { approach: approach.clone(), nodes: *nodes })
                .collect(),
        };
        let axis = |axis: &crate::scenario::Axis| ManifestAxis { name: axis.name.clone(), unit: axis.unit.to_owned() };
        Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sweep: sweep.name.clone(),
            description: sweep.description.clone(),
            command: command.to_owned(),
            axes: sweep.axes.iter().map(axis).collect(),
            seeds: sweep.seeds.clone(),
            thresholds: thresholds.iter().map(|one| Threshold { line: None, ..one.clone() }).collect(),
            combinations: sweep.combinations.iter().map(combination).collect(),
        }
    }

    /// The file.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads what [`Manifest::to_json`] wrote.
    ///
    /// # Errors
    /// If the bytes are anything else, or of a later version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, StoredError> {
        let manifest: Manifest = StoredError::document(bytes, Manifest::BYTES_MAX)?;
        manifest.check().map_err(|reason| StoredError::Damaged(reason.to_owned()))?;
        Ok(manifest)
    }

    /// Longest file that is read, in bytes.
    pub const BYTES_MAX: usize = 64_000_000;

    /// Whether all of it could have been written: its names can be shown and its numbers fit together.
    fn check(&self) -> Result<(), &'static str> {
        let is_text = |text: &str| text.chars().all(|c| !c.is_control()) && text.len() <= 100_000;
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_name = !matches!(self.sweep.as_str(), "" | "." | "..") && self.sweep.chars().all(named);
        if !is_name || self.sweep.len() > 64 {
            return Err("the name of the sweep cannot be that of a folder");
        }
        let heads = [&self.version, &self.command].into_iter();
        let axes = self.axes.iter().flat_map(|axis| [&axis.name, &axis.unit]);
        let written = self.combinations.iter().flat_map(|one| one.written.iter().chain(&one.cells));
        let points = self.combinations.iter().flat_map(|one| one.points.iter().map(|point| &point.approach));
        let asked = self.thresholds.iter().flat_map(|one| [&one.metric, &one.written].into_iter().chain(&one.approach));
        if !heads.chain(axes).chain(asked).chain(written).chain(points).all(|text| is_text(text)) {
            return Err("a text is too long or holds control characters");
        }
        let is_ascending = self.seeds.is_sorted_by(|one, other| one < other);
        let widths = self.combinations.iter().flat_map(|one| [one.written.len(), one.cells.len()]);
        if self.seeds.is_empty() || !is_ascending || widths.into_iter().any(|width| width != self.axes.len()) {
            return Err("its seeds or its values do not go with its axes");
        }
        let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.combinations.iter().any(|one| !is_hash(&one.scenario)) {
            return Err("the hash of a scenario is none");
        }
        let points: usize = self.combinations.iter().map(|one| one.points.len()).sum();
        let runs = points.checked_mul(self.seeds.len());
        match runs.is_some_and(|runs| runs <= RUNS_MAX) && self.combinations.len() <= COMBINATIONS_MAX {
            true => Ok(()),
            false => Err("it has more runs than any sweep"),
        }
    }

    /// Whether both are the same sweep; the commands may name the file by different paths.
    pub fn is_same_sweep(&self, other: &Manifest) -> bool {
        let command = self.command.clone();
        *self == Manifest { command, ..other.clone() }
    }

    /// Every run, in order; the seeds of a point stand together.
    pub fn runs(&self) -> impl Iterator<Item = RunId> + '_ {
        self.combinations.iter().enumerate().flat_map(move |(combination, one)| {
            let points = 0..one.points.len();
            points.flat_map(move |point| self.seeds.iter().map(move |&seed| RunId { combination, point, seed }))
        })
    }

    /// The hash of all that decides what `run` gives: the name of its file.
    pub fn key(&self, run: RunId) -> String {
        let combination = &self.combinations[run.combination];
        let point = &combination.points[run.point];
        let facts = format!(
            "qnetsim run {FORMAT}\nversion {}\nscenario {}\napproach {}\nnodes {}\nseed {}",
            self.version, combination.scenario, point.approach, point.nodes, run.seed
        );
        blake3::hash(facts.as_bytes()).to_hex().to_string()
    }

    /// `network.loss = 0.1, gossip, 1000 nodes, seed 2`.
    pub fn told(&self, run: RunId) -> String {
        let combination = &self.combinations[run.combination];
        let point = &combination.points[run.point];
        let values = self.axes.iter().zip(&combination.written);
        let values: String = values.map(|(axis, value)| format!("{} = {value}, ", axis.name)).collect();
        format!("{values}{}, {} nodes, seed {}", point.approach, point.nodes, run.seed)
    }
}
