//! Bandwidth by type of node, beside documented budgets: from `bandwidth.csv`.

use super::super::folder::{ReadError, ResultFolder, Row};
use super::super::number::count;
use super::chart::Bar;
use super::{Axis, Chart, Point, PointKey, Series, common_size, group, keep_first, keep_largest, sheet};

const TYPES: [&str; 4] = ["super", "full", "light", "mobile"];
const DIRECTIONS: [&str; 2] = ["upload", "download"];

/// The mean of each approach with a whisker to the busiest node, by type and direction. `None` where nothing was sent.
pub(super) fn chart(folder: &ResultFolder<'_>) -> Result<Option<Chart>, ReadError> {
    let Some(sheet) = sheet(
        folder,
        "bandwidth.csv",
        &["approach", "nodes", "node_type", "direction", "mean_mbps", "max_mbps", "documented_mbps"],
    )?
    else {
        return Ok(None);
    };
    let mut groups: Vec<(PointKey<'_>, Vec<Row<'_>>)> = Vec::new();
    for row in sheet.rows() {
        group(&mut groups, PointKey::of(row)?, row);
    }
    let mut notes: Vec<String> = keep_largest(&mut groups).into_iter().collect();
    notes.extend(keep_first(&mut groups, "approaches"));
    let used: Vec<(&str, &str)> = TYPES
        .iter()
        .flat_map(|of_type| DIRECTIONS.map(|direction| (*of_type, direction)))
        .filter(|pair| groups.iter().flat_map(|(_, rows)| rows).any(|row| is_of(*row, *pair)))
        .collect();
    let (mut series, mut bars) = (Vec::new(), Vec::new());
    for (look, (key, rows)) in groups.iter().enumerate() {
        let mut points = Vec::new();
        for row in rows {
            let Some(at) = used.iter().position(|pair| is_of(*row, *pair)) else { continue };
            // Approaches stand beside each other.
            let x = at as f64 + (look as f64 + 0.5) / groups.len() as f64 * 0.8 - 0.4;
            points.extend(point(*row, *key, x)?);
            if let Some(budget) = row.number("documented_mbps")?.filter(|budget| *budget > 0.0) {
                let at = at as f64;
                let tip = format!(
                    "budget of {} nodes, {}: {} Mbit/s",
                    used[at as usize].0,
                    used[at as usize].1,
                    count(budget)
                );
                let bar = Bar { from: at - 0.42, to: at + 0.42, y: budget, tip };
                if !bars.iter().any(|other: &Bar| (other.from, other.y) == (bar.from, bar.y)) {
                    bars.push(bar);
                }
            }
        }
        points.sort_by(|one, other| one.x.total_cmp(&other.x));
        series.push(Series {
            name: key.approach.to_owned(),
            look,
            is_line: false,
            has_band: false,
            points,
            hollow: Vec::new(),
        });
    }
    if series.iter().all(|series| series.points.is_empty()) {
        return Ok(None);
    }
    let names: Vec<(&str, &str)> =
        used.iter().map(|(of_type, direction)| (*of_type, direction.trim_end_matches("load"))).collect();
    let heights = series
        .iter()
        .flat_map(|series| &series.points)
        .flat_map(|point| [point.y, point.spread.map_or(point.y, |spread| spread.1)]);
    let y = Axis::log("Mbit/s of a node", heights.chain(bars.iter().map(|bar| bar.y)));
    notes.insert(
        0,
        "Markers: mean of the nodes; whiskers: to the busiest one. What nobody sends is left out.".to_owned(),
    );
    Ok(Some(Chart {
        title: format!(
            "Bandwidth by node type, beside budgets ({}{})",
            folder.name(),
            common_size(groups.iter().map(|(key, _)| *key))
        ),
        x: Axis::grouped("direction, and type of node", &names),
        y,
        series,
        bars,
        hollow: "",
        barred: "documented budget",
        notes,
    }))
}

fn is_of(row: Row<'_>, (of_type, direction): (&str, &str)) -> bool {
    row.text("node_type") == of_type && row.text("direction") == direction
}

/// `None` where nobody sends.
fn point(row: Row<'_>, key: PointKey<'_>, x: f64) -> Result<Option<Point>, ReadError> {
    let (Some(mean), Some(most)) = (row.number("mean_mbps")?, row.number("max_mbps")?) else { return Ok(None) };
    let (of_type, direction) = (row.text("node_type"), row.text("direction"));
    let tip =
        format!("{}, {of_type} {direction}: mean {} Mbit/s, most {} Mbit/s", key.name(), count(mean), count(most));
    Ok((mean > 0.0).then(|| Point { x, y: mean, spread: (most > mean).then_some((mean, most)), tip }))
}
