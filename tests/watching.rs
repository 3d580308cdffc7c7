//! `--log`, `--log-file` and `--metrics-file` as people and schedulers meet them.

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use bench::{Bench, said};
use serde_json::Value;

/// Four points, done at once.
const FOUR: &str = "name = \"small\"\nnodes = [40, 60]\nwarmup = \"1s\"\nmeasure = \"5s\"\n\
    approaches = [\"flat-gossip\", \"ping\"]\nheartbeat.interval = \"5s\"\n";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("small.toml", FOUR);
    bench
}

/// The lines of a metrics file.
#[track_caller]
fn lines(bench: &Bench, name: &str) -> Vec<Value> {
    let text = bench.text(name);
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// What every line must have, whatever the command did.
#[track_caller]
fn assert_ordered(lines: &[Value], code: u64) {
    let (last, before) = lines.split_last().unwrap();
    assert_eq!(last["exit_code"].as_u64(), Some(code), "{last}");
    assert!(last["running"].as_array().unwrap().is_empty() || code != 0, "{last}");
    assert!(last["memory_bytes"].as_u64().unwrap() > 1 << 20 && last["unix_s"].as_f64().unwrap() > 1e9, "{last}");
    assert!(before.iter().all(|line| line["exit_code"].is_null()), "{before:?}");
    for pair in lines.windows(2) {
        for key in ["elapsed_s", "points_done", "events"] {
            assert!(pair[0][key].as_f64().unwrap() <= pair[1][key].as_f64().unwrap(), "{key}: {pair:?}");
        }
    }
}

#[test]
fn the_last_line_of_a_run_has_what_the_summary_has() {
    let bench = bench();
    let output = bench.run(&["small.toml", "--metrics-file", "run.jsonl"]);
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    let lines = lines(&bench, "run.jsonl");
    assert_ordered(&lines, 0);
    let last = lines.last().unwrap();
    let summary = bench.summary("results");
    let points = summary["engine"]["points"].as_array().unwrap();
    let events: u64 = points.iter().map(|point| point["events"].as_u64().unwrap()).sum();
    assert_eq!((last["points"].as_u64(), last["points_done"].as_u64()), (Some(4), Some(4)), "{last}");
    assert_eq!((last["events"].as_u64(), last["command"].as_str()), (Some(events), Some("run")), "{last}");
    assert_eq!(last["left_s"].as_f64(), Some(0.0), "{last}");
}

/// Long enough for lines on the way, on any machine.
#[test]
fn lines_on_the_way_tell_what_is_simulated_and_what_is_left() {
    let bench = bench();
    let mut long = std::process::Command::new(env!("CARGO_BIN_EXE_qnetsim"));
    long.current_dir(bench.path("")).args(["run", "small.toml", "--quiet", "--threads", "1"]);
    long.args(["--set", "measure=1d", "--set", "timeline=1h", "--set", "heartbeat.interval=100ms"]);
    let mut child = long.args(["--metrics-file", "long.jsonl"]).spawn().unwrap();
    let is_told = |text: &str| text.lines().count() >= 3 && text.ends_with('\n');
    while !std::fs::read_to_string(bench.path("long.jsonl")).is_ok_and(|text| is_told(&text)) {
        assert!(child.try_wait().unwrap().is_none(), "it is over too soon: {}", bench.text("long.jsonl"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = lines(&bench, "long.jsonl");
    let [.., before, last] = &lines[..] else { panic!("{lines:?}") };
    assert!(last["exit_code"].is_null() && last["points"] == 4, "{last}");
    let (now, then) = (last["events"].as_u64().unwrap(), before["events"].as_u64().unwrap());
    assert!(now > then && last["events_per_s"].as_u64().unwrap() > 0, "{before} {last}");
    assert!(last["elapsed_s"].as_f64().unwrap() >= 1.0 && last["left_s"].as_f64().unwrap() > 0.0, "{last}");
    let running = &last["running"][0];
    assert_eq!((running["scenario"].as_str(), running["seed"].as_u64()), (Some("small"), Some(1)), "{last}");
    let (simulated, span) = (running["simulated_s"].as_f64().unwrap(), running["span_s"].as_f64().unwrap());
    assert!(0.0 < simulated && simulated < span && span == 86_401.0, "{last}");
}

#[test]
fn a_sweep_that_goes_on_counts_what_is_there() {
    let bench = bench();
    let axes = "[sweep]\nrepeat = 2\n[sweep.axes]\nnetwork.loss = [0, 0.1]\n";
    bench.write(
        "sweep.toml",
        &FOUR.replace("\"flat-gossip\", ", "").replace("[40, 60]\n", "40\n").replace("small", "sweep"),
    );
    bench.write("sweep.toml", &(bench.text("sweep.toml") + axes));
    let args = ["run", "sweep.toml", "--quiet", "--metrics-file", "sweep.jsonl"];
    assert_eq!(bench.command(&[&args[..], &["--shard", "1/2"]].concat()).status.code(), Some(0));
    assert_eq!(bench.command(&args).status.code(), Some(0));
    let lines = lines(&bench, "sweep.jsonl");
    let last: Vec<_> = lines.iter().filter(|line| !line["exit_code"].is_null()).collect();
    let counts = last.iter().map(|line| (line["points"].as_u64().unwrap(), line["points_done"].as_u64().unwrap()));
    assert_eq!(counts.collect::<Vec<_>>(), [(2, 2), (4, 4)]);
    assert!(last.iter().all(|line| line["events"].as_u64().unwrap() > 0), "{lines:?}");
}

#[test]
fn other_commands_and_failures_are_told_too() {
    let bench = bench();
    let code = |args: &[&str], code: i32| {
        let output = bench.command(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
    };
    code(&["accept", "small.toml", "--yes", "--metrics-file", "accept.jsonl"], 0);
    code(&["check", "small.toml", "--metrics-file", "check.jsonl"], 0);
    code(&["compare", "small.toml", "small.toml", "--repeat", "2", "--metrics-file", "compare.jsonl"], 0);
    for (name, points) in [("accept", 4), ("check", 4), ("compare", 16)] {
        let lines = lines(&bench, &format!("{name}.jsonl"));
        assert_ordered(&lines, 0);
        let last = lines.last().unwrap();
        assert_eq!((last["points"].as_u64(), last["points_done"].as_u64()), (Some(points), Some(points)), "{last}");
        assert_eq!(last["command"], name);
    }
    code(&["run", "none.toml", "--metrics-file", "none.jsonl"], 4);
    let failed = lines(&bench, "none.jsonl");
    assert_ordered(&failed, 4);
    assert!(failed[0]["points"].is_null() && failed[0]["left_s"].is_null(), "{failed:?}");
}

#[test]
fn a_torn_line_of_an_earlier_command_is_ended() {
    let bench = bench();
    bench.write("old.jsonl", "{\"elapsed_s\":1.0,\"poi");
    assert_eq!(bench.command(&["new", "--metrics-file", "old.jsonl"]).status.code(), Some(0));
    let text = bench.text("old.jsonl");
    let (torn, line) = text.split_once('\n').unwrap();
    assert!(torn.ends_with("poi") && serde_json::from_str::<Value>(line).unwrap()["exit_code"] == 0, "{text}");
}

#[test]
fn a_log_tells_points_and_files_and_changes_no_result() {
    let bench = bench();
    assert_eq!(bench.run(&["small.toml", "--quiet", "--out", "plain"]).status.code(), Some(0));
    let output = bench.run(&["small.toml", "--quiet", "--log", "debug"]);
    let log = said(&output);
    assert_eq!(output.status.code(), Some(0), "{log}");
    for part in ["the command begins", "a point begins", "a point ends", "results/small/summary.json", "exit_code=0"] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    assert_eq!(log.lines().filter(|line| line.contains("a point ends")).count(), 4, "{log}");
    assert_eq!(bench.text("results/small/metrics.csv"), bench.text("plain/small/metrics.csv"));

    let output = bench.run(&["small.toml", "--quiet", "--log", "warn,qnetsim::report=debug", "--log-file", "some.log"]);
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    let log = bench.text("some.log");
    assert!(log.contains("results/small/metrics.csv") && !log.contains("a point"), "{log}");
    // Without a filter the file gets what is told by default, behind what is there.
    assert_eq!(bench.command(&["new", "--log-file", "some.log"]).status.code(), Some(0));
    let longer = bench.text("some.log");
    assert!(longer.starts_with(&log) && longer[log.len()..].contains("the command ends"), "{longer}");
}

#[test]
fn what_cannot_be_logged_or_told_is_refused_at_once() {
    let bench = bench();
    let refused = |args: &[&str], code: i32, part: &str| {
        let output = bench.run(&[&["small.toml", "--quiet"], args].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{}", said(&output));
        assert!(said(&output).contains(part), "{}", said(&output));
    };
    refused(&["--log", "loud"], 2, "write a level");
    refused(&["--log-file", "none/some.log"], 4, "cannot write none/some.log");
    refused(&["--metrics-file", "none/run.jsonl"], 4, "cannot write none/run.jsonl");
    refused(&["--metrics-file", "."], 4, "cannot write .");
    assert!(!bench.exists("results"));
}

/// The results are worth more than what is told of them: they are made, and the exit code tells of the rest.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_logs_and_metrics_is_told_in_the_end() {
    let bench = bench();
    for what in ["--log-file", "--metrics-file"] {
        let output = bench.run(&["small.toml", "--quiet", "--out", &what[2..], what, "/dev/full"]);
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains("cannot write /dev/full: No space left"), "{}", said(&output));
        assert!(bench.exists(&format!("{}/small/summary.json", &what[2..])));
    }
    let gone = "\"$QNETSIM\" run small.toml --quiet --metrics-file /dev/fd/3 3>&1 | exec true";
    assert_eq!(said(&bench.shell(&format!("{{ {gone}; }}; true"))), "");
}
