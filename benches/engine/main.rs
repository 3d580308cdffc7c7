//! Events per second of the engine beside two baselines, on two workloads that any simulator can express.
//!
//! **push gossip**: a rumour from node 0; each node at first receipt sends it to 8 uniformly random others; to the end.
//! **heartbeat**: each node every 30 s, with random phase, to 8 fixed random neighbours; the receiver keeps when it last
//! heard each of them; 120 s simulated. Latency is uniform from 10 to 100 ms. Events are deliveries and timer firings.
//! **faults**, if asked for: heartbeat between 13 cloud regions (one-way delays, and up to a tenth more), with 1 % loss and
//! with churn: Weibull sessions as published for FlatOut, exponential absences of 10 minutes. Nodes that come or go are
//! events, too, and so are messages that find their receiver down.
//!
//! `cargo bench --bench engine` prints a table. Every measurement is a process of its own, so that peak memory is its
//! own, and the engines take turns, so that a drift of the machine's speed hits all of them alike.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench measures wall time and prints it"
)]

#[path = "../../tests/reference/mod.rs"]
mod reference;
mod wheel;

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;
use qnetsim::contract::{CoarseTime, Domain, Placement, Population, RandomKey, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet};
use qnetsim::engine::regions::RegionTable;
use qnetsim::engine::{Distribution, Jitter, Latency, NetworkModel, RegionMatrix, Settings, Simulation, published};
use qnetsim::metrics::{Flow, Traffic, peak_memory};
use qnetsim::protocols::heartbeat::Heartbeat;
use qnetsim::protocols::rumour::PushGossip;
use qnetsim::topologies::{Graph, distinct_peers};

const FANOUT: u32 = 8;
const SEED: u64 = 1;
const DELAY_MIN: SimSpan = SimSpan::from_millis(10);
const DELAY_MAX: SimSpan = SimSpan::from_millis(100);
const INTERVAL: SimSpan = SimSpan::from_secs(30);
const HEARTBEAT_END: SimTime = SimTime::from_nanos(120_000_000_000);
/// Beyond this size the naive engine takes minutes, and is left out unless it is asked for.
const NAIVE_NODES_MAX: u32 = 1_000_000;

