//! Tables of delays between regions, published or from a CSV file, and how nodes are spread over the regions.

use super::codes::Code;
use super::files::{Cell, CsvFile, Row};
use super::latency::{DELAY_MAX, ZERO_HELP, refuse_zero};
use super::problem::{Draft, nearest};
use super::quantity::{Decimal, short, span_text};
use super::reader::{Reader, Section};
use super::tree::{Entry, Value};
use crate::contract::{Placement, SimSpan};
use crate::engine::regions::{Holds, RegionTable, TABLES};

/// Bytes of a file of delays.
const FILE_BYTES_MAX: u64 = 1_000_000;
/// How far from one the sum of shares may be.
const SHARES_TOLERANCE: f64 = 1e-9;
/// What a file of delays looks like.
const FILE_HELP: &str = "the file has a line `from,<region>,<region>,...` and then, for each region in the same order, \
    its name and the delays from it in milliseconds";

/// The names in scenario files of what a table may hold.
const HOLDS: [(&str, Holds); 2] = [("one-way", Holds::OneWay), ("rtt", Holds::Rtt)];

/// The table that `table` or `file` names, with `holds` and `same_region` taken in.
pub(super) fn table(reader: &mut Reader, section: &Section<'_>) -> Option<RegionTable> {
    let holds = reader.field(section, "holds", None, |reader, value| {
        let index = reader.choice(value, "what the table holds", &HOLDS.map(|(name, _)| name))?;
        Some(Some(HOLDS[index].1))
    });
    let same_region = reader
        .field(section, "same_region", SimSpan::ZERO, |reader, value| reader.span(value, SimSpan::ZERO, DELAY_MAX));
    let same_region_written = same_region.at.is_some();
    let same_region = refuse_zero(reader, same_region);
    let table = match (section.get("table"), section.get("file")) {
        (Some(_), Some(file)) => {
            let title = "delays come from a `table` or from a `file`, not from both";
            reader.report(Draft::new(file.key_at, title, "remove one of them").code(Code::Meaningless));
            None
        }
        (_, Some(file)) => {
            if holds.at.is_none() {
                let title = "a file of delays needs `holds`: what its figures are";
                let draft = Draft::new(file.value.at, title, "add holds = \"one-way\" or holds = \"rtt\" below")
                    .code(Code::Missing);
                reader.report(draft.help("of round trips, half is taken for each way"));
            }
            from_file(reader, &file.value, holds.value.flatten())
        }
        (table, None) => published(reader, table, holds.value?),
    };
    match (table?, same_region) {
        (table, Some(delay)) => Some(table.with_same_region(delay)),
        (table, None) => (!same_region_written).then_some(table),
    }
}

fn published(reader: &mut Reader, entry: Option<&Entry>, holds: Option<Holds>) -> Option<RegionTable> {
    let index = match entry {
        Some(entry) => reader.choice(&entry.value, "a latency table", &TABLES)?,
        None => 0,
    };
    RegionTable::published(TABLES[index], holds)
}

/// The table in the file that `value` names. Problems of the file are told even where it is not known what it holds.
fn from_file(reader: &mut Reader, value: &Value, holds: Option<Holds>) -> Option<RegionTable> {
    let file = reader.csv_file(value, FILE_BYTES_MAX)?;
    let problems = reader.drafts.len();
    let table = matrix(reader, &file, holds.unwrap_or(Holds::OneWay));
    if reader.drafts.len() > problems || holds.is_none() {
        return None;
    }
    let (regions, delays) = table?;
    Some(RegionTable::new(file.name().to_owned(), regions, delays))
}

/// The regions and the one-way delays of `file`, row by row. What is wrong is reported, and stands for something else in
/// what is returned.
fn matrix(reader: &mut Reader, file: &CsvFile, holds: Holds) -> Option<(Vec<String>, Vec<SimSpan>)> {
    let mut rows = file.rows();
    let header = rows.next()?;
    let regions = header_names(reader, &header)?;
    let (mut delays, mut found, mut last) = (Vec::new(), 0, header.at);
    for row in rows {
        if found < regions.len() {
            row_delays(reader, &row, &regions, found, holds, &mut delays);
        }
        (found, last) = (found + 1, row.at);
    }
    if found != regions.len() {
        let title = format!("the matrix is not square: {} regions and {found} rows", regions.len());
        let label = match regions.get(found) {
            Some(missing) => format!("add a row for {missing} below"),
            None => format!("end with the row of {}", regions.last()?),
        };
        reader.report(Draft::new(last, title, label).code(Code::FileContents).help(FILE_HELP));
    }
    Some((regions, delays))
}

