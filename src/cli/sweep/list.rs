//! `qnetsim run --list`: the points that would run, with what they will take, without running any.

use serde_json::json;

use super::super::{Failure, Format, print};
use super::{Cost, Prepared, Shard};
use crate::metrics::available_memory;
use crate::report::{count, table_with};
use crate::results::{Manifest, RunId, short_names};
use crate::scenario::Scenario;

/// The widest that a value of an axis may be, in characters, before it is wrapped.
const TEXT_WIDTH: u16 = 20;
/// Points that people are shown.
const ROWS_MAX: usize = 500;

/// Lists the points of a scenario, or of its sweep where it is `prepared`.
pub(in crate::cli) fn list(
    scenario: &Scenario,
    prepared: Option<&Prepared>,
    threads: usize,
    shard: Option<Shard>,
    format: Format,
) -> Result<(), Failure> {
    let listing = match prepared {
        Some(prepared) => Listing::of_sweep(prepared),
        None => Listing::of_scenario(scenario, threads),
    };
    print(&match format {
        Format::Human => listing.human(shard),
        Format::Json => listing.json(shard),
    })
}

struct Listing {
    name: String,
    axes: Vec<String>,
    seeds: Vec<u64>,
    rows: Vec<Row>,
    threads: usize,
}

struct Row {
    written: Vec<String>,
    approach: String,
    nodes: u32,
    cost: Cost,
}

impl Row {
    fn memory(&self, threads: usize) -> u64 {
        if self.cost.is_small(threads) { self.cost.memory_small } else { self.cost.memory_alone }
    }
}

impl Listing {
    fn of_scenario(scenario: &Scenario, threads: usize) -> Self {
        let rows = scenario.points.iter().map(|point| Row {
            written: Vec::new(),
            approach: point.label.clone(),
            nodes: point.population.total(),
            // A scenario's points run one after the other.
            cost: Cost { memory_small: u64::MAX, ..Cost::of(scenario, point, threads) },
        });
        let (name, rows) = (scenario.name.clone(), rows.collect());
        Listing { name, axes: Vec::new(), seeds: vec![scenario.seed], rows, threads }
    }

    fn of_sweep(prepared: &Prepared) -> Self {
        let Manifest { sweep, axes, seeds, combinations, .. } = &prepared.manifest;
        let mut rows = Vec::new();
        for (combination, one) in combinations.iter().enumerate() {
            for (point, of_point) in one.points.iter().enumerate() {
                rows.push(Row {
                    written: one.written.clone(),
                    approach: of_point.approach.clone(),
                    nodes: of_point.nodes,
                    cost: prepared.cost(RunId { combination, point, seed: 0 }),
                });
            }
        }
        let axes = axes.iter().map(|axis| axis.name.clone()).collect();
        Listing { name: sweep.clone(), axes, seeds: seeds.clone(), rows, threads: prepared.threads }
    }

    fn seeds_told(&self) -> String {
        match self.seeds.as_slice() {
            [first, .., last] => format!("{first}-{last}"),
            [seed] => seed.to_string(),
            [] => String::new(),
        }
    }

    /// How many runs there are, and how many of them `shard` makes.
    fn runs(&self, shard: Option<Shard>) -> (usize, usize) {
        let all = self.rows.len() * self.seeds.len();
        (all, (0..all).filter(|number| shard.is_none_or(|shard| shard.has(*number))).count())
    }

    fn human(&self, shard: Option<Shard>) -> String {
        let mut header = short_names(&self.axes.iter().map(String::as_str).collect::<Vec<_>>());
        header.extend(["approach", "nodes", "seeds", "events", "memory", "runs"].map(str::to_owned));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let texts: Vec<usize> = (0..=self.axes.len()).chain([self.axes.len() + 5]).collect();
        let rows = self.rows.iter().take(ROWS_MAX).map(|row| {
            let manner = if row.cost.is_small(self.threads) { "side by side" } else { "alone" };
            let memory = format!("{:.1} MiB", row.memory(self.threads) as f64 / f64::from(1 << 20));
            let mut cells = row.written.clone();
            let (approach, events) = (row.approach.clone(), count(row.cost.events as f64));
            cells.extend([approach, row.nodes.to_string(), self.seeds_told(), events, memory, manner.to_owned()]);
            cells
        });
        let mut text = table_with(&header, &texts, TEXT_WIDTH, rows);
        if self.rows.len() > ROWS_MAX {
            text += &format!("... and {} more\n", self.rows.len() - ROWS_MAX);
        }
        let (runs, mine) = self.runs(shard);
        text += &format!("\n{}: {} points, {} seeds, {runs} runs", self.name, self.rows.len(), self.seeds.len());
        text += &shard.map_or(String::new(), |shard| format!(", of which shard {shard} makes {mine}"));
        let events: u64 = self.rows.iter().map(|row| row.cost.events).sum();
        text += &format!("; about {} events in all", count(events as f64 * self.seeds.len() as f64));
        let available = available_memory().map_or(String::new(), |bytes| {
            format!("; {:.1} GiB of memory are available", bytes as f64 / f64::from(1 << 30))
        });
        text + &format!("\nside by side: on a thread each; alone: on all {} threads{available}\n", self.threads)
    }

    fn json(&self, shard: Option<Shard>) -> String {
        let point = |row: &Row| {
            let axes: serde_json::Map<_, _> =
                self.axes.iter().zip(&row.written).map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({
                "axes": axes, "approach": row.approach, "nodes": row.nodes,
                "events": row.cost.events, "memory_bytes": row.memory(self.threads), "alone": !row.cost.is_small(self.threads),
            })
        };
        let points: Vec<_> = self.rows.iter().map(point).collect();
        let (runs, mine) = self.runs(shard);
        let seeds = &self.seeds;
        let listing = json!({ "scenario": self.name, "seeds": seeds, "runs": runs, "to_run": mine, "points": points });
        format!("{listing:#}\n")
    }
}
