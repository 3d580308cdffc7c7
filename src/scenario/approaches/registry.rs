//! The approach `registry`: users are registered, endorsed and looked up in shards that full nodes keep.

mod service;
mod tables;

use std::sync::Arc;

use super::super::build::{Found, Job, Judging, RunError, clustering};
use super::super::options::span;
use super::super::plan::events::Conditions;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{Kind, Mechanism, Spec, Variant, states_of, words};
use crate::contract::{NodeType, Nodes, Population, SimSpan, SimTime};
use crate::metrics::{Figures, PointResult};
use crate::protocols::registry::audit::audit;
use crate::protocols::registry::shards::{Partitioning, REPLICAS_MAX};
use crate::protocols::registry::users::REGISTRATIONS_MAX;
use crate::protocols::registry::{
    Acknowledge, Departures, Load, PAGE_MAX, RegistryFigures, RegistryOptions, RegistryService, RegistryState,
};
use crate::protocols::sharding::placement::VIRTUAL_NODES_MAX;
use crate::topologies::{Notes, TierDegrees};

const PARTITIONINGS: [&str; 3] = ["hash", "consistent-hashing", "country"];
const ACKNOWLEDGES: [&str; 2] = ["majority", "leader"];
/// Spans between operations, and between what happens regularly.
const INTERVAL: [SimSpan; 2] = [SimSpan::from_secs(1), SimSpan::from_secs(30 * 86_400)];
const SHORT: [SimSpan; 2] = [SimSpan::from_millis(10), SimSpan::from_secs(3_600)];
/// Users at the start of a run.
const USERS_MAX: u32 = 1_000_000_000;

pub(super) const KIND: Kind = Kind {
    name: "registry",
    keys: &[
        "warmup",
        "measure",
        "partitioning",
        "shards",
        "virtual_nodes",
        "replicas",
        "acknowledge",
        "read_replicas",
        "users",
        "verified_at",
        "register",
        "endorse",
        "lookup",
        "query",
        "contested",
        "fraudulent",
        "own",
        "page",
        "scatter",
        "service_times",
        "read_time",
        "write_time",
        "light_parents",
        "patience",
        "attempts",
        "heartbeat",
        "election",
        "settle",
        "alive",
        "missing",
        "flows_max",
        "queue_max",
        "pipeline_max",
        "depart",
        "depart_over",
    ],
    is_tiered: true,
    read,
};

/// How the registry is kept and used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegistrySpec {
    /// The options of the protocol, but for departures and slices of time.
    pub options: RegistryOptions,
    /// Full nodes that a light or mobile node is linked to, 1 to 64.
    pub light_parents: u32,
    /// Which share of the full nodes leaves in good order, from the end of the warm-up on.
    pub depart: f64,
    /// Over which span they do.
    pub depart_over: SimSpan,
}

