//! The approach `routing`: nodes attach to parents, replace those that die, and send messages by way of them.

use super::super::build::{Found, Job, Ran, RunError, clustering};
use super::super::options::span;
use super::super::plan::events::{Conditions, renewals};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{Kind, Mechanism, Spec, Variant, several, states_of};
use crate::contract::{NodeId, NodeType, Nodes, Population, SimSpan, SimTime, Spans};
use crate::metrics::{Curve, Figures, LifeEvent, PointResult, Turn, Values};
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::router::candidates::{CANDIDATES_MAX, DrawnCandidates};
use crate::protocols::router::homes::HOMES_MAX;
use crate::protocols::router::wire::{self, CONTENT_LEN_MAX};
use crate::protocols::router::{
    ATTEMPTS_MAX, Cause, HierarchicalRouter, LOAD_SLOTS_MAX, Messages, PARENTS_MAX, Rebalancing, RouterFigures,
    RouterOptions, RouterState, UNDER_WAY_MAX,
};

/// Spans between messages; spans until something is repeated.
const INTERVAL: [SimSpan; 2] = [SimSpan::from_secs(1), SimSpan::from_secs(30 * 86_400)];
const REPEAT: [SimSpan; 2] = [SimSpan::from_millis(10), SimSpan::from_secs(3_600)];
/// What is sent as often as it may be is answered within a minute, or given up.
const ANSWER: [SimSpan; 2] =
    [SimSpan::from_millis(10), SimSpan::from_nanos(UNDER_WAY_MAX.as_nanos() / ATTEMPTS_MAX as u64)];

pub(super) const KIND: Kind = Kind {
    name: "routing",
    keys: &[
        "warmup",
        "measure",
        "parents",
        "super_parents",
        "candidates",
        "missed",
        "repeat",
        "locations",
        "homes",
        "rebalancing",
        "high_percent",
        "moves_max",
        "messages",
        "message_size",
        "answer",
        "attempts",
    ],
    is_tiered: true,
    read,
};

/// How nodes are attached, and what they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingSpec {
    /// Full parents of a light or mobile node, 1 to 5.
    pub parents: u8,
    /// Super parents of a full node, 1 to 5.
    pub super_parents: u8,
    /// Candidates that a node draws at a time, 1 to 64.
    pub candidates: u32,
    /// Missing acknowledgements after which a parent is dead, 1 to 100.
    pub missed: u8,
    /// Time after which what was not acknowledged is sent again, 10 ms to an hour.
    pub repeat: SimSpan,
    /// Parents by which a node can be found, 1 or 2.
    pub locations: u8,
    /// Super nodes that keep the location of a node, 1 to 3.
    pub homes: u8,
    /// How children are moved; not at all if `None`. From 100 to 1000 per cent, and 1 to 65 535 children at a time.
    pub rebalancing: Option<Rebalancing>,
    /// What light nodes send, from the end of the warm-up on.
    pub messages: Messages,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let ways = several(reader, own, "rebalancing", &[true], 2, Reader::boolean);
    let numbers = several(reader, own, "parents", &[4], PARENTS_MAX, |reader, value| {
        reader.count_u32(value, 1, PARENTS_MAX as u32)
    });
    let mut count = |key, default, min, max| {
        reader.field(own, key, default, |reader, value| reader.count_u32(value, min, max)).value
    };
    let most = PARENTS_MAX as u32;
    let super_parents = count("super_parents", 3, 1, most);
    let candidates = count("candidates", 8, 1, CANDIDATES_MAX as u32);
    let missed = count("missed", 3, 1, 100);
    let (locations, homes) = (count("locations", 2, 1, 2), count("homes", 1, 1, u32::from(HOMES_MAX)));
    let (high, moves) = (count("high_percent", 110, 100, 1_000), count("moves_max", 16, 1, 65_535));
    let attempts = count("attempts", 4, 1, u32::from(ATTEMPTS_MAX));
    let size =
        reader.field(own, "message_size", 200, |reader, value| reader.size(value, 1, CONTENT_LEN_MAX as u32)).value;
    let mut time = |key, default, range| span(reader, own, key, default, range).value;
    let repeat = time("repeat", SimSpan::from_secs(5), REPEAT);
    let interval = time("messages", SimSpan::from_secs(300), INTERVAL);
    let answer = time("answer", SimSpan::from_secs(2), ANSWER);
    let messages = Messages {
        interval: interval?,
        len: size? as u16,
        from: SimSpan::ZERO,
        answer: answer?,
        attempts: attempts? as u8,
    };
    let spec = RoutingSpec {
        parents: 0,
        super_parents: super_parents? as u8,
        candidates: candidates?,
        missed: missed? as u8,
        repeat: repeat?,
        locations: locations? as u8,
        homes: homes? as u8,
        rebalancing: None,
        messages,
    };
    let on = Rebalancing { high_percent: high? as u16, moves_max: moves? as u16 };
    let (numbers, ways) = (numbers?, ways?);
    let variant = |parents: u32, is_on: bool| {
        let number = if numbers.len() > 1 { format!(" p {parents}") } else { String::new() };
        let way = if ways.len() > 1 && is_on { " rebalanced" } else { "" };
        let rebalancing = is_on.then_some(on);
        let spec = RoutingSpec { parents: parents as u8, rebalancing, ..spec };
        Variant { suffix: format!("{number}{way}"), mechanism: Mechanism::Routing(spec) }
    };
    let ways = &ways;
    let pairs = numbers.iter().flat_map(|&number| ways.iter().map(move |&way| (number, way)));
    Some(pairs.map(|(number, way)| variant(number, way)).collect())
}

