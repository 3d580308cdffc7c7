//! A folder of its own with a small scenario, and the command run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Every approach at two sizes, done at once.
pub(crate) const SMALL: &str = "name = \"small\"\nnodes = [120, 200]\nwarmup = \"1s\"\nmeasure = \"20s\"\n\
    approaches = [\"full-mesh\", \"hierarchical\", \"gossip\", \"flat-gossip\", \"ping\"]\n\
    heartbeat.interval = \"5s\"\n";

/// What a run writes, in alphabetical order.
pub(crate) const FILES: [&str; 12] = [
    "bandwidth.csv",
    "detection.csv",
    "drops.csv",
    "latency.csv",
    "messages.csv",
    "metrics.csv",
    "network-load.svg",
    "population.csv",
    "scenario.toml",
    "summary.json",
    "tables.txt",
    "timeline.csv",
];

/// Of these, what has rows only where nodes fail or messages are dropped.
pub(crate) const EMPTY: [&str; 3] = ["detection.csv", "drops.csv", "population.csv"];

/// Removed with everything in it at the end of a test.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    /// A folder with `small.toml` in it.
    pub(crate) fn new() -> Self {
        let bench = Bench(tempfile::tempdir().unwrap());
        bench.write("small.toml", SMALL);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names in a folder, hidden ones too, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The summary of the small scenario in `out`.
    #[track_caller]
    pub(crate) fn summary(&self, out: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(&format!("{out}/small/summary.json"))).unwrap()
    }

    /// `qnetsim args`, as at someone's desk: what CI forbids is for the tests that say so.
    pub(crate) fn command(&self, args: &[&str]) -> Output {
        let mut command = assert_cmd::Command::new(program());
        command.current_dir(self.0.path()).env_remove("CI").args(args).output().unwrap()
    }

    /// What `qnetsim args` prints; it ends well and says nothing else.
    #[track_caller]
    pub(crate) fn printed(&self, args: &[&str]) -> String {
        let output = self.command(args);
        assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `qnetsim args` says as it ends with `code`.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.command(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        said(&output)
    }

    /// `qnetsim run args`.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(&[&["run"], args].concat())
    }

    /// A line of shell in which `$QNETSIM` is the program.
    pub(crate) fn shell(&self, line: &str) -> Output {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(self.0.path()).env_remove("CI").env("QNETSIM", program()).output().unwrap()
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_qnetsim"))
}

/// What a command said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
