//! What claims are decided by: scenarios, the search for break-even sizes, counted ids, the registry benchmark.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::path::Path;

use super::super::registry::bench::{BenchArgs, figures};
use super::super::run::{check_memory, simulate};
use crate::claims::evidence::{MachineFigure, Run, Scale, Tracked};
use crate::claims::runs::{SEARCHED, SEARCHED_FILE};
use crate::claims::search::{Bounds, Crossing, least_size, share_of_budget};
use crate::contract::NodeType;
use crate::metrics::{Method, PointResult};
use crate::protocols::sampler::NodeSampler;
use crate::protocols::wire::key_of;
use crate::scenario;

/// Seeds of the search, in either scale: it makes a dozen runs for each.
const SEARCH_SEEDS: u64 = 3;

/// Users of the largest registry that is measured.
pub(super) fn users(scale: Scale) -> u64 {
    match scale {
        Scale::Quick => 100_000,
        Scale::Full => 10_000_000,
    }
}

/// By seed and size, the share of the budget of each type that its busiest node takes, and how that was counted.
type Shares = BTreeMap<(u64, u32), ([Option<f64>; 4], Method)>;

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
        (1..=seeds).map(|seed| self.points(run.file, run.text, run.overrides(self.scale), seed)).collect()
    }

    fn points<T: AsRef<str>>(&self, file: &str, text: &str, sets: &[T], seed: u64) -> Result<Vec<PointResult>, String> {
        let mut overrides: Vec<String> = sets.iter().map(|text| text.as_ref().to_owned()).collect();
        overrides.push(format!("seed={seed}"));
        let scenario = scenario::parse(file, text, &overrides).map_err(|error| error.render(false))?;
        check_memory(Path::new(file), &overrides, &scenario, self.threads).map_err(|failure| failure.message)?;
        simulate(&scenario, self.threads, self.quiet).map_err(|failure| failure.message)
    }

    /// The least sizes at which the busiest node of each approach exceeds each type's budget.
    pub(super) fn crossings(&mut self) -> Result<Vec<Crossing>, String> {
        self.begin("break-even: search over sizes");
        let mut crossings = Vec::new();
        for (approach, bounds) in searched(self.scale) {
            // Sizes that were run serve every type.
            let mut shares = BTreeMap::new();
            for node_type in NodeType::ALL {
                crossings.push(self.crossing(approach, bounds, node_type, &mut shares)?);
            }
        }
        Ok(crossings)
    }

    fn crossing(
        &self,
        approach: &'static str,
        bounds: Bounds,
        node_type: NodeType,
        shares: &mut Shares,
    ) -> Result<Crossing, String> {
        let (mut sizes, mut open, mut is_counted) = (Vec::new(), 0, false);
        for seed in 1..=SEARCH_SEEDS {
            let found = least_size(bounds, |nodes| {
                let (by_type, method) = match shares.entry((seed, nodes)) {
                    Entry::Occupied(made) => *made.get(),
                    Entry::Vacant(place) => {
                        let point = self.searched_point(approach, nodes, seed)?;
                        let by_type = NodeType::ALL.map(|node_type| share_of_budget(&point, node_type));
                        *place.insert((by_type, point.method))
                    }
                };
                is_counted |= method == Method::Counted;
                let share = by_type[node_type as usize];
                let share = share.ok_or_else(|| format!("{approach} has no {node_type} nodes at {nodes}"))?;
                Ok::<_, String>(share > 1.0)
            })?;
            open += u64::from(found.is_none());
            sizes.push(f64::from(found.unwrap_or(bounds.high)));
        }
        Ok(Crossing { approach, node_type, sizes, is_open: open == SEARCH_SEEDS, is_counted })
    }

    fn searched_point(&self, approach: &str, nodes: u32, seed: u64) -> Result<PointResult, String> {
        let sets = [
            format!("nodes={nodes}"),
            format!("approaches=\"{approach}\""),
            "tiers.mobile={ share = 0.1 }".to_owned(),
            // The longest interval, once, and a span of gossip, which sends all the time.
            "approach.hierarchical.measure=600s".to_owned(),
            "approach.gossip.measure=5s".to_owned(),
        ];
        let mut points = self.points(SEARCHED_FILE, SEARCHED, &sets, seed)?;
        points.pop().ok_or_else(|| format!("{approach} at {nodes} nodes has no point"))
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