impl RoutingSpec {
    fn options(&self, scenario: &Scenario, point: &Point) -> RouterOptions {
        let total = point.warmup + point.measure;
        let shortest = SimSpan::from_nanos(total.as_nanos() / LOAD_SLOTS_MAX as u64 + 1);
        let rest = RouterOptions::for_population(point.population);
        let rest = rest.with_parents(point.population, self.parents, self.super_parents);
        RouterOptions {
            missed: self.missed,
            repeat: self.repeat,
            locations: self.locations,
            homes: self.homes,
            locations_max: rest.locations_max.saturating_mul(u32::from(self.homes)),
            heartbeat: AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval },
            rebalancing: self.rebalancing,
            messages: Some(Messages { from: point.warmup, ..self.messages }),
            sample: Some(scenario.timeline.max(shortest)),
            ..rest
        }
    }

    /// The router over the population of `point`.
    pub(super) fn protocol(&self, job: &Job<'_>, point: &Point) -> HierarchicalRouter {
        let (population, seed) = (point.population, job.scenario.seed);
        let clustering = clustering(&job.scenario.network.latency, seed, point.nearby);
        let candidates = DrawnCandidates::new(population, self.candidates, clustering, seed);
        HierarchicalRouter::new(population, self.options(job.scenario, point), Box::new(candidates))
    }

    /// What is found of all that nodes of `router` came by, when they had such `lives` until `end`.
    pub(super) fn figures(
        &self,
        router: &HierarchicalRouter,
        routed: &Routed,
        lives: &[LifeEvent],
        end: SimTime,
    ) -> Vec<Figures> {
        let away = Away::of(router.population(), lives, end);
        let sample = router.options().sample.unwrap_or(SimSpan::ZERO);
        let attachment = attachment(routed, &away, router.population(), end);
        vec![attachment, routing(&routed.0, self.messages), children(routed, sample)]
    }
}

impl Spec for RoutingSpec {
    fn canonical(&self) -> String {
        let RoutingSpec { parents, super_parents, candidates, missed, repeat, locations, homes, .. } = self;
        let Messages { interval, len, answer, attempts, .. } = self.messages;
        let moves = self
            .rebalancing
            .map_or("-".to_owned(), |Rebalancing { high_percent, moves_max }| format!("{high_percent} {moves_max}"));
        format!(
            "parents {parents} {super_parents} candidates {candidates} missed {missed} {} locations {locations} homes \
             {homes} rebalancing {moves} messages {} {len} {} {attempts}",
            repeat.as_nanos(),
            interval.as_nanos(),
            answer.as_nanos()
        )
    }

    fn memory(&self, scenario: &Scenario, point: &Point) -> u64 {
        /// What a node below the super nodes remembers, and its timers.
        const MEMBER_BYTES: u64 = 64 + 3 * 24;
        // Cells of a table are a third more than its room.
        const CHILD_BYTES: u64 = 11;
        const FULL_BYTES: u64 = 16;
        const LOCATION_BYTES: u64 = 22;
        let options = self.options(scenario, point);
        let [supers, fulls] =
            [NodeType::SuperNode, NodeType::FullNode].map(|tier| u64::from(point.population.count(tier)));
        let above = u64::from(options.fulls_max) * FULL_BYTES + u64::from(options.locations_max) * LOCATION_BYTES;
        u64::from(point.population.total()) * MEMBER_BYTES
            + fulls * u64::from(options.children_max) * CHILD_BYTES
            + supers * above
    }

