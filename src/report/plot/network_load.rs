//! Message rate against network size, measured beside documented: from `messages.csv`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::folder::{ReadError, ResultFolder};
use super::super::number::{count, size};
use super::{Axis, Chart, Point, PointKey, Series, keep_first, sheet};
use crate::claims;

/// A line an approach and a hollow marker a documented figure; `None` with fewer than two sizes. Rates of zero have no
/// logarithm and are left out.
pub(super) fn chart(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    let Some(sheet) = sheet(folder, "messages.csv", &["approach", "nodes", "direction", "messages_per_s"])? else {
        return Ok(None);
    };
    let mut rates: BTreeMap<PointKey<'_>, f64> = BTreeMap::new();
    let mut approaches: Vec<&str> = Vec::new();
    for row in sheet.rows() {
        let key = PointKey::of(row)?;
        if !approaches.contains(&key.approach) {
            approaches.push(key.approach);
        }
        if row.text("direction") == "sent" {
            *rates.entry(key).or_default() += row.required("messages_per_s")?;
        }
    }
    rates.retain(|_, rate| *rate > 0.0);
    let sizes: BTreeSet<u32> = rates.keys().map(|key| key.nodes).collect();
    if sizes.len() < 2 {
        return Ok(None);
    }
    let note = keep_first(&mut approaches, "approaches");
    let series: Vec<Series> =
        approaches.iter().enumerate().map(|(look, approach)| series(look, approach, &rates)).collect();
    let points = || series.iter().flat_map(|series| series.points.iter().chain(&series.hollow));
    Ok(Some(Chart {
        title: format!("Messages sent a second, by network size ({})", folder.name()),
        x: Axis::log("nodes", points().map(|point| point.x)),
        y: Axis::log("messages per second", points().map(|point| point.y)),
        series,
        bars: Vec::new(),
        hollow: "documented",
        barred: "",
        notes: note.into_iter().collect(),
    }))
}

fn series(look: usize, approach: &str, rates: &BTreeMap<PointKey<'_>, f64>) -> Series {
    let (mut points, mut hollow) = (Vec::new(), Vec::new());
    for (key, rate) in rates.iter().filter(|(key, _)| key.approach == approach) {
        let point = |y: f64, how: &str| {
            let tip = format!("{approach}, {} nodes: {} messages/s {how}", size(key.nodes), count(y));
            Point { x: f64::from(key.nodes), y, spread: None, tip }
        };
        points.push(point(*rate, "measured"));
        let claim = claims::network_load(approach, key.nodes);
        hollow.extend(claim.and_then(|claim| Some(point(claim.number()?, &format!("documented ({})", claim.id)))));
    }
    Series { name: approach.to_owned(), look, is_line: true, has_band: false, points, hollow }
}
