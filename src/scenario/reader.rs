//! Takes typed values out of the raw tree; what does not fit becomes a problem and reading goes on.

use super::codes::Code;
use super::files::Files;
use super::keys::{Note, Notes, Preset, Shape, Told, number_shape};
use super::problem::{Draft, Place, nearest};
use super::quantity::{
    BITRATE, COUNT, DURATION, Decimal, Fault, Quantity, SIZE, bitrate_text, count_text, short, span_text,
};
use super::tree::{Entry, Kind, Table, Value};
use crate::contract::SimSpan;

/// A span longer than anyone simulates; keeps sums of times far from overflow.
pub(super) const SPAN_MAX: SimSpan = SimSpan::from_secs(10 * 365 * 86_400);

/// Unknown keys of a table for which it is told what was probably meant: that takes long, and nobody reads as many.
const GUESSED_MAX: usize = 1_000;

/// A value of the usable side with the place where it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<T> {
    /// `None` if what was written is refused; then checks that need it are skipped.
    pub(super) value: Option<T>,
    /// `None` if nothing was written and this is the default.
    pub(super) at: Option<Place>,
}

impl<T> Field<T> {
    pub(super) fn default(value: T) -> Self {
        Field { value: Some(value), at: None }
    }

    /// This field if it was written, else `fallback`.
    pub(super) fn or(self, fallback: Field<T>) -> Field<T> {
        if self.at.is_some() { self } else { fallback }
    }
}

/// A table of the file, or its absence, with the keys that it may have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section<'t> {
    table: Option<&'t Table>,
    known: &'t [&'t str],
    pub(super) at: Option<Place>,
}

impl<'t> Section<'t> {
    /// The entry `key`, if it is written and known here.
    pub(super) fn get(&self, key: &str) -> Option<&'t Entry> {
        self.table.filter(|_| self.known.contains(&key))?.get(key)
    }

    /// Whether `key` is written and known here.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the table is there and is one.
    pub(super) fn is_table(&self) -> bool {
        self.table.is_some()
    }
}

/// Collects problems while values are read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) drafts: Vec<Draft>,
    /// Whether parts of the file are missing from the tree, so that the absence of a key means nothing.
    pub(super) damaged: bool,
    /// Files that the scenario names.
    pub(super) files: Files,
    /// Where the lines of the file end, as bytes, ascending.
    line_ends: Vec<usize>,
    /// What is asked for, where that is to be known.
    notes: Option<Notes>,
}

impl Reader {
    /// A reader of the file `text`, which is `damaged` or not and may name `files`.
    pub(super) fn new(text: &str, files: Files, damaged: bool) -> Self {
        let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Reader { drafts: Vec::new(), damaged, files, line_ends, notes: None }
    }

    /// A reader that reads in order to note what it is asked for.
    pub(super) fn noting() -> Self {
        Reader { notes: Some(Notes::new()), ..Reader::default() }
    }

    /// What was noted.
    pub(super) fn into_notes(self) -> Notes {
        self.notes.unwrap_or_default()
    }

    fn note(&mut self, value: &Value, write: impl FnOnce(&mut Note)) {
        if let Some(notes) = &mut self.notes {
            write(notes.entry(value.at).or_default());
        }
    }

    /// Notes that `value` may be of such a `shape`.
    pub(super) fn note_shape(&mut self, value: &Value, shape: impl FnOnce() -> Shape) {
        self.note(value, |note| note.shapes.push(shape()));
    }

    /// Notes that `value` may be a list of up to `max`.
    pub(super) fn note_list(&mut self, value: &Value, max: usize) {
        self.note(value, |note| note.list_max = Some(max));
    }

    /// Notes what stands for `value` where it is not written.
    pub(super) fn note_preset(&mut self, value: &Value, preset: Preset) {
        self.note(value, |note| note.preset = Some(preset));
    }

    /// The line of the file, from 1, in which `at` begins; `None` if that is in another source.
    pub(super) fn line_of(&self, at: Place) -> Option<usize> {
        (at.source == 0).then(|| 1 + self.line_ends.partition_point(|&end| end < at.start))
    }

