//! The approach `dissemination`: messages of some nodes come to all, in one or several ways.

use super::super::build::{Found, Job, Ran, RunError, clustering};
use super::super::options::span;
use super::super::plan::events::{Conditions, reach};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{Kind, Mechanism, Spec, Variant, states_of, words};
use crate::contract::{NodeType, Nodes, SimSpan, SimTime};
use crate::metrics::{Curve, Figures, PointResult, Values};
use crate::protocols::dissemination::{
    Dissemination, DisseminationFigures, DisseminationOptions, DisseminationState, Exchange, KINDS, MESSAGES_MAX,
    MeshOptions, Publishing, Spread,
};
use crate::topologies::Tier;

const PERIOD: [SimSpan; 2] = [SimSpan::from_millis(100), SimSpan::from_secs(3_600)];
const TIMEOUT: [SimSpan; 2] = [SimSpan::from_millis(10), SimSpan::from_secs(60)];
const EVERY: [SimSpan; 2] = [SimSpan::from_millis(1), SimSpan::from_secs(86_400)];
/// Longest contents of a message, in bytes.
const SIZE_MAX: u32 = 64_000;
/// Messages that may live at a time, which is what a node can compare with another at once.
const LIVE_MAX: u64 = 64;
/// Cells of 8 bytes by delay and by hops, in each of up to 64 partitions and in the sum; see the figures of the protocol.
const MESSAGE_BYTES: u64 = 6_200 * 8;
const SPREADS: [&str; 5] = ["push", "lazy-push", "pull", "push-pull", "mesh"];
/// Shares of all nodes that a message is to reach, in thousandths, with the names of their figures: the messages that
/// reached it, and in what time and how many hops.
const LEVELS: [(u64, [&str; 3]); 5] = [
    (500, ["coverage-50-messages", "coverage-50-time", "coverage-50-hops"]),
    (900, ["coverage-90-messages", "coverage-90-time", "coverage-90-hops"]),
    (990, ["coverage-99-messages", "coverage-99-time", "coverage-99-hops"]),
    (999, ["coverage-99.9-messages", "coverage-99.9-time", "coverage-99.9-hops"]),
    (1_000, ["coverage-100-messages", "coverage-100-time", "coverage-100-hops"]),
];

pub(super) const KIND: Kind = Kind {
    name: "dissemination",
    keys: &[
        "warmup",
        "measure",
        "spread",
        "message_size",
        "every",
        "sources",
        "lifetime",
        "timeout",
        "repair",
        "fanout",
        "period",
        "degree",
        "low",
        "high",
        "lazy",
        "contacts",
        "heartbeat",
        "gossip",
        "history",
        "backoff",
        "renew",
        "super_factor",
        "full_factor",
    ],
    is_tiered: true,
    read,
};

/// Dissemination: how messages go on, and which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisseminationSpec {
    /// How messages go on; periods and heartbeats of 100 ms to an hour.
    pub spread: Spread,
    /// Length of the contents of a message, in bytes: 1 to 64 000.
    pub size: u32,
    /// Time from one message to the next, 1 ms to a day. The first is published when the warm-up ends, the last as long
    /// before the end as messages live.
    pub every: SimSpan,
    /// How many nodes publish.
    pub sources: u32,
    /// How long a message lives, 100 ms to an hour: not so long that more than 64 live at a time.
    pub lifetime: SimSpan,
    /// Time after which a requested message is late, 10 ms to a minute.
    pub timeout: SimSpan,
    /// Time between two comparisons of a node with a random other, 100 ms to an hour; none if `None`.
    pub repair: Option<SimSpan>,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let size = reader.field(own, "message_size", 1_000, |reader, value| reader.size(value, 1, SIZE_MAX)).value;
    let mut time = |key, default, range| span(reader, own, key, default, range);
    let every = time("every", SimSpan::from_secs(1), EVERY);
    let lifetime = time("lifetime", SimSpan::from_secs(20), PERIOD);
    let timeout = time("timeout", SimSpan::from_secs(1), TIMEOUT).value;
    let period = time("period", SimSpan::from_secs(1), PERIOD).value;
    let repair = own.has("repair").then(|| time("repair", PERIOD[1], PERIOD).value);
    let mut count =
        |key, default, max| reader.field(own, key, default, |reader, value| reader.count_u32(value, 1, max)).value;
    let (sources, fanout) = (count("sources", 100, MESSAGES_MAX), count("fanout", 8, 64));
    let mesh = mesh(reader, own);
    let kinds = words(reader, own, "spread", "a way to spread", &SPREADS, &[SPREADS.len() - 1]);
    let (every_value, lifetime) = (every.value?, lifetime.value?);
    if lifetime / every_value >= LIVE_MAX {
        let live = lifetime / every_value + 1;
        let label = format!("write every = \"{}\" or more", SimSpan::from_nanos(lifetime.as_nanos() / (LIVE_MAX - 1)));
        reader.lacks(
            every.at,
            format!("{live} messages live at a time, more than the {LIVE_MAX} that nodes compare"),
            label,
        );
        return None;
    }
    let (fanout, period, mesh) = (fanout?, period?, mesh?);
    let spec = DisseminationSpec {
        spread: Spread::Mesh(mesh),
        size: size?,
        every: every_value,
        sources: sources?,
        lifetime,
        timeout: timeout?,
        repair: match repair {
            Some(repair) => Some(repair?),
            None => None,
        },
    };
    let rounds = |exchange| Spread::Rounds { exchange, period, synchronous: false };
    let kinds = kinds?;
    let variant = |&kind: &usize| {
        let spread = match SPREADS[kind] {
            "push" => Spread::Push { fanout },
            "lazy-push" => Spread::Lazy { fanout },
            "pull" => rounds(Exchange::Pull),
            "push-pull" => rounds(Exchange::PushPull),
            _ => Spread::Mesh(mesh),
        };
        let suffix = if kinds.len() > 1 { format!(" {}", SPREADS[kind]) } else { String::new() };
        Variant { suffix, mechanism: Mechanism::Dissemination(DisseminationSpec { spread, ..spec }) }
    };
    Some(kinds.iter().map(variant).collect())
}

