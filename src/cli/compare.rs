//! `qnetsim compare`: what moved from one result to another.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, stdout};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Deserialize;

use super::plot::refused;
use super::run::{check_memory, simulate, threads};
use super::text::{shown, width};
use super::watch::metrics;
use super::{Failure, print};
use crate::report::{ResultFolder, at_width};
use crate::results::{MANIFEST_FILE, Results, SWEEP_FILE, compare as compare_results, human, json, markdown};
use crate::results::{read_metrics, read_sweep};
use crate::scenario::{self, Scenario};

pub(super) const COMPARE_EXAMPLES: &str = "Examples:
  qnetsim run scenarios/quickstart.toml --out before
  qnetsim run scenarios/quickstart.toml --set network.loss=0.01 --out after
  qnetsim compare before/quickstart after/quickstart
  qnetsim compare one.toml other.toml --repeat 10 --format markdown";

const METRICS_FILE: &str = "metrics.csv";
const SUMMARY_FILE: &str = "summary.json";
/// Longest summary and sheet that are read, in bytes.
const SUMMARY_BYTES_MAX: u64 = 10_000_000;
const SHEET_BYTES_MAX: u64 = 500_000_000;

/// Arguments of `qnetsim compare`.
#[derive(Debug, clap::Args)]
pub(super) struct CompareArgs {
    /// A folder of results, such as results/NAME, or a scenario file.
    #[arg(value_name = "A")]
    a: PathBuf,

    /// What it is compared with, of the same kind.
    #[arg(value_name = "B")]
    b: PathBuf,

    /// Seeds with which two scenarios are run: the first one's seed and those after it.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: u32,

    /// Threads to use; all cores if not given. Changes no result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Show at most so many figures that moved, in tables.
    #[arg(long, value_name = "N", default_value_t = 40)]
    limit: usize,

    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,

    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = CompareFormat::Human)]
    format: CompareFormat,
}

/// What `compare` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompareFormat {
    /// A table.
    Human,
    /// The table as Markdown.
    Markdown,
    /// One JSON document, with all figures.
    Json,
}

fn bad(message: &str) -> Failure {
    Failure { code: Failure::BAD_SCENARIO, message: format!("error: {message}") }
}

/// Compares what `args` name.
pub(super) fn compare(args: &CompareArgs) -> Result<(), Failure> {
    let (a, b) = (&args.a, &args.b);
    let results = match (a.is_dir(), b.is_dir()) {
        (true, true) => [of_folder(a)?, of_folder(b)?],
        (false, false) => of_scenarios(args)?,
        (is_folder, _) => {
            let (folder, file) = if is_folder { (a, b) } else { (b, a) };
            let (folder, file) = (folder.display(), file.display());
            return Err(bad(&format!(
                "{folder} is a folder of results and {file} is not: run it first\n  qnetsim run {file} --out DIR"
            )));
        }
    };
    let names = [a, b].map(|path| path.display().to_string());
    let Some(comparison) = compare_results(names, &results[0], &results[1]) else {
        let points = results.each_ref().map(first_point);
        return Err(bad(&format!(
            "the results have no figure in common that could be compared: points, axes or seeds differ\n  \
             A has {}, B has {}",
            points[0], points[1]
        )));
    };
    print(&match args.format {
        CompareFormat::Human => {
            let width = if stdout().is_terminal() { width() } else { usize::MAX };
            at_width(width, || human(&comparison, args.limit))
        }
        CompareFormat::Markdown => markdown(&comparison, args.limit),
        CompareFormat::Json => json(&comparison),
    })
}

fn first_point(results: &Results) -> String {
    let first = results.figures.keys().next();
    first.map_or("no figures".to_owned(), |key| {
        let axes: String = key.axes.iter().map(|(name, value)| format!(", {name} = {value}")).collect();
        format!("{}, {} nodes{axes}", key.approach, key.nodes)
    })
}

