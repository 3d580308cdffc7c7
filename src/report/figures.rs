//! What mechanisms found of their own: `figures.csv`, `curves.csv`, and a table a topic.

use serde::Serialize;

use super::number::{Number, plain, size};
use super::table::{columns, table_with};
use super::{RunReport, sheet};
use crate::claims::claim;
use crate::metrics::{Figure, Figures, PointResult};

pub(super) const COLUMNS: [&str; 10] =
    ["approach", "nodes", "obtained", "topic", "subject", "figure", "unit", "value", "claim", "documented"];
pub(super) const CURVE_COLUMNS: [&str; 9] =
    ["approach", "nodes", "topic", "subject", "curve", "x_unit", "x", "y_unit", "y"];

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    obtained: String,
    topic: &'static str,
    subject: &'static str,
    figure: &'static str,
    unit: &'static str,
    value: Option<Number>,
    claim: Option<&'static str>,
    documented: Option<Number>,
}

/// `figures.csv`: a row per figure. `documented` is what the claim beside it says, in the same unit, where it gives one
/// number. `None` if no point has figures.
pub fn figures_csv(report: &RunReport<'_>) -> Option<Vec<u8>> {
    let rows = of_points(report).flat_map(|(point, figures)| {
        figures.rows.iter().map(|row| Row {
            approach: &point.approach,
            nodes: point.nodes(),
            obtained: point.method.to_string(),
            topic: figures.topic,
            subject: row.subject,
            figure: row.name,
            unit: row.unit,
            value: row.value.map(Number),
            claim: row.claim,
            documented: documented(row).map(Number),
        })
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| sheet::csv(&COLUMNS, rows))
}

/// `curves.csv`: a row per point of a curve. `None` if there are no curves.
pub fn curves_csv(report: &RunReport<'_>) -> Option<Vec<u8>> {
    let rows = of_points(report).flat_map(|(point, figures)| {
        figures.curves.iter().flat_map(move |curve| {
            let [x_unit, y_unit] = curve.units;
            let row = move |&[x, y]: &[f64; 2]| {
                let about = (&*point.approach, point.nodes(), figures.topic, curve.subject, curve.name);
                (about, (x_unit, Number(x), y_unit, Number(y)))
            };
            curve.points.iter().map(row)
        })
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| sheet::csv(&CURVE_COLUMNS, rows))
}

/// Every point with each of its topics.
fn of_points<'a>(report: &RunReport<'a>) -> impl Iterator<Item = (&'a PointResult, &'a Figures)> {
    report.points.iter().flat_map(|point| point.figures.iter().map(move |figures| (point, figures)))
}

/// What the documents say of a figure, if that is one number.
fn documented(figure: &Figure) -> Option<f64> {
    claim(figure.claim?)?.number()
}

/// A table a topic: a row per figure, a column per point. `None` if no point has figures. No line is wider than a
/// hundred characters; many points take several tables.
pub fn figures_tables(report: &RunReport<'_>) -> Option<String> {
    let mut topics: Vec<&str> = Vec::new();
    of_points(report).for_each(|(_, figures)| {
        if !topics.contains(&figures.topic) {
            topics.push(figures.topic);
        }
    });
    let tables = topics.iter().flat_map(|&topic| {
        let of_topic: Vec<_> = of_points(report).filter(|(_, figures)| figures.topic == topic).collect();
        let parts = of_topic.chunks(points_per_table(&of_topic)).map(|points| part(report.seed, topic, points));
        parts.collect::<Vec<_>>()
    });
    let tables: Vec<_> = tables.collect();
    (!tables.is_empty()).then(|| tables.join("\n"))
}

/// The widest that the name of a figure may be, in characters, before it is wrapped.
const NAME_WIDTH: usize = 36;
/// A number in three digits, or a size.
const NUMBER_WIDTH: usize = 9;

/// How many of `points` fit beside each other, at least one.
fn points_per_table(points: &[(&PointResult, &Figures)]) -> usize {
    const GAP: usize = 2;
    let rows = || points.iter().flat_map(|(_, figures)| &figures.rows);
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let name = longest(&mut rows().map(|row| name_of(row).len())).min(NAME_WIDTH);
    let unit = longest(&mut rows().map(|row| row.unit.len()));
    let label = longest(&mut points.iter().map(|(point, _)| point.approach.len())).max(NUMBER_WIDTH);
    let documented = NUMBER_WIDTH + GAP;
    let most = (columns().saturating_sub(name + GAP + unit + documented) / (label + GAP)).max(1);
    // As many tables as that takes, all about as wide.
    points.len().div_ceil(points.len().div_ceil(most))
}

fn name_of(figure: &Figure) -> String {
    format!("{} {}", figure.subject, figure.name)
}

/// The table of `topic` for some `points`.
fn part(seed: u64, topic: &str, points: &[(&PointResult, &Figures)]) -> String {
    let mut keys: Vec<&Figure> = Vec::new();
    for row in points.iter().flat_map(|(_, figures)| &figures.rows) {
        if !keys.iter().any(|key| is_same(key, row)) {
            keys.push(row);
        }
    }
    let is_claimed = points.iter().flat_map(|(_, figures)| &figures.rows).any(|row| documented(row).is_some());
    let columns = points.iter().map(|(point, _)| format!("{}\n{}", point.approach, size(point.nodes())));
    let mut header: Vec<String> = ["figure", "unit"].map(str::to_owned).into_iter().chain(columns).collect();
    header.extend(is_claimed.then(|| "doc.".to_owned()));
    let rows = keys.iter().map(|key| {
        let mut cells = vec![name_of(key), key.unit.to_owned()];
        let of_point = points.iter().map(|(_, figures)| figures.rows.iter().find(|row| is_same(key, row)));
        let found: Vec<_> = of_point.collect();
        cells.extend(found.iter().map(|row| row.and_then(|row| row.value).map_or(String::new(), plain)));
        if is_claimed {
            cells.push(found.iter().flatten().find_map(|row| documented(row)).map_or(String::new(), plain));
        }
        cells
    });
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    format!("{} (seed {seed})\n\n{}", capitalised(topic), table_with(&header, &[0, 1], NAME_WIDTH as u16, rows))
}

fn is_same(row: &Figure, other: &Figure) -> bool {
    (row.subject, row.name, row.unit) == (other.subject, other.name, other.unit)
}

fn capitalised(topic: &str) -> String {
    let mut letters = topic.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::table::WIDTH;
    use super::*;
    use crate::metrics::Curve;
    use crate::report::sample;

    fn point(approach: &str, full: u32, hops: f64, more: bool) -> PointResult {
        let mut figures = Figures::new("lookups");
        figures.add("node", "hops-mean", "1", hops);
        figures.add("node", "delay-p99", "s", None);
        figures.claimed("QN-53");
        if more {
            figures.add("value", "found", "share", 0.5);
            let points = vec![[0.0, 0.0], [1.0, 0.25]];
            figures.curves.push(Curve { subject: "node", name: "coverage", units: ["s", "share"], points });
        }
        PointResult { figures: vec![figures], ..sample::flat(approach, full, 5) }
    }

    #[test]
    fn a_figure_is_a_row_and_a_claim_stands_beside_it() {
        let points = [point("kademlia", 2, 1.5, true)];
        let csv = String::from_utf8(figures_csv(&sample::report(&points)).unwrap()).unwrap();
        let rows: Vec<_> = csv.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "kademlia,2,event,lookups,node,hops-mean,1,1.5,,",
                "kademlia,2,event,lookups,node,delay-p99,s,,QN-53,5",
                "kademlia,2,event,lookups,value,found,share,0.5,,",
            ]
        );
        let curves = String::from_utf8(curves_csv(&sample::report(&points)).unwrap()).unwrap();
        assert_eq!(curves.lines().nth(2), Some("kademlia,2,lookups,node,coverage,s,1,share,0.25"));
        assert_eq!(curves_csv(&sample::report(&[point("kademlia", 2, 1.5, false)])), None);
        let none = [sample::flat("ping", 2, 5)];
        assert_eq!((figures_csv(&sample::report(&none)), figures_tables(&sample::report(&none))), (None, None));
    }

    #[test]
    fn points_stand_beside_each_other_and_many_take_several_tables() {
        let points: Vec<_> = (2..10).map(|nodes| point("kademlia", nodes, f64::from(nodes), nodes == 3)).collect();
        let text = figures_tables(&sample::report(&points)).unwrap();
        assert_eq!(text.matches("Lookups (seed 7)").count(), 2);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("doc.") && text.contains("5.00"), "{text}");
        let hops: Vec<_> = text.lines().find(|line| line.contains("hops")).unwrap().split_whitespace().collect();
        assert_eq!(hops[..5], ["node", "hops-mean", "1", "2.00", "3.00"], "{text}");
    }
}
