//! What `scenario::plan` says that points take, against what runs of the project's scenarios took.
//!
//! `forecasts/measured.csv` holds the events and the peak memory of the runs whose results are committed. It is renewed by
//! running all scenarios at full size, each in a process of its own, which takes an hour and up to 2 GB:
//!
//! ```console
//! cargo build --release
//! cargo test --test forecasts -- --ignored --nocapture full_size
//! ```

#![allow(clippy::print_stdout, reason = "what was forecast and what was found is worth reading where a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qnetsim::engine::Progress;
use qnetsim::scenario::build::{Watch, run_point};
use qnetsim::scenario::plan::forecast;
use qnetsim::scenario::{Scenario, load};
use serde_json::Value;

/// Events may be this far from the forecast, as a share of what was counted.
const EVENTS_OFF_MAX: f64 = 0.3;
/// Points with more events are not run by default.
const EVENTS_MAX: u64 = 150_000;
/// Peak memory likewise; or by so many bytes, which is what a process takes before it has a node.
const MEMORY_OFF_MAX: f64 = 0.15;
const MEMORY_OFF_BYTES: u64 = 16 << 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(name: &str, sets: &[String]) -> Scenario {
    load(&root().join(format!("scenarios/{name}.toml")), sets).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The scenarios of the project, by name.
fn scenarios() -> Vec<String> {
    let files = fs::read_dir(root().join("scenarios")).unwrap().map(|entry| entry.unwrap().path());
    let names = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<_> = names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// What a run of a point at full size took.
#[derive(Debug, serde::Deserialize)]
struct Measured {
    scenario: String,
    approach: String,
    nodes: u32,
    threads: usize,
    messages_sent: u64,
    events: u64,
    /// Empty where earlier points of the same process left so much in its heap that the peak is theirs.
    peak_memory_bytes: Option<u64>,
}

fn measured() -> Vec<Measured> {
    let mut sheet = csv::Reader::from_path(root().join("tests/forecasts/measured.csv")).unwrap();
    sheet.deserialize().map(Result::unwrap).collect()
}

/// How far `forecast` is from `found`, as a share of it.
fn off(forecast: u64, found: u64) -> f64 {
    (forecast as f64 - found as f64) / found as f64
}

/// Messages sent by approach and nodes in the committed results of a scenario.
fn committed(scenario: &str) -> BTreeMap<(String, u32), u64> {
    let mut sent = BTreeMap::new();
    let mut sheet = csv::Reader::from_path(root().join(format!("results/{scenario}/messages.csv"))).unwrap();
    for row in sheet.deserialize::<BTreeMap<String, String>>().map(Result::unwrap) {
        if row["direction"] == "sent" {
            let point = (row["approach"].clone(), row["nodes"].parse().unwrap());
            *sent.entry(point).or_default() += row["messages"].parse::<u64>().unwrap();
        }
    }
    sent
}

#[test]
fn events_of_the_committed_results_are_within_30_per_cent() {
    let mut wrong = Vec::new();
    let mut read_so_far = BTreeMap::new();
    for run in measured() {
        let scenario = read_so_far.entry(run.scenario.clone()).or_insert_with(|| read(&run.scenario, &[]));
        let is_it =
            |point: &&qnetsim::scenario::Point| point.label == run.approach && point.population.total() == run.nodes;
        let point = scenario.points.iter().find(is_it).unwrap_or_else(|| panic!("{run:?} is no point"));
        let forecast = forecast(scenario, point, run.threads);
        let off = off(forecast.events, run.events);
        let line = format!(
            "{:24} {:28} {:>9} events {:>11} of {:>11} {:+6.1} %, memory {:>5} of {:>5} MB",
            run.scenario,
            run.approach,
            run.nodes,
            forecast.events,
            run.events,
            100.0 * off,
            forecast.memory_bytes / 1_000_000,
            run.peak_memory_bytes.unwrap_or(0) / 1_000_000
        );
        println!("{line}");
        if off.abs() > EVENTS_OFF_MAX {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "more than 30 % off:\n{}", wrong.join("\n"));
}

#[test]
fn what_was_measured_is_of_the_committed_results() {
    let mut points: BTreeMap<String, BTreeMap<(String, u32), u64>> = BTreeMap::new();
    for run in measured() {
        points.entry(run.scenario).or_default().insert((run.approach, run.nodes), run.messages_sent);
    }
    for (scenario, points) in points {
        assert_eq!(points, committed(&scenario), "{scenario}: renew tests/forecasts/measured.csv, see its test");
    }
}

/// A process keeps what earlier points left in its heap, so the peak of a whole run is what counts.
#[test]
fn peak_memory_of_the_committed_results_is_within_15_per_cent() {
    let mut peaks: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    for run in measured() {
        let peak = peaks.entry(run.scenario).or_default();
        *peak = (peak.0.max(run.peak_memory_bytes.unwrap_or(0)), run.threads);
    }
    let mut wrong = Vec::new();
    for (name, (peak, threads)) in peaks {
        let scenario = read(&name, &[]);
        let forecasts = scenario.points.iter().map(|point| forecast(&scenario, point, threads).memory_bytes);
        let expected = forecasts.max().unwrap();
        let off = off(expected, peak);
        let line =
            format!("{name:24} {:>5} of {:>5} MB {:+6.1} %", expected / 1_000_000, peak / 1_000_000, 100.0 * off);
        println!("{line}");
        if off.abs() > MEMORY_OFF_MAX && expected.abs_diff(peak) > MEMORY_OFF_BYTES {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "more than 15 % off:\n{}", wrong.join("\n"));
}

#[test]
fn results_take_about_the_disk_that_is_forecast() {
    for name in scenarios() {
        let folder = root().join("results").join(&name);
        // Long time series are not committed.
        if !folder.join("timeline.csv").exists() {
            continue;
        }
        let files = fs::read_dir(&folder).unwrap();
        let found: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        let scenario = read(&name, &[]);
        let expected: u64 = scenario.points.iter().map(|point| forecast(&scenario, point, 1).disk_bytes).sum();
        println!("{name:24} {expected:>8} of {found:>8} B");
        assert!((found / 2..=found * 3).contains(&expected), "{name}: {expected} of {found} bytes");
    }
}

/// The overrides that make a scenario small, as the loop of `.ci/run` does, and smaller where that takes long.
fn reduced(name: &str) -> Vec<String> {
    let tiers = ["nodes=2000", "tiers.super=10", "tiers.full=200", "tiers.light=1690", "tiers.mobile=100"];
    let short = ["measure=20s", "approach.hierarchical.measure=20s", "approach.gossip.measure=2s"];
    let text = fs::read_to_string(root().join(format!("scenarios/{name}.toml"))).unwrap();
    let mut sets: Vec<&str> = tiers.to_vec();
    if !text.contains("\n[[faults.") {
        sets.extend(short);
    }
    match name {
        "consensus" => sets = vec!["nodes=40"],
        "registry" => sets.extend(["approach.registry.users=20K", "approach.registry.shards=64"]),
        "registry-faults" => sets.extend([
            "approach.registry.users=20K",
            "approach.registry.shards=64",
            "approach.registry.partitioning=hash",
        ]),
        "mobile" => sets.push("measure=9h"),
        _ => {}
    }
    sets.into_iter().map(str::to_owned).collect()
}

#[test]
fn events_of_every_scenario_are_within_30_per_cent_when_it_is_small() {
    let clock = || 0.0;
    let mut wrong = Vec::new();
    // Where 200 full nodes keep records, a region has a handful of them and one in a thousand is none: what moves then is
    // chance, and the forecast half as much again. The committed results hold it to account at ten thousand.
    for name in scenarios().into_iter().filter(|name| name != "sharding") {
        let scenario = read(&name, &reduced(&name));
        let (mut expected, mut found) = (0, 0);
        let events = |point| forecast(&scenario, point, 1).events;
        // What takes long is left to the committed results, and to the test at full size.
        for point in scenario.points.iter().filter(|&point| events(point) <= EVENTS_MAX) {
            let progress = Progress::default();
            let result = run_point(&scenario, point, 1, &Watch { progress: &progress, clock: &clock }).unwrap();
            let forecast = forecast(&scenario, point, 1);
            println!(
                "{name:24} {:28} {:>9} of {:>9} {:+6.1} %",
                point.label,
                forecast.events,
                result.engine.events,
                100.0 * off(forecast.events, result.engine.events)
            );
            (expected, found) = (expected + forecast.events, found + result.engine.events);
        }
        if found == 0 {
            continue;
        }
        let line = format!("{name:24} {expected:>9} of {found:>9} {:+6.1} %", 100.0 * off(expected, found));
        println!("{line}");
        if off(expected, found).abs() > EVENTS_OFF_MAX {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "more than 30 % off:\n{}", wrong.join("\n"));
}

/// Runs every scenario at full size, prints the lines of `measured.csv`, and compares.
#[test]
#[ignore = "takes an hour and 2 GB: cargo build --release && cargo test --test forecasts -- --ignored --nocapture"]
fn full_size() {
    let out = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    println!("scenario,approach,nodes,threads,messages_sent,events,peak_memory_bytes");
    for name in scenarios() {
        let scenario = read(&name, &[]);
        let file = root().join(format!("scenarios/{name}.toml"));
        let run = Command::new(root().join("target/release/qnetsim"))
            .args(["run", "--quiet", "--out"])
            .arg(out.path())
            .arg(&file)
            .status();
        assert!(run.expect("build the release first").success(), "{name}");
        let summary = fs::read(out.path().join(&name).join("summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        let points = summary["engine"]["points"].as_array().unwrap();
        let sent = summary["deterministic"]["points"].as_array().unwrap();
        let (mut peak, mut largest) = (0, 0);
        for ((point, engine), sent) in scenario.points.iter().zip(points).zip(sent) {
            let number = |key: &str| engine[key].as_u64().unwrap();
            let (events, threads) = (number("events"), number("threads"));
            let (nodes, sent) = (point.population.total(), &sent["messages_sent"]);
            println!("{name},{},{nodes},{threads},{sent},{events},{}", point.label, number("peak_memory_bytes"));
            let forecast = forecast(&scenario, point, threads as usize);
            if off(forecast.events, events).abs() > EVENTS_OFF_MAX {
                wrong.push(format!("{name} {}: {} events of {events}", point.label, forecast.events));
            }
            (peak, largest) = (number("peak_memory_bytes").max(peak), forecast.memory_bytes.max(largest));
        }
        if off(largest, peak).abs() > MEMORY_OFF_MAX && largest.abs_diff(peak) > MEMORY_OFF_BYTES {
            wrong.push(format!("{name}: {largest} bytes of {peak}"));
        }
    }
    assert!(wrong.is_empty(), "too far off:\n{}", wrong.join("\n"));
}