/// The options of a mesh, those of Ethereum by default.
fn mesh(reader: &mut Reader, own: &Section<'_>) -> Option<MeshOptions> {
    let ethereum = MeshOptions::ETHEREUM;
    let heartbeat = span(reader, own, "heartbeat", ethereum.heartbeat, PERIOD).value;
    let mut count = |key, default: u8, min, max| {
        reader.field(own, key, u32::from(default), |reader, value| reader.count_u32(value, min, max))
    };
    let degree = count("degree", ethereum.degree, 1, 32);
    let low = count("low", ethereum.low, 1, 32);
    let high = count("high", ethereum.high, 1, 48);
    let contacts = count("contacts", ethereum.contacts, 2, 64);
    let lazy = count("lazy", ethereum.lazy, 0, 64).value;
    let gossip = count("gossip", ethereum.gossip, 1, 255).value;
    let history = count("history", ethereum.history, 1, 255).value;
    let backoff = count("backoff", ethereum.backoff, 0, 127).value;
    let renew = count("renew", ethereum.renew, 1, 42).value;
    let super_factor = count("super_factor", ethereum.super_factor, 1, 8).value;
    let full_factor = count("full_factor", ethereum.full_factor, 1, 8).value;
    let at = degree.at.or(low.at).or(high.at).or(contacts.at);
    let [degree, low, high, contacts] = [degree.value?, low.value?, high.value?, contacts.value?];
    if !(low <= degree && degree <= high && high < contacts) {
        let title = format!("a mesh of degree {degree} between {low} and {high} among {contacts} contacts is none");
        reader.lacks(at, title, "write low <= degree <= high < contacts");
        return None;
    }
    Some(MeshOptions {
        degree: degree as u8,
        low: low as u8,
        high: high as u8,
        lazy: lazy? as u8,
        contacts: contacts as u8,
        heartbeat: heartbeat?,
        gossip: gossip? as u8,
        history: history? as u8,
        backoff: backoff? as u8,
        renew: renew? as u8,
        super_factor: super_factor? as u8,
        full_factor: full_factor? as u8,
    })
}

impl DisseminationSpec {
    /// The options of the protocol for `point`: memories hold what lives at a time.
    fn options(&self, point: &Point) -> DisseminationOptions {
        let DisseminationSpec { spread, size, every, sources, lifetime, timeout, repair } = *self;
        let live = (lifetime / every + 1) as u32;
        // Sets of eight forget by themselves, so several need some room.
        let seen = if live <= 8 { 8 } else { 2 * live };
        let messages = (point.measure - lifetime) / every + 1;
        DisseminationOptions {
            spread,
            publishing: Publishing {
                messages: messages.min(u64::from(MESSAGES_MAX)) as u32,
                size,
                first: SimTime::ZERO + point.warmup,
                every,
                sources,
            },
            lifetime,
            seen,
            kept: live.clamp(8, LIVE_MAX as u32) as u8,
            wanted: live.clamp(4, 16) as u8,
            timeout,
            repair,
        }
    }