/// The results in `folder`: of a sweep where it holds one, else of a run.
fn of_folder(folder: &Path) -> Result<Results, Failure> {
    let sheet = folder.join(SWEEP_FILE);
    let unusable = |path: &Path, error: &dyn std::error::Error| Failure {
        code: Failure::INPUT_OUTPUT,
        message: format!("error: cannot use {}: {error}", path.display()),
    };
    // Sheets tell no version: what stands beside them does.
    ResultFolder::open(folder).map_err(|error| refused(&error))?;
    if sheet.exists() {
        let bytes = bytes_of(&sheet, SHEET_BYTES_MAX).map_err(|error| unusable(&sheet, &error))?;
        return read_sweep(&bytes).map_err(|error| unusable(&sheet, &error));
    }
    if folder.join(MANIFEST_FILE).exists() {
        return Err(bad(&format!(
            "the sweep in {} is not finished: run it again to its end, or merge its shards",
            folder.display()
        )));
    }
    let sheet = folder.join(METRICS_FILE);
    match bytes_of(&sheet, SHEET_BYTES_MAX) {
        Ok(bytes) => read_metrics(&bytes).map_err(|error| unusable(&sheet, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(bad(&format!(
            "there is no {METRICS_FILE} in {}: it holds no results, or those of an older version\n  run it again: {}",
            folder.display(),
            command_of(folder).unwrap_or_else(|| "qnetsim run FILE".to_owned())
        ))),
        Err(error) => Err(unusable(&sheet, &error)),
    }
}

/// The command that the summary in `folder` names, if there is one that can be shown.
fn command_of(folder: &Path) -> Option<String> {
    // All else is passed over: as any document, it would take fifteen times its memory.
    #[derive(Deserialize)]
    struct Summary {
        deterministic: Deterministic,
    }
    #[derive(Deserialize)]
    struct Deterministic {
        command: String,
    }
    let bytes = bytes_of(&folder.join(SUMMARY_FILE), SUMMARY_BYTES_MAX).ok()?;
    let command = serde_json::from_slice::<Summary>(&bytes).ok()?.deterministic.command;
    let can_be_shown = command.starts_with("qnetsim run ") && !command.chars().any(char::is_control);
    (can_be_shown && command.len() <= 1_000).then_some(command)
}

/// The bytes of the file `path`, at most `bytes_max` of them.
fn bytes_of(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    // Before it is opened: a pipe would keep the program waiting for ever.
    let data = fs::metadata(path)?;
    if !data.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    if data.len() > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Runs both scenarios with the same seeds.
fn of_scenarios(args: &CompareArgs) -> Result<[Results; 2], Failure> {
    let threads = threads(args.threads);
    let (a, b) = (load(&args.a, threads)?, load(&args.b, threads)?);
    let first = a.seed;
    let last = first.checked_add(u64::from(args.repeat) - 1).filter(|seed| *seed <= i64::MAX as u64);
    let last = last.ok_or_else(|| bad("the seeds end at 2^63 - 1: write a smaller `seed`"))?;
    for scenario in [&a, &b] {
        (first..=last).for_each(|_| metrics::expect(scenario));
    }
    let run = |scenario: &Scenario| {
        let mut results = Results::default();
        for seed in first..=last {
            let scenario = Scenario { seed, ..scenario.clone() };
            results.add(&simulate(&scenario, threads, args.quiet)?);
        }
        Ok(results)
    };
    Ok([run(&a)?, run(&b)?])
}

fn load(file: &Path, threads: usize) -> Result<Scenario, Failure> {
    let scenario = scenario::load(file, &[]).map_err(|error| Failure {
        code: if error.is_io() { Failure::INPUT_OUTPUT } else { Failure::BAD_SCENARIO },
        message: shown(&error),
    })?;
    if scenario.is_swept {
        let file = file.display();
        return Err(bad(&format!("{file} has a sweep: run both, and compare the folders\n  qnetsim run {file}")));
    }
    check_memory(file, &[], &scenario, threads)?;
    Ok(scenario)
}
