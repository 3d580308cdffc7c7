//! `qnetsim run`: scenario files to tables and result files.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use super::keeping::{Folder, Manner, RunNote, Simulated, is_kept, simulate as simulate_kept};
use super::progress::ProgressLine;
use super::ranks::{Company, told_elsewhere};
use super::space::available_disk;
use super::steps::step;
use super::text::{shown, width};
use super::trace::Traces;
use super::watch::metrics;
use super::{Failure, Format, RunArgs, print, sweep};
use crate::engine::Progress;
use crate::metrics::{PointResult, available_memory};
use crate::report::{
    RunReport, at_width, bandwidth_table, check_writable, detection_table, drops_table, figures_tables,
    network_load_table, population_table, remove_files, result_files, summary_json, write_results,
};
use crate::results::PARTIAL_FOLDER;
use crate::scenario::build::{Layout, RunError, Watch, run_point, run_traced};
use crate::scenario::{self, Point, Scenario, Table, plan};

/// As many as threads, at most.
const PARTITIONS_MAX: u32 = 1024;

/// A scenario that is to be run, with its command line, and what its sweep needs if it has one.
struct Job<'a> {
    scenario: &'a Scenario,
    file: &'a Path,
    command: String,
    sweep: Option<sweep::Prepared>,
}

/// Runs all the scenarios of `args`. Nothing is simulated before all of them are known to be valid, to fit in memory
/// and on the disk, and to have a place for their results.
pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    let threads = threads(args.threads);
    if args.trace.is_wanted() && args.checkpoint_every.is_some() {
        let message = "error: a run that is traced cannot be kept: leave out --trace or --checkpoint-every".to_owned();
        return Err(Failure { code: Failure::BAD_SCENARIO, message });
    }
    let scenarios = load_all(&args.files, &overrides(args))?;
    let jobs = args.files.iter().zip(&scenarios).map(|(file, scenario)| job(args, file, scenario, threads));
    let jobs: Vec<Job<'_>> = jobs.collect::<Result<_, _>>()?;
    if args.list {
        return jobs
            .iter()
            .try_for_each(|job| sweep::list(job.scenario, job.sweep.as_ref(), threads, args.shard, args.format));
    }
    check_disk(&scenarios, &args.out)?;
    let mut traces = args.trace.open(scenarios.len())?;
    for scenario in &scenarios {
        check_writable(&args.out.join(&scenario.name)).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    }
    jobs.iter().filter(|job| job.sweep.is_none()).for_each(|job| metrics::expect(job.scenario));
    jobs.iter().try_for_each(|job| match &job.sweep {
        Some(prepared) => sweep::run(prepared, args),
        None => run_once(args, job, Layout { threads, partitions_log2: args.partitions_log2 }, traces.as_mut()),
    })
}

/// What there is to do with `scenario`, unless `args` ask for what it cannot do, or it will not fit in memory.
fn job<'a>(args: &RunArgs, file: &'a Path, scenario: &'a Scenario, threads: usize) -> Result<Job<'a>, Failure> {
    let bad = |message: String| Err(Failure { code: Failure::BAD_SCENARIO, message });
    let overrides = overrides(args);
    let command = command(file, &overrides);
    if !scenario.is_swept {
        if args.shard.is_some() {
            return bad(format!("error: {} has no sweep, so it has no shards: run it without --shard", file.display()));
        }
        if !args.list {
            // A partition takes no more than a thread does.
            let partitions = args.partitions_log2.map_or(1, |log2| 1 << log2);
            check_memory(file, &overrides, scenario, threads.max(partitions))?;
        }
        return Ok(Job { scenario, file, command, sweep: None });
    }
    if args.trace.is_wanted() {
        return bad(format!("error: {} has a sweep: trace one of its runs, with --set and no sweep", file.display()));
    }
    if args.partitions_log2.is_some() {
        return bad(format!(
            "error: {} has a sweep, whose runs choose their partitions: run it without --partitions",
            file.display()
        ));
    }
    if args.checkpoint_every.is_some() {
        return bad(format!(
            "error: {} has a sweep, which keeps every finished run and goes on from there by itself: run it without \
             --checkpoint-every",
            file.display()
        ));
    }
    let prepared = sweep::prepare(file, &overrides, scenario, threads, &command)?;
    if !args.list {
        prepared.check_memory()?;
    }
    Ok(Job { scenario, file, command, sweep: Some(prepared) })
}

