//! What a sweep varies: axes over keys, axes that move together, and named variants.

mod range;

use super::super::codes::Code;
use super::super::document::Document;
use super::super::keys::{Preset, Shape};
use super::super::overrides;
use super::super::problem::{Draft, Place};
use super::super::quantity::short;
use super::super::reader::{Reader, Section};
use super::super::tree::{Entry, Kind, Table, Value};
use super::amount::{Amount, told};
use super::{Axis, overridden};

/// The name of the axis of variants, which is no key.
pub(super) const VARIANT: &str = "variant";
/// Values of an axis, and variants.
pub(super) const VALUES_MAX: usize = 1_000;
const ZIPS_MAX: usize = 32;
/// Keys that an axis, a zip or a variant sets.
const KEYS_MAX: usize = 64;
/// Names in a key.
const DEPTH_MAX: usize = 8;

/// Keys that decide nothing of what is simulated, or that a sweep has other means for; and what to do instead.
const NOT_SWEPT: [(&str, &str); 8] = [
    ("name", "write it outside of the sweep: it names the results of all combinations"),
    ("description", "write it outside of the sweep"),
    ("seed", "write repeat = 5 under [sweep]: every combination runs with the same seeds"),
    ("tables", "write it outside of the sweep: nothing that is simulated depends on it"),
    ("thresholds", "write it outside of the sweep: nothing that is simulated depends on it"),
    ("tolerance", "write it outside of the sweep: nothing that is simulated depends on it"),
    ("extends", "write it outside of the sweep"),
    ("sweep", "remove it: sweeps are not nested"),
];

/// Axes that move together, or one, or the variants.
#[derive(Clone, Debug)]
pub(super) struct Dimension {
    pub(super) at: Place,
    names: Vec<String>,
    /// At least one.
    pub(super) choices: Vec<Choice>,
}

/// A value of each of the axes of a dimension.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// As people read it, by axis.
    pub(super) written: Vec<String>,
    pub(super) sets: Vec<Set>,
}

/// A value for a key.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// The key, with dots.
    pub(super) path: String,
    /// Where the key stands.
    pub(super) at: Place,
    value: Value,
}

impl Set {
    /// Puts the value into `root`.
    pub(super) fn put(&self, root: &mut Table) -> Result<(), Draft> {
        let path: Vec<_> = self.path.split('.').map(|name| (name, self.at)).collect();
        overrides::put(root, &path, self.value.clone())
    }
}

impl Dimension {
    /// The axes, with the units that their cells are in.
    pub(super) fn axes(&self) -> Vec<Axis> {
        let axis =
            |(column, name): (usize, &String)| Axis { name: name.clone(), unit: self.unit(column).unwrap_or("") };
        self.names.iter().enumerate().map(axis).collect()
    }

    /// The unit of axis number `column`, if all of its values are of one kind.
    fn unit(&self, column: usize) -> Option<&'static str> {
        let amounts = self.choices.iter().map(|choice| choice.amount(column, &self.names[column]));
        let amounts: Vec<Amount> = amounts.collect::<Option<_>>()?;
        let first = amounts.first()?;
        amounts.iter().all(|amount| amount.kind() == first.kind()).then(|| first.unit())
    }

    /// Every choice in the units of the axes.
    pub(super) fn cells(&self) -> Vec<Vec<String>> {
        let units: Vec<_> = (0..self.names.len()).map(|column| self.unit(column)).collect();
        let of_choice = |choice: &Choice| {
            let cell = |(column, unit): (usize, &Option<&str>)| {
                let amount = choice.amount(column, &self.names[column]).filter(|_| unit.is_some());
                amount.map_or_else(|| choice.written[column].clone(), |amount| amount.cell())
            };
            units.iter().enumerate().map(cell).collect()
        };
        self.choices.iter().map(of_choice).collect()
    }

    /// Lets overrides have the last word: a key that one of them sets is not varied.
    pub(super) fn pin(&mut self, document: &Document) {
        let root = document.root();
        let given = |path: &str| overridden(root, path, document.override_count());
        for choice in &mut self.choices {
            for (column, name) in self.names.iter().enumerate() {
                if let Some(value) = given(name) {
                    choice.written[column] = told(value);
                }
            }
            for set in choice.sets.iter_mut() {
                if let Some(value) = given(&set.path) {
                    set.value = value.clone();
                }
            }
        }
        // What does not vary any more is one choice; variants keep their names apart.
        let mut kept: Vec<Choice> = Vec::new();
        for choice in std::mem::take(&mut self.choices) {
            if !kept.iter().any(|other| other.written == choice.written) {
                kept.push(choice);
            }
        }
        self.choices = kept;
    }
}

