//! The text of a scenario as a tree: merged with what it extends, overrides taken in, ready to be read once or many times.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::files::Files;
use super::problem::{self, Draft, Place, Source};
use super::reader::Reader;
use super::{FILE_BYTES_MAX, Scenario, ScenarioError, extends, overrides, sweep, tree};

/// A file merged with those that it extends and with overrides, before anything is taken out of it.
#[derive(Clone, Debug)]
pub(super) struct Document {
    file_name: String,
    text: String,
    overrides: Vec<String>,
    raw: tree::Raw,
    files: Files,
}

/// What is taken out of a file.
pub(super) struct Read {
    pub(super) scenario: Scenario,
    pub(super) sweep: Option<sweep::Spec>,
}

impl Document {
    pub(super) fn new(file_name: &str, text: &str, overrides: &[String]) -> Result<Self, ScenarioError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(ScenarioError::TooLarge { name: file_name.to_owned(), limit: FILE_BYTES_MAX });
        }
        let mut files = Files::beside(file_name, 1 + overrides.len());
        let mut raw = extends::document(text, &mut files);
        overrides::apply(&mut raw.root, overrides, &mut raw.drafts);
        extends::refuse_override(&raw.root, &mut raw.drafts);
        let (file_name, text) = (file_name.to_owned(), text.to_owned());
        Ok(Document { file_name, text, overrides: overrides.to_vec(), raw, files })
    }

    /// What `root`, which is made of this document, says; or what is wrong with it, and the files that this points into.
    pub(super) fn read(&self, root: &tree::Table) -> Result<Read, (Vec<Draft>, Files)> {
        let mut reader = Reader::new(&self.text, self.files.clone(), self.raw.damaged);
        let read = super::read(&mut reader, root);
        let mut drafts = self.raw.drafts.clone();
        // What the parser made of a broken line is a guess, and what follows from a guess helps nobody.
        drafts.extend(reader.drafts.into_iter().filter(|draft| !on_broken_line(draft.at, &self.raw.broken)));
        match read {
            Some(read) if drafts.is_empty() => Ok(read),
            _ => Err((drafts, reader.files)),
        }
    }

    pub(super) fn root(&self) -> &tree::Table {
        &self.raw.root
    }

    pub(super) fn root_without_sweep(&self) -> tree::Table {
        let mut root = self.raw.root.clone();
        root.remove(sweep::KEY);
        root
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn override_count(&self) -> usize {
        self.overrides.len()
    }

    /// How many texts places point into before any file is read that the scenario names.
    pub(super) fn source_count(&self) -> usize {
        1 + self.overrides.len() + self.files.sources().count()
    }

    /// `drafts` as an error; some may point into `files`.
    pub(super) fn refused(&self, drafts: Vec<Draft>, files: &Files) -> ScenarioError {
        let names: Vec<_> = self.overrides.iter().map(|text| overrides::source_name(text)).collect();
        let set = names.iter().zip(&self.overrides).map(|(name, text)| Source { name, text });
        let sources = std::iter::once(Source { name: &self.file_name, text: &self.text }).chain(set);
        let sources: Vec<_> = sources.chain(files.sources()).collect();
        problem::problems(drafts, &sources)
    }
}

/// The text of the file `path`.
pub(super) fn text_of(path: &Path) -> Result<String, ScenarioError> {
    let name = path.display().to_string();
    let failed = |source| ScenarioError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ScenarioError::TooLarge { name, limit: FILE_BYTES_MAX });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let last = valid.rsplit('\n').next().unwrap_or("");
        let line = 1 + valid.matches('\n').count();
        ScenarioError::NotUtf8 { name, line, column: 1 + last.chars().count() }
    })
}

/// Whether `at` touches one of the lines `broken` of its source.
fn on_broken_line(at: Place, broken: &[Place]) -> bool {
    let next = broken.partition_point(|line| (line.source, line.end) < (at.source, at.start));
    broken.get(next).is_some_and(|line| line.source == at.source && line.start <= at.end)
}