    /// Dissemination among all nodes of `point`.
    pub(super) fn protocol(&self, job: &Job<'_>, point: &Point) -> Dissemination {
        let seed = job.scenario.seed;
        let near = clustering(&job.scenario.network.latency, seed, point.nearby);
        Dissemination::new(Tier::new(0..point.population.total(), near.as_ref()), self.options(point), seed)
    }

    /// What is found of messages that spread like that.
    pub(super) fn figures(&self, job: &Job<'_>, (all, degrees): &Spreading) -> Vec<Figures> {
        let header = u64::from(job.scenario.network.header);
        let is_claimed = self.is_claimed(job.point);
        let mut figures = vec![coverage(all, is_claimed), by_type(all), traffic(all, header)];
        figures.extend(matches!(self.spread, Spread::Mesh(_)).then(|| links(degrees, all)));
        figures
    }

    /// Whether the documents say in how many hops such messages reach all of `point`: a million nodes with a fanout of 8.
    fn is_claimed(&self, point: &Point) -> bool {
        matches!(self.spread, Spread::Push { fanout: 8 }) && point.population.total() == 1_000_000
    }

    /// How many links a node of a type has in the mesh, on average: between those that it wants and the most.
    fn degree(mesh: &MeshOptions, node_type: NodeType) -> f64 {
        let factor = match node_type {
            NodeType::SuperNode => mesh.super_factor,
            NodeType::FullNode => mesh.full_factor,
            NodeType::LightNode | NodeType::MobileNode => 1,
        };
        let wanted = f64::from(factor) * (f64::from(mesh.degree) + f64::from(mesh.high)) / 2.0;
        wanted.min(f64::from(mesh.contacts) - 1.0)
    }

    /// Deliveries and timers of all nodes of `point`, about.
    fn all_events(&self, point: &Point, on: &Conditions) -> f64 {
        let arrives = 1.0 - on.lost;
        let published = f64::from(self.options(point).publishing.messages);
        let each = NodeType::ALL.map(|node_type| (node_type, on.alive(point, node_type)));
        let nodes: f64 = each.iter().map(|(_, nodes)| nodes).sum();
        let (all, once) = (published * nodes, on.lost * on.lost);
        // A comparison has a timer, and is answered only where something was missed.
        let repair = self.repair.map_or(0.0, |repair| nodes * on.times(repair) * (1.0 + arrives));
        let own = match self.spread {
            Spread::Push { fanout } => all * reach(f64::from(fanout) * arrives) * f64::from(fanout) * arrives,
            // Announced, then wanted, with a timer, and sent.
            Spread::Lazy { fanout } => {
                let reached = all * reach(f64::from(fanout) * arrives);
                reached * (f64::from(fanout) * arrives + 2.0 * arrives + 1.0 + once)
            }
            // A round has a timer; of what is new in it each node is told once, asks for it or not, and gets it.
            Spread::Rounds { period, .. } => nodes * on.times(period) * (1.0 + arrives) + all * (1.0 + arrives),
            Spread::Mesh(mesh) => {
                let beats = on.times(mesh.heartbeat);
                let spread = |(node_type, nodes): &(NodeType, f64)| {
                    let degree = Self::degree(&mesh, *node_type);
                    // Passed on to all but who sent it; links are made once and renewed again and again.
                    nodes * (published * (degree - 1.0) + degree * (0.5 + beats / f64::from(mesh.renew)))
                };
                let window = mesh.heartbeat.as_secs_f64() * f64::from(mesh.gossip);
                let told = (published * window / on.run).min(1.0) * beats;
                let announced = nodes * told.min(published * f64::from(mesh.gossip)) * f64::from(mesh.lazy);
                (each.iter().map(spread).sum::<f64>() + announced) * arrives + nodes * beats
            }
        };
        own + repair
    }

    fn per_second(&self, point: &Point) -> f64 {
        let nodes = f64::from(point.population.total());
        let (published, rate) = (1.0 / self.every.as_secs_f64(), |span: SimSpan| 1.0 / span.as_secs_f64());
        let repair = self.repair.map_or(0.0, |repair| 2.0 * rate(repair));
        let own = match self.spread {
            Spread::Push { fanout } => f64::from(fanout) * published,
            Spread::Lazy { fanout } => (f64::from(fanout) + 2.0) * published,
            Spread::Rounds { period, .. } => 2.0 * rate(period) + 2.0 * published,
            Spread::Mesh(mesh) => {
                let beats = rate(mesh.heartbeat);
                let busy = (published / beats * f64::from(mesh.gossip)).min(1.0);
                let renewals = beats / f64::from(mesh.renew) * f64::from(mesh.high);
                f64::from(mesh.high) * published + f64::from(mesh.lazy) * beats * busy + renewals
            }
        };
        nodes * (own + repair)
    }
}

