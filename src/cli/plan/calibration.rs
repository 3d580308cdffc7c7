//! How long events take on this machine: two small runs of an approach, and a law that is carried on from them.
//!
//! A run takes `a * simulated seconds + b * events + c * nodes`: the engine goes through windows whether anything happens in
//! them or not, handles events, and builds nodes. Two sizes of the same approach tell a and b, the larger one tells c. What
//! is carried on is too little where a network outgrows the caches of the machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::super::Failure;
use crate::contract::{NodeType, Population};
use crate::engine::Progress;
use crate::scenario::build::{Watch, method, run_point};
use crate::scenario::plan::forecast;
use crate::scenario::{self, Point, Scenario};

/// Events of the larger run, at most; about a fifth of a second.
const EVENTS_MAX: u64 = 300_000;
/// The smaller one has fewer by this factor.
const FEWER: u64 = 8;
/// Memory of a run, at most.
const MEMORY_MAX: u64 = 256 << 20;
/// Sizes that are tried, and shares of the time.
const SIZES: [u32; 6] = [20_000, 5_000, 2_000, 500, 200, 100];
const SHARES: [u64; 3] = [1, 10, 100];

/// What an approach takes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    per_simulated_second: f64,
    per_event: f64,
    per_node: f64,
}

/// What a small run took.
#[derive(Clone, Copy, Debug)]
struct Run {
    simulated: f64,
    events: f64,
    seconds: f64,
}

impl Cost {
    /// The law through both runs, without negative parts.
    fn through(small: Run, large: Run, per_node: f64) -> Self {
        let alone = Cost { per_simulated_second: 0.0, per_event: large.seconds / large.events.max(1.0), per_node };
        let determinant = small.simulated * large.events - large.simulated * small.events;
        if determinant <= 0.0 {
            return alone;
        }
        let per_simulated_second = (small.seconds * large.events - large.seconds * small.events) / determinant;
        let per_event = (small.simulated * large.seconds - large.simulated * small.seconds) / determinant;
        let is_law = per_simulated_second >= 0.0 && per_event > 0.0;
        if is_law { Cost { per_simulated_second, per_event, per_node } } else { alone }
    }
}

/// The small runs of a scenario, each made when it is first asked for.
pub(super) struct Calibrations<'a> {
    file: &'a Path,
    overrides: &'a [String],
    threads: usize,
    /// By the label of the points, and whether broadcasts are counted.
    costs: BTreeMap<(String, bool), Option<Cost>>,
}

impl<'a> Calibrations<'a> {
    pub(super) fn new(file: &'a Path, overrides: &'a [String], threads: usize) -> Self {
        Calibrations { file, overrides, threads, costs: BTreeMap::new() }
    }

    /// Seconds that `point` with so many `events` takes; `None` if no small run of its approach is valid.
    pub(super) fn seconds(&mut self, scenario: &Scenario, point: &Point, events: u64) -> Result<Option<f64>, Failure> {
        let key = (point.label.clone(), method(point) == crate::metrics::Method::Counted);
        let cost = match self.costs.get(&key) {
            Some(cost) => *cost,
            None => {
                let cost = self.measure(scenario, point)?;
                self.costs.insert(key, cost);
                cost
            }
        };
        let simulated = (point.warmup + point.measure).as_secs_f64();
        Ok(cost.map(|cost| {
            cost.per_simulated_second * simulated
                + cost.per_event * events as f64
                + cost.per_node * f64::from(point.population.total())
        }))
    }

    fn measure(&self, scenario: &Scenario, point: &Point) -> Result<Option<Cost>, Failure> {
        let Some((large, per_node)) = self.run(scenario, point, EVENTS_MAX)? else { return Ok(None) };
        let small = self.run(scenario, point, EVENTS_MAX / FEWER)?.map_or(large, |(small, _)| small);
        Ok(Some(Cost::through(small, large, per_node)))
    }

    /// Runs the largest reduction of `point` with at most `events_max` events. Returns what it took, and a node of it.
    fn run(&self, scenario: &Scenario, point: &Point, events_max: u64) -> Result<Option<(Run, f64)>, Failure> {
        let Some((scenario, index)) = self.reduced(scenario, point, events_max) else { return Ok(None) };
        let point = &scenario.points[index];
        #[allow(clippy::disallowed_methods, reason = "how long a run takes is what is measured here")]
        let start = Instant::now();
        let clock = move || start.elapsed().as_secs_f64();
        let progress = Progress::default();
        let result = run_point(&scenario, point, self.threads, &Watch { progress: &progress, clock: &clock });
        let engine = result.map_err(|violation| Failure::of(Failure::INTERNAL, &violation))?.engine;
        let simulated = (point.warmup + point.measure).as_secs_f64();
        let run = Run { simulated, events: engine.events as f64, seconds: engine.seconds };
        Ok(Some((run, engine.build_seconds / f64::from(point.population.total()))))
    }

