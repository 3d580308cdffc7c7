//! Sweeps as users run them: whole, in shards, interrupted, with damaged files.

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::fs;

use bench::{Bench, said};

/// Six points with two seeds: twelve runs, done at once.
const SWEEP: &str = "name = \"six\"\nnodes = 60\napproaches = [\"ping\", \"flat-gossip\"]\nwarmup = \"1s\"\n\
    measure = \"5s\"\nheartbeat.interval = \"1s\"\n[sweep]\nrepeat = 2\n\
    constraints = [\"network.loss < 0.2 || nodes < 80\"]\n[sweep.axes]\nnetwork.loss = [0, 0.3]\nnodes = [60, 90]\n";

fn with_sweep() -> Bench {
    let bench = Bench::new();
    bench.write("six.toml", SWEEP);
    bench
}

/// Every file of the folder of a sweep, by name, with its contents; without what a run that was killed left half-written.
fn files(bench: &Bench, folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for name in bench.names(folder) {
        let path = format!("{folder}/{name}");
        match bench.path(&path).is_dir() {
            true => files.extend(bench.names(&path).into_iter().filter(|inner| !inner.starts_with('.')).map(|inner| {
                let inner = format!("{path}/{inner}");
                (inner.replacen(folder, "", 1), bench.text(&inner))
            })),
            false => files.push((name, bench.text(&path))),
        }
    }
    files
}

#[test]
fn a_sweep_runs_every_combination_and_writes_tidy_sheets() {
    let bench = with_sweep();
    let text = bench.printed(&["run", "six.toml"]);
    for part in ["Sweep six (means over seeds 1 to 2", "12 runs done", "Results are in results/six"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert_eq!(bench.names("results/six"), ["runs", "sweep-means.csv", "sweep.csv", "sweep.json", "tables.txt"]);
    assert_eq!(bench.names("results/six/runs").len(), 12);
    let sheet = bench.text("results/six/sweep.csv");
    let mut reader = csv::Reader::from_reader(sheet.as_bytes());
    let header: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, ["network.loss", "nodes_axis", "approach", "nodes", "seed", "metric", "unit", "value"]);
    let rows: Vec<Vec<String>> = reader.deserialize().map(Result::unwrap).collect();
    let sent: Vec<_> = rows.iter().filter(|row| row[5] == "messages.sent").collect();
    let names: Vec<_> = sent.iter().map(|row| row[..5].join(" ")).collect();
    assert_eq!(sent.len(), 12);
    assert_eq!(names[..3], ["0 60 ping 60 1", "0 60 ping 60 2", "0 60 flat-gossip 60 1"]);
    assert!(!names.iter().any(|name| name.starts_with("0.3 90")), "the constraint takes it away");
    // 60 nodes send a ping each second for five seconds.
    assert_eq!(sent[0][7], "300");
    let means = bench.text("results/six/sweep-means.csv");
    assert!(means.lines().nth(1).unwrap().starts_with("0,60,ping,60,messages.sent,1,300,0,2,300,300"), "{means}");
}

#[test]
fn a_combination_gives_what_the_scenario_gives_alone() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet"]);
    let plain = SWEEP.split("[sweep]").next().unwrap();
    bench.write("plain.toml", plain);
    let sets = ["--set", "network.loss=0.3", "--seed", "2", "--quiet"];
    bench.printed(&[&["run", "plain.toml"], &sets[..]].concat());
    let alone = bench.text("results/six/metrics.csv");
    let (mut seen, sweep) = (0, bench.text("results/six/sweep.csv"));
    for row in alone.lines().skip(1) {
        let cells: Vec<_> = row.split(',').collect();
        let [approach, nodes, _, metric, unit, value] = cells[..] else { panic!("{row}") };
        let expected = format!("\n0.3,60,{approach},{nodes},2,{metric},{unit},{value}\n");
        assert!(sweep.contains(&expected), "{expected}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn results_are_the_same_on_any_number_of_threads_and_when_a_sweep_goes_on() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet", "--threads", "1", "--out", "one"]);
    bench.printed(&["run", "six.toml", "--quiet", "--threads", "2", "--out", "two"]);
    let whole = files(&bench, "one/six");
    assert!(whole == files(&bench, "two/six"));
    // Interrupted: some runs and no sheets.
    for name in &bench.names("two/six/runs")[..5] {
        fs::remove_file(bench.path(&format!("two/six/runs/{name}"))).unwrap();
    }
    for name in ["sweep.csv", "sweep-means.csv", "tables.txt"] {
        fs::remove_file(bench.path(&format!("two/six/{name}"))).unwrap();
    }
    let text = bench.printed(&["run", "six.toml", "--out", "two", "--threads", "3"]);
    assert!(text.contains("12 runs: 7 were there already, 5 done now"), "{text}");
    assert!(whole == files(&bench, "two/six"));
    let text = bench.printed(&["run", "six.toml", "--out", "two"]);
    assert!(text.contains("12 runs: 12 were there already, 0 done now"), "{text}");
    assert!(whole == files(&bench, "two/six"));
}

