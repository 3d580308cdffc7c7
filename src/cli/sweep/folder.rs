//! The folder of a sweep: its manifest, its finished runs, and the sheets when all are there.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::Failure;
use super::{ROWS_KEPT, runs_folder};
use crate::report::{check_writable, write_results};
use crate::results::{
    MANIFEST_FILE, MEANS_FILE, Manifest, Record, RunId, SWEEP_FILE, SWEPT_THRESHOLDS_FILE, Sheets, StoredError,
};

/// The table of a sweep, for people.
const TABLES_FILE: &str = "tables.txt";

/// A file of a sweep that is there and cannot be used.
#[derive(Debug)]
pub(in crate::cli) struct Unusable {
    /// The file.
    pub(in crate::cli) path: PathBuf,
    /// Why.
    pub(in crate::cli) error: StoredError,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}: {}", self.path.display(), self.error)
    }
}

impl Unusable {
    /// The failure of a command that needs it.
    pub(in crate::cli) fn failure(&self) -> Failure {
        Failure { code: Failure::INPUT_OUTPUT, message: format!("error: {self}") }
    }
}

/// The bytes of the file `path`, at most `bytes_max` and one; `None` if there is none.
fn bytes_of(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, Unusable> {
    let unreadable = |error: &dyn fmt::Display| Unusable {
        path: path.to_owned(),
        error: StoredError::Damaged(format!("it cannot be read: {error}")),
    };
    match fs::metadata(path) {
        // Before it is opened: a pipe would keep the program waiting for ever.
        Ok(metadata) if !metadata.is_file() => return Err(unreadable(&"it is no ordinary file")),
        Ok(metadata) if metadata.len() > bytes_max as u64 => {
            return Err(Unusable { path: path.to_owned(), error: StoredError::TooLarge(bytes_max) });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    }
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(Some(bytes))
}

/// The manifest in `folder`; `None` if there is none.
pub(in crate::cli) fn read_manifest(folder: &Path) -> Result<Option<Manifest>, Unusable> {
    let path = folder.join(MANIFEST_FILE);
    let Some(bytes) = bytes_of(&path, Manifest::BYTES_MAX)? else { return Ok(None) };
    Manifest::from_json(&bytes).map(Some).map_err(|error| Unusable { path, error })
}

/// The record of `run` in `folder`; `None` if it is not finished.
pub(in crate::cli) fn read_record(folder: &Path, manifest: &Manifest, run: RunId) -> Result<Option<Record>, Unusable> {
    let path = runs_folder(folder).join(file_name(manifest, run));
    let Some(bytes) = bytes_of(&path, Record::BYTES_MAX)? else { return Ok(None) };
    Record::from_json(&bytes, manifest, run).map(Some).map_err(|error| Unusable { path, error })
}

fn file_name(manifest: &Manifest, run: RunId) -> String {
    format!("{}.json", manifest.key(run))
}

/// Stores the record of `run` in `folder`.
pub(in crate::cli) fn store(folder: &Path, manifest: &Manifest, run: RunId, record: &Record) -> Result<(), Failure> {
    let name = file_name(manifest, run);
    write_results(&runs_folder(folder), &[(&name, record.to_json())])
        .map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))
}

/// Makes `folder` that of `manifest`, and returns the manifest that stands in it: of the same sweep, perhaps by another
/// command. Sheets of another sweep are taken away; finished runs stay.
pub(in crate::cli) fn start(folder: &Path, manifest: &Manifest) -> Result<Manifest, Failure> {
    let input_output = |error: &dyn std::error::Error| Failure::of(Failure::INPUT_OUTPUT, error);
    check_writable(folder).map_err(|error| input_output(&error))?;
    match read_manifest(folder) {
        Ok(Some(old)) if old.is_same_sweep(manifest) => return Ok(old),
        Err(unusable @ Unusable { error: StoredError::Newer(_), .. }) => return Err(unusable.failure()),
        Ok(_) | Err(_) => {}
    }
    for name in [SWEEP_FILE, MEANS_FILE, SWEPT_THRESHOLDS_FILE, TABLES_FILE] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(input_output(&error)),
            _ => {}
        }
    }
    write_results(folder, &[(MANIFEST_FILE, manifest.to_json())]).map_err(|error| input_output(&error))?;
    Ok(manifest.clone())
}

/// Why there are no sheets yet.
enum Lacking {
    Run,
    Failed(Failure),
}

/// Writes the sheets of the sweep in `folder`, if all of its runs are there; else returns those that are not.
pub(in crate::cli) fn finish(folder: &Path, manifest: &Manifest) -> Result<Result<Sheets, Vec<RunId>>, Failure> {
    let is_missing = |run: &RunId| !runs_folder(folder).join(file_name(manifest, *run)).is_file();
    let missing: Vec<RunId> = manifest.runs().filter(is_missing).collect();
    if !missing.is_empty() {
        return Ok(Err(missing));
    }
    let read = |run| match read_record(folder, manifest, run) {
        Ok(Some(record)) => Ok(record),
        Ok(None) => Err(Lacking::Run),
        Err(unusable) => Err(Lacking::Failed(unusable.failure())),
    };
    let sheets = match Sheets::of(manifest, read) {
        Ok(sheets) => sheets,
        Err(Lacking::Failed(failure)) => return Err(failure),
        // Somebody took a file away in between.
        Err(Lacking::Run) => return Ok(Err(manifest.runs().filter(is_missing).collect())),
    };
    let tables = format!("$ {}\n\n{}", manifest.command, sheets.table(manifest, ROWS_KEPT));
    let mut files =
        vec![(SWEEP_FILE, sheets.runs.clone()), (MEANS_FILE, sheets.means.clone()), (TABLES_FILE, tables.into_bytes())];
    files.extend(sheets.thresholds.clone().map(|csv| (SWEPT_THRESHOLDS_FILE, csv)));
    write_results(folder, &files).map_err(|error| Failure::of(Failure::INPUT_OUTPUT, &error))?;
    Ok(Ok(sheets))
}
