//! The approach `kademlia`: lookups of nodes and values, over ideal tables or after real joins.

use super::super::build::{Found, Job, Ran, RunError};
use super::super::options::span;
use super::super::plan::events::{Conditions, renewals};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{Kind, Mechanism, Spec, Variant, several};
use crate::contract::{NodeType, SimSpan};
use crate::metrics::{Curve, Figures, PointResult, Values};
use crate::protocols::kademlia::lookup::Purpose;
use crate::protocols::kademlia::table::Table;
use crate::protocols::kademlia::wire::VALUE_LEN_MAX;
use crate::protocols::kademlia::{
    Bootstrap, Kademlia, KademliaFigures, KademliaOptions, KademliaState, Publishing, SPARES_MAX,
};

/// Spans of minutes to days; a timeout may be short.
pub(super) const INTERVAL: [SimSpan; 2] = [SimSpan::from_secs(1), SimSpan::from_secs(30 * 86_400)];
const TIMEOUT: [SimSpan; 2] = [SimSpan::from_millis(10), SimSpan::from_secs(3_600)];
const VALUES_MAX: u32 = 10_000_000;
/// The id of a node, and its place in the order of ids.
const ID_BYTES: f64 = 36.0;
/// Sizes of buckets in one scenario.
const SIZES_MAX: usize = 8;

pub(super) const KIND: Kind = Kind {
    name: "kademlia",
    keys: &[
        "warmup",
        "measure",
        "k",
        "alpha",
        "timeout",
        "refresh",
        "bootstrap",
        "join_over",
        "lookups",
        "values",
        "value_size",
        "publish_over",
        "republish",
        "value_lookups",
        "kept_max",
    ],
    is_tiered: false,
    read,
};

/// Kademlia: the options of the protocol, and how nodes get to know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KademliaSpec {
    /// k from 1 to 64, alpha from 1 to 16, a timeout of 10 ms to an hour; other intervals of a second to 30 days. Up to
    /// ten million values.
    pub options: KademliaOptions,
    /// From ideal tables, or one after the other.
    pub bootstrap: Bootstrap,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let network = network(reader, own);
    let mut count = |key, default, min, max| {
        reader.field(own, key, default, |reader, value| reader.count_u32(value, min, max)).value
    };
    let (values, kept_max) = (count("values", 0, 0, VALUES_MAX), count("kept_max", 1_000, 1, 65_535));
    let size = reader.field(own, "value_size", 100, |reader, value| reader.size(value, 1, VALUE_LEN_MAX as u32)).value;
    let sizes_of_buckets = sizes_of_buckets(reader, own);
    let mut time = |key, default, range| span(reader, own, key, default, range);
    let lookups = time("lookups", SimSpan::from_secs(60), INTERVAL);
    let join_over = time("join_over", SimSpan::from_secs(60), INTERVAL);
    let publish_over = time("publish_over", SimSpan::from_secs(10), INTERVAL);
    let republish = time("republish", SimSpan::from_secs(3_600), INTERVAL);
    let value_lookups = time("value_lookups", SimSpan::from_secs(60), INTERVAL);
    let bootstrap =
        reader.field(own, "bootstrap", 0, |reader, value| reader.choice(value, "a way to begin", &["ideal", "joins"]));
    let bootstrap = match bootstrap.value? {
        0 => Bootstrap::Ideal,
        _ => Bootstrap::Joins(join_over.value?),
    };
    let (size, kept_max) = (size? as u16, kept_max? as u16);
    let publishing = Publishing {
        values: values?,
        len: size,
        over: publish_over.value?,
        again: Some(republish.value?),
        lookups: Some(value_lookups.value?),
        kept_max,
    };
    let options = KademliaOptions {
        lookups: Some(lookups.value?),
        values: (publishing.values > 0).then_some(publishing),
        ..network?
    };
    let with = |k| Mechanism::Kademlia(KademliaSpec { options: KademliaOptions { k, ..options }, bootstrap });
    Some(variants(&sizes_of_buckets?, with))
}

/// What every network of Kademlia has: alpha, the timeout and the refresh; k is the paper's, and nodes look for nothing.
pub(super) fn network(reader: &mut Reader, own: &Section<'_>) -> Option<KademliaOptions> {
    let paper = KademliaOptions::PAPER;
    let alpha = reader.field(own, "alpha", u32::from(paper.alpha), |reader, value| reader.count_u32(value, 1, 16));
    let timeout = span(reader, own, "timeout", paper.timeout, TIMEOUT);
    let refresh = span(reader, own, "refresh", paper.refresh.unwrap_or(INTERVAL[1]), INTERVAL);
    Some(KademliaOptions { alpha: alpha.value? as u8, timeout: timeout.value?, refresh: Some(refresh.value?), ..paper })
}