    /// The scenario with fewer nodes, and if need be less time, and the place of the point in it that is as `point`.
    fn reduced(&self, scenario: &Scenario, point: &Point, events_max: u64) -> Option<(Scenario, usize)> {
        let fits = |scenario: &Scenario, point: &Point| {
            let forecast = forecast(scenario, point, self.threads);
            forecast.events <= events_max && forecast.memory_bytes <= MEMORY_MAX
        };
        if let Some(index) =
            scenario.points.iter().position(|other| other.label == point.label && fits(scenario, other))
            && events_max == EVENTS_MAX
        {
            return Some((scenario.clone(), index));
        }
        let tried = SHARES.iter().flat_map(|&share| SIZES.map(|nodes| (nodes, share)));
        tried.filter(|&(nodes, _)| nodes < point.population.total()).find_map(|(nodes, share)| {
            let sets = sets(point, nodes, share);
            let sets: Vec<String> = self.overrides.iter().cloned().chain(sets).collect();
            let reduced = scenario::load(self.file, &sets).ok()?;
            let is_it = |other: &Point| other.label == point.label && method(other) == method(point);
            let index = reduced.points.iter().position(|other| is_it(other) && fits(&reduced, other))?;
            Some((reduced, index))
        })
    }
}

/// The overrides that reduce `point` to so many `nodes`, with its proportions as far as that goes, and to one `share`-th of
/// its time.
fn sets(point: &Point, nodes: u32, share: u64) -> Vec<String> {
    let mut sets = vec![format!("nodes={nodes}")];
    let name = point.approach.name();
    if point.population.count(NodeType::FullNode) < point.population.total() {
        let tiers = ["super", "full", "light", "mobile"].into_iter().zip(scaled(point.population, nodes));
        sets.extend(tiers.map(|(tier, count)| format!("tiers.{tier}={count}")));
    }
    if method(point) == crate::metrics::Method::Counted {
        sets.push("approach.full-mesh.event_nodes_max=0".to_owned());
    }
    if share > 1 {
        let millis = (point.measure.as_nanos() / share / 1_000_000).max(1);
        sets.push(format!("approach.{name}.measure={millis}ms"));
    }
    sets
}

/// Nodes by type, in the proportions of `population`, but at least ten super nodes, a tenth full nodes and a twentieth
/// mobile ones where there are as many.
fn scaled(population: Population, nodes: u32) -> [u32; 4] {
    let count = |node_type| population.count(node_type);
    let scale = |node_type, least: u32| {
        let exact = u64::from(count(node_type)) * u64::from(nodes) / u64::from(population.total().max(1));
        (exact as u32).max(least.min(count(node_type)))
    };
    let supers = scale(NodeType::SuperNode, 10);
    let mobiles = scale(NodeType::MobileNode, nodes / 20);
    let fulls = scale(NodeType::FullNode, nodes / 10);
    if count(NodeType::LightNode) > 0 {
        return [supers, fulls, nodes.saturating_sub(supers + fulls + mobiles), mobiles];
    }
    if count(NodeType::MobileNode) > 0 {
        return [supers, fulls, 0, nodes.saturating_sub(supers + fulls)];
    }
    [supers, nodes.saturating_sub(supers), 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(simulated: f64, events: f64, seconds: f64) -> Run {
        Run { simulated, events, seconds }
    }

    #[test]
    fn two_sizes_tell_what_windows_and_what_events_take() {
        let cost = Cost::through(run(10.0, 100.0, 1.1), run(10.0, 1_000.0, 2.0), 0.5);
        assert!((cost.per_event - 0.001).abs() < 1e-12 && (cost.per_simulated_second - 0.1).abs() < 1e-12, "{cost:?}");
        // A law with a negative part, and one size twice: events alone.
        let alone = Cost { per_simulated_second: 0.0, per_event: 0.002, per_node: 0.5 };
        assert_eq!(Cost::through(run(10.0, 100.0, 0.1), run(10.0, 1_000.0, 2.0), 0.5), alone);
        assert_eq!(Cost::through(run(10.0, 1_000.0, 2.0), run(10.0, 1_000.0, 2.0), 0.5), alone);
    }

    #[test]
    fn tiers_keep_their_proportions_and_always_add_up() {
        let population = Population::new([100, 10_000, 1_000_000, 100_000]).unwrap();
        assert_eq!(scaled(population, 2_000), [10, 200, 1_610, 180]);
        for counts in [[100, 10_000, 0, 0], [1, 1_000, 0, 100_000], [100, 900, 99_000, 0]] {
            for nodes in SIZES {
                assert_eq!(scaled(Population::new(counts).unwrap(), nodes).iter().sum::<u32>(), nodes, "{counts:?}");
            }
        }
    }
}
