//! `[sweep]`: one file that stands for many scenarios, every combination of the values of its axes.
//!
//! A file is read as a scenario without its sweep first; then every combination puts its values into the tree, as `--set`
//! does, and is read again. So whatever is wrong with a value is told at its place in the sweep.

mod amount;
mod axis;
mod constraint;

use std::collections::BTreeMap;

use super::codes::Code;
use super::document::Document;
use super::files::Files;
use super::problem::{Draft, Place};
use super::quantity::{count_text, short};
use super::reader::{Reader, Section};
use super::tree::{Kind, Table, Value};
use super::{Scenario, ScenarioError};

use axis::{Dimension, Set};
use constraint::Constraint;

/// The key of the table.
pub(super) const KEY: &str = "sweep";
/// Combinations of a sweep, before constraints take some away.
pub const COMBINATIONS_MAX: usize = 10_000;
/// Runs of a sweep: points of all combinations, with all seeds.
pub const RUNS_MAX: usize = 20_000;
/// Seeds of a sweep.
const REPEAT_MAX: u32 = 1_000;
const CONSTRAINTS_MAX: usize = 32;

/// A sweep as it is written.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    at: Place,
    /// In the order of the file; the last one changes fastest.
    dimensions: Vec<Dimension>,
    constraints: Vec<Constraint>,
    repeat: u32,
}

/// A sweep: combinations of values, each of which makes a [`Scenario`], and the seeds that all of them run with.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Names the results, as that of a scenario.
    pub name: String,
    /// What it is about, for people; may be empty.
    pub description: String,
    /// What is varied, in the order of the file.
    pub axes: Vec<Axis>,
    /// The seeds of every combination: the scenario's own and those after it.
    pub seeds: Vec<u64>,
    /// Every combination that the constraints leave, at least one and at most [`COMBINATIONS_MAX`]; the last axis changes
    /// fastest.
    pub combinations: Vec<Combination>,
    document: Document,
    sets: Vec<Vec<Set>>,
}

/// Something that is varied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The key, such as `network.loss`, or `variant`.
    pub name: String,
    /// The unit of its cells: `s`, `bytes`, `bps`; empty where they are plain numbers or texts.
    pub unit: &'static str,
}

/// One value of every axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    /// The values as they are written, by axis.
    pub written: Vec<String>,
    /// The values in the units of the axes.
    pub cells: Vec<String>,
    /// Hash of the scenario.
    pub hash: String,
    /// What the points are called, and their nodes; in the order of the scenario.
    pub points: Vec<(String, u32)>,
}

/// Reads the table `sweep`, if there is one.
pub(super) fn spec(reader: &mut Reader, root: &Section<'_>) -> Option<Spec> {
    let at = root.get(KEY)?.key_at;
    let section = reader.section(root, KEY, &["axes", "zip", "variants", "constraints", "repeat"]);
    let mut dimensions = axis::axes(reader, &section);
    dimensions.extend(axis::zips(reader, &section));
    dimensions.extend(axis::variants(reader, &section));
    dimensions.sort_by_key(|dimension| dimension.at);
    refuse_twice(reader, &dimensions);
    let mut constraints = Vec::new();
    if let Some(entry) = section.get("constraints") {
        for value in reader.items(&entry.value, "constraints", CONSTRAINTS_MAX) {
            let Some(text) = reader.text(value, "a comparison", "\"nodes <= 10K\"") else { continue };
            match Constraint::parse(text, value.at) {
                Ok(constraint) => constraints.push(constraint),
                Err(draft) => reader.report(draft),
            }
        }
    }
    let repeat = reader.field(&section, "repeat", 1, |reader, value| reader.count_u32(value, 1, REPEAT_MAX));
    Some(Spec { at, dimensions, constraints, repeat: repeat.value? })
}

/// Refuses a key that two axes set. Variants may leave keys to one another, but not to axes.
fn refuse_twice(reader: &mut Reader, dimensions: &[Dimension]) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, dimension) in dimensions.iter().enumerate() {
        for set in dimension.choices.iter().flat_map(|choice| &choice.sets) {
            if seen.insert(&set.path, index).is_some_and(|other| other != index) {
                let title = format!("`{}` is set by two axes of the sweep", short(&set.path));
                reader.report(
                    Draft::new(set.at, title, "remove one of them, or put what moves together into [[sweep.zip]]")
                        .code(Code::Twice),
                );
                seen.insert(&set.path, index);
            }
        }
    }
}

