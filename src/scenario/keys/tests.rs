//! The table of keys is complete, and says what the reader does.

use std::collections::BTreeSet;

use super::*;
use crate::scenario::{Approach, parse};

#[test]
fn every_key_that_the_reader_asks_for_has_a_kind_and_a_meaning_and_no_other_has() {
    let keys = keys();
    for key in keys.values() {
        assert!(!key.shapes.is_empty(), "nobody reads `{}`", key.path);
        assert!(key.meaning.ends_with('.'), "`{}` has no meaning", key.path);
        for inner in key.inner() {
            let path = join_path(&key.path, inner);
            assert!(keys.contains_key(&path), "`{path}` is known, and nobody reads it");
        }
    }
    let used: BTreeSet<_> = keys.keys().filter_map(|path| meanings::pattern_of(path)).collect();
    let unused: Vec<_> = meanings::patterns().filter(|pattern| !used.contains(pattern)).collect();
    assert!(unused.is_empty(), "{unused:?}");
    assert!(keys.len() > 300, "{}", keys.len());
}

#[test]
fn kinds_bounds_and_defaults_are_those_of_the_reader() {
    let keys = keys();
    let check = |path: &str, kinds: &[&str], default: &str| {
        let key = &keys[path];
        assert_eq!(
            (key.kinds().as_slice(), key.default().as_str()),
            (kinds.map_to_strings().as_slice(), default),
            "{path}"
        );
    };
    check("seed", &["a whole number from 0 to 9_223_372_036_854_775_807"], "1");
    check("nodes", &["a whole number from 2 to \"4G\", or a list of up to 64"], "required");
    check("network.loss", &["a share of messages from 0 up to, not including, 1"], "0");
    check("heartbeat.interval", &["a duration from \"1ms\" to \"3650d\""], "\"30s\"");
    check("heartbeat.size", &["a size from \"48 B\" to \"65507 B\""], "\"100 B\"");
    check("network.capacity.queue", &["a size from \"1024 B\" to \"1073741824 B\""], "\"65536 B\"");
    check("approach.gossip.fanout", &["a whole number from 1 to 64"], "8");
    check("approach.gossip.warmup", &["a duration from \"0s\" to \"3650d\""], "that of the scenario");
    check("detection.detector", &["one of \"timeout\", \"phi\""], "\"timeout\"");
    let min = &keys["network.latency.min"];
    assert_eq!(min.kinds(), ["a duration from \"0s\" to \"1h\" (of lognormal, pareto, uniform)"]);
    assert_eq!(min.default(), "\"1ms\" (lognormal); required (pareto); \"10ms\" (uniform)");
}

#[test]
fn every_approach_and_every_layer_is_there() {
    let keys = keys();
    for name in Approach::NAMES {
        assert!(keys.contains_key(&format!("approach.{name}.measure")), "{name}");
    }
    assert!(keys.contains_key("approach.recommended.ledger.mempool_max"));
    assert!(!keys.contains_key("approach.recommended.ledger.warmup"));
}

#[test]
fn what_the_table_gives_as_the_default_changes_nothing() {
    const HEAD: &str = "name = \"a\"\nnodes = 500\napproaches = [\"gossip\", \"full-mesh\"]\n";
    let plain = parse("s.toml", HEAD, &[]).unwrap();
    let mut checked = 0;
    for key in keys().values() {
        let default = key.default();
        // Options of approaches that do not run are checked, and enter no hash; some keys have no meaning without others.
        let is_plain =
            key.presets.len() == 1 && !key.path.starts_with("network.latency") && !key.path.starts_with("faults");
        let skipped = ["network.capacity", "detection", "approach.gossip.track", "tiers."];
        if !is_plain
            || ["none", "required"].contains(&default.as_str())
            || skipped.iter().any(|prefix| key.path.starts_with(prefix))
        {
            continue;
        }
        if default.contains(' ') && !default.starts_with('"') && !default.starts_with('[') {
            continue;
        }
        let set = format!("{}={default}", key.path);
        let scenario =
            parse("s.toml", HEAD, std::slice::from_ref(&set)).unwrap_or_else(|error| panic!("{set}\n{error}"));
        assert_eq!((scenario.hash, scenario.seed), (plain.hash.clone(), plain.seed), "{set}");
        checked += 1;
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn the_nearest_key_is_found() {
    let keys = keys();
    assert_eq!(nearest_key(&keys, "approach.gosip.fanout"), Some("approach.gossip.fanout"));
    assert_eq!(nearest_key(&keys, "mesure"), Some("measure"));
    assert!(nearest_key(&keys, "fanout").is_some_and(|path| path.ends_with(".fanout")));
    assert_eq!(nearest_key(&keys, "qqqqqqqqqq"), None);
}

/// Texts to compare lists of texts with.
trait Strings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl Strings for [&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}
