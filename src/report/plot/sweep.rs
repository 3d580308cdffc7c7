//! Metrics of a sweep over its axes: from the means and confidence intervals of `sweep-means.csv`.
//!
//! The axes are the columns before `approach`. Over one axis a metric is a line an approach, with a band or whiskers for
//! the 95 % confidence interval; over two it is a heat map an approach. Of more axes all but two have to be fixed.

use std::collections::BTreeSet;

use super::super::folder::{ReadError, ResultFolder, Row, Sheet};
use super::super::number::{count, size};
use super::heat::{HeatMap, SIDE_MAX};
use super::{Axis, CHART_ROWS_MAX, Chart, Choice, Drawing, Kind, Picture, PlotError, Point, Series, group, keep_first};

const FILE: &str = "sweep-means.csv";
const COLUMNS: [&str; 8] = ["approach", "nodes", "metric", "unit", "mean", "ci95_low", "ci95_high", "n"];
/// The most metrics that are drawn at once.
const METRICS_MAX: usize = 16;
/// The most pictures of one metric.
const MAPS_MAX: usize = 8;

/// The pictures of every metric, or of the chosen one; none if there is no sweep.
pub(super) fn pictures(folder: &ResultFolder<'_>, choice: &Choice) -> Result<Vec<Picture>, PlotError> {
    let Some(sheet) = folder.sheet(FILE)? else { return Ok(Vec::new()) };
    sheet.require(&COLUMNS)?;
    let axes = axes(&sheet, choice)?;
    let chosen = |row: &Row<'_>| choice.fixed.iter().all(|(axis, value)| row.text(axis) == value);
    let rows: Vec<Row<'_>> = sheet.rows().filter(chosen).collect();
    let mut seen = BTreeSet::new();
    let mut metrics: Vec<&str> =
        rows.iter().map(|row| row.text("metric")).filter(|metric| seen.insert(*metric)).collect();
    match &choice.metric {
        Some(metric) if !metrics.contains(&metric.as_str()) => {
            let known = metrics.iter().take(METRICS_MAX).copied().collect::<Vec<_>>().join(", ");
            return Err(PlotError::Choice(format!("the sweep has no metric `{metric}` there: it has {known}")));
        }
        Some(metric) => metrics.retain(|known| known == metric),
        None => metrics.truncate(METRICS_MAX),
    }
    let mut pictures = Vec::new();
    for metric in metrics {
        let rows: Vec<Row<'_>> = rows.iter().copied().filter(|row| row.text("metric") == metric).collect();
        if let Some(row) = rows.get(CHART_ROWS_MAX) {
            return Err(row.refuse(format!("more than {CHART_ROWS_MAX} rows for one chart")).into());
        }
        match axes[..] {
            [axis] => pictures.extend(lines(folder, metric, axis, &rows)?),
            [x, y] => pictures.extend(maps(folder, metric, [x, y], &rows)?),
            _ => {}
        }
    }
    Ok(pictures)
}

/// The axes that are not fixed: one or two.
fn axes<'s>(sheet: &'s Sheet, choice: &Choice) -> Result<Vec<&'s str>, PlotError> {
    let all: Vec<&str> = sheet.columns().iter().map(String::as_str).take_while(|name| *name != "approach").collect();
    if let Some((unknown, _)) = choice.fixed.iter().find(|(axis, _)| !all.contains(&axis.as_str())) {
        let axes = all.join(", ");
        return Err(PlotError::Choice(format!("the sweep has no axis `{unknown}`: it has {axes}")));
    }
    let is_free = |axis: &&str| !choice.fixed.iter().any(|(fixed, _)| fixed == axis);
    // An axis that has one value is none.
    let varies = |axis: &&str| {
        let mut values = sheet.rows().map(|row| row.text(axis));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let free: Vec<&str> = all.iter().copied().filter(is_free).collect();
    let moving: Vec<&str> = free.iter().copied().filter(varies).collect();
    match (moving.len(), free.first()) {
        (1 | 2, _) => Ok(moving),
        (0, Some(only)) => Ok(vec![only]),
        (0, None) => Err(PlotError::Choice("no axis of the sweep is left to draw".to_owned())),
        (axes, _) => Err(PlotError::Choice(format!(
            "the sweep has {axes} axes ({}), and a picture has two: fix the others with --where AXIS=VALUE",
            moving.join(", ")
        ))),
    }
}

