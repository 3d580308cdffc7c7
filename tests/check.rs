//! `qnetsim check` and `qnetsim accept`, run as users and CI jobs run them.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;

const SCENARIO: &str = r#"name = "little"
nodes = 100
approaches = ["ping", "flat-gossip"]
warmup = "1s"
measure = "20s"
"#;

fn qnetsim(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("qnetsim").unwrap();
    command.current_dir(folder).env_remove("CI");
    command
}

/// A folder with the scenario `little.toml`, of which `more` is a part, and its baseline.
fn accepted(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("little.toml"), format!("{SCENARIO}{more}")).unwrap();
    qnetsim(folder.path()).args(["accept", "little.toml", "--yes"]).assert().success();
    folder
}

fn baseline(folder: &Path) -> String {
    fs::read_to_string(folder.join("baselines/little.csv")).unwrap()
}

/// Writes the baseline with the value of the row that begins with `row` replaced by `value`.
fn tamper(folder: &Path, row: &str, value: &str) {
    let text = baseline(folder);
    let line = text.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{row} in\n{text}"));
    let moved = format!("{row}{value}");
    fs::write(folder.join("baselines/little.csv"), text.replace(line, &moved)).unwrap();
}

fn contains(text: &str) -> predicates::str::ContainsPredicate {
    predicate::str::contains(text)
}

#[test]
fn what_was_accepted_is_as_accepted_on_any_number_of_threads() {
    let folder = accepted("");
    for threads in ["1", "2", "3"] {
        let mut check = qnetsim(folder.path());
        check.args(["check", ".", "--threads", threads]).assert().success().stdout(contains("2 points as accepted"));
    }
    let before = baseline(folder.path());
    qnetsim(folder.path()).args(["accept", "."]).assert().success().stdout(contains("as accepted"));
    assert_eq!(baseline(folder.path()), before);
}

#[test]
fn a_count_that_moved_is_named_with_old_new_change_and_the_bucket_where_it_parted() {
    let folder = accepted("");
    let text = baseline(folder.path());
    let sent = text.lines().find_map(|line| line.strip_prefix("ping,100,messages.sent,,")).unwrap().to_owned();
    let more: u64 = sent.parse::<u64>().unwrap() + 1;
    tamper(folder.path(), "ping,100,messages.sent,,", &more.to_string());
    tamper(folder.path(), "ping,100,messages.sent,7.0,", "1000");
    let assert = qnetsim(folder.path()).args(["check", "little.toml"]).assert().code(98);
    assert
        .stdout(contains("FAIL little.toml: 1 difference").and(contains("ping, 100 nodes")))
        .stdout(contains(&format!("messages.sent {more} -> {sent} (-")))
        .stdout(contains("first parted in the bucket at 7 s: messages.sent 1000 ->"))
        .stderr(contains("qnetsim accept"));
}

#[test]
fn a_tolerance_lets_a_metric_move() {
    let folder = accepted("");
    tamper(folder.path(), "ping,100,messages.sent,,", "70");
    let check = |tolerances: &[&str]| {
        let mut check = qnetsim(folder.path());
        check.args(["check", "little.toml"]);
        tolerances.iter().for_each(|tolerance| _ = check.args(["--tolerance", tolerance]));
        check.assert()
    };
    check(&["0.1%"]).code(98);
    check(&["20%"]).success();
    check(&["messages.sent=20%"]).success();
    check(&["20%", "messages.sent=0%"]).code(98);
    check(&["two"]).code(2).stderr(contains("write a share"));
    check(&["messages.sold=1%"]).code(2).stderr(contains("unknown metric"));
}

#[test]
fn the_scenario_says_which_metrics_may_move_by_how_much() {
    let folder = accepted("[tolerance]\n\"delay.p99\" = \"10%\"\n");
    assert!(baseline(folder.path()).contains("ping,100,delay.p99,,0.0"), "it is in the baseline");
    tamper(folder.path(), "ping,100,delay.p99,,", "0.095");
    qnetsim(folder.path()).args(["check", "little.toml"]).assert().success();
    tamper(folder.path(), "ping,100,delay.p99,,", "0.2");
    qnetsim(folder.path()).args(["check", "little.toml"]).assert().code(98).stdout(contains("delay.p99 0.2 ->"));
}

