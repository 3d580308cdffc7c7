//! Users and endorsements from files: CSV with a header, or one JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::super::record::{Endorsement, User};
use super::super::text::{Item, Line};
use super::source::{Batch, Batches, Place, Source, SourceError};

/// The longest line, in bytes.
const LINE_LEN_MAX: usize = 4096;
/// Lines of a batch, ...
const BATCH_LINES: usize = 1 << 14;
/// ... and those that one thread reads at a time.
const CHUNK_LINES: usize = 1 << 10;
/// The most files of an import.
const FILES_MAX: usize = 10_000;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Comma-separated values under these columns.
    Csv { columns: Vec<String>, endorsements: bool },
    /// An object a line, each a user or an endorsement.
    Json,
}

/// Files, read in the order in which they are named. A line stands for a user or an endorsement.
#[derive(Clone, Debug)]
pub struct Files {
    files: Vec<(PathBuf, Kind)>,
}

impl Files {
    /// Looks at `paths`: names that end in `.csv` are CSV; in `.jsonl`, `.ndjson` or `.json`, JSON lines.
    ///
    /// # Errors
    ///
    /// If a file cannot be opened, or has another ending, or a header that is not understood.
    pub fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        if paths.len() > FILES_MAX {
            let reason = format!("an import takes {FILES_MAX} files at most, and there are {}", paths.len());
            return Err(SourceError::Kind { path: paths[FILES_MAX].clone(), reason });
        }
        let files = paths.iter().map(|path| Ok((path.clone(), kind(path)?))).collect::<Result<_, SourceError>>()?;
        Ok(Files { files })
    }

    fn batches<'a, T: Send + 'a>(&'a self, wanted: fn(Item) -> Option<T>, endorsements: bool) -> Batches<'a, T> {
        let has_any = move |kind: &Kind| match kind {
            Kind::Csv { endorsements: of_endorsements, .. } => *of_endorsements == endorsements,
            Kind::Json => true,
        };
        let files = self.files.iter().zip(0u32..).filter(move |((_, kind), _)| has_any(kind));
        Box::new(files.flat_map(move |((path, kind), part)| match Lines::open(path, part) {
            Ok(mut lines) => {
                let next = move || Some(lines.next()?.map(|lines| parse(&lines, kind, wanted, endorsements)));
                Box::new(std::iter::from_fn(next)) as Batches<'a, T>
            }
            Err(error) => Box::new(std::iter::once(Err(error))),
        }))
    }
}

/// The kind of a file, from its name and header.
fn kind(path: &Path) -> Result<Kind, SourceError> {
    let refuse = |reason: String| SourceError::Kind { path: path.to_path_buf(), reason };
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let mut lines = match ending.as_str() {
        "jsonl" | "ndjson" | "json" => return Lines::open(path, 0).map(|_| Kind::Json),
        "csv" => Lines::open(path, 0)?,
        _ => return Err(refuse("a file to be imported is named *.csv or *.jsonl".to_owned())),
    };
    lines.batch = 1;
    let Some(header) = lines.next().transpose()? else {
        return Err(refuse("the file is empty: a CSV file begins with a header".to_owned()));
    };
    let text = std::str::from_utf8(&header.bytes).map_err(|_| refuse("the header is no UTF-8".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let columns: Vec<String> = text.trim().split(',').map(|name| name.trim_matches(['"', ' ']).to_owned()).collect();
    let endorsements = Line::check_columns(&columns).map_err(refuse)?;
    Ok(Kind::Csv { columns, endorsements })
}

/// Some lines of a file, one after the other, each with its end.
struct Text {
    bytes: Vec<u8>,
    /// Where each line begins, and where the last ends.
    starts: Vec<usize>,
    first: Place,
    /// Lines that are too long; nothing of them is kept.
    too_long: Vec<Place>,
}

/// Reads lines of bounded length.
struct Lines<'a> {
    file: BufReader<File>,
    path: &'a Path,
    next: Place,
    batch: usize,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path, part: u32) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Read { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            let reason = "is not a regular file; an import reads its files twice".to_owned();
            return Err(SourceError::Kind { path: path.to_path_buf(), reason });
        }
        let file = BufReader::with_capacity(1 << 18, file);
        Ok(Lines { file, path, next: Place { part, line: 1 }, batch: BATCH_LINES })
    }

    fn next(&mut self) -> Option<Result<Text, SourceError>> {
        let mut text = Text { bytes: Vec::new(), starts: vec![0], first: self.next, too_long: Vec::new() };
        while text.starts.len() <= self.batch {
            match self.line(&mut text) {
                Ok(true) => {}
                Ok(false) => break,
                Err(source) => return Some(Err(SourceError::Read { path: self.path.to_path_buf(), source })),
            }
        }
        (text.starts.len() > 1).then_some(Ok(text))
    }

    /// Adds a line to `text`; an empty one instead of one that is too long. False at the end.
    fn line(&mut self, text: &mut Text) -> std::io::Result<bool> {
        let start = text.bytes.len();
        if (&mut self.file).take(LINE_LEN_MAX as u64 + 1).read_until(b'\n', &mut text.bytes)? == 0 {
            return Ok(false);
        }
        if text.bytes.ends_with(b"\r\n") {
            text.bytes.truncate(text.bytes.len() - 2);
            text.bytes.push(b'\n');
        } else if !text.bytes.ends_with(b"\n") {
            if text.bytes.len() - start > LINE_LEN_MAX {
                text.bytes.truncate(start);
                text.too_long.push(self.next);
                self.skip_line()?;
            }
            text.bytes.push(b'\n');
        }
        text.starts.push(text.bytes.len());
        self.next.line += 1;
        Ok(true)
    }

    fn skip_line(&mut self) -> std::io::Result<()> {
        loop {
            let buffer = self.file.fill_buf()?;
            let (len, end) = match buffer.iter().position(|&byte| byte == b'\n') {
                Some(place) => (place + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.file.consume(len);
            if end {
                return Ok(());
            }
        }
    }
}

/// What `text` holds of what is `wanted`. A line of which nothing can be said is bad among users only, so that it is
/// told once.
fn parse<T: Send>(text: &Text, kind: &Kind, wanted: fn(Item) -> Option<T>, endorsements: bool) -> Batch<T> {
    let starts = &text.starts[..text.starts.len() - 1];
    let parse = |(chunk, starts): (usize, &[usize])| {
        let first = chunk * CHUNK_LINES;
        let end = text.starts[first + starts.len()];
        let bytes = &text.bytes[starts[0]..end];
        let place = |line: u64| Place { line: text.first.line + first as u64 + line, ..text.first };
        let mut batch = Batch { items: Vec::new(), bad: Vec::new() };
        let mut take = |line: u64, read: Result<Item, (bool, String)>| match read {
            Ok(item) => batch.items.extend(wanted(item).map(|item| (place(line), item))),
            Err((of_endorsement, reason)) if of_endorsement == endorsements => batch.bad.push((place(line), reason)),
            Err(_) => {}
        };
        match kind {
            Kind::Json => json(bytes, &mut take),
            Kind::Csv { columns, .. } => {
                csv((bytes, starts), columns, endorsements, text.first.line == 1 && first == 0, &mut take)
            }
        }
        batch
    };
    let parts: Vec<Batch<T>> = starts.par_chunks(CHUNK_LINES).enumerate().map(parse).collect();
    let too_long = |&place: &Place| (place, format!("the line is longer than {LINE_LEN_MAX} bytes"));
    let told = text.too_long.iter().filter(|_| !endorsements || matches!(kind, Kind::Csv { .. }));
    let mut whole = Batch { items: Vec::new(), bad: told.map(too_long).collect() };
    for part in parts {
        whole.items.extend(part.items);
        whole.bad.extend(part.bad);
    }
    whole.bad.sort_by_key(|bad| bad.0);
    whole
}

fn json(bytes: &[u8], take: &mut impl FnMut(u64, Result<Item, (bool, String)>)) {
    for (line, number) in bytes.split(|&byte| byte == b'\n').zip(0..) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if line[0] != b'{' {
            take(number, Err((false, "a line is a JSON object, in braces".to_owned())));
            continue;
        }
        match serde_json::from_slice::<Line<'_>>(line) {
            Ok(line) => take(number, line.read().map_err(|reason| (line.is_endorsement(), reason))),
            Err(error) => take(number, Err((false, json_reason(&error)))),
        }
    }
}

