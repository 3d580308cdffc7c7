//! `qnetsim run` of a scenario with a sweep: every run once, side by side where they are small, and what follows of all.

mod folder;
mod list;
mod pool;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::text::{shown, width};
use super::watch::metrics;
use super::{Failure, Format, RunArgs, print};
use crate::metrics::available_memory;
use crate::report::at_width;
use crate::results::{Manifest, RUNS_FOLDER, RunId, Sheets, StoredError};
use crate::scenario::{self, Point, RUNS_MAX, Scenario, Sweep, plan};

pub(super) use folder::{Unusable, finish, read_manifest, read_record, start, store};
pub(super) use list::list;

/// Rows that are shown on standard output, and rows of tables.txt.
const ROWS_SHOWN: usize = 60;
pub(super) const ROWS_KEPT: usize = 1_000;

/// Share `index` of `count` of the runs of a sweep: those with the numbers `index - 1`, `index - 1 + count`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) && count <= RUNS_MAX => Ok(Shard { index, count }),
            _ => Err(format!("write I/N, such as 1/4, with I from 1 to N and N at most {RUNS_MAX}")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Shard {
    fn has(self, number: usize) -> bool {
        number % self.count == self.index - 1
    }
}

/// What a point will take. What more is predicted of a point belongs here: lists show it, and runs are ordered by it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Events of a run.
    pub(super) events: u64,
    /// Bytes of memory on one thread.
    pub(super) memory_small: u64,
    /// Bytes of memory on all threads.
    pub(super) memory_alone: u64,
}

impl Cost {
    pub(super) fn of(scenario: &Scenario, point: &Point, threads: usize) -> Self {
        let plan::Forecast { events, memory_bytes, .. } = plan::forecast(scenario, point, threads);
        Cost { events, memory_small: plan::memory(scenario, point, 1), memory_alone: memory_bytes }
    }

    /// Whether as many such points as there are threads fit into nine tenths of the memory that is available, so that
    /// they run side by side, each on a thread. Others run alone, on all threads.
    pub(super) fn is_small(&self, threads: usize) -> bool {
        let share = |available: u64| available / 10 * 9 / threads as u64;
        available_memory().is_none_or(|available| self.memory_small <= share(available))
    }
}

/// A sweep that can be run.
pub(super) struct Prepared {
    sweep: Sweep,
    manifest: Manifest,
    /// By combination and point.
    costs: Vec<Vec<Cost>>,
    threads: usize,
}

/// Reads the sweep in `file`, of which `base` is the scenario without it, and reckons what its points will take.
pub(super) fn prepare(
    file: &Path,
    overrides: &[String],
    base: &Scenario,
    threads: usize,
    command: &str,
) -> Result<Prepared, Failure> {
    let refused = |error: &scenario::ScenarioError| {
        let code = if error.is_io() { Failure::INPUT_OUTPUT } else { Failure::BAD_SCENARIO };
        Failure { code, message: shown(error) }
    };
    let changed = || Failure {
        code: Failure::INPUT_OUTPUT,
        message: format!("error: {} changed while it was read: run it again", file.display()),
    };
    let sweep = scenario::load_sweep(file, overrides).map_err(|error| refused(&error))?.ok_or_else(changed)?;
    let mut costs = Vec::with_capacity(sweep.combinations.len());
    for index in 0..sweep.combinations.len() {
        let scenario = sweep.scenario(index, base.seed).map_err(|error| refused(&error))?;
        costs.push(scenario.points.iter().map(|point| Cost::of(&scenario, point, threads)).collect());
    }
    let manifest = Manifest::of(&sweep, command, &base.thresholds);
    Ok(Prepared { sweep, manifest, costs, threads })
}

impl Prepared {
    fn cost(&self, run: RunId) -> Cost {
        self.costs[run.combination][run.point]
    }

    /// Refuses a sweep of which a point will not fit in memory, on all threads or on one.
    pub(super) fn check_memory(&self) -> Result<(), Failure> {
        let Some(available) = available_memory() else { return Ok(()) };
        let needed = |cost: Cost| cost.memory_alone.min(cost.memory_small);
        let Some(largest) = self.manifest.runs().max_by_key(|run| needed(self.cost(*run))) else { return Ok(()) };
        let bytes = needed(self.cost(largest));
        if plan::memory_with_margin(bytes) <= available {
            return Ok(());
        }
        let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
        let message = format!(
            "error: sweep {:?} will not fit: {} needs about {:.1} GiB, at most {:.1} GiB, and {:.1} GiB are available\n  \
             reduce `nodes`, or leave it out: constraints = [\"nodes < {}\"]",
            self.manifest.sweep,
            self.manifest.told(largest),
            gib(bytes),
            gib(plan::memory_with_margin(bytes)),
            gib(available),
            self.manifest.combinations[largest.combination].points[largest.point].nodes,
        );
        Err(Failure { code: Failure::WILL_NOT_FIT, message })
    }

