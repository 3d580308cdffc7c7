//! How many nodes have a message, over time: from the curves `coverage-over-time` of `curves.csv`.

use super::super::folder::{ReadError, ResultFolder};
use super::super::number::{count, percent};
use super::{Axis, Chart, Point, PointKey, Series, common_size, group, keep_first, sheet};

/// Who has this share has been reached, as far as the beginning of the axis goes.
const BEGUN: f64 = 0.01;

/// Whose coverage, of what, and its seconds and shares.
type Line<'f> = ((PointKey<'f>, &'f str), Vec<(f64, f64)>);

/// A line an approach and size; `None` if there are no such curves.
pub(super) fn chart(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    let Some(sheet) = sheet(folder, "curves.csv", &["approach", "nodes", "curve", "x", "y"])? else { return Ok(None) };
    let mut groups: Vec<Line<'_>> = Vec::new();
    for row in sheet.rows().filter(|row| row.text("curve") == "coverage-over-time") {
        let place = (row.required("x")?, row.required("y")?);
        if !(0.0..=1.0).contains(&place.1) {
            return Err(row.refuse("a share of nodes is from 0 to 1".to_owned()));
        }
        if place.0 > 0.0 {
            group(&mut groups, (PointKey::of(row)?, row.text("subject")), place);
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let note = keep_first(&mut groups, "lines");
    let sizes = common_size(groups.iter().map(|((key, _), _)| *key));
    let has_subjects = groups.iter().any(|((_, subject), _)| *subject != groups[0].0.1);
    let series: Vec<Series> = groups
        .iter_mut()
        .enumerate()
        .map(|(look, ((key, subject), places))| {
            places.sort_by(|one, other| one.0.total_cmp(&other.0));
            let mut name = if sizes.is_empty() { key.name() } else { key.approach.to_owned() };
            if has_subjects {
                name += &format!(", {subject}");
            }
            let point = |&(x, y): &(f64, f64)| {
                let tip = format!("{name}: {} of nodes after {} s", percent(y), count(x));
                Point { x, y, spread: None, tip }
            };
            let points = places.iter().map(point).collect();
            Series { name, look, is_line: true, has_band: false, points, hollow: Vec::new() }
        })
        .collect();
    let begun = series.iter().filter_map(|series| series.points.iter().find(|point| point.y >= BEGUN));
    let begin = begun.map(|point| point.x).fold(f64::MAX, f64::min);
    let times = series.iter().flat_map(|series| &series.points).map(|point| point.x);
    let x = Axis::log("seconds since publication", times.filter(|time| *time >= begin));
    Ok(Some(Chart {
        title: format!("Share of nodes that have a message, over time ({}{sizes})", folder.name()),
        x,
        y: Axis::shares("nodes that have the message"),
        series,
        bars: Vec::new(),
        hollow: "",
        barred: "",
        notes: note.into_iter().collect(),
    }))
}
