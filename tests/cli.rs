//! The command as users meet it: files, tables, messages and exit codes.

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::fs;

use bench::{Bench, EMPTY, FILES, SMALL, said};
#[cfg(target_os = "linux")]
use qnetsim::{
    metrics::available_memory,
    scenario::{load, plan},
};

#[test]
fn a_run_writes_every_file_and_prints_the_tables() {
    let bench = Bench::new();
    let output = bench.run(&["small.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    for part in ["Network load, messages per second", "Bandwidth per node in Mbps", "Light Node", "Results are in"] {
        assert!(stdout.contains(part), "{part:?} is not in\n{stdout}");
    }
    assert!(stdout.lines().all(|line| line.chars().count() <= 100), "{stdout}");
    assert!(output.stderr.is_empty(), "no progress off a terminal: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(bench.names("results/small"), FILES);
    let tables = bench.text("results/small/tables.txt");
    assert!(tables.starts_with("$ qnetsim run small.toml\n\nNetwork load"), "{tables}");
    assert!(stdout.starts_with(tables.split_once("\n\n").unwrap().1));
    for file in FILES.iter().filter(|name| name.ends_with(".csv")) {
        let has_rows = bench.text(&format!("results/small/{file}")).lines().count() > 1;
        assert_eq!(has_rows, !EMPTY.contains(file), "{file}");
    }
}

#[test]
fn tables_are_chosen_by_the_scenario() {
    let bench = Bench::new();
    let output = bench.run(&["small.toml", "--set", "tables=bandwidth"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("Bandwidth per node") && !stdout.contains("Network load"), "{stdout}");
    let chosen = "tables=[\"drops\", \"population\", \"detection\"]";
    let output = bench.run(&["small.toml", "--set", chosen, "--set", "approaches=ping"]);
    let nothing = "Dropped messages: none.\n\nLive nodes: all of them all the time.\n\nFailure detection: no approach";
    assert!(output.stdout.starts_with(nothing.as_bytes()), "{}", said(&output));
    let lossy = ["small.toml", "--set", "tables=drops", "--set", "approaches=ping", "--set", "network.loss=0.1"];
    let output = bench.run(&lossy);
    assert!(output.stdout.starts_with(b"Dropped messages (seed 1)\n\napproach"), "{}", said(&output));
    assert!(bench.text("results/small/drops.csv").contains("ping,200,all,all,lost,"));
}

#[test]
fn quiet_prints_nothing_and_json_prints_the_summary() {
    let bench = Bench::new();
    for format in ["human", "json"] {
        let output = bench.run(&["small.toml", "--quiet", "--format", format]);
        assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
    }
    let output = bench.run(&["small.toml", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), bench.text("results/small/summary.json"));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["deterministic"]["scenario"], "small");
    assert_eq!(summary["deterministic"]["points"].as_array().map(Vec::len), Some(10));
}

/// The place of a file among [`results`].
fn place(name: &str) -> usize {
    FILES.iter().filter(|file| **file != "summary.json").position(|file| *file == name).expect("it is written")
}

/// The bytes of every file that must not differ between machines, and the deterministic part of the summary.
fn results(bench: &Bench, out: &str, args: &[&str]) -> Vec<String> {
    let output = bench.run(&[&["small.toml", "--quiet", "--out", out], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let files = FILES.iter().filter(|name| **name != "summary.json");
    let mut texts: Vec<_> = files.map(|name| bench.text(&format!("{out}/small/{name}"))).collect();
    texts.push(bench.summary(out)["deterministic"].to_string());
    texts
}

#[test]
fn results_are_the_same_for_every_number_of_threads_and_every_run() {
    let bench = Bench::new();
    let expected = results(&bench, "one", &["--threads", "1"]);
    for (out, args) in
        [("two", &["--threads", "2"][..]), ("three", &["--threads", "3"]), ("again", &["--threads", "1"]), ("all", &[])]
    {
        assert!(results(&bench, out, args) == expected, "{out} differs");
    }
    for (out, partitions) in [("undivided", 1), ("divided", 64)] {
        let args = ["--threads", "2", "--partitions", &partitions.to_string()];
        assert!(results(&bench, out, &args) == expected, "{out} differs");
        assert_eq!(bench.summary(out)["engine"]["points"][9]["partitions"], partitions);
    }
}

#[test]
fn partitions_are_chosen_for_single_runs_alone() {
    let bench = Bench::new();
    for number in ["0", "3", "2048", "all"] {
        let output = bench.run(&["small.toml", "--partitions", number]);
        assert_eq!(output.status.code(), Some(2), "{number}");
        assert!(said(&output).contains("write a power of two from 1 to 1024"), "{}", said(&output));
    }
    bench.write("swept.toml", &(SMALL.to_owned() + "[sweep]\nrepeat = 2\n"));
    let output = bench.run(&["swept.toml", "--partitions", "4"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("run it without --partitions"), "{}", said(&output));
    assert!(!bench.exists("results"));
}

#[test]
fn a_seed_is_an_override_and_gives_another_run() {
    let bench = Bench::new();
    let (first, seeded) = (results(&bench, "first", &[]), results(&bench, "seeded", &["--seed", "7"]));
    assert_eq!(seeded, results(&bench, "set", &["--set", "seed=7"]));
    let tables = &seeded[place("tables.txt")];
    assert!(tables.starts_with("$ qnetsim run small.toml --set seed=7\n"), "{tables}");
    let digests = |out: &str| {
        let points = bench.summary(out)["deterministic"]["points"].take();
        points.as_array().unwrap().iter().map(|point| point["digest"].to_string()).collect::<Vec<_>>()
    };
    assert!(digests("first").iter().zip(digests("seeded")).all(|(one, other)| *one != other));
    let timeline = place("timeline.csv");
    assert_ne!(first[timeline], seeded[timeline]);
}

#[test]
fn the_command_in_the_results_repeats_them() {
    let bench = Bench::new();
    let expected =
        results(&bench, "first", &["--set", "nodes=[150,300]", "--set", "approaches=[\"ping\", \"gossip\"]"]);
    let command = bench.summary("first")["deterministic"]["command"].as_str().unwrap().to_owned();
    let output = bench.shell(&format!("{} --quiet --out again", command.replacen("qnetsim", "\"$QNETSIM\"", 1)));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(bench.text("again/small/messages.csv"), expected[place("messages.csv")]);
    assert_eq!(bench.text("again/small/tables.txt"), expected[place("tables.txt")]);
}

#[test]
fn an_override_is_taken_and_a_bad_one_is_named() {
    let bench = Bench::new();
    let output = bench.run(&["small.toml", "--quiet", "--set", "nodes=123", "--set", "approaches=ping"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let points = bench.summary("results")["deterministic"]["points"].take();
    assert_eq!(points.as_array().map(Vec::len), Some(1));
    assert_eq!((&points[0]["approach"], &points[0]["nodes"]), (&"ping".into(), &123.into()));
    for set in ["nodes=1Q", "nodse=5", "nodes", "network.loss=2"] {
        let output = bench.run(&["small.toml", "--out", "none", "--set", set]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(&format!("--set {set}")), "{}", said(&output));
    }
    assert!(!bench.exists("none"));
}

#[test]
fn everything_wrong_is_said_at_once_and_nothing_is_written() {
    let bench = Bench::new();
    let text = "name = \"bad\"\nnodes = \"1Q\"\napproaches = \"pong\"\nmesure = \"3s\"\n[network]\nloss = 1.5\n";
    bench.write("bad.toml", text);
    bench.write("worse.toml", "name = \"a b\"\nnodes = 5\napproaches = \"ping\"\n");
    let output = bench.run(&["bad.toml", "small.toml", "worse.toml"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", said(&output));
    let stderr = said(&output);
    for place in ["bad.toml:2:9", "bad.toml:3:14", "bad.toml:4:1", "bad.toml:6:8", "worse.toml:1:8"] {
        assert!(stderr.contains(place), "{place} is not in\n{stderr}");
    }
    assert!(stderr.contains("write `measure`") && stderr.contains("write \"ping\""), "{stderr}");
    assert!(stderr.matches('^').count() >= 5 && !stderr.contains('\u{1b}'), "{stderr}");
    assert!(!bench.exists("results"));
}

#[test]
fn files_that_are_no_scenarios_are_refused() {
    let bench = Bench::new();
    bench.write("large.toml", &format!("{SMALL}#{}", "x".repeat(2_000_000)));
    fs::create_dir(bench.path("folder")).unwrap();
    fs::write(bench.path("latin1.toml"), b"name = \"\xe4\"").unwrap();
    for (file, code, parts) in [
        ("large.toml", 2, ["larger than 2000000 bytes", "large.toml"]),
        ("latin1.toml", 2, ["not UTF-8", "line 1, column 9"]),
        ("missing.toml", 4, ["missing.toml", "No such file"]),
        ("folder", 4, ["folder", "directory"]),
    ] {
        let output = bench.run(&[file]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        let stderr = said(&output);
        assert!(stderr.starts_with("error[Q0") && parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
    assert!(!bench.exists("results"));
}

#[test]
fn several_scenarios_run_in_one_go_but_need_names_of_their_own() {
    let bench = Bench::new();
    bench.write("other.toml", &SMALL.replace("small", "other"));
    let output = bench.run(&["small.toml", "other.toml", "--set", "approaches=ping", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!([bench.names("results/small"), bench.names("results/other")], [FILES, FILES]);
    let both = bench.text("results/small/summary.json") + &bench.text("results/other/summary.json");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), both);

    bench.write("copy.toml", SMALL);
    let output = bench.run(&["small.toml", "copy.toml", "--out", "none"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let stderr = said(&output);
    assert!(["small.toml", "copy.toml", "\"small\""].iter().all(|part| stderr.contains(part)), "{stderr}");
    assert!(!bench.exists("none"));
}

/// A machine would need terabytes for these, so none has them.
#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::disallowed_methods, reason = "bounds the wall time of saying no")]
fn what_will_not_fit_is_refused_at_once_with_a_size_that_fits() {
    let bench = Bench::new();
    let mesh = ["nodes=1M", "approaches=full-mesh", "approach.full-mesh.event_nodes_max=1M"];
    let busy = ["nodes=4G", "approaches=ping", "heartbeat.interval=1ms", "network.latency.max=1s"];
    let memory = ["nodes=4G", "approaches=gossip", "approach.gossip.seen=1M"];
    for sets in [&mesh[..], &busy, &memory] {
        let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let start = std::time::Instant::now();
        let output = bench.run(&[&["small.toml", "--out", "none"], &args[..]].concat());
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        let stderr = said(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{stderr}");
        assert!(stderr.contains("will not fit") && stderr.contains("reduce `nodes`"), "{stderr}");
        let size = stderr.split("--set nodes=").nth(1).and_then(|rest| rest.split(' ').next()).expect(&stderr);
        assert!(size.parse::<u32>().is_ok_and(|size| size >= 100), "{stderr}");
        let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).chain([format!("nodes={size}")]).collect();
        let scenario = load(&bench.path("small.toml"), &sets).unwrap();
        let needed = plan::memory(&scenario, &scenario.points[0], 2);
        assert!(needed <= available_memory().unwrap(), "{stderr}");
    }
    assert!(!bench.exists("none"));
}

/// Holds the memory that is expected of a run on two threads against the memory that it took: at most so many times that,
/// and 85 % of it or, because a build for tests has more code, 16 MiB less.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_estimate(approach: &str, nodes: u32, sets: &[&str], times_max: f64) {
    let bench = Bench::new();
    let point = [format!("nodes={nodes}"), format!("approaches={approach}")];
    let sets: Vec<String> = point.into_iter().chain(sets.iter().map(|set| (*set).to_owned())).collect();
    let scenario = load(&bench.path("small.toml"), &sets).unwrap();
    let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let output = bench.run(&[&["small.toml", "--quiet", "--threads", "2"], &args[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let peak = bench.summary("results")["engine"]["points"][0]["peak_memory_bytes"].as_u64().unwrap();
    let expected = plan::memory(&scenario, &scenario.points[0], 2);
    let is_enough = expected + (16 << 20) >= peak || expected as f64 >= 0.85 * peak as f64;
    assert!(is_enough && expected as f64 <= times_max * peak as f64, "{approach}: {expected} of {peak}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_estimate_is_hardly_less_than_what_a_run_takes_and_no_more_than_twice() {
    for (approach, nodes) in [("ping", 300_000), ("hierarchical", 300_000), ("swim", 300_000), ("full-mesh", 3_000)] {
        assert_estimate(approach, nodes, &["approach.full-mesh.event_nodes_max=3K"], 2.0);
    }
}

/// Of 20,000 members 80 crash, and each of the others suspects them and takes them for down: three million verdicts, which
/// take more than everything else.
#[cfg(target_os = "linux")]
#[test]
fn the_estimate_counts_verdicts() {
    let crash = "faults={ crash = { at = '1s', share = 0.004 } }";
    let sets = [crash, "warmup=0s", "measure=40s", "tables=detection"];
    assert_estimate("swim", 20_000, &sets, 2.0);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes a minute; run alone"]
fn the_estimate_of_a_million_nodes_is_at_most_half_too_high() {
    let sets = ["heartbeat.interval=30s", "measure=30s", "approach.gossip.measure=4s"];
    for approach in ["ping", "hierarchical", "flat-gossip", "gossip", "swim", "full-mesh"] {
        assert_estimate(approach, 1_000_000, &sets, 1.5);
    }
}

#[test]
fn a_place_that_cannot_hold_results_is_refused_before_the_run() {
    let bench = Bench::new();
    bench.write("file", "precious");
    for out in ["file", "file/inner"] {
        let output = bench.run(&["small.toml", "--out", out]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0), "{}", said(&output));
        let stderr = said(&output);
        assert!(stderr.contains("cannot create the folder file") && stderr.contains(": "), "{stderr}");
    }
    assert_eq!(bench.text("file"), "precious");
}

/// A limit on the size of files stands for a full disk: both fail in the middle of a write.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_the_earlier_results_as_they_were() {
    let bench = Bench::new();
    let small = "--set nodes=150 --set timeline=1ms --quiet";
    let limited = format!("ulimit -f 16; trap '' XFSZ; exec \"$QNETSIM\" run small.toml {small}");
    let output = bench.shell(&limited);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("cannot write results/small/timeline.csv: File too large"), "{}", said(&output));
    assert_eq!(bench.names("results/small"), [""; 0], "neither finished nor temporary files are left");

    assert_eq!(bench.run(&["small.toml", "--quiet"]).status.code(), Some(0));
    let earlier = FILES.map(|name| bench.text(&format!("results/small/{name}")));
    let output = bench.shell(&limited);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!(bench.names("results/small"), FILES);
    assert!(FILES.map(|name| bench.text(&format!("results/small/{name}"))) == earlier);
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_goes_away_is_no_error_but_a_full_disk_behind_standard_output_is() {
    let bench = Bench::new();
    for format in ["human", "json"] {
        // The reader is gone before the first byte is written.
        let run = format!("\"$QNETSIM\" run small.toml --format {format}");
        let output = bench.shell(&format!("{{ {run}; echo code $? >&2; }} | exec true"));
        assert_eq!(said(&output), "code 0\n");
        let output = bench.shell(&format!("{{ {run}; echo code $? >&2; }} | head -n 1"));
        assert_eq!(said(&output), "code 0\n");
        let output = bench.shell(&format!("{run} > /dev/full"));
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains("cannot write to standard output"), "{}", said(&output));
    }
}

#[test]
fn help_is_the_manual() {
    let bench = Bench::new();
    let none = bench.command(&[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(said(&none).contains("Try:") && said(&none).contains("qnetsim --help"), "{}", said(&none));
    let help = |args: &[&str]| {
        let output = bench.command(args);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    for text in [help(&["--help"]), help(&["-h"])] {
        assert!(text.contains("run") && text.contains("Exit codes: 0 ok; 2 bad scenario"), "{text}");
    }
    let run = help(&["run", "--help"]);
    for part in ["Examples:", "--set", "--threads", "--seed", "--out", "--quiet", "--format", "Exit codes"] {
        assert!(run.contains(part), "{part} is not in\n{run}");
    }
    assert_eq!(help(&["--version"]), format!("qnetsim {}\n", env!("CARGO_PKG_VERSION")));
    for bad in [&["run"][..], &["fly"], &["run", "small.toml", "--threads", "0"], &["run", "small.toml", "--seed", "x"]]
    {
        assert_eq!(bench.command(bad).status.code(), Some(2), "{bad:?}");
    }
    assert!(!bench.exists("results"));
}

#[cfg(not(feature = "mpi"))]
#[test]
fn what_mpi_launches_is_refused_once_by_a_build_for_one_process() {
    let bench = Bench::new();
    let launched = |launcher: [&str; 2], rank: u32, args: &str| {
        let [size, own] = launcher;
        bench.shell(&format!("{size}=2 {own}={rank} \"$QNETSIM\" run small.toml {args}"))
    };
    let (open_mpi, mpich) = (["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"], ["PMI_SIZE", "PMI_RANK"]);
    for launcher in [open_mpi, mpich, ["SLURM_STEP_NUM_TASKS", "PMIX_RANK"]] {
        let first = launched(launcher, 0, "");
        assert_eq!(first.status.code(), Some(2), "{}", said(&first));
        assert!(
            said(&first).contains("one of 2 processes") && said(&first).contains("--features mpi"),
            "{}",
            said(&first)
        );
        let second = launched(launcher, 1, "");
        assert_eq!((second.status.code(), said(&second).as_str()), (Some(0), ""));
        // The shards of a sweep may be launched by anybody.
        assert!(said(&launched(launcher, 1, "--shard 1/2")).contains("has no sweep"));
    }
    assert!(!bench.exists("results"));
}
