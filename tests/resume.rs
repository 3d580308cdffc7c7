//! Runs that are interrupted or killed at any moment, and gone on with: the same bytes, or a refusal with its reason.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use qnetsim::contract::{Domain, RandomKey};

/// Three points that take a while and have all kinds of state: queues, timers, lives, meters, histograms.
const SCENARIO: &str = "name = \"kept\"\nnodes = 500\nwarmup = \"1s\"\nmeasure = \"30s\"\n\
    tiers = { super = 5, full = 50, mobile = 50 }\nheartbeat.interval = \"400ms\"\n\
    approaches = [\"ping\", \"hierarchical\", \"swim\"]\nnetwork.loss = 0.02\n\
    [[faults.churn]]\nsession = { model = \"exponential\", mean = \"20s\" }\n\
    absence = { model = \"exponential\", mean = \"5s\" }\n";

/// A folder with the scenario, in which runs are made.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Bench(tempfile::tempdir().unwrap());
        fs::write(bench.path("kept.toml"), SCENARIO).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qnetsim"));
        command.current_dir(self.0.path()).args(args).args(["--quiet"]).env_remove("QNETSIM_KILL_AT");
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Begins a run that is kept as often as can be.
    fn begin(&self, kill_at: &str) -> Child {
        let mut command = self.command(&["run", "kept.toml", "--checkpoint-every", "10ms", "--threads", "1"]);
        command.env("QNETSIM_KILL_AT", kill_at).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Goes on with whatever is left of a run, on another number of threads, until it is done.
    fn bring_to_its_end(&self) {
        if self.path("results/kept/checkpoint/run").exists() {
            let resumed = self.output(&["resume", "results/kept", "--threads", "2"]);
            assert!(resumed.status.success(), "{}", said(&resumed));
        } else if !self.path("results/kept/summary.json").exists() {
            assert!(self.output(&["run", "kept.toml"]).status.success());
        }
    }

    /// All results by name; of the summary, what is the same on every machine.
    fn results(&self) -> Vec<(String, String)> {
        let folder = self.path("results/kept");
        let mut results: Vec<(String, String)> = names(&folder)
            .into_iter()
            .map(|name| {
                let text = fs::read_to_string(folder.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
                match name.as_str() {
                    "summary.json" => (name, deterministic(&text).to_string()),
                    _ => (name, text),
                }
            })
            .collect();
        results.sort();
        results
    }
}

fn deterministic(summary: &str) -> serde_json::Value {
    let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
    summary["deterministic"].clone()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The results of a run that nobody disturbs, and how long it took.
#[allow(clippy::disallowed_methods, reason = "kills are drawn from the time that a run takes")]
fn undisturbed() -> (Vec<(String, String)>, Duration) {
    let bench = Bench::new();
    let start = std::time::Instant::now();
    assert!(bench.begin("").wait().unwrap().success());
    let results = bench.results();
    assert!(results.iter().all(|(name, _)| name != "checkpoint" && name != "partial") && results.len() > 8);
    (results, start.elapsed())
}

fn is_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(9)
}

#[track_caller]
fn assert_same(found: &[(String, String)], expected: &[(String, String)], why: &str) {
    let names = |results: &[(String, String)]| results.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{why}");
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        assert!(found == expected, "{why}: {name} differs");
    }
}

/// The names of the steps that a run takes to be kept: a program without debug assertions passes over them.
#[cfg(debug_assertions)]
fn steps() -> Vec<&'static str> {
    let source = include_str!("../src/cli/steps.rs");
    let list = source.split_once("= [").and_then(|(_, rest)| rest.split_once("];")).expect("the list of steps").0;
    list.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\",")).collect()
}

#[cfg(debug_assertions)]
#[test]
fn a_run_that_is_killed_at_any_step_goes_on_to_the_same_bytes() {
    let (expected, _) = undisturbed();
    let steps = steps();
    assert!(steps.len() >= 11, "{steps:?}");
    for step in steps {
        let bench = Bench::new();
        let status = bench.begin(&format!("{step}:1")).wait().unwrap();
        assert!(is_killed(status), "{step} is taken: {status}");
        bench.bring_to_its_end();
        assert_same(&bench.results(), &expected, step);
    }
}

