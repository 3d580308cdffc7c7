//! The approach `sharding`: full nodes keep records, and hand them over when nodes come and go.

use std::collections::BTreeSet;

use super::super::build::{Found, Job, Judging, Ran, RunError};
use super::super::options::span;
use super::super::plan::events::Conditions;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{Kind, Mechanism, Spec, Variant, states_of, words};
use crate::contract::{NodeId, NodeType, Nodes, Placement, Population, SimSpan, SimTime};
use crate::metrics::{Curve, Figures, LifeEvent, PointResult, Turn};
use crate::protocols::detector::Detector;
use crate::protocols::sharding::figures::{Replication, ShardingFigures, TraceEntry};
use crate::protocols::sharding::placement::{REPLICAS_MAX, RegionRule, ShardPlacement, VIRTUAL_NODES_MAX};
use crate::protocols::sharding::wire::{HEAD_LEN, RECORD_LEN};
use crate::protocols::sharding::{BATCH_LEN_MAX, Departures, Sharding, ShardingOptions, ShardingState};

const PLACEMENTS: [&str; 5] = ["modulo", "fixed-shards", "consistent-hashing", "region-spread", "region-together"];
/// Spans between things that happen to a node, and within a hand-off.
const INTERVAL: [SimSpan; 2] = [SimSpan::from_secs(1), SimSpan::from_secs(86_400)];
const SHORT: [SimSpan; 2] = [SimSpan::from_millis(1), SimSpan::from_secs(3_600)];

/// A full node without its records, three timers, and what the registrar knows of it.
const FULL_BYTES: u64 = 104 + 3 * 24 + 4;

pub(super) const KIND: Kind = Kind {
    name: "sharding",
    keys: &[
        "warmup",
        "measure",
        "placement",
        "replicas",
        "records",
        "value_size",
        "virtual_nodes",
        "shards",
        "alive",
        "missed",
        "tick",
        "batch",
        "pace",
        "retry",
        "settle",
        "repair",
        "depart",
        "depart_over",
    ],
    is_tiered: true,
    read,
};

/// What is kept, where, and how it is handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardingSpec {
    /// The options of the protocol, but for departures.
    pub options: ShardingOptions,
    /// Which share of the full nodes leaves in good order, from the end of the warm-up on.
    pub depart: f64,
    /// Over which span they do.
    pub depart_over: SimSpan,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let placements = words(reader, own, "placement", "a placement", &PLACEMENTS, &[2]);
    let base = ShardingOptions::new(ShardPlacement::Modulo);
    let mut count =
        |key, default, min, max| reader.field(own, key, default, |reader, value| reader.count_u32(value, min, max));
    let replicas = count("replicas", base.replicas as u32, 1, REPLICAS_MAX as u32).value;
    let records = count("records", 100_000, 1, 100_000_000).value;
    let virtual_nodes = count("virtual_nodes", 64, 1, VIRTUAL_NODES_MAX).value;
    let shards = count("shards", 16_384, 1, 1 << 20).value;
    let missed = count("missed", 2, 1, 100).value;
    let batch = count("batch", u32::from(base.batch), 1, 1_024);
    let value_len =
        reader.field(own, "value_size", base.value_len, |reader, value| reader.size(value, 0, 32_768)).value;
    let depart = reader
        .field(own, "depart", 0.0, |reader, value| reader.number(value, "from 0 to 1", |x| (0.0..=1.0).contains(&x)));
    let mut time = |key, default, range| span(reader, own, key, default, range).value;
    let alive = time("alive", base.alive, INTERVAL);
    let (tick, settle) = (time("tick", base.tick, SHORT), time("settle", base.settle, SHORT));
    let (pace, retry) = (time("pace", base.pace, SHORT), time("retry", base.retry, SHORT));
    let repair = time("repair", SimSpan::from_secs(600), INTERVAL);
    let depart_over = time("depart_over", SimSpan::from_secs(600), INTERVAL);
    let (value_len, records_of_batch) = (value_len?, batch.value?);
    let longest = HEAD_LEN as u64 + u64::from(records_of_batch) * (RECORD_LEN as u64 + u64::from(value_len));
    if longest > BATCH_LEN_MAX as u64 {
        let title = format!("a batch of {records_of_batch} records of {value_len} bytes fits no datagram");
        let most = (BATCH_LEN_MAX - HEAD_LEN) / (RECORD_LEN + value_len as usize);
        reader.lacks(batch.at, title, format!("write batch = {most} or less"));
        return None;
    }
    let options = ShardingOptions {
        replicas: replicas? as usize,
        records: records?,
        value_len,
        alive: alive?,
        detector: Detector::Timeout { missed: missed? },
        tick: tick?,
        batch: records_of_batch as u16,
        pace: pace?,
        retry: retry?,
        settle: settle?,
        repair: Some(repair?),
        trace: true,
        ..base
    };
    let (virtual_nodes, shards, depart, depart_over) = (virtual_nodes?, shards?, depart.value?, depart_over?);
    let placements = placements?;
    let variant = |&place: &usize| {
        let placement = match PLACEMENTS[place] {
            "modulo" => ShardPlacement::Modulo,
            "fixed-shards" => ShardPlacement::FixedShards { shards },
            "consistent-hashing" => ShardPlacement::ConsistentHashing { virtual_nodes },
            "region-spread" => ShardPlacement::ByRegion { virtual_nodes, rule: RegionRule::Spread },
            _ => ShardPlacement::ByRegion { virtual_nodes, rule: RegionRule::Together },
        };
        let suffix = if placements.len() > 1 { format!(" {}", PLACEMENTS[place]) } else { String::new() };
        let spec = ShardingSpec { options: ShardingOptions { placement, ..options }, depart, depart_over };
        Variant { suffix, mechanism: Mechanism::Sharding(spec) }
    };
    Some(placements.iter().map(variant).collect())
}

