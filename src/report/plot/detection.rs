//! How soon failures are noticed, against what that costs: from `detection.csv`.

use super::super::folder::{ReadError, ResultFolder, Row};
use super::super::number::{count, percent};
use super::{Axis, Chart, Point, PointKey, Series, common_size, keep_first, sheet};

/// A marker an approach, size and detector at the median, with a whisker to the 99th percentile; `None` if no failure
/// was noticed.
pub(super) fn chart(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    let Some(sheet) = sheet(
        folder,
        "detection.csv",
        &[
            "approach",
            "nodes",
            "detector",
            "node_type",
            "failure",
            "stage",
            "observers",
            "p50_s",
            "p99_s",
            "share_never_noticed",
            "wire_bytes_per_node_per_s",
        ],
    )?
    else {
        return Ok(None);
    };
    let is_total = |row: &Row<'_>| {
        let text = |column| row.text(column);
        (text("node_type"), text("failure"), text("stage"), text("observers")) == ("all", "all", "down", "first")
    };
    let (mut points, mut unnoticed) = (Vec::new(), Vec::new());
    for row in sheet.rows().filter(is_total) {
        let key = PointKey::of(row)?;
        match point(row, key)? {
            Some(point) => points.push((key, row.text("detector"), point)),
            None => unnoticed.push(key.approach.to_owned()),
        }
    }
    if points.is_empty() {
        return Ok(None);
    }
    let mut notes = vec!["Markers: median until a first node notices; whiskers: to the 99th percentile.".to_owned()];
    notes.extend((!unnoticed.is_empty()).then(|| format!("Nothing was noticed by: {}.", unnoticed.join(", "))));
    notes.extend(keep_first(&mut points, "approaches"));
    let sizes = common_size(points.iter().map(|(key, _, _)| *key));
    let one_detector = points.iter().all(|(_, detector, _)| *detector == points[0].1);
    let series: Vec<Series> = points
        .into_iter()
        .enumerate()
        .map(|(look, (key, detector, point))| {
            let approach = if sizes.is_empty() { key.name() } else { key.approach.to_owned() };
            let name = if one_detector || detector == approach { approach } else { format!("{approach} ({detector})") };
            Series { name, look, is_line: false, has_band: false, points: vec![point], hollow: Vec::new() }
        })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let heights = points().flat_map(|point| [point.y, point.spread.map_or(point.y, |spread| spread.1)]);
    Ok(Some(Chart {
        title: format!("How soon failures are noticed, and at what cost ({}{sizes})", folder.name()),
        x: Axis::log("bytes a node sends per second, with headers", points().map(|point| point.x)),
        y: Axis::log("seconds until noticed", heights),
        series,
        bars: Vec::new(),
        hollow: "",
        barred: "",
        notes,
    }))
}

fn point(row: Row<'_>, key: PointKey<'_>) -> Result<Option<Point>, ReadError> {
    let (Some(median), Some(last)) = (row.number("p50_s")?, row.number("p99_s")?) else { return Ok(None) };
    let cost = row.required("wire_bytes_per_node_per_s")?;
    let never = row.number("share_never_noticed")?.unwrap_or(0.0);
    let tip = format!(
        "{}: median {} s, 99th percentile {} s, {} never noticed, {} bytes/s a node",
        key.name(),
        count(median),
        count(last),
        percent(never),
        count(cost)
    );
    Ok((median > 0.0 && cost > 0.0).then(|| Point {
        x: cost,
        y: median,
        spread: Some((median, last.max(median))),
        tip,
    }))
}