/// What to measure.
#[derive(Debug, Parser)]
struct Args {
    /// Numbers of nodes.
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000,10000000")]
    nodes: Vec<u32>,
    /// gossip, heartbeat, faults.
    #[arg(long, value_delimiter = ',', default_value = "gossip,heartbeat")]
    workload: Vec<String>,
    /// qnetsim, wheel (single-purpose timing wheel), naive (binary heap); naive only up to 1M nodes unless it is named.
    #[arg(long, value_delimiter = ',')]
    engine: Vec<String>,
    /// Threads of qnetsim; one and all cores if not given.
    #[arg(long, value_delimiter = ',')]
    threads: Vec<usize>,
    /// Measurements of each, of which the median is shown; the naive engine is measured once.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Every engine once at 2,000 nodes: shows that the benchmark works.
    #[arg(long)]
    smoke: bool,
    /// Measure in this process and print a line of key=value pairs. Needs one node count, workload, engine, thread count.
    #[arg(long)]
    line: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one measurement gave. `digest` is zero for an engine that has none.
struct Figures {
    events: u64,
    seconds: f64,
    digest: u64,
    /// Something that shows that the work was done: nodes reached, or links heard of.
    check: u64,
}

fn network() -> NetworkModel {
    NetworkModel::new(Latency::Uniform { min: DELAY_MIN, max: DELAY_MAX }, 0.0)
}

fn heartbeat(nodes: u32, partitions_log2: u32) -> Heartbeat {
    let key = RandomKey::new(SEED, Domain::Topology);
    let graph = Graph::new(Population::flat(nodes), partitions_log2, |node, peers| {
        distinct_peers(FANOUT, 0..nodes, node, &mut key.stream(node, 0), peers);
    });
    Heartbeat::new(graph, INTERVAL, 100)
}

fn qnetsim_gossip(nodes: u32, threads: usize) -> Figures {
    let network = network();
    let mut settings = Settings::new(Population::flat(nodes), SEED, SimTime::MAX);
    settings.threads = threads;
    let protocol = PushGossip::new(FANOUT);
    let simulation = Simulation::new(&protocol, &network, settings);
    let clock = Instant::now();
    let outcome = simulation.run().expect("nothing is lost");
    let seconds = clock.elapsed().as_secs_f64();
    let check = outcome.states.iter().map(|(_, heard)| heard.reached() as u64).sum();
    Figures { events: outcome.events, seconds, digest: outcome.digest, check }
}

/// Region latency, loss and churn.
fn faults(settings: &mut Settings) -> NetworkModel {
    let placement = Placement::new(&[1.0 / 13.0; 13], SEED);
    settings.placement = Some(placement.clone());
    settings.faults.churns = vec![Churn {
        nodes: NodeSet::ALL,
        session: published("flatout").expect("it is published"),
        absence: Distribution::Exponential { mean: 600.0 },
        graceful: 0.0,
        steady: true,
    }];
    let table = RegionTable::published("aws-13", None).expect("it is published");
    let matrix = RegionMatrix::new(&table, placement, Jitter::Uniform { share: 0.1 });
    NetworkModel::new(Latency::Regions(matrix), 0.01)
}

fn qnetsim_heartbeat(nodes: u32, threads: usize, is_faulty: bool) -> Figures {
    let mut settings = Settings::new(Population::flat(nodes), SEED, HEARTBEAT_END);
    let network = if is_faulty { faults(&mut settings) } else { network() };
    settings.threads = threads;
    let protocol = heartbeat(nodes, settings.partitions_log2());
    let simulation = Simulation::new(&protocol, &network, settings);
    let clock = Instant::now();
    let outcome = simulation.run().expect("nothing is lost");
    let seconds = clock.elapsed().as_secs_f64();
    let check = outcome.states.iter().map(|(_, last)| heard(last.times())).sum();
    let in_vain = |slice: &Traffic| slice.total(Flow::ReceiverDown).messages;
    let events = outcome.events + outcome.slices.iter().map(in_vain).sum::<u64>();
    Figures { events, seconds, digest: outcome.digest, check }
}

/// Links that were heard of at least once.
fn heard(times: &[CoarseTime]) -> u64 {
    times.iter().filter(|&&time| time > CoarseTime::NEVER).count() as u64
}

fn naive(workload: &str, nodes: u32) -> Figures {
    let population = Population::flat(nodes);
    let network = network();
    if workload == "gossip" {
        let protocol = PushGossip::new(FANOUT);
        let clock = Instant::now();
        let outcome = reference::run::<_, _, ()>(&protocol, &network, population, SEED, SimTime::MAX);
        let seconds = clock.elapsed().as_secs_f64();
        return Figures { events: outcome.events, seconds, digest: 0, check: outcome.state.reached() as u64 };
    }
    let protocol = heartbeat(nodes, 0);
    let clock = Instant::now();
    let outcome = reference::run::<_, _, ()>(&protocol, &network, population, SEED, HEARTBEAT_END);
    let seconds = clock.elapsed().as_secs_f64();
    Figures { events: outcome.events, seconds, digest: 0, check: heard(outcome.state.times()) }
}

fn measure(engine: &str, workload: &str, nodes: u32, threads: usize) -> Option<Figures> {
    Some(match (engine, workload) {
        ("qnetsim", "gossip") => qnetsim_gossip(nodes, threads),
        ("qnetsim", "heartbeat") => qnetsim_heartbeat(nodes, threads, false),
        ("qnetsim", "faults") => qnetsim_heartbeat(nodes, threads, true),
        ("naive", "gossip" | "heartbeat") => naive(workload, nodes),
        ("wheel", "gossip") => wheel::gossip(nodes),
        ("wheel", "heartbeat") => wheel::heartbeat(nodes),
        _ => return None,
    })
}

/// One engine at one size on one workload.
#[derive(Clone, Debug)]
struct Cell {
    engine: String,
    workload: String,
    nodes: u32,
    threads: usize,
}

/// A line of a measurement, read back.
#[derive(Clone, Debug)]
struct Measured {
    events_per_s: f64,
    peak_memory: f64,
    digest: String,
}

fn print_line(cell: &Cell) -> ExitCode {
    let Cell { engine, workload, nodes, threads } = cell;
    let Some(figures) = measure(engine, workload, *nodes, *threads) else {
        eprintln!("no engine {engine} for a workload {workload}; see --help");
        return ExitCode::from(2);
    };
    let Figures { events, seconds, digest, check } = figures;
    println!(
        "simulator={engine} workload={workload} nodes={nodes} threads={threads} events={events} seconds={seconds:.4} \
         events_per_s={:.0} peak_memory_bytes={} digest={digest:016x} check={check}",
        events as f64 / seconds,
        peak_memory(),
    );
    ExitCode::SUCCESS
}

/// Measures `cell` in a process of its own.
fn measure_apart(cell: &Cell) -> Option<Measured> {
    let program = std::env::current_exe().ok()?;
    let mut command = Command::new(program);
    command.args(["--line", "--engine", &cell.engine, "--workload", &cell.workload]);
    command.args(["--nodes", &cell.nodes.to_string(), "--threads", &cell.threads.to_string()]);
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let value = |key: &str| text.split_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    Some(Measured {
        events_per_s: value("events_per_s")?.parse().ok()?,
        peak_memory: value("peak_memory_bytes")?.parse().ok()?,
        digest: value("digest")?.to_owned(),
    })
}

/// The engines to compare at one size.
fn cells(args: &Args, workload: &str, nodes: u32) -> Vec<Cell> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = if args.threads.is_empty() { vec![1, cores] } else { args.threads.clone() };
    threads.dedup();
    let named = |engine: &str| args.engine.iter().any(|name| name == engine);
    let wanted = |engine: &str| named(engine) || args.engine.is_empty();
    let cell = |engine: &str, threads| Cell { engine: engine.into(), workload: workload.into(), nodes, threads };
    let mut cells = Vec::new();
    if named("naive") || (wanted("naive") && nodes <= NAIVE_NODES_MAX) {
        cells.push(cell("naive", 1));
    }
    if wanted("wheel") {
        cells.push(cell("wheel", 1));
    }
    if wanted("qnetsim") {
        cells.extend(threads.into_iter().map(|threads| cell("qnetsim", threads)));
    }
    cells
}

