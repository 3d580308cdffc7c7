//! The command line: arguments in, exit code out.

mod check;
mod claims;
mod compare;
mod divergence;
mod explain;
mod interrupts;
mod keeping;
mod machine;
mod merge;
mod new;
mod plan;
mod plot;
mod progress;
mod ranks;
mod registry;
mod report;
mod resume;
mod run;
mod space;
mod steps;
mod sweep;
mod text;
mod trace;
mod watch;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::scenario::codes;
use text::Colour;

/// Deterministic simulation of overlay networks of a million nodes and more.
///
/// Runs what real nodes would run (heartbeats, digests, gossip) in a discrete-event engine, and reports messages,
/// bandwidth and delays, beside the numbers that design documents claim. The same scenario and seed give the same
/// bytes in every result file, whatever the number of threads.
#[derive(Debug, Parser)]
#[command(name = "qnetsim", version, after_help = EXIT_CODES)]
struct Cli {
    /// When to use colour; auto is on a terminal, unless the variable NO_COLOR is set.
    #[arg(long, value_enum, global = true, value_name = "WHEN", default_value_t = Colour::Auto)]
    color: Colour,

    #[command(flatten)]
    watch: watch::WatchArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What is said to somebody who gives no argument.
const FIRST_STEPS: &str = "\
qnetsim simulates overlay networks of a million nodes and more. Try:

  qnetsim new liveness           write a scenario to start from
  qnetsim run liveness.toml      simulate it: tables here, files in results/
  qnetsim plan liveness.toml     what that takes: events, memory, disk, time
  qnetsim explain network.loss   what a key of a scenario, or a code, means
  qnetsim --help                 all commands
";

const EXIT_CODES: &str = "Exit codes: 0 ok; 2 bad scenario or arguments; 3 will not fit in memory or on the disk; \
    4 a file cannot be read or written; 70 internal error; 98 results are not as accepted; 99 a threshold failed; \
    130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate scenarios and write their results.
    ///
    /// Tables go to standard output, progress to standard error, files to DIR/NAME/ (the scenario's name): messages.csv,
    /// bandwidth.csv, timeline.csv, latency.csv, detection.csv, population.csv, drops.csv, metrics.csv, tables.txt,
    /// summary.json and scenario.toml (the effective scenario); links.csv if there are regions, figures.csv and curves.csv if
    /// mechanisms have any, thresholds.csv if the scenario has some, notes.csv if documented figures need a word, and
    /// network-load.svg if there are two sizes or more. Files are written whole or not at all.
    ///
    /// A scenario with a table `sweep` is run once for every combination of the values of its axes, with every seed. Runs of
    /// which as many as there are threads fit into 90 % of the available memory, by the plan, run side by side on a thread
    /// each; larger ones run alone, on all threads. DIR/NAME/ gets sweep.json, a file in runs/ for every finished run, and
    /// when all are there sweep.csv, sweep-means.csv (95 % confidence intervals over seeds) and tables.txt. What is finished
    /// is not run again, so a sweep that was interrupted goes on.
    ///
    /// An interrupt makes a run without a sweep and without a trace write a checkpoint, from which `qnetsim resume` goes on,
    /// and what it found so far, marked as partial, into DIR/NAME/partial/; a second one ends it at once.
    ///
    /// Launched as several processes by MPI (`mpirun -n R qnetsim run FILE`), a build with the feature `mpi` runs each point in
    /// all of them together, with the same results, which the first one writes. A process then has one thread unless --threads
    /// says otherwise. Each writes its part of a checkpoint, so DIR must be a folder that all of them share. An interrupt of one,
    /// or what the launcher makes of its own, stops all. Traces and sweeps are refused; shards of a sweep run on their own,
    /// whoever launches them.
    #[command(after_help = format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Run(RunArgs),
    /// Go on with a run that was interrupted or killed.
    ///
    /// A run leaves a checkpoint in DIR/checkpoint/ when it is interrupted (once: within two seconds, with what it found so
    /// far in DIR/partial/; a second interrupt ends it at once), and from time to time with `run --checkpoint-every`. Points
    /// that were done are not run again; the one under way goes on where it stood, on any number of threads. Results have
    /// the bytes that a run without interruption gives, but for how long it took. When they are written the checkpoint is
    /// removed.
    ///
    /// Launched as several processes by MPI, a build with the feature `mpi` goes on in all of them together, with what any
    /// number of processes left. All must find DIR: it has the parts that each of those wrote.
    ///
    /// A checkpoint can be used by the program that wrote it, for the scenario that it is of. One that is torn, damaged or
    /// foreign is refused, and the exit code is 4.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", resume::RESUME_EXAMPLES))]
    Resume(resume::ResumeArgs),
    /// Combine the shards of a sweep.
    ///
    /// Every DIR is the folder of a sweep's results, as `run --shard` wrote it. What is combined has the bytes that one run
    /// of the whole sweep gives. Runs that no shard has are named, and nothing is written then.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", merge::MERGE_EXAMPLES))]
    Merge(merge::MergeArgs),
    /// Compare two results, or two scenarios: what moved, and by how much.
    ///
    /// A and B are folders of results, of runs or of sweeps; or scenario files, which are then run with the same seeds. Points
    /// are paired by the values of axes, approach and nodes, runs by seed. What moved stands there with both means, the
    /// absolute and the relative difference, and, from two seeds on, the 95 % confidence interval of the mean of the paired
    /// differences; `beyond` says whether that leaves out zero. Sorted by effect: what is beyond its interval first, then by
    /// the relative difference. What did not move is only counted; what one side alone has is listed.
    ///
    /// The exit code is 0 whatever moved, 2 where nothing can be compared, 4 where results cannot be read.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", compare::COMPARE_EXAMPLES))]
    Compare(compare::CompareArgs),
    /// Find the first event in which two runs of a scenario differ, and what led to it.
    ///
    /// A and B are traces that `run --trace` wrote, by two builds or with two settings, CSV or lines of JSON; or `--run` makes
    /// them. Says which event comes first that one run has and the other has not, and its chain of causes in both: a message
    /// was sent because of what its sender handled at that moment, and so on back to the start. Traces are read a line at a
    /// time, once for every cause. A trace that was sampled has no causes that are not in the sample; one that was cut says
    /// nothing of what follows.
    ///
    /// The exit code is 0 where the traces are the same, 98 where they are not, 4 where one cannot be read.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", divergence::DIVERGENCE_EXAMPLES))]
    BisectDivergence(divergence::DivergenceArgs),
    /// Predict what scenarios take: events, memory, disk, time; before anything is allocated.
    ///
    /// Events, memory and disk follow from the scenario; on the project's scenarios events are within 30 % and peak memory
    /// within 15 % of what runs take. Time is an estimate: it is carried on from two small runs of each approach, a second
    /// or two in all. `run` refuses what will not fit by the same figures.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", plan::PLAN_EXAMPLES))]
    Plan(plan::PlanArgs),
    /// Run scenarios and compare them with what was accepted before.
    ///
    /// The baseline of a scenario holds its message counts and bytes in total and over time, the digest of all that was
    /// delivered, and the metrics that its table `tolerance` names. They must be the same, but for tolerances; with any
    /// tolerance above zero the digest is not compared. The thresholds of the table `thresholds` must be kept. Where
    /// results differ from the baseline, the exit code is 98; where only thresholds fail, 99; where a scenario cannot be
    /// checked, what `run` would say.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", check::CHECK_EXAMPLES))]
    Check(check::CheckArgs),
    /// Run scenarios, show what differs from their baselines, and write the baselines anew.
    ///
    /// Asks before it writes. Baselines belong into version control, where they are reviewed as code is; so nothing is
    /// accepted where the variable CI is set.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", check::ACCEPT_EXAMPLES))]
    Accept(check::AcceptArgs),
    /// Hold what the documents claim against what runs give.
    ///
    /// Makes the runs that the chosen claims need, each once (progress on standard error), and gives for each claim: what
    /// the document says, the documented number, the number that the document's own parameters imply, what was measured
    /// with the 95 % confidence interval over seeds, their ratio, how it was obtained, the verdict, and a sentence.
    ///
    /// Verdicts: holds; holds under stated conditions (some parts hold, or the run was smaller); off by a factor
    /// (measured by documented); contradicted; not a measurable claim. Rules decide, part by part: JSON and CSV name
    /// them. A claim whose run failed is shown with the reason, has no verdict, and makes the exit code 70.
    ///
    /// Obtained: event, every message was an event; counted, broadcasts or ids were counted as a whole; measured, by the
    /// clocks and disks of this machine; projected, by a law or model that was fitted to smaller sizes. Simulated numbers
    /// are the same on every machine; what is of this machine stands in columns of its own.
    ///
    /// Growth is fitted over at least five sizes, as an exponent with its 95 % confidence interval and as the best of
    /// O(1), O(log n), O(n), O(n log n), O(n^2). Break-even sizes (QN-55) are searched by runs, to within 2 %.
    #[command(after_help = format!("{}\n\n{}", claims::CLAIMS_EXAMPLES, claims::CLAIMS_EXIT_CODES))]
    Claims(claims::ClaimsArgs),
    /// Draw charts from the files of a result.
    ///
    /// Lines differ by colour, marker and dash; colours are told apart by everybody. Text can be read at half the width of
    /// a page. Prints the names of the files.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", plot::PLOT_EXAMPLES))]
    Plot(plot::PlotArgs),
    /// Make one page of results, for a browser without a network.
    ///
    /// The page has what made each result (command, version, seed, hash, effective configuration), what to be aware of,
    /// verdicts of thresholds and claims, charts with tooltips, and tables that can be sorted. It asks for nothing outside
    /// of itself, prints well, and is the same bytes for the same results.
    #[command(after_help = format!("{}\n\n{EXIT_CODES}", report::REPORT_EXAMPLES))]
    Report(report::ReportArgs),
    /// Keep a registry of users on disk: import, register, endorse, look up, check, measure.
    ///
    /// A registry is a folder. Whoever is registered has a key and the hash of a government id, which nobody else has, and
    /// is verified by five endorsements. One process at a time opens a registry.
    #[command(subcommand, after_help = EXIT_CODES)]
    Registry(registry::RegistryCommand),
    /// Write a scenario to start from, or list the topics there are.
    #[command(after_help = new::NEW_EXAMPLES)]
    New(new::NewArgs),
    /// Tell what the code of an error or a key of a scenario means.
    #[command(after_help = explain::EXPLAIN_EXAMPLES)]
    Explain(explain::ExplainArgs),
    /// Print the JSON Schema of scenarios, for editors.
    ///
    /// A scenario whose first line is `#:schema schema.json` is checked against that file by editors with taplo or Even
    /// Better TOML as it is written.
    Schema,
    /// Print what stands in every file and column of results, as in results/README.md.
    Dictionary,
    /// Print the completions for a shell.
    Completions(explain::CompletionsArgs),
    /// Print the manual page.
    Man,
}

