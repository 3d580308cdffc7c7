//! Files that a scenario names: inside its folder, of limited size, text; and their rows, each cell with its place.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::codes::Code;
use super::problem::{Draft, Place, Source};
use super::quantity::short;
use super::reader::Reader;
use super::tree::Value;

/// Bytes of the name of a file.
const NAME_BYTES_MAX: usize = 255;

/// Cells of a row that are read; no file that is used has a hundredth of them.
const CELLS_MAX: usize = 10_000;
/// Bytes of a line of a CSV file, and lines. Such files have no more of them than any mechanism takes values.
const LINE_BYTES_MAX: usize = 100_000;
const LINES_MAX: usize = 1_100_000;

/// Where files are looked for, and the texts of those that were read, so that problems can point into them.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    folder: PathBuf,
    /// The scenario itself.
    scenario: PathBuf,
    /// The number of the source that the first file is.
    source_min: usize,
    read: Vec<ReadFile>,
}

/// A file that was read.
#[derive(Clone, Debug)]
struct ReadFile {
    name: String,
    text: Arc<str>,
    /// Where it really is, and from where the names in it lead on; `None` if it holds no names.
    place: Option<(PathBuf, PathBuf)>,
}

impl Files {
    /// Files beside the scenario `file_name`; `source_min` sources come before them.
    pub(super) fn beside(file_name: &str, source_min: usize) -> Self {
        let folder = Path::new(file_name).parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        Files { folder, scenario: PathBuf::from(file_name), source_min, read: Vec::new() }
    }

    /// What was read, in the order of its source numbers.
    pub(super) fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        self.read.iter().map(|ReadFile { name, text, .. }| Source { name, text })
    }

    /// The file that is called `name` in source number `source`, from the folder of the scenario on: names lead on from
    /// the folder of the file that they stand in.
    pub(super) fn path_of(&self, source: usize, name: &str) -> PathBuf {
        let file = source.checked_sub(self.source_min).and_then(|index| self.read.get(index));
        let folder = file.and_then(|file| file.place.as_ref()).map(|(_, folder)| folder.as_path());
        folder.unwrap_or(Path::new("")).join(name)
    }

    /// Where the file `path` of the folder really is.
    fn resolved(&self, path: &Path) -> io::Result<PathBuf> {
        let folder = self.folder.canonicalize()?;
        let path = folder.join(path).canonicalize()?;
        if !path.starts_with(&folder) {
            return Err(io::Error::other("a link leads out of the folder of the scenario"));
        }
        Ok(path)
    }

    /// The bytes of the file `path` of the folder, at most `bytes_max` and one.
    fn bytes(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let path = self.resolved(path)?;
        // Before it is opened: a pipe would keep the program waiting for ever.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::other("it is no ordinary file"));
        }
        let mut bytes = Vec::new();
        File::open(&path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A file of rows of cells with commas between them.
#[derive(Clone, Debug)]
pub(super) struct CsvFile {
    name: String,
    text: Arc<str>,
    source: usize,
}

/// A line with at least one cell that is not empty. It is taken apart when it is asked: there may be a million of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'f> {
    /// The whole line.
    pub(super) at: Place,
    /// The line, without the blanks around it.
    content: &'f str,
}

impl<'f> Row<'f> {
    /// Its cells, at least one, and at most [`CELLS_MAX`]: further ones are left out.
    pub(super) fn cells(&self) -> impl Iterator<Item = Cell<'f>> + use<'f> {
        let Place { source, start: mut cell_start, .. } = self.at;
        self.content.split(',').take(CELLS_MAX).map(move |written| {
            let trimmed = written.trim();
            let start = cell_start + (written.len() - written.trim_start().len());
            cell_start += written.len() + 1;
            let unquoted = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            Cell { text: unquoted.unwrap_or(trimmed), at: Place { source, start, end: start + trimmed.len() } }
        })
    }
}

/// What stands between two commas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'f> {
    /// Without the blanks around it, and without quotes if it is quoted.
    pub(super) text: &'f str,
    pub(super) at: Place,
}

impl CsvFile {
    /// The name in the scenario.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its rows in order. Lines that are blank or begin with `#` are none.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let mut start = 0;
        let lines = self.text.split_inclusive('\n').map(move |line| {
            let from = start;
            start += line.len();
            (from, line)
        });
        lines.filter_map(|(start, line)| self.row(start, line))
    }

    /// What is wrong with it if it has so many lines, or so long ones, that it is none that anybody uses: to find that out
    /// takes less than to read it.
    fn too_much(&self) -> Option<Draft> {
        let refuse = |start: usize, len: usize, title: String, label: &str| {
            Some(Draft::new(self.place(start, len), title, label).code(Code::FileContents))
        };
        let mut start = 0;
        for (number, line) in self.text.split_terminator('\n').enumerate() {
            if number == LINES_MAX {
                let title = format!("more than {LINES_MAX} lines");
                return refuse(start, line.len(), title, "leave out this line and all that follow");
            }
            if line.len() > LINE_BYTES_MAX {
                return refuse(start, 1, format!("a line of more than {LINE_BYTES_MAX} bytes"), "write shorter lines");
            }
            start += line.len() + 1;
        }
        None
    }

    fn row<'f>(&self, start: usize, line: &'f str) -> Option<Row<'f>> {
        let begun = line.trim_start_matches('\u{feff}').trim_start();
        let (from, content) = (start + (line.len() - begun.len()), begun.trim_end());
        if content.is_empty() || content.starts_with('#') {
            return None;
        }
        Some(Row { at: self.place(from, content.len()), content })
    }

    fn place(&self, start: usize, len: usize) -> Place {
        Place { source: self.source, start, end: start + len }
    }
}