/// Kills runs `kills` times in all, each at a random moment, and goes on with each until it is done.
fn kill_at_random_moments(kills: u32, seed: u64) {
    let (expected, span) = undisturbed();
    let mut random = RandomKey::new(seed, Domain::Protocol).stream(0, 0);
    let mut killed = 0;
    while killed < kills {
        let bench = Bench::new();
        let mut run = bench.begin("");
        loop {
            std::thread::sleep(Duration::from_nanos(random.below(span.as_nanos() as u64)));
            if run.try_wait().unwrap().is_some() {
                break;
            }
            run.kill().unwrap();
            // It may have come to its end just before.
            if !is_killed(run.wait().unwrap()) {
                break;
            }
            killed += 1;
            if killed >= kills || !bench.path("results/kept/checkpoint/run").exists() {
                break;
            }
            let mut next = bench.command(&["resume", "results/kept"]);
            run = next.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        }
        bench.bring_to_its_end();
        assert_same(&bench.results(), &expected, &format!("seed {seed}, kill {killed}"));
    }
}

#[test]
fn a_run_that_is_killed_at_random_moments_goes_on_to_the_same_bytes() {
    kill_at_random_moments(4, 1);
}

#[test]
#[ignore = "ten minutes: cargo test --test resume -- --ignored --nocapture two_hundred"]
fn two_hundred_kills_at_random_moments_change_no_byte() {
    kill_at_random_moments(200, 2);
}

/// Begins a run and interrupts it when a checkpoint is there, which is in the middle of a point.
fn interrupted(bench: &Bench) -> Output {
    let mut command = bench.command(&["run", "kept.toml", "--checkpoint-every", "10ms", "--threads", "1"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let is_under_way = |folder: &Path| {
        fs::read_dir(folder).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".state")))
        })
    };
    while !is_under_way(&bench.path("results/kept/checkpoint")) {
        assert!(run.try_wait().unwrap().is_none(), "the run is long enough to be interrupted");
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(sent.success());
    run.wait_with_output().unwrap()
}

