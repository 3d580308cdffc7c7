//! Charts of points and lines: laid out so that no words touch, with a legend below that covers no data.

use super::axis::Axis;
use super::scene::{Beside, Mark, Pixel, Scene, TEXT, TITLE, WIDTH, cut, width_of, wrap};
use super::theme::{Colours, Rgb, Theme};

/// The most series of a chart; what more there is, is told.
pub(in crate::report) const SERIES_MAX: usize = 24;
/// The most points of a line with markers; lines with more have eight.
const MARKED_MAX: usize = 12;
/// Height of the part with the data, in units.
const PLOT: i32 = 640;
const LINE: i32 = 48;
const LINE_WIDTH: u32 = 5;
const GRID_WIDTH: u32 = 2;
const RADIUS: i32 = 11;
const HOLLOW_RADIUS: i32 = 17;
const HOLLOW_WIDTH: u32 = 5;
/// Length of the sample of a line in the legend.
const SAMPLE: i32 = 90;
const MARGIN: i32 = 24;
/// Width of the text of ticks that are names, before it is cut.
const NAME_LINES_MAX: usize = 3;

/// A point with what is said where the pointer is on it.
#[derive(Clone, Debug)]
pub(in crate::report) struct Point {
    pub(in crate::report) x: f64,
    pub(in crate::report) y: f64,
    /// From where to where the value may lie, or goes: a whisker, or a band where there is a line.
    pub(in crate::report) spread: Option<(f64, f64)>,
    pub(in crate::report) tip: String,
}

/// Points of one colour, marker and dash.
#[derive(Debug)]
pub(in crate::report) struct Series {
    pub(in crate::report) name: String,
    pub(in crate::report) look: usize,
    /// Whether a line joins the points.
    pub(in crate::report) is_line: bool,
    /// Whether the spread is a band around the line.
    pub(in crate::report) has_band: bool,
    /// By x.
    pub(in crate::report) points: Vec<Point>,
    /// Points with hollow markers, which no line joins.
    pub(in crate::report) hollow: Vec<Point>,
}

/// A short line across that a value is held against.
#[derive(Debug)]
pub(in crate::report) struct Bar {
    pub(in crate::report) from: f64,
    pub(in crate::report) to: f64,
    pub(in crate::report) y: f64,
    pub(in crate::report) tip: String,
}

/// A chart.
#[derive(Debug)]
pub(in crate::report) struct Chart {
    /// What is shown.
    pub(in crate::report) title: String,
    pub(in crate::report) x: Axis,
    pub(in crate::report) y: Axis,
    pub(in crate::report) series: Vec<Series>,
    pub(in crate::report) bars: Vec<Bar>,
    /// What hollow markers, bars and bands mean, for the legend.
    pub(in crate::report) hollow: &'static str,
    pub(in crate::report) barred: &'static str,
    /// What has to be said besides, below the legend.
    pub(in crate::report) notes: Vec<String>,
}

/// Where the data stand: left, top, right, bottom.
#[derive(Clone, Copy, Debug)]
struct Frame {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
}

impl Frame {
    fn x(&self, share: f64) -> i32 {
        self.left + libm::round(share * f64::from(self.right - self.left)) as i32
    }

    fn y(&self, share: f64) -> i32 {
        self.bottom - libm::round(share * f64::from(self.bottom - self.top)) as i32
    }

    /// Where a point stands; `None` beside the axes.
    fn at(&self, chart: &Chart, x: f64, y: f64) -> Option<Pixel> {
        let on = |share: &f64| (-1e-6..=1.000001).contains(share);
        let x = chart.x.share(x).filter(on)?;
        let y = chart.y.share(y).filter(on)?;
        Some((self.x(x), self.y(y)))
    }

    /// The height of `y`, or of the end of the axis that is nearer.
    fn height(&self, chart: &Chart, y: f64) -> i32 {
        self.y(chart.y.share(y).unwrap_or(0.0).clamp(0.0, 1.0))
    }
}