impl ShardingSpec {
    fn options(&self, point: &Point) -> ShardingOptions {
        let from = SimTime::ZERO + point.warmup;
        let departures = Departures { share: self.depart, from, over: self.depart_over };
        ShardingOptions { departures: (self.depart > 0.0).then_some(departures), ..self.options }
    }

    /// Sharding over the full nodes of `point`.
    pub(super) fn protocol(&self, job: &Job<'_>, point: &Point) -> Sharding {
        // Without regions all nodes stand in one.
        let nowhere = Placement::new(&[1.0], job.scenario.seed);
        let regions = job.settings.placement.as_ref().unwrap_or(&nowhere);
        Sharding::new(point.population, self.options(point), Some(regions))
    }

    /// What is found of all that nodes of `sharding` kept, when they had such `lives`.
    pub(super) fn figures(
        &self,
        job: &Job<'_>,
        sharding: &Sharding,
        (all, traces, waiting): &Records,
        lives: &[LifeEvent],
    ) -> Vec<Figures> {
        let fulls = job.point.population.range(NodeType::FullNode);
        let falls = lives.iter().filter(|life| fulls.contains(&life.node) && life.turn != Turn::Joined);
        let downs: Vec<(SimTime, NodeId)> = falls.map(|life| (life.time, life.node)).collect();
        let (end, width) = (job.settings.end, job.scenario.timeline);
        let times = std::iter::successors(Some(SimTime::ZERO), |&time| Some(time + width));
        let mut times: Vec<SimTime> = times.take_while(|&time| time < end).collect();
        times.push(end);
        let replication = sharding.replication(std::iter::once(traces.as_slice()), &downs, &times);
        let missing = missing(all, &replication, downs.last().copied(), *waiting);
        vec![storage(all), handed_over(all, fulls.len() as u64), missing]
    }

    /// Replicas that move with a change of membership, about.
    fn moved(&self, fulls: u64) -> u64 {
        let replicas = u64::from(self.options.records) * self.options.replicas as u64;
        match self.options.placement {
            ShardPlacement::Modulo => replicas,
            ShardPlacement::ByRegion { .. } => 2 * replicas / fulls.max(1),
            _ => replicas / fulls.max(1),
        }
    }
}

