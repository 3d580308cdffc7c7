//! `metrics.csv` and `sweep.csv` as they are read again, to be compared.

use std::collections::BTreeMap;

use csv::StringRecord;
use thiserror::Error;

use super::compare::{Figure, Key, Results};
use crate::metrics::long_row;
use crate::report::{METRICS_COLUMNS, RUN_COLUMNS};

/// Longest sheet that is read, in bytes.
const BYTES_MAX: usize = 500_000_000;
/// Longest text of a cell, in bytes.
const CELL_BYTES_MAX: usize = 1_000;
/// Longest row, in bytes.
const ROW_BYTES_MAX: usize = 100_000;

/// Why a sheet cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// It is larger than any that is written.
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLarge,
    /// Its columns are others.
    #[error("its columns are not {0}: another version wrote it, or it is no such sheet")]
    Columns(String),
    /// It is damaged.
    #[error("line {line}: {reason}")]
    Damaged {
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// The figures of a `metrics.csv`, each of one run.
///
/// # Errors
/// If the bytes are anything else.
pub fn read_metrics(bytes: &[u8]) -> Result<Results, ReadError> {
    let expected = METRICS_COLUMNS.join(",");
    rows(bytes, |header| match header == METRICS_COLUMNS.as_slice() {
        true => Ok(()),
        false => Err(ReadError::Columns(expected.clone())),
    })?
    .read(|_, row| {
        let [approach, nodes, _, metric, unit, value] = std::array::from_fn(|column| &row[column]);
        let key = Key { axes: Vec::new(), approach: text(approach)?, nodes: whole(nodes)?, metric: text(metric)? };
        Ok((key, text(unit)?, None, number(value)?))
    })
}

/// The figures of a `sweep.csv`, by seed.
///
/// # Errors
/// If the bytes are anything else.
pub fn read_sweep(bytes: &[u8]) -> Result<Results, ReadError> {
    let expected = format!("the axes, {}", RUN_COLUMNS.join(","));
    let mut axes: Vec<String> = Vec::new();
    let rows = rows(bytes, |header| {
        let names: Vec<&str> = header.iter().collect();
        let Some(of_axes) = names.strip_suffix(&RUN_COLUMNS) else { return Err(ReadError::Columns(expected.clone())) };
        axes = of_axes.iter().map(|name| text(name)).collect::<Result<_, _>>().map_err(|reason| damaged(1, reason))?;
        Ok(())
    })?;
    rows.read(|_, row| {
        let cells: Vec<&str> = row.iter().collect();
        let (values, rest) = cells.split_at(axes.len());
        let &[approach, nodes, seed, metric, unit, value] = rest else { return Err("a row of another length") };
        let values = axes.iter().zip(values).map(|(axis, value)| Ok((axis.clone(), text(value)?)));
        let axes = values.collect::<Result<_, &'static str>>()?;
        let key = Key { axes, approach: text(approach)?, nodes: whole(nodes)?, metric: text(metric)? };
        Ok((key, text(unit)?, Some(whole(seed)?), number(value)?))
    })
}

fn damaged(line: u64, reason: &'static str) -> ReadError {
    ReadError::Damaged { line, reason }
}

/// A sheet of which the header was read.
struct Rows<'b>(csv::Reader<&'b [u8]>);

fn rows(bytes: &[u8], check: impl FnOnce(&StringRecord) -> Result<(), ReadError>) -> Result<Rows<'_>, ReadError> {
    if bytes.len() > BYTES_MAX {
        return Err(ReadError::TooLarge);
    }
    // A sheet that was cut off within its last line is not taken for a shorter one.
    if bytes.last().is_some_and(|last| *last != b'\n') {
        let line = 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        return Err(damaged(line, "the line has no end"));
    }
    if let Some(line) = long_row(bytes, ROW_BYTES_MAX) {
        return Err(damaged(line, "the row is longer than any that is written"));
    }
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().map_err(|_| damaged(1, "not UTF-8 text"))?;
    check(header)?;
    Ok(Rows(reader))
}

type Row = (Key, String, Option<u64>, f64);