#[test]
fn shards_are_merged_to_what_one_run_gives_also_when_one_was_killed() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet", "--out", "full"]);
    let text = bench.printed(&["run", "six.toml", "--shard", "1/2", "--out", "a"]);
    assert!(text.contains("6 runs of shard 1/2 done\n6 of the 12 runs of the sweep are in a/six"), "{text}");
    bench.printed(&["run", "six.toml", "--shard", "2/2", "--out", "b", "--quiet"]);
    // As if the second shard had been killed: one run is missing, one is torn, and a temporary file is left.
    let of_second = bench.names("b/six/runs");
    fs::remove_file(bench.path(&format!("b/six/runs/{}", of_second[0]))).unwrap();
    bench.write("b/six/runs/.qnetsim-x.tmp", "{");
    let error = bench.refused(&["merge", "a/six", "b/six", "-o", "all/six"], 2);
    for part in ["1 of the 12 runs of the sweep are missing, so nothing is written", "seed 2", "six.toml --shard I/N"] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    assert!(!bench.exists("all"), "nothing is written");
    let torn = format!("b/six/runs/{}", of_second[1]);
    let text = bench.text(&torn);
    bench.write(&torn, &text[..text.len() / 2]);
    let error = bench.refused(&["merge", "a/six", "b/six", "-o", "all/six"], 4);
    assert!(error.contains("it is damaged") && error.contains("run that shard again"), "{error}");
    let output = bench.run(&["six.toml", "--shard", "2/2", "--out", "b"]);
    assert!(said(&output).starts_with("warning: cannot use b/six/runs/"), "{}", said(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("6 runs of shard 2/2: 4 were there already, 2 done now"), "{stdout}");
    let text = bench.printed(&["merge", "a/six", "b/six", "-o", "all/six"]);
    assert!(text.contains("12 runs of 2 folders\nResults are in all/six"), "{text}");
    assert!(files(&bench, "full/six") == files(&bench, "all/six"));
    // Into one of the shards, and into the folder where all already is.
    bench.printed(&["merge", "a/six", "b/six", "-o", "a/six", "--quiet"]);
    assert!(files(&bench, "full/six") == files(&bench, "a/six"));
}

#[test]
fn a_sweep_that_is_killed_goes_on_where_it_was() {
    let bench = with_sweep();
    let args = ["run", "six.toml", "--threads", "1", "--set", "sweep.repeat=20"];
    bench.printed(&[&args[..], &["--quiet", "--out", "full"]].concat());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_qnetsim"));
    let mut child = command.current_dir(bench.path(".")).args(args).args(["--quiet", "--out", "cut"]).spawn().unwrap();
    let finished = || match bench.exists("cut/six/runs") {
        true => bench.names("cut/six/runs").iter().filter(|name| name.ends_with(".json")).count(),
        false => 0,
    };
    while finished() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "it ends before it has done anything");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let there = finished();
    assert!((3..120).contains(&there) && !bench.exists("cut/six/sweep.csv"), "{there}");
    let text = bench.printed(&[&args[..], &["--out", "cut"]].concat());
    let expected = format!("120 runs: {there} were there already, {} done now", 120 - there);
    assert!(text.contains(&expected), "{expected}\n{text}");
    assert!(files(&bench, "full/six") == files(&bench, "cut/six"));
}

#[test]
fn shards_that_share_a_folder_need_no_merge() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet", "--out", "full"]);
    for shard in ["3/3", "1/3", "2/3"] {
        bench.printed(&["run", "six.toml", "--quiet", "--shard", shard, "--out", "one"]);
    }
    assert!(files(&bench, "full/six") == files(&bench, "one/six"));
}