/// A scenario without a sweep on its way to its results.
pub(super) struct Session<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) command: &'a str,
    /// Where its results go.
    pub(super) folder: PathBuf,
    pub(super) layout: Layout,
    /// Time between checkpoints, if they are asked for.
    pub(super) every: Option<Duration>,
    pub(super) quiet: bool,
    pub(super) format: Format,
}

/// Runs the points of a scenario without a sweep, writes its results and prints its tables.
fn run_once(args: &RunArgs, job: &Job<'_>, layout: Layout, traces: Option<&mut Traces>) -> Result<(), Failure> {
    let Job { scenario, command, file, .. } = job;
    let folder = args.out.join(&scenario.name);
    let (every, quiet, format) = (args.checkpoint_every.map(|every| every.0), args.quiet, args.format);
    let session = Session { scenario, command, folder, layout, every, quiet, format };
    if let Some(traces) = traces {
        let tracing = traces.tracing(scenario.seed);
        let points = simulate_by(scenario, quiet, |point, watch| {
            let (result, log) = run_traced(scenario, point, layout, watch, tracing)?;
            traces.add(log);
            Ok(Some(result))
        })?;
        return session.finish(&points, |points| traces.write(points));
    }
    session.run(&mut begun(args, &session, file), &Company::ALONE)
}

/// Where the run of `session` will be kept, of a scenario in `file`. Warns if another is kept there.
pub(super) fn begun(args: &RunArgs, session: &Session<'_>, file: &Path) -> Folder {
    if is_kept(&session.folder) && !session.quiet {
        let shown = session.folder.display();
        // Nothing is left to be done if standard error is gone.
        let _ = writeln!(
            stderr(),
            "warning: {shown} has the checkpoint of a run that was interrupted; this run begins anew and replaces it\n  \
             qnetsim resume {shown}   goes on with it"
        );
    }
    let scenario = session.scenario;
    let note = RunNote {
        file: std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()).display().to_string(),
        command: session.command.to_owned(),
        effective: scenario.effective.clone(),
        points: scenario.points.len() as u32,
        threads: args.threads,
        every_ms: session.every.map(|every| every.as_millis() as u64),
    };
    Folder::new(&session.folder, note, &scenario.hash, scenario.seed)
}

