//! `qnetsim registry bench`: registries of several sizes, each measured in a process of its own, and larger ones projected.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::place::Place;
use super::{EngineArgs, print};
use crate::claims::evidence::MachineFigure as Figure;
use crate::cli::Failure;
use crate::cli::machine::machine;
use crate::registry::disk::Engine;
use crate::report::{check_writable, write_results};
use crate::scenario;

mod crash;
mod point;
mod project;
#[cfg(feature = "postgres")]
mod server;
mod writes;

/// Arguments of `qnetsim registry bench`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    /// Sizes to measure, parted by commas. The largest is measured at an eighth, a quarter and a half as well, but not
    /// above 1M, so that a model can be fitted.
    #[arg(long, value_name = "SIZES", value_parser = scenario::count, value_delimiter = ',', default_value = "1M")]
    users: Vec<u64>,
    /// Folder for the registries, which are removed again, and for the results; or the URL of a server in a build with the
    /// feature `postgres`: postgres://USER@HOST/DATABASE, with the password in PGPASSWORD.
    #[arg(long, value_name = "DIR", default_value = DIR)]
    db: PathBuf,
    /// Folder for the results. Default: that of the registries; `registry-bench` if they are on a server.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Seed of the generated users.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Measure reads from the disk as well: empties the system's page cache before (/proc/sys/vm/drop_caches, as root).
    #[arg(long)]
    drop_caches: bool,
    /// Measure one size and print its figures as JSON; what the command runs for each.
    #[arg(long, hide = true, value_name = "VARIANT")]
    point: Option<String>,
    /// Take shorter timings.
    #[arg(long, hide = true)]
    brief: bool,
}

impl BenchArgs {
    /// What `qnetsim claims` measures: a registry of `users` in `db`, with timings that are shorter if `brief`.
    pub(in crate::cli) fn of_claims(users: u64, db: PathBuf, brief: bool) -> Self {
        BenchArgs {
            users: vec![users],
            db,
            out: None,
            engine: EngineArgs::default(),
            seed: 1,
            drop_caches: false,
            point: None,
            brief,
        }
    }

    /// Whether the registries are on a server.
    fn is_on_server(&self) -> bool {
        matches!(Place::of(&self.db), Place::Server(_))
    }

    /// Where the results go.
    fn out(&self) -> &Path {
        match &self.out {
            Some(out) => out,
            None if self.is_on_server() => Path::new(DIR),
            None => &self.db,
        }
    }

    /// The command line that measures the same, wherever the registries are made.
    fn command(&self) -> String {
        let users: Vec<_> = self.users.iter().map(u64::to_string).collect();
        let mut command = format!("qnetsim registry bench --users {}", users.join(","));
        if self.is_on_server() {
            // Who reads the results need not know where it is.
            command += " --db postgres://...";
        }
        if self.engine.engine != Engine::default() {
            command += &format!(" --engine {}", self.engine.engine);
        }
        if self.seed != 1 {
            command += &format!(" --seed {}", self.seed);
        }
        if self.drop_caches {
            command += " --drop-caches";
        }
        command
    }
}

/// Where results go that nobody wants elsewhere.
const DIR: &str = "registry-bench";
/// What a size is called that is measured on a server.
const SERVER: &str = "server";
/// Endorsements of each user.
const ENDORSEMENTS: u32 = 5;

/// The figures of one size and variant.
struct Sheet {
    users: u64,
    variant: String,
    figures: Vec<Figure>,
}

impl Sheet {
    fn add(&mut self, claim: &str, figure: &str, part: &str, value: f64, unit: &str) {
        let own = |text: &str| text.to_owned();
        self.figures.push(Figure {
            claim: own(claim),
            users: self.users,
            variant: self.variant.clone(),
            figure: own(figure),
            part: own(part),
            value,
            unit: own(unit),
            how: own("measured"),
        });
    }
}

/// What is measured at one size only, beside the layout that is the default.
const VARIANTS: [&str; 5] = ["uncompressed", "documented", "documented-uncompressed", "no-bloom", "memory"];
/// The most users of those: they are compared with each other, and one of them is in memory.
const VARIANT_USERS: u64 = 250_000;
/// As many as a brief measurement takes.
const VARIANT_USERS_BRIEF: u64 = 25_000;