#[test]
fn thresholds_are_kept_or_named_with_their_line() {
    let kept = "[thresholds]\n\"messages.lost\" = \"== 0\"\n[thresholds.ping]\n\"delay.p99\" = \"< 110ms\"\n";
    let folder = accepted(kept);
    qnetsim(folder.path()).args(["check", "."]).assert().success().stdout(contains("2 thresholds kept"));
    let failed = "[thresholds.ping]\n\"delay.p99\" = \"< 20ms\"\n\"detection.p99\" = \"< 1s\"\n";
    fs::write(folder.path().join("little.toml"), format!("{SCENARIO}{failed}")).unwrap();
    let assert = qnetsim(folder.path()).args(["check", "."]).assert().code(99);
    assert
        .stdout(contains("./little.toml:7: threshold ping: delay.p99 < 20ms: measured 0.0"))
        .stdout(contains("threshold ping: detection.p99 < 1s: nothing was measured"));
    fs::remove_dir_all(folder.path().join("baselines")).unwrap();
    qnetsim(folder.path()).args(["check", "."]).assert().code(99);
}

#[test]
fn bad_thresholds_are_refused_with_what_to_write() {
    let bad = [
        ("[thresholds]\n\"messages.send\" = \"== 1\"\n", "write \"messages.sent\""),
        ("[thresholds]\n\"messages.sent\" = \"= 1\"\n", "begins with one of =="),
        ("[thresholds]\n\"messages.sent\" = \"< 90s\"\n", "unknown unit `s`"),
        ("[thresholds]\n\"delay.p99\" = \"< 90\"\n", "needs a unit"),
        ("[thresholds.swim]\n\"delay.p99\" = \"< 90s\"\n", "no approach of this scenario"),
        ("[thresholds]\nmessages.sent = \"== 1\"\n", "need quotes"),
        ("[thresholds]\n\"lookups.node.hops\" = \"< 3\"\n", "no approach has a figure"),
        ("[tolerance]\n\"delay.p99\" = \"a little\"\n", "write a share"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in bad {
        fs::write(folder.path().join("little.toml"), format!("{SCENARIO}{text}")).unwrap();
        qnetsim(folder.path()).args(["check", "little.toml"]).assert().code(2).stdout(contains(said));
    }
}

#[test]
fn baselines_that_are_missing_damaged_or_newer_are_said_to_be() {
    let folder = accepted("");
    let path = folder.path().join("baselines/little.csv");
    let good = baseline(folder.path());
    for (text, said) in [
        (good.replacen("format,,1", "format,,9", 1), "format 9"),
        (good.replacen("messages.sent,,", "messages.sent,,x", 1), "no number"),
        (good[..20].to_owned(), "line 1"),
    ] {
        fs::write(&path, text).unwrap();
        qnetsim(folder.path()).args(["check", "."]).assert().code(4).stdout(contains(said));
    }
    fs::remove_file(&path).unwrap();
    let missing = qnetsim(folder.path()).args(["check", "."]).assert().code(4);
    missing.stdout(contains("neither a baseline").and(contains("qnetsim accept ./little.toml")));
    qnetsim(folder.path()).args(["check", "baselines"]).assert().code(4).stderr(contains("no scenario"));
    qnetsim(folder.path()).args(["check", "absent.toml"]).assert().code(4);
}

#[test]
fn every_format_names_what_moved() {
    let folder = accepted("");
    tamper(folder.path(), "ping,100,messages.sent,,", "70");
    let said = |format: &str| {
        let assert = qnetsim(folder.path()).args(["check", "little.toml", "--format", format]).assert().code(98);
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    assert!(
        said("github").starts_with("::error file=little.toml,line=3,title=ping%2C 100 nodes::messages.sent 70 -> ")
    );
    let xml = said("junit");
    assert!(xml.contains("failures=\"1\"") && xml.contains("messages.sent 70 -&gt; "), "{xml}");
    let json: serde_json::Value = serde_json::from_str(&said("json")).unwrap();
    assert_eq!(json[0]["differences"][0]["metric"], "messages.sent");
    fs::write(folder.path().join("little.toml"), SCENARIO.replace("100", "many")).unwrap();
    let github = qnetsim(folder.path()).args(["check", "little.toml", "--format", "github"]).assert().code(2);
    github.stdout(contains("::error file=little.toml,line=2,title=cannot be checked::"));
}

#[test]
fn nothing_is_accepted_in_ci_or_where_nobody_can_be_asked() {
    let folder = accepted("");
    tamper(folder.path(), "ping,100,messages.sent,,", "70");
    let before = baseline(folder.path());
    let mut accept = qnetsim(folder.path());
    accept.env("CI", "true").args(["accept", ".", "--yes"]).assert().code(2).stderr(contains("not in CI"));
    let unasked = qnetsim(folder.path()).args(["accept", "."]).assert().code(2);
    unasked.stdout(contains("messages.sent 70 -> ")).stderr(contains("say --yes"));
    assert_eq!(baseline(folder.path()), before);
    qnetsim(folder.path()).args(["accept", ".", "--yes"]).assert().success().stdout(contains("written"));
    qnetsim(folder.path()).args(["check", "."]).assert().success();
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_its_exit_code_and_leaves_no_results() {
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    let long = SCENARIO.replace("nodes = 100", "nodes = \"100K\"").replace("20s", "2000s");
    fs::write(folder.path().join("little.toml"), long).unwrap();
    let mut run = std::process::Command::new(assert_cmd::cargo::cargo_bin("qnetsim"))
        .current_dir(folder.path())
        .args(["run", "little.toml"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The folder for the results is made when the scenario was accepted and the work begins.
    while !folder.path().join("results/little").exists() {
        assert!(run.try_wait().unwrap().is_none(), "the run is long enough to be interrupted");
    }
    let killed = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(!folder.path().join("results/little/summary.json").exists());
}

#[test]
fn the_folder_of_baselines_can_be_named() {
    let folder = accepted("");
    let (own, named) = (folder.path().join("baselines"), folder.path().join("elsewhere"));
    fs::rename(&own, &named).unwrap();
    let check = |args: &[&str]| qnetsim(folder.path()).args(["check", "little.toml"]).args(args).assert();
    check(&[]).code(4).stdout(contains("neither a baseline"));
    check(&["--baseline", "elsewhere"]).success().stdout(contains("2 points as accepted"));
    let text = fs::read_to_string(named.join("little.csv")).unwrap();
    let line = text.lines().find(|line| line.starts_with("ping,100,messages.sent,,")).unwrap();
    fs::write(named.join("little.csv"), text.replace(line, "ping,100,messages.sent,,70")).unwrap();
    check(&["--baseline", "elsewhere"]).code(98).stdout(contains("messages.sent 70 ->"));
    qnetsim(folder.path()).args(["accept", "little.toml", "--yes", "--baseline", "elsewhere"]).assert().success();
    check(&["--baseline", "elsewhere"]).success();
    assert!(!own.exists(), "nothing was written beside the scenario");
}

#[cfg(target_os = "linux")]
#[test]
fn a_scenario_that_does_not_fit_is_told_and_the_others_are_checked() {
    let folder = accepted("");
    let huge = SCENARIO.replace("little", "huge").replace("nodes = 100", "nodes = \"4G\"");
    fs::write(folder.path().join("huge.toml"), format!("{huge}[thresholds]\n\"messages.lost\" = \"== 0\"\n")).unwrap();
    let assert = qnetsim(folder.path()).args(["check", "."]).assert().code(3);
    assert
        .stdout(contains("will not fit").and(contains("reduce `nodes`")))
        .stdout(contains("./little.toml: 2 points as accepted"));
}
