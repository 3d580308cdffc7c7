//! How long batteries of mobile nodes last: from the topic `battery` of `figures.csv`.

use super::super::folder::{ReadError, ResultFolder};
use super::super::number::count;
use super::{Axis, Chart, Point, PointKey, Series, common_size, keep_largest, sheet};

/// Figures in hours, with what the legend calls them.
const LIVES: [(&str, &str); 2] = [("life-of-phone", "phone, all parts"), ("life-of-radio-alone", "the radio alone")];
/// The most approaches.
const APPROACHES_MAX: usize = 8;

/// Hours on one charge by approach; `None` if there are none.
pub(super) fn chart(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    let Some(sheet) = sheet(folder, "figures.csv", &["approach", "nodes", "topic", "figure", "unit", "value"])? else {
        return Ok(None);
    };
    let mut lives: Vec<(PointKey<'_>, [Option<f64>; 2])> = Vec::new();
    for row in sheet.rows().filter(|row| row.text("topic") == "battery" && row.text("unit") == "h") {
        let Some(which) = LIVES.iter().position(|(figure, _)| *figure == row.text("figure")) else { continue };
        let key = PointKey::of(row)?;
        let at = lives.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            lives.push((key, [None; 2]));
            lives.len() - 1
        });
        lives[at].1[which] = row.number("value")?.filter(|hours| *hours > 0.0);
    }
    let mut notes: Vec<String> = keep_largest(&mut lives).into_iter().collect();
    if lives.len() > APPROACHES_MAX {
        notes.push(format!("The first {APPROACHES_MAX} of {} approaches.", lives.len()));
        lives.truncate(APPROACHES_MAX);
    }
    let series = |(look, (_, name)): (usize, &(&str, &str))| {
        let point = |(at, (key, hours)): (usize, &(PointKey<'_>, [Option<f64>; 2]))| {
            let tip = format!("{}, {name}: {} h", key.name(), count(hours[look]?));
            Some(Point { x: at as f64, y: hours[look]?, spread: None, tip })
        };
        let points = lives.iter().enumerate().filter_map(point).collect();
        Series { name: (*name).to_owned(), look, is_line: false, has_band: false, points, hollow: Vec::new() }
    };
    let series: Vec<Series> = LIVES.iter().enumerate().map(series).filter(|series| !series.points.is_empty()).collect();
    if series.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = lives.iter().map(|(key, _)| key.approach.to_owned()).collect();
    let hours = series.iter().flat_map(|series| &series.points).map(|point| point.y);
    Ok(Some(Chart {
        title: format!(
            "Battery life of mobile nodes by approach ({}{})",
            folder.name(),
            common_size(lives.iter().map(|(key, _)| *key))
        ),
        x: Axis::names("approach", &names),
        y: Axis::log("hours on one charge", hours),
        series,
        bars: Vec::new(),
        hollow: "",
        barred: "",
        notes,
    }))
}
