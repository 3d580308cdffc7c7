//! Claims for machines: CSV and JSON, with what is simulated apart from what is of this machine.

use serde::Serialize;

use super::super::number::Number;
use super::super::sheet;
use super::{Answer, Ran};
use crate::claims::verdict::Part;

pub(in super::super) const COLUMNS: [&str; 27] = [
    "id",
    "document",
    "quote",
    "claim",
    "claim_documented",
    "claim_unit",
    "part",
    "unit",
    "documented",
    "implied",
    "obtained",
    "rule",
    "simulated",
    "simulated_is_lower_bound",
    "simulated_half_width",
    "simulated_seeds",
    "simulated_ratio",
    "simulated_law",
    "simulated_part_verdict",
    "simulated_verdict",
    "machine",
    "machine_ratio",
    "machine_part_verdict",
    "machine_verdict",
    "missing",
    "because",
    "run",
];

/// A row of the CSV, by its columns.
#[derive(Clone, Default, Serialize)]
struct Row<'a> {
    id: &'a str,
    document: &'a str,
    quote: &'a str,
    claim: &'a str,
    claim_documented: &'a str,
    claim_unit: &'a str,
    part: &'a str,
    unit: &'a str,
    documented: Option<Number>,
    implied: Option<Number>,
    obtained: Option<String>,
    rule: Option<String>,
    simulated: Option<Number>,
    simulated_is_lower_bound: Option<bool>,
    simulated_half_width: Option<Number>,
    simulated_seeds: Option<usize>,
    simulated_ratio: Option<Number>,
    simulated_law: Option<String>,
    simulated_part_verdict: Option<String>,
    simulated_verdict: Option<String>,
    machine: Option<Number>,
    machine_ratio: Option<Number>,
    machine_part_verdict: Option<String>,
    machine_verdict: Option<String>,
    missing: Option<&'a str>,
    because: &'a str,
    run: String,
}

fn rows(answer: &Answer) -> Vec<Row<'_>> {
    let words = answer.definition.words();
    let verdict = Some(answer.verdict_text());
    let is_of_machine = answer.is_of_machine();
    let row = Row {
        id: &answer.claim.id,
        document: &answer.claim.document,
        quote: &words.quote,
        claim: &answer.claim.claim,
        claim_documented: answer.claim.figure.as_deref().unwrap_or(""),
        claim_unit: answer.claim.unit.as_deref().unwrap_or(""),
        simulated_verdict: verdict.clone().filter(|_| !is_of_machine),
        machine_verdict: verdict.filter(|_| is_of_machine),
        missing: answer.parts.as_ref().err().map(String::as_str),
        because: &words.because,
        run: answer.commands.join("; "),
        ..Row::default()
    };
    match &answer.parts {
        Err(_) => vec![row],
        Ok(parts) => parts.iter().map(|part| of_part(row.clone(), part)).collect(),
    }
}

fn of_part<'a>(row: Row<'a>, part: &'a Part) -> Row<'a> {
    // What is only counted among the rows of a machine has a name that says how many, which differs as well.
    let (mean, half_width) = part.mean().map_or((None, None), |(mean, half)| (Some(Number(mean)), half.map(Number)));
    let (ratio, verdict) = (part.ratio().map(Number), part.verdict().map(|verdict| verdict.to_string()));
    let row = Row {
        part: &part.name,
        unit: part.unit,
        documented: part.documented.map(Number),
        implied: part.implied.map(Number),
        obtained: Some(part.means.to_string()),
        rule: Some(part.rule.to_string()),
        ..row
    };
    if part.is_of_machine {
        return Row { machine: mean, machine_ratio: ratio, machine_part_verdict: verdict, ..row };
    }
    Row {
        simulated: mean,
        simulated_is_lower_bound: Some(part.is_lower_bound),
        simulated_half_width: half_width,
        simulated_seeds: Some(part.values.len()).filter(|_| part.law.is_none()),
        simulated_ratio: ratio,
        simulated_law: part.law.map(|law| law.to_string()),
        simulated_part_verdict: verdict,
        ..row
    }
}

/// Tidy CSV, a row a part of a claim. What clocks and disks of this machine say stands in the columns `machine*`; all
/// others are the same on every machine.
pub fn claims_csv(answers: &[Answer]) -> Vec<u8> {
    sheet::csv(&COLUMNS, answers.iter().flat_map(rows))
}

/// One JSON document: what ran where, and the rows of the CSV by claim, with the sizes that laws were fitted to.
pub fn claims_json(ran: &Ran, answers: &[Answer]) -> String {
    let claims: Vec<serde_json::Value> = answers
        .iter()
        .map(|answer| {
            let words = answer.definition.words();
            let parts = answer.parts.as_deref().unwrap_or_default();
            let points = |part: &Part| -> Vec<[f64; 2]> { part.points.iter().map(|(n, y)| [*n, *y]).collect() };
            let part = |part: &Part| {
                let (mean, half) = part.mean().map_or((None, None), |(mean, half)| (Some(mean), half));
                serde_json::json!({
                    "part": part.name,
                    "unit": part.unit,
                    "documented": part.documented,
                    "implied": part.implied,
                    "measured": mean,
                    "half_width": half,
                    "values": part.values,
                    "is_lower_bound": part.is_lower_bound,
                    "ratio": part.ratio(),
                    "law": part.law.map(|law| law.to_string()),
                    "points": points(part),
                    "obtained": part.means.to_string(),
                    "of_this_machine": part.is_of_machine,
                    "rule": part.rule.to_string(),
                    "verdict": part.verdict().map(|verdict| verdict.to_string()),
                })
            };
            serde_json::json!({
                "id": answer.claim.id,
                "document": answer.claim.document,
                "quote": words.quote,
                "claim": answer.claim.claim,
                "documented": answer.documented_text(),
                "verdict": answer.verdict_text(),
                "because": words.because,
                "missing": answer.parts.as_ref().err(),
                "runs": answer.commands,
                "parts": parts.iter().map(part).collect::<Vec<_>>(),
            })
        })
        .collect();
    let Ran { command, version, machine, seeds, scale } = ran;
    let all = serde_json::json!({
        "command": command, "version": version, "machine": machine, "seeds": seeds, "scale": scale, "claims": claims,
    });
    serde_json::to_string_pretty(&all).expect("names and numbers are JSON") + "\n"
}