    fn events(&self, scenario: &Scenario, point: &Point, on: &Conditions) -> f64 {
        let adaptive = AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval };
        let arrives = 1.0 - on.lost;
        let [parents, above, attempts] = [self.parents, self.super_parents, self.messages.attempts].map(f64::from);
        let located = f64::from(self.locations.min(self.parents)) * f64::from(self.homes);
        let beats = |tier: NodeType| on.alive(point, tier) * on.times(adaptive.calculate_interval(tier));
        let (light, full) = (NodeType::LightNode, NodeType::FullNode);
        // The timers of a heartbeat and of the look for its acknowledgement; both, and who is found where is passed on.
        let leaves = (beats(light) + beats(NodeType::MobileNode)) * (2.0 + (2.0 * parents + located) * arrives);
        let kept = beats(full) * (2.0 + 2.0 * above * arrives) + beats(NodeType::SuperNode);
        // A parent that is found is asked, accepts, has a timer, and is told its rank, which it acknowledges and passes on.
        // They are looked for at the start, by who returns, and in place of those that went.
        let count = |tier: NodeType| f64::from(point.population.count(tier));
        let looks = |tier: NodeType| on.alive(point, tier) + on.returns[tier as usize];
        let gone = on.departures[full as usize] / count(full).max(1.0);
        let searched = (looks(light) + looks(NodeType::MobileNode)) * (1.0 + gone);
        let attached = searched * (3.0 * parents + 3.0 * located) + looks(full) * 3.0 * above;
        // Up to a super node and down again, and the receipt back. Who is away gets all attempts, which fail at the top and
        // are told so.
        let messages = on.alive(point, light) * renewals(point.measure.as_secs_f64(), self.messages.interval);
        let up = on.up[light as usize] * arrives;
        let each = 1.0 + up * (1.0 + 7.0 * arrives) + (1.0 - up) * attempts * (1.0 + 5.0 * arrives);
        leaves + kept + attached + messages * each
    }

    fn kinds(&self) -> usize {
        14
    }

    fn messages_per_second(&self, scenario: &Scenario, point: &Point) -> f64 {
        let adaptive = AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval };
        let rate = |tier| f64::from(point.population.count(tier)) / adaptive.calculate_interval(tier).as_secs_f64();
        let leaves = rate(NodeType::LightNode) + rate(NodeType::MobileNode);
        let located = f64::from(self.locations) * f64::from(self.homes);
        let kept = leaves * (2.0 * f64::from(self.parents) + located)
            + rate(NodeType::FullNode) * 2.0 * f64::from(self.super_parents);
        // Four hops to the receiver, three back.
        let lights = f64::from(point.population.count(NodeType::LightNode));
        kept + 7.0 * lights / self.messages.interval.as_secs_f64()
    }

    fn chooses_peers(&self) -> bool {
        true
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let router = self.protocol(job, job.point);
        let end = job.settings.end;
        let own = |outcome: &Ran<HierarchicalRouter>| routed(&router, &states_of(outcome), &outcome.lives, end);
        job.run_summed("router", &router, router.bytes(), own, |outcome, found| Found {
            figures: self.figures(&router, &found, &outcome.lives, end),
            ..Found::default()
        })
    }
}

/// What became of messages and parents, how many parents the nodes of each type have that are up at the end, and the children
/// of full nodes, those of super nodes, and their locations.
pub(super) type Routed = (RouterFigures, ParentsHad, Children);
type ParentsHad = (Values, Values, Values, Values);
type Children = (Values, Values, Values);

