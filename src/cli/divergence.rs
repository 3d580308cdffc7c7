//! `qnetsim bisect-divergence`: the first event in which two runs of a scenario differ, and its causes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Failure, print};
use crate::engine::trace::Tracing;
use crate::results::{Divergence, TraceError, TraceEvent, causes, diverge};

pub(super) const DIVERGENCE_EXAMPLES: &str = "Examples:
  qnetsim run a.toml --threads 1 --trace one.csv --trace-max 10000000
  qnetsim run a.toml --threads 2 --trace two.csv --trace-max 10000000
  qnetsim bisect-divergence one.csv two.csv

  qnetsim bisect-divergence --run a.toml --threads-a 1 --threads-b 8
  qnetsim bisect-divergence --run a.toml --program-a old/qnetsim --program-b new/qnetsim
  qnetsim bisect-divergence --run a.toml --set-b network.loss=0.02";

/// How many times as many events are traced where those so far were the same.
const GROWTH: u64 = 10;

/// Arguments of `qnetsim bisect-divergence`.
#[derive(Debug, clap::Args)]
pub(super) struct DivergenceArgs {
    /// The trace of a run, as `run --trace` writes it.
    #[arg(value_name = "A", required_unless_present = "run", requires = "b", conflicts_with = "run")]
    a: Option<PathBuf>,

    /// The trace of another run of the same scenario.
    #[arg(value_name = "B")]
    b: Option<PathBuf>,

    /// Run this scenario twice instead, tracing more and more of it until the runs part or nothing is left out.
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,

    /// The program of run A; this one if not given.
    #[arg(long, value_name = "PROGRAM", requires = "run")]
    program_a: Option<PathBuf>,

    /// The program of run B; this one if not given.
    #[arg(long, value_name = "PROGRAM", requires = "run")]
    program_b: Option<PathBuf>,

    /// Threads of run A.
    #[arg(long, value_name = "N", requires = "run", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads_a: u16,

    /// Threads of run B.
    #[arg(long, value_name = "N", requires = "run", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads_b: u16,

    /// Set a key of the scenario in run A. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", requires = "run")]
    set_a: Vec<String>,

    /// Set a key of the scenario in run B. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", requires = "run")]
    set_b: Vec<String>,

    /// Most causes that are told of each side.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=1000))]
    depth: u16,
}

/// Compares the runs that `args` name.
pub(super) fn bisect(args: &DivergenceArgs) -> Result<(), Failure> {
    if let Some(scenario) = &args.run {
        return bisect_runs(args, scenario);
    }
    let (Some(a), Some(b)) = (&args.a, &args.b) else {
        return Err(Failure { code: Failure::BAD_SCENARIO, message: "error: name two traces".to_owned() });
    };
    let found = diverge([a, b]).map_err(|error| failed(&error))?;
    tell(&found, [a, b], args.depth)
}

fn failed(error: &TraceError) -> Failure {
    Failure::of(Failure::INPUT_OUTPUT, error)
}

/// Runs `scenario` twice, with ten times as many events traced each time.
fn bisect_runs(args: &DivergenceArgs, scenario: &Path) -> Result<(), Failure> {
    let io = |error: &std::io::Error| Failure::of(Failure::INPUT_OUTPUT, error);
    let folder = tempfile::tempdir().map_err(|error| io(&error))?;
    let this = std::env::current_exe().map_err(|error| io(&error))?;
    let side = |program: &Option<PathBuf>| program.clone().unwrap_or_else(|| this.clone());
    let sides = [
        (side(&args.program_a), args.threads_a, &args.set_a, folder.path().join("a.csv")),
        (side(&args.program_b), args.threads_b, &args.set_b, folder.path().join("b.csv")),
    ];
    let mut most = Tracing::MAX_DEFAULT as u64;
    loop {
        for (program, threads, sets, trace) in &sides {
            let mut run = Command::new(program);
            run.arg("run").arg(scenario).args(["--quiet", "--threads", &threads.to_string(), "--out"]);
            run.arg(folder.path().join("results")).arg("--trace").arg(trace);
            run.args(["--trace-max", &most.to_string()]);
            run.args(sets.iter().flat_map(|set| ["--set", set]));
            let status = run.status().map_err(|error| Failure {
                code: Failure::INPUT_OUTPUT,
                message: format!("error: {} cannot be run: {error}", program.display()),
            })?;
            if !status.success() {
                // It has said why.
                let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(Failure::INTERNAL);
                return Err(Failure { code, message: format!("error: {} failed: {status}", program.display()) });
            }
        }
        let traces = [sides[0].3.as_path(), sides[1].3.as_path()];
        let found = diverge(traces).map_err(|error| failed(&error))?;
        let is_cut = match &found {
            Divergence::None { cut, .. } => *cut > 0,
            // Where one trace ends or is cut, the events that differ are behind it.
            Divergence::At { events, .. } => events.iter().flatten().any(TraceEvent::is_cut),
        };
        if !is_cut || most >= Tracing::MAX as u64 {
            return tell(&found, traces, args.depth);
        }
        most = (most * GROWTH).min(Tracing::MAX as u64);
    }
}

/// Says what was found.
fn tell(found: &Divergence, traces: [&Path; 2], depth: u16) -> Result<(), Failure> {
    let (same, events) = match found {
        Divergence::None { events, cut: 0 } => return print(&format!("The traces are the same: {events} events.\n")),
        Divergence::None { events, cut } => {
            return print(&format!(
                "All {events} events that were traced are the same; {cut} more were cut, so the runs may part later: \
                 trace them with --trace-max N, up to {}, or a sample of them with --trace-sample\n",
                Tracing::MAX
            ));
        }
        Divergence::At { same, events } => (same, events),
    };
    let mut text = match same {
        0 => "The traces differ from their first event on.\n".to_owned(),
        _ => format!("{same} events are the same. Then the traces part:\n"),
    };
    for (name, event) in ["A", "B"].into_iter().zip(events) {
        text += &match event {
            Some(event) => format!("  {name}  {}, {} nodes: {event}\n", event.approach, event.nodes),
            None => format!("  {name}  ends\n"),
        };
    }
    text += first_of(events);
    for ((name, event), trace) in ["A", "B"].into_iter().zip(events).zip(traces) {
        let Some(event) = event.as_ref().filter(|event| !event.is_cut()) else { continue };
        text += &format!("\nWhat led to it in {name}, the nearest first:\n  {event}\n");
        for step in causes(trace, event, usize::from(depth)).map_err(|error| failed(&error))? {
            text += &format!("    because  {step}\n");
        }
    }
    print(&text)?;
    Err(Failure { code: Failure::DIFFERS, message: "error: the runs are not the same".to_owned() })
}

/// Which of two events that differ comes first: in the other run it did not happen, or not so.
fn first_of(events: &[Option<TraceEvent>; 2]) -> &'static str {
    match events {
        [Some(a), Some(b)] if a.is_cut() || b.is_cut() => {
            "One trace has events that the other does not, behind what was traced: trace more with --trace-max.\n"
        }
        [Some(a), Some(b)] if !a.is_of_same_point(b) => "They are of different points.\n",
        [Some(a), Some(b)] if a.order() < b.order() => "That of A comes first; in B it did not happen.\n",
        [Some(a), Some(b)] if a.order() > b.order() => "That of B comes first; in A it did not happen.\n",
        [Some(_), Some(_)] => "They happen at the same moment and place, and are not the same.\n",
        [Some(_), None] => "It did not happen in B.\n",
        _ => "It did not happen in A.\n",
    }
}