impl ShardingSpec {
    /// To how many others a node offers what it keeps, on average: each record to the owner after it, and all to the same one
    /// together.
    fn offers(&self, fulls: f64) -> f64 {
        let (replicas, records) = (self.options.replicas as f64, f64::from(self.options.records));
        if replicas < 2.0 {
            return 0.0;
        }
        match self.options.placement {
            ShardPlacement::Modulo => 2.0,
            ShardPlacement::FixedShards { shards } => {
                let shards = f64::from(shards);
                shards * (1.0 - libm::exp(-records / shards)) * replicas / fulls
            }
            ShardPlacement::ConsistentHashing { virtual_nodes } | ShardPlacement::ByRegion { virtual_nodes, .. } => {
                // Ranges of a ring have lengths that are exponential, so one is without records with a chance of
                // 1 / (1 + mean). All owners but the last offer to the node that follows, the last to the first.
                let virtual_nodes = f64::from(virtual_nodes);
                let empty = 1.0 / (1.0 + records / (fulls * virtual_nodes));
                virtual_nodes * (2.0 - libm::pow(empty, replicas - 1.0) - empty)
            }
        }
    }

    /// How often the registrar announces a change of the members, and of how many nodes each time. An outage shows within
    /// the span that it takes, and that between two signs of life; what shows between two ticks is one change.
    fn changes(&self, scenario: &Scenario, point: &Point, on: &Conditions) -> [f64; 2] {
        let full = NodeType::FullNode as usize;
        let fulls = f64::from(point.population.count(NodeType::FullNode));
        let ticks = on.times(self.options.tick);
        let outages = scenario.faults.schedule.outages.iter().filter(|outage| outage.nodes.types[full]);
        let end = SimTime::ZERO + point.warmup + point.measure;
        let happens = |at: SimTime| f64::from(u8::from(at < end));
        let shown = |over: SimSpan| 1.0 + (over + self.options.alive).as_secs_f64() / self.options.tick.as_secs_f64();
        let of_outages = outages.map(|outage| {
            let any = (outage.nodes.share * fulls).min(1.0);
            let back = outage.until.map_or(0.0, |until| happens(until) * shown(outage.until_over));
            any * (happens(outage.from) * shown(outage.from_over) + back)
        });
        let of_outages: f64 = of_outages.sum();
        let leaves = self.depart * fulls;
        let one_by_one = scenario.faults.schedule.churns.iter().any(|churn| churn.nodes.types[full]);
        let singly = leaves + if one_by_one { on.departures[full] + on.returns[full] } else { 0.0 };
        let changes = (of_outages + singly).min(ticks);
        [changes, leaves + on.departures[full] + on.returns[full]]
    }
}

impl Spec for ShardingSpec {
    fn check(&self, reader: &mut Reader, population: Population, at: Place) {
        let fulls = population.count(NodeType::FullNode);
        if fulls.div_ceil(8) as usize > BATCH_LEN_MAX {
            let title = format!("who of {fulls} full nodes is a member fits no datagram");
            reader.report(Draft::new(at, title, format!("write full = {} or less under [tiers]", BATCH_LEN_MAX * 8)));
        }
    }

    fn canonical(&self) -> String {
        let ShardingSpec { options, depart, depart_over } = self;
        let ShardingOptions { placement, replicas, records, value_len, batch, .. } = options;
        let spans = [options.alive, options.tick, options.pace, options.retry, options.settle, *depart_over];
        let spans = spans.map(|span| span.as_nanos().to_string()).join(" ");
        let repair = options.repair.map_or(0, SimSpan::as_nanos);
        let own = match placement {
            ShardPlacement::Modulo => 0,
            ShardPlacement::FixedShards { shards } => *shards,
            ShardPlacement::ConsistentHashing { virtual_nodes } | ShardPlacement::ByRegion { virtual_nodes, .. } => {
                *virtual_nodes
            }
        };
        let missed = if let Detector::Timeout { missed } = options.detector { missed } else { 0 };
        format!(
            "{} {own} replicas {replicas} records {records} {value_len} missed {missed} batch {batch} spans {spans} \
             {repair} depart {depart}",
            placement.name()
        )
    }

