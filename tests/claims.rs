//! `qnetsim claims`, run as users run it, and the table of definitions.

use std::collections::BTreeSet;

use assert_cmd::Command;
use qnetsim::claims::evidence::Evidence;
use qnetsim::claims::network::DEFINITIONS;
use qnetsim::claims::runs::RUNS;
use qnetsim::claims::{claims, definition};

fn claims_of(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("qnetsim").unwrap();
    command.arg("claims").args(args);
    command
}

#[test]
fn every_claim_about_networks_has_a_definition_and_every_definition_a_claim() {
    let claimed: Vec<_> =
        claims().iter().filter(|claim| claim.document == "qnet-scalability").map(|claim| claim.id.as_str()).collect();
    let defined: Vec<_> = DEFINITIONS.iter().map(|definition| definition.id).collect();
    assert_eq!(claimed, defined);
}

#[test]
fn every_run_is_needed_and_every_needed_run_is_there() {
    let made: BTreeSet<_> = RUNS.iter().map(|run| run.name).collect();
    let needed: BTreeSet<_> = DEFINITIONS.iter().flat_map(|definition| definition.runs).copied().collect();
    assert_eq!(made, needed);
    assert_eq!(made.len(), RUNS.len(), "two runs share a name");
}

#[test]
fn without_its_run_a_claim_has_no_parts() {
    for definition in DEFINITIONS {
        let error = (definition.parts)(&Evidence::default()).expect_err(definition.id);
        assert!(error.to_string().contains("was not made"), "{}: {error}", definition.id);
    }
}

#[test]
fn growth_of_votes_is_decided_and_printed_alike_on_any_number_of_threads() {
    let run = |threads: &str| {
        let assert =
            claims_of(&["--id", "QN-06", "--format", "csv", "--threads", threads, "--quiet"]).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let csv = run("1");
    assert_eq!(csv, run("2"));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = |name: &str| reader.headers().unwrap().iter().position(|header| header == name).unwrap();
    let (measured, law, verdict) = (column("simulated"), column("law"), column("verdict"));
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let exponent: f64 = rows[0][measured].parse().unwrap();
    assert!((exponent - 1.0).abs() < 0.1, "{csv}");
    assert_eq!((&rows[0][law], &rows[1][law]), ("O(n)", "O(n^2)"), "{csv}");
    assert!(["holds", "contradicted"].contains(&&rows[0][verdict]));
}

#[test]
fn unknown_ids_are_refused_with_the_nearest() {
    let assert = claims_of(&["--id", "QN-6"]).assert().code(2);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("write QN-06?"));
    assert!(definition("QN-99").is_none());
}