/// What tells the lines, or maps, of a metric apart.
fn names(rows: &[Row<'_>], axes: &[&str]) -> Result<Vec<String>, ReadError> {
    // Where the number of nodes is an axis, the column says the same again.
    let mut nodes = rows.iter().map(Row::nodes).collect::<Result<Vec<u32>, _>>()?;
    let of_size =
        |row: &Row<'_>| Ok::<String, ReadError>(format!("{} at {}", row.text("approach"), size(row.nodes()?)));
    nodes.dedup();
    if nodes.len() < 2 || axes.contains(&"nodes") || axes.iter().any(|axis| decides_nodes(rows, axis)) {
        return Ok(rows.iter().map(|row| row.text("approach").to_owned()).collect());
    }
    rows.iter().map(of_size).collect()
}

/// Whether the number of nodes follows from `axis`, as it does from an axis that sets it.
fn decides_nodes(rows: &[Row<'_>], axis: &str) -> bool {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    rows.iter().all(|row| {
        let (value, nodes) = (row.text(axis), row.text("nodes"));
        match seen.iter().find(|(other, _)| *other == value) {
            Some((_, other)) => *other == nodes,
            None => {
                seen.push((value, nodes));
                true
            }
        }
    })
}

fn with_unit(metric: &str, rows: &[Row<'_>]) -> String {
    match rows.first().map_or("", |row| row.text("unit")) {
        "" | "1" => metric.to_owned(),
        unit => format!("{metric}, {unit}"),
    }
}

fn file_name(parts: &[&str]) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = parts.join("-").chars().take(96).map(plain).collect();
    format!("{}-{name}", Kind::Sweep.name())
}

fn tip(row: &Row<'_>, name: &str, axes: &[&str], mean: f64) -> Result<String, ReadError> {
    let at: Vec<String> = axes.iter().map(|axis| format!("{axis} = {}", row.text(axis))).collect();
    let interval = match (row.number("ci95_low")?, row.number("ci95_high")?) {
        (Some(low), Some(high)) => format!(", 95 % from {} to {}", count(low), count(high)),
        _ => String::new(),
    };
    Ok(format!("{name}, {}: {}{interval} (n = {})", at.join(", "), count(mean), row.text("n")))
}

/// Lines over `axis`. Values that are no numbers stand beside each other.
fn lines(folder: &ResultFolder<'_>, metric: &str, axis: &str, rows: &[Row<'_>]) -> Result<Option<Picture>, ReadError> {
    let numbers: Option<Vec<f64>> = rows.iter().map(|row| number_of(row.text(axis))).collect();
    let mut values: Vec<String> = Vec::new();
    for row in rows {
        if !values.iter().any(|value| value == row.text(axis)) {
            values.push(row.text(axis).to_owned());
        }
    }
    let mut groups: Vec<(String, Vec<Point>)> = Vec::new();
    for (at, (row, name)) in rows.iter().zip(names(rows, &[axis])?).enumerate() {
        let Some(mean) = row.number("mean")? else { continue };
        let place = || values.iter().position(|value| value == row.text(axis)).unwrap_or(0) as f64;
        let x = numbers.as_ref().map_or_else(place, |numbers| numbers[at]);
        let spread = row.number("ci95_low")?.zip(row.number("ci95_high")?);
        let point = Point { x, y: mean, spread, tip: tip(row, &name, &[axis], mean)? };
        group(&mut groups, name, point);
    }
    let mut notes: Vec<String> = keep_first(&mut groups, "lines").into_iter().collect();
    let has_spread = groups.iter().flat_map(|(_, points)| points).any(|point| point.spread.is_some());
    let is_number = numbers.is_some();
    notes.extend(
        has_spread.then(|| {
            format!("{}: 95 % confidence interval of the mean.", if is_number { "Bands" } else { "Whiskers" })
        }),
    );
    let series: Vec<Series> = groups
        .into_iter()
        .enumerate()
        .map(|(look, (name, mut points))| {
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            Series { name, look, is_line: is_number, has_band: is_number, points, hollow: Vec::new() }
        })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    if points().next().is_none() {
        return Ok(None);
    }
    let heights = || {
        points().flat_map(|point| {
            [point.y, point.spread.map_or(point.y, |spread| spread.0), point.spread.map_or(point.y, |spread| spread.1)]
        })
    };
    let label = with_unit(metric, rows);
    let y = if is_wide(&mut heights()) { Axis::log(&label, heights()) } else { Axis::linear(&label, heights()) };
    let x = match is_number {
        false => Axis::names(axis, &values),
        true if is_wide(&mut points().map(|point| point.x)) => Axis::log(axis, points().map(|point| point.x)),
        true => Axis::linear(axis, points().map(|point| point.x)),
    };
    let title = format!("{metric} by {axis} ({})", folder.name());
    let chart = Chart { title, x, y, series, bars: Vec::new(), hollow: "", barred: "", notes };
    Ok(Some(Picture { name: file_name(&[metric]), drawing: Drawing::Chart(chart) }))
}

