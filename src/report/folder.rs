//! Result files read back: hostile input, taken within bounds or refused with file, line and reason.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::SUMMARY_FORMAT;
use crate::metrics::long_row;

/// Version of the layout of the files that sweeps store and read again.
pub const STORED_FORMAT: u64 = 1;
/// Bytes at the beginning of a JSON document among which the number of its layout is.
const LAYOUT_BYTES: u64 = 200;
/// Bytes of a file that is read back.
pub(super) const FILE_BYTES_MAX: u64 = 10_000_000;
/// Rows of a sheet.
pub(super) const ROWS_MAX: usize = 150_000;
/// Columns of a sheet.
pub(super) const COLUMNS_MAX: usize = 64;
/// Bytes of a cell.
pub(super) const CELL_BYTES_MAX: usize = 4_096;
/// Bytes of a row: cells that are longer together were written by nobody, and are not to be told apart.
const ROW_BYTES_MAX: usize = 100_000;
/// The largest number, either way.
pub(super) const NUMBER_MAX: f64 = 1e30;

/// Why a result file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not give it.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer version of this program wrote it.
    #[error("{}: its layout is number {number}, and this version reads {known}: use the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The number of its layout.
        number: u64,
        /// The newest that this version reads.
        known: u64,
    },
    /// It is not what this program writes.
    #[error("{file}, line {line}: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The files of a result, on disk or just made.
#[derive(Debug)]
pub struct ResultFolder<'f> {
    name: String,
    files: Files<'f>,
}

#[derive(Debug)]
enum Files<'f> {
    Disk(PathBuf),
    Memory(&'f [(&'static str, Vec<u8>)]),
}

impl<'f> ResultFolder<'f> {
    /// The folder `path`. Its name stands for that of the scenario.
    ///
    /// # Errors
    /// If there is no such folder, or if a newer version of this program wrote it.
    pub fn open(path: &Path) -> Result<ResultFolder<'static>, ReadError> {
        let failed = |source| ReadError::Io { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let whole = fs::canonicalize(path).map_err(failed)?;
        let name = whole.file_name().map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned());
        let name = name.chars().take(64).map(|letter| if is_text(letter) { letter } else { '?' }).collect();
        let folder = ResultFolder { name, files: Files::Disk(path.to_owned()) };
        refuse_newer(&path.join("summary.json"), u64::from(SUMMARY_FORMAT))?;
        refuse_newer(&path.join("sweep.json"), STORED_FORMAT)?;
        Ok(folder)
    }

    /// The files of a result of the scenario `name` that are not written yet.
    pub fn in_memory(name: &str, files: &'f [(&'static str, Vec<u8>)]) -> ResultFolder<'f> {
        ResultFolder { name: name.to_owned(), files: Files::Memory(files) }
    }

    /// The name of the folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What problems of `file` call it.
    fn called(&self, file: &str) -> String {
        match &self.files {
            Files::Disk(folder) => folder.join(file).display().to_string(),
            Files::Memory(_) => file.to_owned(),
        }
    }

    /// What is wrong with `file`.
    pub(super) fn refuse(&self, file: &str, line: u64, reason: String) -> ReadError {
        ReadError::Malformed { file: self.called(file), line, reason }
    }

    /// The contents of `file`; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, is not an ordinary file or is longer than 10 MB, unless it was just made.
    pub(super) fn bytes(&self, file: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let path = match &self.files {
            Files::Disk(folder) => folder.join(file),
            Files::Memory(files) => {
                return Ok(files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| bytes.clone()));
            }
        };
        match beginning(&path, FILE_BYTES_MAX + 1)? {
            Some(bytes) if bytes.len() as u64 > FILE_BYTES_MAX => {
                let source = io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"));
                Err(ReadError::Io { path, source })
            }
            bytes => Ok(bytes),
        }
    }

    /// The text in `file`; `None` if there is no such file.
    ///
    /// # Errors
    /// As [`ResultFolder::bytes`], and if it is no text.
    pub(super) fn text(&self, file: &str) -> Result<Option<String>, ReadError> {
        let Some(bytes) = self.bytes(file)? else { return Ok(None) };
        let refuse = |line, reason: &str| Err(self.refuse(file, line, reason.to_owned()));
        let line_at = |bytes: &[u8]| 1 + bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        match String::from_utf8(bytes) {
            Err(error) => refuse(line_at(&error.as_bytes()[..error.utf8_error().valid_up_to()]), "it is not UTF-8"),
            Ok(text) if is_plain(text.as_bytes()) => Ok(Some(text)),
            Ok(text) => match text.find(|letter| !is_text(letter) && !matches!(letter, '\n' | '\t')) {
                Some(at) => refuse(line_at(&text.as_bytes()[..at]), CONTROL),
                None => Ok(Some(text)),
            },
        }
    }

    /// The CSV in `file`; `None` if there is no such file.
    ///
    /// # Errors
    /// As [`ResultFolder::text`], and if it is no table within the bounds of this module; one that was just made may have any
    /// number of rows.
    pub(super) fn sheet(&self, file: &str) -> Result<Option<Sheet>, ReadError> {
        match self.text(file)? {
            Some(text) => {
                // What a run has just made is drawn, however much it is.
                let rows_max = if matches!(self.files, Files::Disk(_)) { ROWS_MAX } else { usize::MAX };
                Sheet::read(self.called(file), &text, rows_max).map(Some)
            }
            None => Ok(None),
        }
    }
}