impl Files {
    /// The text of the file that `value` calls `name`, if it stands in the folder of the scenario or below and holds at
    /// most `bytes_max` bytes of text.
    fn text(&self, value: &Value, name: &str, example: &str, bytes_max: u64) -> Result<String, Draft> {
        let refuse = |title: String, label: &str| Err(Draft::new(value.at, title, label).code(Code::File));
        if !is_inside(name) {
            let title = format!("`{}` does not name a file in the folder of the scenario", short(name));
            let label = format!("write a name such as \"{example}\" or \"data/{example}\"");
            let draft = Draft::new(value.at, title, label).code(Code::File);
            return Err(draft.help("names are relative to the file that they stand in, with `/` and without `..`"));
        }
        match self.bytes(&self.path_of(value.at.source, name), bytes_max) {
            Err(error) => refuse(
                format!("cannot read the file `{}`: {error}", short(name)),
                "write the name of a file beside the scenario",
            ),
            Ok(bytes) if bytes.len() as u64 > bytes_max => refuse(
                format!("the file `{}` is larger than {bytes_max} bytes", short(name)),
                "write the name of a smaller file",
            ),
            Ok(bytes) => String::from_utf8(bytes).or_else(|error| {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
                let title = format!("line {line} of the file `{}` is not UTF-8 text", short(name));
                refuse(title, "save the file as UTF-8")
            }),
        }
    }

