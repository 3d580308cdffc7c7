//! The codes of all errors that the program tells, and what each of them means.

/// What is wrong with a scenario, by kind. The numbers stay as they are; new kinds get new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The scenario cannot be read.
    Unreadable,
    /// The scenario is larger than any.
    TooLarge,
    /// The scenario is not text.
    NotUtf8,
    /// It is no TOML.
    Syntax,
    /// A key or a value stands twice.
    Twice,
    /// A key that nobody knows.
    UnknownKey,
    /// Something is missing.
    Missing,
    /// A key that means nothing here.
    Meaningless,
    /// A value of another type.
    WrongType,
    /// A value that is too small or too large.
    OutOfRange,
    /// A word that is none of those that are known.
    UnknownWord,
    /// A number with the wrong unit, or none.
    Unit,
    /// A list that is empty or too long.
    ListLength,
    /// A text that cannot be used.
    BadText,
    /// Values that do not go together.
    Conflict,
    /// A file that the scenario names.
    File,
    /// What stands in such a file.
    FileContents,
    /// Files that extend one another.
    Extends,
    /// A threshold or a tolerance.
    Metric,
    /// An override.
    Override,
    /// A sweep.
    Sweep,
}

/// A code, what it is about in a few words, and what to do about it.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// `Q0110`.
    pub code: &'static str,
    /// What is wrong.
    pub title: &'static str,
    /// Why it is refused, and what to do.
    pub text: &'static str,
}

const fn row(code: &'static str, title: &'static str, text: &'static str) -> Explanation {
    Explanation { code, title, text }
}

/// Those of scenarios in the order of [`Code`].
const OF_SCENARIOS: [(Code, Explanation); 21] = [
    (
        Code::Unreadable,
        row(
            "Q0001",
            "the scenario cannot be read",
            "The system could not open or read the file; what it said stands in the message. Check the name and the permissions.",
        ),
    ),
    (
        Code::TooLarge,
        row(
            "Q0002",
            "the scenario is too large",
            "A scenario has at most 2 MB, and at most 100 000 words and signs. Tables of delays and traces belong into CSV files beside it.",
        ),
    ),
    (
        Code::NotUtf8,
        row(
            "Q0003",
            "the scenario is not UTF-8 text",
            "Scenarios are TOML, which is UTF-8. Save the file as UTF-8; the message gives the first bad byte.",
        ),
    ),
    (
        Code::Syntax,
        row(
            "Q0101",
            "not valid TOML",
            "The line does not follow the syntax of TOML: often a text without quotes, a missing comma or an open bracket. Nothing that follows from a broken line is told, so there may be more once it is mended.",
        ),
    ),
    (
        Code::Twice,
        row(
            "Q0102",
            "something stands there twice",
            "A key, or an item of a list that is run once for each item, is written a second time. Remove or rename one of them.",
        ),
    ),
    (
        Code::UnknownKey,
        row(
            "Q0110",
            "unknown key",
            "No key of this name belongs into this table. `qnetsim explain KEY` tells what a key means, `qnetsim explain` lists them all.",
        ),
    ),
    (
        Code::Missing,
        row(
            "Q0111",
            "a key is missing",
            "The scenario or the table cannot do without this key, for nothing sensible could stand for it. The message gives an example.",
        ),
    ),
    (
        Code::Meaningless,
        row(
            "Q0112",
            "a key without meaning here",
            "The key is known, but beside what else the scenario says it would change nothing: such as the parameter of another model. It is refused so that nobody believes it had an effect.",
        ),
    ),
    (
        Code::WrongType,
        row(
            "Q0120",
            "a value of the wrong type",
            "A text stands where a number belongs, a list where a table belongs, or the like. Durations, sizes and data rates are texts with a unit: \"30s\", \"100 B\", \"10 Mbps\".",
        ),
    ),
    (
        Code::OutOfRange,
        row(
            "Q0121",
            "a value out of range",
            "The value is below or above what can be simulated. `qnetsim explain KEY` tells the bounds of a key.",
        ),
    ),
    (
        Code::UnknownWord,
        row(
            "Q0122",
            "a word that is not known",
            "The key takes one of some words, and this is none of them. The message names the nearest one, or all.",
        ),
    ),
    (
        Code::Unit,
        row(
            "Q0123",
            "a quantity that cannot be read",
            "A quantity is a number and a unit: durations in ns, us, ms, s, min, h, d; sizes in B, kB, MB, GB, KiB, MiB, GiB; data rates in bps, kbps, Mbps, Gbps; counts plain or in K, M, G.",
        ),
    ),
    (
        Code::ListLength,
        row(
            "Q0124",
            "a list that is empty or too long",
            "Lists need at least one item, and have a bound that keeps a scenario from growing without anyone noticing.",
        ),
    ),
    (
        Code::BadText,
        row(
            "Q0125",
            "a text that cannot be used",
            "Names become file names, and descriptions are printed: what could leave the folder or drive a terminal is refused.",
        ),
    ),
    (
        Code::Conflict,
        row(
            "Q0130",
            "values that do not go together",
            "Each value is possible, but not beside the others: more parents than there are nodes, a fault that begins after the end, tiers that do not add up. The message says what to change.",
        ),
    ),
    (
        Code::File,
        row(
            "Q0140",
            "a file that the scenario names cannot be used",
            "Files that a scenario names stand in its folder or below, are no links out of it, are text, and have a size bound.",
        ),
    ),
    (
        Code::FileContents,
        row(
            "Q0141",
            "the contents of a file cannot be used",
            "A table of delays or a trace holds something else than it should; the message points into that file.",
        ),
    ),
    (
        Code::Extends,
        row(
            "Q0142",
            "files that extend one another without end",
            "`extends` leads from file to file, at most eight of them and never back to one of them. It is written in files, not set from outside.",
        ),
    ),
    (
        Code::Metric,
        row(
            "Q0150",
            "a threshold or a tolerance that cannot be checked",
            "[thresholds] and [tolerance] name metrics and say what they must keep, such as \"detection.p99\" = \"< 90s\". A metric that is not known could never fail, so it is refused.",
        ),
    ),
    (
        Code::Override,
        row(
            "Q0160",
            "an override that cannot be read",
            "`--set` takes KEY=VALUE, with dots between tables: --set nodes=10K --set network.loss=0.01.",
        ),
    ),
    (
        Code::Sweep,
        row(
            "Q0170",
            "a sweep that cannot be made",
            "[sweep] varies keys of the scenario: lists or ranges under [sweep.axes], lists of one length under [[sweep.zip]], named sets under [[sweep.variants]]. Constraints compare keys with values, such as \"network.loss < 0.1 || nodes <= 10K\". What names or describes the results is not varied, nor is the seed: `repeat` is for that.",
        ),
    ),
];