/// What nodes of `router` came by whose partitions ended at `end` with `states`, and which had such `lives`.
pub(super) fn routed(
    router: &HierarchicalRouter,
    states: &[(Nodes, &RouterState)],
    lives: &[LifeEvent],
    end: SimTime,
) -> Routed {
    let mut all = RouterFigures::default();
    let away = Away::of(router.population(), lives, end);
    let is_up = |node| !away.down.contains(&node);
    states.iter().for_each(|(_, state)| all.merge(&state.figures_at(end, is_up)));
    let of = |node_type: NodeType, is_up_alone: bool, count: &dyn Fn(&RouterState, usize) -> usize| -> Values {
        let of_states = states.iter().flat_map(|(nodes, state)| {
            let own = nodes.iter().filter(move |here| here.node_type == node_type);
            own.filter(|here| !is_up_alone || is_up(here.id)).map(|here| count(state, here.index) as u64)
        });
        of_states.collect()
    };
    let parents = |node_type| of(node_type, true, &|state, index| state.parents(index).len());
    let [supers, fulls, lights, mobiles] = NodeType::ALL.map(parents);
    // Who is down has children only in its memory.
    let children = |node_type, is_up_alone| of(node_type, is_up_alone, &|state, index| state.children(index).len());
    let locations = of(NodeType::SuperNode, false, &|state, index| state.locations(index) as usize);
    let children = (children(NodeType::FullNode, true), children(NodeType::SuperNode, false), locations);
    (all, (supers, fulls, lights, mobiles), children)
}

/// Who was away, and for how long.
struct Away {
    /// Those who are when the run ends.
    down: std::collections::BTreeSet<NodeId>,
    /// Nanoseconds of all nodes of a type together.
    nanos: [u128; 4],
}

impl Away {
    /// `lives` are in the order of time.
    fn of(population: Population, lives: &[LifeEvent], end: SimTime) -> Self {
        let mut since = std::collections::BTreeMap::new();
        let mut nanos = [0; 4];
        for life in lives {
            if life.turn != Turn::Joined {
                since.entry(life.node).or_insert(life.time);
            } else if let Some(left) = since.remove(&life.node) {
                nanos[population.type_of(life.node) as usize] += u128::from(life.time.since(left).as_nanos());
            }
        }
        for (&node, &left) in &since {
            nanos[population.type_of(node) as usize] += u128::from(end.since(left).as_nanos());
        }
        Away { down: since.into_keys().collect(), nanos }
    }
}

fn millis(span: Option<SimSpan>) -> Option<f64> {
    span.map(|span| span.as_nanos() as f64 / 1e6)
}

fn add_quantiles(figures: &mut Figures, subject: &'static str, names: [&'static str; 3], spans: &Spans) {
    for (name, percent) in names.into_iter().zip([50, 99, 100]) {
        figures.add(subject, name, "ms", millis(spans.quantile(percent)));
    }
}

/// How nodes came by their parents, and how long they were without. Over the whole run.
fn attachment((all, parents, _): &Routed, away: &Away, population: Population, end: SimTime) -> Figures {
    let mut figures = Figures::new("attachment");
    let parents = [&parents.0, &parents.1, &parents.2, &parents.3];
    for node_type in [NodeType::FullNode, NodeType::LightNode, NodeType::MobileNode] {
        let population = population.count(node_type);
        if population == 0 {
            continue;
        }
        let (subject, of) = (node_type.name(), &all.attach[node_type as usize]);
        let (up, without) = (parents[node_type as usize].count(), parents[node_type as usize].count_of(0));
        let run = u128::from(end.as_nanos()) * u128::from(population);
        let up_nanos = run.saturating_sub(away.nanos[node_type as usize]);
        let share = |nanos: u128| (up_nanos > 0).then(|| nanos as f64 / up_nanos as f64);
        figures.add(subject, "up-at-end", "1", up as f64);
        figures.add(subject, "orphaned-at-end", "1", without as f64);
        figures.add(subject, "join-p50", "ms", millis(of.joined.quantile(50)));
        figures.add(subject, "join-p99", "ms", millis(of.joined.quantile(99)));
        figures.add(subject, "failovers", "1", of.failovers as f64);
        figures.add(subject, "dismissed", "1", of.dismissed as f64);
        figures.add(subject, "requests", "1", of.requests as f64);
        figures.add(subject, "requests-refused", "1", of.refused as f64);
        figures.add(subject, "requests-late", "1", of.timeouts as f64);
        figures.add(subject, "pauses", "1", of.pauses as f64);
        figures.add(subject, "moved", "1", of.moved as f64);
        figures.add(subject, "orphaned", "1", of.orphaned.count() as f64);
        add_quantiles(&mut figures, subject, ["orphaned-p50", "orphaned-p99", "orphaned-max"], &of.orphaned);
        figures.add(subject, "orphaned-time", "share", share(of.orphaned_nanos));
        add_quantiles(&mut figures, subject, ["unserved-p50", "unserved-p99", "unserved-max"], &of.unserved);
        figures.add(subject, "unserved-time", "share", share(of.unserved_nanos));
    }
    figures.add("all", "messages-rejected", "1", all.rejected as f64);
    figures
}

