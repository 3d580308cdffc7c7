//! Ranges: `{ from = "1K", to = "1M", steps = 4, scale = "log" }`, spelled out value by value.

use super::super::super::codes::Code;
use super::super::super::problem::{Draft, Place, nearest};
use super::super::super::quantity::{BITRATE, COUNT, DURATION, Quantity, SIZE, short};
use super::super::super::reader::Reader;
use super::super::super::tree::{Kind, Table, Value};
use super::super::amount::decimal;
use super::VALUES_MAX;

const KEYS: [&str; 4] = ["from", "to", "steps", "scale"];
const SCALES: [&str; 2] = ["linear", "log"];

/// Whether a table of an axis is a range rather than keys of the scenario.
pub(super) fn is_range(table: &Table) -> bool {
    let is_end = |key| table.get(key).is_some_and(|entry| !matches!(entry.value.kind, Kind::List(_) | Kind::Table(_)));
    table.contains_key("steps") || is_end("from") && is_end("to")
}

/// What the ends of a range are.
enum Ends {
    /// Plain whole numbers.
    Whole(u64, u64),
    Real(f64, f64),
    /// In the smallest unit of a quantity, with the unit of the first.
    Of(&'static Quantity, u64, u64, String),
}

/// The values of the range `table` of the axis `path`, which stands at `at`. All of them have that place.
pub(super) fn values(reader: &mut Reader, path: &str, at: Place, table: &Table) -> Option<Vec<Value>> {
    let mut refuse = |at: Place, title: String, label: String, code: Code| {
        reader.report(Draft::new(at, title, label).code(code));
        None
    };
    if let Some((key, entry)) = table.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
        let label = nearest(key, &KEYS).map_or("remove it".to_owned(), |near| format!("write `{near}`"));
        return refuse(entry.key_at, format!("unknown key `{}` in a range", short(key)), label, Code::UnknownKey);
    }
    let missing = KEYS[..3].iter().find(|key| !table.contains_key(**key));
    if let Some(key) = missing {
        let label = "write { from = 1, to = 9, steps = 5 }".to_owned();
        return refuse(at, format!("the range of `{}` has no `{key}`", short(path)), label, Code::Missing);
    }
    let (from, to, steps) = (&table["from"].value, &table["to"].value, &table["steps"].value);
    let count = steps.digits().parse::<usize>().ok().filter(|count| (2..=VALUES_MAX).contains(count));
    let Some(count) = count else {
        let title = format!("expected a number of values, the ends among them, found {}", steps.found());
        return refuse(steps.at, title, format!("write a whole number from 2 to {VALUES_MAX}"), Code::OutOfRange);
    };
    let scale = table.get("scale").map(|entry| &entry.value);
    let is_log = match scale.map(|value| &value.kind) {
        None => false,
        Some(Kind::Text(text)) if SCALES.contains(&text.as_str()) => text == SCALES[1],
        Some(_) => {
            let found = scale.map_or(String::new(), Value::found);
            let place = scale.map_or(at, |value| value.at);
            let title = format!("expected the scale of a range, found {found}");
            return refuse(place, title, "write \"linear\" or \"log\"".to_owned(), Code::UnknownWord);
        }
    };
    let ends = match ends(from, to) {
        Ok(ends) => ends,
        Err((title, label)) => return refuse(to.at, title, label, Code::WrongType),
    };
    let smallest = match ends {
        Ends::Whole(from, to) | Ends::Of(_, from, to, _) => from.min(to) as f64,
        Ends::Real(from, to) => from.min(to),
    };
    if is_log && smallest <= 0.0 {
        let title = "a logarithmic range begins and ends above zero".to_owned();
        return refuse(from.at, title, "write a larger number, or scale = \"linear\"".to_owned(), Code::OutOfRange);
    }
    let value = |index| Value { at, kind: kind(&ends, index, count - 1, is_log) };
    Some((0..count).map(value).collect())
}