const RUN_EXAMPLES: &str = "Examples:
  qnetsim run scenarios/quickstart.toml
  qnetsim run scenarios/network-load.toml --set nodes=100K --set approaches=hierarchical
  qnetsim run scenarios/tiers-1m.toml --seed 7 --threads 1 --out /tmp/results
  qnetsim run scenarios/quickstart.toml --format json | jq .deterministic.points[0]
  qnetsim run scenarios/sweep.toml --list
  qnetsim run scenarios/sweep.toml --shard 1/4 --out /tmp/shard-1";

/// Arguments of `qnetsim run`.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Scenario files (TOML).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Folder for the results; each scenario gets a folder of its name in it.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,

    /// Seed of all randomness, instead of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Threads to use; all cores if not given, one in each of several processes. Changes no result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Parts that nodes are dealt out to, each handled by one thread at a time: a power of two up to 1024, chosen by the number
    /// of threads if not given. Changes no result.
    #[arg(long = "partitions", value_name = "N", value_parser = run::partitions_log2)]
    partitions_log2: Option<u32>,

    /// Set a key of the scenario, e.g. nodes=10K, network.loss=0.01, 'approaches=["ping"]'. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// List the points with their seeds and the memory that they will take, and run nothing.
    #[arg(long)]
    list: bool,

    /// Of a sweep, make only the runs number I, I + N, I + 2N, and so on; `qnetsim merge` combines the shards.
    #[arg(long, value_name = "I/N")]
    shard: Option<sweep::Shard>,

    /// Show neither progress nor tables.
    #[arg(long, short)]
    quiet: bool,

    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,

    #[command(flatten)]
    trace: trace::TraceArgs,

    /// Write a checkpoint after every SPAN of wall time, such as 60s, from which `qnetsim resume` goes on if the process is
    /// killed; less often where writing takes more than 3 % of the time. Not with --trace.
    #[arg(long, value_name = "SPAN")]
    checkpoint_every: Option<keeping::Every>,
}

/// What `run` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables.
    Human,
    /// The summary of each scenario, as in summary.json.
    Json,
}

