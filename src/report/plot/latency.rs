//! Delays of messages as a distribution: from the percentiles of `latency.csv`.

use super::super::folder::{ReadError, ResultFolder, Row};
use super::super::number::count;
use super::{Axis, Chart, Point, PointKey, Series, common_size, keep_largest, sheet};

/// The most lines: kinds of which there are the most messages.
const LINES_MAX: usize = 8;
/// Distributions that are this near to each other are one line: lines on each other could not be told apart.
const ALIKE: f64 = 0.01;
const SHARES: [(&str, f64); 6] =
    [("min_ms", 0.0), ("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0)];

/// A line a kind of message; `None` if there are no delays.
///
/// The file has six points of each distribution, and no more is drawn: what lies between is only joined.
pub(super) fn chart(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    let Some(sheet) = sheet(
        folder,
        "latency.csv",
        &["approach", "nodes", "kind", "count", "min_ms", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"],
    )?
    else {
        return Ok(None);
    };
    let mut rows: Vec<(PointKey<'_>, (f64, Row<'_>))> = Vec::new();
    for row in sheet.rows() {
        rows.push((PointKey::of(row)?, (row.required("count")?, row)));
    }
    let mut notes =
        vec!["Known are the points with markers; lines between them are only drawn to lead the eye.".to_owned()];
    notes.extend(keep_largest(&mut rows));
    // The order of the file is kept where counts are the same.
    rows.sort_by(|(_, one), (_, other)| other.0.total_cmp(&one.0));
    let sizes = common_size(rows.iter().map(|(key, _)| *key));
    let mut series: Vec<Series> = Vec::new();
    let (mut alike, mut left_out) = (Vec::new(), 0);
    for (key, (_, row)) in &rows {
        let approach = if sizes.is_empty() { key.name() } else { key.approach.to_owned() };
        let name = format!("{approach}: {}", row.text("kind"));
        let points = points(*row, &name)?;
        if let Some(same) = series.iter().position(|series| are_alike(&series.points, &points)) {
            alike[same] += 1;
        } else if series.len() < LINES_MAX {
            let look = series.len();
            series.push(Series { name, look, is_line: true, has_band: false, points, hollow: Vec::new() });
            alike.push(0);
        } else {
            left_out += 1;
        }
    }
    if series.iter().all(|series| series.points.is_empty()) {
        return Ok(None);
    }
    for (series, alike) in series.iter_mut().zip(&alike).filter(|(_, alike)| **alike > 0) {
        series.name += &format!(", and {alike} alike");
    }
    if alike.iter().any(|alike| *alike > 0) {
        notes.push("Alike: no point is further off than 1 %.".to_owned());
    }
    if left_out > 0 {
        notes.push(format!("{left_out} kinds with fewer messages are left out."));
    }
    let points = || series.iter().flat_map(|series: &Series| &series.points);
    Ok(Some(Chart {
        title: format!("One-way delays of messages ({}{sizes})", folder.name()),
        x: Axis::log("delay, ms", points().map(|point| point.x)),
        y: Axis::nines("messages not slower"),
        series,
        bars: Vec::new(),
        hollow: "",
        barred: "",
        notes,
    }))
}

/// Whether no point of one distribution is further from that of the other than [`ALIKE`].
fn are_alike(one: &[Point], other: &[Point]) -> bool {
    let is_near = |(one, other): (&Point, &Point)| one.y == other.y && (one.x - other.x).abs() <= ALIKE * one.x;
    one.len() == other.len() && one.iter().zip(other).all(is_near)
}

fn points(row: Row<'_>, name: &str) -> Result<Vec<Point>, ReadError> {
    let mut points = Vec::new();
    for (column, share) in SHARES {
        let delay = row.required(column)?;
        if delay > 0.0 {
            let tip = format!("{name}, {}: {} ms", column.trim_end_matches("_ms"), count(delay));
            points.push(Point { x: delay, y: share, spread: None, tip });
        }
    }
    if points.windows(2).any(|pair: &[Point]| pair[0].x > pair[1].x) {
        return Err(row.refuse("a percentile is below one that comes before it".to_owned()));
    }
    Ok(points)
}