impl Session<'_> {
    /// Runs what is not done yet, kept in `kept`, together with the others of `company`: the first of them writes and prints,
    /// and if it cannot, all fail.
    pub(super) fn run(&self, kept: &mut Folder, company: &Company<'_>) -> Result<(), Failure> {
        let Session { layout, quiet, every, .. } = *self;
        let manner = Manner { layout, quiet, every, company };
        let leave = |left| super::leave(self.whole(left).err());
        let simulated = simulate_kept(self.scenario, &manner, kept, &leave)?;
        if !company.is_first() {
            let is_whole = matches!(simulated, Simulated::Whole(_));
            return company.agree(if is_whole { Ok(()) } else { Err(told_elsewhere()) });
        }
        company.agree(self.whole(Ok(simulated)).and_then(|points| {
            self.finish(&points, |points| {
                step("results-written");
                self.remove_partial()?;
                kept.forget()?;
                Ok(over_ranks(points))
            })
        }))
    }

    /// All points, unless the run was broken off: then what there is of it is written, and that is the failure.
    fn whole(&self, simulated: Result<Simulated, Failure>) -> Result<Vec<PointResult>, Failure> {
        let (results, short_of) = match simulated? {
            Simulated::Whole(points) => return Ok(points),
            Simulated::Broken { results, short_of } => (results, short_of),
        };
        let partial = self.folder.join(PARTIAL_FOLDER);
        let report = RunReport { partial: Some(&short_of), thresholds: &[], ..self.report(&results) };
        self.write(&partial, &report, &format!("{short_of}\n\n{}", tables(self.scenario, &report)))?;
        let message = format!(
            "{short_of}\n  partial results are in {}\n  qnetsim resume {}   goes on",
            partial.display(),
            self.folder.display()
        );
        Err(Failure { code: Failure::INTERRUPTED, message: format!("error: {message}") })
    }

    fn report<'s>(&'s self, points: &'s [PointResult]) -> RunReport<'s> {
        let scenario = self.scenario;
        RunReport {
            scenario: &scenario.name,
            description: &scenario.description,
            scenario_hash: &scenario.hash,
            seed: scenario.seed,
            command: self.command,
            effective: &scenario.effective,
            thresholds: &scenario.thresholds,
            points,
            partial: None,
        }
    }

    /// Writes all files of `report` into `folder`, with `tables` for people.
    fn write(&self, folder: &Path, report: &RunReport<'_>, tables: &str) -> Result<(), Failure> {
        let mut files = result_files(report);
        files.push(("tables.txt", format!("$ {}\n\n{tables}", self.command).into_bytes()));
        write_results(folder, &files).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))
    }

    /// Writes the results of all points, does what is to be done then, and prints the tables with what that says.
    pub(super) fn finish(
        &self,
        points: &[PointResult],
        then: impl FnOnce(&[PointResult]) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let report = self.report(points);
        let tables = tables(self.scenario, &report);
        self.write(&self.folder, &report, &tables)?;
        let said = then(points)?;
        match self.format {
            _ if self.quiet => Ok(()),
            Format::Human => {
                // A narrow terminal gets narrower tables than the file.
                let narrow = stdout().is_terminal().then(width);
                let tables = narrow.map_or(tables, |width| at_width(width, || self::tables(self.scenario, &report)));
                print(&format!("{tables}\nResults are in {}\n{said}", self.folder.display()))
            }
            Format::Json => print(&String::from_utf8_lossy(&summary_json(&report))),
        }
    }

    /// Removes what an earlier part of the run left when it was interrupted.
    fn remove_partial(&self) -> Result<(), Failure> {
        let partial = self.folder.join(PARTIAL_FOLDER);
        let Ok(entries) = std::fs::read_dir(&partial) else { return Ok(()) };
        let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        remove_files(&partial, &names).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))
    }
}

/// What there is to tell people of the ranks that ran `points`, if there were any.
fn over_ranks(points: &[PointResult]) -> String {
    let ranks = points.iter().filter_map(|point| point.engine.ranks);
    let Some((ranks, messages, bytes)) = ranks.fold(None, |sum: Option<(usize, u64, u64)>, ranks| {
        let (_, messages, bytes) = sum.unwrap_or_default();
        Some((ranks.ranks, messages + ranks.remote_messages, bytes + ranks.remote_bytes))
    }) else {
        return String::new();
    };
    let each = if messages > 0 { format!(", {:.1} bytes each", bytes as f64 / messages as f64) } else { String::new() };
    format!("{ranks} ranks sent each other {messages} messages{each}\n")
}

/// The overrides of the scenario's keys, the seed among them.
pub(super) fn overrides(args: &RunArgs) -> Vec<String> {
    let seed = args.seed.map(|seed| format!("seed={seed}"));
    args.overrides.iter().cloned().chain(seed).collect()
}

/// The command line that gives the same results anywhere: without threads, folders and formats.
pub(super) fn command(file: &Path, overrides: &[String]) -> String {
    let quote = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:+,".contains(c);
        if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    let sets: String = overrides.iter().map(|text| format!(" --set {}", quote(text))).collect();
    format!("qnetsim run {}{sets}", quote(&file.display().to_string()))
}

