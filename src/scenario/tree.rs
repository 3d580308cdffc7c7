//! The raw side of a scenario: a TOML tree in which every key and value knows where it was written.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_parser::lexer::TokenKind;

use super::codes::Code;
use super::problem::{Draft, Place};
use super::quantity::short;

/// Tokens of a file, comments and line ends included: bounds the memory of a parse (some 600 bytes a token at worst).
const TOKENS_MAX: usize = 100_000;
/// Dots of a file outside of strings and comments: bounds how deep dotted keys can nest, and with it the stack.
const DOTS_MAX: usize = 2_000;
/// Levels of tables and lists that are kept. No key lies half as deep, so what is cut has an ancestor that is refused.
const DEPTH_MAX: usize = 16;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// What a value is. Numbers keep their digits, so that they can be read exactly.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text(String),
    Integer { digits: String, radix: u32 },
    Float(String),
    Boolean(bool),
    Date,
    List(Vec<Value>),
    Table(Table),
}

/// Entries by key.
pub(super) type Table = BTreeMap<String, Entry>;

/// A value with the place of its key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key_at: Place,
    pub(super) value: Value,
}

/// What could be read of a text.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) root: Table,
    /// Syntax errors, at most one a line.
    pub(super) drafts: Vec<Draft>,
    /// The lines that they stand in, ascending.
    pub(super) broken: Vec<Place>,
    /// Whether parts of the text are missing from the tree, so that absence of a key means nothing.
    pub(super) damaged: bool,
}

/// Reads the document `text`, which is number `source`.
pub(super) fn document(text: &str, source: usize) -> Raw {
    if let Some(draft) = over_budget(text, source) {
        return Raw { root: Table::new(), drafts: vec![draft], broken: Vec::new(), damaged: true };
    }
    let (parsed, errors) = DeTable::parse_recoverable(text);
    let damaged = errors.iter().any(|error| error.message() != DUPLICATE_KEY);
    let line_starts: Vec<_> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut lines = BTreeMap::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let line = line_starts.partition_point(|&start| start <= span.start) - 1;
        let at = Place { source, start: span.start, end: span.end };
        // One slip of the pen makes a run of errors; the first of a line says enough.
        lines.entry(line).or_insert_with(|| syntax_draft(text, at, error.message()));
    }
    let end_of = |line: usize| line_starts.get(line + 1).map_or(text.len(), |next| next - 1);
    let broken = lines.keys().map(|&line| Place { source, start: line_starts[line], end: end_of(line) }).collect();
    Raw { root: table(parsed.get_ref(), source, 0), drafts: lines.into_values().collect(), broken, damaged }
}

/// Reads `text`, part of source number `source` from byte `offset` on, as one value; as a string if it is not TOML.
pub(super) fn value_or_text(text: &str, source: usize, offset: usize) -> Value {
    let at = Place { source, start: offset, end: offset + text.len() };
    let plain = Value { at, kind: Kind::Text(text.to_owned()) };
    if over_budget(text, source).is_some() {
        return plain;
    }
    match DeValue::parse(text) {
        Ok(parsed) => {
            let mut value = value(&parsed, source, 0);
            shift(&mut value, offset);
            value
        }
        Err(_) => plain,
    }
}

const DUPLICATE_KEY: &str = "duplicate key";

/// The problem of a text that would cost more to parse than any scenario can need.
fn over_budget(text: &str, source: usize) -> Option<Draft> {
    let mut dots = 0;
    for (index, token) in toml_parser::Source::new(text).lex().enumerate() {
        dots += usize::from(token.kind() == TokenKind::Dot);
        if index >= TOKENS_MAX || dots > DOTS_MAX {
            let at = Place { source, start: token.span().start(), end: token.span().end() };
            let title = format!("more than {TOKENS_MAX} words and signs, or {DOTS_MAX} dots outside of strings");
            return Some(
                Draft::new(at, title, "shorten the file: a scenario needs a few hundred").code(Code::TooLarge),
            );
        }
    }
    None
}

/// A syntax error of the parser, in words that say what to do.
fn syntax_draft(text: &str, at: Place, message: &str) -> Draft {
    let found = text.get(at.start..at.end.min(text.len())).unwrap_or("").trim();
    if message == DUPLICATE_KEY {
        return Draft::new(at, format!("`{}` stands here for the second time", short(found)), "remove or rename it")
            .code(Code::Twice);
    }
    if message.starts_with("string values must be quoted") {
        return match found {
            "" => Draft::new(at, "expected a value", "write the value here").code(Code::Syntax),
            _ => Draft::new(at, "a text needs quotes", format!("write \"{}\"", short(&found.replace('"', ""))))
                .code(Code::Syntax),
        };
    }
    let (title, label) = match message.split_once(", expected ") {
        Some((title, "nothing")) => (title, "remove this".to_owned()),
        Some((title, expected)) => (title, format!("expected {expected}")),
        None => (message, "not valid TOML".to_owned()),
    };
    Draft::new(at, title, label).code(Code::Syntax)
}

fn table(parsed: &DeTable<'_>, source: usize, depth: usize) -> Table {
    let entries = parsed.iter().filter(|_| depth < DEPTH_MAX);
    let entry = |key: &Spanned<_>, spanned| Entry { key_at: place(key, source), value: value(spanned, source, depth) };
    entries.map(|(key, spanned)| (key.get_ref().to_string(), entry(key, spanned))).collect()
}

