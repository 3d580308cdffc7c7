//! The model of runs over ranks: its terms are those that its measured runs give, and README has its figures.

use std::fmt::Write as _;
use std::path::Path;

use qnetsim::scenario::plan::scaling::{CLUSTERS, Load, MEASURED, Seconds, Terms};

use super::scenario;

/// A measured run.
struct Run {
    label: String,
    nodes: f64,
    load: Load,
    seconds: f64,
}

fn measured() -> Vec<Run> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ranks/scaling.csv");
    let read = |row: csv::StringRecord| {
        let number = |place: usize| row[place].parse::<f64>().unwrap();
        let load = Load {
            ranks: number(2) as usize,
            threads: 1,
            events: number(3),
            bytes: number(7),
            meetings: number(4),
            exchanges: number(5),
        };
        let nodes = number(1);
        Run { nodes, label: format!("| {} | {} | {} |", &row[0], thousands(nodes), &row[2]), load, seconds: number(8) }
    };
    csv::Reader::from_path(path).unwrap().records().map(|row| read(row.unwrap())).collect()
}

fn thousands(nodes: f64) -> String {
    if nodes >= 1e9 {
        format!("{}B", nodes / 1e9)
    } else if nodes >= 1e6 {
        format!("{}M", nodes / 1e6)
    } else {
        format!("{}K", nodes / 1e3)
    }
}

/// The terms whose relative errors over all runs have the least sum of squares.
fn fitted(runs: &[Run]) -> Terms {
    let row = |run: &Run| {
        let ranks = run.load.ranks as f64;
        [run.load.events / ranks, run.load.bytes / ranks, run.load.meetings].map(|part| part / run.seconds)
    };
    let (mut normal, mut right) = ([[0.0f64; 3]; 3], [0.0f64; 3]);
    for parts in runs.iter().map(row) {
        for (line, part) in parts.iter().enumerate() {
            right[line] += part;
            (0..3).for_each(|column| normal[line][column] += part * parts[column]);
        }
    }
    let determinant = |m: [[f64; 3]; 3]| {
        (0..3)
            .map(|at| m[0][at] * (m[1][(at + 1) % 3] * m[2][(at + 2) % 3] - m[1][(at + 2) % 3] * m[2][(at + 1) % 3]))
            .sum::<f64>()
    };
    let whole = determinant(normal);
    let solved = [0, 1, 2].map(|column| {
        let mut replaced = normal;
        (0..3).for_each(|line| replaced[line][column] = right[line]);
        determinant(replaced) / whole
    });
    Terms { event: solved[0], byte: solved[1], meeting: solved[2] }
}

#[test]
fn terms_are_those_that_the_measured_runs_give() {
    let runs = measured();
    let Terms { event, byte, meeting } = fitted(&runs);
    for (term, fit) in [(MEASURED.event, event), (MEASURED.byte, byte), (MEASURED.meeting, meeting)] {
        assert!(term > 0.0 && (term / fit - 1.0).abs() < 0.005, "{MEASURED:?} is not {:?}", [event, byte, meeting]);
    }
}

/// The two tables of README: the model beside what was measured, and what it projects.
fn tables() -> String {
    let mut text = String::new();
    // The smaller ones are in the file alone.
    for Run { label, load, seconds, .. } in measured().into_iter().filter(|run| run.nodes >= 1e5) {
        let model = load.seconds(&MEASURED, None).total();
        let error = (model / seconds - 1.0) * 100.0;
        writeln!(text, "{label} {seconds:.2} s | {model:.2} s | {error:+.0} % |").unwrap();
    }
    for nodes in ["100M", "1G"] {
        for approach in ["flat-gossip", "hierarchical"] {
            let sets = [format!("nodes={nodes}"), format!("approaches={approach}")];
            let scenario = scenario("scenarios/network-load.toml", &sets.each_ref().map(String::as_str));
            let point = &scenario.points[0];
            for (ranks, cluster) in [64, 256].into_iter().flat_map(|ranks| CLUSTERS.map(|cluster| (ranks, cluster))) {
                let load = Load::of(&scenario, point, ranks, 32);
                let seconds = load.seconds(&MEASURED, Some(&cluster));
                let Seconds { compute, exchange, latency } = seconds;
                let whole = f64::from(point.population.total());
                let parts = format!("{compute:.1} + {exchange:.1} + {latency:.1}");
                let total = seconds.total();
                let name = cluster.name;
                writeln!(text, "| {approach} | {} | {ranks} | {name} | {parts} | {total:.1} s |", thousands(whole))
                    .unwrap();
            }
        }
    }
    text
}

#[test]
fn readme_has_the_figures_of_the_model() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let tables = tables();
    for line in tables.lines() {
        assert!(readme.contains(line), "README should have these lines, and lacks {line:?}:\n{tables}");
    }
}
