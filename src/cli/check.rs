//! `qnetsim check` and `qnetsim accept`: results against baselines and thresholds.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::run::{check_memory, simulate, threads};
use super::text::shown;
use super::watch::metrics;
use super::{Failure, print};
use crate::check::{
    Allowance, BASELINE_BYTES_MAX, Checked, Fingerprint, Outcome, PointName, compare, failed_thresholds, github, human,
    json, junit,
};
use crate::metrics::{Metric, PointResult, Threshold, Tolerance, may_be_figure, named_figures};
use crate::report::write_results;
use crate::scenario::{self, Scenario, ScenarioError};

pub(super) const CHECK_EXAMPLES: &str = "Examples:
  qnetsim check scenarios/small
  qnetsim check scenarios/small --tolerance 1% --tolerance messages.sent=0%
  qnetsim check scenarios/small --format junit > junit.xml
  qnetsim check scenarios/small --format github";

pub(super) const ACCEPT_EXAMPLES: &str = "Examples:
  qnetsim accept scenarios/small/liveness.toml
  qnetsim accept scenarios/small --yes";

/// Arguments of `qnetsim check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    what: Baselines,

    /// By how much metrics may move, either way, as a share of what was accepted: 1% or 0.01 of all, METRIC=1% of one.
    /// May be repeated.
    #[arg(long = "tolerance", value_name = "[METRIC=]SHARE")]
    tolerances: Vec<String>,

    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = CheckFormat::Human)]
    format: CheckFormat,
}

/// Arguments of `qnetsim accept`.
#[derive(Debug, clap::Args)]
pub(super) struct AcceptArgs {
    #[command(flatten)]
    what: Baselines,

    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// Which scenarios, with which baselines.
#[derive(Debug, clap::Args)]
struct Baselines {
    /// Scenario files (TOML), or folders with scenario files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Folder of the baselines, a file NAME.csv for each scenario; the folder `baselines` beside the scenario file if not
    /// given.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,

    /// Threads to use; all cores if not given. Changes no result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// What `check` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// Lines for people.
    Human,
    /// One JSON document.
    Json,
    /// A JUnit report.
    Junit,
    /// Annotations of GitHub Actions.
    Github,
}

/// A scenario that could not be checked.
struct Refusal {
    exit_code: u8,
    message: String,
    line: Option<usize>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal { exit_code: failure.code, message: failure.message, line: None }
    }
}

impl Refusal {
    fn of_scenario(error: &ScenarioError) -> Self {
        let exit_code = if error.is_io() { Failure::INPUT_OUTPUT } else { Failure::BAD_SCENARIO };
        let line = match error {
            ScenarioError::Invalid(problems) => problems.list().first().map(|problem| problem.line),
            ScenarioError::NotUtf8 { line, .. } => Some(*line),
            ScenarioError::Io { .. } | ScenarioError::TooLarge { .. } => None,
        };
        Refusal { exit_code, message: shown(error), line }
    }
}

/// Compares the scenarios of `args` with their baselines and thresholds. Every scenario is checked, whatever becomes of
/// the others.
pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let files = scenario_files(&args.what.paths)?;
    let allowance = allowance(&args.tolerances)?;
    expect(&files);
    let mut all = Vec::with_capacity(files.len());
    for file in &files {
        let file_name = file.display().to_string();
        let (scenario, approaches_line, outcome) = match check_file(file, args, &allowance) {
            Ok((scenario, outcome)) => (scenario.name, scenario.approaches_line, outcome),
            Err(Refusal { exit_code, message, line }) => {
                let name = file.file_stem().map_or_else(|| file_name.clone(), |stem| stem.display().to_string());
                (name, None, Outcome::Refused { exit_code, message, line })
            }
        };
        all.push(Checked { file: file_name, scenario, approaches_line, outcome });
    }
    print(&match args.format {
        CheckFormat::Human => human(&all),
        CheckFormat::Json => json(&all),
        CheckFormat::Junit => junit(&all),
        CheckFormat::Github => github(&all),
    })?;
    verdict(&all)
}

/// What the exit code says of `all`: the first scenario that could not be checked, else differences, else thresholds.
fn verdict(all: &[Checked]) -> Result<(), Failure> {
    let refused = all.iter().find_map(|checked| match &checked.outcome {
        Outcome::Refused { exit_code, .. } => Some((*exit_code, "error: a scenario could not be checked")),
        Outcome::Ran { .. } => None,
    });
    let any = |is: fn(&Outcome) -> bool| all.iter().any(|checked| is(&checked.outcome));
    let differs = any(|outcome| matches!(outcome, Outcome::Ran { differences, .. } if !differences.is_empty()));
    let failed =
        any(|outcome| matches!(outcome, Outcome::Ran { failed_thresholds, .. } if !failed_thresholds.is_empty()));
    let (code, message) = match refused {
        Some(refused) => refused,
        None if differs => (
            Failure::DIFFERS,
            "error: results are not as accepted; if they should be so, accept them with `qnetsim accept`",
        ),
        None if failed => (Failure::THRESHOLD, "error: a threshold failed"),
        None => return Ok(()),
    };
    Err(Failure { code, message: message.to_owned() })
}