fn median(values: &[Measured]) -> Option<Measured> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.events_per_s.total_cmp(&b.events_per_s));
    sorted.get(sorted.len() / 2).cloned()
}

/// Measures all engines at one size in turns and prints their rows.
fn compare(args: &Args, workload: &str, nodes: u32) -> bool {
    let cells = cells(args, workload, nodes);
    let mut measured: Vec<Vec<Measured>> = vec![Vec::new(); cells.len()];
    for run in 0..args.runs.max(1) {
        for (cell, values) in cells.iter().zip(&mut measured) {
            if run == 0 || cell.engine != "naive" {
                values.extend(measure_apart(cell));
            }
        }
    }
    let medians: Vec<Option<Measured>> = measured.iter().map(|values| median(values)).collect();
    let rate_of = |engine: &str| {
        let place = cells.iter().position(|cell| cell.engine == engine)?;
        Some(medians[place].as_ref()?.events_per_s)
    };
    for (cell, median) in cells.iter().zip(&medians) {
        let Some(Measured { events_per_s, peak_memory, digest }) = median else {
            println!("{workload:<10}{nodes:>9}  {:<9}{:>3}  failed", cell.engine, cell.threads);
            continue;
        };
        let against = |engine| rate_of(engine).map_or("-".to_owned(), |rate| format!("{:.2}", events_per_s / rate));
        println!(
            "{workload:<10}{nodes:>9}  {:<9}{:>3}{:>10.2}{:>9.1}{:>9.0}{:>9.0}{:>9}{:>9}  {digest}",
            cell.engine,
            cell.threads,
            events_per_s / 1e6,
            1e9 / events_per_s,
            peak_memory / 1e6,
            peak_memory / f64::from(nodes),
            against("wheel"),
            against("naive"),
        );
    }
    medians.iter().all(Option::is_some)
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    if args.line {
        let first = |names: &[String]| names.first().cloned().unwrap_or_default();
        let (engine, workload) = (first(&args.engine), first(&args.workload));
        let threads = args.threads.first().copied().unwrap_or(1);
        return print_line(&Cell { engine, workload, nodes: args.nodes[0], threads });
    }
    if args.smoke {
        (args.nodes, args.runs) = (vec![2_000], 1);
    }
    println!(
        "{:<10}{:>9}  {:<9}{:>3}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}  digest",
        "workload", "nodes", "engine", "thr", "M ev/s", "ns/ev", "peak MB", "B/node", "x wheel", "x naive"
    );
    let mut complete = true;
    for workload in &args.workload {
        for &nodes in &args.nodes {
            complete &= compare(&args, workload, nodes);
        }
    }
    if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