/// The sizes of buckets, one or a list; none twice.
pub(super) fn sizes_of_buckets(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<u8>> {
    several(reader, own, "k", &[KademliaOptions::PAPER.k], SIZES_MAX, |reader, value| {
        reader.count_u32(value, 1, 64).map(|k| k as u8)
    })
}

/// A network with buckets of each of `sizes`.
pub(super) fn variants(sizes: &[u8], with: impl Fn(u8) -> Mechanism) -> Vec<Variant> {
    let variant = |&k: &u8| {
        let suffix = if sizes.len() > 1 { format!(" k {k}") } else { String::new() };
        Variant { suffix, mechanism: with(k) }
    };
    sizes.iter().map(variant).collect()
}

impl KademliaSpec {
    /// Contacts of a node, about: the k nearest, and k of each distance beyond that holds more than k nodes. Computed
    /// tables have between 0.8 and 1.0 times k more than k times log2(n / k).
    fn contacts(&self, nodes: f64) -> f64 {
        let k = f64::from(self.options.k);
        if nodes <= k { nodes } else { (k * (libm::log2(nodes / k) + 1.0)).min(nodes) }
    }

    /// Requests of a lookup, about: those that found the closest node, and the k closest. The published 24.6 requests of
    /// 100,000 nodes with k = 20 are 21.5 here plus what alpha wastes on the way.
    pub(super) fn requests(&self, nodes: f64) -> f64 {
        let k = f64::from(self.options.k);
        k + libm::log2(nodes.max(2.0)) / libm::log2(k + 2.0) + f64::from(self.options.alpha)
    }

    /// Hops of a lookup to one of the `holders` that are nearest, of `nodes`. A contact shares a bit more with the key than
    /// its bucket says, and the best of k as many as the smallest of k uniform numbers has leading zeros: log2(k) + 0.83.
    fn hops(&self, nodes: f64, holders: f64) -> f64 {
        let k = f64::from(self.options.k);
        let bits = libm::log2((nodes / k / holders).max(1.0));
        1.0 + bits / (libm::log2(k) + 1.83)
    }

    /// Requests of a lookup of a node: alpha on each hop but the last, and then the k nearest.
    pub(super) fn asked(&self, nodes: f64) -> f64 {
        f64::from(self.options.k) + f64::from(self.options.alpha) * (self.hops(nodes, 1.0) - 1.0)
    }

    /// Deliveries and timers of a network of `nodes`: a request is answered and has a timer, and as the bucket of who asks
    /// is full as a rule, who is asked pings a contact in it, which takes as much.
    pub(super) fn events_of(&self, nodes: f64, on: &Conditions) -> f64 {
        let KademliaOptions { refresh, lookups, values, alpha, k, .. } = self.options;
        let [alpha, k] = [alpha, k].map(f64::from);
        let joined = if let Bootstrap::Joins(over) = self.bootstrap { over.as_secs_f64().min(on.run) } else { 0.0 };
        let left = on.run - joined;
        let looks = lookups.map_or(0.0, |mean| nodes * renewals(left, mean));
        // A key in a bucket is nearer the more the bucket shares: half the hops, on average.
        let buckets = libm::log2(nodes.max(2.0));
        let refreshes = refresh.map_or(0.0, |span| nodes * buckets * on.times(span));
        let half = k + alpha * (self.hops(nodes, 1.0) - 1.0) / 2.0;
        let joins = if joined > 0.0 { nodes * (self.asked(nodes) + buckets * half) } else { 0.0 };
        let mut requests = looks * self.asked(nodes) + refreshes * half + joins;
        let mut others = looks + refresh.map_or(0.0, |span| nodes * on.times(span));
        if let Some(values) = values {
            let found = values.lookups.map_or(0.0, |mean| nodes * renewals(left - values.over.as_secs_f64(), mean));
            let published =
                f64::from(values.values) * (1.0 + values.again.map_or(0.0, |again| left / again.as_secs_f64()));
            requests += found * alpha * self.hops(nodes, k) + published * self.asked(nodes);
            // Stored at k nodes, which confirm it.
            others += found + published * 2.0 * k;
        }
        let arrives = 1.0 - on.lost;
        let request = 1.0 + arrives + arrives * arrives;
        requests * request * (1.0 + arrives) + others
    }

    fn nodes(point: &Point) -> f64 {
        f64::from(point.population.total())
    }
}

/// A rate of once in `span`, in a second.
fn rate(span: Option<SimSpan>) -> f64 {
    span.map_or(0.0, |span| 1.0 / span.as_secs_f64())
}

impl Spec for KademliaSpec {
    fn canonical(&self) -> String {
        let KademliaOptions { k, alpha, timeout, refresh, lookups, values, .. } = self.options;
        let span = |span: Option<SimSpan>| span.map_or("-".to_owned(), |span| span.as_nanos().to_string());
        let bootstrap = match self.bootstrap {
            Bootstrap::Ideal => "ideal".to_owned(),
            Bootstrap::Joins(over) => format!("joins {}", over.as_nanos()),
        };
        let values = values.map_or("-".to_owned(), |Publishing { values, len, over, again, lookups, kept_max }| {
            format!("{values} {len} {} {} {} {kept_max}", over.as_nanos(), span(again), span(lookups))
        });
        format!("{k} {alpha} {} {} {} {bootstrap} values {values}", timeout.as_nanos(), span(refresh), span(lookups))
    }

    fn memory(&self, _: &Scenario, point: &Point) -> u64 {
        self.memory_of(Self::nodes(point))
    }

    fn undivided(&self, _: &Scenario, point: &Point) -> u64 {
        undivided_of(Self::nodes(point))
    }

    fn events(&self, _: &Scenario, point: &Point, on: &Conditions) -> f64 {
        self.events_of(on.alive(point, NodeType::FullNode), on)
    }

    fn kinds(&self) -> usize {
        8
    }

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        self.messages_per_second_of(Self::nodes(point))
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let (population, seed) = (job.point.population, job.scenario.seed);
        let kademlia = Kademlia::new(population, self.options, self.bootstrap, seed);
        let kademlia = kademlia.counted_from(job.settings.measured.start);
        let own = |outcome: &Ran<Kademlia>| {
            let mut all = KademliaFigures::default();
            outcome.states.iter().for_each(|(_, state)| all.merge(state.figures()));
            (all, sizes(outcome.states.iter().map(|(_, state)| state)))
        };
        job.run_summed("kademlia", &kademlia, kademlia.bytes(), own, |_, (all, sizes)| Found {
            figures: vec![lookups(&all, job.point), tables(&sizes)],
            ..Found::default()
        })
    }
}