fn load(reader: &mut Reader, own: &Section<'_>, base: Load) -> Option<Load> {
    let mut time = |key, default: Option<SimSpan>| {
        span(reader, own, key, default.unwrap_or(INTERVAL[1]), INTERVAL).value.map(Some)
    };
    let [register, endorse, lookup, query] = base.every;
    let every = [time("register", register), time("endorse", endorse), time("lookup", lookup), time("query", query)];
    let [register, endorse, lookup, query] = every;
    let mut share = |key, default| {
        let read = |reader: &mut Reader, value: &_| reader.number(value, "from 0 to 1", |x| (0.0..=1.0).contains(&x));
        reader.field(own, key, default, read).value
    };
    let (contested, fraudulent) = (share("contested", base.contested), share("fraudulent", base.fraudulent));
    let own = share("own", base.own);
    Some(Load {
        every: [register?, endorse?, lookup?, query?],
        contested: contested?,
        fraudulent: fraudulent?,
        own: own?,
    })
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let base = RegistryOptions::new(Partitioning::Hash);
    let partitionings = words(reader, own, "partitioning", "a partitioning", &PARTITIONINGS, &[0]);
    let acknowledges = words(reader, own, "acknowledge", "a way to acknowledge", &ACKNOWLEDGES, &[0]);
    let mut count = |key, default, min, max| {
        reader.field(own, key, default, |reader, value| reader.count_u32(value, min, max)).value
    };
    let (shards, virtual_nodes) =
        (count("shards", 1_024, 1, 1 << 20), count("virtual_nodes", 64, 1, VIRTUAL_NODES_MAX));
    let (replicas, users) = (count("replicas", 3, 1, REPLICAS_MAX as u32), count("users", base.users, 0, USERS_MAX));
    let (enough, light_parents) = (count("verified_at", base.enough, 1, 1_000), count("light_parents", 3, 1, 64));
    let (page, scatter) = (count("page", base.page, 1, PAGE_MAX), count("scatter", base.scatter, 1, 1_000));
    let attempts = count("attempts", u32::from(base.attempts), 1, 64);
    let flows_max = count("flows_max", base.flows_max, 1, 1 << 20);
    let queue_max = count("queue_max", base.queue_max, 1, 1 << 20);
    let pipeline_max = count("pipeline_max", base.pipeline_max, 1, 4_096);
    let read_replicas = reader.field(own, "read_replicas", true, |reader, value| reader.boolean(value)).value;
    let load = load(reader, own, base.load);
    let times = service::times(reader, own, &base);
    let depart = reader
        .field(own, "depart", 0.0, |reader, value| reader.number(value, "from 0 to 1", |x| (0.0..=1.0).contains(&x)));
    let mut time = |key, default, range| span(reader, own, key, default, range);
    let (patience, heartbeat) = (time("patience", base.patience, SHORT), time("heartbeat", base.heartbeat, SHORT));
    let (election, settle) = (time("election", base.election, SHORT), time("settle", base.settle, SHORT));
    let (alive, missing) = (time("alive", base.alive, SHORT), time("missing", base.missing, SHORT));
    let depart_over = time("depart_over", SimSpan::from_secs(600), INTERVAL).value;
    for (what, longer, shorter) in [("election", &election, &heartbeat), ("missing", &missing, &alive)] {
        let (Some(long), Some(short)) = (longer.value, shorter.value) else { return None };
        if long < short * 2 {
            let title = format!("`{what}` is less than twice what it waits for");
            let label = format!("write {what} = \"{}ns\" or more", (short * 2).as_nanos());
            reader.lacks(longer.at.or(shorter.at), title, label);
            return None;
        }
    }
    let [read, write] = times?;
    let options = RegistryOptions {
        replicas: replicas? as usize,
        users: users?,
        enough: enough?,
        read_replicas: read_replicas?,
        load: load?,
        page: page?,
        scatter: scatter?,
        read,
        write,
        patience: patience.value?,
        attempts: attempts? as u8,
        heartbeat: heartbeat.value?,
        election: election.value?,
        settle: settle.value?,
        alive: alive.value?,
        missing: missing.value?,
        flows_max: flows_max?,
        queue_max: queue_max?,
        pipeline_max: pipeline_max?,
        ..base
    };
    let (shards, virtual_nodes, light_parents) = (shards?, virtual_nodes?, light_parents?);
    let (depart, depart_over, partitionings, acknowledges) =
        (depart.value?, depart_over?, partitionings?, acknowledges?);
    let pairs = partitionings.iter().flat_map(|&one| acknowledges.iter().map(move |&other| (one, other)));
    let variant = |(partitioning, acknowledge): (usize, usize)| {
        let mut suffix = String::new();
        if partitionings.len() > 1 {
            suffix += &format!(" {}", PARTITIONINGS[partitioning]);
        }
        if acknowledges.len() > 1 {
            suffix += &format!(" {}", ACKNOWLEDGES[acknowledge]);
        }
        let partitioning = match partitioning {
            0 => Partitioning::Hash,
            1 => Partitioning::ConsistentHashing { shards, virtual_nodes },
            _ => Partitioning::Country { virtual_nodes },
        };
        let acknowledge = if acknowledge == 0 { Acknowledge::Majority } else { Acknowledge::Leader };
        let options = RegistryOptions { partitioning, acknowledge, ..options };
        let spec = RegistrySpec { options, light_parents, depart, depart_over };
        Variant { suffix, mechanism: Mechanism::Registry(spec) }
    };
    Some(pairs.map(variant).collect())
}

impl RegistrySpec {
    fn options(&self, scenario: &Scenario, point: &Point) -> RegistryOptions {
        let from = SimTime::ZERO + point.warmup;
        let departures = Departures { share: self.depart, from, over: self.depart_over };
        let departures = (self.depart > 0.0).then_some(departures);
        RegistryOptions { departures, slice: scenario.timeline, ..self.options }
    }

