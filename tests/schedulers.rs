//! Sweeps under schedulers: the scripts for Slurm and Kubernetes and the line for GNU parallel, with shards that are killed.
#![cfg(unix)]

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use bench::{Bench, said};

/// Four points with sixteen seeds.
const SWEEP: &str = "name = \"many\"\nnodes = 60\napproaches = [\"ping\", \"flat-gossip\"]\nwarmup = \"1s\"\n\
    measure = \"5s\"\nheartbeat.interval = \"1s\"\n[sweep]\nrepeat = 16\n[sweep.axes]\nnetwork.loss = [0, 0.3]\n";
const SHARDS: usize = 3;

/// The sweep, and what one run of all of it gives in `whole`.
fn with_sweep() -> Bench {
    let bench = Bench::new();
    bench.write("sweep.toml", SWEEP);
    let output = bench.run(&["sweep.toml", "--quiet", "--out", "whole"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    bench
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// Starts `program` in the folder of `bench`, where `qnetsim` is in PATH.
fn start(bench: &Bench, program: &str, args: &[&str], variables: &[(&str, String)]) -> Child {
    let mut command = Command::new(program);
    let folder = Path::new(env!("CARGO_BIN_EXE_qnetsim")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path))).unwrap();
    command.current_dir(bench.path("")).env("PATH", path).args(args);
    command.envs(variables.iter().map(|(name, value)| (*name, value))).spawn().unwrap()
}

/// Starts all shards at once, kills the second when it has done something, starts it again, and waits for all.
#[track_caller]
fn run_shards(bench: &Bench, start: impl Fn(usize) -> Child) {
    let mut children: Vec<Child> = (1..=SHARDS).map(&start).collect();
    let records = || fs::read_dir(bench.path("out/shard-2/many/runs")).map_or(0, Iterator::count);
    while records() < 2 {
        assert!(children[1].try_wait().unwrap().is_none(), "it ends before it has done anything");
        std::thread::sleep(Duration::from_millis(1));
    }
    children[1].kill().unwrap();
    assert_eq!(children[1].wait().unwrap().code(), None, "it is over before it was killed");
    children[1] = start(2);
    for (index, mut child) in children.into_iter().enumerate() {
        assert_eq!(child.wait().unwrap().code(), Some(0), "shard {}", index + 1);
    }
}

/// The combined shards have the bytes of one run, and each shard told how far it came.
#[track_caller]
fn assert_whole(bench: &Bench) {
    for name in ["sweep.json", "sweep.csv", "sweep-means.csv", "tables.txt"] {
        assert!(bench.text(&format!("out/all/{name}")) == bench.text(&format!("whole/many/{name}")), "{name}");
    }
    assert_eq!(bench.names("out/all/runs"), bench.names("whole/many/runs"));
}

#[track_caller]
fn assert_told(bench: &Bench) {
    for shard in 1..=SHARDS {
        let text = bench.text(&format!("out/shard-{shard}.jsonl"));
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((&last["exit_code"], &last["points_done"]), (&0.into(), &last["points"]), "{text}");
    }
}

#[test]
fn an_array_of_slurm_jobs_goes_on_after_a_kill_and_is_merged() {
    let bench = with_sweep();
    let script = script("slurm-array.sh");
    let script = script.to_str().unwrap();
    run_shards(&bench, |shard| {
        let variables = [("SLURM_ARRAY_TASK_ID", shard.to_string()), ("SLURM_CPUS_PER_TASK", "1".to_owned())];
        start(&bench, script, &[&SHARDS.to_string(), "sweep.toml", "out"], &variables)
    });
    assert_told(&bench);
    assert_eq!(start(&bench, script, &["merge", "out"], &[]).wait().unwrap().code(), Some(0));
    assert_whole(&bench);
    // Outside of an array it tells how it is used.
    assert_eq!(start(&bench, script, &["3", "sweep.toml", "out"], &[]).wait().unwrap().code(), Some(2));
}

/// The lines of shell in the job.
fn lines_of_job() -> String {
    let text = fs::read_to_string(script("k8s-indexed-job.yaml")).unwrap();
    let mut lines = text.lines().skip_while(|line| line.trim() != "- |").skip(1).peekable();
    let indent = lines.peek().map_or(0, |line| line.len() - line.trim_start().len());
    let block = lines.take_while(|line| line.len() - line.trim_start().len() >= indent);
    block.map(|line| format!("{}\n", &line[indent..])).collect()
}

#[test]
fn an_indexed_job_of_kubernetes_goes_on_after_a_kill_and_is_merged() {
    let bench = with_sweep();
    let lines = lines_of_job();
    assert!(lines.starts_with("shard=") && lines.contains("exec qnetsim run"), "{lines}");
    run_shards(&bench, |shard| {
        let variables = [
            ("JOB_COMPLETION_INDEX", (shard - 1).to_string()),
            ("SHARDS", SHARDS.to_string()),
            ("SCENARIO", "sweep.toml".to_owned()),
            ("RESULTS", "out".to_owned()),
        ];
        fs::create_dir_all(bench.path("out")).unwrap();
        start(&bench, "sh", &["-c", &lines], &variables)
    });
    assert_told(&bench);
    let merge = "exec qnetsim merge out/shard-*/*/ -o out/all";
    assert_eq!(start(&bench, "sh", &["-c", merge], &[]).wait().unwrap().code(), Some(0));
    assert_whole(&bench);
}

/// GNU parallel where it is installed; else xargs, which makes the same commands.
#[test]
fn shards_side_by_side_on_one_machine_are_merged() {
    let bench = with_sweep();
    let has_parallel = Command::new("parallel").arg("--version").output().is_ok_and(|output| output.status.success());
    let run = "qnetsim run sweep.toml --shard {}/3 --out out/shard-{} --quiet";
    let line = match has_parallel {
        true => format!("parallel --jobs 2 {run} ::: 1 2 3"),
        false => format!("seq 3 | xargs -P 2 -I '{{}}' {run}"),
    };
    let all = format!("{line} && qnetsim merge out/shard-*/*/ -o out/all");
    assert_eq!(start(&bench, "sh", &["-c", &all], &[]).wait().unwrap().code(), Some(0));
    assert_whole(&bench);
}
