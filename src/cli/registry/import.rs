//! `qnetsim registry import`: users and endorsements to a registry, with a bar for each step.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

#[cfg(feature = "postgres")]
use super::place::server_options;
use super::place::{Place, with_registry};
use super::{EngineArgs, of_disk, of_import, print};
use crate::cli::Failure;
use crate::metrics::peak_memory;
use crate::registry::Layout;
use crate::registry::disk::{DiskError, DiskOptions, Engine};
use crate::registry::import::files::Files;
use crate::registry::import::source::Source;
use crate::registry::import::{ImportOptions, Imported, Step, import as run_import};
use crate::registry::migrate::Registry;
use crate::registry::population::{ENDORSEMENTS_PER_USER, Population};
#[cfg(feature = "postgres")]
use crate::registry::server::import_to;
use crate::scenario;

/// Arguments of `qnetsim registry import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// Folder of the registry, which does not exist yet; or the URL of a server in a build with the feature `postgres`,
    /// which has none yet: postgres://USER@HOST/DATABASE, with the password in PGPASSWORD.
    #[arg(long, value_name = "PATH")]
    db: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
    /// Files with users and endorsements (*.csv, *.jsonl).
    #[arg(value_name = "FILE", required_unless_present_any = ["generate", "from"])]
    files: Vec<PathBuf>,
    /// Generate so many users instead, e.g. 1M.
    #[arg(long, value_name = "USERS", value_parser = scenario::count, conflicts_with_all = ["files", "from"])]
    generate: Option<u64>,
    /// Seed of the generated users.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Endorsements of each generated user.
    #[arg(long, value_name = "N", default_value_t = ENDORSEMENTS_PER_USER)]
    endorsements: u32,
    /// Take all of another registry instead, whatever engine or server keeps it: to change its layout or its engine, or to leave out
    /// what was deleted.
    #[arg(long, value_name = "PATH", conflicts_with = "files")]
    from: Option<PathBuf>,
    /// Layout of the registry in its folder: compact, or documented.
    #[arg(long, default_value = "compact")]
    layout: Layout,
    /// Endorsements that make a user verified.
    #[arg(long, value_name = "N", default_value_t = crate::registry::record::ENDORSEMENTS_TO_VERIFY)]
    enough: u32,
    /// Memory for hashes and sorting, such as 512MiB or 2GB.
    #[arg(long, value_name = "BYTES", value_parser = scenario::size, default_value = "1GiB")]
    memory: u64,
    /// Show neither progress nor a summary.
    #[arg(long, short)]
    quiet: bool,
}

/// A bar that begins anew with each step.
pub(super) struct StepBar {
    bar: ProgressBar,
    step: Option<Step>,
}

impl StepBar {
    pub(super) fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        StepBar { bar: ProgressBar::with_draw_target(None, target), step: None }
    }

    pub(super) fn show(&mut self, step: Step, done: u64, of: Option<u64>) {
        if self.step.replace(step) != Some(step) {
            let template = match of {
                Some(_) => "{prefix} [{bar:20}] {human_pos} of {human_len}, {per_sec}, {eta} left",
                None => "{prefix} {spinner} {human_pos}, {per_sec}, {elapsed}",
            };
            let style = ProgressStyle::with_template(template).expect("the template is well-formed");
            self.bar.set_style(style.progress_chars("=> "));
            self.bar.set_prefix(match step {
                Step::Users => "reading users",
                Step::Endorsements => "sorting endorsements",
                Step::Records => "writing users",
                Step::Indexes => "writing indexes",
                Step::Check => "reading back",
            });
            self.bar.reset();
        }
        if let Some(of) = of {
            self.bar.set_length(of);
        }
        self.bar.set_position(done);
    }
}

impl Drop for StepBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Imports what `args` name.
pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
    match (&args.generate, &args.from) {
        (Some(users), _) => from_source(args, &Population::new(args.seed, *users, args.endorsements)),
        (None, Some(path)) => {
            let from = Place::of(path);
            let engine = match from {
                Place::Folder(path) => Engine::at(path).map_err(|error| of_disk(&DiskError::Io(path.into(), error)))?,
                Place::Server(_) => None,
            };
            with_registry!(from.open(engine.unwrap_or_default(), false)?, registry => {
                from_source(args, &Registry::new(&registry))
            })
        }
        (None, None) => from_source(args, &Files::open(&args.files).map_err(|error| of_import(&error.into()))?),
    }
}

fn from_source(args: &ImportArgs, source: &impl Source) -> Result<(), Failure> {
    let store = DiskOptions { engine: args.engine.engine, ..DiskOptions::default() };
    let options = ImportOptions { layout: args.layout, enough: args.enough, memory: args.memory, store };
    #[allow(clippy::disallowed_methods, reason = "how long an import takes is told beside it")]
    let start = Instant::now();
    let mut bar = StepBar::new(args.quiet);
    let mut on_progress = |step, done, of| bar.show(step, done, of);
    let imported = match Place::of(&args.db) {
        Place::Folder(path) => run_import(path, source, &options, &mut on_progress).map_err(|error| of_import(&error)),
        #[cfg(feature = "postgres")]
        Place::Server(url) => {
            let to = server_options(url, args.engine.engine)?;
            import_to(&to, source, &options, &mut on_progress).map_err(|error| of_import(&error))
        }
        #[cfg(not(feature = "postgres"))]
        Place::Server(_) => Err(super::place::not_built()),
    };
    drop(bar);
    let imported = imported?;
    if args.quiet { Ok(()) } else { print(&summary(args, &imported, start.elapsed().as_secs_f64())) }
}

fn summary(args: &ImportArgs, imported: &Imported, seconds: f64) -> String {
    let Imported { users, verified, endorsements, resumed, .. } = imported;
    let records = users + endorsements;
    let rate = if records == 0 { 0.0 } else { seconds * 1e6 / records as f64 };
    let resumed =
        if *resumed > 0 { format!("{resumed} endorsements had been sorted before.\n") } else { String::new() };
    let place = Place::of(&args.db);
    let checked = match place {
        Place::Folder(_) => "Read back: number and checksum of every family agree.",
        Place::Server(_) => "Counted there: the number of rows of every table agrees.",
    };
    let place = place.name();
    format!(
        "Imported {users} users, {verified} of them verified, and {endorsements} endorsements to {place}.\n\
         It took {seconds:.1} s ({rate:.2} us a record); peak memory {:.0} MB.\n{resumed}{checked}\n",
        peak_memory() as f64 / 1e6
    )
}
