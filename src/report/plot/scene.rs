//! A picture as a list of marks, and its bytes: SVG, the same on every machine, or PNG.
//!
//! Marks stand on whole units, of which a picture is 1280 wide; text has 36 of them, so that at half the width of an A4
//! page (8.5 cm) it is 6.8 points high. plotters paints the marks, on SVG or on pixels. Tooltips are `<title>` elements
//! on transparent circles over the marks.
//!
//! PNG is painted by plotters' own pixels and encoded by the crate `png`: with the font reader `ab_glyph` that is a tree
//! of a dozen crates, in Rust alone, where resvg would take three times as many. The font is a subset of DejaVu Sans in
//! this folder. An SVG has the viewer's sans-serif; widths are measured with DejaVu Sans, which is wider than most.

use std::sync::Once;

use plotters::prelude::{
    BitMapBackend, Color, DrawingBackend, FontTransform, IntoFont, RGBColor, SVGBackend, ShapeStyle, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use plotters_backend::DrawingErrorKind;

use super::theme::{Colours, Rgb};

/// Width of a picture, in units.
pub(in crate::report) const WIDTH: i32 = 1280;
/// Height of ordinary text and of titles, in units.
pub(in crate::report) const TEXT: u32 = 36;
pub(in crate::report) const TITLE: u32 = 42;
/// The most tooltips of a picture.
const TIPS_MAX: usize = 2_000;

/// A place, in units from the upper left.
pub(in crate::report) type Pixel = (i32, i32);

/// Something to paint.
#[derive(Debug)]
pub(in crate::report) enum Mark {
    /// A line of a width.
    Path(Vec<Pixel>, u32, Rgb),
    /// A filled shape, with how much it covers, from 0 to 1.
    Polygon(Vec<Pixel>, Rgb, f64),
    /// A circle: filled, or with a line of a width.
    Circle(Pixel, u32, Option<u32>, Rgb),
    /// Words.
    Text(Label),
}

/// Where words stand beside their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Beside {
    /// To its right.
    Right,
    /// To its left.
    Left,
    /// Over it.
    Middle,
    /// Over it, turned to be read from the right.
    Turned,
}

/// Words on a picture; up and down they are in the middle of their place.
#[derive(Debug)]
pub(in crate::report) struct Label {
    pub(in crate::report) words: String,
    pub(in crate::report) at: Pixel,
    pub(in crate::report) size: u32,
    pub(in crate::report) beside: Beside,
    pub(in crate::report) colour: Rgb,
}

impl Label {
    /// Left, top, right, bottom: what the words cover, as far as can be told without the viewer's font.
    #[cfg(test)]
    pub(in crate::report) fn extent(&self) -> [i32; 4] {
        let (width, half) = (width_of(&self.words, self.size), self.size as i32 / 2);
        let (x, y) = self.at;
        match self.beside {
            Beside::Right => [x, y - half, x + width, y + half],
            Beside::Left => [x - width, y - half, x, y + half],
            Beside::Middle => [x - width / 2, y - half, x + width / 2, y + half],
            Beside::Turned => [x - half, y - width / 2, x + half, y + width / 2],
        }
    }
}

/// A picture.
#[derive(Debug)]
pub(in crate::report) struct Scene {
    pub(in crate::report) height: i32,
    /// What is shown, for those who hear it.
    pub(in crate::report) title: String,
    pub(in crate::report) marks: Vec<Mark>,
    tips: Vec<(Pixel, u32, String)>,
}

impl Scene {
    pub(in crate::report) fn new(title: &str) -> Scene {
        Scene { height: 0, title: title.to_owned(), marks: Vec::new(), tips: Vec::new() }
    }

    pub(in crate::report) fn text(&mut self, words: &str, at: Pixel, size: u32, beside: Beside, colour: Rgb) {
        self.marks.push(Mark::Text(Label { words: words.to_owned(), at, size, beside, colour }));
    }

    pub(in crate::report) fn path(&mut self, path: Vec<Pixel>, width: u32, colour: Rgb) {
        self.marks.push(Mark::Path(path, width, colour));
    }

    /// What is said where the pointer is within `radius` of `at`; later ones lie on top.
    pub(in crate::report) fn tip(&mut self, at: Pixel, radius: u32, words: String) {
        if self.tips.len() < TIPS_MAX {
            self.tips.push((at, radius, words));
        }
    }

    /// Paints all marks, on pixels or not.
    fn paint<B: DrawingBackend>(
        &self,
        backend: &mut B,
        colours: &Colours,
        is_pixels: bool,
    ) -> Result<(), DrawingErrorKind<B::ErrorType>> {
        backend.draw_rect((0, 0), (WIDTH, self.height), &filled(colours.paper, 1.0), true)?;
        for mark in &self.marks {
            match mark {
                Mark::Path(path, width, colour) if is_pixels => {
                    // plotters fills the outline of a path as one shape, and leaves out what that covers twice.
                    for pair in path.windows(2) {
                        backend.draw_path(pair.iter().copied(), &stroke(*colour, *width))?;
                    }
                    for corner in path.iter().skip(1).take(path.len().saturating_sub(2)) {
                        backend.draw_circle(*corner, *width / 2, &filled(*colour, 1.0), true)?;
                    }
                }
                Mark::Path(path, width, colour) => {
                    backend.draw_path(path.iter().copied(), &stroke(*colour, *width))?;
                }
                Mark::Polygon(corners, colour, cover) => {
                    backend.fill_polygon(corners.iter().copied(), &filled(*colour, *cover))?;
                }
                Mark::Circle(at, radius, None, colour) => {
                    backend.draw_circle(*at, *radius, &filled(*colour, 1.0), true)?;
                }
                Mark::Circle(at, radius, Some(width), colour) => {
                    backend.draw_circle(*at, *radius, &stroke(*colour, *width), false)?;
                }
                Mark::Text(label) => {
                    let by = if is_pixels { (label.size * LOWER / 100) as i32 } else { 0 };
                    let (x, y) = label.at;
                    let at = if label.beside == Beside::Turned { (x + by, y) } else { (x, y + by) };
                    backend.draw_text(&label.words, &style(label), at)?;
                }
            }
        }
        backend.present()
    }