/// The names of the regions; `None` if there are none or too many.
fn header_names(reader: &mut Reader, header: &Row<'_>) -> Option<Vec<String>> {
    let names: Vec<_> = header.cells().skip(1).collect();
    if !(1..=Placement::REGIONS_MAX).contains(&names.len()) {
        let title = format!("expected 1 to {} regions, found {}", Placement::REGIONS_MAX, names.len());
        reader.report(
            Draft::new(header.at, title, "write from,<region>,<region>,...").code(Code::FileContents).help(FILE_HELP),
        );
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    for (index, name) in names.iter().enumerate() {
        if !(1..=64).contains(&name.text.len()) || !name.text.chars().all(is_plain) {
            let title = format!("`{}` (column {}) cannot name a region", short(name.text), index + 2);
            reader.report(
                Draft::new(name.at, title, "write 1 to 64 of the characters A-Z a-z 0-9 . _ -")
                    .code(Code::FileContents),
            );
        } else if names[..index].iter().any(|before| before.text == name.text) {
            let title = format!("the region `{}` (column {}) stands here for the second time", name.text, index + 2);
            reader.report(Draft::new(name.at, title, "remove or rename it").code(Code::FileContents));
        }
    }
    Some(names.iter().map(|name| name.text.to_owned()).collect())
}

/// Adds the delays of `row`, which should be that of region number `from`, to `delays`.
fn row_delays(
    reader: &mut Reader,
    row: &Row<'_>,
    regions: &[String],
    from: usize,
    holds: Holds,
    delays: &mut Vec<SimSpan>,
) {
    let cells: Vec<_> = row.cells().collect();
    let (name, written) = (cells[0], &cells[1..]);
    if name.text != regions[from] {
        let title = format!("expected the row of region `{}`, found `{}`", short(&regions[from]), short(name.text));
        let draft = Draft::new(name.at, title, format!("write {}", short(&regions[from]))).code(Code::FileContents);
        reader.report(draft.help("rows stand in the order of the columns"));
    }
    if written.len() != regions.len() {
        let title = format!(
            "the matrix is not square: the row of `{}` has {} delays for {} regions",
            short(name.text),
            written.len(),
            regions.len()
        );
        reader.report(Draft::new(row.at, title, format!("write {} delays", regions.len())).code(Code::FileContents));
    }
    for (to, cell) in written.iter().enumerate().take(regions.len()) {
        let between =
            format!("the delay from {} to {} (column {})", short(&regions[from]), short(&regions[to]), to + 2);
        match cell_delay(cell, holds) {
            Ok(SimSpan::ZERO) if from != to => {
                let draft =
                    Draft::new(cell.at, format!("{between} is zero"), "write for example 0.5").code(Code::FileContents);
                reader.report(draft.help(ZERO_HELP));
            }
            Ok(delay) => delays.push(delay),
            Err((fault, label)) => {
                reader.report(Draft::new(cell.at, format!("{between} {fault}"), label).code(Code::FileContents))
            }
        }
    }
}

/// The one-way delay in a cell, or what is wrong with it and what to write.
fn cell_delay(cell: &Cell<'_>, holds: Holds) -> Result<SimSpan, (String, &'static str)> {
    const MILLISECONDS: &str = "write milliseconds, such as 12.5";
    if cell.text.starts_with('-') {
        return Err((format!("is negative: {}", short(cell.text)), MILLISECONDS));
    }
    let Some(millis) = Decimal::parse(cell.text) else {
        return Err((format!("is no number: `{}`", short(cell.text)), MILLISECONDS));
    };
    let nanos = match holds {
        Holds::OneWay => millis.times(1_000_000),
        Holds::Rtt => millis.times(500_000),
    };
    match nanos.map(SimSpan::from_nanos) {
        Some(delay) if delay <= DELAY_MAX => Ok(delay),
        Some(_) => Err((format!("is longer than {} one way", span_text(DELAY_MAX)), MILLISECONDS)),
        None => Err((
            format!("is too large, or no whole number of nanoseconds one way: `{}`", short(cell.text)),
            "write fewer digits",
        )),
    }
}

/// How the nodes are spread over the regions of `table`: as the file says, else as the table says, else evenly.
pub(super) fn shares(reader: &mut Reader, section: &Section<'_>, table: &RegionTable) -> Option<Vec<f64>> {
    let count = table.regions.len();
    let Some(entry) = section.get("shares") else {
        return Some(table.shares.clone().unwrap_or_else(|| vec![1.0 / count as f64; count]));
    };
    let written = reader.table_of(&entry.value, "shares")?;
    let mut shares = Some(vec![0.0; count]);
    for (name, entry) in written {
        let Some(region) = table.regions.iter().position(|region| region == name) else {
            refuse_region(reader, table, name, entry);
            shares = None;
            continue;
        };
        let share = reader.number(&entry.value, "a share from 0 to 1", |share| (0.0..=1.0).contains(&share));
        match (share, &mut shares) {
            (Some(share), Some(shares)) => shares[region] = share,
            _ => shares = None,
        }
    }
    let shares = shares?;
    let sum = shares.iter().fold(0.0, |sum, share| sum + share);
    if (sum - 1.0).abs() > SHARES_TOLERANCE {
        let draft =
            Draft::new(entry.value.at, format!("the shares of the regions add up to {sum}"), "make them add up to 1");
        reader.report(draft);
        return None;
    }
    Some(shares)
}

fn refuse_region(reader: &mut Reader, table: &RegionTable, name: &str, entry: &Entry) {
    let known: Vec<_> = table.regions.iter().map(String::as_str).collect();
    let title = format!("unknown region `{}` in table {}", short(name), short(&table.name));
    reader.report(match nearest(name, &known) {
        Some(near) => Draft::new(entry.key_at, title, format!("write {near}")).code(Code::UnknownWord),
        None => Draft::new(entry.key_at, title, "remove it")
            .code(Code::UnknownWord)
            .help(format!("its regions are {}", known.join(", "))),
    });
}
