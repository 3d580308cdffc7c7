//! Charts of claims: how quantities grow, and how far measured numbers are from documented ones.

use std::io;

use plotters::prelude::{
    Circle, Color, DrawingAreaErrorKind, IntoDrawingArea, PathElement, RGBColor, SVGBackend, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::number::{count, power_of_ten};
use super::super::plot::{Axis, Chart, Point, Series, Theme};
use super::Answer;
use crate::claims::verdict::{Part, Verdict};

/// Most lines of a chart.
const LINES_MAX: usize = 12;

/// Total quantities against the number of nodes, with the law that fits each; `None` if nothing was fitted.
pub fn growth_svg(answers: &[Answer]) -> Option<Vec<u8>> {
    let parts = answers.iter().flat_map(|answer| {
        let parts = answer.parts.as_deref().unwrap_or_default();
        parts.iter().filter(|part| part.law.is_some()).map(move |part| (answer, part))
    });
    // The first quantity of a claim is the one that it speaks of.
    let mut firsts: Vec<(&Answer, &Part)> = Vec::new();
    for (answer, part) in parts {
        if firsts.last().is_none_or(|(other, _)| other.claim.id != answer.claim.id) && firsts.len() < LINES_MAX {
            firsts.push((answer, part));
        }
    }
    let label = |(answer, part): &(&Answer, &Part)| {
        format!("{} {}", answer.claim.id, part.law.map_or(String::new(), |law| law.to_string()))
    };
    let labels: Vec<String> = firsts.iter().map(label).collect();
    let series: Vec<Series> = firsts
        .iter()
        .zip(labels)
        .enumerate()
        .map(|(look, ((_, part), name))| {
            let point = |&(x, y): &(f64, f64)| {
                let tip = format!("{name}: {} at {} nodes", count(y), count(x));
                Point { x, y, spread: None, tip }
            };
            let points = part.points.iter().filter(|(_, y)| *y > 0.0).map(point).collect();
            Series { name: name.clone(), look, is_line: true, has_band: false, points, hollow: Vec::new() }
        })
        .collect();
    if series.is_empty() {
        return None;
    }
    let places = || series.iter().flat_map(|series| &series.points);
    let chart = Chart {
        title: "Growth of what claims speak of".to_owned(),
        x: Axis::log("nodes", places().map(|point| point.x)),
        y: Axis::log("the claim's quantity", places().map(|point| point.y)),
        series,
        bars: Vec::new(),
        hollow: "",
        barred: "",
        notes: Vec::new(),
    };
    Some(chart.svg(Theme::Light))
}

/// Width of the chart of ratios, and the height of one of its rows, in pixels.
const WIDTH: u32 = 900;
const ROW: i32 = 20;
const TOP: i32 = 70;
const LEFT: i32 = 330;
const TEXT_SIZE: u32 = 13;
/// Ratios beyond these powers of ten stand at the edge.
const POWERS: (i32, i32) = (-4, 4);

fn colour(verdict: Option<Verdict>) -> RGBColor {
    match verdict {
        Some(Verdict::Holds) => RGBColor(0, 158, 115),
        Some(Verdict::HoldsConditionally) => RGBColor(86, 180, 233),
        Some(Verdict::OffBy(_)) => RGBColor(230, 159, 0),
        Some(Verdict::Contradicted) => RGBColor(213, 94, 0),
        Some(Verdict::NotMeasurable) | None => RGBColor(120, 120, 120),
    }
}

/// A row for each claim that has numbers: measured by documented, in powers of ten. `None` if there are no claims.
pub fn verdicts_svg(answers: &[Answer]) -> Option<Vec<u8>> {
    if answers.is_empty() {
        return None;
    }
    let height = (TOP + ROW * (answers.len() as i32 + 1)) as u32;
    let mut svg = String::new();
    draw(&mut svg, height, answers).expect("drawing into memory does not fail");
    Some(svg.into_bytes())
}

/// Text of `size` pixels.
fn text(size: u32) -> TextStyle<'static> {
    // The backend divides by 1.24.
    TextStyle::from(("sans-serif", f64::from(size) * 1.24)).color(&RGBColor(34, 34, 34))
}

fn draw(svg: &mut String, height: u32, answers: &[Answer]) -> Result<(), DrawingAreaErrorKind<io::Error>> {
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let written = |words: String, at: (i32, i32), place: HPos| {
        root.draw(&Text::new(words, at, text(TEXT_SIZE).pos(Pos::new(place, VPos::Center))))
    };
    written("Measured by documented, and verdicts".to_owned(), (WIDTH as i32 / 2, 18), HPos::Center)?;
    let span = f64::from(WIDTH as i32 - LEFT - 30);
    let x = |power: f64| {
        let (low, high) = (f64::from(POWERS.0), f64::from(POWERS.1));
        LEFT + libm::round((power.clamp(low, high) - low) / (high - low) * span) as i32
    };
    let bottom = height as i32 - ROW / 2;
    for power in POWERS.0..=POWERS.1 {
        let at = x(f64::from(power));
        let grey = if power == 0 { 90 } else { 221 };
        let stroke = RGBColor(grey, grey, grey).stroke_width(1);
        root.draw(&PathElement::new(vec![(at, TOP - 16), (at, bottom)], stroke))?;
        written(power_of_ten(power), (at, TOP - 28), HPos::Center)?;
    }
    for (row, answer) in answers.iter().enumerate() {
        let y = TOP + ROW * row as i32;
        let verdict = answer.verdict();
        root.draw(&Circle::new((16, y), 5, colour(verdict).filled()))?;
        written(format!("{}  {}", answer.claim.id, answer.verdict_text()), (30, y), HPos::Left)?;
        for part in answer.parts.as_deref().unwrap_or_default() {
            if let Some(ratio) = part.ratio().filter(|ratio| *ratio > 0.0) {
                let at = (x(libm::log10(ratio)), y);
                root.draw(&Circle::new(at, 5, colour(part.verdict()).filled()))?;
            }
        }
    }
    root.present()
}
