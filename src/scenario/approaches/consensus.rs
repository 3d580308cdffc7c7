//! The approach `consensus`: the nodes of a flat network agree on blocks, by PBFT or by votes to the leader.

use super::super::build::{Found, Job, Ran, RunError};
use super::super::options::span;
use super::super::plan::events::Conditions;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{Kind, Mechanism, Spec, Variant, words};
use crate::contract::{Population, SimSpan};
use crate::metrics::{Curve, Figures, Flow, PointResult};
use crate::protocols::consensus::{
    CommitRecord, Consensus, ConsensusFigures, ConsensusOptions, ConsensusState, MessageKind, Pattern, REPLICAS_MAX,
    by_height,
};

const INTERVAL: [SimSpan; 2] = [SimSpan::from_millis(1), SimSpan::from_secs(86_400)];
const TIMEOUT: [SimSpan; 2] = [SimSpan::from_millis(10), SimSpan::from_secs(3_600)];
/// A message takes up to a second to handle.
const PROCESSING: [SimSpan; 2] = [SimSpan::ZERO, SimSpan::from_secs(1)];
const BLOCK_MAX: u32 = 100_000_000;
const ROUNDS_MAX: u32 = 1_000_000;
/// Bytes of a replica without tallies and blocks, about, of a vote under way with the slack of its chunk, and of the record
/// of a commit.
const REPLICA_BYTES: u64 = 8_000;
const VOTE_BYTES: u64 = 36;
const RECORD_BYTES: u64 = size_of::<CommitRecord>() as u64;
const PATTERNS: [&str; 2] = ["pbft", "linear"];

pub(super) const KIND: Kind = Kind {
    name: "consensus",
    keys: &["warmup", "measure", "pattern", "rotates", "interval", "timeout", "processing", "block_size", "rounds"],
    is_tiered: false,
    read,
};

/// Consensus among all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsensusSpec {
    /// How they agree: an interval of 1 ms to a day, a timeout of 10 ms to an hour, up to a second to handle a message,
    /// blocks of up to 100 MB, up to a million of them.
    pub options: ConsensusOptions,
}

/// The options that both consensus and the ledger have.
pub(super) fn options(reader: &mut Reader, own: &Section<'_>, interval: SimSpan) -> Option<ConsensusOptions> {
    let base = ConsensusOptions::DEFAULT;
    let mut time = |key, default, range| span(reader, own, key, default, range).value;
    let interval = time("interval", interval, INTERVAL);
    let timeout = time("timeout", base.timeout, TIMEOUT);
    let processing = time("processing", SimSpan::ZERO, PROCESSING);
    let rotates = reader.field(own, "rotates", false, |reader, value| reader.boolean(value)).value;
    let processing = [processing?; MessageKind::ALL.len()];
    Some(ConsensusOptions { rotates: rotates?, interval: interval?, timeout: timeout?, processing, ..base })
}

/// The patterns of messages, one or a list; none twice.
pub(super) fn patterns(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Pattern>> {
    let places = words(reader, own, "pattern", "a pattern of messages", &PATTERNS, &[0])?;
    Some(places.into_iter().map(|place| if place == 0 { Pattern::Pbft } else { Pattern::Linear }).collect())
}

/// The name of a pattern in scenarios.
pub(super) fn name_of(pattern: Pattern) -> &'static str {
    PATTERNS[pattern as usize]
}

/// All options of consensus as a text.
pub(super) fn canonical(options: &ConsensusOptions) -> String {
    let ConsensusOptions { pattern, rotates, interval, timeout, processing, block, heights, .. } = options;
    let heights = heights.map_or("-".to_owned(), |heights| heights.to_string());
    let spans = [*interval, *timeout, processing[0]].map(|span| span.as_nanos().to_string()).join(" ");
    format!("{} {rotates} {spans} {block} {heights}", name_of(*pattern))
}

/// Messages of a round among `replicas`.
pub(super) fn round_messages(pattern: Pattern, replicas: f64) -> f64 {
    match pattern {
        Pattern::Pbft => (2.0 * replicas + 1.0) * (replicas - 1.0),
        Pattern::Linear => 3.0 * (replicas - 1.0),
    }
}

/// Deliveries and timers of a run: in each round all messages, which take a timer where they take time to handle, and at each
/// replica and at the leader a timer. A round takes the interval and three messages.
pub(super) fn events(options: &ConsensusOptions, replicas: f64, on: &Conditions) -> f64 {
    let round = options.interval.as_secs_f64() + 3.0 * on.delay;
    let rounds = (on.run / round).min(options.heights.map_or(f64::INFINITY, f64::from));
    let timers = if options.processing[0] > SimSpan::ZERO { 1.0 } else { 0.0 };
    let messages = round_messages(options.pattern, replicas) * (1.0 - on.lost);
    rounds * (messages * (1.0 + timers) + replicas + 1.0)
}

/// Memory of `replicas` and of half a round of votes under way, in bytes, with records of `heights`: who commits has had
/// the votes that prepare.
pub(super) fn memory(options: &ConsensusOptions, replicas: u64, heights: u64) -> u64 {
    let under_way = round_messages(options.pattern, replicas as f64) as u64 / 2 * VOTE_BYTES;
    replicas * REPLICA_BYTES + records(replicas, heights) + under_way
}

/// What the records of commits take.
pub(super) fn records(replicas: u64, heights: u64) -> u64 {
    replicas * heights * RECORD_BYTES
}

/// What became of blocks, and who committed which when.
pub(super) type Committed = (ConsensusFigures, Vec<CommitRecord>);

/// What became of the blocks of replicas that ended with `states`.
pub(super) fn committed<'a>(states: impl Iterator<Item = &'a ConsensusState>) -> Committed {
    let (mut all, mut records) = Committed::default();
    for state in states {
        all.merge(state.figures());
        records.extend_from_slice(state.records());
    }
    (all, records)
}