#[test]
fn stored_files_that_are_not_what_they_should_be_are_made_again_or_refused() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet"]);
    let whole = files(&bench, "results/six");
    let names = bench.names("results/six/runs");
    let [torn, foreign, newer] = [0, 1, 2].map(|index| format!("results/six/runs/{}", names[index]));
    let text = bench.text(&torn);
    bench.write(&torn, &text[..text.len() - 20]);
    bench.write(&foreign, &bench.text(&format!("results/six/runs/{}", names[5])));
    let output = bench.run(&["six.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output).matches("warning: cannot use").count(), 2, "{}", said(&output));
    assert!(said(&output).contains("it is the result of another run"), "{}", said(&output));
    assert!(whole == files(&bench, "results/six"));
    let kept = bench.text(&newer).replace("\"format\":1", "\"format\":2");
    bench.write(&newer, &kept);
    let error = bench.refused(&["run", "six.toml"], 4);
    assert!(error.contains("it has format 2, and this version reads 1"), "{error}");
    assert_eq!(bench.text(&newer), kept, "what a newer version wrote is kept");
}

#[test]
fn a_manifest_is_hostile_input_too() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet"]);
    let whole = files(&bench, "results/six");
    let manifest = bench.text("results/six/sweep.json");
    bench.write("results/six/sweep.json", &manifest[..manifest.len() / 2]);
    let error = bench.refused(&["merge", "results/six", "-o", "all"], 4);
    assert!(error.contains("cannot use results/six/sweep.json: it is damaged"), "{error}");
    bench.write("results/six/sweep.json", &manifest.replace("\"sweep\": \"six\"", "\"sweep\": \"../six\""));
    assert!(bench.refused(&["merge", "results/six", "-o", "all"], 4).contains("cannot be that of a folder"));
    // A run writes it anew, and finds its runs again.
    bench.printed(&["run", "six.toml", "--quiet"]);
    assert!(whole == files(&bench, "results/six"));
    bench.write("results/six/sweep.json", &manifest.replace("\"format\": 1", "\"format\": 2"));
    assert!(bench.refused(&["run", "six.toml"], 4).contains("it has format 2"));
}

#[test]
fn shards_of_different_sweeps_are_not_merged() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet", "--shard", "1/2", "--out", "a"]);
    bench.printed(&["run", "six.toml", "--quiet", "--shard", "2/2", "--out", "b", "--set", "sweep.repeat=1"]);
    let error = bench.refused(&["merge", "a/six", "b/six", "-o", "all"], 2);
    assert!(error.contains("are not of the same sweep: they have other seeds"), "{error}");
    bench.printed(&["run", "six.toml", "--quiet", "--shard", "2/2", "--out", "c", "--set", "measure=6s"]);
    let error = bench.refused(&["merge", "a/six", "c/six", "-o", "all"], 2);
    assert!(error.contains("they have other combinations"), "{error}");
    bench.write("empty.txt", "");
    let error = bench.refused(&["merge", "a", "-o", "all"], 4);
    assert!(error.contains("holds no results of a sweep") && error.contains("DIR/NAME"), "{error}");
    assert!(!bench.exists("all"));
}

#[test]
fn a_changed_sweep_takes_old_sheets_away_and_keeps_the_runs_that_are_the_same() {
    let bench = with_sweep();
    bench.printed(&["run", "six.toml", "--quiet"]);
    let text = bench.printed(&["run", "six.toml", "--set", "sweep.repeat=3", "--shard", "1/99"]);
    assert!(text.contains("1 runs of shard 1/99: 1 were there already"), "{text}");
    assert_eq!(bench.names("results/six"), ["runs", "sweep.json"], "sheets of the other sweep are gone");
    let text = bench.printed(&["run", "six.toml", "--set", "sweep.repeat=3"]);
    assert!(text.contains("18 runs: 12 were there already, 6 done now"), "{text}");
}

