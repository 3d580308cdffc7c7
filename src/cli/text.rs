//! Text for people: lines that fit a terminal, and whether there is colour.

use std::io::IsTerminal;
use std::sync::OnceLock;

use clap::{ColorChoice, ValueEnum};

use crate::scenario::ScenarioError;

/// The widest a line may be, in characters: what every table keeps to as well.
pub(super) const WIDTH: usize = 100;
/// Narrower terminals than this are taken to be this wide.
const WIDTH_MIN: usize = 40;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

static CHOSEN: OnceLock<Colour> = OnceLock::new();

impl Colour {
    /// What `arguments` say, which have not been read yet: errors in them are shown in colour, too, or not.
    pub(super) fn in_arguments(arguments: impl Iterator<Item = String>) -> ColorChoice {
        let arguments: Vec<String> = arguments.take_while(|argument| argument != "--").collect();
        let spaced = arguments.windows(2).filter(|pair| pair[0] == "--color").map(|pair| pair[1].as_str());
        let joined = arguments.iter().filter_map(|argument| argument.strip_prefix("--color="));
        match spaced.chain(joined).last() {
            Some("always") => ColorChoice::Always,
            Some("never") => ColorChoice::Never,
            _ => ColorChoice::Auto,
        }
    }

    /// Makes this the choice of the process; the first one counts.
    pub(super) fn choose(self) {
        let _ = CHOSEN.set(self);
    }
}

/// Whether what goes to standard error is shown in colour.
pub(super) fn has_colour() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match CHOSEN.get().copied().unwrap_or_default() {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => std::io::stderr().is_terminal() && !no_colour,
    }
}

/// What is said of a scenario that is refused, for standard error.
pub(super) fn shown(error: &ScenarioError) -> String {
    error.render_within(has_colour(), width())
}

/// How many characters a line on standard error, or on standard output, may have: as many as the terminal, at most
/// [`WIDTH`]; that where there is none. The variable COLUMNS, where it is set, says how wide the terminal is.
pub(super) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    columns.filter(|columns| *columns > 0).or_else(terminal).unwrap_or(WIDTH).clamp(WIDTH_MIN, WIDTH)
}

/// `text` in lines that begin with `indent` and fit; each ends with a line end.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    wrapped_at(text, indent, width())
}

/// `text` in lines that fit whatever the terminal, for what is kept in files as well.
pub(super) fn paragraph(text: &str) -> String {
    wrapped_at(text, "", WIDTH)
}

fn wrapped_at(text: &str, indent: &str, width: usize) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let length = indent.chars().count() + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && length > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.iter().map(|line| format!("{indent}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped_at("one two three", "  ", 9), "  one two\n  three\n");
        assert_eq!(wrapped_at("longer-than-it", "", 4), "longer-than-it\n");
    }

    #[test]
    fn the_last_colour_that_is_asked_for_counts() {
        let of = |arguments: &[&str]| Colour::in_arguments(arguments.iter().map(|text| (*text).to_owned()));
        assert_eq!(of(&["run", "a.toml"]), ColorChoice::Auto);
        assert_eq!(of(&["--color", "always", "run"]), ColorChoice::Always);
        assert_eq!(of(&["--color=always", "run", "--color=never"]), ColorChoice::Never);
        assert_eq!(of(&["run", "--", "--color=never"]), ColorChoice::Auto);
    }
}