impl Spec for DisseminationSpec {
    fn canonical(&self) -> String {
        let DisseminationSpec { spread, size, every, sources, lifetime, timeout, repair } = self;
        let spread = match spread {
            Spread::Push { fanout } => format!("push {fanout}"),
            Spread::Lazy { fanout } => format!("lazy {fanout}"),
            Spread::Rounds { exchange, period, synchronous } => {
                let exchange = match exchange {
                    Exchange::Push => "push",
                    Exchange::Pull => "pull",
                    Exchange::PushPull => "both",
                };
                format!("rounds {exchange} {} {synchronous}", period.as_nanos())
            }
            Spread::Mesh(mesh) => {
                let MeshOptions {
                    degree, low, high, lazy, contacts, heartbeat, gossip, history, backoff, renew, ..
                } = mesh;
                let beats = format!("{} {gossip} {history} {backoff} {renew}", heartbeat.as_nanos());
                let factors = format!("{} {}", mesh.super_factor, mesh.full_factor);
                format!("mesh {degree} {low} {high} {lazy} {contacts} {beats} {factors}")
            }
        };
        let repair = repair.map_or("-".to_owned(), |repair| repair.as_nanos().to_string());
        let times = [every, lifetime, timeout].map(|span| span.as_nanos().to_string()).join(" ");
        format!("{spread} size {size} sources {sources} times {times} {repair}")
    }

    fn memory(&self, _: &Scenario, point: &Point) -> u64 {
        /// An event and its message.
        const EVENT_BYTES: u64 = 24;
        let options = self.options(point);
        let nodes = u64::from(point.population.total());
        let contacts = if let Spread::Mesh(mesh) = self.spread { u64::from(mesh.contacts) * 5 } else { 0 };
        let seen = u64::from(options.seen.next_multiple_of(8)) * 8;
        let own = 4 + seen + u64::from(options.kept) * 8 + u64::from(options.wanted) * 16 + contacts;
        // A message spreads at once, so most of its copies are under way together.
        let copies = match self.spread {
            Spread::Push { fanout } | Spread::Lazy { fanout } => u64::from(fanout),
            Spread::Rounds { .. } => 2,
            Spread::Mesh(mesh) => u64::from(mesh.high),
        };
        nodes * (own + copies * EVENT_BYTES) + u64::from(options.publishing.messages) * MESSAGE_BYTES
    }

    fn undivided(&self, _: &Scenario, point: &Point) -> u64 {
        u64::from(self.options(point).publishing.messages) * MESSAGE_BYTES
    }

    fn events(&self, _: &Scenario, point: &Point, on: &Conditions) -> f64 {
        self.all_events(point, on)
    }

    fn kinds(&self) -> usize {
        Dissemination::KIND_NAMES.len()
    }

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        self.per_second(point)
    }

    fn chooses_peers(&self) -> bool {
        true
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let dissemination = self.protocol(job, job.point);
        let own = |outcome: &Ran<Dissemination>| spreading(&states_of(outcome));
        job.run_summed("dissemination", &dissemination, dissemination.bytes(), own, |_, found| Found {
            figures: self.figures(job, &found),
            ..Found::default()
        })
    }
}

/// How messages spread, and how many links nodes have when the run ends.
pub(super) type Spreading = (DisseminationFigures, Values);

/// How messages spread where partitions ended with `states`.
pub(super) fn spreading(states: &[(Nodes, &DisseminationState)]) -> Spreading {
    let mut all = DisseminationFigures::default();
    states.iter().for_each(|(_, state)| all.merge(state.figures()));
    let degrees = states
        .iter()
        .flat_map(|(nodes, state)| (0..nodes.len()).filter_map(|index| state.degree(index)).map(u64::from));
    (all, degrees.collect())
}

