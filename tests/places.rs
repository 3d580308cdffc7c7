//! Places and machines that cannot be what a command needs: paths, folders, other versions' files, limits of memory.

#![allow(clippy::print_stderr, reason = "a test that cannot run here says so")]
#![cfg(target_os = "linux")]

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bench::{Bench, said};

const TINY: &str = "name = \"tiny\"\nnodes = [20, 30]\nwarmup = \"0s\"\nmeasure = \"2s\"\napproaches = [\"ping\"]\n\
    heartbeat.interval = \"1s\"\n";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("tiny.toml", TINY);
    bench
}

/// `qnetsim args`, in which names need be no text.
fn command<A: AsRef<OsStr>>(bench: &Bench, args: &[A]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qnetsim"));
    command.current_dir(bench.path("")).env_remove("CI").args(args).output().unwrap()
}

/// What `qnetsim args` says as it ends with `code`, having written nothing to standard output.
#[track_caller]
fn refused<A: AsRef<OsStr>>(bench: &Bench, args: &[A], code: i32) -> String {
    let output = command(bench, args);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{}", said(&output));
    assert!(said(&output).starts_with("error[Q"), "{}", said(&output));
    said(&output)
}

/// A name that is not UTF-8.
fn odd(end: &str) -> OsString {
    OsString::from_vec([b"odd-\xff", end.as_bytes()].concat())
}

#[test]
fn folders_may_have_any_name_and_scenarios_have_one_that_results_can_tell() {
    let bench = bench();
    let args = |rest: &[&OsStr]| {
        let args = ["run", "tiny.toml", "--quiet"].map(OsStr::new);
        [&args[..], rest].concat().iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()
    };
    let (out, trace) = (odd(""), odd(".csv"));
    let output = command(&bench, &args(&[OsStr::new("--out"), &out, OsStr::new("--trace"), &trace]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let here = |name: &OsStr| bench.path("").join(name);
    assert!(here(&out).join("tiny/summary.json").is_file());
    assert!(fs::read(here(&trace)).unwrap().starts_with(b"approach,"), "the trace has the name that it was given");
    assert!(!bench.exists("trace.csv"));
    let results = here(&out).join("tiny");
    for (command_name, end) in [("plot", "-charts"), ("report", ".html")] {
        let target = odd(end);
        let args = [OsStr::new(command_name), results.as_os_str(), OsStr::new("-o"), &target];
        let output = command(&bench, &args);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(here(&target).exists());
    }
    let metrics = odd(".jsonl");
    let output = command(&bench, &args(&[OsStr::new("--metrics-file"), &metrics]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(fs::read(here(&metrics)).unwrap().ends_with(b"}\n"));

    let scenario = odd(".toml");
    fs::write(here(&scenario), TINY).unwrap();
    for name in ["run", "plan", "check", "accept"] {
        let output = command(&bench, &[OsStr::new(name), &scenario]);
        let all = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
        assert_eq!(output.status.code(), Some(4), "{name}: {all}");
        assert!(all.contains("its path is not UTF-8"), "{name}: {all}");
    }
    let set = OsString::from_vec(b"nodes=\xff".to_vec());
    assert_eq!(command(&bench, &args(&[OsStr::new("--set"), &set])).status.code(), Some(2));
}

#[test]
fn what_is_missing_or_of_another_kind_is_named() {
    let bench = bench();
    bench.write("file", "precious");
    fs::create_dir(bench.path("folder.toml")).unwrap();
    let named = |args: &[&str], code: i32, part: &str| {
        let said = refused(&bench, args, code);
        assert!(said.contains(part), "{args:?}: {said}");
    };
    named(&["run", "none.toml"], 4, "none.toml");
    named(&["run", "folder.toml"], 4, "folder.toml");
    named(&["run", "tiny.toml", "--out", "file/inner"], 4, "cannot create the folder file/inner");
    named(&["run", "tiny.toml", "--quiet", "--trace", "file/t.csv"], 4, "file");
    named(&["run", "tiny.toml", "--quiet", "--trace", "folder.toml"], 2, "name it .csv or .jsonl");
    named(&["compare", "none", "folder.toml"], 2, "is not");
    for args in [&["plot", "none"][..], &["report", "none"], &["merge", "none", "-o", "all"]] {
        named(args, 4, "none");
    }
    named(&["new", "liveness", "-o", "none/new.toml"], 4, "cannot write none/new.toml");
    named(&["registry", "stats", "--db", "none"], 4, "none");
    assert_eq!(bench.text("file"), "precious");
    assert!(!bench.exists("none") && !bench.exists("all"));
}

/// Runs `program` as somebody who may not write where the folder says so, which root may everywhere. `None` where the
/// system has nobody to run it as.
fn as_nobody(bench: &Bench, args: &[&str]) -> Option<Output> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_qnetsim")]);
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_qnetsim"))
    };
    let output = command.current_dir(bench.path("")).env_remove("CI").args(args).output().ok()?;
    // 126 and 127: the program is in a folder that nobody else may enter.
    (!matches!(output.status.code(), Some(126 | 127))).then_some(output)
}

#[test]
fn folders_that_may_not_be_written_are_refused_before_the_work() {
    let bench = bench();
    let mode = |name: &str, mode: u32| fs::set_permissions(bench.path(name), PermissionsExt::from_mode(mode)).unwrap();
    assert_eq!(command(&bench, &["run", "tiny.toml", "--quiet"]).status.code(), Some(0));
    let before = bench.names("results/tiny");
    for (name, bits) in [("results/tiny", 0o555), ("results", 0o555), ("", 0o555)] {
        mode(name, bits);
    }
    let cases = [
        (&["run", "tiny.toml"][..], "cannot write results/tiny"),
        (&["run", "tiny.toml", "--out", "new"], "cannot create the folder new/tiny"),
        (&["plot", "results/tiny"], "cannot write results/tiny"),
        (&["report", "results/tiny", "-o", "page.html"], "cannot write page.html"),
        (&["new", "liveness"], "cannot write liveness.toml"),
        (&["accept", "tiny.toml", "--yes"], "cannot create the folder baselines"),
        (&["run", "tiny.toml", "--metrics-file", "m.jsonl"], "cannot write m.jsonl"),
        (&["registry", "import", "--db", "db", "--generate", "10"], "db"),
    ];
    for (args, part) in cases {
        let Some(output) = as_nobody(&bench, args) else {
            eprintln!("skipped: nobody is there who may run the program and not write");
            break;
        };
        assert_eq!(output.status.code(), Some(4), "{args:?}: {}", said(&output));
        assert!(
            said(&output).contains(part) && said(&output).contains("ermission denied"),
            "{args:?}: {}",
            said(&output)
        );
    }
    for name in ["", "results", "results/tiny"] {
        mode(name, 0o755);
    }
    assert_eq!(bench.names("results/tiny"), before);
    assert!(!bench.exists("new") && !bench.exists("db"));
}

#[test]
fn results_of_a_newer_version_are_refused_by_every_reader() {
    let bench = bench();
    let done = |args: &[&str]| assert_eq!(command(&bench, args).status.code(), Some(0), "{args:?}");
    done(&["run", "tiny.toml", "--quiet"]);
    done(&["run", "tiny.toml", "--quiet", "--out", "other"]);
    done(&["accept", "tiny.toml", "--yes"]);
    let axes = "[sweep]\nrepeat = 2\n[sweep.axes]\nnetwork.loss = [0, 0.3]\n";
    bench.write("sweep.toml", &(TINY.replace("tiny", "sweep") + axes));
    done(&["run", "sweep.toml", "--quiet"]);
    let newer = |file: &str, from: &str, to: &str| {
        let text = bench.text(file);
        assert!(text.contains(from), "{text}");
        bench.write(file, &text.replacen(from, to, 1));
    };
    newer("results/tiny/summary.json", "\"format\": 1", "\"format\": 2");
    newer("results/sweep/sweep.json", "\"format\": 1", "\"format\": 2");
    newer("baselines/tiny.csv", "format,,1", "format,,2");
    for folder in ["results/tiny", "results/sweep"] {
        for args in [&["plot", folder][..], &["report", folder], &["compare", folder, "other/tiny"]] {
            let said = refused(&bench, args, 4);
            assert!(said.contains("2") && said.contains("use the version that wrote it"), "{args:?}: {said}");
            assert!(said.contains(folder), "{args:?}: {said}");
        }
    }
    for args in [&["merge", "results/sweep", "-o", "all"][..], &["run", "sweep.toml"]] {
        let said = refused(&bench, args, 4);
        assert!(said.contains("results/sweep/sweep.json: it has format 2"), "{args:?}: {said}");
    }
    let output = command(&bench, &["check", "tiny.toml"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("baselines/tiny.csv"), "{}", said(&output));
    assert!(!bench.exists("all"));
}

/// A shell that lets at most so many bytes of memory be taken by what it runs, and the folder that must be removed.
struct Limited {
    before: String,
    group: Option<PathBuf>,
}

impl Drop for Limited {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            let _ = fs::remove_dir(group);
        }
    }
}

/// A control group of its own; `None` where none can be made.
fn grouped(bytes: u64) -> Option<Limited> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = |line: &str| Some(line.splitn(3, ':').nth(2)?.trim_start_matches('/').to_owned());
    let line = groups.lines().find(|line| line.contains(":memory:")).or_else(|| groups.lines().next())?;
    let (root, limit) = match line.contains(":memory:") {
        true => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        false => ("/sys/fs/cgroup", "memory.max"),
    };
    let group = Path::new(root).join(own(line)?).join(format!("qnetsim-test-{}", std::process::id()));
    fs::create_dir(&group).ok()?;
    let before = format!("echo $$ > {}/cgroup.procs || exit 77; exec", group.display());
    let limited = Limited { before, group: Some(group.clone()) };
    fs::write(group.join(limit), bytes.to_string()).ok()?;
    Some(limited)
}

