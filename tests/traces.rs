//! Traces: what they hold, that threads cannot be seen in them, and what `qnetsim run --trace` writes.

use std::fs;
use std::process::Command;

use qnetsim::contract::{Population, SimSpan, SimTime};
use qnetsim::engine::trace::{Happening, Record, Trace, Tracing};
use qnetsim::engine::{Latency, NetworkModel, Settings, Simulation};
use qnetsim::protocols::rumour::PushGossip;

/// What is traced of a rumour among 500 nodes, of which one message in ten is lost.
fn trace(threads: usize, max: usize, rate: f64) -> (Vec<Record>, u64) {
    let network =
        NetworkModel::new(Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(90) }, 0.1);
    let mut settings = Settings::new(Population::flat(500), 1, SimTime::MAX);
    settings.threads = threads;
    let gossip = PushGossip::new(4);
    let probe = || Trace::new(Tracing { max, rate, seed: 1 });
    let simulation = Simulation::with_probes(&gossip, &network, settings, probe);
    Trace::gather(simulation.run().unwrap().probes)
}

#[test]
fn what_is_sent_is_received_or_dropped_on_any_number_of_threads() {
    let (records, cut) = trace(1, 1_000_000, 1.0);
    assert_eq!(cut, 0);
    let count = |is_it: fn(&Happening) -> bool| records.iter().filter(|record| is_it(&record.happening)).count();
    let sent = count(|happening| *happening == Happening::Sent);
    let lost = count(|happening| *happening == Happening::Dropped("lost"));
    assert_eq!(sent, lost + count(|happening| *happening == Happening::Received));
    assert!(lost > sent / 20 && lost < sent / 5, "{lost} of {sent}");
    assert!(records.is_sorted());
    for threads in [2, 3] {
        assert_eq!(trace(threads, 1_000_000, 1.0), (records.clone(), 0), "{threads} threads");
    }
}

#[test]
fn the_bound_keeps_the_first_and_says_how_many_it_cut() {
    let (all, _) = trace(1, 1_000_000, 1.0);
    for threads in [1, 2] {
        let (records, cut) = trace(threads, 100, 1.0);
        assert_eq!((&records[..], cut), (&all[..100], all.len() as u64 - 100), "{threads} threads");
    }
    assert_eq!(trace(1, 0, 1.0), (Vec::new(), all.len() as u64));
}

#[test]
fn a_sample_has_all_events_of_a_message_or_none() {
    let (all, _) = trace(1, 1_000_000, 1.0);
    let (some, cut) = trace(2, 1_000_000, 0.25);
    assert_eq!(cut, 0);
    assert!(some.len() > all.len() / 5 && some.len() < all.len() / 3, "{} of {}", some.len(), all.len());
    let key = |record: &Record| (record.sender, record.sequence);
    let sampled: std::collections::BTreeSet<_> = some.iter().map(key).collect();
    let expected: Vec<_> = all.iter().filter(|record| sampled.contains(&key(record))).copied().collect();
    assert_eq!(some, expected);
    assert_eq!(trace(1, 1_000_000, 0.0), (Vec::new(), 0));
}

const SCENARIO: &str = "name = \"a\"\nnodes = 300\napproaches = [\"ping\", \"sampled\"]\nwarmup = \"5s\"\nmeasure = \"60s\"\n\
                        network.loss = 0.1\n[[faults.crash]]\nat = \"20s\"\nuntil = \"40s\"\nshare = 0.2\n";

/// What `qnetsim run` with `args` writes to a trace named `name`, and its exit code.
fn traced(name: &str, args: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), SCENARIO).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_qnetsim"));
    run.current_dir(&folder).args(["run", "a.toml", "--quiet", "--trace", name]).args(args);
    let status = run.output().unwrap().status.code();
    (status, fs::read_to_string(folder.path().join(name)).unwrap_or_default())
}

#[test]
fn a_run_writes_the_same_trace_on_any_number_of_threads() {
    let (status, one) = traced("t.csv", &["--threads", "1"]);
    assert_eq!((status, &one), (Some(0), &traced("t.csv", &["--threads", "2"]).1));
    let mut sheet = csv::Reader::from_reader(one.as_bytes());
    assert_eq!(sheet.headers().unwrap(), &qnetsim::report::TRACE_COLUMNS[..]);
    let rows: Vec<_> = sheet.records().map(Result::unwrap).collect();
    for event in ["sent", "received", "lost", "receiver-down", "timer", "joined", "crashed"] {
        assert!(rows.iter().any(|row| &row[4] == event), "nothing {event}");
    }
    assert!(["ping", "sampled"].iter().all(|approach| rows.iter().any(|row| &row[0] == *approach)));
}

#[test]
fn json_lines_say_the_same_and_a_cut_trace_says_so() {
    let sheet = traced("t.csv", &["--trace-max", "50"]).1;
    let lines = traced("t.jsonl", &["--trace-max", "50"]).1;
    assert_eq!(lines.lines().count() + 1, sheet.lines().count());
    for (line, row) in lines.lines().zip(sheet.lines().skip(1)) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let cells: Vec<_> = row.split(',').collect();
        let time = line["time_ns"].as_u64().map_or(String::new(), |time| time.to_string());
        assert_eq!((line["event"].as_str(), &*time), (Some(cells[4]), cells[2]));
    }
    // A row for what was cut of each approach.
    let cuts: Vec<_> = sheet.lines().filter(|line| line.contains(",cut,")).collect();
    assert_eq!((cuts.len(), sheet.lines().count()), (2, 1 + 2 * 51), "{sheet}");
    let sampled = traced("t.csv", &["--trace-sample", "0.1"]).1.lines().count();
    let all = traced("t.csv", &[]).1.lines().count();
    assert!(sampled * 5 < all && sampled * 20 > all, "{sampled} of {all}");
}

#[test]
fn a_trace_of_another_kind_or_of_several_scenarios_is_refused() {
    assert_eq!(traced("t.txt", &[]).0, Some(2));
    assert_eq!(traced("t.csv", &["--trace-sample", "1.5"]).0, Some(2));
    assert_eq!(traced("t.csv", &["a.toml"]).0, Some(2));
    assert_eq!(traced("none/t.csv", &[]).0, Some(0), "its folder is made");
}
