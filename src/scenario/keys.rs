//! Every key of a scenario: what it may be, what stands for it, what it means.
//!
//! Kinds, bounds and defaults are noted by the reader itself: it is given made-up scenarios with every key that it said
//! it knows, round after round, until it asks for nothing new. Only the meanings are written down apart.

mod meanings;
mod notes;

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Place, nearest};
use super::quantity::span_text;
use super::reader::Reader;
use super::tree::{Entry, Kind, Table, Value};

pub use notes::Shape;
pub(super) use notes::{Note, Notes, Preset, Told, number_shape};

/// Rounds in a row that taught nothing, after which nothing more is expected.
const QUIET_ROUNDS: usize = 200;
/// Keys that choose which of the others there are.
const CHOOSERS: [&str; 2] = ["model", "detector"];

/// What is known of one key, under the words that make it so: of a model, or all if there are none.
type Variants<T> = Vec<(T, BTreeSet<String>)>;

/// A key of a scenario.
#[derive(Clone, Debug)]
pub struct Key {
    /// With dots between tables: `network.latency.min`. Empty for the whole scenario.
    pub path: String,
    /// What it may be, each with the models for which it is that; none of them if it does not depend on a model.
    pub shapes: Vec<(Shape, BTreeSet<String>)>,
    /// How many a list may hold, if it may be one.
    pub list_max: Option<usize>,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    presets: Variants<Preset>,
    /// What stands for it, where the reader cannot tell.
    default: &'static str,
}

impl Key {
    /// Whether a scenario cannot do without it, whatever else it says.
    pub fn is_required(&self) -> bool {
        !self.presets.is_empty() && self.presets.iter().all(|(preset, _)| *preset == Preset::Required)
    }

    /// What stands for it if it is not written, in words; by model where that differs.
    pub fn default(&self) -> String {
        if !self.default.is_empty() {
            return self.default.to_owned();
        }
        let told = |(preset, models): &(Preset, BTreeSet<String>)| {
            let text = self.preset_text(preset);
            match (self.presets.len(), models.is_empty()) {
                (1, _) | (_, true) => text,
                _ => format!("{text} ({})", join(models)),
            }
        };
        if self.presets.is_empty() {
            "none".to_owned()
        } else {
            self.presets.iter().map(told).collect::<Vec<_>>().join("; ")
        }
    }

