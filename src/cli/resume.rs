//! `qnetsim resume`: goes on with a run that was interrupted or killed.

use std::path::{Path, PathBuf};

use super::keeping::{Every, Folder, is_kept};
use super::ranks::Company;
use super::run::{Session, threads};
use super::text::shown;
use super::watch::metrics;
use super::{Failure, Format};
use crate::report::{remove_files, temporary_files};
use crate::results::{CHECKPOINT_FOLDER, MANIFEST_FILE};
use crate::scenario::{self, Scenario};

pub(super) const RESUME_EXAMPLES: &str = "Examples:
  qnetsim run scenarios/tiers-1m.toml --checkpoint-every 60s
  qnetsim resume results/tiers-1m
  mpirun -n 4 qnetsim resume results/tiers-1m
  qnetsim resume";

/// Where runs are looked for if none is named.
const RESULTS: &str = "results";

/// Arguments of `qnetsim resume`.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// The folder of the scenario's results, in which its checkpoint is; the only one in results/ if not given.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,

    /// Time between checkpoints from now on; that of the run if not given.
    #[arg(long, value_name = "SPAN")]
    checkpoint_every: Option<Every>,

    /// Threads to use, in each process if there are several; as the run was told if not given. Changes no result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Show neither progress nor tables.
    #[arg(long, short)]
    quiet: bool,

    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// A run that is kept.
pub(super) struct Kept {
    folder: PathBuf,
    kept: Folder,
    pub(super) scenario: Scenario,
    /// Threads, if the run was told how many.
    pub(super) threads: Option<u16>,
}

/// Goes on with the run that `args` name.
pub(super) fn resume(args: &ResumeArgs) -> Result<(), Failure> {
    let kept = find(args)?;
    let threads = threads(args.threads.or(kept.threads));
    go_on(args, kept, threads, &Company::ALONE)
}

/// The run that `args` name.
pub(super) fn find(args: &ResumeArgs) -> Result<Kept, Failure> {
    let folder = match &args.folder {
        Some(folder) => of_results(folder),
        None => the_only_one(Path::new(RESULTS))?,
    };
    let Some(kept) = Folder::open(&folder)? else {
        return Err(Failure { code: Failure::BAD_SCENARIO, message: nothing_in(&folder) });
    };
    let note = kept.note();
    let threads = note.threads;
    let scenario = scenario::parse(&note.file, &note.effective, &[]).map_err(|error| {
        let code = if error.is_io() { Failure::INPUT_OUTPUT } else { Failure::BAD_SCENARIO };
        Failure { code, message: shown(&error) }
    })?;
    kept.check_scenario(&scenario.hash, scenario.seed, scenario.points.len())?;
    Ok(Kept { folder, kept, scenario, threads })
}

/// Goes on with a run on so many threads of each process of `company`.
pub(super) fn go_on(args: &ResumeArgs, kept: Kept, threads: usize, company: &Company<'_>) -> Result<(), Failure> {
    let Kept { folder, mut kept, scenario, .. } = kept;
    // What a killed process left half-written under temporary names.
    company.first(|| {
        [folder.clone(), folder.join(CHECKPOINT_FOLDER)].iter().try_for_each(|folder| {
            remove_files(folder, &temporary_files(folder)).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))
        })
    })?;
    metrics::expect(&scenario);
    let note = kept.note().clone();
    let every = args.checkpoint_every.map(|every| every.0);
    let session = Session {
        scenario: &scenario,
        command: &note.command,
        folder,
        layout: threads.into(),
        every: every.or(note.every_ms.map(std::time::Duration::from_millis)),
        quiet: args.quiet,
        format: args.format,
    };
    session.run(&mut kept, company)
}

/// The folder of results of which `folder` is one, or the checkpoint in it.
fn of_results(folder: &Path) -> PathBuf {
    let parent = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == CHECKPOINT_FOLDER));
    match parent {
        Some(parent) if !is_kept(folder) => parent.to_owned(),
        _ => folder.to_owned(),
    }
}

/// The only folder in `results` with a checkpoint.
fn the_only_one(results: &Path) -> Result<PathBuf, Failure> {
    let entries = std::fs::read_dir(results).into_iter().flatten();
    let mut kept: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|folder| is_kept(folder)).collect();
    kept.sort();
    let bad = |message: String| Err(Failure { code: Failure::BAD_SCENARIO, message });
    match &kept[..] {
        [folder] => Ok(folder.clone()),
        [] => bad(format!("error: no folder in {} has a checkpoint: name the one that has", results.display())),
        several => {
            let names: String =
                several.iter().map(|folder| format!("\n  qnetsim resume {}", folder.display())).collect();
            bad(format!("error: {} folders in {} have checkpoints: name one{names}", several.len(), results.display()))
        }
    }
}

fn nothing_in(folder: &Path) -> String {
    let shown = folder.display();
    if folder.join(MANIFEST_FILE).exists() {
        return format!("error: {shown} is a sweep, which goes on by itself: run its command again");
    }
    if folder.join("summary.json").exists() {
        return format!("error: {shown} has no checkpoint: the run is done, its results are there");
    }
    format!("error: {shown} has no checkpoint: run the scenario")
}