/// What every rank takes for the ids of `nodes` nodes, and their order.
pub(super) fn undivided_of(nodes: f64) -> u64 {
    (nodes * ID_BYTES) as u64
}

impl KademliaSpec {
    /// Memory that `nodes` nodes take, in bytes.
    pub(super) fn memory_of(&self, nodes: f64) -> u64 {
        /// Two cache lines, the id that all share, and the share of the order of ids, and what stands beside the contacts;
        /// tables grow by a quarter.
        const NODE_BYTES: f64 = 128.0 + ID_BYTES + 96.0;
        const CONTACT_BYTES: f64 = 5.0;
        /// A lookup is kept until its last answer, with the candidates of which it keeps up to three times k.
        const CANDIDATE_BYTES: f64 = 16.0 * 3.0;
        let k = f64::from(self.options.k);
        let lookups = (rate(self.options.lookups) + rate(self.options.values.and_then(|values| values.lookups)))
            * self.options.timeout.as_secs_f64();
        let values = self.options.values.map_or(0.0, |values| {
            // Each stands at k nodes, with its key and its place in their lists.
            f64::from(values.values) * k * (f64::from(values.len) + 64.0)
        });
        let answers = self.messages_per_second_of(nodes) / 2.0 * 0.2 * (k * 36.0);
        let busy = lookups.min(8.0) * k * CANDIDATE_BYTES;
        let spares = self.contacts(nodes) / k * SPARES_MAX as f64;
        (nodes * (NODE_BYTES + (self.contacts(nodes) + spares) * CONTACT_BYTES + busy) + values + answers) as u64
    }