pub(super) fn bench(args: &BenchArgs) -> Result<(), Failure> {
    if let Some(variant) = &args.point {
        if crash::is_variant(variant) {
            return crash::register_until_killed(args, variant);
        }
        let figures = point::measure(args, variant)?;
        return print(&serde_json::to_string(&figures).expect("figures are JSON"));
    }
    #[cfg(not(feature = "postgres"))]
    if args.is_on_server() {
        return Err(super::place::not_built());
    }
    if args.is_on_server() && args.drop_caches {
        let message =
            "error: --drop-caches empties the page cache of this machine, and not that of a server".to_owned();
        return Err(Failure { code: Failure::BAD_SCENARIO, message });
    }
    check_writable(args.out()).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    let sizes = sizes(&args.users)?;
    let figures = figures(args, &mut |_| ())?;
    let tables = format!(
        "$ {}\n\nqnetsim {}, {}, {}\n\n{}",
        args.command(),
        env!("CARGO_PKG_VERSION"),
        if args.is_on_server() { "a server".to_owned() } else { format!("engine {}", args.engine.engine) },
        machine(),
        project::tables(&figures, &sizes)
    );
    let files = [
        ("registry-bench.csv", csv_of(&figures)),
        ("registry-bench.json", serde_json::to_vec_pretty(&figures).expect("figures are JSON")),
        ("service-times.csv", project::service_times(&figures, &sizes, args.engine.engine).into_bytes()),
        ("tables.txt", tables.clone().into_bytes()),
    ];
    write_results(args.out(), &files).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    print(&format!("{tables}\nResults are in {}\n", args.out().display()))
}

/// Everything that is measured and projected; `begin` is told of each measurement before it is made.
pub(in crate::cli) fn figures(args: &BenchArgs, begin: &mut dyn FnMut(&str)) -> Result<Vec<Figure>, Failure> {
    let sizes = sizes(&args.users)?;
    let mut figures = Vec::new();
    for &users in &sizes {
        begin(&format!("{users} users"));
        figures.extend(child(args, users, if args.is_on_server() { SERVER } else { "compact" })?);
    }
    if args.is_on_server() {
        figures.extend(project::project(&figures, &sizes));
        begin("kill -9");
        figures.extend(crash::measure(args)?);
        return Ok(figures);
    }
    let most = if args.brief { VARIANT_USERS_BRIEF } else { VARIANT_USERS };
    let compared = sizes.iter().copied().filter(|&users| users <= most).max().unwrap_or(sizes[0]);
    for variant in VARIANTS {
        begin(&format!("{compared} users, {variant}"));
        figures.extend(child(args, compared, variant)?);
    }
    figures.extend(project::compression(&figures));
    figures.extend(project::project(&figures, &sizes));
    begin("kill -9");
    figures.extend(crash::measure(args)?);
    Ok(figures)
}

/// The sizes to measure: at least four, in order.
fn sizes(wanted: &[u64]) -> Result<Vec<u64>, Failure> {
    let largest = wanted.iter().copied().max().unwrap_or_default();
    if wanted.iter().any(|&users| users < 1_000) {
        let message = "error: --users: a size is 1000 users at least".to_owned();
        return Err(Failure { code: Failure::BAD_SCENARIO, message });
    }
    let base = largest.min(1_000_000);
    let mut sizes: Vec<u64> = wanted.iter().copied().chain([base / 8, base / 4, base / 2, base]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

/// Measures one size in a process of its own, whose memory is nobody else's.
fn child(args: &BenchArgs, users: u64, variant: &str) -> Result<Vec<Figure>, Failure> {
    let failed =
        |what: String| Failure { code: Failure::INPUT_OUTPUT, message: format!("error: cannot measure: {what}") };
    let mut command = child_command(args, users, variant)?;
    let output = command.stderr(std::process::Stdio::inherit()).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("{users} users, {variant}")));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// The command that measures one size.
fn child_command(args: &BenchArgs, users: u64, variant: &str) -> Result<Command, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    let mut command = Command::new(own);
    command.args(["registry", "bench", "--point", variant]);
    command.args(["--users", &users.to_string(), "--seed", &args.seed.to_string()]);
    command.args(["--engine", args.engine.engine.name()]);
    command.arg("--db").arg(&args.db);
    if args.drop_caches {
        command.arg("--drop-caches");
    }
    if args.brief {
        command.arg("--brief");
    }
    Ok(command)
}

fn csv_of(figures: &[Figure]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    figures.iter().for_each(|figure| writer.serialize(figure).expect("figures are CSV"));
    writer.into_inner().expect("a CSV in memory cannot fail")
}

/// Where a registry is made.
fn folder(db: &Path, users: u64, variant: &str) -> PathBuf {
    db.join(format!("registry-{users}-{variant}"))
}
