//! How refusals of scenarios are tested: where they stand and what they say.
#![allow(dead_code, unreachable_pub, reason = "shared by tests of which none uses all")]

use qnetsim::scenario::{Problem, Problems, ScenarioError, parse};

/// Three good lines; what follows them starts at line 4.
pub const HEAD: &str = "name = \"a\"\nnodes = [\"1K\", \"10K\"]\napproaches = \"ping\"\n";

/// The problems of `text` with `overrides`.
pub fn problems_with(text: &str, overrides: &[&str]) -> Problems {
    let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
    match parse("s.toml", text, &overrides) {
        Err(ScenarioError::Invalid(problems)) => problems,
        other => panic!("{text}\n{other:?}"),
    }
}

/// All that is said of `problem`.
pub fn said(problem: &Problem) -> String {
    format!("{}: {} ({})", problem.title, problem.label, problem.help.as_deref().unwrap_or(""))
}

/// Checks that `text` has one problem, at `line` and `column`, and that what is said holds all of `parts`.
#[track_caller]
pub fn check_file(text: &str, (line, column): (usize, usize), parts: &[&str]) {
    let problems = problems_with(text, &[]);
    let [problem] = problems.list() else { panic!("{problems}") };
    assert_eq!((problem.line, problem.column), (line, column), "{problems}");
    for part in parts {
        assert!(said(problem).contains(part), "`{part}` is not said: {problems}");
    }
    let shown = problems.render(false);
    assert!(shown.contains(&format!("s.toml:{line}:{column}")) && shown.contains('^'), "{shown}");
}

/// As [`check_file`], for lines that follow [`HEAD`]; `line` counts from the first of them.
#[track_caller]
pub fn check(lines: &str, (line, column): (usize, usize), parts: &[&str]) {
    check_file(&format!("{HEAD}{lines}"), (line + 3, column), parts);
}
