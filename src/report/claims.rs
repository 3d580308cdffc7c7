//! Claims with their verdicts: for people, as Markdown, CSV and JSON.

mod charts;
mod rows;

use std::fmt::Write;

use super::number::{count, plain};
use super::table::{bullet, table_with};
use crate::claims::verdict::{Part, Verdict, together};
use crate::claims::{Claim, Definition};

pub use charts::{growth_svg, verdicts_svg};
pub(super) use rows::COLUMNS;
pub use rows::{claims_csv, claims_json};

/// A claim with what was found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What is claimed.
    pub claim: &'static Claim,
    /// How it is decided.
    pub definition: &'static Definition,
    /// The numbers that decide, or why there are none.
    pub parts: Result<Vec<Part>, String>,
    /// Command lines that make what it needs alone.
    pub commands: Vec<String>,
}

/// What made the answers, and where.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command.
    pub command: String,
    /// Program and version.
    pub version: String,
    /// Cores, memory, system.
    pub machine: String,
    /// Seeds of the runs.
    pub seeds: String,
    /// `quick` or `full`.
    pub scale: &'static str,
}

impl Answer {
    /// The verdict; `None` if what it needs is missing.
    pub fn verdict(&self) -> Option<Verdict> {
        let parts = self.parts.as_ref().ok()?;
        Some(together(parts).unwrap_or(Verdict::NotMeasurable))
    }

    /// Whether a number of this machine decides.
    pub fn is_of_machine(&self) -> bool {
        self.parts.as_ref().is_ok_and(|parts| parts.iter().any(|part| part.is_of_machine))
    }

    fn verdict_text(&self) -> String {
        self.verdict().map_or_else(|| "no evidence".to_owned(), |verdict| verdict.to_string())
    }

    fn documented_text(&self) -> String {
        match (&self.claim.figure, &self.claim.unit) {
            (Some(figure), Some(unit)) => format!("{figure} {unit}"),
            (Some(figure), None) => figure.clone(),
            (None, _) => String::new(),
        }
    }

    /// Of a claim with one number, that number; its row is the claim's.
    fn only_part(&self) -> Option<&Part> {
        match self.parts.as_deref() {
            Ok([part]) if part.name.is_empty() => Some(part),
            _ => None,
        }
    }
}

/// A number with its interval: `33.3K ±12.0`, `n^1.00 ±0.02, O(n)`, `>100K`.
fn measured_text(part: &Part) -> String {
    let Some((mean, half_width)) = part.mean() else { return "nothing".to_owned() };
    let interval = half_width.filter(|half| *half > 0.0).map_or(String::new(), |half| format!(" ±{}", short(half)));
    match part.law {
        Some(law) => {
            let half = half_width.map_or(String::new(), |half| format!(" ±{half:.2}"));
            format!("n^{mean:.2}{half}, {law}")
        }
        None if part.is_lower_bound => format!(">{}", short(mean)),
        None => format!("{}{interval} {}", short(mean), unit(part)).trim_end().to_owned(),
    }
}

fn unit(part: &Part) -> &'static str {
    if matches!(part.unit, "1" | "exponent") { "" } else { part.unit }
}

/// Three digits: small numbers in full, large ones with the documents' units.
fn short(value: f64) -> String {
    match value {
        negative if negative < 0.0 => format!("-{}", short(-negative)),
        large if large >= 10_000.0 => count(large),
        small => plain(small),
    }
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, short)
}

/// Lines that say what made the answers.
fn header(ran: &Ran) -> [String; 5] {
    let Ran { command, version, machine, seeds, scale } = ran;
    [
        format!("command: {command}"),
        format!("version: {version}"),
        format!("machine: {machine}"),
        format!("seeds: {seeds}"),
        format!("scale: {scale}"),
    ]
}

const HEADER: [&str; 8] = ["id", "claim, part", "documented", "implied", "measured", "ratio", "obtained", "verdict"];
/// The widest a column of text is, in characters.
const TEXT_WIDTH: u16 = 22;

/// A row for each claim and one for each of its parts.
fn table_rows(answer: &Answer) -> Vec<Vec<String>> {
    let of_part = |part: &Part| {
        let verdict = part.verdict().map_or_else(String::new, |verdict| verdict.to_string());
        [
            optional(part.documented),
            optional(part.implied),
            measured_text(part),
            optional(part.ratio()),
            part.means.to_string(),
            verdict,
        ]
    };
    let quote = format!("\"{}\"", answer.definition.words().quote);
    let mut first = vec![answer.claim.id.clone(), quote, answer.documented_text()];
    if let Some(part) = answer.only_part() {
        let [_, rest @ ..] = of_part(part);
        first.extend(rest);
        return vec![first];
    }
    first.extend([String::new(), String::new(), String::new(), String::new(), answer.verdict_text()]);
    let mut rows = vec![first];
    for part in answer.parts.as_deref().unwrap_or_default() {
        rows.push([vec![String::new(), part.name.clone()], of_part(part).to_vec()].concat());
    }
    rows
}