    pub(super) fn report(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    /// The file lacks `key`; `label` says what to add.
    pub(super) fn missing(&mut self, key: &str, label: &str) {
        if !self.damaged {
            self.report(
                Draft::new(Place::default(), format!("the scenario has no `{key}`"), label).code(Code::Missing),
            );
        }
    }

    /// A table that begins at `at` lacks something that it needs; `label` says what to add.
    pub(super) fn lacks(&mut self, at: Option<Place>, title: impl Into<String>, label: impl Into<String>) {
        if !self.damaged {
            self.report(Draft::new(at.unwrap_or_default(), title, label).code(Code::Missing));
        }
    }

    /// The whole file as a section; keys other than `known` are refused.
    pub(super) fn root<'t>(&mut self, table: &'t Table, known: &'t [&'t str]) -> Section<'t> {
        let section = Section { table: Some(table), known, at: None };
        self.refuse_unknown(&section, "the file");
        section
    }

    /// The table `key` of `parent`, empty if it is not written; keys other than `known` are refused.
    pub(super) fn section<'t>(&mut self, parent: &Section<'t>, key: &str, known: &'t [&'t str]) -> Section<'t> {
        match parent.get(key) {
            Some(entry) => self.section_of(&entry.value, key, known),
            None => Section { table: None, known, at: None },
        }
    }

    /// `value` as a table whose keys are `known`; `name` says what it is.
    pub(super) fn section_of<'t>(&mut self, value: &'t Value, name: &str, known: &'t [&'t str]) -> Section<'t> {
        self.note_shape(value, || Shape::Table(known.iter().map(|key| (*key).to_owned()).collect()));
        let section = Section { table: self.table_in(value, name), known, at: Some(value.at) };
        self.refuse_unknown(&section, &format!("`{name}`"));
        section
    }

    /// `value` as a table with any keys.
    pub(super) fn table_of<'t>(&mut self, value: &'t Value, name: &str) -> Option<&'t Table> {
        self.note_shape(value, || Shape::Entries);
        self.table_in(value, name)
    }

    fn table_in<'t>(&mut self, value: &'t Value, name: &str) -> Option<&'t Table> {
        if let Kind::Table(table) = &value.kind {
            return Some(table);
        }
        let title = format!("expected `{name}` to be a table, found {}", value.found());
        self.report(
            Draft::new(value.at, title, format!("write {name} = {{ ... }} or a header that ends in {name}]"))
                .code(Code::WrongType),
        );
        None
    }

    fn refuse_unknown(&mut self, section: &Section<'_>, name: &str) {
        let unknown = section.table.into_iter().flatten().filter(|(key, _)| !section.known.contains(&key.as_str()));
        for (number, (key, entry)) in unknown.enumerate() {
            let draft = |label: String| {
                let title = format!("unknown key `{}` in {name}", short(key));
                Draft::new(entry.key_at, title, label).code(Code::UnknownKey)
            };
            let guess = || nearest(key, section.known);
            self.report(match (number < GUESSED_MAX).then(guess) {
                Some(Some(near)) => draft(format!("write `{near}`")),
                Some(None) => {
                    draft("remove it".to_owned()).help(format!("known keys are {}", section.known.join(", ")))
                }
                None => draft("remove it".to_owned()),
            });
        }
    }

    /// The entry `key` of `section` as `read` takes it, or `default`.
    pub(super) fn field<T: Told>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        default: T,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Field<T> {
        match section.get(key) {
            Some(Entry { value, .. }) => {
                self.note_preset(value, default.told());
                Field { value: read(self, value), at: Some(value.at) }
            }
            None => Field::default(default),
        }
    }

    /// The entry `key` of `section` as `read` takes it; nothing stands for it where it is not written.
    pub(super) fn required<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Field<T> {
        let Some(Entry { value, .. }) = section.get(key) else { return Field { value: None, at: None } };
        self.note_preset(value, Preset::Required);
        Field { value: read(self, value), at: Some(value.at) }
    }

    /// A duration from `min` to `max`.
    pub(super) fn span(&mut self, value: &Value, min: SimSpan, max: SimSpan) -> Option<SimSpan> {
        self.note_shape(value, || Shape::Span { min, max });
        let nanos = self.quantity(value, &DURATION)?;
        let written = |nanos| format!("\"{}\"", span_text(SimSpan::from_nanos(nanos)));
        self.in_range(value, nanos, (min.as_nanos(), max.as_nanos()), &written).map(SimSpan::from_nanos)
    }

    /// A count from `min` to `max`.
    pub(super) fn count(&mut self, value: &Value, min: u64, max: u64) -> Option<u64> {
        self.note_shape(value, || Shape::Count { min, max });
        let count = self.quantity(value, &COUNT)?;
        self.in_range(value, count, (min, max), &count_written)
    }

    /// A count from `min` to `max`, which fits 32 bits.
    pub(super) fn count_u32(&mut self, value: &Value, min: u32, max: u32) -> Option<u32> {
        u32::try_from(self.count(value, u64::from(min), u64::from(max))?).ok()
    }

    /// A size from `min` to `max` bytes.
    pub(super) fn size(&mut self, value: &Value, min: u32, max: u32) -> Option<u32> {
        self.note_shape(value, || Shape::Size { min: u64::from(min), max: u64::from(max) });
        let size = self.quantity(value, &SIZE)?;
        let size = self.in_range(value, size, (u64::from(min), u64::from(max)), &|bytes| format!("\"{bytes} B\""))?;
        u32::try_from(size).ok()
    }

    /// A data rate from `min` to `max`, in bits per second.
    pub(super) fn bitrate(&mut self, value: &Value, min: u64, max: u64) -> Option<u64> {
        self.note_shape(value, || Shape::Bitrate { min, max });
        let rate = self.quantity(value, &BITRATE)?;
        self.in_range(value, rate, (min, max), &|rate| format!("\"{}\"", bitrate_text(rate)))
    }

    /// True or false.
    pub(super) fn boolean(&mut self, value: &Value) -> Option<bool> {
        self.note_shape(value, || Shape::Boolean);
        if let Kind::Boolean(boolean) = value.kind {
            return Some(boolean);
        }
        let title = format!("expected true or false, found {}", value.found());
        self.report(Draft::new(value.at, title, "write true or false, without quotes").code(Code::WrongType));
        None
    }

    /// A number that `accepts` takes; `range` describes it, such as `a number from 0 to 1`.
    pub(super) fn number(&mut self, value: &Value, range: &str, accepts: impl Fn(f64) -> bool) -> Option<f64> {
        self.note_shape(value, || number_shape(range, &accepts));
        // Zero is added so that -0.0 becomes 0.0, which hashes and prints alike.
        let number = value.digits().parse::<f64>().ok().map(|number| number + 0.0);
        let accepted = number.filter(|number| number.is_finite() && accepts(*number));
        if accepted.is_none() {
            let title = format!("expected {range}, found {}", value.found());
            self.report(Draft::new(value.at, title, format!("write {range}")).code(Code::OutOfRange));
        }
        accepted
    }

    /// An exact share from 0 to 1.
    pub(super) fn share(&mut self, value: &Value) -> Option<Decimal> {
        self.note_shape(value, || number_shape("a share from 0 to 1", &|share| (0.0..=1.0).contains(&share)));
        let share = Decimal::parse(&value.digits()).filter(|share| share.at_most_one());
        if share.is_none() {
            let title = format!("expected a share from 0 to 1, found {}", value.found());
            self.report(
                Draft::new(value.at, title, "write a share such as 0.01, which is one in a hundred")
                    .code(Code::OutOfRange),
            );
        }
        share
    }

    /// A text; `example` is one, quotes included.
    pub(super) fn text<'t>(&mut self, value: &'t Value, what: &str, example: &str) -> Option<&'t str> {
        self.note_shape(value, || Shape::Text { what: what.to_owned() });
        self.text_in(value, what, example)
    }

    fn text_in<'t>(&mut self, value: &'t Value, what: &str, example: &str) -> Option<&'t str> {
        if let Kind::Text(text) = &value.kind {
            return Some(text);
        }
        let title = format!("expected {what} such as {example}, found {}", value.found());
        self.report(Draft::new(value.at, title, format!("write {example}")).code(Code::WrongType));
        None
    }

    /// One of the words `known`, as its index.
    pub(super) fn choice(&mut self, value: &Value, what: &str, known: &[&str]) -> Option<usize> {
        self.note_shape(value, || Shape::Choice(known.iter().map(|name| (*name).to_owned()).collect()));
        let first = format!("\"{}\"", known.first().unwrap_or(&""));
        let written = self.text_in(value, what, &first)?;
        let index = known.iter().position(|name| *name == written);
        if index.is_none() {
            let title =
                format!("unknown {} `{}`", what.trim_start_matches("a ").trim_start_matches("an "), short(written));
            let list = known.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            self.report(match nearest(written, known) {
                Some(near) => Draft::new(value.at, title, format!("write \"{near}\"")).code(Code::UnknownWord),
                None => Draft::new(value.at, title, format!("write one of {list}")).code(Code::UnknownWord),
            });
        }
        index
    }

    /// One value or a list of them: at least one, at most `max`.
    pub(super) fn items<'t>(&mut self, value: &'t Value, what: &str, max: usize) -> &'t [Value] {
        self.note_list(value, max);
        let items = match &value.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        if items.is_empty() {
            self.report(
                Draft::new(value.at, format!("the list of {what} is empty"), "write at least one")
                    .code(Code::ListLength),
            );
        } else if items.len() > max {
            let title = format!("{} {what} are too many for one scenario", items.len());
            self.report(Draft::new(value.at, title, format!("write at most {max}")).code(Code::ListLength));
            return &[];
        }
        items
    }

    fn quantity(&mut self, value: &Value, quantity: &Quantity) -> Option<u64> {
        let read = match &value.kind {
            Kind::Text(text) => quantity.parse(text),
            Kind::Integer { .. } if quantity.bare => quantity.parse(&value.digits()),
            Kind::Integer { .. } | Kind::Float(_) => Err(bare_number(value, quantity)),
            _ => Err(quantity.expected(&value.found())),
        };
        let code = if matches!(value.kind, Kind::Text(_)) { Code::Unit } else { Code::WrongType };
        read.map_err(|fault| self.report(Draft::new(value.at, fault.title, fault.label).code(code))).ok()
    }

    fn in_range(
        &mut self,
        value: &Value,
        number: u64,
        (min, max): (u64, u64),
        written: &dyn Fn(u64) -> String,
    ) -> Option<u64> {
        if (min..=max).contains(&number) {
            return Some(number);
        }
        let (low, high) = (written(min), written(max));
        let title = format!("expected a value from {low} to {high}, found {}", value.found());
        let advised = if number < min { format!("at least {low}") } else { format!("at most {high}") };
        self.report(Draft::new(value.at, title, format!("write {advised}")).code(Code::OutOfRange));
        None
    }
}

/// A count as it would stand in the file.
pub(super) fn count_written(count: u64) -> String {
    let text = count_text(count);
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) { format!("\"{text}\"") } else { text }
}

/// The fault of a number where a quantity with a unit is needed, with the number in the advice.
fn bare_number(value: &Value, quantity: &Quantity) -> Fault {
    let fault = quantity.expected(&value.found());
    let digits = value.digits();
    let whole = Decimal::parse(&digits).and_then(|decimal| decimal.times(1));
    let label = match whole {
        Some(whole) if quantity.bare => format!("write {whole}"),
        Some(whole) => format!("write \"{whole}{}\"", quantity.advised),
        None if quantity.bare || Decimal::parse(&digits).is_none() => fault.label,
        None => format!("write \"{}{}\"", short(&digits), quantity.advised),
    };
    Fault { label, ..fault }
}
