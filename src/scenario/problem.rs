//! Everything that is wrong with a scenario, said at once: where, what was expected, what to write instead.

use std::fmt;
use std::io;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

use super::codes::Code;

/// Problems that are kept and shown; further ones are only counted.
const SHOWN_MAX: usize = 100;
/// Characters of a line, where nobody says how wide the terminal is.
const WIDTH: usize = 140;
/// Bytes of a source line shown before and after the start of a problem: enough for any line that a person wrote.
const EXCERPT_BEFORE: usize = 100;
const EXCERPT_AFTER: usize = 140;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read scenario `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any sensible scenario.
    #[error("scenario `{name}` is larger than {limit} bytes: is it a scenario at all?")]
    TooLarge {
        /// The file.
        name: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The file is not text.
    #[error("scenario `{name}` is not UTF-8 text: the first bad byte is at line {line}, column {column}")]
    NotUtf8 {
        /// The file.
        name: String,
        /// Line of the first bad byte, from 1.
        line: usize,
        /// Column of the first bad byte in characters, from 1.
        column: usize,
    },
    /// The file or an override says something that cannot be run.
    #[error("{0}")]
    Invalid(Problems),
}

impl ScenarioError {
    /// Whether the file could not be read, as opposed to being a bad scenario.
    pub fn is_io(&self) -> bool {
        matches!(self, ScenarioError::Io { .. })
    }

    /// What the user should read, with ANSI colours if `colour`.
    pub fn render(&self, colour: bool) -> String {
        self.render_within(colour, WIDTH)
    }

    /// As [`ScenarioError::render`], with lines of the source cut to about `columns` characters.
    pub fn render_within(&self, colour: bool, columns: usize) -> String {
        match self {
            ScenarioError::Invalid(problems) => problems.render_within(colour, columns),
            ScenarioError::Io { .. } => format!("error[{}]: {self}", Code::Unreadable.number()),
            ScenarioError::TooLarge { .. } => format!("error[{}]: {self}", Code::TooLarge.number()),
            ScenarioError::NotUtf8 { .. } => format!("error[{}]: {self}", Code::NotUtf8.number()),
        }
    }
}

/// The problems of a scenario and its overrides, in the order of the text. At least one.
#[derive(Clone, Debug)]
pub struct Problems {
    name: String,
    shown: Vec<Problem>,
    total: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub code: Code,
    /// The file, or `--set key=value` of an override.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub title: String,
    /// What to write instead; stands beside the caret.
    pub label: String,
    /// Why, where that is not obvious.
    pub help: Option<String>,
    /// The part of the line that is shown, and the bytes of it under the caret.
    excerpt: String,
    whole_line: bool,
    caret: (usize, usize),
}

impl Problems {
    /// The problems, at most a hundred of them.
    pub fn list(&self) -> &[Problem] {
        &self.shown
    }

    /// How many there are, shown or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// What the user should read, with ANSI colours if `colour`.
    pub fn render(&self, colour: bool) -> String {
        self.render_within(colour, WIDTH)
    }

    fn render_within(&self, colour: bool, columns: usize) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(columns);
        let mut text = String::new();
        for problem in &self.shown {
            text.push_str(&problem.render(&renderer));
            text.push_str("\n\n");
        }
        if self.total > self.shown.len() {
            text.push_str(&format!("... and {} more problems\n\n", self.total - self.shown.len()));
        }
        let plural = if self.total == 1 { "" } else { "s" };
        let name = normalize_untrusted_str(&self.name);
        text.push_str(&format!("scenario `{name}` refused: {} problem{plural}", self.total));
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Problem {
    fn render(&self, renderer: &Renderer) -> String {
        let source = normalize_untrusted_str(&self.source);
        let label = AnnotationKind::Primary.span(self.caret.0..self.caret.1).label(self.label.as_str());
        let snippet = Snippet::source(self.excerpt.as_str()).line_start(self.line).annotation(label);
        let mut group = Group::with_title(Level::ERROR.primary_title(self.title.as_str()).id(self.code.number()));
        // The column is derived from the excerpt, so that of a part of a line has to be given.
        group = match self.whole_line {
            true => group.element(snippet.path(source)),
            false => {
                let origin = Origin::path(source).line(self.line).char_column(self.column);
                group.element(origin).element(snippet)
            }
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        renderer.render(&[group])
    }
}

/// A text that problems can point into: the file is number 0, overrides follow, then the files that it names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

/// Bytes `start..end` of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A problem that is not yet located by line and column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Draft {
    pub(super) at: Place,
    pub(super) code: Code,
    pub(super) title: String,
    pub(super) label: String,
    pub(super) help: Option<String>,
}

impl Draft {
    pub(super) fn new(at: Place, title: impl Into<String>, label: impl Into<String>) -> Self {
        Draft { at, code: Code::Conflict, title: title.into(), label: label.into(), help: None }
    }

    /// Says what kind of problem it is; values that do not go together if nobody says.
    pub(super) fn code(self, code: Code) -> Self {
        Draft { code, ..self }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The problem with its line and column in `sources`.
    fn locate(self, sources: &[Source<'_>]) -> Problem {
        let source = sources.get(self.at.source).copied().unwrap_or(Source { name: "", text: "" });
        let text = source.text;
        let start = text.floor_char_boundary(self.at.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line_end = line_start + text[line_start..line_end].trim_end_matches('\r').len();
        // What is shown ends before the end of the line, whatever that is made of.
        let start = start.min(line_end);
        let from = text.floor_char_boundary(line_start.max(start.saturating_sub(EXCERPT_BEFORE)));
        let to = text.ceil_char_boundary(line_end.min(start.saturating_add(EXCERPT_AFTER))).max(from);
        let caret_end = text.floor_char_boundary(self.at.end).clamp(start, to.max(start));
        Problem {
            code: self.code,
            source: source.name.to_owned(),
            line: 1 + text[..line_start].bytes().filter(|&byte| byte == b'\n').count(),
            column: 1 + text[line_start..start].chars().count(),
            title: self.title,
            label: self.label,
            help: self.help,
            excerpt: text[from..to].to_owned(),
            whole_line: from == line_start,
            caret: (start - from, caret_end - from),
        }
    }
}

/// Locates `drafts` in `sources` and puts them in the order of the text.
pub(super) fn problems(mut drafts: Vec<Draft>, sources: &[Source<'_>]) -> ScenarioError {
    drafts.sort();
    drafts.dedup();
    let total = drafts.len();
    let shown = drafts.into_iter().take(SHOWN_MAX).map(|draft| draft.locate(sources)).collect();
    let name = sources.first().map_or("", |source| source.name).to_owned();
    ScenarioError::Invalid(Problems { name, shown, total })
}

/// The key of `known` that `written` probably means.
pub(super) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer than any key by far; the distance takes time proportional to the length.
    const LEN_MAX: usize = 64;
    if written.len() > LEN_MAX {
        return None;
    }
    let normal = |key: &str| key.to_ascii_lowercase().replace('-', "_");
    let written = normal(written);
    let distance = |key: &str| strsim::damerau_levenshtein(&written, &normal(key));
    let (distance, key) = known.iter().map(|key| (distance(key), *key)).min()?;
    (distance <= key.len().div_ceil(3)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(text: &str, start: usize, end: usize) -> Problem {
        Draft::new(Place { source: 0, start, end }, "t", "l").locate(&[Source { name: "a.toml", text }])
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let text = "a = 1\r\nµµ = 2\r\n";
        let problem = located(text, 14, 15);
        assert_eq!((problem.line, problem.column), (2, 6));
        assert_eq!((problem.excerpt.as_str(), problem.caret), ("µµ = 2", (7, 8)));
        assert_eq!((located("", 0, 0).line, located("", 0, 0).column), (1, 1));
    }

    #[test]
    fn any_place_in_any_text_can_be_shown() {
        for text in
            ["", "a", "é\nü", "\r\n\r\n", &"\r".repeat(500), &"µ".repeat(500), &format!("x\n{}", "y".repeat(1000))]
        {
            for start in 0..text.len() + 2 {
                for end in [start, start + 1, start + 300, 0] {
                    let problem = located(text, start, end);
                    assert!(problem.excerpt.len() < 300);
                    problem.render(&Renderer::plain());
                }
            }
        }
    }

    #[test]
    fn a_long_line_is_shown_in_part_with_its_true_column() {
        let text = format!("{}XYZ{}", "-".repeat(5_000), "=".repeat(5_000));
        let shown = located(&text, 5_000, 5_003).render(&Renderer::plain());
        assert!(shown.contains("a.toml:1:5001"), "{shown}");
        assert!(shown.contains("XYZ") && shown.len() < 1_000, "{shown}");
    }

    #[test]
    fn the_nearest_key_is_found_if_it_is_near() {
        let known = ["measure", "warmup", "full_peers", "full-mesh"];
        assert_eq!(nearest("mesure", &known), Some("measure"));
        assert_eq!(nearest("Full-Peers", &known), Some("full_peers"));
        assert_eq!(nearest("full_mesh", &known), Some("full-mesh"));
        assert_eq!(nearest("duration", &known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), &known), None);
    }

    #[test]
    fn more_problems_than_anyone_reads_are_counted() {
        let text = "x\n".repeat(1_000);
        let draft = |line: usize| Draft::new(Place { source: 0, start: 2 * line, end: 2 * line + 1 }, "t", "l");
        let error = problems((0..1_000).map(draft).collect(), &[Source { name: "a.toml", text: &text }]);
        let shown = error.to_string();
        assert_eq!(shown.matches("error[Q0130]: t").count(), 100);
        assert!(shown.contains("... and 900 more problems"));
        assert!(shown.ends_with("scenario `a.toml` refused: 1000 problems"));
    }
}