impl Choice {
    /// What the axis `name`, number `column`, amounts to.
    fn amount(&self, column: usize, name: &str) -> Option<Amount> {
        match self.sets.get(column).filter(|set| set.path == name) {
            Some(set) => Amount::of(&set.value),
            None => Some(Amount::Text(self.written[column].clone())),
        }
    }
}

/// The axes of `[sweep.axes]`, each a dimension of its own.
pub(super) fn axes(reader: &mut Reader, section: &Section<'_>) -> Vec<Dimension> {
    let Some(entry) = section.get("axes") else { return Vec::new() };
    let Some(table) = reader.table_of(&entry.value, "axes") else { return Vec::new() };
    let columns = columns(reader, table, "axes", entry.value.at);
    columns.into_iter().map(|column| dimension(column.at, vec![column])).collect()
}

/// The axes of each `[[sweep.zip]]`, which move together.
pub(super) fn zips(reader: &mut Reader, section: &Section<'_>) -> Vec<Dimension> {
    let Some(entry) = section.get("zip") else { return Vec::new() };
    reader.note_shape(&entry.value, || Shape::Tables { max: ZIPS_MAX });
    let tables = match &entry.value.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    if tables.len() > ZIPS_MAX {
        let title = format!("{} tables of axes are too many for one sweep", tables.len());
        reader.report(Draft::new(entry.key_at, title, format!("write at most {ZIPS_MAX}")).code(Code::ListLength));
        return Vec::new();
    }
    let mut dimensions = Vec::new();
    for value in tables {
        let Kind::Table(table) = &value.kind else {
            let title = format!("expected a table of lists that move together, found {}", value.found());
            reader.report(Draft::new(value.at, title, "write it under a header [[sweep.zip]]").code(Code::WrongType));
            continue;
        };
        let columns = columns(reader, table, "zip", value.at);
        let Some(first) = columns.first() else { continue };
        if let Some(other) = columns.iter().find(|column| column.values.len() != first.values.len()) {
            let lengths = format!(
                "`{}` has {} values and `{}` has {}, but they move together",
                short(&first.path),
                first.values.len(),
                short(&other.path),
                other.values.len()
            );
            reader.report(
                Draft::new(other.at, lengths, format!("write {} values", first.values.len())).code(Code::Sweep),
            );
            continue;
        }
        dimensions.push(dimension(first.at, columns));
    }
    dimensions
}

/// The dimension of `columns`, which have as many values each.
fn dimension(at: Place, columns: Vec<Column>) -> Dimension {
    let choices = (0..columns[0].values.len()).map(|index| Choice {
        written: columns.iter().map(|column| told(&column.values[index])).collect(),
        sets: columns
            .iter()
            .map(|column| Set { path: column.path.clone(), at: column.at, value: column.values[index].clone() })
            .collect(),
    });
    let choices = choices.collect();
    Dimension { at, names: columns.into_iter().map(|column| column.path).collect(), choices }
}

/// The dimension of `[[sweep.variants]]`.
pub(super) fn variants(reader: &mut Reader, section: &Section<'_>) -> Option<Dimension> {
    let entry = section.get("variants")?;
    let mut choices: Vec<Choice> = Vec::new();
    for value in reader.items(&entry.value, "variants", VALUES_MAX) {
        let variant = reader.section_of(value, "variants", &["name", "set"]);
        if !variant.is_table() {
            continue;
        }
        let mut found = Vec::new();
        if let Some(set) = variant.get("set")
            && let Some(table) = reader.table_of(&set.value, "set")
        {
            leaves(reader, table, "", false, &mut found);
        }
        let Some(name) = variant_name(reader, &variant, value.at) else { continue };
        if choices.iter().any(|choice| choice.written[0] == name) {
            let title = format!("the variant `{name}` stands there for the second time");
            reader.report(Draft::new(value.at, title, "give it another name").code(Code::Twice));
            continue;
        }
        let set = |(path, entry): (String, &Entry)| Set { path, at: entry.key_at, value: entry.value.clone() };
        choices.push(Choice { written: vec![name], sets: found.into_iter().map(set).collect() });
    }
    (!choices.is_empty()).then(|| Dimension { at: entry.key_at, names: vec![VARIANT.to_owned()], choices })
}