/// The ends, if both are numbers or both are quantities of one kind; else what is wrong and what to write.
fn ends(from: &Value, to: &Value) -> Result<Ends, (String, String)> {
    let both = format!("from {} to {}", from.found(), to.found());
    let refuse = |title: String| Err((title, "write two numbers, or two quantities of one kind".to_owned()));
    match (&from.kind, &to.kind) {
        (Kind::Text(one), Kind::Text(other)) => {
            for quantity in [&DURATION, &SIZE, &BITRATE, &COUNT] {
                if let (Ok(from), Ok(to)) = (quantity.parse(one), quantity.parse(other)) {
                    let unit = one.trim().trim_start_matches(|c: char| !c.is_alphabetic());
                    return Ok(Ends::Of(quantity, from, to, unit.to_owned()));
                }
            }
            refuse(format!("a range cannot go {both}"))
        }
        (Kind::Integer { .. } | Kind::Float(_), Kind::Integer { .. } | Kind::Float(_)) => {
            if let (Ok(from), Ok(to)) = (from.digits().replace('_', "").parse(), to.digits().replace('_', "").parse()) {
                return Ok(Ends::Whole(from, to));
            }
            let real = |value: &Value| value.digits().replace('_', "").parse::<f64>().ok().filter(|x| x.is_finite());
            match (real(from), real(to)) {
                (Some(from), Some(to)) => Ok(Ends::Real(from, to)),
                _ => refuse(format!("a range cannot go {both}")),
            }
        }
        // "1K" to 5_000: a count may be written either way.
        (Kind::Text(_), Kind::Integer { .. }) | (Kind::Integer { .. }, Kind::Text(_)) => {
            let count = |value: &Value| match &value.kind {
                Kind::Text(text) => COUNT.parse(text).ok(),
                _ => COUNT.parse(&value.digits()).ok(),
            };
            match (count(from), count(to)) {
                (Some(from), Some(to)) => Ok(Ends::Whole(from, to)),
                _ => refuse(format!("a range cannot go {both}")),
            }
        }
        _ => refuse(format!("a range cannot go {both}")),
    }
}

/// Value number `index` of those from 0 to `last`.
fn kind(ends: &Ends, index: usize, last: usize, is_log: bool) -> Kind {
    match ends {
        Ends::Whole(from, to) => {
            let number = match is_log {
                true => log_whole(*from, *to, index, last, false),
                false => linear_whole(*from, *to, index, last),
            };
            Kind::Integer { digits: number.to_string(), radix: 10 }
        }
        Ends::Real(from, to) => {
            let share = index as f64 / last as f64;
            let number = match (index, is_log) {
                (0, _) => *from,
                (_, _) if index == last => *to,
                (_, true) => log_between(*from, *to, share),
                (_, false) => from + (to - from) * share,
            };
            Kind::Float(digits_of(number, 12))
        }
        Ends::Of(quantity, from, to, unit) => {
            let is_count = is(quantity, &COUNT);
            let number = match is_log {
                true => log_whole(*from, *to, index, last, !is_count),
                false => linear_whole(*from, *to, index, last),
            };
            match is_count {
                true => Kind::Integer { digits: number.to_string(), radix: 10 },
                false => Kind::Text(quantity_text(quantity, number, unit)),
            }
        }
    }
}

/// To the nearest whole number; halves go up.
fn linear_whole(from: u64, to: u64, index: usize, last: usize) -> u64 {
    let (index, last) = (index as u128, last as u128);
    let sum = u128::from(from) * (last - index) + u128::from(to) * index;
    ((2 * sum + last) / (2 * last)) as u64
}

/// As [`linear_whole`], evenly spaced by ratio; `is_short` in four digits, as units have many small parts.
fn log_whole(from: u64, to: u64, index: usize, last: usize, is_short: bool) -> u64 {
    match index {
        0 => from,
        _ if index == last => to,
        _ => {
            let number = log_between(from as f64, to as f64, index as f64 / last as f64);
            let number = if is_short { digits_of(number, 4).parse().unwrap_or(number) } else { number };
            number.round() as u64
        }
    }
}

fn log_between(from: f64, to: f64, share: f64) -> f64 {
    let (from, to) = (libm::log(from), libm::log(to));
    libm::exp(from + (to - from) * share)
}

/// `number` in so many significant digits, without those of binary fractions.
fn digits_of(number: f64, digits: usize) -> String {
    let rounded: f64 = format!("{number:.*e}", digits - 1).parse().unwrap_or(number);
    rounded.to_string()
}

/// Whether two are the same kind of quantity.
fn is(one: &Quantity, other: &Quantity) -> bool {
    one.what == other.what
}

/// `number` of the smallest unit in the unit `unit` if that is a decimal number that ends, else in the smallest one.
fn quantity_text(quantity: &Quantity, number: u64, unit: &str) -> String {
    let space = if is(quantity, &DURATION) { "" } else { " " };
    let scale = quantity.parse(&format!("1{unit}")).unwrap_or(1);
    let smallest = [(&DURATION, "ns"), (&SIZE, "B"), (&BITRATE, "bps")];
    match decimal(number, scale) {
        Some(text) => format!("{text}{space}{unit}"),
        None => {
            let name = smallest.iter().find(|(one, _)| is(one, quantity)).map_or("", |(_, name)| name);
            format!("{number}{space}{name}")
        }
    }
}
