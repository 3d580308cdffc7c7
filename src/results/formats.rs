//! Comparisons for people, as Markdown, and for programs.

use std::fmt::Write;

use super::compare::{Comparison, Key, Moved};
use crate::report::{count, table_with};

/// Figures that are named where one side alone has them.
const ONLY_SHOWN: usize = 10;

impl Key {
    /// `gossip, 1000 nodes, network.loss = 0.1`.
    fn point(&self) -> String {
        let nodes = self.nodes.to_string();
        // A swept number of nodes is said once.
        let axes = self.axes.iter().filter(|(name, value)| name != "nodes_axis" || *value != nodes);
        let axes: String = axes.map(|(name, value)| format!(", {name} = {value}")).collect();
        format!("{}, {nodes} nodes{axes}", self.approach)
    }
}

impl Moved {
    fn metric(&self) -> String {
        if self.unit == "1" { self.key.metric.clone() } else { format!("{} [{}]", self.key.metric, self.unit) }
    }

    fn relative(&self) -> String {
        self.relative.map_or("from 0".to_owned(), |share| format!("{}%", signed(share * 100.0)))
    }

    fn interval(&self) -> String {
        self.interval.map_or(String::new(), |[low, high]| format!("{} to {}", signed(low), signed(high)))
    }

    fn beyond(&self) -> &'static str {
        match self.beyond {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        }
    }
}

fn signed(value: f64) -> String {
    format!("{}{}", if value > 0.0 { "+" } else { "" }, count(value))
}

/// What was compared, and how.
fn head(comparison: &Comparison) -> String {
    let how = match comparison.pairs {
        1 => "one run each: whether a difference is more than chance is not known".to_owned(),
        pairs => format!("{pairs} pairs of runs with the same seed; beyond: the interval leaves out zero"),
    };
    let Comparison { a, b, moved, unchanged, .. } = comparison;
    let beyond = moved.iter().filter(|moved| moved.beyond == Some(true)).count();
    let of_them = if comparison.pairs > 1 { format!(" ({beyond} beyond their interval)") } else { String::new() };
    format!("A: {a}\nB: {b}\n{how}\n{} figures moved{of_them}, {unchanged} did not\n", moved.len())
}

/// What one side alone has.
fn only(comparison: &Comparison, line: &dyn Fn(&Key) -> String) -> String {
    let mut text = String::new();
    for (side, keys) in [("A", &comparison.only_a), ("B", &comparison.only_b)] {
        if keys.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\nOnly in {side}: {} figures\n", keys.len());
        keys.iter().take(ONLY_SHOWN).for_each(|key| text += &line(key));
        if keys.len() > ONLY_SHOWN {
            text += &format!("... and {} more\n", keys.len() - ONLY_SHOWN);
        }
    }
    text
}

/// A table of the first `rows_max` figures that moved, at most a hundred columns wide.
pub fn human(comparison: &Comparison, rows_max: usize) -> String {
    let has_intervals = comparison.pairs > 1;
    let mut header = vec!["point", "figure", "A", "B", "B - A", "relative"];
    if has_intervals {
        header.extend(["95 % interval", "beyond"]);
    }
    let texts = [0, 1];
    let rows = comparison.moved.iter().take(rows_max).map(|moved| {
        let mut cells = vec![moved.key.point(), moved.metric(), count(moved.a), count(moved.b)];
        cells.extend([signed(moved.difference), moved.relative()]);
        if has_intervals {
            cells.extend([moved.interval(), moved.beyond().to_owned()]);
        }
        cells
    });
    let mut text = head(comparison);
    if !comparison.moved.is_empty() {
        text += &format!("\n{}", table_with(&header, &texts, if has_intervals { 20 } else { 28 }, rows));
    }
    if comparison.moved.len() > rows_max {
        text += &format!("... and {} more: --limit\n", comparison.moved.len() - rows_max);
    }
    let line = |key: &Key| cut(&format!("  {} ({})", key.metric, key.point())) + "\n";
    text + &only(comparison, &line)
}