/// Whether `bytes` are printable ASCII and ends of lines alone, as nearly all results are. Looks at all of a part at once,
/// which the compiler makes vectors of.
fn is_plain(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    bytes.chunks(256).all(|part| part.iter().fold(true, |all, byte| all & is_plain(byte)))
}

/// The first bytes of the file `path`, at most `bytes_max`; `None` if there is no such file.
///
/// # Errors
/// If it cannot be read or is not an ordinary file.
fn beginning(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let failed = |source| ReadError::Io { path: path.to_owned(), source };
    // A pipe would be waited for, for ever.
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(data) if !data.is_file() => return Err(failed(io::Error::other("it is no ordinary file"))),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(Some(bytes))
}

/// Refuses the JSON document `path`, if it is there, where its layout has a number above `known`. What else is wrong with it
/// is found when it is read.
fn refuse_newer(path: &Path, known: u64) -> Result<(), ReadError> {
    let Ok(Some(head)) = beginning(path, LAYOUT_BYTES) else { return Ok(()) };
    match layout_of(&head) {
        Some(number) if number > known => Err(ReadError::Newer { path: path.to_owned(), number, known }),
        _ => Ok(()),
    }
}

/// The number of the layout of the JSON document in `bytes`, of which the first 200 do: in all that is written it stands
/// first, whatever the layout. So a document that is too long or none at all is not read to its end for it.
pub fn layout_of(bytes: &[u8]) -> Option<u64> {
    let head = bytes.iter().take(LAYOUT_BYTES as usize).copied();
    let head: Vec<u8> = head.filter(|byte| !byte.is_ascii_whitespace()).collect();
    let fields = head.strip_prefix(b"{\"deterministic\":").unwrap_or(&head);
    let number = fields.strip_prefix(b"{\"format\":")?;
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&number[..digits]).ok()?.parse().ok()
}

const CONTROL: &str = "a control character, which no result has";

/// Whether `letter` may stand in a result: not what XML forbids, nor what changes how its neighbours are read.
pub(super) fn is_text(letter: char) -> bool {
    let directs = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !directs && !matches!(letter, '\u{fffe}' | '\u{ffff}')
}

/// A table of text. All cells stand in one text, as rows of their own would take several times the memory.
#[derive(Debug)]
pub(super) struct Sheet {
    file: String,
    columns: Vec<String>,
    /// All cells, row by row.
    cells: String,
    /// Bytes of each cell.
    lengths: Vec<u16>,
    /// The line at which each row stands, and where its cells begin in `cells`.
    rows: Vec<(u64, usize)>,
}

