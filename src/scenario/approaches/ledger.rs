//! The approach `ledger`: transactions go up the tiers, super nodes agree on blocks, and blocks go down again.

use std::sync::Arc;

use super::super::build::{Found, Job, Ran, RunError, clustering};
use super::super::options::span;
use super::super::plan::events::Conditions;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::consensus::{self, Committed, committed, name_of, patterns};
use super::{Kind, Mechanism, Spec, Variant, states_of};
use crate::contract::{NodeType, Nodes, Population, SimSpan, Spans};
use crate::metrics::{Curve, Figures, PointResult};
use crate::protocols::consensus::{ConsensusOptions, MessageKind, Pattern, REPLICAS_MAX};
use crate::protocols::ledger::{
    KEY_LEN, Ledger, LedgerFigures, LedgerOptions, LedgerState, Submissions, TRANSACTIONS_MAX,
};
use crate::topologies::{Notes, TierDegrees};

const INTERVAL: [SimSpan; 2] = [SimSpan::from_secs(1), SimSpan::from_secs(30 * 86_400)];
const SHORT: [SimSpan; 2] = [SimSpan::from_millis(1), SimSpan::from_secs(3_600)];
const VALIDATION: [SimSpan; 2] = [SimSpan::ZERO, SimSpan::from_secs(60)];
const SIZE_MAX: u32 = 1_000_000;
/// Commits of each super node of which a record is kept.
const RECORDS_MAX: u32 = 10_000;

pub(super) const KIND: Kind = Kind {
    name: "ledger",
    keys: &[
        "warmup",
        "measure",
        "pattern",
        "rotates",
        "interval",
        "timeout",
        "processing",
        "super_parents",
        "light_parents",
        "transactions",
        "arrivals",
        "transaction_size",
        "validation",
        "batch",
        "share",
        "patience",
        "attempts",
        "queue_max",
        "mempool_max",
        "block_max",
        "header_size",
        "check",
    ],
    is_tiered: true,
    read,
};

/// Transactions and blocks over the tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerSpec {
    /// What nodes do. A transaction of each node every second to 30 days; transactions and headers of up to 1 MB; a
    /// minute at most to validate one; other spans of a millisecond to an hour.
    pub options: LedgerOptions,
    /// Super nodes that a full node is linked to, 1 to 64.
    pub super_parents: u32,
    /// Full nodes that a light or mobile node is linked to, 1 to 64.
    pub light_parents: u32,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let base = LedgerOptions::DEFAULT;
    let patterns = patterns(reader, own);
    let consensus = consensus::options(reader, own, base.consensus.interval);
    let arrivals = reader
        .field(own, "arrivals", 0, |reader, value| reader.choice(value, "a way to arrive", &["poisson", "regular"]))
        .value;
    let mut size =
        |key, default| reader.field(own, key, default, |reader, value| reader.size(value, 1, SIZE_MAX)).value;
    let (transaction, header) = (size("transaction_size", base.transaction), size("header_size", base.header));
    let mut count = |key, default, min, max| {
        reader.field(own, key, default, |reader, value| reader.count_u32(value, min, max)).value
    };
    let (super_parents, light_parents) = (count("super_parents", 3, 1, 64), count("light_parents", 4, 1, 64));
    let attempts = count("attempts", u32::from(base.attempts), 1, 64);
    let queue_max = count("queue_max", base.queue_max, 1, 1 << 20);
    let mempool_max = count("mempool_max", base.mempool_max, 1, 1 << 24);
    let block_max = count("block_max", base.block_max, 1, TRANSACTIONS_MAX as u32);
    let mut time = |key, default, range| span(reader, own, key, default, range).value;
    let every = time("transactions", SimSpan::from_secs(600), INTERVAL);
    let validation = time("validation", base.validation, VALIDATION);
    let (batch, share) = (time("batch", base.batch, SHORT), time("share", base.share, SHORT));
    let patience = time("patience", base.patience, SHORT);
    let check = time("check", SimSpan::from_secs(60), INTERVAL);
    let types = NodeType::ALL.map(|node_type| node_type >= NodeType::LightNode);
    let options = LedgerOptions {
        consensus: ConsensusOptions { records_max: RECORDS_MAX, ..consensus? },
        submissions: Some(Submissions { every: every?, poisson: arrivals? == 0, types }),
        transaction: transaction?,
        validation: validation?,
        batch: batch?,
        share: share?,
        patience: patience?,
        attempts: attempts? as u8,
        queue_max: queue_max?,
        mempool_max: mempool_max?,
        block_max: block_max?,
        header: header?,
        mobile_headers: true,
        check: Some(check?),
    };
    let (super_parents, light_parents, patterns) = (super_parents?, light_parents?, patterns?);
    let variant = |&pattern: &Pattern| {
        let consensus = ConsensusOptions { pattern, ..options.consensus };
        let options = LedgerOptions { consensus, ..options };
        let suffix = if patterns.len() > 1 { format!(" {}", name_of(pattern)) } else { String::new() };
        Variant { suffix, mechanism: Mechanism::Ledger(LedgerSpec { options, super_parents, light_parents }) }
    };
    Some(patterns.iter().map(variant).collect())
}