/// For people: a table, and a sentence for each claim.
pub fn claims_human(ran: &Ran, answers: &[Answer]) -> String {
    let mut text = header(ran).map(|line| bullet(&line)).concat() + "\n";
    text += &table_with(&HEADER, &[0, 1, 2, 4, 6, 7], TEXT_WIDTH, answers.iter().flat_map(table_rows));
    text += "\nWhy\n\n";
    for answer in answers {
        text += &bullet(&format!("{} {}: {}", answer.claim.id, answer.verdict_text(), sentence(answer)));
    }
    text += "\nMeasured: mean and 95 % confidence interval over seeds, or of a fit; ratio: measured by\ndocumented. \
             What is obtained as `measured`, and what is projected from it, is of this machine.\n\n";
    text + &summary(answers)
}

/// The sentence that explains the verdict, or what is missing.
fn sentence(answer: &Answer) -> &str {
    match &answer.parts {
        Ok(_) => &answer.definition.words().because,
        Err(why) => why,
    }
}

/// How many claims have which verdict.
fn summary(answers: &[Answer]) -> String {
    let mut words: Vec<(String, usize)> = Vec::new();
    for answer in answers {
        let word = verdict_kind(answer);
        match words.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => words.push((word, 1)),
        }
    }
    let words: Vec<_> = words.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let claims = if answers.len() == 1 { "claim" } else { "claims" };
    format!("{} {claims}: {}\n", answers.len(), words.join(", "))
}

/// The verdict without its factor.
fn verdict_kind(answer: &Answer) -> String {
    match answer.verdict() {
        Some(Verdict::OffBy(_)) => "off by a factor".to_owned(),
        _ => answer.verdict_text(),
    }
}

/// A table with a row for each claim; then the growth of quantities, the rules, and the commands that make runs alone.
pub fn claims_markdown(ran: &Ran, answers: &[Answer]) -> String {
    let mut text = "# Claims of the documents, and what was measured\n\n".to_owned();
    header(ran).iter().for_each(|line| _ = writeln!(text, "- {line}"));
    let _ = writeln!(text, "\n{}", summary(answers));
    text += "| id | the document says | documented | implied | measured | ratio | obtained | verdict | because |\n";
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for answer in answers {
        let parts = answer.parts.as_deref().unwrap_or_default();
        let lines = |cell: &dyn Fn(&Part) -> String| parts.iter().map(cell).collect::<Vec<_>>().join("<br>");
        let mut means: Vec<_> = parts.iter().map(|part| part.means).collect();
        means.sort();
        means.dedup();
        let cells = [
            answer.claim.id.clone(),
            format!("\"{}\"", answer.definition.words().quote),
            answer.documented_text(),
            lines(&|part| optional(part.implied)),
            lines(&|part| named(part, measured_text(part))),
            lines(&|part| optional(part.ratio())),
            means.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            answer.verdict_text(),
            sentence(answer).to_owned(),
        ];
        // A column of empty lines says nothing.
        let empty = |cell: String| if cell.replace("<br>", "").is_empty() { String::new() } else { cell };
        let cells = cells.map(|cell| empty(cell.replace('|', "\\|").replace('\n', " ")));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text + &growth_markdown(answers) + &rules_markdown(answers)
}

fn named(part: &Part, text: String) -> String {
    if part.name.is_empty() { text } else { format!("{}: {text}", part.name) }
}

/// The fits, a row for each quantity.
fn growth_markdown(answers: &[Answer]) -> String {
    let parts = answers.iter().flat_map(|answer| {
        let parts = answer.parts.as_deref().unwrap_or_default();
        parts.iter().filter_map(move |part| Some((answer, part, part.law?)))
    });
    let mut text = "\n## Growth\n\n| claim | quantity | sizes | exponent | 95 % interval | best law |\n".to_owned();
    text += "|---|---|---|---|---|---|\n";
    let before = text.len();
    for (answer, part, law) in parts {
        let Some((exponent, half)) = part.mean() else { continue };
        let half = half.unwrap_or(0.0);
        let sizes: Vec<_> = part.points.iter().map(|(size, _)| short(*size)).collect();
        let (id, name, sizes) = (&answer.claim.id, &part.name, sizes.join(", "));
        let (low, high) = (exponent - half, exponent + half);
        let _ = writeln!(text, "| {id} | {name} | {sizes} | {exponent:.3} | {low:.3} to {high:.3} | {law} |");
    }
    if text.len() == before { String::new() } else { text }
}

/// What decides each part, and how its runs are made alone.
fn rules_markdown(answers: &[Answer]) -> String {
    let mut text = "\n## Rules and runs\n\n".to_owned();
    for answer in answers {
        let rules: Vec<String> = answer
            .parts
            .as_deref()
            .unwrap_or_default()
            .iter()
            .filter(|part| part.verdict().is_some())
            .map(|part| named(part, part.rule.to_string()))
            .collect();
        let commands: Vec<String> = answer.commands.iter().map(|command| format!("  - `{command}`")).collect();
        let _ = writeln!(text, "- {}: {}\n{}", answer.claim.id, rules.join("; "), commands.join("\n"));
    }
    text
}

#[cfg(test)]
mod tests;