impl Chart {
    /// The chart as SVG.
    pub(in crate::report) fn svg(&self, theme: Theme) -> Vec<u8> {
        self.scene(theme.colours()).svg(theme.colours())
    }

    /// The chart in `colours`.
    pub(in crate::report) fn scene(&self, colours: &Colours) -> Scene {
        let mut scene = Scene::new(&self.title);
        let top = title(&mut scene, &self.title, colours);
        let widest = self.y.ticks.iter().map(|(_, name)| width_of(name, TEXT)).max().unwrap_or(0);
        let frame =
            Frame { left: MARGIN + TEXT as i32 + 20 + widest + 14, top, right: WIDTH - 2 * MARGIN, bottom: top + PLOT };
        self.grid(&mut scene, frame, colours);
        let names = self.x_names(&mut scene, frame, colours);
        scene.text(
            &self.y.label,
            (MARGIN + TEXT as i32 / 2, (frame.top + frame.bottom) / 2),
            TEXT,
            Beside::Turned,
            colours.ink,
        );
        let label = cut(&self.x.label, TEXT, frame.right - frame.left);
        scene.text(&label, ((frame.left + frame.right) / 2, names + 12), TEXT, Beside::Middle, colours.ink);
        self.data(&mut scene, frame, colours);
        let below = self.legend(&mut scene, names + 12 + LINE + 6, colours);
        notes(&mut scene, &self.notes, below, colours);
        scene
    }

    fn grid(&self, scene: &mut Scene, frame: Frame, colours: &Colours) {
        let inside = |share: f64| (-1e-6..=1.000001).contains(&share);
        for (tick, name) in &self.y.ticks {
            let share = self.y.share_of_tick(*tick);
            if !inside(share) {
                continue;
            }
            let y = frame.y(share);
            scene.path(vec![(frame.left, y), (frame.right, y)], GRID_WIDTH, colours.grid);
            if !name.is_empty() {
                scene.text(name, (frame.left - 14, y), TEXT, Beside::Left, colours.ink);
            }
        }
        for (tick, _) in &self.x.ticks {
            let share = self.x.share_of_tick(*tick);
            if inside(share) {
                let x = frame.x(share);
                scene.path(vec![(x, frame.top), (x, frame.bottom)], GRID_WIDTH, colours.grid);
            }
        }
        let corner = vec![(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)];
        scene.path(corner, 3, colours.ink);
    }

    /// The names of ticks below the axis, of which those are left out that have no room. Returns where they end.
    fn x_names(&self, scene: &mut Scene, frame: Frame, colours: &Colours) -> i32 {
        let ticks: Vec<_> = self.x.ticks.iter().filter(|(_, name)| !name.is_empty()).collect();
        let apart = (frame.right - frame.left) / ticks.len().max(1) as i32 - 16;
        let (mut taken, mut lines_most) = (i32::MIN, 1);
        for (tick, name) in ticks {
            let x = frame.x(self.x.share_of_tick(*tick));
            let lines = if name.contains(' ') { wrap(name, TEXT, apart, NAME_LINES_MAX) } else { vec![name.clone()] };
            let lines: Vec<String> = lines.iter().map(|line| cut(line, TEXT, apart.max(120))).collect();
            let width = lines.iter().map(|line| width_of(line, TEXT)).max().unwrap_or(0);
            // The outermost names stay on the picture.
            let x = x.clamp(width / 2 + 4, WIDTH - width / 2 - 4);
            if x - width / 2 < taken {
                continue;
            }
            taken = x + width / 2 + 8;
            for (number, line) in lines.iter().enumerate() {
                let y = frame.bottom + 32 + number as i32 * LINE;
                scene.text(line, (x, y), TEXT, Beside::Middle, colours.ink);
            }
            lines_most = lines_most.max(lines.len());
        }
        for (middle, name) in &self.x.groups {
            let at = (frame.x(self.x.share_of_tick(*middle)), frame.bottom + 32 + LINE * lines_most as i32);
            scene.text(name, at, TEXT, Beside::Middle, colours.ink);
        }
        lines_most += usize::from(!self.x.groups.is_empty());
        frame.bottom + 32 + LINE * lines_most as i32
    }

