//! Refusing costs little: inputs of every kind that are huge, deep or made up with care are refused with their reason, in 64 MB
//! of memory.
//!
//! How long it takes is up to the machine as well, so only a test that is asked for holds it:
//!
//! ```text
//! cargo test --release --test rejections -- --ignored --nocapture
//! ```
//!
//! `tests/machine/peak.c` measures; where it cannot be compiled, these tests say so and hold nothing but the refusals.

#![allow(clippy::print_stderr, reason = "a test that cannot run here says so")]
#![cfg(target_os = "linux")]

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bench::Bench;

/// Most memory that a refusal may take, in KiB.
const PEAK_KIB_MAX: u64 = 64 << 10;
/// Most milliseconds of processors, where they are asked for.
const BUSY_MS_MAX: u64 = 100;
/// Longest message, in bytes: the first hundred problems of a scenario.
const SAID_MAX: usize = 100_000;
/// The longest result file that `report` and `plot` read, in bytes, and the most rows of a sheet.
const FILE_BYTES_MAX: usize = 10_000_000;
const SHEET_ROWS_MAX: usize = 150_000;
/// The length of a file that claims more than any disk holds.
const SPARSE: u64 = 1 << 40;

const HEAD: &str = "name = \"a\"\nnodes = 20\nwarmup = \"0s\"\nmeasure = \"2s\"\napproaches = \"ping\"\n";

/// The program that measures; `None` where there is no compiler.
fn peak() -> Option<&'static Path> {
    static PEAK: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compile = || {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("peak-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/peak.c");
        let done = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).status();
        done.is_ok_and(|status| status.success()).then_some(program)
    };
    PEAK.get_or_init(compile).as_deref()
}

/// Refuses commands, and remembers what each of them took.
struct Refusals {
    bench: Bench,
    /// How often a command that takes longer than it should is tried in all: on a machine that does other things as well, the
    /// same work takes longer at times.
    tries: usize,
    busy_ms: Vec<(u64, String)>,
}

impl Refusals {
    fn new() -> Self {
        let bench = Bench::new();
        bench.write("ok.toml", HEAD);
        Refusals { bench, tries: 1, busy_ms: Vec::new() }
    }

    /// Runs `args`, which end with one of `codes` for what `what` names, and say `part`.
    #[track_caller]
    fn check(&mut self, what: &str, args: &[&str], codes: &[i32], part: &str) {
        let mut quickest = None;
        for _ in 0..self.tries {
            let Some((busy_ms, kib)) = self.refused(what, args, codes, part) else {
                eprintln!("skipped: there is no compiler, so nothing is measured");
                return;
            };
            quickest = quickest.into_iter().chain([(busy_ms, kib)]).min();
            if busy_ms <= BUSY_MS_MAX {
                break;
            }
        }
        let (busy_ms, kib) = quickest.expect("at least one try");
        self.busy_ms.push((busy_ms, format!("{what}: {busy_ms} ms, {} MiB", kib >> 10)));
    }

    /// As [`Refusals::check`]; the milliseconds of processors and the KiB that it took, where there is a compiler.
    #[track_caller]
    fn refused(&self, what: &str, args: &[&str], codes: &[i32], part: &str) -> Option<(u64, u64)> {
        let program = env!("CARGO_BIN_EXE_qnetsim");
        let mut command = match peak() {
            Some(peak) => Command::new(peak),
            None => Command::new(program),
        };
        if peak().is_some() {
            command.arg("peak").arg(program);
        }
        let output = command.current_dir(self.bench.path("")).env_remove("CI").args(args).output().unwrap();
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        let shown = said.get(..said.floor_char_boundary(2_000)).unwrap_or_default();
        assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{what}: {:?}: {shown}", output.status);
        assert!(said.contains(part), "{what}: `{part}` is not said: {shown}");
        assert!(said.len() <= SAID_MAX, "{what}: {} bytes are said: {shown}", said.len());
        peak()?;
        let report = self.bench.text("peak");
        let mut numbers = report.split_whitespace().map(|number| number.parse::<u64>().unwrap());
        let (kib, busy_ms) = (numbers.next().unwrap(), numbers.next().unwrap());
        assert!(kib <= PEAK_KIB_MAX, "{what}: {kib} KiB to refuse it: {shown}");
        Some((busy_ms, kib))
    }

    fn sparse(&self, name: &str) {
        File::create(self.bench.path(name)).unwrap().set_len(SPARSE).unwrap();
    }
}