/// Those of commands, by exit code.
const OF_EXIT_CODES: [(u8, Explanation); 7] = [
    (
        2,
        row(
            "Q0200",
            "arguments that cannot be used",
            "The arguments of the command contradict each other or the files that they name. `--help` tells what they are.",
        ),
    ),
    (
        3,
        row(
            "Q0300",
            "it will not fit in memory",
            "The largest point of the scenario needs more memory than is available, by the plan that is made before anything is allocated. Reduce `nodes`; the message names a size that fits.",
        ),
    ),
    (
        4,
        row(
            "Q0400",
            "a file cannot be read or written",
            "The system refused; what it said stands in the message. Results are written whole or not at all, so what was there before is still there.",
        ),
    ),
    (
        70,
        row(
            "Q0700",
            "an internal error",
            "A bug of qnetsim: an invariant was broken, and no result was written. Please report the message with the scenario and the command.",
        ),
    ),
    (
        98,
        row(
            "Q0980",
            "results are not as accepted",
            "`check` found other results than the baseline holds. If they are meant to differ, `accept` writes the baseline anew.",
        ),
    ),
    (
        99,
        row(
            "Q0990",
            "a threshold failed",
            "A metric does not keep what the table [thresholds] of the scenario asks for.",
        ),
    ),
    (130, row("Q1300", "interrupted", "The command was interrupted. Files are whole or absent.")),
];

impl Code {
    /// `Q0110`.
    pub fn number(self) -> &'static str {
        OF_SCENARIOS[self as usize].1.code
    }
}

/// The code of what a command says that ends with `exit_code`, unless it has one of its own.
pub fn of_exit_code(exit_code: u8) -> Option<&'static str> {
    OF_EXIT_CODES.iter().find(|(code, _)| *code == exit_code).map(|(_, explanation)| explanation.code)
}

/// All codes, ascending.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    let of_scenarios = OF_SCENARIOS.iter().map(|(_, explanation)| explanation);
    of_scenarios.chain(OF_EXIT_CODES.iter().map(|(_, explanation)| explanation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_stand_where_their_kinds_say() {
        for (index, (code, explanation)) in OF_SCENARIOS.iter().enumerate() {
            assert_eq!(*code as usize, index, "{explanation:?}");
        }
        let codes: Vec<_> = all().map(|explanation| explanation.code).collect();
        assert!(codes.is_sorted_by(|one, other| one < other), "{codes:?}");
        for code in codes {
            assert!(code.len() == 5 && code.starts_with('Q') && code[1..].bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