/// What became of messages between light nodes. Over the whole run; those that are under way at its end have neither
/// arrived nor failed.
fn routing(all: &RouterFigures, messages: Messages) -> Figures {
    let mut figures = Figures::new("routing");
    let subject = "light";
    let ended = (all.confirmed + all.failures()) as f64;
    let share = |count: u64| (ended > 0.0).then(|| count as f64 / ended);
    figures.add(subject, "sent", "1", all.sent as f64);
    figures.add(subject, "confirmed", "share", share(all.confirmed));
    let causes = ["failed-orphaned", "failed-unknown", "failed-stale", "failed-unanswered"];
    for (name, cause) in causes.into_iter().zip(Cause::ALL) {
        figures.add(subject, name, "share", share(all.failed[cause as usize]));
    }
    figures.add(subject, "aborted", "1", all.aborted as f64);
    figures.add(subject, "retries-mean", "1", (all.sent > 0).then(|| all.retries as f64 / all.sent as f64));
    figures.add(subject, "repeated", "1", all.repeated as f64);
    figures.add(subject, "hops-mean", "1", all.hops.mean());
    figures.add(subject, "hops-max", "1", all.hops.quantile(100).map(|hops| hops as f64));
    add_quantiles(&mut figures, subject, ["delay-p50", "delay-p99", "delay-max"], &all.latency);
    add_quantiles(&mut figures, subject, ["receipt-p50", "receipt-p99", "receipt-max"], &all.round_trip);
    let head = wire::HEAD_LEN + wire::WAY_LEN + 2;
    figures.add(subject, "size", "B", (head + usize::from(messages.len)) as f64);
    let delivered = all.hops.count() as f64;
    let hops = all.hops.counts().iter().enumerate().filter(|&(_, &count)| count > 0);
    let points = hops.map(|(hops, &count)| [hops as f64, count as f64 / delivered]).collect();
    figures.curves.push(Curve { subject, name: "messages-by-hops", units: ["hops", "share"], points });
    figures
}

/// How children and locations are spread when the run ends, and children over time.
fn children((all, _, (fulls, supers, locations)): &Routed, sample: SimSpan) -> Figures {
    let mut figures = Figures::new("children");
    let (of_fulls, of_supers) = (fulls.spread(), supers.spread());
    for (subject, spread) in [("full", of_fulls), ("super", of_supers)] {
        figures.add(subject, "children-mean", "1", spread.map(|spread| spread.mean));
        if subject == "full" {
            figures.claimed("QN-16");
        }
        figures.add(subject, "children-p99", "1", spread.map(|spread| spread.p99 as f64));
        figures.add(subject, "children-max", "1", spread.map(|spread| spread.max as f64));
        let uneven = spread.filter(|spread| spread.mean > 0.0).map(|spread| spread.max as f64 / spread.mean);
        figures.add(subject, "children-max-to-mean", "1", uneven);
    }
    let of_homes = locations.spread();
    figures.add("super", "locations-mean", "1", of_homes.map(|spread| spread.mean));
    figures.add("super", "locations-max", "1", of_homes.map(|spread| spread.max as f64));
    figures.add("super", "locations-refused", "1", all.unregistrable as f64);
    figures.add("super", "locations-lapsed", "1", all.lapsed as f64);
    figures.add("super", "digests", "1", all.digests as f64);
    figures.add("full", "children-expired", "1", all.expired as f64);
    figures.add("full", "asked-to-move", "1", all.asked_to_move as f64);
    let slots = || all.loads().iter().enumerate().filter(|(_, loads)| loads.count() > 0);
    let time = |slot: usize| sample.as_secs_f64() * slot as f64;
    let curve = |name, points| Curve { subject: "full", name, units: ["s", "1"], points };
    let mean = slots().filter_map(|(slot, loads)| Some([time(slot), loads.mean()?])).collect();
    let p99 = slots().filter_map(|(slot, loads)| Some([time(slot), f64::from(loads.quantile(99)?)])).collect();
    let max = slots().filter_map(|(slot, loads)| Some([time(slot), f64::from(loads.max()?)])).collect();
    let curves = [("children-mean-over-time", mean), ("children-p99-over-time", p99), ("children-max-over-time", max)];
    figures.curves.extend(curves.map(|(name, points)| curve(name, points)));
    figures
}