/// Why a command failed, with its exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    const BAD_SCENARIO: u8 = 2;
    const WILL_NOT_FIT: u8 = 3;
    const INPUT_OUTPUT: u8 = 4;
    const INTERNAL: u8 = 70;
    const DIFFERS: u8 = 98;
    const THRESHOLD: u8 = 99;
    const INTERRUPTED: u8 = 130;

    /// A failure that says `error` and its causes, each once.
    fn of(code: u8, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let message = causes.fold(format!("error: {error}"), |text, cause| {
            let cause = cause.to_string();
            if text.contains(&cause) { text } else { format!("{text}: {cause}") }
        });
        Failure { code, message }
    }
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let colour = Colour::in_arguments(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()));
    let matches = Cli::command().color(colour).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.color.choose();
    let Some(command) = &cli.command else {
        // Nothing was done, as with any arguments that say too little.
        let _ = io::stderr().write_all(FIRST_STEPS.as_bytes());
        return ExitCode::from(Failure::BAD_SCENARIO);
    };
    interrupts::install(ranks::is_one_of_several(command));
    let name = matches.subcommand_name().unwrap_or_default();
    // Of several processes that run together, one tells how far they are.
    let is_told = !ranks::is_follower(command);
    let failure = match is_told.then(|| cli.watch.start(name)) {
        Some(Err(failure)) => Some(failure),
        _ => failure_of(command),
    };
    ExitCode::from(tell(failure))
}

/// Ends the process, as [`main`] does when a command has ended.
fn leave(failure: Option<Failure>) {
    std::process::exit(tell(failure).into());
}

/// Says how the command ended, and returns its exit code.
fn tell(failure: Option<Failure>) -> u8 {
    let mut code = failure.as_ref().map_or(0, |failure| failure.code);
    // What another process of several has said is not said again.
    let failures = failure.into_iter().chain(watch::finish(code)).filter(|failure| !failure.message.is_empty());
    for failure in failures {
        // Nothing is left to be done if standard error is gone.
        let _ = writeln!(io::stderr(), "{}", with_code(&failure));
        if code == 0 {
            code = failure.code;
        }
    }
    code
}

/// Does what `command` asks for, and returns why it failed if it did.
fn failure_of(command: &Command) -> Option<Failure> {
    let is_shared = ranks::is_one_of_several(command);
    let result = catch_unwind(AssertUnwindSafe(|| match command {
        #[cfg(not(feature = "mpi"))]
        Command::Run(_) | Command::Resume(_) if is_shared => ranks::refuse(),
        #[cfg(feature = "mpi")]
        Command::Run(args) if is_shared => ranks::run(args),
        #[cfg(feature = "mpi")]
        Command::Resume(args) if is_shared => ranks::resume(args),
        Command::Run(args) => run::run(args),
        Command::Resume(args) => resume::resume(args),
        Command::Merge(args) => merge::merge(args),
        Command::Compare(args) => compare::compare(args),
        Command::BisectDivergence(args) => divergence::bisect(args),
        Command::Plan(args) => plan::plan(args),
        Command::Check(args) => check::check(args),
        Command::Accept(args) => check::accept(args),
        Command::Claims(args) => claims::answer(args),
        Command::Plot(args) => plot::plot(args),
        Command::Report(args) => report::report(args),
        Command::Registry(command) => registry::run(command),
        Command::New(args) => new::new(args),
        Command::Explain(args) => explain::explain(args),
        Command::Schema => explain::schema(),
        Command::Dictionary => print(&crate::report::dictionary()),
        Command::Completions(args) => explain::completions(args),
        Command::Man => explain::man(),
    }));
    match result {
        Ok(done) => done.err(),
        Err(_) => Some(Failure {
            code: Failure::INTERNAL,
            message: "error: internal error, a bug in qnetsim; this scenario has no new results. Please report the \
                      lines above with the scenario and the command."
                .to_owned(),
        }),
    }
}

/// The message of `failure`, with the code of its kind where an error has none of its own.
fn with_code(failure: &Failure) -> String {
    let message = failure.message.trim_end();
    let Some(code) = codes::of_exit_code(failure.code) else { return message.to_owned() };
    let line = |line: &str| match line.strip_prefix("error: ") {
        Some(rest) => format!("error[{code}]: {rest}"),
        None => line.to_owned(),
    };
    message.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(text: &str) -> Result<(), Failure> {
    write_out(text.as_bytes()).map(drop)
}

/// Writes to standard output. False if nobody reads any more.
fn write_out(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure {
            code: Failure::INPUT_OUTPUT,
            message: format!("error: cannot write to standard output: {error}"),
        }),
    }
}