    fn protocol(&self, job: &Job<'_>) -> RegistryService {
        let (population, seed) = (job.point.population, job.scenario.seed);
        let degrees = TierDegrees { full_peers: 0, super_parents: 1, light_parents: self.light_parents, mesh: false };
        let clustering = clustering(&job.scenario.network.latency, seed, job.point.nearby);
        let kept = job.kept(Notes::default());
        let graph = degrees.clustered_graph(population, kept, seed, clustering.as_ref());
        RegistryService::new(Arc::new(graph), self.options(job.scenario, job.point), seed)
    }

    fn figures(&self, job: &Job<'_>, service: &RegistryService, states: &[(Nodes, &RegistryState)]) -> Vec<Figures> {
        let mut all = RegistryFigures::default();
        states.iter().for_each(|(_, state)| all.merge(state.figures()));
        let audit = audit(service, states, &all.acknowledged);
        let run = (job.point.warmup + job.point.measure).as_secs_f64();
        vec![
            tables::operations(&all, run),
            tables::shards(&all, &audit),
            tables::replicas(&all, job.scenario.timeline),
            tables::hand_off(&all),
            tables::safety(&audit),
        ]
    }

    fn devices(population: Population) -> f64 {
        f64::from(population.count(NodeType::LightNode)) + f64::from(population.count(NodeType::MobileNode))
    }

    /// Operations that are due in a second, by kind.
    fn rates(&self, population: Population) -> [f64; 4] {
        let each = self.options.load.every.map(|every| every.map_or(0.0, |every| 1.0 / every.as_secs_f64()));
        each.map(|rate| rate * Self::devices(population))
    }
}

impl Spec for RegistrySpec {
    fn check(&self, reader: &mut Reader, population: Population, at: Place) {
        let numbers = u64::from(self.options.users) + Self::devices(population) as u64 * u64::from(REGISTRATIONS_MAX);
        if numbers >= u64::from(u32::MAX) {
            let title = format!("{numbers} users, those that may register included, have no numbers");
            reader.report(Draft::new(at, title, "write fewer users or fewer nodes"));
        }
    }

    fn canonical(&self) -> String {
        let RegistrySpec { options, light_parents, depart, depart_over } = self;
        let RegistryOptions { replicas, users, enough, page, scatter, attempts, load, .. } = options;
        let placed = match options.partitioning {
            Partitioning::Hash => String::new(),
            Partitioning::ConsistentHashing { shards, virtual_nodes } => format!("{shards} {virtual_nodes}"),
            Partitioning::Country { virtual_nodes } => virtual_nodes.to_string(),
        };
        let join =
            |spans: &[SimSpan]| spans.iter().map(|span| span.as_nanos().to_string()).collect::<Vec<_>>().join(" ");
        let every: Vec<SimSpan> = load.every.iter().map(|every| every.unwrap_or(SimSpan::ZERO)).collect();
        let RegistryOptions { patience, heartbeat, election, settle, alive, missing, .. } = *options;
        let spans = join(&[patience, heartbeat, election, settle, alive, missing, *depart_over]);
        format!(
            "{} {placed} replicas {replicas} {:?} {} users {users} {enough} every {} shares {} {} {} pages {page} {scatter} \
             times {} {} links {light_parents} {attempts} spans {spans} bounds {} {} {} depart {depart}",
            options.partitioning.name(),
            options.acknowledge,
            options.read_replicas,
            join(&every),
            load.contested,
            load.fraudulent,
            load.own,
            join(&options.read.quantiles),
            join(&options.write.quantiles),
            options.flows_max,
            options.queue_max,
            options.pipeline_max,
        )
    }

