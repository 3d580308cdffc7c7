//! The rules of the source tree that no compiler checks, each with its reason; and tests of the rules themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file. A file that outgrows it holds two things.
const LINES_MAX: usize = 600;

/// The rooms of the library, and the rooms that each may use beside itself: one direction, no way back.
const ROOMS: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("topologies", &["contract"]),
    ("registry", &["contract"]),
    ("protocols", &["contract", "topologies", "registry"]),
    ("metrics", &["contract"]),
    ("engine", &["contract", "metrics"]),
    ("scenario", &["contract", "engine", "metrics", "topologies", "protocols", "registry"]),
    ("claims", &["contract", "metrics"]),
    ("check", &["contract", "metrics"]),
    ("report", &["contract", "metrics", "claims"]),
    ("results", &["contract", "metrics", "report", "scenario"]),
    (
        "cli",
        &[
            "contract",
            "topologies",
            "registry",
            "protocols",
            "metrics",
            "engine",
            "scenario",
            "claims",
            "check",
            "report",
            "results",
        ],
    ),
];

/// The one file that may hold `unsafe` code.
const UNSAFE_FILE: &str = "src/contract/column.rs";

/// What must not stand in code: the text, where it may stand all the same, and why not elsewhere.
const FORBIDDEN: &[(&[&str], &[&str], &str)] = &[
    (
        &["HashMap", "HashSet"],
        &[],
        "iterates in another order in every process; use a BTreeMap or BTreeSet, or sort and dedup",
    ),
    (
        &["Instant::now", "SystemTime"],
        &["src/cli/"],
        "reads a clock; a result must not depend on how fast the machine is or what day it is",
    ),
    (
        &[
            ".ln(",
            ".ln_1p(",
            ".log(",
            ".log2(",
            ".log10(",
            ".exp(",
            ".exp2(",
            ".exp_m1(",
            ".powf(",
            ".powi(",
            ".cbrt(",
            ".hypot(",
            ".sin(",
            ".cos(",
            ".tan(",
            ".asin(",
            ".acos(",
            ".atan(",
            ".atan2(",
            ".sinh(",
            ".cosh(",
            ".tanh(",
            ".mul_add(",
        ],
        &["src/report/"],
        "is the system's and differs in its last bits between machines; use the libm crate",
    ),
];

/// What is wrong with the file at `path` (from the package folder, with slashes) that holds `text`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.lines().next().is_some_and(|line| line.starts_with("//! ")) {
        found.push(format!("{path}:1: a file begins with a `//!` line that says what it holds"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        found.push(format!("{path}: {lines} lines are more than {LINES_MAX}; a file this long holds two things"));
    }
    if let Some(room) = room_of(path)
        && !ROOMS.iter().any(|(name, _)| *name == room)
    {
        found.push(format!("{path}: the room `{room}` is new; say in `ROOMS` which rooms it may use"));
    }
    for (number, line) in text.lines().enumerate() {
        let mut problems = check_arrows(path, code_of(line));
        problems.extend(check_words(path, code_of(line)));
        found.extend(problems.into_iter().map(|problem| format!("{path}:{}: {problem}", number + 1)));
    }
    found
}

/// The room in which a file stands; the roots of the library and of the command stand in none.
fn room_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix("src/")?.split_once('/')?.0)
}

/// The line without its comment.
fn code_of(line: &str) -> &str {
    let comment = if line.trim_start().starts_with("//") { Some(0) } else { line.find(" // ") };
    &line[..comment.unwrap_or(line.len())]
}

fn check_arrows(path: &str, code: &str) -> Vec<String> {
    let Some(room) = room_of(path) else { return Vec::new() };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else { return Vec::new() };
    let targets = places(code, "crate::").map(|place| leading_word(&code[place + "crate::".len()..]));
    let mut problems = Vec::new();
    for target in targets {
        if target.is_empty() {
            problems.push("name the room right after `crate::`, one `use` for each, so that arrows can be seen".into());
        } else if target != room && !allowed.contains(&target) {
            problems.push(format!("`{room}` must not use `{target}`; it may use {allowed:?}"));
        }
    }
    // A room can also be reached from inside, by climbing out.
    for (target, _) in ROOMS {
        let climbs = places(code, &format!("super::{target}::")).next().is_some();
        if climbs && *target != room && !allowed.contains(target) {
            problems.push(format!("`{room}` must not use `{target}`, not by `super` either"));
        }
    }
    problems
}

fn check_words(path: &str, code: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if path != UNSAFE_FILE && places(code, "unsafe").any(|place| leading_word(&code[place..]) == "unsafe") {
        problems.push(format!("`unsafe` stands in {UNSAFE_FILE} alone, so that one page shows all of it"));
    }
    for (words, exempt, reason) in FORBIDDEN {
        if exempt.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        for word in words.iter().filter(|word| places(code, word).next().is_some()) {
            problems.push(format!("`{word}` {reason}"));
        }
    }
    problems
}

