//! What claims are decided by: scenarios, the search for break-even sizes, counted ids, the registry benchmark.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::path::Path;

use rayon::prelude::*;

use super::super::registry::bench::{BenchArgs, figures};
use super::super::run::{check_memory, largest_point, simulate};
use crate::claims::evidence::{MachineFigure, Run, Scale, Tracked};
use crate::claims::runs::{SEARCHED, SEARCHED_FILE};
use crate::claims::search::{Bounds, Crossing, least_size, share_of_budget};
use crate::contract::NodeType;
use crate::metrics::{Method, PointResult, available_memory};
use crate::protocols::sampler::NodeSampler;
use crate::protocols::wire::key_of;
use crate::scenario::plan::memory_with_margin;
use crate::scenario::{self, Scenario};

/// Seeds of the search, in either scale: it makes a dozen runs for each.
const SEARCH_SEEDS: u64 = 3;

/// Users of the largest registry that is measured.
pub(super) fn users(scale: Scale) -> u64 {
    match scale {
        Scale::Quick => 100_000,
        Scale::Full => 10_000_000,
    }
}

/// A scenario as the program holds it, and what is set in it.
struct Simulated<'a, S> {
    file: &'a str,
    text: &'a str,
    sets: &'a [S],
}

impl<S: AsRef<str>> Simulated<'_, S> {
    /// The scenario with `seed`, after all that is set.
    fn scenario(&self, seed: u64) -> Result<(Vec<String>, Scenario), String> {
        let mut overrides: Vec<String> = self.sets.iter().map(|text| text.as_ref().to_owned()).collect();
        overrides.push(format!("seed={seed}"));
        let scenario = scenario::parse(self.file, self.text, &overrides).map_err(|error| error.render(false))?;
        Ok((overrides, scenario))
    }
}

/// Makes what is needed, and says on standard error what it makes.
pub(super) struct Sources {
    scale: Scale,
    threads: usize,
    quiet: bool,
    needed: usize,
    made: usize,
}

impl Sources {
    pub(super) fn new(scale: Scale, threads: usize, quiet: bool, needed: usize) -> Self {
        Sources { scale, threads, quiet, needed, made: 0 }
    }