/// How far messages came, in what time and hops.
fn coverage(all: &DisseminationFigures, is_claimed: bool) -> Figures {
    let mut figures = Figures::new("coverage");
    let published = all.published().count() as u64;
    let nodes: u64 = all.nodes().iter().sum();
    let possible = (published * nodes) as f64;
    figures.add("all", "messages-published", "1", published as f64);
    figures.add("all", "never-reached", "share", (published > 0).then(|| 1.0 - all.deliveries() as f64 / possible));
    for (per_mille, [messages, time, hops]) in LEVELS {
        let (in_time, in_hops) = (all.coverage_time(per_mille), all.coverage_hops(per_mille));
        let share = (published > 0).then(|| in_time.messages as f64 / published as f64);
        figures.add("all", messages, "share", share);
        figures.add("all", time, "ms", in_time.mean().map(|nanos| nanos as f64 / 1e6));
        let mean = (in_hops.messages > 0).then(|| in_hops.sum as f64 / in_hops.messages as f64);
        figures.add("all", hops, "hops", mean);
        if is_claimed && per_mille == 1_000 {
            figures.claimed("QN-09");
        }
    }
    figures.add("all", "received-after-joining", "1", all.caught_up as f64);
    let points = all.all_delays().curve().map(|(span, count)| [span.as_secs_f64(), count as f64 / possible]).collect();
    figures.curves.push(Curve { subject: "all", name: "coverage-over-time", units: ["s", "share"], points });
    let mut before = 0;
    let by_hops: Vec<u64> =
        (0..64).map(|hops| NodeType::ALL.iter().map(|&node_type| all.hops(node_type).counts()[hops]).sum()).collect();
    let last = by_hops.iter().rposition(|&count| count > 0).map_or(0, |place| place + 1);
    let points = by_hops[..last].iter().enumerate().map(|(hops, count)| {
        before += count;
        [hops as f64, before as f64 / possible]
    });
    let points = points.collect();
    figures.curves.push(Curve { subject: "all", name: "coverage-over-hops", units: ["hops", "share"], points });
    figures
}

/// Delays and what was not reached, by type of node.
fn by_type(all: &DisseminationFigures) -> Figures {
    let mut figures = Figures::new("delivery by node type");
    for node_type in NodeType::ALL {
        let ((missed, possible), delays) = (all.missed(node_type), all.delays(node_type));
        if possible == 0 {
            continue;
        }
        let subject = node_type.name();
        let millis = |span: Option<SimSpan>| span.map(|span| span.as_nanos() as f64 / 1e6);
        figures.add(subject, "never-reached", "share", missed as f64 / possible as f64);
        figures.add(subject, "delay-mean", "ms", millis(delays.mean()));
        for (per_mille, name) in [(500, "delay-p50"), (900, "delay-p90"), (950, "delay-p95"), (990, "delay-p99")] {
            figures.add(subject, name, "ms", millis(delays.quantile(per_mille)));
        }
        figures.add(subject, "hops-mean", "hops", all.hops(node_type).mean());
    }
    figures
}

/// What a delivery takes, by kind of message. Bytes are those on the wire, with headers of `header` bytes.
fn traffic(all: &DisseminationFigures, header: u64) -> Figures {
    let mut figures = Figures::new("cost of a delivery");
    // The publishers have theirs without anything being sent.
    let delivered = all.deliveries() + all.caught_up - all.published().count() as u64;
    let each = |number: u64| (delivered > 0).then(|| number as f64 / delivered as f64);
    let bytes: [u64; KINDS] = std::array::from_fn(|kind| all.bytes[kind] + all.sent[kind] * header);
    figures.add("all", "messages", "1", each(all.sent.iter().sum()));
    figures.add("all", "bytes", "B", each(bytes.iter().sum()));
    figures.add("all", "duplicates", "1", each(all.duplicates));
    for (kind, subject) in Dissemination::KIND_NAMES.into_iter().enumerate().filter(|(kind, _)| all.sent[*kind] > 0) {
        figures.add(subject, "messages", "1", each(all.sent[kind]));
        figures.add(subject, "bytes", "B", each(bytes[kind]));
    }
    let counts = [
        ("requests-late", all.timeouts),
        ("requests-given-up", all.given_up),
        ("announcements-without-room", all.overflows),
        ("messages-too-late", all.late),
        ("messages-rejected", all.rejected),
    ];
    for (name, count) in counts {
        figures.add("all", name, "1", count as f64);
    }
    figures
}

/// How many links nodes have when the run ends.
fn links(degrees: &Values, all: &DisseminationFigures) -> Figures {
    let spread = degrees.spread();
    let mut figures = Figures::new("mesh");
    figures.add("all", "links-mean", "1", spread.as_ref().map(|spread| spread.mean));
    figures.add("all", "links-min", "1", degrees.min().map(|least| least as f64));
    figures.add("all", "links-max", "1", spread.as_ref().map(|spread| spread.max as f64));
    figures.add("all", "links-fallen-silent", "1", all.silent as f64);
    figures
}
