//! `qnetsim merge`: the shards of a sweep to what one run of it would have given.

use std::path::{Path, PathBuf};

use super::sweep::{Unusable, finish, read_manifest, read_record, start, store, table};
use super::{Failure, print};
use crate::results::{MANIFEST_FILE, Manifest, Record, RunId};

pub(super) const MERGE_EXAMPLES: &str = "Examples:
  qnetsim run scenarios/sweep.toml --shard 1/2 --out one
  qnetsim run scenarios/sweep.toml --shard 2/2 --out two
  qnetsim merge one/sweep two/sweep -o results/sweep";

/// Runs that are named where some are missing.
const MISSING_SHOWN: usize = 10;

/// Arguments of `qnetsim merge`.
#[derive(Debug, clap::Args)]
pub(super) struct MergeArgs {
    /// Folders with the results of shards, such as one/NAME.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Folder for the whole; may be one of them.
    #[arg(long = "out", short, value_name = "DIR")]
    out: PathBuf,

    /// Print nothing.
    #[arg(long, short)]
    quiet: bool,
}

/// Combines the shards of `args`. Nothing is written before all runs are there and can be used.
pub(super) fn merge(args: &MergeArgs) -> Result<(), Failure> {
    let manifest = manifest(&args.folders)?;
    let mut missing = Vec::new();
    let mut found = Vec::new();
    for run in manifest.runs() {
        match place(&args.folders, &manifest, run)? {
            Some(folder) => found.push((run, folder)),
            None => missing.push(run),
        }
    }
    if !missing.is_empty() {
        return Err(refuse_missing(&manifest, &missing));
    }
    let merged = start(&args.out, &manifest)?;
    for (run, folder) in found {
        // Read again, rather than all held.
        let record = record(folder, &manifest, run)?;
        if let (Some(record), false) = (record, is_same(folder, &args.out)) {
            store(&args.out, &merged, run, &record)?;
        }
    }
    let sheets = finish(&args.out, &merged)?.map_err(|missing| refuse_missing(&merged, &missing))?;
    if args.quiet {
        return Ok(());
    }
    let (runs, shards) = (manifest.runs().count(), args.folders.len());
    let table = table(&sheets, &merged);
    print(&format!("{table}\n{runs} runs of {shards} folders\nResults are in {}\n", args.out.display()))
}

/// The manifest of all of `folders`, which have to be of one sweep.
fn manifest(folders: &[PathBuf]) -> Result<Manifest, Failure> {
    let mut first: Option<Manifest> = None;
    for folder in folders {
        let found = read_manifest(folder).map_err(|unusable: Unusable| unusable.failure())?;
        let Some(manifest) = found else {
            let message = format!(
                "error: {} holds no results of a sweep (there is no {MANIFEST_FILE} in it)\n  \
                 name the folder that `qnetsim run FILE --shard I/N --out DIR` wrote: DIR/NAME",
                folder.display()
            );
            return Err(Failure { code: Failure::INPUT_OUTPUT, message });
        };
        match &first {
            Some(first) if !first.is_same_sweep(&manifest) => {
                let message = format!(
                    "error: {} and {} are not of the same sweep: {}\n  make all shards by the same scenario and version",
                    folders[0].display(),
                    folder.display(),
                    difference(first, &manifest)
                );
                return Err(Failure { code: Failure::BAD_SCENARIO, message });
            }
            Some(_) => {}
            None => first = Some(manifest),
        }
    }
    // The arguments name at least one.
    first.ok_or_else(|| Failure { code: Failure::BAD_SCENARIO, message: "error: name at least one folder".to_owned() })
}

/// In what two sweeps differ.
fn difference(one: &Manifest, other: &Manifest) -> String {
    if one.sweep != other.sweep {
        format!("they are called {} and {}", one.sweep, other.sweep)
    } else if one.version != other.version {
        format!("versions {} and {} made them", one.version, other.version)
    } else if one.seeds != other.seeds {
        "they have other seeds".to_owned()
    } else {
        "they have other combinations".to_owned()
    }
}

/// The folder that has `run`; refuses records that differ, and those that cannot be used.
fn place<'f>(folders: &'f [PathBuf], manifest: &Manifest, run: RunId) -> Result<Option<&'f Path>, Failure> {
    let mut found: Option<(&Path, Record)> = None;
    for folder in folders {
        let Some(record) = record(folder, manifest, run)? else { continue };
        match &found {
            Some((other, earlier)) if *earlier != record => {
                let message = format!(
                    "error: {} and {} have other results of the same run: {}\n  one of them is not what this version \
                     gives: remove runs/{}.json there, and run that shard again",
                    other.display(),
                    folder.display(),
                    manifest.told(run),
                    manifest.key(run)
                );
                return Err(Failure { code: Failure::INPUT_OUTPUT, message });
            }
            Some(_) => {}
            None => found = Some((folder, record)),
        }
    }
    Ok(found.map(|(folder, _)| folder))
}

fn record(folder: &Path, manifest: &Manifest, run: RunId) -> Result<Option<Record>, Failure> {
    read_record(folder, manifest, run).map_err(|unusable| {
        let failure = unusable.failure();
        let message = format!("{}\n  remove it, and run that shard again", failure.message);
        Failure { message, ..failure }
    })
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn refuse_missing(manifest: &Manifest, missing: &[RunId]) -> Failure {
    let all: Vec<RunId> = manifest.runs().collect();
    let line = |run: &RunId| {
        let number = all.iter().position(|other| other == run).map_or(0, |index| index + 1);
        format!("  run {number}: {}\n", manifest.told(*run))
    };
    let mut message =
        format!("error: {} of the {} runs of the sweep are missing, so nothing is written\n", missing.len(), all.len());
    missing.iter().take(MISSING_SHOWN).for_each(|run| message += &line(run));
    if missing.len() > MISSING_SHOWN {
        message += &format!("  ... and {} more\n", missing.len() - MISSING_SHOWN);
    }
    message += &format!(
        "run the shards that have them: shard I of N makes runs I, I + N, ...:\n  {} --shard I/N",
        manifest.command
    );
    Failure { code: Failure::BAD_SCENARIO, message }
}