    fn data(&self, scene: &mut Scene, frame: Frame, colours: &Colours) {
        for bar in &self.bars {
            let ends = (self.x.share(bar.from), self.x.share(bar.to), self.y.share(bar.y));
            let (Some(from), Some(to), Some(y)) = ends else { continue };
            if (0.0..=1.0).contains(&y) {
                let (from, to, y) = (frame.x(from.clamp(0.0, 1.0)), frame.x(to.clamp(0.0, 1.0)), frame.y(y));
                scene.path(vec![(from, y), (to, y)], LINE_WIDTH + 2, colours.ink);
                scene.tip(((from + to) / 2, y), 20, bar.tip.clone());
            }
        }
        for series in self.series.iter().filter(|series| series.has_band) {
            self.band(scene, frame, series, look(colours, series.look).colour);
        }
        for series in &self.series {
            let look = look(colours, series.look);
            if series.is_line {
                let mut path: Vec<Pixel> =
                    series.points.iter().filter_map(|point| frame.at(self, point.x, point.y)).collect();
                path.dedup();
                for dash in dashes(&path, look.dash) {
                    scene.path(dash, LINE_WIDTH, look.colour);
                }
            }
        }
        for series in &self.series {
            self.markers(scene, frame, series, look(colours, series.look));
        }
    }

    fn band(&self, scene: &mut Scene, frame: Frame, series: &Series, colour: Rgb) {
        let edge = |high: bool| {
            series.points.iter().filter_map(move |point| {
                let (low, top) = point.spread?;
                let (x, _) = frame.at(self, point.x, point.y)?;
                Some((x, frame.height(self, if high { top } else { low })))
            })
        };
        let mut corners: Vec<Pixel> = edge(true).collect();
        let mut low: Vec<Pixel> = edge(false).collect();
        if corners.len() < 2 {
            return;
        }
        low.reverse();
        corners.extend(low);
        scene.marks.push(Mark::Polygon(corners, colour, 0.22));
    }

    fn markers(&self, scene: &mut Scene, frame: Frame, series: &Series, look: Look) {
        let every = if series.points.len() <= MARKED_MAX { 1 } else { series.points.len() / 8 };
        for (index, point) in series.points.iter().enumerate() {
            let Some(at) = frame.at(self, point.x, point.y) else { continue };
            // Lines that lie on each other have their markers in different places.
            let is_marked = every == 1 || index % every == (series.look * every / 5) % every;
            if is_marked {
                if let (Some((low, high)), false) = (point.spread, series.has_band) {
                    let (low, high) = (frame.height(self, low), frame.height(self, high));
                    scene.path(vec![(at.0, low), (at.0, high)], 3, look.colour);
                    for y in [low, high] {
                        scene.path(vec![(at.0 - 9, y), (at.0 + 9, y)], 3, look.colour);
                    }
                }
                scene.marks.push(look.marker.filled(at, look.colour));
            }
            if is_marked || index % (every / 4).max(1) == 0 {
                scene.tip(at, RADIUS as u32 + 8, point.tip.clone());
            }
        }
        for point in &series.hollow {
            if let Some(at) = frame.at(self, point.x, point.y) {
                scene.marks.push(look.marker.hollow(at, look.colour));
                scene.tip(at, HOLLOW_RADIUS as u32 + 6, point.tip.clone());
            }
        }
    }