fn check_file(file: &Path, args: &CheckArgs, allowance: &Allowance) -> Result<(Scenario, Outcome), Refusal> {
    let scenario = load(file)?;
    let path = baseline_path(&args.what, file, &scenario);
    let baseline = read_baseline(&path)?;
    if baseline.is_none() && scenario.thresholds.is_empty() {
        let (path, file) = (path.display(), file.display());
        let message = format!(
            "error: there is neither a baseline {path} nor a table [thresholds]\n\
             write the baseline with `qnetsim accept {file}`"
        );
        return Err(Refusal { exit_code: Failure::INPUT_OUTPUT, message, line: None });
    }
    let points = run(file, &scenario, &args.what)?;
    // What is said on the command line comes after what the scenario says.
    let of_metrics = [&scenario.tolerances[..], &allowance.of_metrics].concat();
    let allowance = Allowance { of_metrics, ..*allowance };
    let (failed, unknown) = failed_thresholds(&scenario.thresholds, &points);
    if let Some(threshold) = unknown.first() {
        return Err(unknown_figure(file, threshold, &points));
    }
    let now = Fingerprint::of(&scenario.hash, scenario.seed, &points, &scenario.tolerances);
    let outcome = Outcome::Ran {
        points: point_names(&now),
        thresholds: scenario.thresholds.iter().map(Threshold::to_string).collect(),
        has_baseline: baseline.is_some(),
        differences: baseline.map_or_else(Vec::new, |baseline| compare(&baseline, &now, &allowance)),
        failed_thresholds: failed,
    };
    Ok((scenario, outcome))
}

/// Makes known what will be run of `files`. What is wrong with one is said when its turn comes.
fn expect(files: &[PathBuf]) {
    files.iter().filter_map(|file| load(file).ok()).for_each(|scenario| metrics::expect(&scenario));
}

/// The scenario in `file`, which may have no sweep.
fn load(file: &Path) -> Result<Scenario, Refusal> {
    let scenario = scenario::load(file, &[]).map_err(|error| Refusal::of_scenario(&error))?;
    if !scenario.is_swept {
        return Ok(scenario);
    }
    let file = file.display();
    let message = format!("error: {file} has a sweep, and baselines are of single scenarios: qnetsim run {file}");
    Err(Refusal { exit_code: Failure::BAD_SCENARIO, message, line: None })
}

fn run(file: &Path, scenario: &Scenario, what: &Baselines) -> Result<Vec<PointResult>, Failure> {
    let threads = threads(what.threads);
    check_memory(file, &[], scenario, threads)?;
    simulate(scenario, threads, false)
}

/// A threshold for a figure that nothing of the scenario has.
fn unknown_figure(file: &Path, threshold: &Threshold, points: &[PointResult]) -> Refusal {
    let applies = points.iter().filter(|point| threshold.applies_to(&point.approach));
    let known: Vec<String> = applies.flat_map(named_figures).map(|(name, _)| name).collect();
    let near = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, &threshold.metric));
    let advice = near.map_or_else(|| "no mechanism of it has any".to_owned(), |near| format!("write \"{near}\"?"));
    let place = threshold.line.map_or(String::new(), |line| format!(":{line}"));
    let message =
        format!("error: {}{place}: no approach has a figure {:?}: {advice}", file.display(), threshold.metric);
    Refusal { exit_code: Failure::BAD_SCENARIO, message, line: threshold.line }
}