/// Loads every file and refuses all that is wrong in any of them in one go.
pub(super) fn load_all(files: &[PathBuf], overrides: &[String]) -> Result<Vec<Scenario>, Failure> {
    let (mut scenarios, mut names) = (Vec::new(), BTreeMap::new());
    let mut failure: Option<Failure> = None;
    let mut fail = |code: u8, message: String| match &mut failure {
        Some(failure) => failure.message += &format!("\n{message}"),
        None => failure = Some(Failure { code, message }),
    };
    for file in files {
        match scenario::load(file, overrides) {
            Err(error) if error.is_io() => fail(Failure::INPUT_OUTPUT, shown(&error)),
            Err(error) => fail(Failure::BAD_SCENARIO, shown(&error)),
            Ok(scenario) => {
                if let Some(other) = names.insert(scenario.name.clone(), file) {
                    let (name, other, file) = (&scenario.name, other.display(), file.display());
                    fail(
                        Failure::BAD_SCENARIO,
                        format!(
                            "error: {other} and {file} are both named {name:?} and would share a folder: rename one"
                        ),
                    );
                }
                scenarios.push(scenario);
            }
        }
    }
    failure.map_or(Ok(scenarios), Err)
}

/// Refuses a scenario of which a point will not fit in memory.
pub(super) fn check_memory(
    file: &Path,
    overrides: &[String],
    scenario: &Scenario,
    threads: usize,
) -> Result<(), Failure> {
    check_memory_by(file, overrides, scenario, &|scenario| largest_point(scenario, threads))
}

/// As [`check_memory`], where `largest` gives what the point takes that takes the most.
pub(super) fn check_memory_by(
    file: &Path,
    overrides: &[String],
    scenario: &Scenario,
    largest: &dyn for<'s> Fn(&'s Scenario) -> (u64, Option<&'s Point>),
) -> Result<(), Failure> {
    let Some(available) = available_memory() else { return Ok(()) };
    let (needed, Some(point)) = largest(scenario) else { return Ok(()) };
    let is_room_for = |bytes: u64| plan::memory_with_margin(bytes) <= available;
    if is_room_for(needed) {
        return Ok(());
    }
    let fits = |scenario: &Scenario| is_room_for(largest(scenario).0);
    let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
    let advice = match fitting_nodes(file, overrides, point.population.total(), &fits) {
        Some(nodes) => format!("reduce `nodes`: --set nodes={nodes} fits"),
        None => "reduce `nodes` and what grows with them: tiers, links, `seen`".to_owned(),
    };
    let message = format!(
        "error: scenario {:?} will not fit: {} at {} nodes needs about {:.1} GiB, at most {:.1} GiB, and {:.1} GiB are \
         available\n  {advice}",
        scenario.name,
        point.label,
        point.population.total(),
        gib(needed),
        gib(plan::memory_with_margin(needed)),
        gib(available),
    );
    Err(Failure { code: Failure::WILL_NOT_FIT, message })
}

