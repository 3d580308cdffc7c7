//! What comes of scenarios that extend others, and which may not.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::DEPTH_MAX;
use crate::scenario::{LatencySpec, Problem, Scenario, ScenarioError, load};

const BASE: &str = "name = \"base\"\nnodes = [100, 200]\napproaches = \"ping\"\nmeasure = \"5s\"\n[network]\nloss = 0.1\nheader = \"20 B\"\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn read(files: &[(&str, &str)], sets: &[&str]) -> Result<Scenario, ScenarioError> {
    let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
    load(&folder(files).path().join("s.toml"), &sets)
}

/// The only problem of the scenario `s.toml` in `folder`.
#[track_caller]
fn problem_in(folder: &Path) -> Problem {
    match load(&folder.join("s.toml"), &[]) {
        Err(ScenarioError::Invalid(problems)) => {
            let [problem] = problems.list() else { panic!("{problems}") };
            problem.clone()
        }
        other => panic!("{other:?}"),
    }
}

/// Checks that of `files`, `s.toml` has one problem: in the file that `place` begins with, at its line and column.
#[track_caller]
fn check(files: &[(&str, &str)], place: (&str, usize, usize), part: &str) {
    let problem = problem_in(folder(files).path());
    assert!(problem.source.ends_with(place.0), "{}", problem.source);
    assert_eq!((problem.line, problem.column), (place.1, place.2), "{problem:?}");
    assert!(problem.title.contains(part), "{}", problem.title);
}

#[test]
fn tables_are_merged_key_by_key_and_lists_are_replaced() {
    let own = "extends = \"base.toml\"\nname = \"own\"\nnodes = [300]\nnetwork.loss = 0.2\n";
    let scenario = read(&[("s.toml", own), ("base.toml", BASE)], &[]).unwrap();
    let whole = "name = \"own\"\nnodes = [300]\napproaches = \"ping\"\nmeasure = \"5s\"\nnetwork.loss = 0.2\nnetwork.header = \"20 B\"\n";
    let whole = read(&[("s.toml", whole)], &[]).unwrap();
    assert_eq!(Scenario { approaches_line: None, ..whole }, scenario, "the line of the approaches is in another file");
    assert_eq!(scenario.points.len(), 1);
}

#[test]
fn overrides_stand_over_all_files() {
    let own = "extends = \"base.toml\"\nname = \"own\"\n";
    let sets = ["network.loss=0.5", "nodes=400"];
    let scenario = read(&[("s.toml", own), ("base.toml", BASE)], &sets).unwrap();
    assert_eq!((scenario.network.loss, scenario.network.header), (0.5, 20));
    assert_eq!(scenario.points[0].population.total(), 400);
    let error = read(&[("s.toml", own), ("base.toml", BASE)], &["extends=other.toml"]).unwrap_err().to_string();
    assert!(error.contains("`extends` cannot be set from outside of the file"), "{error}");
}

#[test]
fn problems_stand_where_the_value_was_written() {
    let own = ("s.toml", "extends = \"bases/one.toml\"\nname = \"own\"\n");
    let bad = |line: &str| format!("{BASE}{line}\n");
    let check_base = |line: &str, place, part: &str| {
        check(&[own, ("bases/one.toml", &bad(line))], place, part);
    };
    check_base("speed = 1", ("bases/one.toml", 8, 1), "unknown key `speed` in `network`");
    check_base("[heartbeat]\ninterval = 30", ("bases/one.toml", 9, 12), "expected a duration");
    check_base("[heartbeat]\ninterval = ", ("bases/one.toml", 9, 12), "expected a value");
    check(
        &[own, ("bases/one.toml", BASE), ("s.toml", "extends = \"bases/one.toml\"\nmesure = \"1s\"")],
        ("s.toml", 2, 1),
        "unknown key",
    );
    let deep = [own, ("bases/one.toml", "extends = \"two.toml\"\n"), ("bases/two.toml", &bad("[tiers]\nfull = -1"))];
    check(&deep, ("bases/two.toml", 9, 8), "cannot be negative");
}