    /// Requests and answers of all nodes together.
    pub(super) fn messages_per_second_of(&self, nodes: f64) -> f64 {
        let KademliaOptions { refresh, lookups, values, .. } = self.options;
        let buckets = libm::log2(nodes.max(2.0));
        let of_values = values.map_or(0.0, |values| {
            let published = f64::from(values.values) / values.over.as_secs_f64();
            rate(values.lookups) * nodes + published
        });
        2.0 * self.requests(nodes) * (nodes * (rate(lookups) + buckets * rate(refresh)) + of_values)
    }
}

/// What became of lookups, by what they were for.
fn lookups(all: &KademliaFigures, point: &Point) -> Figures {
    let mut figures = Figures::new("lookups");
    let purposes =
        [Purpose::Node, Purpose::Value { value: 0 }, Purpose::Publish { value: 0 }, Purpose::Join, Purpose::Refresh];
    for (purpose, subject) in purposes.into_iter().zip(["node", "value", "publish", "join", "refresh"]) {
        let of = all.lookups(purpose);
        if of.finished == 0 {
            continue;
        }
        let finished = of.finished as f64;
        let millis = |span: Option<SimSpan>| span.map(|span| span.as_nanos() as f64 / 1e6);
        figures.add(subject, "lookups", "1", finished);
        figures.add(subject, "found", "share", of.found as f64 / finished);
        figures.add(subject, "hops-mean", "1", of.hops.mean());
        if matches!(purpose, Purpose::Node) {
            figures.claimed("QN-13");
        }
        figures.add(subject, "hops-p99", "1", of.hops.quantile(99).map(|hops| hops as f64));
        figures.add(subject, "requests-mean", "1", of.requests.mean());
        figures.add(subject, "timeouts-mean", "1", of.timeouts as f64 / finished);
        figures.add(subject, "delay-p50", "ms", millis(of.latency.quantile(50)));
        figures.add(subject, "delay-p99", "ms", millis(of.latency.quantile(99)));
        let hops =
            of.hops.counts().iter().enumerate().map(|(hops, &count)| [hops as f64, count as f64 / of.found as f64]);
        let points: Vec<_> = hops.filter(|&[_, share]| share > 0.0).collect();
        figures.curves.push(Curve { subject, name: "lookups-by-hops", units: ["hops", "share"], points });
    }
    let requests = |purpose| all.lookups(purpose).requests.sum();
    let maintenance = requests(Purpose::Join) + requests(Purpose::Refresh);
    let node_hours = f64::from(point.population.total()) * point.measure.as_secs_f64() / 3_600.0;
    figures.add("all", "maintenance-per-node", "1/h", maintenance as f64 / node_hours);
    figures.add("all", "contacts-checked", "1", all.checks as f64);
    figures.add("all", "contacts-evicted", "1", all.evicted as f64);
    figures.add("all", "contacts-failed", "1", all.failed as f64);
    figures.add("all", "contacts-replaced", "1", all.replaced as f64);
    figures.add("all", "requests-repeated", "1", all.repeated as f64);
    figures.add("all", "values-stored", "1", all.stored as f64);
    figures.add("all", "values-refused", "1", all.refused as f64);
    figures.add("all", "messages-rejected", "1", all.rejected as f64);
    figures
}

/// The entries and bytes of the tables of nodes.
pub(super) type Sizes = (Values, Values);

/// How large the tables of the nodes are that have found their place, where partitions ended with `states`.
pub(super) fn sizes<'a>(states: impl Iterator<Item = &'a KademliaState>) -> Sizes {
    let (mut entries, mut bytes) = Sizes::default();
    for state in states {
        let joined = || (0..state.len()).filter(|&index| state.has_joined(index));
        let bytes_of = |index| (state.table(index).bytes() + state.spares(index).map_or(0, Table::bytes)) as u64;
        entries.merge(&joined().map(|index| state.table(index).contacts().len() as u64).collect());
        bytes.merge(&joined().map(bytes_of).collect());
    }
    (entries, bytes)
}

/// How large tables are when the run ends.
pub(super) fn tables((entries, bytes): &Sizes) -> Figures {
    let mut figures = Figures::new("routing tables");
    figures.add("all", "nodes-joined", "1", entries.count() as f64);
    for (name, unit, spread) in [("entries", "1", entries.spread()), ("bytes", "B", bytes.spread())] {
        let [mean, max] = if name == "entries" { ["entries-mean", "entries-max"] } else { ["bytes-mean", "bytes-max"] };
        figures.add("all", mean, unit, spread.map(|spread| spread.mean));
        figures.add("all", max, unit, spread.map(|spread| spread.max as f64));
    }
    figures
}