impl Sheet {
    fn read(file: String, text: &str, rows_max: usize) -> Result<Sheet, ReadError> {
        let refuse = |line: u64, reason: String| ReadError::Malformed { file: file.clone(), line, reason };
        if let Some(line) = long_row(text.as_bytes(), ROW_BYTES_MAX) {
            return Err(refuse(line, format!("a row of more than {ROW_BYTES_MAX} bytes")));
        }
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|error| refuse(1, error.to_string()))?.clone();
        let columns: Vec<String> = headers.iter().map(str::to_owned).collect();
        if columns.len() > COLUMNS_MAX {
            return Err(refuse(1, format!("more than {COLUMNS_MAX} columns")));
        }
        if let Some(twice) = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
            return Err(refuse(1, format!("the column `{}` stands here twice", shown(twice.1))));
        }
        if columns.iter().any(|column| column.len() > CELL_BYTES_MAX) {
            return Err(refuse(1, format!("a cell of more than {CELL_BYTES_MAX} bytes")));
        }
        let (mut cells, mut lengths, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            refuse(line, error.to_string())
        })? {
            let line = record.position().map_or(1, csv::Position::line);
            if record.len() != columns.len() {
                let (found, expected) = (record.len(), columns.len());
                return Err(refuse(line, format!("{found} cells under {expected} columns")));
            }
            if rows.len() == rows_max {
                return Err(refuse(line, format!("more than {rows_max} rows")));
            }
            rows.push((line, cells.len()));
            cells.extend_from_slice(record.as_slice());
            for cell in &record {
                if cell.len() > CELL_BYTES_MAX {
                    return Err(refuse(line, format!("a cell of more than {CELL_BYTES_MAX} bytes")));
                }
                lengths.push(cell.len() as u16);
            }
        }
        let cells = String::from_utf8(cells).expect("cells of a text are texts");
        Ok(Sheet { file, columns, cells, lengths, rows })
    }

    /// The names of the columns.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Rows in the order of the file.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.rows.len()).map(|number| Row { sheet: self, number })
    }

    /// Refuses the sheet unless it has all of `columns`.
    ///
    /// # Errors
    /// Names the first that is missing.
    pub(super) fn require(&self, columns: &[&str]) -> Result<(), ReadError> {
        match columns.iter().find(|wanted| !self.columns.iter().any(|column| column == *wanted)) {
            Some(missing) => Err(self.refuse(1, format!("the column `{missing}` is missing"))),
            None => Ok(()),
        }
    }

    pub(super) fn refuse(&self, line: u64, reason: String) -> ReadError {
        ReadError::Malformed { file: self.file.clone(), line, reason }
    }
}

/// A row of a sheet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'s> {
    sheet: &'s Sheet,
    number: usize,
}

impl<'s> Row<'s> {
    /// All cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &'s str> {
        let Sheet { columns, cells, lengths, rows, .. } = self.sheet;
        let lengths = &lengths[self.number * columns.len()..][..columns.len()];
        lengths.iter().scan(rows[self.number].1, |start, length| {
            let end = *start + usize::from(*length);
            let cell = &cells[*start..end];
            *start = end;
            Some(cell)
        })
    }

    /// The cell under `column`; empty if there is no such column.
    pub(super) fn text(&self, column: &str) -> &'s str {
        let at = self.sheet.columns.iter().position(|name| name == column);
        at.and_then(|at| self.cells().nth(at)).unwrap_or("")
    }

    /// The number under `column`; `None` if the cell is empty.
    ///
    /// # Errors
    /// If the cell is something else, or beyond 1e30.
    pub(super) fn number(&self, column: &str) -> Result<Option<f64>, ReadError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.abs() <= NUMBER_MAX => Ok(Some(number)),
            _ => Err(self.refuse(format!("`{column}` is `{}`, not a number", shown(text)))),
        }
    }

    /// The number under `column`.
    ///
    /// # Errors
    /// As [`Row::number`], and if the cell is empty.
    pub(super) fn required(&self, column: &str) -> Result<f64, ReadError> {
        self.number(column)?.ok_or_else(|| self.refuse(format!("`{column}` is empty")))
    }

    /// The number of nodes of this row.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn nodes(&self) -> Result<u32, ReadError> {
        let text = self.text("nodes");
        text.parse().map_err(|_| self.refuse(format!("`nodes` is `{}`, not a number of nodes", shown(text))))
    }

    pub(super) fn refuse(&self, reason: String) -> ReadError {
        self.sheet.refuse(self.sheet.rows[self.number].0, reason)
    }
}

