//! `qnetsim plot`, as it is called: what it draws, and what it refuses.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn qnetsim(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("qnetsim").unwrap();
    command.args(arguments);
    command
}

/// What a call writes to standard error, and its exit code.
fn refusal(arguments: &[&str]) -> (i32, String) {
    let output = qnetsim(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn all_that_a_folder_has_data_for_is_drawn() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().to_str().unwrap();
    qnetsim(&["plot", "results/mobile", "-o", path]).assert().success();
    qnetsim(&["plot", "results/mobile", "-o", path, "--theme", "dark", "--kind", "battery"]).assert().success();
    qnetsim(&["plot", "results/mobile", "-o", path, "--format", "png", "--kind", "battery"]).assert().success();
    let expected = ["bandwidth.svg", "battery-dark.svg", "battery.png", "battery.svg", "detection.svg", "latency.svg"];
    assert_eq!(names(out.path()), expected);
    for name in expected {
        let bytes = fs::read(out.path().join(name)).unwrap();
        if name.ends_with(".png") {
            assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000, "{name}");
        } else {
            roxmltree::Document::parse(&String::from_utf8(bytes).unwrap()).unwrap();
        }
    }
}

#[test]
fn the_committed_pictures_are_those_of_the_committed_results() {
    for name in ["network-load", "consensus"] {
        let out = tempfile::tempdir().unwrap();
        let folder = format!("results/{name}");
        qnetsim(&["plot", &folder, "--kind", "network-load", "-o", out.path().to_str().unwrap()]).assert().success();
        let drawn = fs::read(out.path().join("network-load.svg")).unwrap();
        assert!(
            drawn == fs::read(format!("{folder}/network-load.svg")).unwrap(),
            "draw {name} anew with `qnetsim plot`"
        );
    }
}

#[test]
fn a_kind_without_data_says_what_it_needs() {
    let (code, said) = refusal(&["plot", "results/detection", "--kind", "battery"]);
    assert_eq!(code, 4);
    assert!(said.contains("figures.csv with the topic battery") && said.contains("scenarios/mobile.toml"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let (code, said) = refusal(&["plot", empty.path().to_str().unwrap()]);
    assert_eq!(code, 4);
    assert!(said.contains("has nothing to draw") && said.contains("sweep-means.csv"), "{said}");
    assert!(names(empty.path()).is_empty());
    assert_eq!(refusal(&["plot", "results/nowhere"]).0, 4);
    assert_eq!(refusal(&["plot", "results/mobile", "--kind", "pie"]).0, 2);
    assert_eq!(refusal(&["plot", "results/mobile", "--where", "x"]).0, 2);
}

#[test]
fn what_no_run_wrote_is_refused_and_nothing_is_drawn() {
    let nodes = "approach,nodes,direction,messages_per_s\n";
    let cases = [
        ("messages.csv", format!("{nodes}a,10,sent,1\nb,x,sent,1\n"), "line 3: `nodes` is `x`, not a number of nodes"),
        ("messages.csv", format!("{nodes}a,10,sent,NaN\n"), "line 2: `messages_per_s` is `NaN`, not a number"),
        ("messages.csv", format!("{nodes}a,10,sent\n"), "line 2: 3 cells under 4 columns"),
        ("messages.csv", format!("{nodes}a\u{1b}[2J,10,sent,1\n"), "line 2: a control character"),
        ("messages.csv", "approach,nodes\na,1\n".to_owned(), "line 1: the column `direction` is missing"),
        (
            "curves.csv",
            "approach,nodes,curve,subject,x,y\na,1,coverage-over-time,s,1,2\n".to_owned(),
            "line 2: a share",
        ),
        ("latency.csv", "approach\n\"a\n".to_owned(), "the column `nodes` is missing"),
    ];
    for (file, text, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file), &text).unwrap();
        let (code, said) = refusal(&["plot", folder.path().to_str().unwrap()]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(file) && said.contains(expected), "{said}");
        assert_eq!(names(folder.path()), [file]);
    }
}

#[test]
fn a_sweep_is_drawn_by_metric() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let rows: String = (1..=3)
        .flat_map(|x| {
            ["messages.sent", "detection.p99"].map(|metric| format!("{x},ping,10,{metric},1,3,{x},1,{x},{x}\n"))
        })
        .collect();
    let head = "heartbeat.interval,approach,nodes,metric,unit,n,mean,sd,ci95_low,ci95_high\n";
    fs::write(folder.path().join("sweep-means.csv"), format!("{head}{rows}")).unwrap();
    qnetsim(&["plot", path, "--metric", "detection.p99"]).assert().success();
    assert_eq!(names(folder.path()), ["sweep-detection.p99.svg", "sweep-means.csv"]);
    let (code, said) = refusal(&["plot", path, "--metric", "detection.p50"]);
    assert!(code == 2 && said.contains("messages.sent, detection.p99"), "{said}");
}
