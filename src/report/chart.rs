//! `network-load.svg`: message rate against network size, measured beside documented.
//!
//! Logarithms come from libm and coordinates are whole pixels, so the bytes are the same on every machine.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, PathElement, Polygon, RGBColor,
    SVGBackend, ShapeStyle, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::load::approaches;
use super::number::power_of_ten;
use super::{Comparison, RunReport};
use crate::metrics::PointResult;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (900, 560);
const TITLE_SIZE: u32 = 20;
const TEXT_SIZE: u32 = 16;
/// Estimated width of a character of the legend: the font is the viewer's, so it cannot be measured.
const CHARACTER_WIDTH: usize = 10;
/// Characters of an approach's name in the legend, and of the scenario's in the title, before they are cut.
const APPROACH_LENGTH_MAX: usize = 24;
const SCENARIO_LENGTH_MAX: usize = 48;
/// From one entry of the legend to the next, in pixels; 18 entries fit.
const LEGEND_STEP: i32 = 26;
const LINE_WIDTH: u32 = 2;
/// Pixels from the centre of a marker. A hollow one goes around a measured one in the same place.
const MEASURED_RADIUS: i32 = 6;
const DOCUMENTED_RADIUS: i32 = 9;
const DOCUMENTED_WIDTH: u32 = 3;

/// The palette of Okabe and Ito, which people tell apart whatever colours they see, without its yellow, which is too
/// pale for lines on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const INK: RGBColor = RGBColor(34, 34, 34);
const GRID: RGBColor = RGBColor(221, 221, 221);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;
type Pixel = (i32, i32);

/// A picture of messages per second against the number of nodes, both in powers of ten: a line per approach with a
/// marker at each measured point, and a hollow marker at each documented figure. `None` when fewer than two sizes
/// were measured. Rates of zero have no logarithm and are left out.
pub fn network_load_svg(report: &RunReport<'_>) -> Option<Vec<u8>> {
    let lines = lines(report.points);
    let sizes: BTreeSet<u32> = report.points.iter().filter(|point| is_drawn(point)).map(PointResult::nodes).collect();
    if sizes.len() < 2 {
        return None;
    }
    let title = format!("{}, seed {}", cut(report.scenario, SCENARIO_LENGTH_MAX), report.seed);
    Some(lines_svg(&Axes { title: &title, x: "nodes", y: "messages per second" }, &lines))
}

/// What stands on top and at the axes.
pub(super) struct Axes<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
}

/// A picture of `lines`, both axes in powers of ten.
pub(super) fn lines_svg(axes: &Axes<'_>, lines: &[Line<'_>]) -> Vec<u8> {
    let mut svg = String::new();
    let drawn = draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(), axes, lines);
    drawn.expect("drawing into memory does not fail");
    svg.into_bytes()
}

/// What is drawn of one approach, in powers of ten: nodes and messages per second.
pub(super) struct Line<'a> {
    pub(super) approach: &'a str,
    pub(super) look: Look,
    /// By size.
    pub(super) measured: Vec<(f64, f64)>,
    pub(super) documented: Vec<(f64, f64)>,
}

fn is_drawn(point: &PointResult) -> bool {
    point.messages_per_second() > 0.0
}

fn lines(points: &[PointResult]) -> Vec<Line<'_>> {
    let line = |(index, approach)| {
        let mut own: Vec<_> = points.iter().filter(|point| point.approach == approach && is_drawn(point)).collect();
        own.sort_by_key(|point| point.nodes());
        let place = |point: &PointResult, rate: f64| (libm::log10(f64::from(point.nodes())), libm::log10(rate));
        let measured = own.iter().map(|point| place(point, point.messages_per_second())).collect();
        own.dedup_by_key(|point| point.nodes());
        let documented = own.iter().filter_map(|point| Some(place(point, Comparison::of(point)?.messages_per_s)));
        Line { approach, look: Look::of(index), measured, documented: documented.collect() }
    };
    approaches(points).into_iter().enumerate().map(line).collect()
}

fn draw(root: &Area<'_>, axes: &Axes<'_>, lines: &[Line<'_>]) -> Drawn {
    root.fill(&WHITE)?;
    let middle = (SIZE.0 as i32 / 2, 22);
    root.draw(&Text::new(axes.title.to_owned(), middle, text(TITLE_SIZE).pos(Pos::new(HPos::Center, VPos::Center))))?;

    let labels: Vec<String> = lines.iter().map(|line| cut(line.approach, APPROACH_LENGTH_MAX)).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max("documented".len());
    let (plot, _) = root.margin(44, 12, 14, 0).split_horizontally(SIZE.0 - 88 - (longest * CHARACTER_WIDTH) as u32);
    let places = || lines.iter().flat_map(|line| line.measured.iter().chain(&line.documented));
    let (x, y) = (Decades::around(places().map(|place| place.0)), Decades::around(places().map(|place| place.1)));
    let mut chart = ChartBuilder::on(&plot).x_label_area_size(54).y_label_area_size(78).build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(TEXT_SIZE))
        .axis_desc_style(text(TEXT_SIZE))
        .x_desc(axes.x)
        .y_desc(axes.y)
        .draw()?;

    let pixel = |place: &(f64, f64)| chart.backend_coord(place);
    for line in lines {
        let path: Vec<Pixel> = line.measured.iter().map(pixel).collect();
        root.draw(&PathElement::new(path, line.look.colour.stroke_width(LINE_WIDTH)))?;
    }
    for line in lines {
        line.measured.iter().map(pixel).try_for_each(|at| line.look.measured(root, at))?;
        line.documented.iter().map(pixel).try_for_each(|at| line.look.documented(root, at))?;
    }
    let left = plot.get_pixel_range().0.end + 18;
    legend(root, left, lines, &labels)
}