/// The beginning of `text`, for messages.
fn shown(text: &str) -> String {
    const LENGTH_MAX: usize = 40;
    if text.chars().count() <= LENGTH_MAX {
        return text.to_owned();
    }
    text.chars().take(LENGTH_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(text: &[u8]) -> Result<Sheet, String> {
        let files = [("a.csv", text.to_vec())];
        let read = ResultFolder::in_memory("x", &files).sheet("a.csv");
        read.map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn a_sheet_reads_back_by_its_columns() {
        let sheet = sheet(b"approach,nodes,value\n\"a, b\",5,0.25\nc,4294967295,\n").unwrap();
        let rows: Vec<_> = sheet.rows().collect();
        assert_eq!((rows[0].text("approach"), rows[0].nodes().unwrap()), ("a, b", 5));
        assert_eq!((rows[0].number("value").unwrap(), rows[1].number("value").unwrap()), (Some(0.25), None));
        assert_eq!(rows[1].text("elsewhere"), "");
        assert!(sheet.require(&["nodes"]).is_ok());
    }

    #[test]
    fn what_no_run_writes_is_refused_with_its_line() {
        let mut long = b"a\n".to_vec();
        long.extend(vec![b'x'; CELL_BYTES_MAX + 1]);
        let wide = [b"a\n".to_vec(), vec![b','; ROW_BYTES_MAX + 1]].concat();
        let many = (0..=COLUMNS_MAX).map(|at| format!("c{at}")).collect::<Vec<_>>().join(",");
        let cases: [(&[u8], &str); 8] = [
            (b"a,b\n1,2\n3\n", "a.csv, line 3: 1 cells under 2 columns"),
            (b"a,a\n1,2\n", "a.csv, line 1: the column `a` stands here twice"),
            (b"a\n1\n\xff\n", "a.csv, line 3: it is not UTF-8"),
            (b"a\nx\x1b[2J\n", "a.csv, line 2: a control character, which no result has"),
            ("a\nx\u{202e}y\n".as_bytes(), "a.csv, line 2: a control character, which no result has"),
            (&long, "a.csv, line 2: a cell of more than 4096 bytes"),
            (&wide, "a.csv, line 2: a row of more than 100000 bytes"),
            (many.as_bytes(), "a.csv, line 1: more than 64 columns"),
        ];
        for (text, expected) in cases {
            assert_eq!(sheet(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn what_was_just_made_may_be_longer_than_what_is_read_back() {
        let text = "a\n".to_owned() + &"1\n".repeat(ROWS_MAX + 1);
        assert_eq!(sheet(text.as_bytes()).unwrap().rows().len(), ROWS_MAX + 1);
        let long = "a\n".to_owned() + &format!("{}\n", "1".repeat(4_000)).repeat(FILE_BYTES_MAX as usize / 4_000);
        assert!(sheet(long.as_bytes()).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            fs::write(folder.path().join("a.csv"), text).unwrap();
            ResultFolder::open(folder.path()).unwrap().sheet("a.csv").unwrap_err().to_string()
        };
        assert!(said(&text).ends_with("line 150002: more than 150000 rows"), "{}", said(&text));
        assert!(said(&long).contains("cannot read"));
    }

    #[test]
    fn the_layout_is_read_at_the_beginning() {
        assert_eq!(layout_of(b"{\n  \"deterministic\": {\n    \"format\": 12,\n"), Some(12));
        assert_eq!(layout_of(b"{\"format\":3}"), Some(3));
        for other in [&b"{\"engine\": 1, \"format\": 3}"[..], b"{\"format\": \"3\"}", b"{\"format\":", b"[", b""] {
            assert_eq!(layout_of(other), None);
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_line() {
        let sheet = sheet(b"nodes,v\n-1,inf\n2,nan\n3,1e31\n4,abc\n5,\n").unwrap();
        let said: Vec<String> = sheet.rows().take(4).map(|row| row.number("v").unwrap_err().to_string()).collect();
        for (line, (said, word)) in said.iter().zip(["inf", "nan", "1e31", "abc"]).enumerate() {
            assert_eq!(said, &format!("a.csv, line {}: `v` is `{word}`, not a number", line + 2));
        }
        let row = sheet.rows().last().unwrap();
        assert_eq!(row.required("v").unwrap_err().to_string(), "a.csv, line 6: `v` is empty");
        let row = sheet.rows().next().unwrap();
        assert_eq!(row.nodes().unwrap_err().to_string(), "a.csv, line 2: `nodes` is `-1`, not a number of nodes");
        let missing = sheet.require(&["nodes", "approach"]).unwrap_err().to_string();
        assert_eq!(missing, "a.csv, line 1: the column `approach` is missing");
    }

    #[test]
    fn folders_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("messages.csv")).unwrap();
        let results = ResultFolder::open(folder.path()).unwrap();
        assert!(results.sheet("latency.csv").unwrap().is_none());
        assert!(results.sheet("messages.csv").unwrap_err().to_string().contains("cannot read"));
        assert!(ResultFolder::open(&folder.path().join("nowhere")).is_err());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(ResultFolder::open(&folder.path().join("file")).is_err());
    }
}