    /// The picture as SVG, with its title and tooltips.
    pub(in crate::report) fn svg(&self, colours: &Colours) -> Vec<u8> {
        let mut svg = String::new();
        self.paint(&mut SVGBackend::with_string(&mut svg, (WIDTH as u32, self.height as u32)), colours, false)
            .expect("drawing into memory does not fail");
        let mut tips = String::new();
        for ((x, y), radius, words) in &self.tips {
            let words = escaped(words);
            tips += &format!(
                "<circle class=\"tip\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"transparent\"><title>{words}</title></circle>\n"
            );
        }
        let body = svg.find('>').map_or(0, |at| at + 1);
        let head = svg[..body].replacen("<svg ", "<svg role=\"img\" ", 1);
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        format!("{head}\n<title>{}</title>{}{tips}</svg>\n", escaped(&self.title), &svg[body..end]).into_bytes()
    }

    /// The picture as PNG, a pixel a unit.
    pub(in crate::report) fn png(&self, colours: &Colours) -> Vec<u8> {
        const IN_MEMORY: &str = "drawing into memory does not fail";
        have_font();
        let (width, height) = (WIDTH as u32, self.height as u32);
        let mut pixels = vec![0; width as usize * height as usize * 3];
        self.paint(&mut BitMapBackend::with_buffer(&mut pixels, (width, height)), colours, true).expect(IN_MEMORY);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect(IN_MEMORY);
        writer.write_image_data(&pixels).expect(IN_MEMORY);
        writer.finish().expect(IN_MEMORY);
        bytes
    }
}

const fn rgb((red, green, blue): Rgb) -> RGBColor {
    RGBColor(red, green, blue)
}

fn filled(colour: Rgb, cover: f64) -> ShapeStyle {
    rgb(colour).mix(cover).filled()
}

fn stroke(colour: Rgb, width: u32) -> ShapeStyle {
    rgb(colour).stroke_width(width)
}

const FAMILY: &str = "sans-serif";
static FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

/// Makes the font known to plotters, once.
fn have_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let known = register_font(FAMILY, FontStyle::Normal, FONT);
        assert!(known.is_ok(), "the font of this program is a font");
    });
}

/// plotters takes the middle of a line for that of its letters, which on pixels is this much too high, in hundredths of
/// their size.
const LOWER: u32 = 25;

/// plotters divides sizes by this to get those of letters.
const LETTERS: f64 = 1.24;

fn style(label: &Label) -> TextStyle<'static> {
    let mut style = TextStyle::from((FAMILY, f64::from(label.size) * LETTERS));
    style.color = rgb(label.colour).to_backend_color();
    let across = match label.beside {
        Beside::Right => HPos::Left,
        Beside::Left => HPos::Right,
        Beside::Middle | Beside::Turned => HPos::Center,
    };
    let style = style.pos(Pos::new(across, VPos::Center));
    if label.beside == Beside::Turned { style.transform(FontTransform::Rotate270) } else { style }
}

/// How wide `words` are in letters of `size`, in units.
pub(in crate::report) fn width_of(words: &str, size: u32) -> i32 {
    have_font();
    let font = (FAMILY, f64::from(size) * LETTERS).into_font();
    font.box_size(words).map_or(0, |(width, _)| width as i32)
}

/// `words`, or its beginning and an ellipsis where it is wider than `width_max`.
pub(in crate::report) fn cut(words: &str, size: u32, width_max: i32) -> String {
    if width_of(words, size) <= width_max {
        return words.to_owned();
    }
    let mut kept: Vec<char> = words.chars().take(200).collect();
    while !kept.is_empty() {
        kept.pop();
        let shorter: String = kept.iter().chain(&['…']).collect();
        if width_of(&shorter, size) <= width_max {
            return shorter;
        }
    }
    "…".to_owned()
}

/// `words` in at most `lines_max` lines that are at most `width_max` wide; what does not fit is cut.
pub(in crate::report) fn wrap(words: &str, size: u32, width_max: i32, lines_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if width_of(&format!("{line} {word}"), size) <= width_max => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > lines_max {
        let rest = lines.split_off(lines_max.saturating_sub(1)).join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| cut(line, size, width_max)).collect()
}

/// `words` as text of XML.
pub(in crate::report) fn escaped(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            '>' => text += "&gt;",
            '"' => text += "&quot;",
            '\'' => text += "&#39;",
            letter => text.push(letter),
        }
    }
    text
}
