//! What a sweep makes of a scenario, and what it may not say.

use proptest::prelude::*;

use super::*;
use crate::scenario::{parse, parse_sweep};

const HEAD: &str = "name = \"s\"\nnodes = 100\napproaches = [\"ping\"]\nseed = 7\n";

fn sweep_with(lines: &str, overrides: &[&str]) -> Sweep {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let sweep = parse_sweep("s.toml", &format!("{HEAD}{lines}"), &overrides);
    sweep.unwrap_or_else(|error| panic!("{error}")).expect("there is a sweep")
}

/// The written values of each combination.
fn written(lines: &str, overrides: &[&str]) -> Vec<String> {
    let sweep = sweep_with(lines, overrides);
    sweep.combinations.iter().map(|combination| combination.written.join(" ")).collect()
}

/// Checks that `lines` are refused, at line `line` of them (from 1), with all of `parts`.
#[track_caller]
fn refused(lines: &str, line: usize, parts: &[&str]) {
    let error = parse_sweep("s.toml", &format!("{HEAD}{lines}"), &[]).expect_err(lines);
    let ScenarioError::Invalid(problems) = &error else { panic!("{error}") };
    let said = error.to_string();
    assert_eq!(problems.list()[0].line, line + 4, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn every_combination_is_made_and_the_last_axis_changes_fastest() {
    let lines = "[sweep.axes]\nnetwork.loss = [0, 0.5]\n\"heartbeat.interval\" = [\"1s\", \"1500ms\"]\n";
    assert_eq!(written(lines, &[]), ["0 1s", "0 1500ms", "0.5 1s", "0.5 1500ms"]);
    let sweep = sweep_with(lines, &[]);
    let axes: Vec<_> = sweep.axes.iter().map(|axis| (axis.name.as_str(), axis.unit)).collect();
    assert_eq!(axes, [("network.loss", ""), ("heartbeat.interval", "s")]);
    assert_eq!(sweep.combinations[3].cells, ["0.5", "1.5"]);
    assert_eq!(sweep.seeds, [7]);
    assert_eq!(sweep.combinations[0].points, [("ping".to_owned(), 100)]);
}

#[test]
fn a_combination_is_the_scenario_that_overrides_would_make() {
    let sweep = sweep_with("[sweep]\naxes = { nodes = [\"1K\", 50], \"network.loss\" = [0.1] }\nrepeat = 3\n", &[]);
    assert_eq!(sweep.seeds, [7, 8, 9]);
    let by_hand = parse("s.toml", HEAD, &["nodes=1K".to_owned(), "network.loss=0.1".to_owned()]).unwrap();
    let scenario = sweep.scenario(0, 8).unwrap();
    assert_eq!((&scenario.hash, &scenario.points, scenario.seed), (&by_hand.hash, &by_hand.points, 8));
    assert_eq!(sweep.combinations[0].hash, by_hand.hash);
    assert_ne!(sweep.combinations[1].hash, by_hand.hash);
}

#[test]
fn the_scenario_of_a_file_with_a_sweep_is_that_without_it() {
    let swept = parse("s.toml", &format!("{HEAD}[sweep]\naxes.nodes = [5, 6]"), &[]).unwrap();
    let plain = parse("s.toml", HEAD, &[]).unwrap();
    assert!(swept.is_swept && !plain.is_swept);
    assert!(swept.effective.contains("[sweep.axes]"));
    assert_eq!(Scenario { is_swept: false, effective: plain.effective.clone(), ..swept }, plain);
    assert!(parse_sweep("s.toml", HEAD, &[]).unwrap().is_none());
}

#[test]
fn ranges_are_even_by_difference_or_by_ratio_and_keep_their_ends_and_units() {
    let values = |range: &str, key: &str| written(&format!("[sweep.axes]\n\"{key}\" = {range}"), &[]);
    assert_eq!(values("{ from = 10, to = 40, steps = 4 }", "nodes"), ["10", "20", "30", "40"]);
    assert_eq!(
        values("{ from = \"1K\", to = 10_000, steps = 3, scale = \"log\" }", "nodes"),
        ["1000", "3162", "10000"]
    );
    assert_eq!(values("{ from = \"10K\", to = \"1K\", steps = 2 }", "nodes"), ["10000", "1000"]);
    let interval = "heartbeat.interval";
    assert_eq!(values("{ from = \"10s\", to = \"60s\", steps = 3 }", interval), ["10s", "35s", "60s"]);
    assert_eq!(
        values("{ from = \"1s\", to = \"60s\", steps = 4, scale = \"log\" }", interval),
        ["1s", "3.915s", "15.33s", "60s"]
    );
    assert_eq!(
        values("{ from = \"1min\", to = \"100s\", steps = 3 }", interval),
        ["1min", "80000000000ns", "100000000000ns"]
    );
    assert_eq!(values("{ from = 0, to = 0.3, steps = 4 }", "network.loss"), ["0", "0.1", "0.2", "0.3"]);
    assert_eq!(
        values("{ from = 0.001, to = 0.1, steps = 3, scale = \"log\" }", "network.loss"),
        ["0.001", "0.01", "0.1"]
    );
    let size = "{ from = \"100 B\", to = \"1 kB\", steps = 2, scale = \"linear\" }";
    assert_eq!(values(size, "heartbeat.size"), ["100 B", "1000 B"]);
}

#[test]
fn zipped_axes_move_together() {
    let lines =
        "[[sweep.zip]]\nnodes = [100, 1000]\n\"tiers.full\" = [10, 20]\n[sweep.axes]\nnetwork.loss = [0, 0.1]\n";
    assert_eq!(written(lines, &[]), ["100 10 0", "100 10 0.1", "1000 20 0", "1000 20 0.1"]);
}

#[test]
fn variants_set_what_they_name_and_merge_tables() {
    let lines = "network.latency = { model = \"uniform\", min = \"1ms\", max = \"2ms\" }\n\
        [[sweep.variants]]\nname = \"base\"\n\
        [[sweep.variants]]\nname = \"slow\"\nset.network.latency.max = \"9ms\"\n\
        [[sweep.variants]]\nname = \"even\"\nset = { \"network.latency\" = { model = \"constant\", delay = \"1ms\" }, measure = \"5s\" }\n";
    let sweep = sweep_with(lines, &[]);
    assert_eq!(written(lines, &[]), ["base", "slow", "even"]);
    let by_hand = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let head = format!("{HEAD}{}", lines.lines().next().unwrap());
        parse("s.toml", &head, &sets).unwrap().hash
    };
    let hashes: Vec<_> = sweep.combinations.iter().map(|combination| combination.hash.clone()).collect();
    let constant = "network.latency={ model = \"constant\", delay = \"1ms\" }";
    assert_eq!(hashes, [by_hand(&[]), by_hand(&["network.latency.max=9ms"]), by_hand(&[constant, "measure=5s"])]);
}

#[test]
fn constraints_take_combinations_away() {
    let axes = "[sweep.axes]\nnodes = [100, 1000]\nnetwork.loss = [0, 0.5]\n";
    let with = |constraints: &str| written(&format!("[sweep]\nconstraints = {constraints}\n{axes}"), &[]);
    assert_eq!(with("[\"network.loss < 0.1 || nodes <= 500\"]"), ["100 0", "100 0.5", "1000 0"]);
    assert_eq!(with("[\"nodes > 500\", \"network.loss > 0\"]"), ["1000 0.5"]);
}

#[test]
fn overrides_have_the_last_word() {
    let lines = "[[sweep.variants]]\nname = \"a\"\nset = { measure = \"5s\" }\n[sweep.axes]\nnodes = [100, 1000]\nnetwork.loss = [0, 0.5]\n\
        [[sweep.zip]]\n\"heartbeat.interval\" = [\"1s\", \"2s\"]\nwarmup = [\"1s\", \"2s\"]\n";
    assert_eq!(
        written(lines, &["nodes=5", "warmup=3s"]),
        ["a 5 0 1s 3s", "a 5 0 2s 3s", "a 5 0.5 1s 3s", "a 5 0.5 2s 3s"]
    );
    assert_eq!(
        written(lines, &["network={ loss = 0.25 }", "nodes=5", "warmup=3s", "heartbeat.interval=9s"]),
        ["a 5 0.25 9s 3s"]
    );
    let sweep = sweep_with(lines, &["measure=1s", "sweep.axes.nodes=[7]", "sweep.repeat=2"]);
    assert_eq!((sweep.seeds.len(), sweep.combinations.len()), (2, 4));
    let scenario = sweep.scenario(0, 7).unwrap();
    assert_eq!(
        (scenario.points[0].measure, scenario.points[0].population.total()),
        (crate::contract::SimSpan::from_secs(1), 7)
    );
}

#[test]
fn what_is_wrong_with_a_value_is_told_at_its_place_with_the_combination() {
    let lines = "[sweep.axes]\nnodes = [100, 1000]\nnetwork.loss = [\n0.1,\n2,\n]\n";
    refused(
        lines,
        5,
        &["from 0 up to, not including, 1", "found integer 2", "in the combination nodes = 100, network.loss = 2"],
    );
    let error = parse_sweep("s.toml", &format!("{HEAD}{lines}"), &[]).unwrap_err().to_string();
    assert!(error.ends_with("refused: 1 problem"), "once, however many combinations have it: {error}");
    refused("[sweep.axes]\nnetwork.los = [0.1]\n", 2, &["unknown key `los` in `network`", "write `loss`"]);
    refused("[sweep.axes]\n\"nodes.min\" = [1]\n", 2, &["`nodes` is integer 100 and has no keys of its own"]);
    refused("[sweep.axes]\nnodes = { from = 1, to = 5, steps = 3 }\n", 2, &["expected a value from 2"]);
}

#[test]
fn sweeps_that_cannot_be_made_are_refused_with_what_to_write() {
    refused("[sweep]\naxis = {}\n", 2, &["unknown key `axis` in `sweep`", "write `axes`"]);
    refused("[sweep.axes]\nseed = [1, 2]\n", 2, &["a sweep cannot vary `seed`", "write repeat = 5", "error[Q0170]"]);
    refused("[sweep.axes]\nsweep.repeat = [1]\n", 2, &["sweeps are not nested"]);
    refused("[sweep.axes]\n\"a..b\" = [1]\n", 2, &["write a key of the scenario"]);
    refused("[sweep.axes]\nnodes = []\n", 2, &["`nodes` has 0 values"]);
    refused("[sweep.axes]\nnodes = [5, 6, 5]\n", 2, &["has the value 5 twice", "remove it"]);
    refused("[sweep.axes]\nnodes = { from = 2, to = 4, steps = 9 }\n", 2, &["value 2 twice", "write fewer steps"]);
    refused("[sweep.axes]\nnodes = { from = 2, to = 4 }\n", 2, &["the range of `nodes` has no `steps`"]);
    refused("[sweep.axes]\nnodes = { from = 2, to = 4, steps = 1 }\n", 2, &["whole number from 2 to 1000"]);
    refused(
        "[sweep.axes]\nnodes = { from = 2, to = \"4s\", steps = 2 }\n",
        2,
        &["a range cannot go from integer 2 to string"],
    );
    refused(
        "[sweep.axes]\nnodes = { from = 2, to = 4, steps = 2, scale = \"logs\" }\n",
        2,
        &["write \"linear\" or \"log\""],
    );
    refused(
        "[sweep.axes]\nnodes = { from = 2, to = 4, steps = 2, step = 1 }\n",
        2,
        &["unknown key `step` in a range", "write `steps`"],
    );
    refused("[sweep.axes]\nnetwork.loss = { from = 0, to = 0.5, steps = 3, scale = \"log\" }\n", 2, &["above zero"]);
    refused("[[sweep.zip]]\nnodes = [5, 6]\nmeasure = [\"1s\"]\n", 3, &["`nodes` has 2 values and `measure` has 1"]);
    refused("[sweep.axes]\nnodes = [5, 6]\n[[sweep.zip]]\nnodes = [7, 8]\n", 4, &["`nodes` is set by two axes"]);
    refused("[[sweep.variants]]\nset = { nodes = 5 }\n", 1, &["a variant has no `name`"]);
    refused("[[sweep.variants]]\nname = \"a b\"\n", 2, &["cannot name a variant"]);
    refused("[[sweep.variants]]\nname = \"a\"\n[[sweep.variants]]\nname = \"a\"\n", 3, &["for the second time"]);
    refused("[sweep]\nrepeat = 0\n", 2, &["expected a value from 1"]);
    refused("[sweep]\nconstraints = [\"nodes < 5\"]\n", 1, &["leave no combination"]);
    refused("[sweep]\nconstraints = [\"nodes = 5\"]\n", 2, &["write =="]);
    refused("sweep = 5\n", 1, &["expected `sweep` to be a table"]);
}

#[test]
fn sweeps_have_bounds() {
    let range = |to: usize| format!("{{ from = 2, to = {to}, steps = {} }}", to - 1);
    let large = format!("[sweep.axes]\nnodes = {}\n\"tiers.full\" = {}\n", range(201), range(201));
    refused(&large, 1, &["the sweep has more than 10K combinations", "vary fewer keys"]);
    let many = format!("[sweep]\nrepeat = 200\naxes.nodes = {}\n", range(201));
    refused(&many, 1, &["the sweep has more than 20K runs"]);
    let seeds = "[sweep]\nrepeat = 2\n";
    let error = parse_sweep("s.toml", &format!("{HEAD}{seeds}"), &["seed=9223372036854775807".to_owned()]);
    assert!(error.unwrap_err().to_string().contains("the seeds end at 2^63 - 1"));
}

/// Pieces that sweeps are made of, so that random changes come close to valid ones.
const PIECES: [&str; 16] =
    ["[", "]", "{", "}", "=", "\"", "'", ",", "\n", " && ", "(", "9", "nodes", "sweep.", "steps = 3", "\u{1b}"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_a_sweep_or_refused(at in 0..500usize, cut in 0..6usize, piece in prop::sample::select(&PIECES[..])) {
        let mut text = format!(
            "{HEAD}[sweep]\nrepeat = 2\nconstraints = [\"nodes < 9 || network.loss == 0\"]\n[sweep.axes]\n\
             network.loss = [0, 0.5]\nnodes = {{ from = 5, to = 9, steps = 3 }}\n[[sweep.zip]]\nwarmup = [\"1s\"]\n\
             [[sweep.variants]]\nname = \"a\"\nset = {{ measure = \"5s\" }}\n"
        );
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, piece);
        match parse_sweep("s.toml", &text, &[]) {
            Ok(Some(sweep)) => {
                for index in 0..sweep.combinations.len() {
                    let scenario = sweep.scenario(index, sweep.seeds[0]).unwrap_or_else(|error| panic!("{error}"));
                    prop_assert_eq!(&scenario.hash, &sweep.combinations[index].hash);
                }
            }
            Ok(None) => {}
            Err(error) => prop_assert!(error.to_string().contains("s.toml"), "{}", error),
        }
    }
}