    /// Entries in as many columns as fit. Returns where they end.
    fn legend(&self, scene: &mut Scene, top: i32, colours: &Colours) -> i32 {
        let has_hollow = self.series.iter().any(|series| !series.hollow.is_empty());
        let mut names: Vec<String> = self.series.iter().map(|series| series.name.clone()).collect();
        names.extend(has_hollow.then(|| self.hollow.to_owned()));
        names.extend((!self.bars.is_empty()).then(|| self.barred.to_owned()));
        let room = WIDTH - 2 * MARGIN;
        let names: Vec<String> = names.iter().map(|name| cut(name, TEXT, room - SAMPLE - 20)).collect();
        let widest = names.iter().map(|name| width_of(name, TEXT)).max().unwrap_or(0);
        let column = SAMPLE + 20 + widest + 32;
        let columns = ((room + 32) / column).max(1).min(names.len().max(1) as i32);
        let rows = (names.len() as i32 + columns - 1) / columns;
        for (index, name) in names.iter().enumerate() {
            let (row, at) = (index as i32 % rows, index as i32 / rows);
            let (x, y) = (MARGIN + at * column, top + row * LINE);
            let middle = (x + SAMPLE / 2, y);
            scene.text(name, (x + SAMPLE + 16, y), TEXT, Beside::Right, colours.ink);
            match self.series.get(index) {
                Some(series) => {
                    let look = look(colours, series.look);
                    if series.is_line && !series.points.is_empty() {
                        for dash in dashes(&[(x, y), (x + SAMPLE, y)], look.dash) {
                            scene.path(dash, LINE_WIDTH, look.colour);
                        }
                    }
                    if series.points.is_empty() {
                        scene.marks.push(look.marker.hollow(middle, look.colour));
                    } else {
                        scene.marks.push(look.marker.filled(middle, look.colour));
                    }
                }
                None if has_hollow && index == self.series.len() => {
                    scene.marks.push(Marker::Circle.hollow(middle, colours.ink));
                }
                None => scene.path(vec![(x, y), (x + SAMPLE, y)], LINE_WIDTH + 2, colours.ink),
            }
        }
        top + rows * LINE
    }
}

/// Writes the title, in as many lines as it takes. Returns where they end.
pub(in crate::report) fn title(scene: &mut Scene, words: &str, colours: &Colours) -> i32 {
    let room = WIDTH - 2 * MARGIN;
    let lines = match words.rsplit_once(" (") {
        // What stands in brackets stays together.
        Some((first, rest)) if width_of(words, TITLE) > room => {
            vec![cut(first, TITLE, room), cut(&format!("({rest}"), TITLE, room)]
        }
        _ => vec![cut(words, TITLE, room)],
    };
    for (number, line) in lines.iter().enumerate() {
        scene.text(line, (WIDTH / 2, 40 + number as i32 * 52), TITLE, Beside::Middle, colours.ink);
    }
    40 + lines.len() as i32 * 52
}

/// Writes notes from `top` on, and ends the picture below them.
pub(in crate::report) fn notes(scene: &mut Scene, notes: &[String], top: i32, colours: &Colours) {
    const SIZE: u32 = 30;
    let mut y = top;
    for line in notes.iter().flat_map(|note| wrap(note, SIZE, WIDTH - 2 * MARGIN, 4)) {
        scene.text(&line, (MARGIN, y), SIZE, Beside::Right, colours.ink);
        y += 40;
    }
    scene.height = y;
}

/// How a series is told from the others, without colour as well.
#[derive(Clone, Copy, Debug)]
struct Look {
    colour: Rgb,
    marker: Marker,
    dash: &'static [i32],
}

/// Colours, markers and dashes start anew at different places, so 60 series differ.
fn look(colours: &Colours, index: usize) -> Look {
    Look {
        colour: colours.series[index % colours.series.len()],
        marker: MARKERS[index % MARKERS.len()],
        dash: DASHES[index % DASHES.len()],
    }
}

/// Lengths of dashes and of gaps; none is a whole line.
const DASHES: [&[i32]; 4] = [&[], &[30, 14], &[9, 12], &[34, 12, 9, 12]];