fn scenarios(refusals: &mut Refusals) {
    const MOST: usize = 2_000_000;
    let lines = |line: &dyn Fn(usize) -> String, count: usize| (0..count).map(line).collect::<String>();
    let cases: [(&str, String, &str); 20] = [
        ("a file that is too long", "#".repeat(MOST + 1), "is larger than"),
        ("a comment", "#".repeat(MOST), "has no `approaches`"),
        ("lists in lists", format!("a = {}", "[".repeat(MOST - 9)), "more than 100000 words"),
        ("a key of many parts", format!("a{} = 1", ".a".repeat(MOST / 2 - 9)), "2000 dots"),
        ("tables in tables", format!("a = {}", "{a=".repeat(MOST / 3 - 9)), "more than 100000 words"),
        ("many keys", lines(&|at| format!("k{at} = 1\n"), 150_000), "more than 100000 words"),
        ("unknown keys", HEAD.to_owned() + &lines(&|at| format!("k{at} = 1\n"), 15_000), "more problems"),
        ("a long text", format!("name = \"{}\"\n", "x".repeat(MOST - 100)), "has no `approaches`"),
        ("the end of a long line", format!("name = \"{}\" junk\n", "x".repeat(MOST - 100)), "unexpected key"),
        ("wide letters", format!("name = \"{}\" junk\n", "中".repeat(MOST / 3 - 100)), "unexpected key"),
        ("a long number", HEAD.replace("20", &"9".repeat(MOST - 200)), "expected a whole count"),
        ("many faults", HEAD.to_owned() + &"[[faults.crash]]\n".repeat(10_000), "2000 dots"),
        ("zeros", "\0".repeat(MOST), "error[Q0101]"),
        ("returns", "\r".repeat(MOST), "error[Q0"),
        ("empty lines", "\n".repeat(MOST), "more than 100000 words"),
        ("a text without an end", format!("name = \"\"\"{}", "x\n".repeat(MOST / 2 - 99)), "multi-line"),
        ("escapes", format!("name = \"{}\"\n", "\\u0041".repeat(MOST / 6 - 99)), "cannot name the files"),
        ("control characters", format!("name = \"\x1b[2J{}\"", "\x1b[31m".repeat(9_000)), "error[Q0101]"),
        ("the same key again", HEAD.to_owned() + &"seed = 1\n".repeat(15_000), "error[Q0"),
        ("many sizes", HEAD.replace("20", &format!("[{}]", "1,".repeat(49_000))), "are too many"),
    ];
    for (what, text, part) in cases {
        refusals.bench.write("bad.toml", &text);
        refusals.check(what, &["run", "bad.toml", "--quiet"], &[2], part);
    }
    refusals.sparse("sparse.toml");
    refusals.check("a file without an end", &["plan", "sparse.toml"], &[2], "is larger than");
    let deep = format!("a{}=1", ".a".repeat(50_000));
    refusals.check("a deep override", &["run", "ok.toml", "--set", &deep], &[2], "more than 16 parts");
    let lists = format!("nodes={}", "[".repeat(100_000));
    refusals.check("lists in an override", &["run", "ok.toml", "--set", &lists], &[2], "expected a whole count");
}

#[test]
fn scenarios_are_refused_in_little_memory() {
    scenarios(&mut Refusals::new());
}

fn inputs(refusals: &mut Refusals) {
    let kinds = [
        ("delays", 1_000_000, "network.latency = { model = \"regions\", file = \"in.csv\", holds = \"rtt\" }\n"),
        (
            "sessions",
            16_000_000,
            "[faults.churn]\nsession = { model = \"trace\", file = \"in.csv\", column = \"session_s\" }\n\
             absence = { model = \"exponential\", mean = \"1s\" }\n",
        ),
        ("service times", 64_000, "[approach.registry]\nservice_times = \"in.csv\"\n"),
    ];
    for (kind, most, lines) in kinds {
        let approach = if kind == "service times" { "registry" } else { "ping" };
        refusals.bench.write("in.toml", &(HEAD.replace("ping", approach) + lines));
        let shapes = [
            ("too long", "1\n".repeat(most / 2 + 1)),
            ("a line", "a".repeat(most)),
            ("cells", ",".repeat(most)),
            ("a quote", format!("\"{}", "a".repeat(most - 1))),
            ("rows", format!("from,a\n{}", "1,x\n".repeat(most / 4 - 9))),
            ("values", format!("session_s\n{}x", "1\n".repeat(most / 2 - 20))),
            ("empty lines", "\n".repeat(most)),
            ("zeros", "\0".repeat(most)),
            ("a value at the end", format!("session_s\n{}x\n", "1\n".repeat((most / 2 - 20).min(900_000)))),
        ];
        for (shape, text) in shapes {
            refusals.bench.write("in.csv", &text);
            refusals.check(&format!("{kind}: {shape}"), &["run", "in.toml", "--quiet"], &[2], "error[Q01");
        }
        refusals.sparse("in.csv");
        refusals.check(&format!("{kind} without an end"), &["run", "in.toml"], &[2], "is larger than");
    }
}