fn value(parsed: &Spanned<DeValue<'_>>, source: usize, depth: usize) -> Value {
    let kind = match parsed.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(integer) => Kind::Integer { digits: integer.as_str().to_owned(), radix: integer.radix() },
        DeValue::Float(float) => Kind::Float(float.as_str().to_owned()),
        DeValue::Boolean(boolean) => Kind::Boolean(*boolean),
        DeValue::Datetime(_) => Kind::Date,
        DeValue::Array(items) => {
            let items = items.iter().filter(|_| depth < DEPTH_MAX);
            Kind::List(items.map(|item| value(item, source, depth + 1)).collect())
        }
        DeValue::Table(inner) => Kind::Table(table(inner, source, depth + 1)),
    };
    Value { at: place(parsed, source), kind }
}

fn place<T>(spanned: &Spanned<T>, source: usize) -> Place {
    Place { source, start: spanned.span().start, end: spanned.span().end }
}

/// Moves every place in `value` by `offset` bytes.
fn shift(value: &mut Value, offset: usize) {
    let moved = |at: &mut Place| *at = Place { start: at.start + offset, end: at.end + offset, ..*at };
    moved(&mut value.at);
    match &mut value.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| shift(item, offset)),
        Kind::Table(entries) => entries.values_mut().for_each(|entry| {
            moved(&mut entry.key_at);
            shift(&mut entry.value, offset);
        }),
        _ => {}
    }
}

impl Value {
    /// The value in words, for "found ...".
    pub(super) fn found(&self) -> String {
        match &self.kind {
            Kind::Text(text) => format!("string \"{}\"", short(text)),
            Kind::Integer { .. } => format!("integer {}", short(&self.digits())),
            Kind::Float(digits) => format!("number {}", short(digits)),
            Kind::Boolean(value) => format!("boolean {value}"),
            Kind::Date => "a date".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
        }
    }

    /// The digits of a number as written, without underscores; empty for anything else.
    pub(super) fn digits(&self) -> String {
        match &self.kind {
            Kind::Integer { digits, radix: 10 } => digits.trim_start_matches('+').to_owned(),
            // A number that does not fit is left as it stands: it is refused by its size anyway.
            Kind::Integer { digits, radix } => {
                u64::from_str_radix(digits, *radix).map_or_else(|_| digits.clone(), |n| n.to_string())
            }
            Kind::Float(digits) => digits.trim_start_matches('+').to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `text` is refused by the parser at `line` (from 1), once for each of `titles`.
    #[track_caller]
    fn check(text: &str, titles: &[(usize, &str)]) {
        let raw = document(text, 0);
        let line = |draft: &Draft| 1 + text[..draft.at.start].matches('\n').count();
        let found: Vec<_> = raw.drafts.iter().map(|draft| (line(draft), draft.title.as_str())).collect();
        assert_eq!(found, titles, "{text}");
    }

    #[test]
    fn one_slip_of_the_pen_is_one_problem() {
        check("a = [1, 2\nb = 3\n", &[(2, "missing comma between array elements")]);
        check(
            "a = 1K\nb = \nc = 1\nc = 2",
            &[(1, "a text needs quotes"), (2, "expected a value"), (4, "`c` stands here for the second time")],
        );
        check("[a\nb=1", &[(1, "unclosed table")]);
    }

    #[test]
    fn a_duplicate_key_does_not_hide_the_rest() {
        assert!(!document("a = 1\na = 2\nb = 3", 0).damaged);
        assert!(document("a\nb = 3", 0).damaged);
    }

    #[test]
    fn bombs_are_refused_before_they_are_parsed() {
        let deep = format!("{} = {{", vec!["a"; 79].join(".")).repeat(79);
        let bombs = ["[", "=\n", "a=1\n", "{", "a=[", "\"\n", "a.", "[a]\n", "1,", "\n", ".", "]"];
        for bomb in bombs.iter().map(|unit| unit.repeat(4_000_000 / unit.len())).chain([deep]) {
            let raw = document(&bomb, 0);
            assert!(raw.damaged && raw.drafts.len() == 1, "{}", &bomb[..20]);
            assert!(raw.drafts[0].label.contains("shorten the file"));
        }
    }

    #[test]
    fn nesting_within_the_budget_is_cut_not_followed() {
        let dots = vec!["a"; 75].join(".");
        let text = format!("{}1{}", format!("{dots}={{{dots}=").repeat(13), "}".repeat(13));
        let raw = document(&text, 0);
        let mut depth = 0;
        let mut table = &raw.root;
        while let Some(Kind::Table(inner)) = table.get("a").map(|entry| &entry.value.kind) {
            depth += 1;
            table = inner;
        }
        assert_eq!(depth, DEPTH_MAX);
        document(&format!("a = {}", "[".repeat(50_000)), 0);
    }

    #[test]
    fn a_value_knows_its_place_in_the_override() {
        let value = value_or_text("{ x = [1, \"b\"] }", 3, 4);
        let Kind::Table(table) = &value.kind else { panic!("{value:?}") };
        assert_eq!(value.at, Place { source: 3, start: 4, end: 20 });
        assert_eq!(table["x"].key_at, Place { source: 3, start: 6, end: 7 });
        let Kind::List(items) = &table["x"].value.kind else { panic!("{value:?}") };
        assert_eq!(items[1].at, Place { source: 3, start: 14, end: 17 });
        for text in ["1K", "", "[1", "a b", "1 # c", "1\nb = 2"] {
            assert!(matches!(value_or_text(text, 1, 0).kind, Kind::Text(found) if found == text));
        }
    }
}
