//! `qnetsim claims`, run as users run it, and the table of definitions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use qnetsim::claims::evidence::{Evidence, SOURCES};
use qnetsim::claims::runs::{RUNS, SEEDS};
use qnetsim::claims::{claims, definition, definitions};

/// Claims whose runs take a moment: a search is not among them, nor is the registry.
const FAST: &str = "QN-06,QN-07,QN-12,QN-54";
const VERDICTS: [&str; 4] = ["holds", "holds under stated conditions", "contradicted", "not a measurable claim"];

fn claims_of(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("qnetsim").unwrap();
    command.arg("claims").args(args);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// The rows of a CSV, each as its named columns.
fn rows(csv: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    csv::Reader::from_reader(csv.as_bytes()).deserialize().map(Result::unwrap).collect()
}

#[test]
fn every_id_has_a_definition_and_every_definition_an_id() {
    let claimed: Vec<_> = claims().iter().map(|claim| claim.id.as_str()).collect();
    let defined: Vec<_> = definitions().map(|definition| definition.id).collect();
    assert_eq!(claimed, defined);
    assert!(definition("QN-99").is_none());
}

#[test]
fn the_rows_in_readme_are_of_the_committed_record() {
    let record = rows(include_str!("../results/claims/claims.csv"));
    let recorded: BTreeSet<_> = record.iter().map(|row| row["id"].as_str()).collect();
    assert_eq!(recorded, claims().iter().map(|claim| claim.id.as_str()).collect());
    assert!(record.iter().all(|row| row["missing"].is_empty()));
    let shown =
        include_str!("../README.md").lines().filter(|line| line.starts_with("| QN-") || line.starts_with("| UR-"));
    let mut count = 0;
    for line in shown {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let parts: Vec<_> = record.iter().filter(|row| row["id"] == cells[1]).collect();
        let [verdict, obtained] = [cells[7], cells[6]];
        let of_machine = |row: &&std::collections::BTreeMap<String, String>| row["machine_verdict"].clone();
        let found = parts.first().map(|row| row["simulated_verdict"].clone()).filter(|verdict| !verdict.is_empty());
        assert_eq!(Some(verdict.to_owned()), found.or_else(|| parts.first().map(of_machine)), "{line}");
        let ways: BTreeSet<_> = parts.iter().map(|row| row["obtained"].as_str()).collect();
        assert!(obtained.split(", ").all(|way| ways.contains(way)), "{line}: {ways:?}");
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn every_run_is_needed_and_every_needed_run_is_there() {
    let made: BTreeSet<_> = RUNS.iter().map(|run| run.name).chain(SOURCES).collect();
    let needed: BTreeSet<_> = definitions().flat_map(|definition| definition.runs).copied().collect();
    assert_eq!(made, needed);
    assert_eq!(made.len(), RUNS.len() + SOURCES.len(), "two runs share a name");
}

#[test]
fn the_confidence_intervals_are_over_three_seeds_and_five() {
    assert_eq!(SEEDS, [3, 5]);
    assert!(RUNS.iter().all(|run| run.seeds == SEEDS));
}

#[test]
fn every_run_is_a_valid_scenario_in_both_scales() {
    for run in RUNS {
        for overrides in run.overrides {
            let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
            if let Err(error) = qnetsim::scenario::parse(run.file, run.text, &overrides) {
                panic!("{}: {}", run.name, error.render(false));
            }
        }
    }
}

#[test]
fn without_its_run_a_claim_has_no_parts() {
    for definition in definitions() {
        let error = (definition.parts)(&Evidence::default(), definition.id).expect_err(definition.id);
        assert!(error.to_string().contains("was not made"), "{}: {error}", definition.id);
    }
}

#[test]
fn a_run_that_failed_is_told_as_the_reason() {
    let mut evidence = Evidence::default();
    RUNS.iter().for_each(|run| evidence.add(run.name, Err("it did not fit".to_owned())));
    evidence.add_registry(Err("it did not fit".to_owned()));
    evidence.add_crossings(Err("it did not fit".to_owned()));
    for definition in definitions().filter(|definition| definition.id != "QN-11") {
        let error = (definition.parts)(&evidence, definition.id).expect_err(definition.id);
        assert!(error.to_string().ends_with("failed: it did not fit"), "{}: {error}", definition.id);
    }
}

#[test]
fn simulated_results_are_the_same_bytes_on_any_number_of_threads() {
    let run =
        |threads: &str| stdout(claims_of(&["--id", FAST, "--format", "csv", "--quiet"]).args(["--threads", threads]));
    let csv = run("1");
    assert_eq!(csv, run("2"));
    let rows = rows(&csv);
    let ids: BTreeSet<_> = rows.iter().map(|row| row["id"].as_str()).collect();
    assert_eq!(ids.into_iter().collect::<Vec<_>>().join(","), FAST);
    for row in &rows {
        assert!(!row["quote"].is_empty() && !row["because"].is_empty() && !row["rule"].is_empty());
        assert!(VERDICTS.contains(&&*row["simulated_verdict"]) || row["simulated_verdict"].starts_with("off by "));
        assert_eq!((&*row["machine"], &*row["machine_verdict"]), ("", ""));
        assert!(row["run"].starts_with("qnetsim run scenarios/"), "{}", row["run"]);
    }
    let votes = rows.iter().find(|row| row["part"] == "messages of a round").unwrap();
    let exponent: f64 = votes["simulated"].parse().unwrap();
    assert!((exponent - 1.0).abs() < 0.1 && votes["simulated_law"] == "O(n)", "{votes:?}");
    let pbft = rows.iter().find(|row| row["part"] == "PBFT, messages of a round").unwrap();
    assert_eq!(pbft["simulated_law"], "O(n^2)");
    let intervals: Vec<f64> =
        rows.iter().filter(|row| row["id"] == "QN-12").map(|row| row["simulated"].parse().unwrap()).collect();
    for (interval, documented) in intervals.iter().zip([30.0, 60.0, 300.0, 600.0]) {
        assert!((interval / documented - 1.0_f64).abs() < 0.05, "{intervals:?}");
    }
}

#[test]
fn every_format_and_every_file_says_the_same_of_a_claim() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("claims");
    let human = stdout(claims_of(&["--id", "QN-06", "--quiet", "--out"]).arg(&out));
    assert!(human.lines().all(|line| line.chars().count() <= 100), "{human}");
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let (markdown, csv, json) = (read("claims.md"), read("claims.csv"), read("claims.json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let verdict = json["claims"][0]["verdict"].as_str().unwrap();
    assert_eq!(json["command"], "qnetsim claims --id QN-06 --scale quick");
    for text in [&human, &markdown] {
        assert!(text.contains(verdict) && text.contains("Messages: O(n) for"), "{text}");
        for stated in ["qnetsim claims --id QN-06", env!("CARGO_PKG_VERSION"), "cores", "seeds: 1 to 3"] {
            assert!(text.contains(stated), "{stated} is missing from\n{text}");
        }
    }
    assert!(rows(&csv).iter().all(|row| row["simulated_verdict"] == verdict));
    assert_eq!(json["claims"][0]["parts"][0]["points"].as_array().unwrap().len(), 6, "sizes of the fit");
    assert!(markdown.contains("## Growth") && markdown.contains("| O(n) |"));
    assert!(read("growth.svg").contains("QN-06 O(n)") && read("verdicts.svg").contains("QN-06"));
}

#[test]
fn progress_is_on_standard_error_and_a_shared_run_is_made_once() {
    let assert = claims_of(&["--id", "QN-40,QN-47", "--format", "csv"]).assert().success();
    let output = assert.get_output();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("together: scenarios/recommended-architecture.toml").count(), 1, "{said}");
    assert!(said.contains("[1/1]"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("[1/1]"));
}

#[test]
fn unknown_ids_are_refused_with_the_nearest() {
    let assert = claims_of(&["--id", "QN-6"]).assert().code(2);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("did you mean QN-06?"));
    claims_of(&["--id", "QN-06", "--document", "user-registry-scalability"]).assert().code(2);
}

#[test]
fn a_claim_whose_run_fails_is_shown_as_such_and_makes_the_exit_code_70() {
    let folder = tempfile::tempdir().unwrap();
    // A file stands where registries are to be made.
    let taken = folder.path().join("taken");
    fs::write(&taken, "").unwrap();
    let failing = |format: &str| {
        let mut command = claims_of(&["--id", "UR-01,QN-12", "--quiet", "--format", format, "--work"]);
        let assert = command.arg(Path::new(&taken)).assert().code(70);
        let output = assert.get_output();
        assert!(String::from_utf8_lossy(&output.stderr).contains("no evidence for UR-01\n"));
        String::from_utf8(output.stdout.clone()).unwrap()
    };
    assert!(failing("human").contains("UR-01 no evidence: the run registry-bench failed: "));
    let rows = rows(&failing("csv"));
    let failed: Vec<_> = rows.iter().filter(|row| row["id"] == "UR-01").collect();
    assert!(failed.len() == 1 && failed[0]["missing"].contains("the run registry-bench failed: "));
    assert_eq!(failed[0]["simulated_verdict"], "no evidence");
    assert!(rows.iter().any(|row| row["id"] == "QN-12" && row["simulated_verdict"] == "holds"));
}
