//! `qnetsim claims`: what the documents claim, beside what runs of this program give.

use std::collections::BTreeSet;

use clap::ValueEnum;

use super::run::{simulate, threads};
use super::{Failure, print};
use crate::claims::evidence::{Evidence, Run, Scale};
use crate::claims::runs::RUNS;
use crate::claims::{Definition, claims, definition};
use crate::metrics::PointResult;
use crate::report::{Answer, claims_csv, claims_human, claims_json, claims_markdown};
use crate::scenario;

pub(super) const CLAIMS_EXAMPLES: &str = "Examples:
  qnetsim claims --document qnet-scalability
  qnetsim claims --id QN-09,QN-53
  qnetsim claims --document qnet-scalability --scale full --format markdown > claims.md";

/// Arguments of `qnetsim claims`.
#[derive(Debug, clap::Args)]
pub(super) struct ClaimsArgs {
    /// The document; both if not given.
    #[arg(long, value_enum)]
    document: Option<Document>,

    /// Claims by their ids, parted by commas; all if not given.
    #[arg(long = "id", value_name = "ID", value_delimiter = ',')]
    ids: Vec<String>,

    /// How large the runs are.
    #[arg(long, value_enum, default_value_t = ClaimsScale::Quick)]
    scale: ClaimsScale,

    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = ClaimsFormat::Human)]
    format: ClaimsFormat,

    /// Threads to use; all cores if not given. Changes no result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// A document that claims something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Document {
    /// How a network of millions of nodes should be built.
    QnetScalability,
    /// How a registry of billions of users should be built.
    UserRegistryScalability,
}

impl Document {
    fn name(self) -> &'static str {
        match self {
            Document::QnetScalability => "qnet-scalability",
            Document::UserRegistryScalability => "user-registry-scalability",
        }
    }
}

/// How large the runs of `claims` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClaimsScale {
    /// Up to 100,000 nodes; larger sizes are projected from at least five.
    Quick,
    /// The documents' own sizes, up to ten million nodes.
    Full,
}

impl From<ClaimsScale> for Scale {
    fn from(scale: ClaimsScale) -> Self {
        match scale {
            ClaimsScale::Quick => Self::Quick,
            ClaimsScale::Full => Self::Full,
        }
    }
}

/// What `claims` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClaimsFormat {
    /// Blocks of text.
    Human,
    /// A table.
    Markdown,
    /// One JSON document.
    Json,
    /// Tidy CSV, a row a part of a claim.
    Csv,
}

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
