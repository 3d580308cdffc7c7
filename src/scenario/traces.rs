//! Spans of time that were observed: a column of a CSV file with a header, in seconds.

use std::path::PathBuf;

use super::codes::Code;
use super::files::{CsvFile, Row};
use super::problem::{Draft, Place};
use super::quantity::{count_text, short};
use super::reader::Reader;
use super::tree::{Kind, Value};
use crate::engine::Distribution;

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 16_000_000;
/// Values of a trace.
const VALUES_MAX: usize = 1_000_000;
/// Different traces of a scenario: each may take 48 MB while it is read.
const TRACES_MAX: usize = 8;
/// Seconds: a millisecond to ten years, as for every other distribution.
const SECONDS: (f64, f64) = (0.001, 315_360_000.0);
/// Bad rows of a trace that are told one by one.
const TOLD_MAX: usize = 10;

/// The traces that were read so far; one that is named twice is read once.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// File, column, and what they hold; `None` if that is refused.
    read: Vec<(PathBuf, String, Option<Distribution>)>,
}

impl Traces {
    /// The values of `column` in the file that `value` names.
    pub(super) fn read(&mut self, reader: &mut Reader, value: &Value, column: &str) -> Option<Distribution> {
        if let Kind::Text(name) = &value.kind {
            let path = reader.files.path_of(value.at.source, name);
            if let Some((.., trace)) = self.read.iter().find(|(file, read, _)| *file == path && read == column) {
                return trace.clone();
            }
            if self.read.len() >= TRACES_MAX {
                let title = format!("more than {TRACES_MAX} different traces");
                reader.report(
                    Draft::new(value.at, title, "use one of the others again, or another distribution")
                        .code(Code::ListLength),
                );
                return None;
            }
            let file = reader.csv_file(value, FILE_BYTES_MAX);
            let values = file.and_then(|file| values(reader, &file, column, value.at));
            let trace = values.map(|values| Distribution::Observed(values.into()));
            self.read.push((path, column.to_owned(), trace.clone()));
            return trace;
        }
        reader.text(value, "the name of a file", "\"sessions.csv\"");
        None
    }
}

/// The values of `column` in `file`, at least one; `named_at` is where the file is named.
fn values(reader: &mut Reader, file: &CsvFile, column: &str, named_at: Place) -> Option<Vec<f64>> {
    let mut rows = file.rows();
    let header = rows.next()?;
    let Some(index) = header.cells().position(|cell| cell.text == column) else {
        let names: Vec<_> = header.cells().take(8).map(|cell| format!("`{}`", short(cell.text))).collect();
        let title = format!("the file has no column `{}`", short(column));
        let draft = Draft::new(header.at, title, "name the column here, or write one of these as `column`")
            .code(Code::FileContents);
        reader.report(draft.help(format!("its columns are {}", names.join(", "))));
        return None;
    };
    let mut values = Vec::new();
    let mut bad = 0;
    for row in rows {
        if values.len() + bad == VALUES_MAX {
            let title = format!("more than {} rows below the header", count_text(VALUES_MAX as u64));
            reader.report(Draft::new(row.at, title, "leave out this row and all that follow").code(Code::FileContents));
            return None;
        }
        match seconds(&row, index, column) {
            Ok(value) => values.push(value),
            Err(draft) => {
                bad += 1;
                if bad <= TOLD_MAX {
                    reader.report(draft);
                }
            }
        }
    }
    if bad > TOLD_MAX {
        let title = format!("{} more rows of the file are bad in the column `{}`", bad - TOLD_MAX, short(column));
        reader.report(Draft::new(named_at, title, "mend the file").code(Code::FileContents));
    }
    if bad == 0 && values.is_empty() {
        reader.report(
            Draft::new(header.at, "there is no row below the header", "write a row with a value below")
                .code(Code::FileContents),
        );
    }
    (bad == 0 && !values.is_empty()).then_some(values)
}

/// The seconds in the cell `index` of `row`.
fn seconds(row: &Row<'_>, index: usize, column: &str) -> Result<f64, Draft> {
    let label = "write seconds from 0.001 to 315360000 (ten years)";
    let Some(cell) = row.cells().nth(index) else {
        let title = format!("this row has no cell in the column `{}`", short(column));
        return Err(Draft::new(row.at, title, "write as many cells as the header has").code(Code::FileContents));
    };
    match cell.text.parse::<f64>() {
        Ok(number) if (SECONDS.0..=SECONDS.1).contains(&number) => Ok(number),
        Ok(_) => {
            let title = format!("`{}` in the column `{}` is out of range", short(cell.text), short(column));
            Err(Draft::new(cell.at, title, label).code(Code::FileContents))
        }
        Err(_) => {
            let title = format!("`{}` in the column `{}` is no number", short(cell.text), short(column));
            Err(Draft::new(cell.at, title, label).code(Code::FileContents))
        }
    }
}
