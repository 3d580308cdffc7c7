//! A disk that is full or fails at every single change that a command makes: what is told, and what is left.
//!
//! Whatever change fails, the command must say so, name a file, and leave every file either as it was or as it should
//! become. `tests/machine/faulty.c` is the disk; where it cannot be compiled or the kernel lacks what it takes, these
//! tests say so and hold nothing.

#![allow(clippy::print_stderr, reason = "a test that cannot run here says so")]
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use bench::{Bench, said};

const NO_SPACE: i32 = 28;
const INPUT_OUTPUT: i32 = 5;
/// What the disk ends with where it cannot be one.
const LACKS: i32 = 77;

/// Done in a moment, with a file of every kind that a run without faults has.
const TINY: &str = "name = \"tiny\"\nnodes = 20\nwarmup = \"0s\"\nmeasure = \"2s\"\napproaches = [\"ping\"]\n\
    heartbeat.interval = \"1s\"\n";
const AXES: &str = "[sweep]\nrepeat = 2\n[sweep.axes]\nnetwork.loss = [0, 0.3]\n";

/// The program that stands for the disk; `None` where there is no compiler.
fn disk() -> Option<&'static Path> {
    static DISK: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compile = || {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join(format!("faulty-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/faulty.c");
        let done = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).status();
        done.is_ok_and(|status| status.success()).then_some(program)
    };
    DISK.get_or_init(compile).as_deref()
}

/// A command that changes files in the folder `out` alone.
struct Case {
    /// What is there before.
    prepare: fn(&Bench),
    args: &'static [&'static str],
    /// Of so many changes one is made to fail; 1 stands for each.
    stride: usize,
}

/// What became of a command whose disk failed.
struct Failed {
    output: Output,
    /// How many changes it made, and how many of them failed.
    changes: usize,
    failed: usize,
    /// What the first of these would have changed.
    first: String,
}

/// Runs `args` in `bench`, with the change number `at` failing with `error`, and all later ones too if `goes_on`.
/// `None` where there can be no such disk.
fn run(bench: &Bench, args: &[&str], at: usize, error: i32, goes_on: bool) -> Option<Failed> {
    let disk = disk()?;
    let mut command = Command::new(disk);
    command.current_dir(bench.path("")).env_remove("CI");
    command.args(["out", &at.to_string(), &error.to_string(), if goes_on { "on" } else { "once" }, "report"]);
    let output = command.arg(env!("CARGO_BIN_EXE_qnetsim")).args(args).output().unwrap();
    if output.status.code() == Some(LACKS) {
        return None;
    }
    let report = bench.text("report");
    let mut parts = report.trim_end().splitn(3, ' ');
    let mut number = || parts.next()?.parse().ok();
    let (changes, failed) = (number()?, number()?);
    Some(Failed { output, changes, failed, first: parts.next().unwrap_or_default().to_owned() })
}

/// Every file below `out` with what it holds; of a summary what is the same on every machine.
fn files(bench: &Bench) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![bench.path("out")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if path.ends_with("summary.json") {
                let summary: serde_json::Value = serde_json::from_slice(&bytes).expect("it is whole");
                bytes = summary["deterministic"].to_string().into_bytes();
            }
            found.insert(path.strip_prefix(bench.path("out")).unwrap().to_owned(), bytes);
        }
    }
    found
}

/// Two points that take so long that each is kept on the way.
const KEPT: &str = "name = \"kept\"\nnodes = 400\nwarmup = \"1s\"\nmeasure = \"40s\"\n\
    tiers = { super = 5, full = 50, mobile = 40 }\nheartbeat.interval = \"400ms\"\n\
    approaches = [\"ping\", \"swim\"]\nnetwork.loss = 0.02\n";

fn prepared(case: &Case) -> Bench {
    let bench = Bench::new();
    bench.write("tiny.toml", TINY);
    bench.write("kept.toml", KEPT);
    bench.write("sweep.toml", &(TINY.replace("tiny", "sweep") + AXES));
    fs::create_dir(bench.path("out")).unwrap();
    (case.prepare)(&bench);
    bench
}

/// Fails each change of the command of `case` in turn, and holds what is left against what it should become.
#[track_caller]
fn check(case: &Case) {
    let whole = prepared(case);
    let before = files(&whole);
    let Some(done) = run(&whole, case.args, 0, NO_SPACE, false) else {
        eprintln!("skipped: there is no compiler, or the kernel does not tell of calls");
        return;
    };
    assert_eq!((done.output.status.code(), done.failed), (Some(0), 0), "{}", said(&done.output));
    let after = files(&whole);
    assert!(done.changes >= 4 && after != before, "{} changes", done.changes);
    for at in (1..=done.changes).step_by(case.stride) {
        for (error, goes_on) in [(NO_SPACE, true), (INPUT_OUTPUT, false)] {
            let bench = prepared(case);
            let Failed { output, failed, .. } = run(&bench, case.args, at, error, goes_on).unwrap();
            let what = format!("{:?}, change {at}, error {error}: {}", case.args, said(&output));
            assert!(failed >= 1, "the command is not the same each time: {what}");
            assert_eq!(output.status.code(), Some(4), "{what}");
            assert!(said(&output).contains("error[Q0400]: ") && said(&output).contains("out"), "{what}");
            for (path, bytes) in files(&bench) {
                let is_whole = [&before, &after].iter().any(|files| files.get(&path) == Some(&bytes));
                assert!(is_whole, "{} is neither as it was nor as it should be: {what}", path.display());
            }
            // When the disk is well again, so are the results.
            if at % 7 == 1 {
                let again = bench.command(case.args);
                assert_eq!(again.status.code(), Some(0), "{}", said(&again));
                assert!(files(&bench) == after, "{what}");
            }
        }
    }
}

