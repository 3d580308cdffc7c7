//! `[thresholds]` and `[tolerance]`: what metrics must keep, and by how much they may move from what was accepted.

use super::Approach;
use super::codes::Code;
use super::points::Axes;
use super::problem::{Draft, Place, nearest};
use super::quantity::{BITRATE, COUNT, DURATION, Decimal, Quantity, SIZE, short};
use super::reader::{Reader, Section};
use super::tree::{Entry, Kind, Table};
use crate::metrics::{Comparison, Metric, Threshold, Tolerance, Unit, may_be_figure};

/// Thresholds, or tolerances, of a scenario.
const MAX: usize = 1_000;

/// The thresholds of `[thresholds]`: metrics by name, and tables of approaches with metrics that concern them alone.
pub(super) fn thresholds(reader: &mut Reader, root: &Section<'_>, axes: &Axes) -> Vec<Threshold> {
    let mut thresholds = Vec::new();
    let Some(table) = table(reader, root, "thresholds") else { return thresholds };
    for (key, entry) in table {
        let Kind::Table(of_approach) = &entry.value.kind else {
            thresholds.extend(threshold(reader, key, entry, None));
            continue;
        };
        if !axes.has(key) {
            let label = match nearest(key, &Approach::NAMES) {
                Some(near) if axes.has(near) => format!("write `{near}`"),
                _ => "write the name of an approach of this scenario, or a metric in quotes".to_owned(),
            };
            let title = format!("`{}` is no approach of this scenario", short(key));
            reader.report(
                Draft::new(entry.key_at, title, label)
                    .code(Code::Metric)
                    .help("the dots of a metric's name need quotes: \"messages.sent\" = \"...\""),
            );
            continue;
        }
        thresholds.extend(of_approach.iter().filter_map(|(metric, entry)| threshold(reader, metric, entry, Some(key))));
    }
    thresholds
}

/// The tolerances of `[tolerance]`.
pub(super) fn tolerances(reader: &mut Reader, root: &Section<'_>) -> Vec<Tolerance> {
    let Some(table) = table(reader, root, "tolerance") else { return Vec::new() };
    let tolerance = |(key, entry): (&String, &Entry)| {
        known_metric(reader, key, entry.key_at)?;
        let text = reader.text(&entry.value, "a share", "\"0.5%\"")?;
        let Some(share) = share(text) else {
            let title = format!("expected a share such as \"0.5%\", found \"{}\"", short(text));
            reader
                .report(Draft::new(entry.value.at, title, "write a share from \"0%\" to \"100%\"").code(Code::Metric));
            return None;
        };
        Some(Tolerance { metric: key.clone(), share })
    };
    table.iter().filter_map(tolerance).collect()
}

fn table<'t>(reader: &mut Reader, root: &Section<'t>, key: &str) -> Option<&'t Table> {
    let entry = root.get(key)?;
    let table = reader.table_of(&entry.value, key)?;
    if table.len() > MAX {
        let title = format!("{} {key} are too many for one scenario", table.len());
        reader.report(Draft::new(entry.key_at, title, format!("write at most {MAX}")).code(Code::Metric));
        return None;
    }
    Some(table)
}

/// The unit of the metric `name`; that of a figure of a mechanism is known only when it has run.
fn known_metric(reader: &mut Reader, name: &str, at: Place) -> Option<Unit> {
    if let Some(metric) = Metric::named(name) {
        return Some(metric.unit);
    }
    if may_be_figure(name) {
        return Some(Unit::Plain);
    }
    let names: Vec<&str> = Metric::all().iter().map(|metric| metric.name.as_str()).collect();
    let label = match nearest(name, &names) {
        Some(near) => format!("write \"{near}\""),
        None => "write a metric such as \"messages.sent\"".to_owned(),
    };
    let draft = Draft::new(at, format!("unknown metric `{}`", short(name)), label).code(Code::Metric);
    reader.report(draft.help(format!("metrics are {}, and TOPIC.SUBJECT.NAME of figures.csv", names.join(", "))));
    None
}

fn threshold(reader: &mut Reader, name: &str, entry: &Entry, approach: Option<&str>) -> Option<Threshold> {
    let unit = known_metric(reader, name, entry.key_at)?;
    let at = entry.value.at;
    let text = reader.text(&entry.value, "a threshold", "\"< 90s\"")?;
    let written = text.trim();
    let Some(comparison) = Comparison::ALL.into_iter().find(|comparison| written.starts_with(comparison.sign())) else {
        let signs = Comparison::ALL.map(Comparison::sign).join(" ");
        let title = format!("expected a threshold that begins with one of {signs}, found \"{}\"", short(text));
        reader.report(Draft::new(at, title, format!("write \"== {}\" or the like", short(written))).code(Code::Metric));
        return None;
    };
    let value = value(reader, written[comparison.sign().len()..].trim(), unit, at)?;
    let approach = approach.map(str::to_owned);
    let (metric, written) = (name.to_owned(), written.to_owned());
    Some(Threshold { metric, approach, comparison, value, written, line: reader.line_of(entry.key_at) })
}

/// `text` in the smallest unit of `unit`: counts, bytes, seconds, bits per second, or a plain number.
fn value(reader: &mut Reader, text: &str, unit: Unit, at: Place) -> Option<f64> {
    let of = |quantity: &Quantity, per_unit: f64| quantity.parse(text).map(|value| value as f64 / per_unit);
    let read = match unit {
        Unit::Count => of(&COUNT, 1.0),
        Unit::Bytes => of(&SIZE, 1.0),
        Unit::Seconds => of(&DURATION, 1e9),
        Unit::BitsPerSecond => of(&BITRATE, 1.0),
        Unit::Share | Unit::Plain => {
            let number = match unit {
                Unit::Share => share(text),
                _ => Decimal::parse(text).and_then(|_| text.replace('_', "").parse().ok()),
            };
            if number.is_none() {
                let title = format!("expected a number, found \"{}\"", short(text));
                reader.report(Draft::new(at, title, "write a number such as 0.99, without a unit").code(Code::Metric));
            }
            return number;
        }
    };
    read.map_err(|fault| reader.report(Draft::new(at, fault.title, fault.label).code(Code::Metric))).ok()
}

/// A share from 0 to 1, written as such or in per cent.
pub fn share(text: &str) -> Option<f64> {
    let text = text.trim();
    let number = |text: &str| Decimal::parse(text).and_then(|_| text.replace('_', "").parse::<f64>().ok());
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent.trim_end())? / 100.0,
        None => number(text)?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}