#[test]
fn a_list_tells_points_seeds_and_memory_and_runs_nothing() {
    let bench = with_sweep();
    let text = bench.printed(&["run", "six.toml", "--list", "--shard", "2/5"]);
    for part in [
        "loss",
        "approach",
        "events",
        "1-2",
        "MiB",
        "side by side",
        "6 points, 2 seeds, 12 runs, of which shard 2/5 makes 3",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let listed: serde_json::Value =
        serde_json::from_str(&bench.printed(&["run", "six.toml", "--list", "--format", "json"])).unwrap();
    assert_eq!((&listed["runs"], &listed["points"][5]["axes"]["network.loss"]), (&12.into(), &"0.3".into()));
    assert!(listed["points"][0]["memory_bytes"].as_u64().unwrap() > 1 << 20);
    // Sixty nodes each have a timer and hear a message every second, for six seconds.
    assert_eq!(listed["points"][0]["events"], 60 * 2 * 6);
    let text = bench.printed(&["run", "small.toml", "--list"]);
    assert!(text.contains("small: 10 points, 1 seeds, 10 runs") && text.contains("alone"), "{text}");
    assert!(!bench.exists("results"));
}

#[test]
fn a_plan_tells_where_the_points_of_a_sweep_are_told() {
    let output = with_sweep().command(&["plan", "six.toml", "--no-time"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("without its sweep") && said(&output).contains("run six.toml --list"));
}

#[test]
fn thresholds_are_held_against_every_run_of_a_sweep() {
    let bench = with_sweep();
    let thresholds = "[thresholds]\n\"messages.dropped\" = \"== 0\"\n";
    bench.write("asked.toml", &format!("{}{thresholds}", bench.text("six.toml")));
    let text = bench.printed(&["run", "asked.toml", "--quiet"]);
    assert_eq!(text, "");
    let sheet = bench.text("results/six/sweep-thresholds.csv");
    let verdicts: Vec<_> =
        sheet.lines().skip(1).map(|line| (line.starts_with("0,"), line.ends_with(",0,pass"))).collect();
    assert_eq!(verdicts.len(), 12);
    assert!(verdicts.iter().all(|(without_loss, passed)| without_loss == passed), "{sheet}");
    let text = bench.printed(&["run", "asked.toml"]);
    let failed = "Thresholds: 8 passed, 4 failed\n  messages.dropped == 0: network.loss = 0.3, nodes = 60, ping, 60 nodes, seed 1\n";
    assert!(text.contains(failed), "{text}");
}

#[test]
fn arguments_that_a_sweep_cannot_take_are_refused() {
    let bench = with_sweep();
    assert!(bench.refused(&["run", "small.toml", "--shard", "1/2"], 2).contains("has no sweep, so it has no shards"));
    for shard in ["0/2", "3/2", "1", "a/b", "1/0"] {
        assert!(bench.refused(&["run", "six.toml", "--shard", shard], 2).contains("write I/N"), "{shard}");
    }
    let output = bench.command(&["check", "six.toml"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout.contains("has a sweep, and baselines are of single scenarios: qnetsim run six.toml"), "{stdout}");
    assert!(bench.refused(&["accept", "six.toml", "--yes"], 2).contains("baselines are of single scenarios"));
    let error = bench.refused(&["run", "six.toml", "--set", "sweep.axes.nodes=[1]"], 2);
    assert!(error.contains("--set sweep.axes.nodes=[1]") && error.contains("from 2"), "{error}");
    assert!(!bench.exists("results"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_point_that_will_not_fit_is_refused_before_anything_runs() {
    let bench = with_sweep();
    let error = bench.refused(&["run", "six.toml", "--set", "sweep.axes.nodes=[60, \"4G\"]"], 3);
    for part in ["error[Q0300]: sweep \"six\" will not fit: network.loss = 0, nodes = 4G", "nodes < 4000000000"] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    assert!(!bench.exists("results"));
}

#[test]
fn seeds_overrides_and_formats_work_as_for_a_single_scenario() {
    let bench = with_sweep();
    assert_eq!(bench.printed(&["run", "six.toml", "--quiet", "--seed", "5", "--set", "nodes=70"]), "");
    let manifest: serde_json::Value = serde_json::from_str(&bench.text("results/six/sweep.json")).unwrap();
    assert_eq!(manifest["seeds"], serde_json::json!([5, 6]));
    assert_eq!(manifest["command"], "qnetsim run six.toml --set nodes=70 --set seed=5");
    // 0.3 goes with fewer than 80 nodes.
    assert_eq!(manifest["combinations"].as_array().unwrap().len(), 2);
    let text = bench.printed(&["run", "six.toml", "--seed", "5", "--set", "nodes=70", "--format", "json"]);
    let means: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(means["points"][0]["metrics"]["messages.sent"]["mean"], 350.0);
    assert_eq!(bench.names("results/six").len(), 5);
}
