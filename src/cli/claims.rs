//! `qnetsim claims`: what the documents claim, beside what runs of this program give.

use std::collections::BTreeSet;

use super::run::{simulate, threads};
use super::{ClaimsArgs, ClaimsFormat, Failure, print};
use crate::claims::evidence::{Evidence, Run, Scale};
use crate::claims::runs::RUNS;
use crate::claims::{Definition, claims, definition};
use crate::metrics::PointResult;
use crate::report::{Answer, claims_csv, claims_human, claims_json, claims_markdown};
use crate::scenario;

/// Runs what the chosen claims need, and prints what follows.
pub(super) fn answer(args: &ClaimsArgs) -> Result<(), Failure> {
    let chosen = chosen(args)?;
    let needed: BTreeSet<&str> = chosen.iter().flat_map(|(_, definition)| definition.runs).copied().collect();
    let mut evidence = Evidence::default();
    for run in RUNS.iter().filter(|run| needed.contains(run.name)) {
        evidence.add(run.name, make(run, args.scale.into(), threads(args.threads), args.quiet));
    }
    let answers: Vec<Answer> = chosen
        .into_iter()
        .map(|(claim, definition)| {
            let parts = (definition.parts)(&evidence).map_err(|missing| missing.to_string());
            Answer { claim, definition, parts }
        })
        .collect();
    print(&match args.format {
        ClaimsFormat::Human => claims_human(&answers),
        ClaimsFormat::Markdown => claims_markdown(&answers),
        ClaimsFormat::Csv => String::from_utf8_lossy(&claims_csv(&answers)).into_owned(),
        ClaimsFormat::Json => claims_json(&answers),
    })?;
    let without: Vec<_> =
        answers.iter().filter(|answer| answer.parts.is_err()).map(|answer| &*answer.claim.id).collect();
    if without.is_empty() {
        return Ok(());
    }
    let message = format!("error: no evidence for {}", without.join(", "));
    Err(Failure { code: Failure::INTERNAL, message })
}

type Chosen = Vec<(&'static crate::claims::Claim, &'static Definition)>;

/// The claims that `args` ask for, in the order of the documents.
fn chosen(args: &ClaimsArgs) -> Result<Chosen, Failure> {
    let bad = |message: String| Failure { code: Failure::BAD_SCENARIO, message };
    for id in &args.ids {
        if definition(id).is_none() {
            let known: Vec<_> = claims().iter().map(|claim| claim.id.as_str()).collect();
            let near = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, id)).unwrap_or(&"");
            return Err(bad(format!("error: no claim is called {id:?}: write {near}?")));
        }
    }
    let wanted = claims().iter().filter(|claim| args.document.is_none_or(|document| document.name() == claim.document));
    let wanted = wanted.filter(|claim| args.ids.is_empty() || args.ids.contains(&claim.id));
    let chosen: Chosen = wanted.filter_map(|claim| Some((claim, definition(&claim.id)?))).collect();
    if chosen.is_empty() {
        return Err(bad("error: the document makes none of these claims".to_owned()));
    }
    Ok(chosen)
}

/// The points that `run` gives, seed by seed, or why it fails.
fn make(run: &Run, scale: Scale, threads: usize, quiet: bool) -> Result<Vec<Vec<PointResult>>, String> {
    (1..=run.seeds(scale))
        .map(|seed| {
            let mut overrides: Vec<String> = run.overrides(scale).iter().map(|text| (*text).to_owned()).collect();
            overrides.push(format!("seed={seed}"));
            let scenario = scenario::parse(run.file, run.text, &overrides).map_err(|error| error.render(false))?;
            simulate(&scenario, threads, quiet).map_err(|failure| failure.message)
        })
        .collect()
}