/// Beside the plot, where it hides nothing.
fn legend(root: &Area<'_>, left: i32, lines: &[Line<'_>], labels: &[String]) -> Drawn {
    let mut y = 60;
    let mut entry = |label: &str| {
        let style = text(TEXT_SIZE).pos(Pos::new(HPos::Left, VPos::Center));
        let drawn = root.draw(&Text::new(label.to_owned(), (left + 42, y), style));
        y += LEGEND_STEP;
        drawn.map(|()| (left + 17, y - LEGEND_STEP))
    };
    for (line, label) in lines.iter().zip(labels) {
        let (x, y) = entry(label)?;
        let stroke = line.look.colour.stroke_width(LINE_WIDTH);
        root.draw(&PathElement::new(vec![(x - 17, y), (x + 17, y)], stroke))?;
        line.look.measured(root, (x, y))?;
    }
    if lines.iter().any(|line| !line.documented.is_empty()) {
        let at = entry("documented")?;
        Look { colour: INK, marker: Marker::Circle }.documented(root, at)?;
    }
    Ok(())
}

/// An axis of powers of ten, with a tick at each whole one.
#[derive(Debug)]
struct Decades(Range<f64>);

impl Decades {
    /// The axis that holds `values`, with room for markers: at least one decade, so that it has two ticks.
    fn around(values: impl Iterator<Item = f64>) -> Decades {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let is_long = high.floor() - low.ceil() >= 1.0;
        let (low, high) = if is_long { (low, high) } else { (low.floor(), high.ceil().max(low.floor() + 1.0)) };
        let room = 0.05 * (high - low);
        Decades(low - room..high + room)
    }

    fn ticks(&self) -> Vec<f64> {
        (self.0.start.ceil() as i32..=self.0.end.floor() as i32).map(f64::from).collect()
    }
}

impl Ranged for Decades {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): Pixel) -> i32 {
        let share = (value - self.0.start) / (self.0.end - self.0.start);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light points are those between ticks.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks() }
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

impl ValueFormatter<f64> for Decades {
    fn format(power: &f64) -> String {
        power_of_ten(power.round() as i32)
    }
}

/// Text of `size` pixels.
pub(super) fn text(size: u32) -> TextStyle<'static> {
    // The backend divides by 1.24.
    TextStyle::from(("sans-serif", f64::from(size) * 1.24)).color(&INK)
}

/// `name`, or its beginning and an ellipsis.
fn cut(name: &str, length_max: usize) -> String {
    if name.chars().count() <= length_max {
        return name.to_owned();
    }
    name.chars().take(length_max - 1).chain(['…']).collect()
}

/// How an approach is told from the others, without colour as well.
#[derive(Clone, Copy)]
pub(super) struct Look {
    colour: RGBColor,
    marker: Marker,
}

#[derive(Clone, Copy)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
}

const MARKERS: [Marker; 5] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::TriangleDown];

impl Look {
    /// Colours and markers start anew at different places, so 35 approaches differ.
    pub(super) fn of(index: usize) -> Look {
        Look { colour: COLOURS[index % COLOURS.len()], marker: MARKERS[index % MARKERS.len()] }
    }

    fn measured(self, area: &Area<'_>, at: Pixel) -> Drawn {
        match self.marker.corners(at, MEASURED_RADIUS) {
            None => area.draw(&Circle::new(at, MEASURED_RADIUS, self.colour.filled())),
            Some(corners) => area.draw(&Polygon::new(corners, self.colour.filled())),
        }
    }

    fn documented(self, area: &Area<'_>, at: Pixel) -> Drawn {
        let stroke: ShapeStyle = self.colour.stroke_width(DOCUMENTED_WIDTH);
        match self.marker.corners(at, DOCUMENTED_RADIUS) {
            None => area.draw(&Circle::new(at, DOCUMENTED_RADIUS, stroke)),
            // Goes over the first side again, so that the last corner is as sharp as the others.
            Some(corners) => area.draw(&PathElement::new([&corners[..], &corners[..2]].concat(), stroke)),
        }
    }
}

