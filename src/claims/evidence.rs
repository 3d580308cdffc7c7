//! What claims are decided by: the runs that they need, and what those gave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::{PowerLaw, mean_with_interval};
use super::search::Crossing;
use super::verdict::{Means, Part, Rule};
use crate::metrics::{Method, PointResult, metric_value};

/// How large the runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Up to a hundred thousand nodes: under a minute and a half on two cores.
    Quick,
    /// The documents' own sizes.
    Full,
}

/// A scenario that claims need.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Its name, by which definitions ask for it.
    pub name: &'static str,
    /// The scenario file, from the project's folder.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
    /// What is set in a quick run and in a full one, as by `--set`.
    pub overrides: [&'static [&'static str]; 2],
    /// On how many seeds it runs, from the scenario's own on, quickly and fully.
    pub seeds: [u64; 2],
}

impl Run {
    /// The command that makes it alone, at `scale`, with the first seed.
    pub fn command(&self, scale: Scale) -> String {
        let quote = |text: &str| format!(" --set '{text}'");
        let sets: String = self.overrides(scale).iter().map(|text| quote(text)).collect();
        format!("qnetsim run {}{sets}", self.file)
    }

    /// What is set at `scale`.
    pub fn overrides(&self, scale: Scale) -> &'static [&'static str] {
        self.overrides[scale as usize]
    }

    /// The seeds at `scale`.
    pub fn seeds(&self, scale: Scale) -> u64 {
        self.seeds[scale as usize]
    }
}

/// What a definition needs and no run gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// A figure of `qnetsim registry bench`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineFigure {
    /// The claim that it is held against; empty if there is none.
    pub claim: String,
    /// Users of the registry.
    pub users: u64,
    /// How the registry was made: compact, documented, uncompressed, ...
    pub variant: String,
    /// What was measured, such as `disk` or `lookup`.
    pub figure: String,
    /// Which part: a family, a percentile, a number of threads.
    pub part: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// `measured` or `projected`.
    pub how: String,
}

/// The source that [`MachineFigure`]s come from, by which definitions ask for it.
pub const REGISTRY_BENCH: &str = "registry-bench";
/// The source of [`Crossing`]s.
pub const BREAK_EVEN: &str = "break-even";
/// The source of [`Tracked`] ids.
pub const IDS: &str = "ids";
/// Sources that are no scenarios.
pub const SOURCES: [&str; 3] = [REGISTRY_BENCH, BREAK_EVEN, IDS];

/// How many of the first ids a sampler tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Ids that were asked about.
    pub ids: u64,
    /// Those of them that are tracked.
    pub tracked: u64,
}

/// What the runs gave.
#[derive(Debug, Default)]
pub struct Evidence {
    /// By run, then by seed, the points; or why there are none.
    runs: BTreeMap<&'static str, Result<Vec<Vec<PointResult>>, String>>,
    registry: Option<Result<Vec<MachineFigure>, String>>,
    crossings: Option<Result<Vec<Crossing>, String>>,
    tracked: Option<Vec<Tracked>>,
}

/// Takes a quantity from a point.
pub type Quantity<'q> = &'q dyn Fn(&PointResult) -> Option<f64>;

fn source<'e, T>(what: &'static str, found: Option<&'e Result<Vec<T>, String>>) -> Result<&'e [T], Missing> {
    match found {
        None => Err(Missing(format!("the run {what} was not made"))),
        Some(Err(why)) => Err(Missing(format!("the run {what} failed: {why}"))),
        Some(Ok(found)) => Ok(found),
    }
}

impl Evidence {
    /// Adds what `run` gave, seed by seed, or why it failed.
    pub fn add(&mut self, run: &'static str, outcome: Result<Vec<Vec<PointResult>>, String>) {
        self.runs.insert(run, outcome);
    }

    /// Adds the figures of the registry, or why there are none.
    pub fn add_registry(&mut self, figures: Result<Vec<MachineFigure>, String>) {
        self.registry = Some(figures);
    }

    /// Adds at which sizes budgets are exceeded, or why nobody knows.
    pub fn add_crossings(&mut self, crossings: Result<Vec<Crossing>, String>) {
        self.crossings = Some(crossings);
    }

    /// Adds how many ids are tracked, by their number, ascending.
    pub fn add_tracked(&mut self, tracked: Vec<Tracked>) {
        self.tracked = Some(tracked);
    }

    fn run(&self, run: &'static str) -> Result<&[Vec<PointResult>], Missing> {
        source(run, self.runs.get(run))
    }

    /// The figures of the registry.
    pub fn registry(&self) -> Result<&[MachineFigure], Missing> {
        source(REGISTRY_BENCH, self.registry.as_ref())
    }

    /// At which sizes budgets are exceeded.
    pub fn crossings(&self) -> Result<&[Crossing], Missing> {
        source(BREAK_EVEN, self.crossings.as_ref())
    }

