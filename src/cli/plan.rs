//! `qnetsim plan`: what scenarios will take, before anything is allocated.

mod calibration;

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::run::{load_all, threads};
use super::space::available_disk;
use super::text::paragraph;
use super::{Failure, print};
use crate::metrics::available_memory;
use crate::report::{count, metric, table_with};
use crate::scenario::plan::scaling::{CLUSTERS, Cluster, Load, MEASURED, Seconds};
use crate::scenario::plan::{Forecast, forecast, memory_of_rank, memory_with_margin};
use crate::scenario::{Point, Scenario};
use calibration::Calibrations;

pub(super) const PLAN_EXAMPLES: &str = "Examples:
  qnetsim plan scenarios/network-load.toml
  qnetsim plan scenarios/registry.toml --set nodes=10M --threads 8
  qnetsim plan scenarios/*.toml --no-time --format csv
  qnetsim plan scenarios/network-load.toml --set nodes=1G --set approaches=ping --ranks 64 --memory-per-rank 8GiB";

/// Arguments of `qnetsim plan`.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// Scenario files (TOML).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Set a key of the scenario, e.g. nodes=10M. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Threads to plan for; all cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Plan for so many processes over MPI, each with the threads of --threads: memory is that of the one that takes the most,
    /// an upper bound for approaches of which a rank holds more than its own nodes; and times are projected for networks
    /// that are stated, by a model that was fitted to two ranks on one machine.
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    ranks: Option<u32>,

    /// Memory that each of the ranks may take, such as 8GiB; that of this machine if not given.
    #[arg(long, value_name = "SIZE", requires = "ranks", value_parser = crate::scenario::size)]
    memory_per_rank: Option<u64>,

    /// Folder that the results would go to; its filesystem must have room for them.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,

    /// Run nothing: leave out the time, which small runs of each approach tell.
    #[arg(long)]
    no_time: bool,

    /// What to print.
    #[arg(long, value_enum, default_value_t = PlanFormat::Human)]
    format: PlanFormat,
}

/// What `plan` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PlanFormat {
    /// A table and what to make of it.
    Human,
    /// One object: points, totals, what the machine has.
    Json,
    /// A line for each point.
    Csv,
}

/// What one point takes.
#[derive(Clone, Debug, Serialize)]
struct Row {
    scenario: String,
    approach: String,
    nodes: u32,
    events: u64,
    memory_bytes: u64,
    disk_bytes: u64,
    /// Wall time, an estimate from small runs on this machine; `None` if there is none.
    time_s: Option<f64>,
    /// Over ranks: wall time by a model, by network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    projected: Vec<Projection>,
}

/// What a point takes over ranks that a network joins, by a model, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Projection {
    network: &'static str,
    compute_s: f64,
    exchange_s: f64,
    latency_s: f64,
    time_s: f64,
}

impl Projection {
    /// The projections of `point`, one for each network.
    fn all(scenario: &Scenario, point: &Point, ranks: usize, threads: usize) -> Vec<Projection> {
        let load = Load::of(scenario, point, ranks, threads);
        let one = |cluster: &Cluster| {
            let seconds = load.seconds(&MEASURED, Some(cluster));
            let (Seconds { compute, exchange, latency }, network) = (seconds, cluster.name);
            let time_s = seconds.total();
            Projection { network, compute_s: compute, exchange_s: exchange, latency_s: latency, time_s }
        };
        CLUSTERS.iter().map(one).collect()
    }
}

/// What all points take: they run one after the other.
#[derive(Clone, Debug, Serialize)]
struct Totals {
    events: u64,
    /// The most that any point takes.
    memory_bytes: u64,
    disk_bytes: u64,
    /// `None` if the time of some point is not known.
    time_s: Option<f64>,
}

/// The whole plan.
#[derive(Debug, Serialize)]
struct Plan {
    format: u32,
    threads: usize,
    /// Processes, if there are to be several: then memory is that of the one which takes the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    ranks: Option<u32>,
    points: Vec<Row>,
    totals: Totals,
    available_memory_bytes: Option<u64>,
    available_disk_bytes: Option<u64>,
    fits: bool,
}

const COLUMNS: [&str; 7] = ["scenario", "approach", "nodes", "events", "memory_bytes", "disk_bytes", "time_s"];

/// Tells what the scenarios of `args` take.
pub(super) fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let threads = threads(args.threads);
    let scenarios = load_all(&args.files, &args.overrides)?;
    let mut points = Vec::new();
    for (file, scenario) in args.files.iter().zip(&scenarios) {
        points.extend(rows(args, file, scenario, threads)?);
        if scenario.is_swept {
            let file = file.display();
            // Nothing is left to be done if standard error is gone.
            let _ = writeln!(
                stderr(),
                "note: this is {file} without its sweep; of all its points tells\n  qnetsim run {file} --list"
            );
        }
    }
    let mut plan = Plan::of(points, threads, &args.out);
    if let Some(ranks) = args.ranks {
        plan = plan.over(ranks, args.memory_per_rank);
    }
    print(&match args.format {
        PlanFormat::Human => plan.human(),
        PlanFormat::Json => format!("{:#}\n", serde_json::json!(plan)),
        PlanFormat::Csv => plan.csv(),
    })
}

/// What every point of a scenario takes.
fn rows(args: &PlanArgs, file: &Path, scenario: &Scenario, threads: usize) -> Result<Vec<Row>, Failure> {
    let mut calibrations = Calibrations::new(file, &args.overrides, threads);
    let row = |point| {
        let Forecast { events, memory_bytes, disk_bytes } = forecast(scenario, point, threads);
        let of_rank = args.ranks.map(|ranks| memory_of_rank(scenario, point, threads, ranks as usize));
        let memory_bytes = of_rank.unwrap_or(memory_bytes);
        let time_s =
            if args.no_time || args.ranks.is_some() { None } else { calibrations.seconds(scenario, point, events)? };
        Ok(Row {
            scenario: scenario.name.clone(),
            approach: point.label.clone(),
            nodes: point.population.total(),
            events,
            memory_bytes,
            disk_bytes,
            time_s,
            projected: args
                .ranks
                .map_or_else(Vec::new, |ranks| Projection::all(scenario, point, ranks as usize, threads)),
        })
    };
    scenario.points.iter().map(row).collect()
}

impl Plan {
    fn of(points: Vec<Row>, threads: usize, out: &Path) -> Self {
        let sum = |part: fn(&Row) -> u64| points.iter().map(part).fold(0, u64::saturating_add);
        let totals = Totals {
            events: sum(|row| row.events),
            memory_bytes: points.iter().map(|row| row.memory_bytes).max().unwrap_or(0),
            disk_bytes: sum(|row| row.disk_bytes),
            time_s: points.iter().map(|row| row.time_s).sum(),
        };
        let (memory, disk) = (available_memory(), available_disk(out));
        let enough = |needed: u64, available: Option<u64>| available.is_none_or(|available| needed <= available);
        let fits = enough(memory_with_margin(totals.memory_bytes), memory) && enough(totals.disk_bytes, disk);
        let (available_memory_bytes, available_disk_bytes) = (memory, disk);
        Plan { format: 1, threads, ranks: None, points, totals, available_memory_bytes, available_disk_bytes, fits }
    }

    /// The plan, whose memory is that of a rank, over `ranks` ranks, each of which may take `memory` bytes if that is given.
    fn over(self, ranks: u32, memory: Option<u64>) -> Self {
        let available_memory_bytes = memory.or(self.available_memory_bytes);
        let Totals { memory_bytes, disk_bytes, .. } = self.totals;
        let fits = available_memory_bytes.is_none_or(|available| memory_with_margin(memory_bytes) <= available)
            && self.available_disk_bytes.is_none_or(|available| disk_bytes <= available);
        Plan { ranks: Some(ranks), available_memory_bytes, fits, ..self }
    }

    fn csv(&self) -> String {
        let cell = |text: &str| if text.contains(',') { format!("\"{text}\"") } else { text.to_owned() };
        let line = |row: &Row| {
            let time = row.time_s.map_or(String::new(), |time| format!("{time:.3}"));
            let Row { scenario, approach, nodes, events, memory_bytes, disk_bytes, .. } = row;
            format!("{scenario},{},{nodes},{events},{memory_bytes},{disk_bytes},{time}\n", cell(approach))
        };
        COLUMNS.join(",") + "\n" + &self.points.iter().map(line).collect::<String>()
    }

    fn human(&self) -> String {
        let time = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("~{}", span(time)));
        let bytes = |bytes: u64| format!("{}B", metric(bytes as f64));
        let row = |row: &Row| {
            let scale = |nodes: u32| count(f64::from(nodes));
            let amounts = [count(row.events as f64), bytes(row.memory_bytes), bytes(row.disk_bytes), time(row.time_s)];
            [row.scenario.clone(), row.approach.clone(), scale(row.nodes)].into_iter().chain(amounts).collect()
        };
        let totals = &self.totals;
        let total =
            ["all", "", "", &count(totals.events as f64), &bytes(totals.memory_bytes), &bytes(totals.disk_bytes)];
        let total: Vec<_> = total.iter().map(|&text| text.to_owned()).chain([time(totals.time_s)]).collect();
        let header = ["scenario", "approach", "nodes", "events", "memory", "disk", "time"];
        let rows: Vec<Vec<String>> = self.points.iter().map(row).chain([total]).collect();
        let table = table_with(&header, &[0, 1], 28, rows);
        format!("{table}\n{}{}{}", paragraph(&self.largest()), paragraph(&self.verdict()), self.projected())
    }

    /// What all points take over ranks, by a model.
    fn projected(&self) -> String {
        let Some(first) = self.points.first().filter(|row| !row.projected.is_empty()) else { return String::new() };
        let times = (0..first.projected.len()).map(|place| {
            let time: f64 = self.points.iter().filter_map(|row| row.projected.get(place)).map(|one| one.time_s).sum();
            format!("{} over {}", span(time), first.projected[place].network)
        });
        let times: Vec<_> = times.collect();
        paragraph(&format!(
            "Time, projected for a machine and {} thread{} a rank: {}. Fitted to two ranks on one machine; networks are assumed.",
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            times.join(", "),
        ))
    }

    /// Which point takes the most, and what the numbers are.
    fn largest(&self) -> String {
        let Some(largest) = self.points.iter().max_by_key(|row| row.memory_bytes) else { return String::new() };
        let busiest = self.points.iter().max_by_key(|row| row.events).unwrap_or(largest);
        let name = |row: &Row| format!("{} {} at {} nodes", row.scenario, row.approach, row.nodes);
        let timed = if self.points.iter().any(|row| row.time_s.is_some()) {
            " Times are estimates, from small runs of each approach on this machine as it is now."
        } else {
            ""
        };
        format!(
            "The most memory takes {}; the most events has {}. Points run one after the other, on {}{} thread{}: memory is \
             that of the largest{}, everything else a sum.{timed}",
            name(largest),
            name(busiest),
            self.ranks.map_or(String::new(), |ranks| format!("{ranks} ranks of ")),
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            if self.ranks.is_some() { ", in the rank that takes the most" } else { "" },
        )
    }

    fn verdict(&self) -> String {
        let of = |name: &str, needed: u64, room: u64, available: Option<u64>| match available {
            None => format!("The system does not tell how much {name} it has."),
            Some(available) => {
                let (needed_text, available_text) = (metric(needed as f64), metric(available as f64));
                if room <= available {
                    format!("{available_text}B of {name} are available, {needed_text}B are needed.")
                } else {
                    format!(
                        "WILL NOT FIT: {needed_text}B of {name} are needed and {available_text}B are available; `qnetsim run` \
                         refuses it."
                    )
                }
            }
        };
        let Totals { memory_bytes, disk_bytes, .. } = self.totals;
        let memory = of("memory", memory_bytes, memory_with_margin(memory_bytes), self.available_memory_bytes);
        format!("{memory} {}", of("disk", disk_bytes, disk_bytes, self.available_disk_bytes))
    }
}

/// A span for people: `0.2 s`, `42 s`, `3 min`, `2.5 h`, `4.1 d`.
fn span(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(approach: &str, events: u64, memory_bytes: u64, time_s: Option<f64>) -> Row {
        let (scenario, approach) = ("s".to_owned(), approach.to_owned());
        Row { scenario, approach, nodes: 1_000, events, memory_bytes, disk_bytes: 10, time_s, projected: Vec::new() }
    }

    fn plan(points: Vec<Row>) -> Plan {
        let mut plan = Plan::of(points, 2, Path::new("."));
        (plan.available_memory_bytes, plan.available_disk_bytes) = (Some(1_000_000), Some(5));
        plan
    }

    #[test]
    fn memory_is_that_of_the_largest_and_the_rest_a_sum() {
        let both = plan(vec![row("a", 5, 700, Some(1.0)), row("b", 6, 900, Some(2.5))]);
        let totals = &both.totals;
        assert_eq!((totals.events, totals.memory_bytes, totals.disk_bytes, totals.time_s), (11, 900, 20, Some(3.5)));
        assert_eq!(plan(vec![row("a", 5, 700, Some(1.0)), row("b", 6, 900, None)]).totals.time_s, None);
    }

    #[test]
    fn ranks_share_the_memory_that_each_of_them_has() {
        let over = |memory| plan(vec![row("a", 5, 700, None)]).over(4, memory);
        assert!(!over(Some(750)).fits, "there must be room for a margin as well");
        let fits = Plan { available_disk_bytes: None, ..over(None) }.over(4, Some(900));
        let said = fits.human().replace('\n', " ");
        assert!(fits.fits && said.contains("on 4 ranks of 2 threads"), "{said}");
        assert_eq!(serde_json::json!(fits)["ranks"], 4);
    }

    #[test]
    fn what_does_not_fit_is_said_and_no_line_is_too_long() {
        let text = plan(vec![row("a long name of an approach, and a half", u64::MAX, 700, Some(1e7))]).human();
        assert!(
            text.contains("WILL NOT FIT: 20.0B of disk are needed") || text.contains("10.0B of disk are needed"),
            "{text}"
        );
        assert!(text.contains("1.00MB of memory are available"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn csv_has_a_line_for_each_point_and_an_empty_cell_for_no_time() {
        let sheet = plan(vec![row("a, b", 5, 7, None), row("c", 6, 8, Some(0.25))]).csv();
        let lines: Vec<_> = sheet.lines().collect();
        assert_eq!(lines[1..], ["s,\"a, b\",1000,5,7,10,", "s,c,1000,6,8,10,0.250"]);
        assert_eq!(lines[0].split(',').count(), COLUMNS.len());
    }

    #[test]
    fn spans_have_the_unit_that_fits() {
        let spans = [0.24, 42.4, 200.0, 9_000.0, 354_240.0].map(span);
        assert_eq!(spans, ["0.2 s", "42 s", "3 min", "2.5 h", "4.1 d"]);
    }
}
