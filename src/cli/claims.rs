//! `qnetsim claims`: what the documents claim, beside what runs of this program give.

mod sources;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::ValueEnum;

use super::machine::machine;
use super::run::threads;
use super::{Failure, print};
use crate::claims::evidence::{BREAK_EVEN, Evidence, IDS, REGISTRY_BENCH, SOURCES, Scale};
use crate::claims::runs::{RUNS, SEEDS};
use crate::claims::{Claim, Definition, claims, definition};
use crate::report::{
    Answer, Ran, check_writable, claims_csv, claims_human, claims_json, claims_markdown, growth_svg, verdicts_svg,
    write_results,
};
use sources::Sources;

pub(super) const CLAIMS_EXAMPLES: &str = "Examples:
  qnetsim claims
  qnetsim claims --document qnet-scalability
  qnetsim claims --id QN-09,QN-53 --format json
  qnetsim claims --scale full --out results/claims --work /data/scratch";

pub(super) const CLAIMS_EXIT_CODES: &str = "Exit codes: 0 every chosen claim has a verdict, whichever it is; 2 bad \
    arguments; 4 a file cannot be written; 70 a claim lacks its evidence, because a run failed or did not fit; 130 \
    interrupted.";

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

    /// Folder for claims.md, claims.csv, claims.json, growth.svg and verdicts.svg.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Folder for the registries that are measured, which are removed again; one for temporary files if not given.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,

    /// Threads to use; all cores if not given. Changes no simulated result.
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
    /// Up to 100,000 nodes and users, three seeds; larger sizes are projected, but for one run of the tiers as drawn.
    Quick,
    /// The documents' own sizes, up to ten million nodes and users, five seeds.
    Full,
}

impl ClaimsScale {
    fn name(self) -> &'static str {
        match self {
            ClaimsScale::Quick => "quick",
            ClaimsScale::Full => "full",
        }
    }
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
    /// A table, and a sentence for each claim.
    Human,
    /// The same as Markdown.
    Markdown,
    /// One JSON document.
    Json,
    /// Tidy CSV, a row a part of a claim.
    Csv,
}

/// Runs what the chosen claims need, and prints what follows.
pub(super) fn answer(args: &ClaimsArgs) -> Result<(), Failure> {
    let chosen = chosen(args)?;
    let input_output = |error: &dyn std::error::Error| Failure::of(Failure::INPUT_OUTPUT, error);
    if let Some(out) = &args.out {
        check_writable(out).map_err(|error| input_output(&error))?;
    }
    let evidence = gather(args, &chosen);
    let answers: Vec<Answer> = chosen
        .into_iter()
        .map(|(claim, definition)| {
            let parts = (definition.parts)(&evidence, definition.id).map_err(|missing| missing.to_string());
            Answer { claim, definition, parts, commands: commands(definition, args.scale.into()) }
        })
        .collect();
    let ran = ran(args);
    if let Some(out) = &args.out {
        let mut files = vec![
            ("claims.md", claims_markdown(&ran, &answers).into_bytes()),
            ("claims.csv", claims_csv(&answers)),
            ("claims.json", claims_json(&ran, &answers).into_bytes()),
        ];
        files.extend(growth_svg(&answers).map(|svg| ("growth.svg", svg)));
        files.extend(verdicts_svg(&answers).map(|svg| ("verdicts.svg", svg)));
        write_results(out, &files).map_err(|error| input_output(&error))?;
    }
    print(&match args.format {
        ClaimsFormat::Human => claims_human(&ran, &answers),
        ClaimsFormat::Markdown => claims_markdown(&ran, &answers),
        ClaimsFormat::Csv => String::from_utf8_lossy(&claims_csv(&answers)).into_owned(),
        ClaimsFormat::Json => claims_json(&ran, &answers),
    })?;
    let without: Vec<_> =
        answers.iter().filter(|answer| answer.parts.is_err()).map(|answer| &*answer.claim.id).collect();
    if without.is_empty() {
        return Ok(());
    }
    let message = format!("error: no evidence for {}", without.join(", "));
    Err(Failure { code: Failure::INTERNAL, message })
}

type Chosen = Vec<(&'static Claim, &'static Definition)>;

/// The claims that `args` ask for, in the order of the documents.
fn chosen(args: &ClaimsArgs) -> Result<Chosen, Failure> {
    let bad = |message: String| Failure { code: Failure::BAD_SCENARIO, message };
    for id in &args.ids {
        if definition(id).is_none() {
            let known = claims().iter().map(|claim| claim.id.as_str());
            let near = known.min_by_key(|known| strsim::damerau_levenshtein(known, id)).unwrap_or("");
            return Err(bad(format!("error: no claim is called {id:?}: did you mean {near}?")));
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

/// Makes every run that a chosen claim needs, once.
fn gather(args: &ClaimsArgs, chosen: &Chosen) -> Evidence {
    let needed: BTreeSet<&str> = chosen.iter().flat_map(|(_, definition)| definition.runs).copied().collect();
    let mut sources = Sources::new(args.scale.into(), threads(args.threads), args.quiet, needed.len());
    let mut evidence = Evidence::default();
    for run in RUNS.iter().filter(|run| needed.contains(run.name)) {
        evidence.add(run.name, sources.scenario(run));
    }
    if needed.contains(BREAK_EVEN) {
        evidence.add_crossings(sources.crossings());
    }
    if needed.contains(IDS) {
        evidence.add_tracked(sources.tracked());
    }
    if needed.contains(REGISTRY_BENCH) {
        evidence.add_registry(sources.registry(args.work.as_deref()));
    }
    evidence
}

/// How the runs of `definition` are made alone.
fn commands(definition: &Definition, scale: Scale) -> Vec<String> {
    let command = |name: &&str| match RUNS.iter().find(|run| run.name == *name) {
        Some(run) => run.command(scale),
        None if *name == REGISTRY_BENCH => format!("qnetsim registry bench --users {}", sources::users(scale)),
        None => {
            debug_assert!(SOURCES.contains(name));
            format!("qnetsim claims --id {}", definition.id)
        }
    };
    definition.runs.iter().map(command).collect()
}

/// What made the answers, and where.
fn ran(args: &ClaimsArgs) -> Ran {
    let mut command = "qnetsim claims".to_owned();
    if let Some(document) = args.document {
        command += &format!(" --document {}", document.name());
    }
    if !args.ids.is_empty() {
        command += &format!(" --id {}", args.ids.join(","));
    }
    let scale = args.scale.name();
    command += &format!(" --scale {scale}");
    let seeds = SEEDS[Scale::from(args.scale) as usize];
    Ran {
        command,
        version: format!("qnetsim {}", env!("CARGO_PKG_VERSION")),
        machine: machine(),
        seeds: format!("1 to {seeds}; registry 1"),
        scale,
    }
}
