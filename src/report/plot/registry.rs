//! What registries take on disk and how long lookups take, by size: from `registry-bench.csv`.

use super::super::folder::{ReadError, ResultFolder, Row};
use super::super::number::{count, metric};
use super::{Axis, Chart, Point, Series, group, keep_first, sheet};

const FILE: &str = "registry-bench.csv";
const COLUMNS: [&str; 7] = ["users", "variant", "figure", "part", "value", "unit", "how"];
/// The layout that the sizes are measured with.
const LAYOUT: &str = "compact";
const OF_A_MACHINE: &str = "Times and sizes of the machine on which they were measured.";

/// Bytes on disk, a line a variant; `None` without figures of a registry.
pub(super) fn disk(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    let is_drawn = |row: &Row<'_>| (row.text("figure"), row.text("part")) == ("disk", "all");
    let name = |row: &Row<'_>| row.text("variant").to_owned();
    let say = |bytes: f64| format!("{}B on disk", metric(bytes));
    let title = format!("Registries on disk, by users ({})", folder.name());
    chart(folder, title, "bytes on disk", &is_drawn, &name, &say)
}

/// Medians of lookups with whiskers to the 99th percentile, a line a kind; `None` without figures of a registry.
pub(super) fn lookup(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    const KINDS: [&str; 4] = ["hit", "miss", "cold miss", "absent"];
    let is_drawn = |row: &Row<'_>| {
        let is_time = matches!(row.text("part"), "p50" | "p99") && KINDS.contains(&row.text("figure"));
        let is_mean = row.text("part") == "mean" && row.text("figure") == "lookup at 90 % hits";
        row.text("variant") == LAYOUT && row.text("unit") == "ns" && (is_time || is_mean)
    };
    let name = |row: &Row<'_>| match row.text("figure") {
        "lookup at 90 % hits" => "90 % hits, mean".to_owned(),
        "absent" => "of nobody".to_owned(),
        kind => format!("cache {kind}"),
    };
    let say = |nanos: f64| format!("{} ns", count(nanos));
    let title = format!("Lookups in registries, by users ({})", folder.name());
    let chart = chart(folder, title, "nanoseconds", &is_drawn, &name, &say)?;
    Ok(chart.map(|mut chart| {
        chart.notes.insert(0, "Markers: median; whiskers: to the 99th percentile.".to_owned());
        chart
    }))
}

/// A measured or projected value, and the 99th percentile that belongs to it.
#[derive(Clone, Copy, Debug)]
struct Value {
    users: f64,
    value: f64,
    is_projected: bool,
    is_whisker: bool,
}

fn chart(
    folder: &ResultFolder<'_>,
    title: String,
    unit: &str,
    is_drawn: &dyn Fn(&Row<'_>) -> bool,
    name: &dyn Fn(&Row<'_>) -> String,
    say: &dyn Fn(f64) -> String,
) -> Result<Option<Chart>, ReadError> {
    let Some(sheet) = sheet(folder, FILE, &COLUMNS)? else { return Ok(None) };
    let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
    for row in sheet.rows().filter(is_drawn) {
        let (users, value) = (row.required("users")?, row.required("value")?);
        let (is_projected, is_whisker) = (row.text("how") == "projected", row.text("part") == "p99");
        if users > 0.0 && value > 0.0 {
            group(&mut groups, name(&row), Value { users, value, is_projected, is_whisker });
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let mut notes: Vec<String> = keep_first(&mut groups, "lines").into_iter().collect();
    notes.push(OF_A_MACHINE.to_owned());
    let series: Vec<Series> =
        groups.iter().enumerate().map(|(look, (name, values))| series(look, name, values, say)).collect();
    let points = || series.iter().flat_map(|series| series.points.iter().chain(&series.hollow));
    let heights = points().flat_map(|point| [point.y, point.spread.map_or(point.y, |spread| spread.1)]);
    Ok(Some(Chart {
        title,
        x: Axis::log("users", points().map(|point| point.x)),
        y: Axis::log(unit, heights),
        series,
        bars: Vec::new(),
        hollow: "projected",
        barred: "",
        notes,
    }))
}

fn series(look: usize, name: &str, values: &[Value], say: &dyn Fn(f64) -> String) -> Series {
    let point = |value: &Value| {
        let whisker = values.iter().find(|other| other.is_whisker && other.users == value.users);
        let spread = whisker.map(|whisker| (value.value, whisker.value.max(value.value)));
        let most = spread.map_or(String::new(), |(_, most)| format!(", 99th percentile {}", say(most)));
        let how = if value.is_projected { "projected" } else { "measured" };
        let tip = format!("{name}, {} users: {}{most}, {how}", count(value.users), say(value.value));
        Point { x: value.users, y: value.value, spread, tip }
    };
    let of = |is_projected: bool| {
        let chosen = values.iter().filter(|value| !value.is_whisker && value.is_projected == is_projected);
        let mut points: Vec<Point> = chosen.map(point).collect();
        points.sort_by(|one, other| one.x.total_cmp(&other.x));
        points
    };
    Series { name: name.to_owned(), look, is_line: true, has_band: false, points: of(false), hollow: of(true) }
}