/// What became of the rounds that committed such blocks, whose messages were `sent` by kind.
pub(super) fn rounds((all, mut records): Committed, quorum: u32, sent: [u64; MessageKind::ALL.len()]) -> Figures {
    let mut figures = Figures::new("consensus");
    let heights = by_height(&mut records, quorum);
    let subject = "super";
    figures.add(subject, "rounds", "1", f64::from(all.height_max));
    figures.add(subject, "forks", "1", if heights.is_err() { 1.0 } else { 0.0 });
    let per_round = |count: u64| (all.height_max > 0).then(|| count as f64 / f64::from(all.height_max));
    let [proposals, prepares, commits, ..] = sent;
    figures.add(subject, "messages-per-round", "1", per_round(sent.iter().sum()));
    figures.add(subject, "proposals-per-round", "1", per_round(proposals));
    figures.add(subject, "votes-per-round", "1", per_round(prepares + commits));
    let seconds = |span: SimSpan| span.as_secs_f64();
    figures.add(subject, "commit-mean", "s", all.latency.mean().map(seconds));
    figures.add(subject, "commit-p50", "s", all.latency.quantile(50).map(seconds));
    figures.add(subject, "commit-p99", "s", all.latency.quantile(99).map(seconds));
    figures.claimed("QN-53");
    let heights = heights.unwrap_or_default();
    let mut quorums: Vec<_> = heights.iter().filter_map(|height| Some((height.height, height.quorum?))).collect();
    let points = quorums.iter().map(|&(height, took)| [f64::from(height), seconds(took)]).collect();
    quorums.sort_unstable_by_key(|&(_, took)| took);
    let mean = quorums.iter().map(|(_, took)| u128::from(took.as_nanos())).sum::<u128>() as f64 / 1e9;
    let is_known = !quorums.is_empty();
    figures.add(subject, "quorum-commit-mean", "s", is_known.then(|| mean / quorums.len() as f64));
    figures.add(subject, "quorum-commit-min", "s", quorums.first().map(|&(_, took)| seconds(took)));
    figures.add(subject, "quorum-commit-max", "s", quorums.last().map(|&(_, took)| seconds(took)));
    let last = heights.iter().map(|height| height.last).max();
    figures.add(subject, "last-commit-max", "s", last.map(seconds));
    figures.add(subject, "view-changes", "1", all.view_changes as f64);
    figures.add(subject, "blocks-synced", "1", all.synced as f64);
    figures.add(subject, "blocks-skipped", "1", all.skipped as f64);
    figures.add(subject, "equivocations", "1", all.equivocations as f64);
    figures.add(subject, "messages-overrun", "1", all.overrun as f64);
    figures.add(subject, "messages-rejected", "1", all.rejected as f64);
    figures.curves.push(Curve { subject, name: "quorum-commit-by-height", units: ["1", "s"], points });
    figures
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let patterns = patterns(reader, own);
    let base = options(reader, own, ConsensusOptions::DEFAULT.interval);
    let block = reader.field(own, "block_size", 0, |reader, value| reader.size(value, 0, BLOCK_MAX)).value;
    let rounds = reader.field(own, "rounds", 10, |reader, value| reader.count_u32(value, 1, ROUNDS_MAX)).value;
    let (base, block, rounds, patterns) = (base?, block?, rounds?, patterns?);
    let variant = |&pattern: &Pattern| {
        let options = ConsensusOptions { pattern, block, heights: Some(rounds), records_max: rounds, ..base };
        let suffix = if patterns.len() > 1 { format!(" {}", name_of(pattern)) } else { String::new() };
        Variant { suffix, mechanism: Mechanism::Consensus(ConsensusSpec { options }) }
    };
    Some(patterns.iter().map(variant).collect())
}

impl Spec for ConsensusSpec {
    fn check(&self, reader: &mut Reader, population: Population, at: Place) {
        let replicas = population.total();
        if replicas > REPLICAS_MAX {
            let title = format!("consensus among {replicas} nodes is too large");
            reader.report(Draft::new(at, title, format!("write nodes of at most {REPLICAS_MAX}")));
        }
    }

    fn canonical(&self) -> String {
        canonical(&self.options)
    }

    fn memory(&self, _: &Scenario, point: &Point) -> u64 {
        memory(&self.options, u64::from(point.population.total()), u64::from(self.options.records_max))
    }

    fn undivided(&self, _: &Scenario, point: &Point) -> u64 {
        records(u64::from(point.population.total()), u64::from(self.options.records_max))
    }

    fn events(&self, _: &Scenario, point: &Point, on: &Conditions) -> f64 {
        events(&self.options, f64::from(point.population.total()), on)
    }

    fn kinds(&self) -> usize {
        MessageKind::ALL.len()
    }

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        let round = round_messages(self.options.pattern, f64::from(point.population.total()));
        round / self.options.interval.as_secs_f64()
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let consensus = Consensus::new(job.point.population, self.options);
        let own = |outcome: &Ran<Consensus>| committed(outcome.states.iter().map(|(_, state)| state));
        job.run_summed("consensus", &consensus, 0, own, |outcome, found| Found {
            figures: vec![rounds(found, consensus.quorum(), sent(outcome, 0))],
            ..Found::default()
        })
    }
}

/// Messages of consensus that were sent in the whole run, by kind; their first kind is kind `first` of the protocol.
pub(super) fn sent<P: crate::contract::Protocol>(outcome: &Ran<P>, first: usize) -> [u64; MessageKind::ALL.len()] {
    let total = |kind| outcome.slices.iter().map(|slice| slice.kind_total(Flow::Sent, first + kind).messages).sum();
    std::array::from_fn(total)
}
