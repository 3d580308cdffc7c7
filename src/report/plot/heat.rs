//! Heat maps: a number for each pair of two axes, by colour and, where it fits, in digits.

use super::super::number::count;
use super::chart::{notes, title};
use super::scene::{Beside, Mark, Scene, TEXT, WIDTH, cut, width_of};
use super::theme::{Colours, heat, ink_on};

/// The most values of an axis.
pub(in crate::report) const SIDE_MAX: usize = 40;
const MARGIN: i32 = 24;
const PLOT: i32 = 640;
/// Width of the scale of colours, and in how many steps it is drawn.
const SCALE: i32 = 44;
const STEPS: i32 = 64;

/// A heat map.
#[derive(Debug)]
pub(in crate::report) struct HeatMap {
    pub(in crate::report) title: String,
    pub(in crate::report) x: String,
    pub(in crate::report) y: String,
    /// What the numbers are, with their unit.
    pub(in crate::report) value: String,
    pub(in crate::report) xs: Vec<String>,
    pub(in crate::report) ys: Vec<String>,
    /// By y and x: the number, and what is said of it. `None` where there is none.
    pub(in crate::report) cells: Vec<Vec<Option<(f64, String)>>>,
    pub(in crate::report) notes: Vec<String>,
}

impl HeatMap {
    fn range(&self) -> (f64, f64) {
        let values = self.cells.iter().flatten().flatten().map(|(value, _)| *value);
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    }

    /// The map in `colours`.
    pub(in crate::report) fn scene(&self, colours: &Colours) -> Scene {
        let mut scene = Scene::new(&self.title);
        let top = title(&mut scene, &self.title, colours);
        let (low, high) = self.range();
        let widest = |names: &[String]| names.iter().map(|name| width_of(name, TEXT)).max().unwrap_or(0).min(260);
        let left = MARGIN + TEXT as i32 + 20 + widest(&self.ys) + 14;
        let ends = [count(low), count(high)];
        let right = WIDTH - MARGIN - widest(&ends) - 10 - SCALE - 60;
        let (columns, rows) = (self.xs.len() as i32, self.ys.len() as i32);
        let at = |x: i32, y: i32| (left + (right - left) * x / columns, top + PLOT - PLOT * y / rows);
        for (row, cells) in self.cells.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let ((x, bottom), (end, y)) = (at(column as i32, row as i32), at(column as i32 + 1, row as i32 + 1));
                let middle = ((x + end) / 2, (y + bottom) / 2);
                let Some((value, tip)) = cell else {
                    scene.text("–", middle, TEXT, Beside::Middle, colours.ink);
                    continue;
                };
                let colour = heat(if high > low { (value - low) / (high - low) } else { 0.5 });
                let corners = vec![(x, y), (end, y), (end, bottom), (x, bottom)];
                scene.marks.push(Mark::Polygon(corners, colour, 1.0));
                let words = count(*value);
                if width_of(&words, TEXT) + 12 <= end - x && bottom - y >= TEXT as i32 + 6 {
                    scene.text(&words, middle, TEXT, Beside::Middle, ink_on(colour));
                }
                scene.tip(middle, (end - x).min(bottom - y) as u32 / 2, tip.clone());
            }
        }
        self.names(&mut scene, (left, right, top), colours);
        let x = right + 60;
        for step in 0..STEPS {
            let (y, end) = (top + PLOT - PLOT * (step + 1) / STEPS, top + PLOT - PLOT * step / STEPS);
            // Each step begins below the next one, so that no paper shows between them.
            let y = (y - 2).max(top);
            let corners = vec![(x, y), (x + SCALE, y), (x + SCALE, end), (x, end)];
            scene.marks.push(Mark::Polygon(corners, heat(f64::from(step) / f64::from(STEPS - 1)), 1.0));
        }
        scene.text(&ends[1], (x + SCALE + 10, top + 14), TEXT, Beside::Right, colours.ink);
        scene.text(&ends[0], (x + SCALE + 10, top + PLOT - 14), TEXT, Beside::Right, colours.ink);
        let value = cut(&self.value, TEXT, PLOT);
        scene.text(&value, (x - 28, top + PLOT / 2), TEXT, Beside::Turned, colours.ink);
        notes(&mut scene, &self.notes, top + PLOT + 136, colours);
        scene
    }

    /// The names of columns and rows, as many as there is room for, and those of the axes.
    fn names(&self, scene: &mut Scene, (left, right, top): (i32, i32, i32), colours: &Colours) {
        let (columns, rows) = (self.xs.len() as i32, self.ys.len() as i32);
        let mut taken = i32::MIN;
        for (column, name) in self.xs.iter().enumerate() {
            let name = cut(name, TEXT, 220);
            let x = left + (right - left) * (2 * column as i32 + 1) / (2 * columns);
            let half = width_of(&name, TEXT) / 2;
            if x - half >= taken {
                scene.text(&name, (x, top + PLOT + 32), TEXT, Beside::Middle, colours.ink);
                taken = x + half + 12;
            }
        }
        let mut taken = i32::MAX;
        for (row, name) in self.ys.iter().enumerate() {
            let y = top + PLOT - PLOT * (2 * row as i32 + 1) / (2 * rows);
            if y + TEXT as i32 / 2 <= taken {
                scene.text(&cut(name, TEXT, 260), (left - 14, y), TEXT, Beside::Left, colours.ink);
                taken = y - TEXT as i32 / 2;
            }
        }
        let label = cut(&self.x, TEXT, right - left);
        scene.text(&label, ((left + right) / 2, top + PLOT + 84), TEXT, Beside::Middle, colours.ink);
        let label = cut(&self.y, TEXT, PLOT);
        scene.text(&label, (MARGIN + TEXT as i32 / 2, top + PLOT / 2), TEXT, Beside::Turned, colours.ink);
    }
}
