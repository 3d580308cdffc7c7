//! Claims with their verdicts: for people, as Markdown, CSV and JSON.

use std::fmt::Write;

use serde::Serialize;

use super::number::{Number, plain};
use super::sheet;
use super::table::bullet;
use crate::claims::verdict::{Means, Part, Verdict, together};
use crate::claims::{Claim, Definition};

/// A claim with what was found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What is claimed.
    pub claim: &'static Claim,
    /// How it is decided.
    pub definition: &'static Definition,
    /// The numbers that decide, or why there are none.
    pub parts: Result<Vec<Part>, String>,
}

impl Answer {
    /// The verdict; `None` if what it needs is missing.
    pub fn verdict(&self) -> Option<Verdict> {
        let parts = self.parts.as_ref().ok()?;
        Some(together(parts).unwrap_or(Verdict::NotMeasurable))
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
}

/// `12.0 ± 0.3 msg/s`.
fn measured_text(part: &Part) -> String {
    let Some((mean, half_width)) = part.mean() else { return "nothing".to_owned() };
    let interval = half_width.filter(|half| *half > 0.0).map_or(String::new(), |half| format!(" ± {}", plain(half)));
    let unit = if matches!(part.unit, "1" | "exponent") { String::new() } else { format!(" {}", part.unit) };
    let exponent = if part.unit == "exponent" { "n^" } else { "" };
    let law = part.law.map_or(String::new(), |law| format!(", best fit {law}"));
    format!("{exponent}{}{interval}{unit}{law}", signed(mean))
}

/// Three digits; whole numbers of people's size in full.
fn signed(value: f64) -> String {
    if value < 0.0 { format!("-{}", plain(-value)) } else { plain(value) }
}

/// Blocks of text, one a claim.
pub fn claims_human(answers: &[Answer]) -> String {
    let mut text = String::new();
    for answer in answers {
        let (claim, verdict) = (answer.claim, answer.verdict_text());
        let _ = writeln!(text, "{}  {}\n  {}: {}", claim.id, verdict, claim.place, claim.claim);
        if claim.figure.is_some() {
            let _ = writeln!(text, "  documented {}", answer.documented_text());
        }
        match &answer.parts {
            Err(why) => _ = writeln!(text, "  {why}"),
            Ok(parts) => parts.iter().for_each(|part| _ = writeln!(text, "  {}", part_line(part))),
        }
        let because = bullet(answer.definition.because);
        text.push_str(&because.lines().map(|line| format!("  {line}\n")).collect::<String>());
        text.push('\n');
    }
    text + &summary(answers)
}

fn part_line(part: &Part) -> String {
    let name = if part.name.is_empty() { "measured".to_owned() } else { part.name.clone() };
    let implied = part.implied.map_or(String::new(), |implied| format!(", implied {}", plain(implied)));
    let ratio = part.ratio().map_or(String::new(), |ratio| format!(", {} times the documented", signed(ratio)));
    let verdict = part.verdict().map_or(String::new(), |verdict| format!(": {verdict}"));
    let seeds = match (part.means, part.values.len()) {
        (Means::Projected, _) | (_, 0 | 1) => String::new(),
        (_, seeds) => format!(", {seeds} seeds"),
    };
    format!("{name}: {} ({}{seeds}){implied}{ratio}{verdict}", measured_text(part), part.means)
}

/// How many claims have which verdict.
fn summary(answers: &[Answer]) -> String {
    let mut words: Vec<(String, usize)> = Vec::new();
    for answer in answers {
        let word = match answer.verdict() {
            Some(Verdict::OffBy(_)) => "off by a factor".to_owned(),
            _ => answer.verdict_text(),
        };
        match words.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => words.push((word, 1)),
        }
    }
    let words: Vec<_> = words.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    format!("{} claims: {}\n", answers.len(), words.join(", "))
}