/// Problems of combinations: each once, with the first combination that has it.
#[derive(Default)]
struct Found {
    drafts: BTreeMap<Draft, String>,
    /// What the drafts point into: the files of the first combination with problems.
    files: Option<Files>,
}

impl Found {
    fn add(&mut self, draft: Draft, combination: String) {
        self.drafts.entry(draft).or_insert(combination);
    }

    fn into_drafts(self) -> Vec<Draft> {
        let told = |(draft, combination): (Draft, String)| match &draft.help {
            None if !combination.is_empty() => draft.help(format!("in the combination {combination}")),
            _ => draft,
        };
        self.drafts.into_iter().map(told).collect()
    }
}

/// Makes every combination of `spec`, each of which has to be a scenario. `base` is the scenario without the sweep.
pub(super) fn expand(document: Document, spec: Spec, base: &Scenario) -> Result<Sweep, ScenarioError> {
    let Spec { at, mut dimensions, constraints, repeat } = spec;
    for dimension in &mut dimensions {
        dimension.pin(&document);
    }
    let refuse = |document: &Document, title: String, label: &str, code| {
        Err(document.refused(vec![Draft::new(at, title, label).code(code)], document.files()))
    };
    let candidates = dimensions.iter().try_fold(1usize, |all, dimension| all.checked_mul(dimension.choices.len()));
    let Some(candidates) = candidates.filter(|candidates| *candidates <= COMBINATIONS_MAX) else {
        let title = format!("the sweep has more than {} combinations", count_text(COMBINATIONS_MAX as u64));
        return refuse(
            &document,
            title,
            "vary fewer keys, or let some move together in [[sweep.zip]]",
            Code::ListLength,
        );
    };
    let last_seed = base.seed.checked_add(u64::from(repeat) - 1).filter(|seed| *seed <= i64::MAX as u64);
    let Some(last_seed) = last_seed else {
        return refuse(&document, "the seeds end at 2^63 - 1".to_owned(), "write a smaller `seed`", Code::OutOfRange);
    };
    let axes: Vec<Axis> = dimensions.iter().flat_map(Dimension::axes).collect();
    let cells: Vec<_> = dimensions.iter().map(Dimension::cells).collect();
    let (mut combinations, mut sets, mut runs) = (Vec::new(), Vec::new(), 0);
    let mut found = Found::default();
    for candidate in 0..candidates {
        let chosen = choices(&dimensions, candidate);
        let parts = || dimensions.iter().zip(&chosen).map(|(dimension, index)| &dimension.choices[*index]);
        let combination = Candidate {
            axes: &axes,
            written: parts().flat_map(|choice| choice.written.clone()).collect(),
            cells: cells.iter().zip(&chosen).flat_map(|(cells, index)| cells[*index].clone()).collect(),
            sets: parts().flat_map(|choice| choice.sets.clone()).collect(),
        };
        let Some(made) = combination.made(&document, &constraints, &mut found) else { continue };
        runs += made.points.len() * repeat as usize;
        if runs > RUNS_MAX {
            let title = format!("the sweep has more than {} runs", count_text(RUNS_MAX as u64));
            let label = "vary fewer keys, or have fewer points or a smaller `repeat`";
            return refuse(&document, title, label, Code::ListLength);
        }
        combinations.push(made);
        sets.push(combination.sets);
    }
    if !found.drafts.is_empty() {
        let files = found.files.take().unwrap_or_else(|| document.files().clone());
        return Err(document.refused(found.into_drafts(), &files));
    }
    if combinations.is_empty() {
        let title = "the constraints of the sweep leave no combination".to_owned();
        return refuse(&document, title, "relax them", Code::Sweep);
    }
    let seeds = (base.seed..=last_seed).collect();
    let (name, description) = (base.name.clone(), base.description.clone());
    Ok(Sweep { name, description, axes, seeds, combinations, document, sets })
}