#[test]
fn inputs_of_scenarios_are_refused_in_little_memory() {
    inputs(&mut Refusals::new());
}

/// Of what no sheet is made, as many bytes as are read, below `head`.
fn no_sheets(head: &str) -> [(&'static str, String); 5] {
    const MANY: usize = FILE_BYTES_MAX - 10_000;
    [
        ("columns", ",".repeat(MANY) + "\n"),
        ("cells", format!("{head}\n{}\n", ",".repeat(MANY))),
        ("a line", format!("{head}\n{}\n", "a".repeat(MANY))),
        ("a quote", format!("{head}\n\"{}\n", "a\n".repeat(MANY / 2))),
        ("quotes", format!("{head}\n{}\n", "\"".repeat(MANY))),
    ]
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn results(refusals: &mut Refusals) {
    refusals.bench.printed(&["run", "ok.toml", "--quiet"]);
    refusals.bench.printed(&["run", "ok.toml", "--quiet", "--out", "other"]);
    let page: [&[&str]; 2] = [&["report", "results/a", "-o", "page.html"], &["plot", "results/a", "-o", "charts"]];
    let compare: [&[&str]; 1] = [&["compare", "results/a", "other/a"]];
    for (file, commands) in [("messages.csv", &page[..]), ("latency.csv", &page[..1]), ("metrics.csv", &compare[..])] {
        let file = format!("results/a/{file}");
        let before = refusals.bench.text(&file);
        for (shape, text) in no_sheets(&first_line(&before)) {
            refusals.bench.write(&file, &text);
            for command in commands {
                refusals.check(&format!("{file}: {shape}"), command, &[2, 4], "error[Q0");
            }
        }
        if commands != compare {
            let (head, row) = before.split_once('\n').expect("a header and rows");
            let row = row.lines().next().unwrap().to_owned() + "\n";
            let rows = row.repeat(SHEET_ROWS_MAX.min(FILE_BYTES_MAX / row.len() - 9) - 9);
            refusals.bench.write(&file, &format!("{head}\n{rows}1\n"));
            for command in commands {
                refusals.check(&format!("{file}: a bad row after as many as may be"), command, &[2], "1 cells");
            }
        }
        refusals.sparse(&file);
        for command in commands {
            refusals.check(&format!("{file} without an end"), command, &[4], "bytes");
        }
        refusals.bench.write(&file, &before);
    }
    let file = "results/a/summary.json";
    let before = refusals.bench.text(file);
    for (shape, text) in no_documents() {
        refusals.bench.write(file, &text);
        refusals.check(&format!("{file}: {shape}"), page[0], &[2, 4], "error[Q0");
    }
    refusals.bench.write(file, &before);
}

/// JSON that no file is made of.
fn no_documents() -> [(&'static str, String); 4] {
    const MANY: usize = FILE_BYTES_MAX - 100;
    [
        ("lists in lists", "[".repeat(MANY)),
        ("tables in tables", "{\"deterministic\":".repeat(MANY / 17)),
        ("a text", format!("{{\"format\":\"{}", "a".repeat(MANY))),
        ("a list", format!("{{\"format\":1,\"axes\":[{}", "1,".repeat(MANY / 2))),
    ]
}

#[test]
fn result_files_are_refused_in_little_memory() {
    results(&mut Refusals::new());
}

fn sweeps_baselines_and_traces(refusals: &mut Refusals) {
    let swept = HEAD.replace("\"a\"", "\"w\"") + "[sweep]\nrepeat = 2\n[sweep.axes]\nnetwork.loss = [0, 0.3]\n";
    refusals.bench.write("w.toml", &swept);
    refusals.bench.printed(&["run", "w.toml", "--quiet"]);
    for (shape, text) in no_documents() {
        refusals.bench.write("results/w/sweep.json", &text);
        refusals.check(&format!("a sweep: {shape}"), &["merge", "results/w", "-o", "all"], &[4], "sweep.json");
    }
    refusals.sparse("results/w/sweep.json");
    refusals.check("a sweep without an end", &["merge", "results/w", "-o", "all"], &[4], "sweep.json");

    refusals.bench.printed(&["accept", "ok.toml", "--yes"]);
    let baseline = refusals.bench.text("baselines/a.csv");
    for (shape, text) in no_sheets(&first_line(&baseline)) {
        refusals.bench.write("baselines/a.csv", &text);
        refusals.check(&format!("a baseline: {shape}"), &["check", "ok.toml"], &[4], "baselines/a.csv");
    }
    refusals.sparse("baselines/a.csv");
    refusals.check("a baseline without an end", &["check", "ok.toml"], &[4], "baselines/a.csv");

    refusals.bench.printed(&["run", "ok.toml", "--quiet", "--trace", "t.csv"]);
    let trace = refusals.bench.text("t.csv");
    for (shape, text) in no_sheets(&first_line(&trace)) {
        refusals.bench.write("u.csv", &text);
        refusals.check(&format!("a trace: {shape}"), &["bisect-divergence", "t.csv", "u.csv"], &[4], "u.csv");
    }
    refusals.sparse("u.csv");
    refusals.check("a trace without an end", &["bisect-divergence", "t.csv", "u.csv"], &[4], "u.csv");
}

#[test]
fn sweeps_baselines_and_traces_are_refused_in_little_memory() {
    sweeps_baselines_and_traces(&mut Refusals::new());
}

/// A file of a checkpoint with other contents and the checksum that goes with them.
fn with_contents(file: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    const HEAD_BYTES: usize = 20;
    const HASH_BYTES: usize = 32;
    let label = u32::from_le_bytes(*file[16..].first_chunk().unwrap()) as usize;
    let (body, _) = file.split_at(file.len() - HASH_BYTES);
    let (head, contents) = body.split_at(HEAD_BYTES + label);
    let mut contents = contents.to_vec();
    change(&mut contents);
    let body = [head, &contents].concat();
    [&body[..], blake3::hash(&body).as_bytes()].concat()
}

fn checkpoints(refusals: &mut Refusals) {
    let kept = HEAD.replace("\"a\"", "\"kept\"").replace("20", "500").replace("\"2s\"", "\"30d\"");
    refusals.bench.write("kept.toml", &kept);
    let folder = refusals.bench.path("results/kept/checkpoint");
    let mut run = Command::new(env!("CARGO_BIN_EXE_qnetsim"));
    run.current_dir(refusals.bench.path("")).env_remove("CI");
    let args = ["run", "kept.toml", "--quiet", "--checkpoint-every", "10ms", "--set", "heartbeat.interval=100ms"];
    let mut run = run.args(args).args(["--set", "timeline=30d"]).spawn().unwrap();
    while !folder.join("point-1.state").exists() {
        assert!(run.try_wait().unwrap().is_none(), "the run is long enough to be kept");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let state = fs::read(folder.join("point-1.state")).unwrap();
    let state = String::from_utf8_lossy(&state);
    let at_ns = state.split_once("\"at_ns\":").and_then(|(_, rest)| rest.split_once(',')).expect("when it was kept").0;
    let share = format!("point-1-{at_ns}-0-0.share");
    for name in [share.as_str(), "point-1.state", "run"] {
        let file = folder.join(name);
        let whole = fs::read(&file).unwrap();
        let mut refuse = |what: &str, bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            refusals.check(&format!("{name}: {what}"), &["resume", "results/kept", "--quiet"], &[4], name);
        };
        let numbered = |at: usize, number: u32| {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            bytes
        };
        refuse("torn", &whole[..whole.len() / 2]);
        refuse("a label without an end", &numbered(16, u32::MAX));
        refuse("another format", &numbered(12, 7));
        refuse("something else", &vec![b'#'; 40_000_000]);
        refuse("contents that are none", &with_contents(&whole, |contents| contents.fill(0xff)));
        refuse("what claims to be longer", &with_contents(&whole, |contents| contents.truncate(contents.len() - 1)));
        refuse("more than there should be", &with_contents(&whole, |contents| contents.resize(30_000_000, 0)));
        fs::write(&file, &whole).unwrap();
    }
    refusals.sparse("results/kept/checkpoint/run");
    refusals.check("a run without an end", &["resume", "results/kept"], &[4], "no checkpoint");
}

#[test]
fn checkpoints_are_refused_in_little_memory() {
    checkpoints(&mut Refusals::new());
}

#[test]
#[ignore = "measures time: cargo test --release --test rejections -- --ignored --nocapture"]
fn refusals_are_quick() {
    let mut refusals = Refusals { tries: 5, ..Refusals::new() };
    scenarios(&mut refusals);
    inputs(&mut refusals);
    results(&mut refusals);
    sweeps_baselines_and_traces(&mut refusals);
    checkpoints(&mut refusals);
    refusals.busy_ms.sort();
    for (_, told) in refusals.busy_ms.iter().rev().take(40) {
        eprintln!("{told}");
    }
    let slow = refusals.busy_ms.iter().filter(|(busy_ms, _)| *busy_ms > BUSY_MS_MAX).count();
    eprintln!("{slow} of {} take more than {BUSY_MS_MAX} ms", refusals.busy_ms.len());
    assert_eq!(slow, 0, "refusals that take more than {BUSY_MS_MAX} ms");
}