impl LedgerSpec {
    /// The ledger over the tiers of a point.
    pub(super) fn protocol(&self, job: &Job<'_>) -> Ledger {
        let (population, seed) = (job.point.population, job.scenario.seed);
        let LedgerSpec { options, super_parents, light_parents } = *self;
        let degrees = TierDegrees { full_peers: 0, super_parents, light_parents, mesh: false };
        let clustering = clustering(&job.scenario.network.latency, seed, job.point.nearby);
        let kept = job.kept(Notes { senders: true, firsts: true, types: true });
        let graph = degrees.clustered_graph(population, kept, seed, clustering.as_ref());
        Ledger::new(Arc::new(graph), options)
    }

    /// What is found of all that `ledger` held, which sent so many messages of each kind of consensus.
    pub(super) fn figures(
        &self,
        ledger: &Ledger,
        (all, committed): Held,
        sent: [u64; MessageKind::ALL.len()],
    ) -> Vec<Figures> {
        let rounds = consensus::rounds(committed, ledger.consensus().quorum(), sent);
        let tip = rounds.get("super", "rounds").unwrap_or(0.0);
        vec![transactions(&all), holding(&all, ledger.population(), tip), rounds]
    }

    fn clients(population: Population) -> f64 {
        f64::from(population.count(NodeType::LightNode)) + f64::from(population.count(NodeType::MobileNode))
    }

    /// Transactions that are due in a second.
    fn transactions(&self, population: Population) -> f64 {
        self.options.submissions.map_or(0.0, |submissions| Self::clients(population) / submissions.every.as_secs_f64())
    }

    /// Blocks of a run of which a record is kept, about.
    fn heights(&self, point: &Point) -> u64 {
        let run = (point.warmup + point.measure).as_secs_f64();
        (run / self.options.consensus.interval.as_secs_f64()).min(f64::from(RECORDS_MAX)) as u64
    }

    /// Transactions of a block, about.
    fn block(&self, population: Population) -> f64 {
        let due = self.transactions(population) * self.options.consensus.interval.as_secs_f64();
        due.min(f64::from(self.options.block_max))
    }
}

impl Spec for LedgerSpec {
    fn check(&self, reader: &mut Reader, population: Population, at: Place) {
        let supers = population.count(NodeType::SuperNode);
        if supers > REPLICAS_MAX {
            let title = format!("consensus among {supers} super nodes is too large");
            reader.report(Draft::new(at, title, format!("write super = {REPLICAS_MAX} or less under [tiers]")));
        }
    }

    fn canonical(&self) -> String {
        let LedgerSpec { options, super_parents, light_parents } = self;
        let submissions = options
            .submissions
            .map_or("-".to_owned(), |Submissions { every, poisson, .. }| format!("{} {poisson}", every.as_nanos()));
        let LedgerOptions { transaction, attempts, queue_max, mempool_max, block_max, header, .. } = options;
        let spans = [options.validation, options.batch, options.share, options.patience];
        let spans = spans.map(|span| span.as_nanos().to_string()).join(" ");
        let check = options.check.map_or("-".to_owned(), |check| check.as_nanos().to_string());
        format!(
            "{} links {super_parents} {light_parents} transactions {submissions} {transaction} {spans} {attempts} \
             {queue_max} {mempool_max} {block_max} {header} {check}",
            consensus::canonical(&options.consensus)
        )
    }