#[derive(Clone, Copy, Debug)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
}

const MARKERS: [Marker; 5] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::TriangleDown];

impl Marker {
    fn filled(self, at: Pixel, colour: Rgb) -> Mark {
        match self.corners(at, RADIUS) {
            None => Mark::Circle(at, RADIUS as u32, None, colour),
            Some(corners) => Mark::Polygon(corners, colour, 1.0),
        }
    }

    fn hollow(self, at: Pixel, colour: Rgb) -> Mark {
        match self.corners(at, HOLLOW_RADIUS) {
            None => Mark::Circle(at, HOLLOW_RADIUS as u32, Some(HOLLOW_WIDTH), colour),
            // Goes over the first side again, so that the last corner is as sharp as the others.
            Some(corners) => Mark::Path([&corners[..], &corners[..2]].concat(), HOLLOW_WIDTH, colour),
        }
    }

    /// `None` for a circle.
    fn corners(self, (x, y): Pixel, radius: i32) -> Option<Vec<Pixel>> {
        // A triangle or a diamond of this radius looks as large as a circle.
        let long = radius * 5 / 4;
        match self {
            Marker::Circle => None,
            Marker::Square => Some(vec![
                (x - radius, y - radius),
                (x + radius, y - radius),
                (x + radius, y + radius),
                (x - radius, y + radius),
            ]),
            Marker::Triangle => Some(vec![(x, y - long), (x + long, y + radius), (x - long, y + radius)]),
            Marker::TriangleDown => Some(vec![(x, y + long), (x + long, y - radius), (x - long, y - radius)]),
            Marker::Diamond => Some(vec![(x, y - long), (x + long, y), (x, y + long), (x - long, y)]),
        }
    }
}

/// The parts of `path` that are drawn with `dash`.
fn dashes(path: &[Pixel], dash: &[i32]) -> Vec<Vec<Pixel>> {
    if dash.is_empty() || path.len() < 2 {
        return if path.len() < 2 { Vec::new() } else { vec![path.to_vec()] };
    }
    let round = |x: f64, y: f64| (libm::round(x) as i32, libm::round(y) as i32);
    let (mut parts, mut part) = (Vec::new(), vec![path[0]]);
    let (mut step, mut left) = (0, f64::from(dash[0]));
    for pair in path.windows(2) {
        let [(x, y), (to_x, to_y)] = [pair[0], pair[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
        let length = libm::hypot(to_x - x, to_y - y);
        let mut gone = 0.0;
        while length - gone > left {
            gone += left;
            let at = round(x + (to_x - x) * gone / length, y + (to_y - y) * gone / length);
            if step % 2 == 0 {
                part.push(at);
                parts.push(std::mem::take(&mut part));
            } else {
                part = vec![at];
            }
            step = (step + 1) % dash.len();
            left = f64::from(dash[step]);
        }
        left -= length - gone;
        if step % 2 == 0 {
            part.push(pair[1]);
        }
    }
    if part.len() > 1 {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_their_share_of_a_line() {
        let line = [(0, 0), (300, 0), (300, 1_000)];
        for dash in DASHES {
            let parts = dashes(&line, dash);
            let length = |part: &Vec<Pixel>| {
                part.windows(2).map(|pair| (pair[1].0 - pair[0].0) + (pair[1].1 - pair[0].1)).sum::<i32>()
            };
            let drawn: i32 = parts.iter().map(length).sum();
            let share = if dash.is_empty() {
                1.0
            } else {
                let on: i32 = dash.iter().step_by(2).sum();
                f64::from(on) / f64::from(dash.iter().sum::<i32>())
            };
            assert!((f64::from(drawn) / 1300.0 - share).abs() < 0.05, "{dash:?}: {drawn}");
            assert_eq!(parts[0][0], (0, 0));
        }
        assert!(dashes(&line[..1], &[]).is_empty());
    }
}
