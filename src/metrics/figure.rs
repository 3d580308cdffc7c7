//! Named figures and curves: what a mechanism found of its own, beside what is counted of every run.

use serde::{Deserialize, Serialize};

use super::stored::{StaticStr, name};

/// What a mechanism found about one topic, such as lookups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What it is about: heads a table and stands in a column of the files.
    #[serde(with = "name")]
    pub topic: StaticStr,
    /// The figures, in the order in which they are shown.
    pub rows: Vec<Figure>,
    /// Quantities as functions of another.
    pub curves: Vec<Curve>,
}

/// A figure with its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is of: a type of node, a purpose, `all`.
    #[serde(with = "name")]
    pub subject: StaticStr,
    /// What was measured, with the statistic at the end: `hops-mean`, `delay-p99`.
    #[serde(with = "name")]
    pub name: StaticStr,
    /// Its unit: `ms`, `B`, `1/s`; `share` of a share from 0 to 1, `1` of a plain number.
    #[serde(with = "name")]
    pub unit: StaticStr,
    /// The figure; `None` if there was nothing to measure.
    pub value: Option<f64>,
    /// The claim of the documents that speaks of it; where that gives a number, it has the same unit.
    #[serde(with = "name")]
    pub claim: Option<StaticStr>,
}

/// A quantity as a function of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What it is of.
    #[serde(with = "name")]
    pub subject: StaticStr,
    /// What was measured, and against what: `coverage-over-time`.
    #[serde(with = "name")]
    pub name: StaticStr,
    /// Units of the points' first and second numbers.
    #[serde(with = "name")]
    pub units: [&'static str; 2],
    /// The points, in ascending order of their first number.
    pub points: Vec<[f64; 2]>,
}

impl Figures {
    /// Nothing yet about `topic`.
    pub fn new(topic: &'static str) -> Self {
        Figures { topic, rows: Vec::new(), curves: Vec::new() }
    }

    /// Adds a figure; fields as in [`Figure`].
    pub fn add(
        &mut self,
        subject: &'static str,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Option<f64>>,
    ) {
        self.rows.push(Figure { subject, name, unit, value: value.into(), claim: None });
    }

    /// The figure that was added last is what `claim` speaks of.
    ///
    /// # Panics
    /// If there is no figure.
    pub fn claimed(&mut self, claim: &'static str) {
        self.rows.last_mut().expect("a claim speaks of a figure").claim = Some(claim);
    }

    /// The figure `name` of `subject`, if it is there and was measured.
    pub fn get(&self, subject: &str, name: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.subject == subject && row.name == name)?.value
    }
}