    fn memory(&self, _: &Scenario, point: &Point) -> u64 {
        /// A link, who sends on it, and whether headers go the other way.
        const LINK_BYTES: f64 = 8.0 + 4.0 + 1.0;
        /// The last header, the last transaction, and two timers.
        const CLIENT_BYTES: f64 = 4.0 + 16.0 + 2.0 * 24.0;
        const FULL_BYTES: f64 = 1_000.0;
        const TRANSACTION_BYTES: f64 = 64.0;
        let population = point.population;
        let [supers, fulls] = [NodeType::SuperNode, NodeType::FullNode].map(|tier| f64::from(population.count(tier)));
        let clients = Self::clients(population);
        let links = clients * f64::from(self.light_parents) + fulls * f64::from(self.super_parents);
        // The last 16 blocks, the one under way, and mempools, of which that of the leader holds a block.
        let blocks = supers * self.block(population) * 14.0 * 18.0;
        let pooled = self.block(population) * 4.0 * TRANSACTION_BYTES;
        // All headers of a block are under way at a time, and before them all copies of it, as they were sent and in order
        // of when they come.
        let under_way = (clients * 32.0).max(2.0 * fulls * self.block(population) * KEY_LEN as f64);
        let consensus = consensus::memory(&self.options.consensus, supers as u64, self.heights(point));
        (links * LINK_BYTES + clients * CLIENT_BYTES + fulls * FULL_BYTES + blocks + pooled + under_way) as u64
            + consensus
    }

    fn undivided(&self, _: &Scenario, point: &Point) -> u64 {
        consensus::records(u64::from(point.population.count(NodeType::SuperNode)), self.heights(point))
    }

    fn has_links(&self) -> bool {
        true
    }

    fn events(&self, _: &Scenario, point: &Point, on: &Conditions) -> f64 {
        let (population, options) = (point.population, &self.options);
        let arrives = 1.0 - on.lost;
        let supers = f64::from(population.count(NodeType::SuperNode));
        let [fulls, lights, mobiles] =
            [NodeType::FullNode, NodeType::LightNode, NodeType::MobileNode].map(|tier| on.alive(point, tier));
        let blocks = on.run / (options.consensus.interval.as_secs_f64() + 3.0 * on.delay);
        // Announced by every parent, asked for, and sent, with a timer; then a header to each client.
        let headers = lights + if options.mobile_headers { mobiles } else { 0.0 };
        let of_block = fulls * ((f64::from(self.super_parents) + 2.0) * arrives + 1.0) + headers * arrives;
        // Submitted, accepted and included; timers of the next, of the answer, and of the validation.
        let validated = if options.validation > SimSpan::ZERO { 1.0 } else { 0.0 };
        let transactions = options.submissions.map_or(0.0, |submissions| {
            let each = [0.0, 0.0, lights, mobiles];
            let from = each.iter().zip(submissions.types).filter(|(_, is_on)| *is_on).map(|(nodes, _)| nodes);
            from.sum::<f64>() * on.times(submissions.every)
        });
        // What comes within a span goes together; each takes two messages and two timers, and a share one of each.
        let together = |each: f64, span: SimSpan| each / (1.0 + each / on.run * span.as_secs_f64());
        let batches = fulls * together(transactions / fulls.max(1.0), options.batch);
        let shares = supers * together(batches / supers.max(1.0), options.share);
        // The first comes one to two spans after the start.
        let checks = options.check.map_or(0.0, |check| (on.times(check) - 1.5).max(0.0));
        blocks * of_block
            + consensus::events(&options.consensus, supers, on)
            + transactions * (3.0 * arrives + 2.0 + validated)
            + batches * (2.0 * arrives + 2.0)
            + shares * (arrives + 1.0)
            + headers * checks
    }

    fn kinds(&self) -> usize {
        MessageKind::ALL.len() + 11
    }

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        let population = point.population;
        let [supers, fulls] = [NodeType::SuperNode, NodeType::FullNode].map(|tier| f64::from(population.count(tier)));
        let links = f64::from(self.super_parents);
        let of_block = Self::clients(population)
            + fulls * (links + 2.0)
            + consensus::round_messages(self.options.consensus.pattern, supers);
        let batches = (fulls / self.options.batch.as_secs_f64()).min(self.transactions(population));
        of_block / self.options.consensus.interval.as_secs_f64()
            + 3.0 * self.transactions(population)
            + 2.0 * batches
            + supers / self.options.share.as_secs_f64()
    }

    fn chooses_peers(&self) -> bool {
        true
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let ledger = self.protocol(job);
        let own = |outcome: &Ran<Ledger>| held(&states_of(outcome));
        job.run_summed("ledger", &ledger, ledger.bytes(), own, |outcome, found| Found {
            figures: self.figures(&ledger, found, consensus::sent(outcome, 0)),
            ..Found::default()
        })
    }
}