/// Where `word` stands in `code`, but not as the end of a longer word.
fn places<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(place, _)| place)
        .filter(move |&place| word.starts_with('.') || !code[..place].ends_with(is_part))
}

/// The letters, digits and underscores that `text` begins with.
fn leading_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

fn collect_sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn the_source_tree_keeps_its_rules() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect_sources(&package.join("src"), &mut files);
    assert!(files.len() > 30, "only {} files were found", files.len());
    files.sort();
    let mut found = Vec::new();
    for file in &files {
        let path = file.strip_prefix(package).unwrap().to_str().unwrap().replace('\\', "/");
        found.extend(violations(&path, &fs::read_to_string(file).unwrap()));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// `code` as a file of its own at `path` breaks rules whose texts hold `expected`, one for each, and no others.
#[track_caller]
fn check(path: &str, code: &str, expected: &[&str]) {
    let found = violations(path, &format!("//! A file.\n\n{code}\n"));
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found:?} does not speak of {expected:?}");
        assert!(found.starts_with(&format!("{path}:3: ")), "{found:?}");
    }
}

#[test]
fn a_file_begins_with_what_it_holds() {
    assert_eq!(violations("src/engine/a.rs", "//! A file.\n"), Vec::<String>::new());
    for text in ["", "use std::fmt;\n//! Late.\n", "// A file.\n", "/// A file.\n", "//!\n"] {
        let found = violations("src/engine/a.rs", text);
        assert_eq!(found.len(), 1, "{text:?}");
        assert!(found[0].contains("begins with a `//!` line"));
    }
}

#[test]
fn a_file_is_no_longer_than_one_thing_takes() {
    let lines = |count: usize| format!("//! A file.\n{}", "\n".repeat(count - 1));
    assert!(violations("src/engine/a.rs", &lines(LINES_MAX)).is_empty());
    let found = violations("src/engine/a.rs", &lines(LINES_MAX + 1));
    assert!(found.len() == 1 && found[0].contains("601 lines"), "{found:?}");
}

#[test]
fn rooms_use_each_other_in_one_direction() {
    check("src/engine/a.rs", "use crate::contract::SimTime;", &[]);
    check("src/engine/a.rs", "use crate::engine::Probe;", &[]);
    check("src/engine/a.rs", "use crate::protocols::heartbeat;", &["`engine` must not use `protocols`"]);
    check("src/engine/deep/a.rs", "    let x = crate::report::number(3);", &["`engine` must not use `report`"]);
    check("src/contract/a.rs", "pub use crate::metrics::Count;", &["`contract` must not use `metrics`"]);
    check("src/protocols/a.rs", "use crate::engine::Network;", &["`protocols` must not use `engine`"]);
    check("src/report/a.rs", "use crate::scenario::Scenario;", &["`report` must not use `scenario`"]);
    check("src/scenario/a.rs", "use crate::protocols::heartbeat::Heartbeat;", &[]);
    check("src/cli/a.rs", "use crate::scenario::Scenario;", &[]);
    check("src/engine/a.rs", "use crate::{contract::SimTime, report::Sheet};", &["name the room"]);
    check("src/metrics/a.rs", "use super::super::engine::Probe;", &["not by `super` either"]);
    check("src/engine/a.rs", "/// See [`crate::report::Sheet`].", &[]);
    check("src/engine/a.rs", "let x = 1; // as crate::report::number does", &[]);
    check("src/lib.rs", "pub use crate::engine::Simulation;", &[]);
    let found = violations("src/cellar/a.rs", "//! A file.\n\nuse crate::engine;\n");
    assert!(found.len() == 1 && found[0].contains("the room `cellar` is new"), "{found:?}");
}

#[test]
fn unsafe_code_stands_on_one_page() {
    check("src/engine/a.rs", "let x = unsafe { *pointer };", &["`unsafe` stands in"]);
    check("src/engine/a.rs", "#![deny(unsafe_code)]", &[]);
    check(UNSAFE_FILE, "let x = unsafe { *pointer };", &[]);
}

#[test]
fn nothing_that_varies_between_runs_or_machines_is_called() {
    check("src/engine/a.rs", "use std::collections::HashMap;", &["`HashMap` iterates"]);
    check("src/cli/a.rs", "let seen: HashSet<u32> = Default::default();", &["`HashSet` iterates"]);
    check("src/engine/a.rs", "let clock = Instant::now();", &["`Instant::now` reads a clock"]);
    check("src/report/a.rs", "use std::time::SystemTime;", &["`SystemTime` reads a clock"]);
    check("src/cli/a.rs", "let clock = Instant::now();", &[]);
    check("src/engine/a.rs", "let delay = -mean * random.unit().ln();", &["`.ln(` is the system's"]);
    check("src/topologies/a.rs", "let angle = x.sin() + y.powf(0.5);", &["`.powf(`", "`.sin(`"]);
    check("src/report/a.rs", "let decades = x.log10();", &[]);
    check("src/engine/a.rs", "let bits = lanes.ilog2().min(31) + size.ilog10();", &[]);
}