    fn memory(&self, scenario: &Scenario, point: &Point) -> u64 {
        /// A replica where it is kept, at the start of the run and for the replay afterwards.
        const REPLICA_BYTES: u64 = 4 + 4 + 4;
        /// A replica that moves is in a queue, and is stored and dropped in the trace.
        const MOVED_BYTES: f64 = 8.0 + 2.0 * 16.0;
        let options = self.options(point);
        let fulls = u64::from(point.population.count(NodeType::FullNode));
        let records = u64::from(options.records);
        let places = match options.placement {
            ShardPlacement::Modulo => 0,
            ShardPlacement::FixedShards { shards } => u64::from(shards) * (options.replicas as u64 + 12) * 4,
            ShardPlacement::ConsistentHashing { virtual_nodes } | ShardPlacement::ByRegion { virtual_nodes, .. } => {
                // Sorted beside the ring.
                fulls * u64::from(virtual_nodes) * (13 + 16)
            }
        };
        // A hash, and the number of replicas in each of up to 64 partitions.
        let each = records * (8 + 4) + records * options.replicas as u64 * REPLICA_BYTES;
        let [changes, turns] = self.changes(scenario, point, &Conditions::of(scenario, point));
        let changes = if options.placement == ShardPlacement::Modulo { changes } else { turns };
        let moved = changes * self.moved(fulls) as f64 * MOVED_BYTES;
        // The cast saturates.
        (fulls * FULL_BYTES + places + each).saturating_add(moved as u64)
    }

    /// All nodes know where records belong, and their replicas are replayed together.
    fn undivided(&self, scenario: &Scenario, point: &Point) -> u64 {
        self.memory(scenario, point) - u64::from(point.population.count(NodeType::FullNode)) * FULL_BYTES
    }

    fn events(&self, scenario: &Scenario, point: &Point, on: &Conditions) -> f64 {
        let arrives = 1.0 - on.lost;
        let options = self.options(point);
        let fulls = on.alive(point, NodeType::FullNode);
        let alive = fulls * on.times(options.alive) * (1.0 + arrives);
        let offers =
            options.repair.map_or(0.0, |repair| fulls * on.times(repair) * (1.0 + self.offers(fulls) * arrives));
        let [changes, turns] = self.changes(scenario, point, on);
        // A batch goes to one node from another, which confirms it, and has two timers.
        let moved = match options.placement {
            ShardPlacement::Modulo => changes * self.moved(fulls as u64) as f64,
            _ => turns * self.moved(fulls as u64) as f64,
        };
        let pairs = (fulls * fulls * changes).max(1.0);
        let batches = moved / (moved / pairs).clamp(1.0, f64::from(options.batch));
        // A node sends one batch at a time, once a change has settled.
        let left = (on.run - options.settle.as_secs_f64()).max(0.0);
        let batches = batches.min(fulls * left / options.pace.as_secs_f64());
        alive + offers + changes * fulls * arrives + batches * (2.0 + 2.0 * arrives) + on.times(options.tick)
    }

    fn kinds(&self) -> usize {
        8
    }

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        let options = self.options(point);
        let fulls = f64::from(point.population.count(NodeType::FullNode));
        let alive = fulls / options.alive.as_secs_f64();
        // A node offers to nearly as many others as it has records.
        let replicas = f64::from(options.records) * options.replicas as f64;
        let offers = replicas.min(fulls * fulls) / options.repair.map_or(f64::INFINITY, |span| span.as_secs_f64());
        let leaves = self.depart * fulls / self.depart_over.as_secs_f64();
        let moved = leaves * (2.0 * self.moved(fulls as u64) as f64 + fulls);
        alive + offers + moved
    }

    fn judging(&self, _: &Scenario, _: &Point) -> Option<Judging> {
        let Detector::Timeout { missed } = self.options.detector else { return None };
        Some(Judging { detector: "timeout", patience: [self.options.alive * (u64::from(missed) + 2); 4] })
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let sharding = self.protocol(job, job.point);
        let own = |outcome: &Ran<Sharding>| records(&sharding, &states_of(outcome), &outcome.lives);
        job.run_summed("sharding", &sharding, sharding.bytes(), own, |outcome, found| Found {
            figures: self.figures(job, &sharding, &found, &outcome.lives),
            ..Found::default()
        })
    }
}

/// How records are spread, what was stored and dropped when, and how many records wait to be handed over.
pub(super) type Records = (ShardingFigures, Vec<TraceEntry>, u64);

/// What nodes of `sharding` kept whose partitions ended with `states`, when they had such `lives`.
pub(super) fn records(sharding: &Sharding, states: &[(Nodes, &ShardingState)], lives: &[LifeEvent]) -> Records {
    let mut down = BTreeSet::new();
    for life in lives {
        _ = if life.turn == Turn::Joined { down.remove(&life.node) } else { down.insert(life.node) };
    }
    let (mut all, mut traces, mut waiting) = Records::default();
    for (nodes, state) in states {
        all.merge(&sharding.figures(nodes, state, |node| !down.contains(&node)));
        traces.extend_from_slice(state.trace());
        waiting += (0..nodes.len()).map(|index| state.waiting(index) as u64).sum::<u64>();
    }
    (all, traces, waiting)
}

