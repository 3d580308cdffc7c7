//! What moved from one result to another, as users ask for it.

#[path = "cli/bench.rs"]
#[allow(dead_code, reason = "shared by tests of which none uses all")]
mod bench;

use std::fs;

use bench::Bench;
use serde_json::Value;

const BASE: &str = "name = \"base\"\nnodes = 60\napproaches = [\"ping\", \"flat-gossip\"]\nwarmup = \"1s\"\n\
    measure = \"5s\"\nheartbeat.interval = \"1s\"\n";

/// A folder with `base.toml` and `lossy.toml`, which loses a tenth of the messages.
fn with_two() -> Bench {
    let bench = Bench::new();
    bench.write("base.toml", BASE);
    bench.write("lossy.toml", &format!("{BASE}network.loss = 0.1\n").replace("\"base\"", "\"lossy\""));
    bench
}

/// The entry of `metric` of `approach` among what moved.
fn moved<'v>(comparison: &'v Value, approach: &str, metric: &str) -> Option<&'v Value> {
    let of = |one: &&Value| one["approach"] == approach && one["metric"] == metric;
    comparison["moved"].as_array().unwrap().iter().find(of)
}

#[test]
fn two_folders_are_compared_figure_by_figure() {
    let bench = with_two();
    bench.printed(&["run", "base.toml", "lossy.toml", "--quiet"]);
    let text = bench.printed(&["compare", "results/base", "results/lossy"]);
    for part in ["A: results/base", "B: results/lossy", "one run each", "messages.lost", "from 0"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let json: Value =
        serde_json::from_str(&bench.printed(&["compare", "results/base", "results/lossy", "--format", "json"]))
            .unwrap();
    let lost = moved(&json, "ping", "messages.lost").unwrap();
    assert_eq!((lost["a"].as_f64(), &lost["relative"], &lost["beyond"]), (Some(0.0), &Value::Null, &Value::Null));
    assert!(lost["difference"].as_f64().unwrap() > 10.0);
    assert!(moved(&json, "ping", "messages.sent").is_none() && json["unchanged"].as_u64().unwrap() > 10);
    let same = bench.printed(&["compare", "results/base", "results/base"]);
    assert!(same.contains("0 figures moved") && !same.contains("relative"), "{same}");
    let markdown = bench.printed(&["compare", "results/base", "results/lossy", "--format", "markdown", "--limit", "3"]);
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| ")).count(), 1 + 3, "{markdown}");
}

#[test]
fn two_scenarios_are_run_with_the_same_seeds_and_compared_in_pairs() {
    let bench = with_two();
    let args = ["compare", "base.toml", "lossy.toml", "--repeat", "3", "--format", "json"];
    let json: Value = serde_json::from_str(&bench.printed(&args)).unwrap();
    assert_eq!(json["pairs"], 3);
    let received = moved(&json, "flat-gossip", "messages.received").unwrap();
    let [low, high] = [0, 1].map(|end| received["interval"][end].as_f64().unwrap());
    let difference = received["difference"].as_f64().unwrap();
    assert!(low < difference && difference < high && high < 0.0, "{received}");
    assert_eq!((&received["beyond"], &received["pairs"]), (&true.into(), &3.into()));
    let relative = received["relative"].as_f64().unwrap();
    assert!((-0.15..-0.05).contains(&relative), "a tenth is lost: {relative}");
    // What is beyond its interval comes first, then the larger effect.
    let ranks: Vec<bool> = json["moved"].as_array().unwrap().iter().map(|one| one["beyond"] == true).collect();
    assert!(ranks.is_sorted_by(|one, other| one >= other), "{ranks:?}");
    let text = bench.printed(&["compare", "base.toml", "lossy.toml", "--repeat", "2"]);
    assert!(text.contains("2 pairs of runs with the same seed") && text.contains("95 % interval"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!bench.exists("results"), "nothing is written");
    let swapped: Value = serde_json::from_str(&bench.printed(&[
        "compare",
        "lossy.toml",
        "base.toml",
        "--repeat",
        "3",
        "--format",
        "json",
    ]))
    .unwrap();
    let back = moved(&swapped, "flat-gossip", "messages.received").unwrap();
    assert_eq!(back["difference"].as_f64(), Some(-difference));
}

#[test]
fn sweeps_are_compared_point_by_point_in_pairs_of_seeds() {
    let bench = with_two();
    let sweep = "[sweep]\nrepeat = 3\n[sweep.axes]\nnodes = [60, 80]\n";
    bench.write("a.toml", &format!("{BASE}{sweep}"));
    bench.printed(&["run", "a.toml", "--quiet", "--out", "a"]);
    bench.printed(&[
        "run",
        "a.toml",
        "--quiet",
        "--out",
        "b",
        "--set",
        "network.loss=0.1",
        "--set",
        "sweep.axes.nodes=[80, 100]",
    ]);
    let json: Value =
        serde_json::from_str(&bench.printed(&["compare", "a/base", "b/base", "--format", "json"])).unwrap();
    assert_eq!(json["pairs"], 3);
    assert!(json["moved"].as_array().unwrap().iter().all(|one| one["nodes"] == 80));
    for (side, nodes) in [("only_a", 60), ("only_b", 100)] {
        let only = json[side].as_array().unwrap();
        assert!(
            only.len() > 20 && only.iter().all(|key| key["nodes"] == nodes || key["metric"] == "messages.lost"),
            "{side}"
        );
    }
    let text = bench.printed(&["compare", "a/base", "b/base"]);
    assert!(text.contains("Only in A:") && text.contains("... and "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    // An unfinished sweep is none yet.
    fs::remove_file(bench.path("b/base/sweep.csv")).unwrap();
    assert!(bench.refused(&["compare", "a/base", "b/base"], 2).contains("the sweep in b/base is not finished"));
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_to_do() {
    let bench = with_two();
    bench.printed(&["run", "base.toml", "--quiet"]);
    bench.printed(&["run", "base.toml", "--quiet", "--out", "large", "--set", "nodes=70"]);
    let error = bench.refused(&["compare", "results/base", "large/base"], 2);
    assert!(error.contains("no figure in common") && error.contains("flat-gossip, 70 nodes"), "{error}");
    let error = bench.refused(&["compare", "results/base", "base.toml"], 2);
    assert!(error.contains("run it first\n  qnetsim run base.toml"), "{error}");
    fs::remove_file(bench.path("large/base/metrics.csv")).unwrap();
    let error = bench.refused(&["compare", "results/base", "large/base"], 2);
    assert!(error.contains("no metrics.csv") && error.contains("qnetsim run base.toml --set nodes=70"), "{error}");
    fs::remove_file(bench.path("large/base/summary.json")).unwrap();
    assert!(bench.refused(&["compare", "results/base", "large/base"], 2).contains("run it again: qnetsim run FILE"));
    let sheet = bench.text("results/base/metrics.csv");
    bench.write("results/base/metrics.csv", &sheet[..sheet.len() - 4]);
    let error = bench.refused(&["compare", "results/base", "results/base"], 4);
    assert!(error.contains("metrics.csv: line ") && error.contains("the line has no end"), "{error}");
    bench.write("results/base/metrics.csv", "a,b\n1,2\n");
    assert!(bench.refused(&["compare", "results/base", "results/base"], 4).contains("its columns are not approach"));
    assert!(bench.refused(&["compare", "none.toml", "base.toml"], 4).contains("cannot read scenario"));
    bench.write("swept.toml", &format!("{BASE}[sweep]\nrepeat = 2\n"));
    assert!(bench.refused(&["compare", "swept.toml", "base.toml"], 2).contains("has a sweep: run both"));
}