/// Which choice of each dimension makes the combination number `candidate`.
fn choices(dimensions: &[Dimension], candidate: usize) -> Vec<usize> {
    let mut rest = candidate;
    let mut chosen: Vec<usize> = Vec::with_capacity(dimensions.len());
    for dimension in dimensions.iter().rev() {
        chosen.push(rest % dimension.choices.len());
        rest /= dimension.choices.len();
    }
    chosen.reverse();
    chosen
}

/// A combination that constraints may still take away.
struct Candidate<'a> {
    axes: &'a [Axis],
    written: Vec<String>,
    cells: Vec<String>,
    sets: Vec<Set>,
}

impl Candidate<'_> {
    /// The combination; `None` if a constraint takes it away, or if something is wrong with it, which is added to `found`.
    fn made(&self, document: &Document, constraints: &[Constraint], found: &mut Found) -> Option<Combination> {
        let mut root = document.root_without_sweep();
        for set in &self.sets {
            if let Err(draft) = set.put(&mut root) {
                found.add(draft, self.told());
                return None;
            }
        }
        let variant =
            self.axes.iter().position(|axis| axis.name == axis::VARIANT).map(|index| self.written[index].as_str());
        for constraint in constraints {
            match constraint.holds(&root, variant) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(draft) => {
                    // The same for all of them.
                    found.add(draft, String::new());
                    return None;
                }
            }
        }
        match document.read(&root) {
            Ok(read) => {
                let scenario = read.scenario;
                let points = scenario.points.iter().map(|point| (point.label.clone(), point.population.total()));
                Some(Combination {
                    written: self.written.clone(),
                    cells: self.cells.clone(),
                    points: points.collect(),
                    hash: scenario.hash,
                })
            }
            Err((drafts, files)) => {
                // Which file has which number differs between combinations.
                let is_first = found.files.is_none();
                let sources = document.source_count();
                for draft in drafts.into_iter().filter(|draft| is_first || draft.at.source < sources) {
                    found.add(draft, self.told());
                }
                found.files.get_or_insert(files);
                None
            }
        }
    }

    /// `nodes = 10K, network.loss = 0.1`.
    fn told(&self) -> String {
        let one = |(axis, value): (&Axis, &String)| format!("{} = {}", axis.name, short(value));
        self.axes.iter().zip(&self.written).map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Sweep {
    /// The scenario of combination number `index`, with `seed`.
    ///
    /// # Errors
    /// If a file that the scenario names is no longer what it was.
    ///
    /// # Panics
    /// If there is no such combination.
    pub fn scenario(&self, index: usize, seed: u64) -> Result<Scenario, ScenarioError> {
        let mut root = self.document.root_without_sweep();
        for set in &self.sets[index] {
            // It could be put there before.
            let _ = set.put(&mut root);
        }
        let read = self.document.read(&root);
        let read = read.map_err(|(drafts, files)| self.document.refused(drafts, &files))?;
        let scenario = Scenario { seed, ..read.scenario };
        if scenario.hash == self.combinations[index].hash {
            return Ok(scenario);
        }
        let draft = Draft::new(Place::default(), "a file that the scenario names has changed", "run it again");
        Err(self.document.refused(vec![draft.code(Code::File)], self.document.files()))
    }
}

/// Whether `value`, or anything in it, was written in an override: in one of the sources from 1 to `overrides`.
fn is_overridden(value: &Value, overrides: usize) -> bool {
    let inner = match &value.kind {
        Kind::Table(table) => table.values().any(|entry| is_overridden(&entry.value, overrides)),
        _ => false,
    };
    inner || (1..=overrides).contains(&value.at.source)
}

/// The value at `path` in `root`.
fn value_at<'t>(root: &'t Table, path: &str) -> Option<&'t Value> {
    let mut names = path.split('.');
    let mut value = &root.get(names.next()?)?.value;
    for name in names {
        let Kind::Table(table) = &value.kind else { return None };
        value = &table.get(name)?.value;
    }
    Some(value)
}

/// The value that an override gave to `path`, or to a table that it is in, or to something in it.
fn overridden<'t>(root: &'t Table, path: &str, overrides: usize) -> Option<&'t Value> {
    value_at(root, path).filter(|value| is_overridden(value, overrides))
}

#[cfg(test)]
mod tests;