/// How records are spread when the run ends, over full nodes that are up and stay.
fn storage(all: &ShardingFigures) -> Figures {
    let mut figures = Figures::new("storage");
    let bytes = |records: f64| records * all.record_bytes as f64;
    figures.add("full", "nodes", "1", all.nodes as f64);
    figures.add("full", "records-mean", "1", all.mean());
    figures.add("full", "records-stddev", "1", all.deviation());
    figures.add("full", "records-min", "1", all.fewest as f64);
    figures.add("full", "records-max", "1", all.most as f64);
    figures.add("full", "bytes-mean", "B", bytes(all.mean()));
    figures.add("full", "bytes-max", "B", bytes(all.most as f64));
    figures.add("full", "imbalance", "max/mean", all.imbalance());
    figures.claimed("QN-54");
    figures
}

/// What moved, against the least that can, over the whole run.
fn handed_over(all: &ShardingFigures, fulls: u64) -> Figures {
    let mut figures = Figures::new("hand-off");
    let counts = &all.counts;
    let (moved, least) = (all.moved_per_change(), all.least_per_change(fulls));
    for (name, count) in ["nodes-down", "nodes-back", "nodes-left"].into_iter().zip(counts.changes) {
        figures.add("full", name, "1", count as f64);
    }
    let measured = all.changes() > 0;
    // Changes that are announced together move a record once.
    figures.add("full", "announcements", "1", counts.epochs as f64);
    figures.add("full", "records-moved", "1", counts.stored as f64);
    figures.add("full", "records-moved-per-change", "1", measured.then_some(moved));
    figures.add("full", "records-least-per-change", "1", least);
    figures.add("full", "moved-by-least", "ratio", (measured && least > 0.0).then(|| moved / least));
    let bytes = moved * all.record_bytes as f64;
    figures.add("full", "bytes-moved-per-change", "B", measured.then_some(bytes));
    let share = |count: u64, of: u64| (of > 0).then(|| count as f64 / of as f64);
    figures.add("full", "sent-in-vain", "share", share(counts.sent.saturating_sub(counts.stored), counts.sent));
    figures.add("full", "records-asked-for", "1", counts.asked as f64);
    figures.add("full", "records-given-up", "1", counts.abandoned as f64);
    figures.add("full", "nodes-drained", "1", counts.drained as f64);
    figures.add("full", "messages-rejected", "1", counts.rejected as f64);
    figures
}

/// What was missing, when it was worst, at the end, and over time. The last to go down was `last`.
fn missing(all: &ShardingFigures, replication: &Replication, last: Option<(SimTime, NodeId)>, waiting: u64) -> Figures {
    let mut figures = Figures::new("replication");
    figures.add("records", "lost", "1", all.lost() as f64);
    figures.add("records", "under-replicated-at-end", "1", all.under_replicated() as f64);
    figures.add("records", "under-replicated-max", "1", replication.worst.under_replicated as f64);
    let by_replicas = all.by_replicas();
    let above: u64 = by_replicas[(all.wanted as usize + 1).min(9)..].iter().sum();
    figures.add("records", "with-too-many-replicas-at-end", "1", above as f64);
    let full = last.zip(replication.full_since).filter(|((down, _), full)| full >= down);
    let span = full.map(|((down, _), full)| full.since(down).as_secs_f64());
    figures.add("records", "time-to-full-replication", "s", span);
    figures.add("records", "waiting-at-end", "1", waiting as f64);
    let curve = |of: fn(&crate::protocols::sharding::figures::Missing) -> u64| {
        replication
            .at
            .iter()
            .map(|missing| [missing.time.since(SimTime::ZERO).as_secs_f64(), of(missing) as f64])
            .collect()
    };
    let curves = [
        ("under-replicated-over-time", curve(|missing| missing.under_replicated)),
        ("lost-over-time", curve(|missing| missing.lost)),
    ];
    for (name, points) in curves {
        figures.curves.push(Curve { subject: "records", name, units: ["s", "1"], points });
    }
    figures
}
