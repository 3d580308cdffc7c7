//! Random valid scenarios: what must hold of every run of every scenario.
//!
//! A finding becomes a file: a failing test writes the smallest scenario that still fails, and says where. Once it is
//! understood it belongs into `kept/`, whose scenarios are checked every time.
//!
//! ```text
//! cargo test --test generated
//! PROPTEST_CASES=100 cargo test --test generated
//! PROPTEST_CASES=5000 cargo test --release --test generated -- --ignored --nocapture
//! ```

mod checks;
mod options;
mod scenarios;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use qnetsim::scenario::keys::keys;
use qnetsim::scenario::parse;
use scenarios::{Choice, Toml, any_scenario};

/// Scenarios of each choice, without `PROPTEST_CASES`.
const CASES: u32 = 40;

/// Checks as many scenarios as `PROPTEST_CASES` says, else [`CASES`]; the same ones every time.
fn check_many(choice: Choice, seed: u64) {
    let mut config = Config { failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    config.max_shrink_iters = 300;
    let outcome = TestRunner::new(config).run(&any_scenario(choice), |toml| {
        checks::check(&toml.scenario());
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, toml)) => {
            let hash = blake3::hash(toml.0.as_bytes()).to_hex();
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("finding-{}.toml", &hash[..8]));
            fs::write(&path, &toml.0).unwrap();
            panic!(
                "{reason}\nThe smallest scenario is in {}: keep it in tests/generated/kept/\n{toml:?}",
                path.display()
            );
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn ways_of_keeping_a_network_alive_hold_what_is_promised() {
    check_many(Choice::Liveness, 1);
}

#[test]
fn mechanisms_hold_what_is_promised() {
    check_many(Choice::Mechanisms, 1);
}

#[test]
#[ignore = "takes long: PROPTEST_CASES=5000 cargo test --release --test generated -- --ignored --nocapture many"]
fn many_ways_of_keeping_a_network_alive_hold_what_is_promised() {
    check_many(Choice::Liveness, 2);
}

#[test]
#[ignore = "takes long: PROPTEST_CASES=5000 cargo test --release --test generated -- --ignored --nocapture many"]
fn many_mechanisms_hold_what_is_promised() {
    check_many(Choice::Mechanisms, 2);
}

/// Writes scenarios, half of each choice, with the files that they name: `scripts/determinism` runs them on several targets.
#[test]
#[ignore = "writes files: QNETSIM_SCENARIOS=DIR PROPTEST_CASES=200 cargo test --test generated -- --ignored written"]
fn scenarios_are_written_to_a_folder() {
    let folder = PathBuf::from(std::env::var_os("QNETSIM_SCENARIOS").expect("QNETSIM_SCENARIOS names a folder"));
    fs::create_dir_all(&folder).unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated/kept")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let cases = Config::default().cases;
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(11), ..Config::default() });
    for number in 0..cases {
        let choice = if number.is_multiple_of(2) { Choice::Liveness } else { Choice::Mechanisms };
        let Toml(text) = any_scenario(choice).new_tree(&mut runner).unwrap().current();
        let text = text.replacen("\"generated\"", &format!("\"generated-{number:05}\""), 1);
        fs::write(folder.join(format!("generated-{number:05}.toml")), text).unwrap();
    }
}

/// The scenarios in `kept/`.
fn kept() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated/kept");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

#[test]
fn scenarios_that_once_failed_hold_what_is_promised() {
    for path in kept() {
        let scenario = parse(path.to_str().unwrap(), &fs::read_to_string(&path).unwrap(), &[]);
        checks::check(&scenario.unwrap_or_else(|error| panic!("{error}")));
    }
}

/// The paths of all values in `value`, with dots; those of lists of tables as if there were one.
fn paths(path: &str, value: &toml::Value, found: &mut BTreeSet<String>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| paths(&inner(key), value, found)),
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().for_each(|item| paths(path, item, found));
        }
        _ => {}
    }
    found.insert(path.to_owned());
}

/// Every scenario is valid, and every key comes up, but for those that make other scenarios of it.
#[test]
fn every_scenario_is_valid_and_every_key_comes_up() {
    const DRAWN: usize = 400;
    let mut found = BTreeSet::new();
    for choice in [Choice::Liveness, Choice::Mechanisms] {
        let config = Config { rng_seed: RngSeed::Fixed(3), ..Config::default() };
        let mut runner = TestRunner::new(config);
        for _ in 0..DRAWN {
            let drawn = any_scenario(choice).new_tree(&mut runner).unwrap().current();
            drawn.scenario();
            paths("", &toml::from_str(&drawn.0).unwrap(), &mut found);
        }
    }
    let elsewhere = |path: &str| path.starts_with("extends") || path.starts_with("sweep");
    let missing: Vec<_> = keys().into_keys().filter(|path| !found.contains(path) && !elsewhere(path)).collect();
    assert!(missing.is_empty(), "these keys never come up: {missing:?}");
}

#[test]
fn what_is_drawn_is_the_same_every_time() {
    let draw = || {
        let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(7), ..Config::default() });
        (0..5).map(|_| any_scenario(Choice::Mechanisms).new_tree(&mut runner).unwrap().current()).collect::<Vec<Toml>>()
    };
    assert_eq!(draw(), draw());
}