    /// How many ids are tracked.
    pub fn tracked(&self) -> Result<&[Tracked], Missing> {
        self.tracked.as_deref().ok_or_else(|| Missing(format!("the run {IDS} was not made")))
    }

    /// `quantity` of the points of `approach` in `run`, by size, ascending: one value a seed, and how they were obtained.
    /// Approaches are called as in result files, with their variant.
    pub fn by_size(&self, run: &'static str, approach: &str, quantity: Quantity<'_>) -> Result<Vec<BySize>, Missing> {
        let mut sizes: BTreeMap<u32, BySize> = BTreeMap::new();
        let run_name = run;
        let points = self.run(run)?.iter().flatten();
        for point in points.filter(|point| point.approach == approach) {
            let Some(value) = quantity(point) else { continue };
            let means = match point.method {
                Method::Event => Means::Event,
                Method::Counted => Means::Counted,
            };
            let size = sizes.entry(point.nodes()).or_insert(BySize { nodes: point.nodes(), values: Vec::new(), means });
            size.values.push(value);
        }
        if sizes.is_empty() {
            return Err(Missing(format!("the run {run_name} has no such figure of {approach}")));
        }
        Ok(sizes.into_values().collect())
    }

    /// `quantity` of the largest size of `approach` in `run`.
    pub fn largest(&self, run: &'static str, approach: &str, quantity: Quantity<'_>) -> Result<BySize, Missing> {
        let mut sizes = self.by_size(run, approach, quantity)?;
        sizes.pop().ok_or_else(|| Missing(format!("the run {run} has no points")))
    }

    /// `quantity` of `approach` at `nodes`: as measured where the run has that size, else projected, seed by seed, by the
    /// power law through the sizes that it has.
    pub fn at(&self, run: &'static str, approach: &str, nodes: u32, quantity: Quantity<'_>) -> Result<BySize, Missing> {
        let sizes = self.by_size(run, approach, quantity)?;
        if let Some(size) = sizes.iter().find(|size| size.nodes == nodes) {
            return Ok(size.clone());
        }
        let seeds = sizes.iter().map(|size| size.values.len()).min().unwrap_or(0);
        let of_seed = |seed: usize| {
            let points: Vec<_> = sizes.iter().map(|size| (f64::from(size.nodes), size.values[seed])).collect();
            Some(PowerLaw::fit(&points).ok()?.at(f64::from(nodes)))
        };
        let values: Option<Vec<f64>> = (0..seeds).map(of_seed).collect();
        let values = values.ok_or_else(|| {
            Missing(format!("the run {run} has neither {nodes} nodes nor sizes enough to project to it"))
        })?;
        Ok(BySize { nodes, values, means: Means::Projected })
    }

    /// How `quantity` of `approach` grows, as a part of a claim: its exponent, and the law that fits best.
    pub fn growth(
        &self,
        run: &'static str,
        approach: &str,
        name: &str,
        quantity: Quantity<'_>,
        documented: Option<f64>,
        rule: Rule,
    ) -> Result<Part, Missing> {
        let sizes = self.by_size(run, approach, quantity)?;
        let points = sizes.iter().flat_map(|size| size.values.iter().map(|value| (f64::from(size.nodes), *value)));
        let law = PowerLaw::fit(&points.collect::<Vec<_>>())
            .map_err(|_| Missing(format!("the run {run} has fewer sizes of {approach} than a fit takes")))?;
        let means = sizes.iter().map(|size| size.means).max().unwrap_or(Means::Event);
        let mean = |size: &BySize| Some((f64::from(size.nodes), mean_with_interval(&size.values)?.0));
        Ok(Part {
            half_width: Some(law.half_width),
            law: Some(law.law),
            points: sizes.iter().filter_map(mean).collect(),
            ..Part::new(name, "exponent", documented, vec![law.exponent], means, rule)
        })
    }
}

/// A quantity at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct BySize {
    /// Nodes.
    pub nodes: u32,
    /// One value a seed.
    pub values: Vec<f64>,
    /// How they were obtained.
    pub means: Means,
}

impl BySize {
    /// As a part of a claim.
    pub fn part(self, name: &str, unit: &'static str, documented: Option<f64>, rule: Rule) -> Part {
        Part::new(name, unit, documented, self.values, self.means, rule)
    }
}

impl Part {
    /// A part without an implied number, an interval of its own, or a law, that is the same on every machine.
    pub fn new(
        name: &str,
        unit: &'static str,
        documented: Option<f64>,
        values: Vec<f64>,
        means: Means,
        rule: Rule,
    ) -> Self {
        Part {
            name: name.to_owned(),
            unit,
            documented,
            implied: None,
            values,
            is_lower_bound: false,
            half_width: None,
            law: None,
            points: Vec::new(),
            means,
            is_of_machine: false,
            rule,
        }
    }
}

/// The metric or figure `name` of a point.
pub fn named(name: &str) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| metric_value(point, name).flatten()
}