/// What will not fit is refused with what would; and that is taken at its word.
#[track_caller]
fn assert_refused_then_run(bench: &Bench, limited: &Limited) {
    let run = |nodes: &str| {
        let set = "--set approaches=ping --set measure=1s --set heartbeat.interval=5s --threads 1 --quiet";
        bench.shell(&format!("{} \"$QNETSIM\" run tiny.toml --set nodes={nodes} {set}", limited.before))
    };
    let output = run("50M");
    if output.status.code() == Some(77) {
        eprintln!("skipped: nothing can be moved into a control group here");
        return;
    }
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("will not fit") && said(&output).contains("reduce `nodes`"), "{}", said(&output));
    let error = said(&output);
    let size = error.split("--set nodes=").nth(1).and_then(|rest| rest.split(' ').next()).expect(&error);
    assert!(size.parse::<u32>().is_ok_and(|size| size >= 10_000), "{error}");
    let output = run(size);
    assert_eq!(output.status.code(), Some(0), "{size}: {}", said(&output));
}

#[test]
fn a_limit_of_the_control_group_is_kept_to() {
    match grouped(160 << 20) {
        Some(limited) => assert_refused_then_run(&bench(), &limited),
        None => eprintln!("skipped: no control group can be made here"),
    }
}

#[test]
fn a_limit_of_the_address_space_is_kept_to() {
    let limited = Limited { before: "ulimit -v 400000; exec".to_owned(), group: None };
    assert_refused_then_run(&bench(), &limited);
}