    fn memory(&self, _: &Scenario, point: &Point) -> u64 {
        /// A device, two timers, and a link each way.
        const DEVICE_BYTES: f64 = 24.0 + 2.0 * 24.0;
        const LINK_BYTES: f64 = 8.0 + 4.0;
        const FULL_BYTES: f64 = 4_000.0;
        const REPLICA_BYTES: f64 = 512.0;
        /// An entry in the log of a replica, whose list grows by doubling. Blocks that lists outgrew stay in the heap; how much
        /// was measured (`tests/forecasts`).
        const ENTRY_BYTES: f64 = 2.6 * 20.0;
        let (population, options) = (point.population, &self.options);
        let fulls = population.count(NodeType::FullNode);
        let devices = Self::devices(population);
        let [register, endorse, lookup, query] = self.rates(population);
        let run = (point.warmup + point.measure).as_secs_f64();
        let replicas = options.replicas as f64;
        let entries = (3.0 * register + endorse) * run * replicas * ENTRY_BYTES;
        let kept = f64::from(options.partitioning.shards(fulls)) * replicas * REPLICA_BYTES;
        // Sorted while the base is made; what devices know of is listed for the audit.
        let users = f64::from(options.users) * 8.0 + register * run * 4.0 * 12.0;
        let links = devices * f64::from(self.light_parents) * LINK_BYTES;
        let under_way = (register + endorse + lookup + query) * 2.0 * 128.0;
        (devices * DEVICE_BYTES + f64::from(fulls) * FULL_BYTES + entries + kept + users + links + under_way) as u64
    }

    /// What replicas keep is audited together.
    fn undivided(&self, scenario: &Scenario, point: &Point) -> u64 {
        self.memory(scenario, point)
    }

    fn has_links(&self) -> bool {
        true
    }

    fn events(&self, _: &Scenario, point: &Point, on: &Conditions) -> f64 {
        let (population, options) = (point.population, &self.options);
        let arrives = 1.0 - on.lost;
        let fulls = on.alive(point, NodeType::FullNode);
        let often = self.rates(population).map(|rate| rate * on.run);
        let [register, endorse, lookup, query] = often;
        let others = options.replicas as f64 - 1.0;
        // A registration is a claim, a creation and a confirmation, or one change where one shard keeps both. Who endorses
        // is looked up before the endorsement is written. A query asks several shards, or that of its country.
        let (steps, asked) = match options.partitioning {
            Partitioning::Country { .. } => (1.0, 1.0),
            Partitioning::Hash | Partitioning::ConsistentHashing { .. } => (3.0, f64::from(options.scatter)),
        };
        let (entries, requests) = (steps * register + endorse, steps * register + 2.0 * endorse);
        let pages = query * asked;
        let operations: f64 = often.iter().sum();
        // A leader that has sent nothing for as long says that it lives.
        let shards = f64::from(options.partitioning.shards(population.count(NodeType::FullNode)).max(1));
        let idle = libm::exp(-entries / shards / on.times(options.heartbeat));
        let beats = shards * others * on.times(options.heartbeat) * idle;
        let alive = fulls * on.times(options.alive);
        let messages = 2.0 * (operations + lookup + requests + pages + others * entries + beats) + alive;
        // The next operation and its answer; ticks; the answer of a shard; and what a node serves takes time.
        let timers = 2.0 * operations
            + fulls * on.times(options.heartbeat)
            + alive
            + (lookup + requests + query)
            + (lookup + entries * options.replicas as f64 + pages);
        messages * arrives + timers
    }

    fn kinds(&self) -> usize {
        crate::protocols::registry::wire::NAMES.len()
    }

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        let (population, options) = (point.population, &self.options);
        let fulls = population.count(NodeType::FullNode);
        let [register, endorse, lookup, query] = self.rates(population);
        let others = options.replicas as f64 - 1.0;
        let change = 2.0 + 2.0 * others;
        let beats = f64::from(options.partitioning.shards(fulls)) * 2.0 * others / options.heartbeat.as_secs_f64();
        register * (2.0 + 3.0 * change)
            + endorse * (4.0 + change)
            + lookup * 4.0
            + query * (2.0 + 2.0 * f64::from(options.scatter))
            + beats
            + f64::from(fulls) / options.alive.as_secs_f64()
    }

    fn judging(&self, _: &Scenario, _: &Point) -> Option<Judging> {
        let patience = self.options.missing + self.options.alive * 2;
        Some(Judging { detector: "timeout", patience: [patience; 4] })
    }

    fn chooses_peers(&self) -> bool {
        true
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let service = self.protocol(job);
        job.run_with("registry", &service, service.bytes(), |outcome| Found {
            figures: self.figures(job, &service, &states_of(outcome)),
            ..Found::default()
        })
    }
}