    /// The base that `value` calls `name`, with its source number. One that was read before is refused.
    pub(super) fn base(&mut self, value: &Value, name: &str, bytes_max: u64) -> Result<(usize, Arc<str>), Draft> {
        let text: Arc<str> = self.text(value, name, "base.toml", bytes_max)?.into();
        let path = self.path_of(value.at.source, name);
        let resolved = self.resolved(&path).unwrap_or_default();
        let is_scenario = self.scenario.canonicalize().is_ok_and(|scenario| scenario == resolved);
        if is_scenario || self.read.iter().any(|file| file.place.as_ref().is_some_and(|(place, _)| *place == resolved))
        {
            let title = format!("`{}` extends itself, by way of the files between", short(name));
            return Err(Draft::new(value.at, title, "name a file that does not lead back here").code(Code::Extends));
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let name = self.scenario.with_file_name(&path).display().to_string();
        self.read.push(ReadFile { name, text: text.clone(), place: Some((resolved, folder)) });
        Ok((self.source_min + self.read.len() - 1, text))
    }
}

impl Reader {
    /// The CSV file that `value` names, if it stands in the folder of the scenario or below and holds at most
    /// `bytes_max` bytes of text. Problems with its contents go to the places of its rows and cells.
    pub(super) fn csv_file(&mut self, value: &Value, bytes_max: u64) -> Option<CsvFile> {
        let name = self.text(value, "the name of a file", "\"table.csv\"")?;
        let text = match self.files.text(value, name, "table.csv", bytes_max) {
            Ok(text) => text,
            Err(draft) => {
                self.report(draft);
                return None;
            }
        };
        let source = self.files.source_min + self.files.read.len();
        let file = CsvFile { name: name.to_owned(), text: text.into(), source };
        self.files.read.push(ReadFile { name: file.name.clone(), text: file.text.clone(), place: None });
        if let Some(draft) = file.too_much() {
            self.report(draft);
            return None;
        }
        if file.rows().next().is_some() {
            return Some(file);
        }
        let title = format!("the file `{}` has no rows", short(name));
        self.report(Draft::new(value.at, title, "write the name of a file with rows").code(Code::FileContents));
        None
    }
}

/// Whether `name` leads to the folder of the scenario or below, whatever the system.
fn is_inside(name: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\\' | ':');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.chars().all(is_plain)
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Kind;
    use super::*;

    /// A folder with files, a scenario beside them, and what reading the file `name` of at most 100 bytes says.
    fn read(write: impl Fn(&Path), name: &str) -> (Option<CsvFile>, Vec<String>) {
        let (file, drafts) = read_up_to(100, write, name);
        assert!(drafts.iter().all(|draft| draft.at.source == 0), "problems of the file as a whole");
        (file, drafts.into_iter().map(|draft| format!("{}: {}", draft.title, draft.label)).collect())
    }

    /// As [`read`], of at most so many bytes, and all of what is said.
    fn read_up_to(bytes_max: u64, write: impl Fn(&Path), name: &str) -> (Option<CsvFile>, Vec<Draft>) {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("scenarios");
        fs::create_dir(&inner).unwrap();
        write(&inner);
        let mut reader = Reader::new("", Files::beside(inner.join("s.toml").to_str().unwrap(), 1), false);
        let value = Value { at: Place { source: 0, start: 3, end: 9 }, kind: Kind::Text(name.to_owned()) };
        let file = reader.csv_file(&value, bytes_max);
        assert!(reader.drafts.iter().all(|draft| draft.at == value.at || draft.at.source == 1));
        (file, reader.drafts)
    }

    fn with(bytes: &[u8]) -> impl Fn(&Path) {
        move |folder: &Path| fs::write(folder.join("a.csv"), bytes).unwrap()
    }

    #[test]
    fn cells_know_their_places() {
        let text = "\u{feff}# a remark\r\n\r\n a, \"b c\" ,\r\n1,,é\n  # more\n,\n x";
        let (file, said) = read(with(text.as_bytes()), "a.csv");
        assert!(said.is_empty(), "{said:?}");
        let file = file.unwrap();
        let rows: Vec<_> = file.rows().collect();
        let cells: Vec<Vec<_>> = rows.iter().map(|row| row.cells().map(|cell| cell.text).collect()).collect();
        assert_eq!(cells, [&["a", "b c", ""][..], &["1", "", "é"], &["", ""], &["x"]]);
        for row in &rows {
            assert_eq!(row.at.source, 1);
            for cell in row.cells() {
                let shown = &text[cell.at.start..cell.at.end];
                assert_eq!(shown.trim_matches('"'), cell.text, "the place of a cell is where it stands");
            }
        }
        assert_eq!(&text[rows[1].at.start..rows[1].at.end], "1,,é");
    }

    #[test]
    fn files_in_folders_below_are_found() {
        let write = |folder: &Path| {
            fs::create_dir(folder.join("data")).unwrap();
            fs::write(folder.join("data/a.csv"), "1").unwrap();
        };
        for name in ["data/a.csv", "data//a.csv"] {
            let (file, said) = read(write, name);
            assert!(file.is_some(), "{said:?}");
        }
        let (file, said) = read(write, "data");
        assert!(file.is_none() && said[0].contains("it is no ordinary file"), "{said:?}");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        let outside = |folder: &Path| fs::write(folder.parent().unwrap().join("a.csv"), "1").unwrap();
        let names =
            ["../a.csv", "data/../../a.csv", "/etc/passwd", "", ".", "c:\\a.csv", "..\\a.csv", "a\n.csv", "./.."];
        for name in names {
            let (file, said) = read(outside, name);
            assert!(file.is_none() && said.len() == 1, "{name}");
            assert!(said[0].contains("does not name a file in the folder of the scenario"), "{said:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_folder_are_refused() {
        let link = |folder: &Path| {
            fs::write(folder.parent().unwrap().join("secret.csv"), "1").unwrap();
            std::os::unix::fs::symlink("../secret.csv", folder.join("a.csv")).unwrap();
        };
        let (file, said) = read(link, "a.csv");
        assert!(file.is_none() && said[0].contains("a link leads out"), "{said:?}");
    }

    #[test]
    fn files_that_are_missing_large_empty_or_no_text_are_refused() {
        let check = |bytes: &[u8], name: &str, part: &str| {
            let (file, said) = read(with(bytes), name);
            assert!(file.is_none() && said.len() == 1 && said[0].contains(part), "{said:?}");
        };
        check(b"1", "b.csv", "cannot read the file `b.csv`");
        check(&[b'1'; 101], "a.csv", "the file `a.csv` is larger than 100 bytes");
        check(b"1,2\n3,\xff\n", "a.csv", "line 2 of the file `a.csv` is not UTF-8 text: save the file as UTF-8");
        check(b"# nothing\n\n", "a.csv", "the file `a.csv` has no rows");
        assert!(read(with(&[b'1'; 100]), "a.csv").0.is_some());
    }

    #[test]
    fn files_of_too_many_lines_or_too_long_ones_are_refused_where_they_begin_to_be() {
        let check = |text: &str, refused: Option<(&str, usize, usize)>| {
            let (file, drafts) = read_up_to(u64::MAX - 1, with(text.as_bytes()), "a.csv");
            let found = drafts.iter().map(|draft| (draft.title.as_str(), draft.at.start, draft.at.end));
            assert_eq!(found.collect::<Vec<_>>(), Vec::from_iter(refused));
            assert_eq!(file.is_some(), refused.is_none());
        };
        let most = "1\n".repeat(LINES_MAX);
        check(&most, None);
        check(&format!("{most}23\n4\n"), Some(("more than 1100000 lines", 2 * LINES_MAX, 2 * LINES_MAX + 2)));
        let longest = "1".repeat(LINE_BYTES_MAX);
        check(&format!("1\n{longest}\n"), None);
        check(&format!("1\n1{longest}\n2\n"), Some(("a line of more than 100000 bytes", 2, 3)));
    }
}