fn nothing(_: &Bench) {}

#[track_caller]
fn made(bench: &Bench, args: &[&str]) {
    let output = bench.command(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
}

#[test]
fn a_run_into_a_new_folder() {
    check(&Case { prepare: nothing, args: &["run", "tiny.toml", "--quiet", "--out", "out"], stride: 1 });
}

#[test]
fn a_run_over_earlier_results_with_a_trace() {
    let prepare = |bench: &Bench| made(bench, &["run", "tiny.toml", "--quiet", "--seed", "7", "--out", "out"]);
    let args = &["run", "tiny.toml", "--quiet", "--out", "out", "--trace", "out/traces/t.csv"];
    check(&Case { prepare, args, stride: 1 });
}

#[test]
fn a_sweep() {
    let args = &["run", "sweep.toml", "--quiet", "--threads", "1", "--out", "out"];
    check(&Case { prepare: nothing, args, stride: 1 });
}

#[test]
fn a_merge_of_shards() {
    let prepare = |bench: &Bench| {
        made(bench, &["run", "sweep.toml", "--quiet", "--shard", "1/2", "--out", "one"]);
        made(bench, &["run", "sweep.toml", "--quiet", "--shard", "2/2", "--out", "two"]);
    };
    check(&Case { prepare, args: &["merge", "one/sweep", "two/sweep", "-o", "out/all"], stride: 1 });
}

#[test]
fn a_baseline_that_is_accepted_anew() {
    let prepare = |bench: &Bench| {
        bench.write("tiny.toml", &TINY.replace("nodes = 20", "nodes = 30"));
        made(bench, &["accept", "tiny.toml", "--yes", "--baseline", "out"]);
        bench.write("tiny.toml", TINY);
    };
    check(&Case { prepare, args: &["accept", "tiny.toml", "--yes", "--baseline", "out"], stride: 1 });
}

/// Fails changes of a run that is kept, in turn. How often it is kept is up to the clock, so the changes are not the same
/// each time: what counts is that nothing is there in part, and that the run goes on to its end once the disk is well.
/// Returns how many changes failed below the checkpoint, and how many elsewhere.
#[track_caller]
fn check_kept(prepare: &dyn Fn(&Bench), args: &[&str], stride: usize) -> [usize; 2] {
    let begin = || {
        let bench = Bench::new();
        bench.write("kept.toml", KEPT);
        fs::create_dir(bench.path("out")).unwrap();
        prepare(&bench);
        bench
    };
    let whole = begin();
    made(&whole, args);
    let expected = files(&whole);
    assert!(expected.keys().all(|path| !path.starts_with("kept/checkpoint")) && expected.len() > 8, "{expected:?}");
    let mut places = [0; 2];
    for at in (1..).step_by(stride) {
        let mut is_past_the_end = true;
        for (error, goes_on) in [(NO_SPACE, true), (INPUT_OUTPUT, false)] {
            let bench = begin();
            let was_kept = bench.exists("out/kept/checkpoint/run");
            let Some(Failed { output, failed, first, .. }) = run(&bench, args, at, error, goes_on) else {
                eprintln!("skipped: there is no compiler, or the kernel does not tell of calls");
                return [1; 2];
            };
            let what = format!("{args:?}, change {at} ({first}), error {error}: {}", said(&output));
            if failed == 0 {
                assert_eq!(output.status.code(), Some(0), "{what}");
                continue;
            }
            is_past_the_end = false;
            let is_of_checkpoint = first.contains("/kept/checkpoint");
            places[usize::from(!is_of_checkpoint)] += 1;
            assert_eq!(output.status.code(), Some(4), "{what}");
            assert!(said(&output).contains("error[Q0400]: ") && said(&output).contains("out"), "{what}");
            for (path, bytes) in files(&bench).iter().filter(|(path, _)| !path.starts_with("kept/checkpoint")) {
                assert!(expected.get(path) == Some(bytes), "{} is there in part: {what}", path.display());
            }
            let is_kept = bench.exists("out/kept/checkpoint/run");
            assert!(is_kept || !was_kept, "the earlier checkpoint stands: {what}");
            let again = match is_kept {
                true => bench.command(&["resume", "out/kept", "--quiet"]),
                false => bench.command(args),
            };
            assert_eq!(again.status.code(), Some(0), "{what}{}", said(&again));
            assert!(files(&bench) == expected, "{what}");
        }
        if is_past_the_end {
            return places;
        }
    }
    unreachable!("a command makes so many changes and no more")
}

const RUN_KEPT: [&str; 9] =
    ["run", "kept.toml", "--quiet", "--checkpoint-every", "10ms", "--threads", "1", "--out", "out"];

/// Leaves the checkpoint of a run of which a point is under way: a disk that failed later left it.
fn with_checkpoint() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for at in 20.. {
        let bench = Bench::new();
        bench.write("kept.toml", KEPT);
        fs::create_dir(bench.path("out")).unwrap();
        let Some(Failed { failed, .. }) = run(&bench, &RUN_KEPT, at, INPUT_OUTPUT, true) else { break };
        assert!(failed > 0, "the run is long enough to be kept");
        let names = bench.names("out/kept/checkpoint");
        if names.iter().any(|name| name.ends_with(".state")) {
            copy_all(&bench.path("out"), copy.path());
            break;
        }
    }
    copy
}