/// A table, a row a claim.
pub fn claims_markdown(answers: &[Answer]) -> String {
    let mut text = "| id | claim | documented | measured | obtained | verdict | because |\n".to_owned();
    text += "|---|---|---|---|---|---|---|\n";
    for answer in answers {
        let (measured, means) = match &answer.parts {
            Err(why) => (why.clone(), String::new()),
            Ok(parts) => {
                let lines: Vec<_> = parts.iter().map(short_line).collect();
                let mut means: Vec<_> = parts.iter().map(|part| part.means).collect();
                means.sort();
                means.dedup();
                (lines.join("<br>"), means.iter().map(Means::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        let cells = [
            answer.claim.id.clone(),
            answer.claim.claim.clone(),
            answer.documented_text(),
            measured,
            means,
            answer.verdict_text(),
            answer.definition.because.to_owned(),
        ];
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    format!("{text}\n{}", summary(answers))
}

fn short_line(part: &Part) -> String {
    let name = if part.name.is_empty() { String::new() } else { format!("{}: ", part.name) };
    let implied = part.implied.map_or(String::new(), |implied| format!(" (implied {})", plain(implied)));
    format!("{name}{}{implied}", measured_text(part))
}

const COLUMNS: [&str; 16] = [
    "id",
    "document",
    "claim",
    "part",
    "unit",
    "documented",
    "implied",
    "simulated",
    "on_this_machine",
    "half_width",
    "ratio",
    "law",
    "seeds",
    "obtained",
    "part_verdict",
    "verdict",
];

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    document: &'a str,
    claim: &'a str,
    part: &'a str,
    unit: &'a str,
    documented: Option<Number>,
    implied: Option<Number>,
    simulated: Option<Number>,
    on_this_machine: Option<Number>,
    half_width: Option<Number>,
    ratio: Option<Number>,
    law: Option<String>,
    seeds: Option<usize>,
    obtained: Option<String>,
    part_verdict: Option<String>,
    verdict: String,
}

fn rows(answer: &Answer) -> Vec<Row<'_>> {
    let row = |part: Option<&'static str>| Row {
        id: &answer.claim.id,
        document: &answer.claim.document,
        claim: &answer.claim.claim,
        part: part.unwrap_or(""),
        unit: answer.claim.unit.as_deref().unwrap_or(""),
        documented: answer.claim.number().map(Number),
        implied: None,
        simulated: None,
        on_this_machine: None,
        half_width: None,
        ratio: None,
        law: None,
        seeds: None,
        obtained: None,
        part_verdict: None,
        verdict: answer.verdict_text(),
    };
    let Ok(parts) = &answer.parts else { return vec![row(None)] };
    let of_part = |part: &'_ Part| {
        let mean = part.mean();
        let value = mean.map(|(mean, _)| Number(mean));
        let here = part.means == Means::Measured;
        Row {
            documented: part.documented.map(Number),
            implied: part.implied.map(Number),
            simulated: value.filter(|_| !here),
            on_this_machine: value.filter(|_| here),
            half_width: mean.and_then(|(_, half)| half).map(Number),
            ratio: part.ratio().map(Number),
            law: part.law.map(|law| law.to_string()),
            seeds: Some(part.values.len()),
            obtained: Some(part.means.to_string()),
            part_verdict: part.verdict().map(|verdict| verdict.to_string()),
            ..row(None)
        }
    };
    parts.iter().map(|part| Row { part: &part.name, unit: part.unit, ..of_part(part) }).collect()
}

/// Tidy CSV, a row a part of a claim. What clocks and disks of this machine say stands in a column of its own.
pub fn claims_csv(answers: &[Answer]) -> Vec<u8> {
    sheet::csv(&COLUMNS, answers.iter().flat_map(rows))
}

/// One JSON document: the rows of the CSV by claim.
pub fn claims_json(answers: &[Answer]) -> String {
    #[derive(Serialize)]
    struct Of<'a> {
        id: &'a str,
        verdict: String,
        because: &'a str,
        missing: Option<&'a str>,
        parts: Vec<Row<'a>>,
    }
    let all: Vec<_> = answers
        .iter()
        .map(|answer| Of {
            id: &answer.claim.id,
            verdict: answer.verdict_text(),
            because: answer.definition.because,
            missing: answer.parts.as_ref().err().map(String::as_str),
            parts: rows(answer),
        })
        .collect();
    serde_json::to_string_pretty(&all).expect("names and numbers are JSON") + "\n"
}