impl Marker {
    /// `None` for the circle. Sizes differ a little so that areas look alike.
    fn corners(self, (x, y): Pixel, radius: i32) -> Option<Vec<Pixel>> {
        let r = radius;
        Some(match self {
            Marker::Circle => return None,
            Marker::Square => {
                vec![(x - r + 1, y - r + 1), (x + r - 1, y - r + 1), (x + r - 1, y + r - 1), (x - r + 1, y + r - 1)]
            }
            Marker::Triangle => vec![(x, y - r - 1), (x + r + 1, y + r - 1), (x - r - 1, y + r - 1)],
            Marker::TriangleDown => vec![(x, y + r + 1), (x + r + 1, y - r + 1), (x - r - 1, y - r + 1)],
            Marker::Diamond => vec![(x, y - r - 1), (x + r + 1, y), (x, y + r + 1), (x - r - 1, y)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn svg(points: &[PointResult]) -> String {
        String::from_utf8(network_load_svg(&sample::report(points)).unwrap()).unwrap()
    }

    /// Every approach at two sizes; the documents have figures for the first three at both.
    fn every_approach() -> Vec<PointResult> {
        let names = ["full-mesh", "hierarchical", "gossip", "flat-gossip", "ping"];
        let point = |approach, nodes: u32| sample::flat(approach, nodes, 100 * u64::from(nodes));
        names.into_iter().flat_map(|name| [point(name, 1_000), point(name, 100_000)]).collect()
    }

    /// Hollow markers in the plot and in the legend.
    fn hollow(svg: &str) -> usize {
        let hollow = format!("stroke-width=\"{DOCUMENTED_WIDTH}\"");
        svg.lines().filter(|line| line.contains("fill=\"none\"") && line.contains(&hollow)).count()
    }

    /// Panics unless every tag that is opened is closed, in order.
    fn check_balanced(svg: &str) {
        let mut open = Vec::new();
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("a tag ends");
            assert!(!text.contains('>') && tag.matches('"').count().is_multiple_of(2), "{part}");
            let name = tag.split([' ', '/']).next().unwrap();
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed)),
                None if tag.ends_with('/') => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?} stay open");
    }

    #[test]
    fn every_approach_is_named_and_every_documented_figure_has_a_hollow_marker() {
        let points = every_approach();
        let svg = svg(&points);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        check_balanced(&svg);
        let texts: Vec<&str> = svg.lines().filter(|line| !line.starts_with('<')).collect();
        let words = ["full-mesh", "hierarchical", "gossip", "flat-gossip", "ping", "documented"];
        let axes = ["nodes", "1K", "10K", "100K", "messages per second", "1B", "network-load, seed 7"];
        for text in words.into_iter().chain(axes) {
            assert!(texts.contains(&text), "{text} is missing from {texts:?}");
        }
        let documented = points.iter().filter_map(Comparison::of).count();
        assert_eq!((documented, hollow(&svg)), (6, 6 + 1));
    }

    #[test]
    fn the_same_report_gives_the_same_picture() {
        let points = every_approach();
        let mut reversed = points.clone();
        reversed[..2].reverse();
        assert_eq!(svg(&points), svg(&points));
        assert_eq!(svg(&points), svg(&reversed), "a line goes by size");
    }

    #[test]
    fn text_is_escaped_and_long_names_are_cut() {
        let long = "a".repeat(60);
        let points = [sample::flat("<&\"a'>", 3, 10), sample::flat("<&\"a'>", 5, 10), sample::flat(&long, 5, 10)];
        let mut report = sample::report(&points);
        report.scenario = "</text>";
        let svg = String::from_utf8(network_load_svg(&report).unwrap()).unwrap();
        check_balanced(&svg);
        assert!(svg.contains("&lt;&amp;&quot;a&apos;&gt;") && svg.contains("&lt;/text&gt;, seed 7"), "{svg}");
        assert!(svg.contains(&format!("\n{}…\n", &long[1..APPROACH_LENGTH_MAX])), "{svg}");
        assert_eq!(hollow(&svg), 0, "nothing is documented, and the legend does not say so");
    }

    #[test]
    fn one_size_is_no_picture() {
        assert_eq!(network_load_svg(&sample::report(&[])), None);
        let silent = sample::flat("ping", 2_000, 0);
        let points = [sample::flat("full-mesh", 1_000, 5), sample::flat("ping", 1_000, 5), silent];
        assert_eq!(network_load_svg(&sample::report(&points)), None);
        let points = [sample::flat("full-mesh", 1_000, 5), sample::flat("ping", 2_000, 5)];
        assert!(svg(&points).contains("full-mesh"));
    }

    #[test]
    fn axes_hold_their_values_and_have_ticks_at_whole_powers() {
        let cases: [(&[f64], &[f64]); 4] = [
            (&[3.0, 5.0], &[3.0, 4.0, 5.0]),
            (&[3.2, 3.4], &[3.0, 4.0]),
            (&[2.0], &[2.0, 3.0]),
            (&[-1.5, 0.5], &[-1.0, 0.0]),
        ];
        for (values, expected) in cases {
            let axis = Decades::around(values.iter().copied());
            assert!(values.iter().all(|value| axis.0.contains(value)), "{axis:?}");
            let ticks = axis.ticks();
            assert!(expected.iter().all(|tick| ticks.contains(tick)), "{values:?}: {ticks:?}");
            assert!(ticks.len() <= expected.len(), "{values:?}: {ticks:?}");
        }
    }
}