/// What is wrong with a line, by the column in it.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cause = text.split(" at line ").next().unwrap_or_default();
    format!("{cause}, at column {}", error.column())
}

fn csv(
    (bytes, starts): (&[u8], &[usize]),
    columns: &[String],
    endorsements: bool,
    has_header: bool,
    take: &mut impl FnMut(u64, Result<Item, (bool, String)>),
) {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut is_header = has_header;
    loop {
        // The reader is before the line ends that it will skip.
        let mut at = reader.position().byte() as usize;
        at += bytes.get(at..).unwrap_or_default().iter().take_while(|&&byte| byte == b'\n').count();
        let number = starts.partition_point(|start| start - starts[0] <= at).saturating_sub(1) as u64;
        match reader.read_byte_record(&mut record) {
            Ok(false) => return,
            Ok(true) if std::mem::take(&mut is_header) => {}
            Ok(true) => {
                let line = Line::of_columns(columns, &record);
                take(number, line.and_then(|line| line.read()).map_err(|reason| (endorsements, reason)));
            }
            Err(error) => return take(number, Err((endorsements, error.to_string()))),
        }
    }
}

impl Source for Files {
    fn identity(&self) -> Result<String, SourceError> {
        let mut all = blake3::Hasher::new();
        for (path, _) in &self.files {
            let failed = |source| SourceError::Read { path: path.clone(), source };
            let about = path.metadata().map_err(failed)?;
            let changed = about.modified().map_err(failed)?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let path = path.canonicalize().map_err(failed)?;
            all.update(format!("{path:?} {} {}\n", about.len(), changed.as_nanos()).as_bytes());
        }
        Ok(format!("files {}", all.finalize()))
    }

    fn users(&self) -> Batches<'_, User> {
        let user = |item| match item {
            Item::User(user) => Some(user),
            Item::Endorsement(_) => None,
        };
        self.batches(user, false)
    }

    fn endorsements(&self, skipped: u64) -> Batches<'_, Endorsement> {
        let endorsement = |item| match item {
            Item::Endorsement(endorsement) => Some(endorsement),
            Item::User(_) => None,
        };
        let mut left = skipped;
        Box::new(self.batches(endorsement, true).map(move |batch| {
            let mut batch = batch?;
            let drop = left.min(batch.items.len() as u64);
            batch.items.drain(..drop as usize);
            left -= drop;
            Ok(batch)
        }))
    }

    fn describe(&self, place: Place) -> String {
        let path = self.files.get(place.part as usize).map(|(path, _)| path.display().to_string());
        format!("{}:{}", path.unwrap_or_default(), place.line)
    }

    fn size(&self) -> Option<(u64, u64)> {
        None
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