/// Whether `values` are above zero and a hundredfold apart, so that powers of ten show more of them.
fn is_wide(values: &mut dyn Iterator<Item = f64>) -> bool {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    low > 0.0 && high / low >= 100.0
}

/// The number that a value of an axis is, with the units that scenarios have: 10K, 5s, 1 %.
fn number_of(text: &str) -> Option<f64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '-' | '_'));
    let (digits, unit) = text.split_at(digits.unwrap_or(text.len()));
    let times = match unit.trim() {
        "" | "s" | "%" => 1.0,
        "K" => 1e3,
        "M" => 1e6,
        "B" => 1e9,
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number = digits.replace('_', "").parse::<f64>().ok()? * times;
    (number.abs() <= super::super::folder::NUMBER_MAX).then_some(number)
}

/// A map of `metric` over two axes for each approach.
fn maps(folder: &ResultFolder<'_>, metric: &str, axes: [&str; 2], rows: &[Row<'_>]) -> Result<Vec<Picture>, PlotError> {
    let mut groups: Vec<(String, Vec<Row<'_>>)> = Vec::new();
    for (row, name) in rows.iter().zip(names(rows, &axes)?) {
        group(&mut groups, name, *row);
    }
    let left_out = groups.len().saturating_sub(MAPS_MAX);
    groups.truncate(MAPS_MAX);
    let mut pictures = Vec::new();
    for (name, rows) in &groups {
        let [xs, ys] = axes.map(|axis| values(rows, axis));
        if xs.len().max(ys.len()) > SIDE_MAX {
            let message =
                format!("a heat map has at most {SIDE_MAX} values of an axis, not {}", xs.len().max(ys.len()));
            return Err(PlotError::Choice(message));
        }
        let mut cells = vec![vec![None; xs.len()]; ys.len()];
        for row in rows {
            let place = |values: &[String], axis: &str| values.iter().position(|value| value == row.text(axis));
            let (Some(x), Some(y)) = (place(&xs, axes[0]), place(&ys, axes[1])) else { continue };
            let Some(mean) = row.number("mean")? else { continue };
            if cells[y][x].replace((mean, tip(row, name, &axes, mean)?)).is_some() {
                return Err(row.refuse(format!("a second mean of `{metric}` at the same place")).into());
            }
        }
        if cells.iter().flatten().all(Option::is_none) {
            continue;
        }
        let [x, y] = axes.map(str::to_owned);
        let title = format!("{metric} of {name} ({})", folder.name());
        let mut notes =
            vec!["Each number is a mean over seeds; colours run evenly from the least to the most.".to_owned()];
        notes.extend((left_out > 0).then(|| format!("{left_out} more approaches have no picture.")));
        let map = HeatMap { title, x, y, value: with_unit(metric, rows), xs, ys, cells, notes };
        pictures.push(Picture { name: file_name(&[metric, name]), drawing: Drawing::Heat(map) });
    }
    Ok(pictures)
}

/// The values of `axis`: by size where they are numbers, else as they come.
fn values(rows: &[Row<'_>], axis: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for row in rows {
        if !values.iter().any(|value| value == row.text(axis)) {
            values.push(row.text(axis).to_owned());
        }
    }
    if values.iter().all(|value| number_of(value).is_some()) {
        let number = |value: &String| number_of(value).unwrap_or(0.0);
        values.sort_by(|one, other| number(one).total_cmp(&number(other)));
    }
    values
}