impl Rows<'_> {
    fn read(mut self, row: impl Fn(u64, &StringRecord) -> Result<Row, &'static str>) -> Result<Results, ReadError> {
        let mut figures: BTreeMap<Key, Figure> = BTreeMap::new();
        let mut record = StringRecord::new();
        loop {
            let line = self.0.position().line();
            match self.0.read_record(&mut record) {
                Ok(false) => return Ok(Results { figures }),
                Ok(true) => {}
                Err(_) => return Err(damaged(line, "not a row of as many cells of UTF-8 text as there are columns")),
            }
            let (key, unit, seed, value) = row(line, &record).map_err(|reason| damaged(line, reason))?;
            let figure = figures.entry(key).or_insert_with(|| Figure { unit: unit.clone(), by_seed: BTreeMap::new() });
            if figure.unit != unit || figure.by_seed.insert(seed, value).is_some() {
                return Err(damaged(line, "the figure stands there for the second time, or with another unit"));
            }
        }
    }
}

fn text(cell: &str) -> Result<String, &'static str> {
    match cell.len() <= CELL_BYTES_MAX && !cell.chars().any(char::is_control) {
        true => Ok(cell.to_owned()),
        false => Err("a cell is too long or holds control characters"),
    }
}

fn whole<T: std::str::FromStr>(cell: &str) -> Result<T, &'static str> {
    cell.parse().map_err(|_| "a cell is no whole number")
}

fn number(cell: &str) -> Result<f64, &'static str> {
    cell.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("the value is no finite number")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const METRICS: &str = "approach,nodes,method,metric,unit,value\nping,10,event,state,B,12\n";
    const SWEEP: &str =
        "loss,approach,nodes,seed,metric,unit,value\n0.1,ping,10,1,state,B,12\n0.1,ping,10,2,state,B,13\n";

    #[test]
    fn sheets_are_read_by_key_and_seed() {
        let results = read_metrics(METRICS.as_bytes()).unwrap();
        let (key, figure) = results.figures.first_key_value().unwrap();
        assert_eq!((key.approach.as_str(), key.nodes, key.metric.as_str()), ("ping", 10, "state"));
        assert_eq!((figure.unit.as_str(), figure.by_seed.get(&None)), ("B", Some(&12.0)));
        let results = read_sweep(SWEEP.as_bytes()).unwrap();
        let (key, figure) = results.figures.first_key_value().unwrap();
        assert_eq!(key.axes, [("loss".to_owned(), "0.1".to_owned())]);
        assert_eq!(figure.by_seed, BTreeMap::from([(Some(1), 12.0), (Some(2), 13.0)]));
    }

    #[test]
    fn damage_is_refused_with_its_line() {
        let check = |from: &str, to: &str, line: u64| {
            let error = read_sweep(SWEEP.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(matches!(error, ReadError::Damaged { line: found, .. } if found == line), "{to:?}: {error}");
        };
        check("state,B,13\n", "state,B,1", 3);
        check(",12\n", ",twelve\n", 2);
        check(",12\n", ",inf\n", 2);
        check("ping,10,1", "ping,10.5,1", 2);
        check("ping,10,2", "ping,10,1", 3);
        check("0.1,ping", "0.1,0.2,ping", 2);
        check("0.1,ping", "\u{1b}[1m,ping", 2);
        check("state,B,13", "state,s,13", 3);
        check("state,B,13", &",".repeat(ROW_BYTES_MAX), 3);
        for text in ["", "a,b\n1,2\n", &METRICS.replace("metric", "figure")] {
            assert!(matches!(read_metrics(text.as_bytes()), Err(ReadError::Columns(_))), "{text}");
        }
        assert!(matches!(read_sweep(METRICS.as_bytes()), Err(ReadError::Columns(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_sheet_or_an_error(at in 0..90usize, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for text in [METRICS, SWEEP] {
                let mut sheet = text.as_bytes().to_vec();
                let at = at.min(sheet.len());
                sheet.splice(at..at, bytes.clone());
                let _ = (read_metrics(&sheet), read_sweep(&sheet));
            }
        }
    }
}
