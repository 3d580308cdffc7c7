//! `qnetsim bisect-divergence`: on traces that runs wrote, and on runs that it makes.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const SCENARIO: &str = "name = \"a\"\nnodes = 60\napproaches = [\"ping\", \"hierarchical\"]\nwarmup = \"0s\"\nmeasure = \"20s\"\n\
                        tiers = { super = 3, full = 10 }\nheartbeat.interval = \"2s\"\nnetwork.loss = 0.1\n\
                        [[faults.crash]]\nat = \"9s\"\nuntil = \"12s\"\nshare = 0.2\n";

/// Runs the program in `folder`: exit code, standard output, standard error.
fn qnetsim(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_qnetsim")).current_dir(folder).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), SCENARIO).unwrap();
    folder
}

#[test]
fn runs_on_different_threads_are_the_same_and_other_settings_part_at_an_event_with_causes() {
    let folder = folder();
    let trace = |name: &str, args: &[&str]| {
        let args = [&["run", "a.toml", "--quiet", "--trace", name][..], args].concat();
        assert_eq!(qnetsim(folder.path(), &args).0, Some(0), "{args:?}");
    };
    trace("one.csv", &["--threads", "1"]);
    trace("two.jsonl", &["--threads", "3"]);
    trace("loss.csv", &["--set", "network.loss=0.3"]);
    let bisect = |a: &str, b: &str| qnetsim(folder.path(), &["bisect-divergence", a, b]);
    let (code, said, _) = bisect("one.csv", "two.jsonl");
    assert!(code == Some(0) && said.starts_with("The traces are the same: "), "{code:?} {said}");
    let (code, said, error) = bisect("one.csv", "loss.csv");
    assert_eq!(code, Some(98), "{said}{error}");
    // Messages are drawn alike; one that got through is lost where more are.
    assert!(said.contains(" events are the same. Then the traces part:") && said.contains("ping, 60 nodes"), "{said}");
    assert!(
        said.contains("was dropped: lost") && said.contains("That of B comes first; in A it did not happen."),
        "{said}"
    );
    assert!(said.contains("What led to it in A, the nearest first:") && said.contains("because  "), "{said}");
    let (code, _, error) = bisect("one.csv", "none.csv");
    assert!(code == Some(4) && error.contains("none.csv"), "{error}");
    let (code, _, error) = bisect("one.csv", "a.toml");
    assert!(code == Some(4) && error.contains("neither in .csv nor in .jsonl"), "{error}");
    trace("cut.csv", &["--trace-max", "50"]);
    let (code, said, _) = bisect("cut.csv", "cut.csv");
    assert!(
        code == Some(0)
            && said.contains("All 100 events that were traced are the same")
            && said.contains("more were cut")
    );
    let (code, said, _) = bisect("one.csv", "cut.csv");
    assert!(code == Some(98) && said.contains("trace more with --trace-max"), "{said}");
    assert_eq!(qnetsim(folder.path(), &["bisect-divergence", "one.csv"]).0, Some(2));
    assert_eq!(qnetsim(folder.path(), &["bisect-divergence"]).0, Some(2));
}

#[test]
fn it_makes_the_runs_that_it_compares() {
    let folder = folder();
    let (code, said, error) =
        qnetsim(folder.path(), &["bisect-divergence", "--run", "a.toml", "--threads-a", "1", "--threads-b", "3"]);
    assert!(code == Some(0) && said.starts_with("The traces are the same: "), "{said}{error}");
    let (code, said, _) = qnetsim(folder.path(), &["bisect-divergence", "--run", "a.toml", "--set-b", "seed=2"]);
    assert!(code == Some(98) && said.contains("because  "), "{said}");
    let program = env!("CARGO_BIN_EXE_qnetsim");
    let both = ["bisect-divergence", "--run", "a.toml", "--program-a", program, "--program-b", program];
    assert_eq!(qnetsim(folder.path(), &both).0, Some(0));
    assert_eq!(qnetsim(folder.path(), &["bisect-divergence", "--run", "none.toml"]).0, Some(4));
    let none = ["bisect-divergence", "--run", "a.toml", "--program-b", "./no-such-program"];
    assert_eq!(qnetsim(folder.path(), &none).0, Some(4));
    assert!(!folder.path().join("results").exists(), "nothing is left behind");
}