    /// Says that the next source is begun.
    fn begin(&mut self, name: &str) {
        self.made += 1;
        self.say(&format!("[{}/{}] {name}", self.made, self.needed));
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            // Progress that nobody can read is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// The points that `run` gives, seed by seed, or why it fails.
    pub(super) fn scenario(&mut self, run: &Run) -> Result<Vec<Vec<PointResult>>, String> {
        let seeds = run.seeds(self.scale);
        self.begin(&format!("{}: {}, seeds 1 to {seeds}", run.name, run.file));
        let what = Simulated { file: run.file, text: run.text, sets: run.overrides(self.scale) };
        self.for_seeds(seeds, &what, |seed, threads| self.points(&what, seed, threads))
    }

    /// What `make` gives for the seeds from 1 to `seeds` and so many threads: side by side on a thread each where as many
    /// runs of `largest` fit in memory, else one after the other on all threads.
    fn for_seeds<T: Send, S: AsRef<str>>(
        &self,
        seeds: u64,
        largest: &Simulated<'_, S>,
        make: impl Fn(u64, usize) -> Result<T, String> + Sync,
    ) -> Result<Vec<T>, String> {
        let (_, scenario) = largest.scenario(1)?;
        let beside = self.threads.min(usize::try_from(seeds).unwrap_or(usize::MAX));
        let (needed, _) = largest_point(&scenario, 1);
        let all = memory_with_margin(needed).saturating_mul(beside as u64);
        if beside < 2 || available_memory().is_some_and(|available| all > available) {
            return (1..=seeds).map(|seed| make(seed, self.threads)).collect();
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(beside).build();
        let pool = pool.map_err(|error| format!("cannot start threads: {error}"))?;
        pool.install(|| (1..=seeds).into_par_iter().map(|seed| make(seed, 1)).collect())
    }

    fn points<S: AsRef<str>>(
        &self,
        what: &Simulated<'_, S>,
        seed: u64,
        threads: usize,
    ) -> Result<Vec<PointResult>, String> {
        let (overrides, scenario) = what.scenario(seed)?;
        check_memory(Path::new(what.file), &overrides, &scenario, threads).map_err(|failure| failure.message)?;
        // Lines of runs side by side would draw over each other.
        simulate(&scenario, threads, self.quiet || threads < self.threads).map_err(|failure| failure.message)
    }

    /// The least sizes at which the busiest node of each approach exceeds each type's budget.
    pub(super) fn crossings(&mut self) -> Result<Vec<Crossing>, String> {
        self.begin("break-even: search over sizes");
        let mut crossings = Vec::new();
        for (approach, bounds) in searched(self.scale) {
            let largest = searched_sets(approach, bounds.high);
            let largest = Simulated { file: SEARCHED_FILE, text: SEARCHED, sets: &largest };
            let find = |seed, threads| self.least_sizes(approach, bounds, seed, threads);
            let by_seed = self.for_seeds(SEARCH_SEEDS, &largest, find)?;
            crossings.extend(NodeType::ALL.map(|node_type| {
                let found = || by_seed.iter().map(|(found, _)| found[node_type as usize]);
                Crossing {
                    approach,
                    node_type,
                    sizes: found().map(|size| f64::from(size.unwrap_or(bounds.high))).collect(),
                    is_open: found().all(|size| size.is_none()),
                    is_counted: by_seed.iter().any(|(_, is_counted)| is_counted[node_type as usize]),
                }
            }));
        }
        Ok(crossings)
    }

    /// By type of node, the least size at which its busiest node exceeds its budget, if any within `bounds` does, and
    /// whether broadcasts of a run that says so were counted.
    fn least_sizes(
        &self,
        approach: &'static str,
        bounds: Bounds,
        seed: u64,
        threads: usize,
    ) -> Result<([Option<u32>; 4], [bool; 4]), String> {
        // Sizes that were run serve every type.
        let mut shares: BTreeMap<u32, ([Option<f64>; 4], Method)> = BTreeMap::new();
        let (mut sizes, mut are_counted) = ([None; 4], [false; 4]);
        for node_type in NodeType::ALL {
            sizes[node_type as usize] = least_size(bounds, |nodes| {
                let (by_type, method) = match shares.entry(nodes) {
                    Entry::Occupied(made) => *made.get(),
                    Entry::Vacant(place) => {
                        let sets = searched_sets(approach, nodes);
                        let what = Simulated { file: SEARCHED_FILE, text: SEARCHED, sets: &sets };
                        let point = self.points(&what, seed, threads)?.pop();
                        let point = point.ok_or_else(|| format!("{approach} at {nodes} nodes has no point"))?;
                        let by_type = NodeType::ALL.map(|node_type| share_of_budget(&point, node_type));
                        *place.insert((by_type, point.method))
                    }
                };
                are_counted[node_type as usize] |= method == Method::Counted;
                let share = by_type[node_type as usize];
                let share = share.ok_or_else(|| format!("{approach} has no {node_type} nodes at {nodes}"))?;
                Ok::<_, String>(share > 1.0)
            })?;
        }
        Ok((sizes, are_counted))
    }

    /// How many of the first ids are tracked at the documented rate.
    pub(super) fn tracked(&mut self) -> Vec<Tracked> {
        const RATE: f64 = 0.001;
        self.begin("ids: the sampler asked about every id");
        let last: u32 = match self.scale {
            Scale::Quick => 1_000_000,
            Scale::Full => 10_000_000,
        };
        let sampler = NodeSampler::new(RATE);
        let (mut all, mut tracked, mut size) = (Vec::new(), 0, 1_000);
        for id in 0..last {
            tracked += u64::from(sampler.should_track_node(&key_of(id)));
            if id + 1 == size {
                all.push(Tracked { ids: size.into(), tracked });
                size *= 10;
            }
        }
        all
    }

    /// The figures of the registry benchmark, or why it failed. Registries are made in `work`, or among temporary files.
    pub(super) fn registry(&mut self, work: Option<&Path>) -> Result<Vec<MachineFigure>, String> {
        let users = users(self.scale);
        self.begin(&format!("registry-bench: up to {users} users"));
        let folder = match work {
            Some(work) => {
                crate::report::check_writable(work).map_err(|error| failure_text(&error))?;
                tempfile::Builder::new().prefix("qnetsim-claims-").tempdir_in(work)
            }
            None => tempfile::Builder::new().prefix("qnetsim-claims-").tempdir(),
        };
        let folder = folder.map_err(|error| format!("cannot make a folder for registries: {error}"))?;
        let args = BenchArgs::of_claims(users, folder.path().to_owned(), self.scale == Scale::Quick);
        figures(&args, &mut |what| self.say(&format!("  {what}"))).map_err(|failure| failure.message)
    }
}

/// What is set to search the sizes of `approach`, at `nodes` nodes.
fn searched_sets(approach: &str, nodes: u32) -> [String; 5] {
    [
        format!("nodes={nodes}"),
        format!("approaches=\"{approach}\""),
        "tiers.mobile={ share = 0.1 }".to_owned(),
        // The longest interval, once, and a span of gossip, which sends all the time.
        "approach.hierarchical.measure=600s".to_owned(),
        "approach.gossip.measure=5s".to_owned(),
    ]
}

fn failure_text(error: &dyn std::error::Error) -> String {
    super::Failure::of(super::Failure::INPUT_OUTPUT, error).message
}

/// The approaches whose break-even is searched, and between which sizes: as far as runs of that scale go.
fn searched(scale: Scale) -> [(&'static str, Bounds); 3] {
    let (mesh, tiers, gossip) = match scale {
        Scale::Quick => (100_000, 100_000, 100_000),
        Scale::Full => (10_000_000, 10_000_000, 1_000_000),
    };
    [
        ("full-mesh", Bounds { low: 100, high: mesh }),
        ("hierarchical", Bounds { low: 1_000, high: tiers }),
        ("gossip", Bounds { low: 1_000, high: gossip }),
    ]
}