/// `line`, cut off where it is wider than a hundred columns.
fn cut(line: &str) -> String {
    match line.char_indices().nth(100) {
        Some(_) => line.chars().take(97).chain("...".chars()).collect(),
        None => line.to_owned(),
    }
}

/// The same as Markdown, for a change that is discussed.
pub fn markdown(comparison: &Comparison, rows_max: usize) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('`', "\\`");
    let mut text: String = head(comparison).lines().map(|line| format!("- {}\n", escape(line))).collect();
    if !comparison.moved.is_empty() {
        text += "\n| point | figure | A | B | B - A | relative | 95 % interval | beyond |\n";
        text += "|---|---|--:|--:|--:|--:|--:|---|\n";
    }
    for moved in comparison.moved.iter().take(rows_max) {
        let (point, metric) = (escape(&moved.key.point()), escape(&moved.metric()));
        let (a, b, difference) = (count(moved.a), count(moved.b), signed(moved.difference));
        let (relative, interval, beyond) = (moved.relative(), moved.interval(), moved.beyond());
        let _ =
            writeln!(text, "| {point} | {metric} | {a} | {b} | {difference} | {relative} | {interval} | {beyond} |");
    }
    if comparison.moved.len() > rows_max {
        text += &format!("\n... and {} more\n", comparison.moved.len() - rows_max);
    }
    let line = |key: &Key| format!("- {} ({})\n", escape(&key.metric), escape(&key.point()));
    text + &only(comparison, &line)
}

/// All of it, as one JSON document.
pub fn json(comparison: &Comparison) -> String {
    let mut text = serde_json::to_string_pretty(comparison).expect("names and finite numbers are JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(pairs: usize) -> Comparison {
        let key = |metric: &str| Key {
            axes: vec![("network.loss".to_owned(), "0.1|".to_owned())],
            approach: "hierarchical nearby 0.25".to_owned(),
            nodes: 1_000_000,
            metric: metric.to_owned(),
        };
        let moved = |metric: &str| Moved {
            key: key(metric),
            unit: "s".to_owned(),
            pairs,
            a: 123_456.0,
            b: 234_567.0,
            difference: 111_111.0,
            relative: Some(0.9),
            interval: (pairs > 1).then_some([-1_234.5, 223_456.0]),
            beyond: (pairs > 1).then_some(false),
        };
        Comparison {
            a: "results/a".to_owned(),
            b: "results/b".to_owned(),
            pairs,
            moved: vec![moved("detection.false-positives-per-node-hour"), moved("delay.p99"), moved("state")],
            unchanged: 7,
            only_a: (0..12).map(|index| key(&format!("lookups.node.{}", "long-name-".repeat(index)))).collect(),
            only_b: Vec::new(),
        }
    }

    #[test]
    fn tables_fit_a_hundred_columns_and_say_what_is_left_out() {
        for pairs in [1, 5] {
            let text = human(&comparison(pairs), 2);
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
            for part in ["A: results/a", "3 figures moved", "7 did not", "+111K", "+90.0%", "1 more: --limit"] {
                assert!(text.contains(part), "{part}\n{text}");
            }
            assert!(
                text.contains("Only in A: 12 figures") && text.contains("and 2 more") && !text.contains("Only in B")
            );
            assert_eq!(text.contains("beyond"), pairs > 1, "{text}");
        }
    }

    #[test]
    fn markdown_escapes_what_would_break_its_table() {
        let text = markdown(&comparison(5), 10);
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| hier")).collect();
        assert_eq!(rows.len(), 3);
        assert!(rows[0].contains("network.loss = 0.1\\| |") && rows[0].ends_with("| -1.23K to +223K | no |"), "{text}");
    }

    #[test]
    fn json_has_all_of_it() {
        let value: serde_json::Value = serde_json::from_str(&json(&comparison(5))).unwrap();
        assert_eq!(value["moved"][1]["metric"], "delay.p99");
        assert_eq!((&value["moved"][1]["beyond"], &value["unchanged"]), (&false.into(), &7.into()));
        assert_eq!(value["only_a"].as_array().map(Vec::len), Some(12));
    }
}