    fn preset_text(&self, preset: &Preset) -> String {
        let words =
            self.shapes.iter().find_map(|(shape, _)| if let Shape::Choice(words) = shape { Some(words) } else { None });
        match preset {
            Preset::Nothing => "none".to_owned(),
            Preset::Required => "required".to_owned(),
            Preset::Value(text) => text.clone(),
            Preset::Number(number) if self.shapes.iter().any(|(shape, _)| matches!(shape, Shape::Size { .. })) => {
                format!("\"{number} B\"")
            }
            Preset::Number(number) => super::reader::count_written(*number),
            Preset::Word(index) => {
                words.and_then(|words| words.get(*index)).map_or("none".to_owned(), |word| format!("\"{word}\""))
            }
            Preset::List(all) => {
                format!("[{}]", all.iter().map(|one| self.preset_text(one)).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// What it may be, a line for each kind.
    pub fn kinds(&self) -> Vec<String> {
        let kind = |(shape, models): &(Shape, BTreeSet<String>)| {
            let list = match (self.list_max, shape) {
                (None, _) | (_, Shape::Entries) => String::new(),
                (Some(max), _) => format!(", or a list of up to {max}"),
            };
            let of = if models.is_empty() { String::new() } else { format!(" (of {})", join(models)) };
            format!("{}{list}{of}", shape.words())
        };
        self.shapes.iter().map(kind).collect()
    }

    /// The keys of the table that it may be.
    pub fn inner(&self) -> BTreeSet<&str> {
        self.shapes
            .iter()
            .filter_map(|(shape, _)| if let Shape::Table(keys) = shape { Some(keys) } else { None })
            .flatten()
            .map(String::as_str)
            .collect()
    }
}

impl Shape {
    /// What a value of this shape is, bounds included.
    pub fn words(&self) -> String {
        let count = |count: u64| super::reader::count_written(count);
        match self {
            Shape::Span { min, max } => format!("a duration from \"{}\" to \"{}\"", span_text(*min), span_text(*max)),
            Shape::Count { min, max } => format!("a whole number from {} to {}", count(*min), count(*max)),
            Shape::Size { min, max } => format!("a size from \"{min} B\" to \"{max} B\""),
            Shape::Bitrate { min, max } => {
                let text = super::quantity::bitrate_text;
                format!("a data rate from \"{}\" to \"{}\"", text(*min), text(*max))
            }
            Shape::Boolean => "true or false".to_owned(),
            Shape::Number { range, .. } => {
                if range.starts_with("a ") {
                    range.clone()
                } else {
                    format!("a number {range}")
                }
            }
            Shape::Text { what } => what.clone(),
            Shape::Choice(words) => {
                format!("one of {}", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
            }
            Shape::Table(keys) => format!("a table of {}", keys.join(", ")),
            Shape::Entries => "a table whose keys depend on the scenario".to_owned(),
            Shape::Tables { max } => format!("a list of up to {max} tables whose keys depend on the scenario"),
        }
    }
}

fn join(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Every key by its path; the whole scenario under the empty one.
pub fn keys() -> BTreeMap<String, Key> {
    let mut found = BTreeMap::from([(String::new(), Key::new(""))]);
    let (mut round, mut quiet) = (0, 0);
    while quiet < QUIET_ROUNDS {
        let mut probe = Probe { found: &found, round, asked: vec![(String::new(), None)] };
        let root = probe.table("", super::ROOT_KEYS, None);
        let asked = probe.asked;
        let mut reader = Reader::noting();
        // What is made up need not be a scenario: what was asked for counts.
        let _ = super::read(&mut reader, &root);
        let mut is_new = false;
        for (place, note) in reader.into_notes() {
            let Some((path, model)) = asked.get(place.start) else { continue };
            is_new |= found.entry(path.clone()).or_insert_with(|| Key::new(path)).learn(note, model.as_deref());
        }
        quiet = if is_new { 0 } else { quiet + 1 };
        round += 1;
    }
    let root = super::ROOT_KEYS.iter().map(|key| (*key).to_owned()).collect();
    found.entry(String::new()).and_modify(|key| key.shapes = vec![(Shape::Table(root), BTreeSet::new())]);
    forget_common_models(&mut found);
    found
}

/// The key of `keys` that `written` probably means: the nearest path, or the only path that ends in it.
pub fn nearest_key<'k>(keys: &'k BTreeMap<String, Key>, written: &str) -> Option<&'k str> {
    let paths: Vec<&str> = keys.keys().map(String::as_str).filter(|path| !path.is_empty()).collect();
    let last = |path: &str| path.rsplit('.').next().unwrap_or("").to_owned();
    let ending = paths.iter().find(|path| last(path) == last(written)).copied();
    nearest(written, &paths).or(ending)
}

impl Key {
    fn new(path: &str) -> Self {
        let (default, meaning) = meanings::of(path).unwrap_or(("", ""));
        Key { path: path.to_owned(), shapes: Vec::new(), list_max: None, meaning, presets: Vec::new(), default }
    }

    /// Takes `note` in, of `model`; whether anything in it is new.
    fn learn(&mut self, note: Note, model: Option<&str>) -> bool {
        let mut is_new = note.list_max.is_some() && self.list_max != note.list_max;
        self.list_max = note.list_max.or(self.list_max);
        for shape in note.shapes {
            is_new |= add(&mut self.shapes, shape, model);
        }
        if let Some(preset) = note.preset {
            is_new |= add(&mut self.presets, preset, model);
        }
        is_new
    }
}

fn add<T: PartialEq>(variants: &mut Variants<T>, value: T, model: Option<&str>) -> bool {
    let place = variants.iter().position(|(known, _)| *known == value);
    let is_new = place.is_none();
    let place = place.unwrap_or_else(|| {
        variants.push((value, BTreeSet::new()));
        variants.len() - 1
    });
    model.is_some_and(|model| variants[place].1.insert(model.to_owned())) || is_new
}

/// Takes the models away where something is so for all of them.
fn forget_common_models(found: &mut BTreeMap<String, Key>) {
    let models: Vec<(String, usize)> = found
        .values()
        .filter_map(|key| {
            let (table, name) = key.path.rsplit_once('.')?;
            let Some((Shape::Choice(words), _)) = key.shapes.first() else { return None };
            CHOOSERS.contains(&name).then(|| (table.to_owned(), words.len()))
        })
        .collect();
    for key in found.values_mut() {
        // In an order that does not depend on what was drawn first.
        key.shapes.sort_by(|(_, one), (_, other)| one.cmp(other));
        key.presets.sort_by(|(_, one), (_, other)| one.cmp(other));
        let Some((table, _)) = key.path.rsplit_once('.') else { continue };
        let Some((_, count)) = models.iter().find(|(chosen, _)| chosen == table) else { continue };
        key.shapes.iter_mut().filter(|(_, of)| of.len() == *count).for_each(|(_, of)| of.clear());
        key.presets.iter_mut().filter(|(_, of)| of.len() == *count).for_each(|(_, of)| of.clear());
    }
}

/// Makes up scenarios of all that is known so far.
struct Probe<'f> {
    found: &'f BTreeMap<String, Key>,
    round: u64,
    /// The path of every value, by its place, and the model that the table around it has.
    asked: Vec<(String, Option<String>)>,
}

impl Probe<'_> {
    fn table<K: AsRef<str>>(&mut self, path: &str, keys: &[K], model: Option<String>) -> Table {
        let mut table = Table::new();
        let model = keys
            .iter()
            .find(|key| CHOOSERS.contains(&key.as_ref()))
            .map(|key| self.word(&join_path(path, key.as_ref())))
            .unwrap_or(model);
        for key in keys {
            let key = key.as_ref();
            let inner = join_path(path, key);
            // What is left out lets others be asked for that have no meaning beside it.
            let may_go = !CHOOSERS.contains(&key) && !self.is_table(&inner);
            if may_go && self.draw(&inner, 0).is_multiple_of(3) && self.round > 0 {
                continue;
            }
            let at = self.place(inner.clone(), model.clone());
            let kind = self.kind(&inner, model.clone());
            table.insert(key.to_owned(), Entry { key_at: at, value: Value { at, kind } });
        }
        table
    }

    fn is_table(&self, path: &str) -> bool {
        self.found.get(path).is_some_and(|key| !key.inner().is_empty())
    }

    fn place(&mut self, path: String, model: Option<String>) -> Place {
        let start = self.asked.len();
        self.asked.push((path, model));
        Place { source: 0, start, end: start }
    }

    /// The word that stands at `path` in this round, if it is one of several.
    fn word(&self, path: &str) -> Option<String> {
        match self.shape(path)? {
            Shape::Choice(words) => words.get(self.draw(path, 1) as usize % words.len().max(1)).cloned(),
            _ => None,
        }
    }

    /// One of the shapes of the key `path`.
    fn shape(&self, path: &str) -> Option<&Shape> {
        let shapes = &self.found.get(path)?.shapes;
        let (shape, _) = shapes.get(self.draw(path, 2) as usize % shapes.len().max(1))?;
        Some(shape)
    }

    fn kind(&mut self, path: &str, model: Option<String>) -> Kind {
        let integer = |number: u64| Kind::Integer { digits: number.to_string(), radix: 10 };
        match self.shape(path).cloned() {
            // Now and then something else than what is known, lest a second kind stays unknown.
            _ if self.draw(path, 3).is_multiple_of(16) => match self.draw(path, 4) % 3 {
                0 => Kind::Table(Table::new()),
                1 => Kind::Text(String::new()),
                _ => integer(1),
            },
            None => integer(1),
            Some(Shape::Span { max, .. }) => Kind::Text(format!("{}ns", max.as_nanos())),
            Some(Shape::Count { min, .. }) => integer(min.max(1)),
            Some(Shape::Size { max, .. }) => Kind::Text(format!("{max} B")),
            Some(Shape::Bitrate { max, .. }) => Kind::Text(format!("{max} bps")),
            Some(Shape::Boolean) => Kind::Boolean(true),
            Some(Shape::Number { low, high, .. }) => {
                let (low, high) = (low.map_or(0.0, |(low, _)| low), high.map_or(1.0, |(high, _)| high));
                Kind::Float(((low + high) / 2.0).to_string())
            }
            Some(Shape::Text { .. }) => Kind::Text(String::new()),
            Some(Shape::Choice(_)) => Kind::Text(self.word(path).unwrap_or_default()),
            Some(Shape::Table(keys)) => {
                let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
                Kind::Table(self.table(path, &keys, model.filter(|_| false)))
            }
            Some(Shape::Entries) => Kind::Table(Table::new()),
            Some(Shape::Tables { .. }) => Kind::List(Vec::new()),
        }
    }

    /// A number that depends on nothing but the round, the path and what it is for.
    fn draw(&self, path: &str, purpose: u64) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.round.to_le_bytes()).update(&purpose.to_le_bytes()).update(path.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(bytes)
    }
}

fn join_path(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