    /// The folder of the results in `out`.
    pub(super) fn folder(&self, out: &Path) -> PathBuf {
        out.join(&self.manifest.sweep)
    }
}

/// What became of the runs of a shard.
struct Done {
    /// How many there are.
    all: usize,
    /// How many were there before.
    skipped: usize,
}

/// Runs what is not there yet of `prepared`, or of its shard, and makes the sheets if then all runs are there.
pub(super) fn run(prepared: &Prepared, args: &RunArgs) -> Result<(), Failure> {
    let folder = prepared.folder(&args.out);
    let manifest = start(&folder, &prepared.manifest)?;
    let done = make(prepared, &manifest, &folder, args)?;
    let finished = finish(&folder, &manifest)?;
    if args.quiet {
        return Ok(());
    }
    match (finished, args.format) {
        (Ok(sheets), Format::Json) => print(&String::from_utf8_lossy(&sheets.json)),
        (Ok(sheets), Format::Human) => {
            let table = table(&sheets, &manifest);
            let counts = counts(&done, args.shard);
            print(&format!("{table}\n{counts}\nResults are in {}\n", folder.display()))
        }
        (Err(missing), Format::Json) => {
            let all = manifest.runs().count();
            let (sweep, there) = (&manifest.sweep, all - missing.len());
            print(&format!("{:#}\n", serde_json::json!({ "sweep": sweep, "runs": all, "finished": there })))
        }
        (Err(missing), Format::Human) => {
            let (all, counts) = (manifest.runs().count(), counts(&done, args.shard));
            let there = all - missing.len();
            print(&format!(
                "{counts}\n{there} of the {all} runs of the sweep are in {0}\n\n  \
                 qnetsim merge {0} ... -o DIR   when the other shards are done\n",
                folder.display()
            ))
        }
    }
}

/// The table of a sweep for standard output.
pub(super) fn table(sheets: &Sheets, manifest: &Manifest) -> String {
    let make = || sheets.table(manifest, ROWS_SHOWN);
    if stdout().is_terminal() { at_width(width(), make) } else { make() }
}

fn counts(done: &Done, shard: Option<Shard>) -> String {
    let of = shard.map_or(String::new(), |shard| format!(" of shard {shard}"));
    match done.skipped {
        0 => format!("{} runs{of} done", done.all),
        skipped => format!("{} runs{of}: {skipped} were there already, {} done now", done.all, done.all - skipped),
    }
}

/// Makes the runs of the shard that are not there yet.
fn make(prepared: &Prepared, manifest: &Manifest, folder: &Path, args: &RunArgs) -> Result<Done, Failure> {
    let is_mine = |(number, _): &(usize, RunId)| args.shard.is_none_or(|shard| shard.has(*number));
    let mine: Vec<RunId> = manifest.runs().enumerate().filter(is_mine).map(|(_, run)| run).collect();
    let (mut small, mut large, mut keys) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut skipped = 0;
    for &run in &mine {
        match read_record(folder, manifest, run) {
            Ok(Some(_)) => {
                skipped += 1;
                continue;
            }
            Ok(None) => {}
            Err(unusable @ Unusable { error: StoredError::Newer(_), .. }) => return Err(unusable.failure()),
            Err(unusable) => {
                // Nothing is left to be done if standard error is gone.
                let _ = writeln!(io::stderr(), "warning: {unusable}; the run is made again");
            }
        }
        // Combinations may be the same scenario by other words.
        if keys.insert(manifest.key(run)) {
            let is_small = prepared.cost(run).is_small(prepared.threads);
            if is_small { small.push(run) } else { large.push(run) }
        }
    }
    // One run has all threads to itself.
    if small.len() == 1 {
        large.append(&mut small);
    }
    metrics::keep(mine.len() - small.len() - large.len());
    for run in small.iter().chain(&large) {
        metrics::expect_events(prepared.cost(*run).events);
    }
    tracing::info!(sweep = manifest.sweep, small = small.len(), large = large.len(), skipped, "a sweep begins");
    let work = pool::Work { prepared, manifest, folder };
    pool::run(&work, &small, &large, args.quiet)?;
    Ok(Done { all: mine.len(), skipped })
}

/// The folder of the runs in the folder of a sweep.
pub(super) fn runs_folder(folder: &Path) -> PathBuf {
    folder.join(RUNS_FOLDER)
}