/// Refuses scenarios whose results will not fit where `out` is.
pub(super) fn check_disk(scenarios: &[Scenario], out: &Path) -> Result<(), Failure> {
    let Some(available) = available_disk(out) else { return Ok(()) };
    let points = scenarios.iter().flat_map(|scenario| scenario.points.iter().map(move |point| (scenario, point)));
    let needed =
        points.map(|(scenario, point)| plan::forecast(scenario, point, 1).disk_bytes).fold(0, u64::saturating_add);
    if needed <= available {
        return Ok(());
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let message = format!(
        "error: the results will not fit: about {:.1} MiB, and {:.1} MiB are available where {} is\n  free some, choose another \
         folder with --out, or widen the buckets of the time series: --set timeline=60s",
        mib(needed),
        mib(available),
        out.display()
    );
    Err(Failure { code: Failure::WILL_NOT_FIT, message })
}

/// The point of `scenario` that needs the most memory, and how many bytes it needs.
pub(super) fn largest_point(scenario: &Scenario, threads: usize) -> (u64, Option<&Point>) {
    largest_point_by(scenario, |point| plan::memory(scenario, point, threads))
}

/// The point of `scenario` of which `bytes` says the most, and how many.
pub(super) fn largest_point_by(scenario: &Scenario, bytes: impl Fn(&Point) -> u64) -> (u64, Option<&Point>) {
    let needs = scenario.points.iter().map(|point| (bytes(point), Some(point)));
    needs.max_by_key(|&(bytes, _)| bytes).unwrap_or((0, None))
}

/// The largest of the numbers 1, 2, 5, 10, ... below `nodes` with which the scenario in `file` is valid and `fits`.
fn fitting_nodes(file: &Path, overrides: &[String], nodes: u32, fits: &dyn Fn(&Scenario) -> bool) -> Option<u32> {
    let powers = (0..=9).rev().map(|power| 10u32.pow(power));
    let sizes = powers.flat_map(|power| [5, 2, 1].into_iter().filter_map(move |digit: u32| digit.checked_mul(power)));
    sizes.filter(|&size| size < nodes).find(|size| {
        let sets: Vec<String> = overrides.iter().cloned().chain([format!("nodes={size}")]).collect();
        scenario::load(file, &sets).is_ok_and(|scenario| fits(&scenario))
    })
}

/// The threads to run on, of which `wanted` were asked for.
pub(super) fn threads(wanted: Option<u16>) -> usize {
    wanted.map_or_else(|| available_parallelism().map_or(1, NonZeroUsize::get), usize::from)
}

/// The base-2 logarithm of a number of partitions.
pub(super) fn partitions_log2(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| number.is_power_of_two() && *number <= PARTITIONS_MAX);
    number.map(u32::ilog2).ok_or_else(|| format!("write a power of two from 1 to {PARTITIONS_MAX}"))
}

/// Runs every point of `scenario`.
pub(super) fn simulate(scenario: &Scenario, threads: usize, quiet: bool) -> Result<Vec<PointResult>, Failure> {
    simulate_by(scenario, quiet, |point, watch| run_point(scenario, point, threads, watch).map(Some))
}

/// Runs every point of `scenario` by `run_one`, shows how far they are unless `quiet`, and gives the results that there are.
pub(super) fn simulate_by(
    scenario: &Scenario,
    quiet: bool,
    mut run_one: impl FnMut(&Point, &Watch<'_>) -> Result<Option<PointResult>, RunError>,
) -> Result<Vec<PointResult>, Failure> {
    #[allow(clippy::disallowed_methods, reason = "how long a run takes is told beside its results, never in them")]
    let start = Instant::now();
    let clock = move || start.elapsed().as_secs_f64();
    let mut results = Vec::with_capacity(scenario.points.len());
    for (number, point) in scenario.points.iter().enumerate() {
        let progress = Arc::new(Progress::default());
        let line = ProgressLine::start(scenario, number, &progress, quiet);
        let watched = metrics::begin(scenario, point, &progress);
        let result = run_one(point, &Watch { progress: &progress, clock: &clock });
        drop(line);
        if let Some(result) = result.map_err(|error| Failure::of(Failure::INTERNAL, &error))? {
            watched.done(&result);
            results.push(result);
        }
    }
    Ok(results)
}

/// The tables that the scenario asks for. One with nothing to say says so where the scenario chose it, and is left out
/// where it gets all of them.
fn tables(scenario: &Scenario, report: &RunReport<'_>) -> String {
    let chosen = scenario.tables != Table::ALL;
    let table = |table: &Table| {
        let (table, nothing) = match table {
            Table::NetworkLoad => return Some(network_load_table(report)),
            Table::Bandwidth => return Some(bandwidth_table(report)),
            Table::Detection => (detection_table(report), "Failure detection: no approach detected failures.\n"),
            Table::Population => (population_table(report), "Live nodes: all of them all the time.\n"),
            Table::Drops => (drops_table(report), "Dropped messages: none.\n"),
            Table::Figures => (figures_tables(report), "Figures of mechanisms: none.\n"),
        };
        table.or_else(|| chosen.then(|| nothing.to_owned()))
    };
    scenario.tables.iter().filter_map(table).collect::<Vec<_>>().join("\n")
}
