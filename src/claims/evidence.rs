//! What claims are decided by: the runs that they need, and what those gave.

use std::collections::BTreeMap;

use super::fit::PowerLaw;
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

/// What the runs gave.
#[derive(Debug, Default)]
pub struct Evidence {
    /// By run, then by seed, the points; or why there are none.
    runs: BTreeMap<&'static str, Result<Vec<Vec<PointResult>>, String>>,
}

/// Takes a quantity from a point.
pub type Quantity<'q> = &'q dyn Fn(&PointResult) -> Option<f64>;

impl Evidence {
    /// Adds what `run` gave, seed by seed, or why it failed.
    pub fn add(&mut self, run: &'static str, outcome: Result<Vec<Vec<PointResult>>, String>) {
        self.runs.insert(run, outcome);
    }

    fn run(&self, run: &str) -> Result<&[Vec<PointResult>], Missing> {
        match self.runs.get(run) {
            None => Err(Missing(format!("the run {run} was not made"))),
            Some(Err(why)) => Err(Missing(format!("the run {run} failed: {why}"))),
            Some(Ok(seeds)) => Ok(seeds),
        }
    }

    /// `quantity` of the points of `approach` in `run`, by size, ascending: one value a seed, and how they were obtained.
    /// Approaches are called as in result files, with their variant.
    pub fn by_size(&self, run: &str, approach: &str, quantity: Quantity<'_>) -> Result<Vec<BySize>, Missing> {
        let mut sizes: BTreeMap<u32, BySize> = BTreeMap::new();
        for point in self.run(run)?.iter().flatten().filter(|point| point.approach == approach) {
            let Some(value) = quantity(point) else { continue };
            let means = match point.method {
                Method::Event => Means::Event,
                Method::Counted => Means::Counted,
            };
            let size = sizes.entry(point.nodes()).or_insert(BySize { nodes: point.nodes(), values: Vec::new(), means });
            size.values.push(value);
        }
        if sizes.is_empty() {
            return Err(Missing(format!("the run {run} has no such figure of {approach}")));
        }
        Ok(sizes.into_values().collect())
    }

    /// `quantity` of the largest size of `approach` in `run`.
    pub fn largest(&self, run: &str, approach: &str, quantity: Quantity<'_>) -> Result<BySize, Missing> {
        let mut sizes = self.by_size(run, approach, quantity)?;
        sizes.pop().ok_or_else(|| Missing(format!("the run {run} has no points")))
    }

    /// `quantity` of `approach` at `nodes`: as measured where the run has that size, else projected by the power law
    /// through the sizes that it has.
    pub fn at(&self, run: &str, approach: &str, nodes: u32, quantity: Quantity<'_>) -> Result<BySize, Missing> {
        let sizes = self.by_size(run, approach, quantity)?;
        if let Some(size) = sizes.iter().find(|size| size.nodes == nodes) {
            return Ok(size.clone());
        }
        let law = power_law(&sizes).ok_or_else(|| {
            Missing(format!("the run {run} has neither {nodes} nodes nor sizes enough to project to it"))
        })?;
        Ok(BySize { nodes, values: vec![law.at(f64::from(nodes))], means: Means::Projected })
    }

    /// How `quantity` of `approach` grows, as a part of a claim: its exponent, and the law that fits best.
    pub fn growth(
        &self,
        run: &str,
        approach: &str,
        name: &str,
        quantity: Quantity<'_>,
        documented: Option<f64>,
        rule: Rule,
    ) -> Result<Part, Missing> {
        let sizes = self.by_size(run, approach, quantity)?;
        let law = power_law(&sizes)
            .ok_or_else(|| Missing(format!("the run {run} has fewer sizes of {approach} than a fit takes")))?;
        let means = sizes.iter().map(|size| size.means).max().unwrap_or(Means::Event);
        Ok(Part {
            half_width: Some(law.half_width),
            law: Some(law.law),
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
    /// A part without an implied number, an interval of its own, or a law.
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
            half_width: None,
            law: None,
            means,
            rule,
        }
    }
}

fn power_law(sizes: &[BySize]) -> Option<PowerLaw> {
    let points = sizes.iter().flat_map(|size| size.values.iter().map(|value| (f64::from(size.nodes), *value)));
    PowerLaw::fit(&points.collect::<Vec<_>>()).ok()
}

/// The metric or figure `name` of a point.
pub fn named(name: &str) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| metric_value(point, name).flatten()
}