#[test]
fn an_interrupt_leaves_a_checkpoint_and_partial_results_that_say_so() {
    let (expected, _) = undisturbed();
    let bench = Bench::new();
    let output = interrupted(&bench);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("partial results are in") && text.contains("qnetsim resume"), "{text}");
    let partial = bench.path("results/kept/partial");
    let summary = deterministic(&fs::read_to_string(partial.join("summary.json")).unwrap());
    let short_of = summary["partial"].as_str().expect("the summary says that it is partial");
    assert!(short_of.starts_with("interrupted: ") && short_of.contains("of 3 points are whole"), "{short_of}");
    assert!(fs::read_to_string(partial.join("notes.csv")).unwrap().contains("interrupted: "));
    assert!(fs::read_to_string(partial.join("tables.txt")).unwrap().contains("interrupted: "));
    assert!(!bench.path("results/kept/summary.json").exists(), "what is whole and what is not are apart");
    let resumed = bench.output(&["resume"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert_same(&bench.results(), &expected, "after an interrupt");
    let again = bench.output(&["resume", "results/kept"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("the run is done"), "{}", said(&again));
}

#[test]
fn an_interrupt_while_a_point_is_built_does_not_wait_for_it() {
    let bench = Bench::new();
    let nodes = ["--set", "nodes=[500, 2_000_000]", "--set", "approaches=ping"];
    let mut command = bench.command(&["run", "kept.toml", "--log", "info", "--log-file", "run.log"]);
    let mut run = command.args(nodes).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = || fs::read_to_string(bench.path("run.log")).map_or(0, |log| log.matches("a point begins").count());
    while begun() < 2 {
        assert!(run.try_wait().unwrap().is_none(), "the second point takes long to build");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let output = run.wait_with_output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("1 of 2 points are whole") && text.contains("was still being built"), "{text}");
    let partial = fs::read_to_string(bench.path("results/kept/partial/summary.json")).unwrap();
    assert!(deterministic(&partial)["partial"].as_str().is_some_and(|short_of| short_of.contains("being built")));
    let mut kept = names(&bench.path("results/kept/checkpoint"));
    kept.sort();
    assert_eq!(kept, ["point-1.result", "run"], "what is done is kept");
    assert!(fs::read_to_string(bench.path("run.log")).unwrap().contains("the command ends"));
}

#[test]
fn a_checkpoint_that_is_torn_damaged_or_foreign_is_refused_and_stays() {
    // An interrupt may come just between two points, which leaves nothing but whole ones.
    let left_under_way = |_| {
        let bench = Bench::new();
        interrupted(&bench);
        let folder = bench.path("results/kept/checkpoint");
        let file =
            |end: &str| names(&folder).into_iter().find(|name| name.ends_with(end)).map(|name| folder.join(name));
        let (state, share) = (file(".state")?, file(".share")?);
        Some((bench, state, share, folder.join("run")))
    };
    let (bench, state, share, run) = (0..20).find_map(left_under_way).expect("some interrupt comes within a point");
    let refused = |path: &Path, bytes: &[u8], reason: &str| {
        let kept = fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
        let output = bench.output(&["resume", "results/kept"]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(4), "{text}");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(text.contains(reason) && text.contains(&name), "{reason}: {text}");
        assert_eq!(fs::read(path).unwrap(), bytes, "it is left as it was");
        fs::write(path, kept).unwrap();
    };
    for file in [&state, &share] {
        let whole = fs::read(file).unwrap();
        for len in [20, 100, whole.len() / 2, whole.len() - 1] {
            refused(file, &whole[..len], "torn or damaged");
        }
        for at in [30, whole.len() / 3, whole.len() - 5] {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            refused(file, &flipped, "torn or damaged");
        }
        refused(file, b"name = \"kept\"", "no checkpoint of qnetsim");
        refused(file, &fs::read(&run).unwrap(), "foreign: it is of another point");
        refused(&run, &whole, "foreign");
    }
    let whole = fs::read(&share).unwrap();
    fs::remove_file(&share).unwrap();
    let output = bench.output(&["resume", "results/kept"]);
    assert!(output.status.code() == Some(4) && said(&output).contains("a part of it is missing"), "{}", said(&output));
    fs::write(&share, whole).unwrap();
    // That of the same points with another seed.
    let other = Bench::new();
    fs::write(other.path("kept.toml"), format!("seed = 9\n{SCENARIO}")).unwrap();
    interrupted(&other);
    let theirs = other.path("results/kept/checkpoint").join(state.file_name().unwrap());
    if theirs.exists() {
        refused(&state, &fs::read(theirs).unwrap(), "foreign: it is of another scenario");
    }
    let resumed = bench.output(&["resume", "results/kept"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
}

#[test]
fn what_cannot_be_kept_says_so() {
    let bench = Bench::new();
    let refused = |args: &[&str], reason: &str| {
        let output = bench.output(args);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(reason), "{}", said(&output));
    };
    refused(&["run", "kept.toml", "--checkpoint-every", "60s", "--trace", "a.csv"], "traced cannot be kept");
    refused(&["run", "kept.toml", "--checkpoint-every", "60"], "unit");
    refused(&["run", "kept.toml", "--checkpoint-every", "1ms"], "from 10ms to 366d");
    fs::write(
        bench.path("swept.toml"),
        "name = \"swept\"\nnodes = 10\napproaches = \"ping\"\n[sweep.axes]\nnetwork.loss = [0, 0.1]\n",
    )
    .unwrap();
    refused(&["run", "swept.toml", "--checkpoint-every", "60s"], "without --checkpoint-every");
    refused(&["resume"], "no folder in results has a checkpoint");
    refused(&["resume", "results/none"], "has no checkpoint: run the scenario");
}