fn variant_name(reader: &mut Reader, variant: &Section<'_>, at: Place) -> Option<String> {
    const CHARS_MAX: usize = 64;
    let Some(entry) = variant.get("name") else {
        reader.lacks(Some(at), "a variant has no `name`", "add name = \"base\"");
        return None;
    };
    reader.note_preset(&entry.value, Preset::Required);
    let name = reader.text(&entry.value, "a name", "\"base\"")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=CHARS_MAX).contains(&name.len()) && name.chars().all(plain) {
        return Some(name.to_owned());
    }
    let title = format!("`{}` cannot name a variant", short(name));
    let label = "write 1 to 64 of the characters A-Z a-z 0-9 . _ -";
    reader.report(Draft::new(entry.value.at, title, label).code(Code::BadText));
    None
}

/// A key with its values.
struct Column {
    path: String,
    at: Place,
    values: Vec<Value>,
}

/// The axes in `table`, in the order of the file.
fn columns(reader: &mut Reader, table: &Table, what: &str, at: Place) -> Vec<Column> {
    let mut found = Vec::new();
    leaves(reader, table, "", true, &mut found);
    if found.len() > KEYS_MAX {
        let title = format!("{} keys are too many for `{what}`", found.len());
        reader.report(Draft::new(at, title, format!("write at most {KEYS_MAX}")).code(Code::ListLength));
        return Vec::new();
    }
    let column = |(path, entry): (String, &Entry)| {
        let values = values(reader, &path, &entry.value)?;
        Some(Column { path, at: entry.key_at, values })
    };
    let mut columns: Vec<Column> = found.into_iter().filter_map(column).collect();
    columns.sort_by_key(|column| column.at);
    columns
}

/// The keys in `table` below `prefix`. Tables are followed, but for ranges where there may be `ranges`, and for those
/// that a key in quotes with dots names.
fn leaves<'t>(reader: &mut Reader, table: &'t Table, prefix: &str, ranges: bool, found: &mut Vec<(String, &'t Entry)>) {
    for (key, entry) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let is_key = path.split('.').all(|name| !name.is_empty() && name.chars().all(plain));
        let label = if !is_key || path.split('.').count() > DEPTH_MAX {
            "write a key of the scenario such as \"network.loss\""
        } else if let Some((_, label)) = NOT_SWEPT.iter().find(|(name, _)| path.split('.').next() == Some(name)) {
            label
        } else {
            match &entry.value.kind {
                Kind::Table(inner) if !(key.contains('.') || ranges && range::is_range(inner)) => {
                    leaves(reader, inner, &path, ranges, found);
                }
                _ => found.push((path, entry)),
            }
            continue;
        };
        let title = format!("a sweep cannot vary `{}`", short(&path));
        reader.report(Draft::new(entry.key_at, title, label).code(Code::Sweep));
    }
}

/// The values of the axis `path`: a list, a range, or a single value.
fn values(reader: &mut Reader, path: &str, value: &Value) -> Option<Vec<Value>> {
    let values = match &value.kind {
        Kind::Table(table) if range::is_range(table) => range::values(reader, path, value.at, table)?,
        Kind::List(items) => items.clone(),
        _ => vec![value.clone()],
    };
    if values.is_empty() || values.len() > VALUES_MAX {
        let title = format!("`{}` has {} values", short(path), values.len());
        let label = format!("write from one value to {VALUES_MAX}");
        reader.report(Draft::new(value.at, title, label).code(Code::ListLength));
        return None;
    }
    let mut seen = std::collections::BTreeSet::new();
    for one in &values {
        let text = told(one);
        if !seen.insert(text.clone()) {
            let title = format!("the axis `{}` has the value {} twice", short(path), short(&text));
            let label = if one.at == value.at { "write fewer steps" } else { "remove it" };
            reader.report(Draft::new(one.at, title, label).code(Code::Twice));
            return None;
        }
    }
    Some(values)
}