/// Copies all that is in the folder `from`.
fn copy_all(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from.join(".")).arg(to).status().unwrap().success());
}

fn check_checkpoints(stride: usize) {
    let [of_checkpoint, elsewhere] = check_kept(&nothing, &RUN_KEPT, stride);
    assert!(of_checkpoint > 0 && elsewhere > 0, "{of_checkpoint} {elsewhere}");
    let kept = with_checkpoint();
    let args = ["resume", "out/kept", "--quiet", "--checkpoint-every", "1d"];
    if kept.path().join("kept").exists() {
        check_kept(&|bench| copy_all(kept.path(), &bench.path("out")), &args, stride);
    }
}

#[test]
fn a_run_that_is_kept_and_one_that_goes_on() {
    check_checkpoints(13);
}

#[test]
#[ignore = "makes four hundred runs: cargo test --test machine_faults -- --ignored"]
fn every_change_of_a_run_that_is_kept_and_of_one_that_goes_on() {
    check_checkpoints(1);
}

#[test]
fn charts_and_a_page() {
    let prepare = |bench: &Bench| made(bench, &["run", "tiny.toml", "--quiet", "--set", "nodes=30", "--out", "in"]);
    check(&Case { prepare, args: &["plot", "in/tiny", "-o", "out/charts"], stride: 1 });
    check(&Case { prepare, args: &["report", "in/tiny", "-o", "out/page.html"], stride: 1 });
}

#[test]
fn a_new_scenario() {
    check(&Case { prepare: nothing, args: &["new", "liveness", "-o", "out/new.toml"], stride: 1 });
}

#[test]
fn an_import_into_a_registry() {
    check_import(10);
}

#[test]
#[ignore = "makes two thousand imports: cargo test --test machine_faults -- --ignored"]
fn every_change_of_an_import_into_a_registry() {
    check_import(usize::MAX);
}

/// Fails each change of an import in turn, or `count` of them. A registry is many files, of which some come and go: what
/// counts is that it is whole or not there.
fn check_import(count: usize) {
    let args = ["registry", "import", "--db", "out/db", "--generate", "40"];
    let at_rest = Bench::new();
    fs::create_dir(at_rest.path("out")).unwrap();
    let Some(done) = run(&at_rest, &args, 0, NO_SPACE, false) else {
        eprintln!("skipped: there is no compiler, or the kernel does not tell of calls");
        return;
    };
    assert_eq!(done.output.status.code(), Some(0), "{}", said(&done.output));
    for at in (1..=done.changes).step_by(done.changes.div_ceil(count)) {
        for (error, goes_on) in [(NO_SPACE, true), (INPUT_OUTPUT, false)] {
            let bench = Bench::new();
            fs::create_dir(bench.path("out")).unwrap();
            let Failed { output, failed, .. } = run(&bench, &args, at, error, goes_on).unwrap();
            let what = format!("change {at} of {}, error {error}: {}", done.changes, said(&output));
            // Threads of the store make some changes more or less from run to run.
            if failed == 0 {
                continue;
            }
            // The store tidies up in the background: what fails of that once is made good, and the data were never there.
            if goes_on || output.status.code() != Some(0) {
                assert_eq!(output.status.code(), Some(4), "{what}");
                assert!(said(&output).contains("error[Q0400]: ") && said(&output).contains("out/db"), "{what}");
                // Its name is the last that a registry gets: it is there whole, or not at all.
                if !bench.exists("out/db") {
                    made(&bench, &args);
                }
            }
            let verified = bench.command(&["registry", "verify", "--db", "out/db"]);
            let verified = String::from_utf8_lossy(&verified.stdout).into_owned();
            assert!(verified.contains("40 users, 40 verified, 200 endorsements; 0 faults"), "{what}{verified}");
        }
    }
}
