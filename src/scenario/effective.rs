//! The effective scenario as TOML: what is left of a file when what it extends and `--set` are in it.
//!
//! Keys stand in one order and numbers without underscores, so that the same scenario gives the same text however it was
//! put together; quantities keep the units that they were written with.

use super::tree::{Kind, Table, Value};
use super::{ROOT_KEYS, extends};

/// `root` as TOML, which reads back as the same scenario.
pub(super) fn toml(root: &Table) -> String {
    let mut text = String::new();
    let order = |key: &str| ROOT_KEYS.iter().position(|known| *known == key).unwrap_or(ROOT_KEYS.len());
    let mut keys: Vec<&String> = root.keys().filter(|key| *key != extends::KEY).collect();
    keys.sort_by_key(|key| order(key));
    table(&mut text, "", &keys, root);
    text
}

/// Writes the entries `keys` of `entries`, which are the table `path`: values first, then tables.
fn table(text: &mut String, path: &str, keys: &[&String], entries: &Table) {
    for name in keys {
        let value = &entries[*name].value;
        if !matches!(value.kind, Kind::Table(_)) {
            *text += &format!("{} = {}\n", key(name), inline(value));
        }
    }
    for name in keys {
        let Kind::Table(inner) = &entries[*name].value.kind else { continue };
        let path = if path.is_empty() { key(name) } else { format!("{path}.{}", key(name)) };
        // A table of tables alone needs no line of its own.
        if inner.is_empty() || inner.values().any(|entry| !matches!(entry.value.kind, Kind::Table(_))) {
            *text += &format!("\n[{path}]\n");
        }
        table(text, &path, &inner.keys().collect::<Vec<_>>(), inner);
    }
}

fn inline(value: &Value) -> String {
    match &value.kind {
        Kind::Text(words) => quoted(words),
        Kind::Integer { .. } | Kind::Float(_) => value.digits(),
        Kind::Boolean(value) => value.to_string(),
        // No scenario has dates, so that one with a date is refused before this is written.
        Kind::Date => quoted("a date"),
        Kind::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Kind::Table(entries) => {
            let entry =
                |(name, entry): (&String, &super::tree::Entry)| format!("{} = {}", key(name), inline(&entry.value));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn key(name: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
fn quoted(words: &str) -> String {
    let mut text = String::from('"');
    for letter in words.chars() {
        match letter {
            '"' => text += "\\\"",
            '\\' => text += "\\\\",
            '\n' => text += "\\n",
            '\t' => text += "\\t",
            control if control.is_control() => text += &format!("\\u{:04X}", u32::from(control)),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use crate::scenario::parse;

    const TEXT: &str = "name = \"a\"\ndescription = \"say \\\"<b>\\\" \\\\ and so\"\nseed = 0x10\nnodes = [1_000, \"2K\"]\n\
        approaches = [\"ping\", \"gossip\"]\nmeasure = \"10s\"\n[network]\nloss = 1e-2\n\
        [network.latency]\nmodel = \"constant\"\ndelay = \"20ms\"\n[approach.gossip]\nmeasure = \"5s\"\n\
        [thresholds]\n\"messages.lost\" = \"< 5\"\n";

    #[test]
    fn what_is_written_reads_back_as_the_same_scenario() {
        let sets = ["network.loss=0.25".to_owned(), "approach.ping.measure=3s".to_owned()];
        let scenario = parse("a.toml", TEXT, &sets).unwrap();
        assert!(scenario.effective.starts_with("name = \"a\"\ndescription = \"say "), "{}", scenario.effective);
        assert!(scenario.effective.contains("[network]\nloss = 0.25\n"), "{}", scenario.effective);
        let again = parse("b.toml", &scenario.effective, &[]).unwrap();
        assert_eq!((&again.hash, &again.description, again.seed), (&scenario.hash, &scenario.description, 16));
        assert_eq!(again.effective, scenario.effective);
        assert_eq!(again.thresholds.len(), 1);
    }

    #[test]
    fn every_scenario_of_the_project_reads_back() {
        let mut read = 0;
        for entry in std::fs::read_dir("scenarios").unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let scenario = crate::scenario::load(&path, &[]).unwrap();
            // Files that a scenario names are looked for beside it.
            let again = parse(&path.display().to_string(), &scenario.effective, &[]).unwrap();
            assert_eq!(again.hash, scenario.hash, "{}", path.display());
            read += 1;
        }
        assert!(read > 10, "{read}");
    }
}