/// Shows what differs from the baselines of the scenarios of `args`, and writes them anew if that is wanted.
pub(super) fn accept(args: &AcceptArgs) -> Result<(), Failure> {
    let bad = |message: &str| Failure { code: Failure::BAD_SCENARIO, message: message.to_owned() };
    if std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false") {
        return Err(bad("error: baselines are accepted by people, not in CI (the variable CI is set)"));
    }
    let files = scenario_files(&args.what.paths)?;
    expect(&files);
    for file in &files {
        let refused = |refusal: Refusal| Failure { code: refusal.exit_code, message: refusal.message };
        let scenario = load(file).map_err(refused)?;
        let path = baseline_path(&args.what, file, &scenario);
        let points = run(file, &scenario, &args.what)?;
        let now = Fingerprint::of(&scenario.hash, scenario.seed, &points, &scenario.tolerances);
        let bytes = now.to_csv();
        let news = match read_baseline(&path) {
            Ok(Some(old)) if old.to_csv() == bytes => {
                print(&format!("{}: as accepted\n", path.display()))?;
                continue;
            }
            Ok(Some(old)) => {
                let differences = compare(&old, &now, &Allowance::default());
                let file = file.display().to_string();
                let outcome = Outcome::Ran {
                    points: point_names(&now),
                    thresholds: Vec::new(),
                    has_baseline: true,
                    differences,
                    failed_thresholds: Vec::new(),
                };
                let scenario = scenario.name.clone();
                human(&[Checked { file, scenario, approaches_line: None, outcome }])
            }
            Ok(None) => format!("{}: new, {} points\n", path.display(), now.points.len()),
            Err(damaged) => format!("{}\n", damaged.message),
        };
        print(&news)?;
        if !args.yes && !agreed(&path)? {
            print(&format!("{}: left as it was\n", path.display()))?;
            continue;
        }
        let (folder, name) = (path.parent().unwrap_or(Path::new("")), format!("{}.csv", scenario.name));
        write_results(folder, &[(&name, bytes)]).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
        print(&format!("{}: written\n", path.display()))?;
    }
    Ok(())
}

fn point_names(fingerprint: &Fingerprint) -> Vec<PointName> {
    let name = |(approach, nodes): &(String, u32)| PointName { approach: approach.clone(), nodes: *nodes };
    fingerprint.points.keys().map(name).collect()
}

/// Asks whether the baseline at `path` shall be written.
fn agreed(path: &Path) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let message = "error: nobody is there to be asked: say --yes to accept without a question".to_owned();
        return Err(Failure { code: Failure::BAD_SCENARIO, message });
    }
    print(&format!("write {}? [y/N] ", path.display()))?;
    let mut answer = String::new();
    let failed = |error: io::Error| Failure::of(Failure::INPUT_OUTPUT, &error);
    io::stdout().flush().and_then(|()| io::stdin().lock().read_line(&mut answer)).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn baseline_path(what: &Baselines, file: &Path, scenario: &Scenario) -> PathBuf {
    let beside = || file.parent().unwrap_or(Path::new("")).join("baselines");
    what.baseline.clone().unwrap_or_else(beside).join(format!("{}.csv", scenario.name))
}

/// The baseline at `path`; `None` if there is none.
fn read_baseline(path: &Path) -> Result<Option<Fingerprint>, Refusal> {
    let refuse = |error: &dyn std::error::Error| Refusal {
        exit_code: Failure::INPUT_OUTPUT,
        message: format!("error: cannot use the baseline {}: {error}", path.display()),
        line: None,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(&error)),
    };
    let mut bytes = Vec::new();
    file.take(BASELINE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| refuse(&error))?;
    Fingerprint::from_csv(&bytes).map(Some).map_err(|error| refuse(&error))
}

/// The scenario files at `paths`; those of a folder in the order of their names. No two may share a baseline.
fn scenario_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |path: &Path, error: &io::Error| Failure {
        code: Failure::INPUT_OUTPUT,
        message: format!("error: cannot read {}: {error}", path.display()),
    };
    let mut files = BTreeSet::new();
    for path in paths {
        if !path.is_dir() {
            files.insert(path.clone());
            continue;
        }
        let before = files.len();
        for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
            let file = entry.map_err(|error| unreadable(path, &error))?.path();
            if file.extension().is_some_and(|extension| extension == "toml") && file.is_file() {
                files.insert(file);
            }
        }
        if files.len() == before {
            let message = format!("error: there is no scenario (*.toml) in {}", path.display());
            return Err(Failure { code: Failure::INPUT_OUTPUT, message });
        }
    }
    Ok(files.into_iter().collect())
}

/// What `--tolerance` allows.
fn allowance(written: &[String]) -> Result<Allowance, Failure> {
    let mut allowance = Allowance::default();
    for text in written {
        let (metric, share) = text.rsplit_once('=').map_or((None, text.as_str()), |(name, share)| (Some(name), share));
        let bad = |message: String| Failure { code: Failure::BAD_SCENARIO, message };
        let Some(share) = scenario::share(share) else {
            return Err(bad(format!("error: --tolerance {text}: write a share such as 1% or messages.sent=1%")));
        };
        match metric {
            None => allowance.share = share,
            Some(name) if Metric::named(name).is_some() || may_be_figure(name) => {
                allowance.of_metrics.push(Tolerance { metric: name.to_owned(), share });
            }
            Some(name) => {
                let names: Vec<_> = Metric::all().iter().map(|metric| metric.name.as_str()).collect();
                let names = names.join(", ");
                return Err(bad(format!("error: --tolerance {text}: unknown metric {name:?}; metrics are {names}")));
            }
        }
    }
    Ok(allowance)
}