#[test]
fn bases_of_bases_are_found_beside_them() {
    let files = [
        ("s.toml", "extends = \"bases/one.toml\"\n"),
        ("bases/one.toml", "extends = \"two.toml\"\nmeasure = \"7s\"\n"),
        ("bases/two.toml", BASE),
    ];
    let scenario = read(&files, &[]).unwrap();
    assert_eq!((scenario.name.as_str(), scenario.points[0].measure.as_nanos()), ("base", 7_000_000_000));
}

#[test]
fn files_that_a_base_names_are_found_beside_it() {
    let latency = "latency = { model = \"regions\", file = \"delays.csv\", holds = \"rtt\" }\n";
    let files = [
        ("s.toml", "extends = \"bases/one.toml\"\n"),
        ("bases/one.toml", &format!("{BASE}{latency}")),
        ("bases/delays.csv", "from,A,B\nA,1,20\nB,20,1\n"),
        ("delays.csv", "from,C,D\nC,1,20\nD,20,1\n"),
    ];
    let regions = |sets: &[&str]| match read(&files, sets).unwrap().network.latency {
        LatencySpec::Regions { table, .. } => table.regions,
        other => panic!("{other:?}"),
    };
    assert_eq!(regions(&[]), ["A", "B"]);
    assert_eq!(
        regions(&["network.latency.file=delays.csv"]),
        ["C", "D"],
        "that of an override stands beside the scenario"
    );
    let broken = [files[0], files[1], ("bases/delays.csv", "from,A,B\nA,1,x\nB,20,1\n")];
    check(&broken, ("delays.csv", 2, 5), "the delay from A to B");
}

#[test]
fn bases_outside_of_the_folder_are_refused() {
    for name in ["../base.toml", "/etc/passwd", "bases/../../base.toml", "", "c:\\base.toml"] {
        let own = format!("extends = '{name}'\nnetwork.loss = 0\n");
        check(&[("s.toml", &own)], ("s.toml", 1, 11), "does not name a file in the folder of the scenario");
    }
    check(&[("s.toml", "extends = \"none.toml\"\n")], ("s.toml", 1, 11), "cannot read the file `none.toml`");
    check(&[("s.toml", "extends = 1\n")], ("s.toml", 1, 11), "expected the name of a file");
    let base = [
        ("s.toml", "extends = \"bases/one.toml\""),
        ("bases/one.toml", "extends = \"../two.toml\"\n"),
        ("two.toml", BASE),
    ];
    check(&base, ("bases/one.toml", 1, 11), "does not name a file in the folder");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused_and_links_within_followed() {
    let folder =
        folder(&[("base.toml", BASE), ("scenarios/s.toml", "extends = \"link.toml\""), ("scenarios/in.toml", BASE)]);
    let scenarios = folder.path().join("scenarios");
    std::os::unix::fs::symlink("../base.toml", scenarios.join("link.toml")).unwrap();
    assert!(problem_in(&scenarios).title.contains("a link leads out of the folder"));
    fs::remove_file(scenarios.join("link.toml")).unwrap();
    std::os::unix::fs::symlink("in.toml", scenarios.join("link.toml")).unwrap();
    assert!(load(&scenarios.join("s.toml"), &[]).is_ok());
}

#[test]
fn circles_are_refused_where_they_close() {
    check(&[("s.toml", "extends = \"s.toml\"\n")], ("s.toml", 1, 11), "`s.toml` extends itself");
    let circle =
        [("s.toml", "extends = \"a.toml\""), ("a.toml", "extends = \"b.toml\""), ("b.toml", "\nextends = \"a.toml\"")];
    check(&circle, ("b.toml", 2, 11), "`a.toml` extends itself");
}

#[test]
fn the_depth_is_bounded() {
    let chain = |depth: usize| {
        let name = |number: usize| if number == 0 { "s.toml".to_owned() } else { format!("{number}.toml") };
        let file = |number: usize| {
            if number == depth { BASE.to_owned() } else { format!("extends = \"{}\"", name(number + 1)) }
        };
        let files: Vec<(String, String)> = (0..=depth).map(|number| (name(number), file(number))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        folder(&files)
    };
    assert!(load(&chain(DEPTH_MAX).path().join("s.toml"), &[]).is_ok());
    let problem = problem_in(chain(DEPTH_MAX + 1).path());
    assert!(problem.source.ends_with("8.toml") && problem.title.contains("more than 8 files"), "{problem:?}");
}
