//! `--set key=value`: values that replace or add to those of the file before anything is checked.

use super::codes::Code;
use super::problem::{Draft, Place};
use super::quantity::short;
use super::tree::{Entry, Kind, Table, Value, value_or_text};

/// Parts of a dotted key: no key has half as many, and what is read of a key goes into it part by part.
const SEGMENTS_MAX: usize = 16;

/// What problems of an override name as their source.
pub(super) fn source_name(text: &str) -> String {
    format!("--set {}", short(text))
}

/// Puts every one of `overrides` into `root`, later ones over earlier ones; they are sources number 1 and up.
pub(super) fn apply(root: &mut Table, overrides: &[String], drafts: &mut Vec<Draft>) {
    for (index, text) in overrides.iter().enumerate() {
        if let Err(draft) = apply_one(root, text, index + 1) {
            drafts.push(draft);
        }
    }
}

fn apply_one(root: &mut Table, text: &str, source: usize) -> Result<(), Draft> {
    let whole = Place { source, start: 0, end: text.len() };
    let Some((path, written)) = text.split_once('=') else {
        return Err(
            Draft::new(whole, "an override needs a `=`", "write key=value, for example nodes=1K").code(Code::Override)
        );
    };
    let path = segments(path, source)?;
    let offset = text.len() - written.trim_start().len();
    let value = value_or_text(written.trim(), source, offset);
    put(root, &path, value)
}

/// Puts `value` at `path`, of which every part has its place, over what stands there; tables on the way are made.
///
/// # Errors
/// If something on the way is no table, or if the path is empty.
pub(super) fn put(root: &mut Table, path: &[(&str, Place)], value: Value) -> Result<(), Draft> {
    let mut table = root;
    let Some(((last, last_at), parents)) = path.split_last() else {
        let label = "write key=value, for example nodes=1K";
        return Err(Draft::new(value.at, "an override needs a key", label).code(Code::Override));
    };
    for (segment, at) in parents {
        let empty = || Entry { key_at: *at, value: Value { at: *at, kind: Kind::Table(Table::new()) } };
        let entry = table.entry((*segment).to_owned()).or_insert_with(empty);
        let found = entry.value.found();
        let Kind::Table(inner) = &mut entry.value.kind else {
            let title = format!("`{segment}` is {found} and has no keys of its own");
            return Err(
                Draft::new(*at, title, format!("write {segment}=... to replace it as a whole")).code(Code::Override)
            );
        };
        table = inner;
    }
    table.insert((*last).to_owned(), Entry { key_at: *last_at, value });
    Ok(())
}

/// The parts of a dotted key, each with its place.
fn segments(path: &str, source: usize) -> Result<Vec<(&str, Place)>, Draft> {
    let mut start = 0;
    let mut segments = Vec::new();
    for written in path.split('.') {
        if segments.len() == SEGMENTS_MAX {
            let at = Place { source, start: 0, end: path.len() };
            let title = format!("a key of more than {SEGMENTS_MAX} parts");
            return Err(Draft::new(at, title, "no key is that long: see `qnetsim explain`").code(Code::Override));
        }
        let segment = written.trim();
        let from = start + (written.len() - written.trim_start().len());
        let at = Place { source, start: from, end: from + segment.len() };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if segment.is_empty() || !segment.chars().all(plain) {
            let title = "the key of an override is a name, or names with dots between them";
            return Err(Draft::new(at, title, "write for example network.loss=0.01").code(Code::Override));
        }
        segments.push((segment, at));
        start += written.len() + 1;
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(overrides: &[&str]) -> (Table, Vec<Draft>) {
        let mut root = Table::new();
        let mut drafts = Vec::new();
        let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
        apply(&mut root, &overrides, &mut drafts);
        (root, drafts)
    }

    #[test]
    fn later_overrides_win_and_tables_grow() {
        let (root, drafts) = applied(&["a.b=1", "a.c = x y ", "a.b=[2]"]);
        assert!(drafts.is_empty());
        let Kind::Table(inner) = &root["a"].value.kind else { panic!("{root:?}") };
        assert!(matches!(&inner["b"].value.kind, Kind::List(items) if items.len() == 1));
        assert!(matches!(&inner["c"].value.kind, Kind::Text(text) if text == "x y"));
        assert_eq!(inner["c"].value.at, Place { source: 2, start: 6, end: 9 });
        assert_eq!(inner["c"].key_at, Place { source: 2, start: 2, end: 3 });
    }

    #[test]
    fn malformed_overrides_are_problems() {
        let check = |overrides: &[&str], start, part: &str| {
            let (_, drafts) = applied(overrides);
            let [draft] = &drafts[..] else { panic!("{overrides:?}: {drafts:?}") };
            let said = format!("{}: {}", draft.title, draft.label);
            assert!(said.contains(part), "{said}");
            assert_eq!((draft.at.source, draft.at.start), (overrides.len(), start));
        };
        check(&["nodes"], 0, "needs a `=`");
        check(&[""], 0, "needs a `=`");
        check(&["=1"], 0, "names with dots between them");
        check(&["a..b=1"], 2, "names with dots between them");
        check(&["a.\"b\"=1"], 2, "names with dots between them");
        check(&[&format!("a{}=1", ".a".repeat(60_000))], 0, "a key of more than 16 parts");
        check(&["a=1", "a.b=2"], 0, "`a` is integer 1 and has no keys of its own");
    }
}