/// What became of transactions, and of blocks.
pub(super) type Held = (LedgerFigures, Committed);

/// What became of transactions and blocks where partitions ended with `states`.
pub(super) fn held(states: &[(Nodes, &LedgerState)]) -> Held {
    let mut all = LedgerFigures::default();
    states.iter().for_each(|(_, state)| all.merge(state.figures()));
    (all, committed(states.iter().map(|(_, state)| state.consensus())))
}

fn seconds(span: Option<SimSpan>) -> Option<f64> {
    span.map(|span| span.as_secs_f64())
}

/// What became of transactions, over the whole run. Those that are under way at its end are neither committed nor lost.
fn transactions(all: &LedgerFigures) -> Figures {
    let mut figures = Figures::new("transactions");
    let subject = "all";
    let once = all.committed - all.committed_again;
    figures.add(subject, "submitted", "1", all.submitted as f64);
    figures.add(subject, "committed", "1", once as f64);
    figures.add(subject, "committed-share", "share", (all.submitted > 0).then(|| once as f64 / all.submitted as f64));
    figures.add(subject, "committed-again", "1", all.committed_again as f64);
    figures.add(subject, "skipped", "1", all.skipped as f64);
    figures.add(subject, "retried", "1", all.retried as f64);
    figures.add(subject, "abandoned", "1", all.abandoned as f64);
    figures.add(subject, "refused", "1", all.refused as f64);
    figures.add(subject, "dropped", "1", all.dropped as f64);
    figures.add(subject, "rejected", "1", all.rejected as f64);
    figures.add(subject, "duplicates", "1", all.duplicates as f64);
    for (names, spans) in [(["commit-p50", "commit-p99"], &all.commit), (["seen-p50", "seen-p99"], &all.seen)] {
        for (name, percent) in names.into_iter().zip([50, 99]) {
            figures.add(subject, name, "s", seconds(spans.quantile(percent)));
        }
    }
    figures.add(subject, "blocks", "1", all.blocks as f64);
    let mean = (all.blocks > 0).then(|| all.committed as f64 / all.blocks as f64);
    figures.add(subject, "transactions-per-block", "1", mean);
    figures.add(subject, "messages-invalid", "1", all.invalid as f64);
    let sizes = all.block_size.counts().iter().enumerate().filter(|(_, count)| **count > 0);
    let points = sizes.map(|(hundreds, &count)| [hundreds as f64 * 100.0, count as f64]).collect();
    figures.curves.push(Curve { subject, name: "blocks-by-transactions", units: ["1", "1"], points });
    figures
}

/// When full nodes held blocks, and light and mobile nodes headers: of all pairs of a node and a block that it held.
fn holding(all: &LedgerFigures, population: Population, tip: f64) -> Figures {
    let mut figures = Figures::new("blocks held");
    for node_type in [NodeType::FullNode, NodeType::LightNode, NodeType::MobileNode] {
        let count = f64::from(population.count(node_type));
        let Some(hold) = all.hold(node_type).filter(|_| count > 0.0) else { continue };
        let subject = node_type.name();
        let held = hold.since_proposal.count() as f64;
        figures.add(subject, "held", "share", (tip > 0.0).then(|| held / (count * tip)));
        let mut quantiles = |names: [&'static str; 3], spans: &Spans| {
            for (name, percent) in names.into_iter().zip([50, 90, 99]) {
                figures.add(subject, name, "s", seconds(spans.quantile(percent)));
                if name == "since-proposal-p99" {
                    figures.claimed("QN-53");
                }
            }
        };
        quantiles(["since-proposal-p50", "since-proposal-p90", "since-proposal-p99"], &hold.since_proposal);
        quantiles(["since-commit-p50", "since-commit-p90", "since-commit-p99"], &hold.since_commit);
        figures.add(subject, "passed-over", "1", hold.passed_over as f64);
        figures.add(subject, "repeated", "1", hold.repeated as f64);
        figures.add(subject, "switched", "1", hold.switched as f64);
    }
    figures
}
