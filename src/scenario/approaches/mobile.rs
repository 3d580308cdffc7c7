//! The approach `mobile`: what it takes mobile nodes' batteries to say that they live, and what it costs to spare them.

use super::super::build::{Found, Job, Judging, Ran, RunError, clustering};
use super::super::options::span;
use super::super::plan::events::Conditions;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{Kind, Mechanism, Spec, Variant, states_of, words};
use crate::contract::{NodeType, Nodes, Population, SimSpan, SimTime};
use crate::metrics::{Figures, PointResult};
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::detector::Detector;
use crate::protocols::mobile::battery::Battery;
use crate::protocols::mobile::figures::MobileFigures;
use crate::protocols::mobile::policy::WakePolicy;
use crate::protocols::mobile::radio::RadioModel;
use crate::protocols::mobile::{Mobile, MobileOptions, MobileState, PARENTS_MAX};
use crate::topologies::{Notes, TierDegrees};

/// Spans between things that happen to a node.
const INTERVAL: [SimSpan; 2] = [SimSpan::from_secs(1), SimSpan::from_secs(30 * 86_400)];
const POLICIES: [&str; 4] = ["ping", "adaptive", "piggyback", "push"];

pub(super) const KIND: Kind = Kind {
    name: "mobile",
    keys: &[
        "warmup",
        "measure",
        "policy",
        "ping",
        "silence",
        "check",
        "parents",
        "look",
        "missed",
        "transactions",
        "transaction_size",
        "news",
        "news_size",
        "battery_wh",
        "baseline_mw",
    ],
    is_tiered: true,
    read,
};

/// When mobile nodes wake their radios, and what their batteries hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MobileSpec {
    /// What nodes and parents do. The base of the adaptive interval and the padding are those of the scenario.
    pub options: MobileOptions,
    /// Full parents of a mobile node, 1 to 16.
    pub parents: u32,
    /// From 1 Wh to 1000 Wh, and up to 100 W.
    pub battery: Battery,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let policies = words(reader, own, "policy", "a policy", &POLICIES, &[0, 1, 2, 3]);
    let mut time = |key, default| span(reader, own, key, SimSpan::from_secs(default), INTERVAL);
    let (ping, silence, check) = (time("ping", 30), time("silence", 3_600), time("check", 3_600));
    let look = time("look", 30);
    let look_at = look.at.or(check.at);
    let (transactions, news) = (time("transactions", 4 * 3_600), time("news", 4 * 3_600));
    let mut size = |key, default| reader.field(own, key, default, |reader, value| reader.size(value, 1, 60_000)).value;
    let (transaction_len, news_len) = (size("transaction_size", 250), size("news_size", 100));
    let mut count = |key, default, min, max| {
        reader.field(own, key, default, |reader, value| reader.count_u32(value, min, max)).value
    };
    let (parents, missed) = (count("parents", 1, 1, PARENTS_MAX as u32), count("missed", 2, 1, 100));
    let battery_wh = count("battery_wh", Battery::PHONE.capacity_mwh / 1_000, 1, 1_000);
    let baseline_mw = count("baseline_mw", Battery::PHONE.baseline_mw, 0, 100_000);
    if let (Some(look), Some(check)) = (look.value, check.value)
        && look > check
    {
        reader.lacks(look_at, "parents look around more rarely than they check", "write look <= check");
        return None;
    }
    let battery = Battery { capacity_mwh: battery_wh? * 1_000, baseline_mw: baseline_mw? };
    let (ping, silence, check) = (ping.value?, silence.value?, check.value?);
    let options = MobileOptions {
        look: look.value?,
        detector: Detector::Timeout { missed: missed? },
        transactions: Some(transactions.value?),
        news: Some(news.value?),
        transaction_len: transaction_len? as u16,
        news_len: news_len? as u16,
        ..MobileOptions::new(WakePolicy::PING)
    };
    let (parents, policies) = (parents?, policies?);
    let variant = |&policy: &usize| {
        let name = POLICIES[policy];
        let policy = match name {
            "ping" => WakePolicy::Ping { interval: ping },
            "adaptive" => WakePolicy::ADAPTIVE,
            "piggyback" => WakePolicy::Piggyback { silence },
            _ => WakePolicy::Push { check },
        };
        let suffix = if policies.len() > 1 { format!(" {name}") } else { String::new() };
        let spec = MobileSpec { options: MobileOptions { policy, ..options }, parents, battery };
        Variant { suffix, mechanism: Mechanism::Mobile(spec) }
    };
    Some(policies.iter().map(variant).collect())
}

impl MobileSpec {
    fn options(&self, scenario: &Scenario) -> MobileOptions {
        let policy = match self.options.policy {
            WakePolicy::Adaptive { .. } => {
                WakePolicy::Adaptive { heartbeat: AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval } }
            }
            other => other,
        };
        MobileOptions { policy, size: scenario.heartbeat.size, header: scenario.network.header, ..self.options }
    }

    /// Mobile nodes and their parents.
    pub(super) fn protocol(&self, job: &Job<'_>) -> Mobile {
        let (population, seed) = (job.point.population, job.scenario.seed);
        let near = clustering(&job.scenario.network.latency, seed, job.point.nearby);
        let degrees = TierDegrees { full_peers: 0, super_parents: 0, light_parents: self.parents, mesh: false };
        let kept = job.kept(Notes { senders: true, types: true, firsts: false });
        let graph = degrees.children_graph(population, kept, seed, near.as_ref(), NodeType::MobileNode);
        Mobile::new(graph, self.options(job.scenario))
    }

    /// What is found of all that mobile nodes spent.
    pub(super) fn figures(&self, all: &MobileFigures) -> Vec<Figures> {
        vec![radio(all, &self.battery), traffic(all)]
    }

    fn links(&self, point: &Point) -> u64 {
        u64::from(point.population.count(NodeType::MobileNode)) * u64::from(self.parents)
    }
}

impl Spec for MobileSpec {
    fn check(&self, reader: &mut Reader, population: Population, at: Place) {
        if population.count(NodeType::MobileNode) == 0 {
            reader.report(Draft::new(at, "there are 0 mobile nodes", "write mobile = 1 or more under [tiers]"));
        }
    }

    fn canonical(&self) -> String {
        let MobileSpec { options, parents, battery } = self;
        let policy = format!("{} {}", options.policy.name(), options.policy.interval().as_nanos());
        let spans = [Some(options.look), options.transactions, options.news];
        let spans = spans.map(|span| span.map_or(0, SimSpan::as_nanos).to_string()).join(" ");
        let Detector::Timeout { missed } = options.detector else { return format!("{self:?}") };
        format!(
            "{policy} {spans} missed {missed} sizes {} {} parents {parents} battery {} {}",
            options.transaction_len, options.news_len, battery.capacity_mwh, battery.baseline_mw
        )
    }

    fn memory(&self, _: &Scenario, point: &Point) -> u64 {
        /// What a node remembers, and two timers.
        const PHONE_BYTES: u64 = 32 + 2 * 24;
        // A link at both ends, what a parent and a node remember of it.
        const LINK_BYTES: u64 = 8 + 4 + 4 + 8 + 2;
        const PARENT_BYTES: u64 = 20 + 2 * 24;
        let fulls = u64::from(point.population.range(NodeType::FullNode).end);
        u64::from(point.population.count(NodeType::MobileNode)) * PHONE_BYTES
            + self.links(point) * LINK_BYTES
            + fulls * PARENT_BYTES
    }

    fn has_links(&self) -> bool {
        true
    }

    fn events(&self, scenario: &Scenario, point: &Point, on: &Conditions) -> f64 {
        let options = self.options(scenario);
        let arrives = 1.0 - on.lost;
        let mobiles = on.alive(point, NodeType::MobileNode);
        let parents = f64::from(self.parents);
        let often = |span: Option<SimSpan>| span.map_or(0.0, |span| on.times(span));
        let (transactions, news) = (often(options.transactions), often(options.news));
        let beats = on.times(options.policy.interval());
        // A silence of a span follows on what is sent at a rate with a chance of e^-x, and lasts (1 - e^-x) / rate, where x
        // is the rate times the span: so e^-x / (1 - e^-x) heartbeats follow on each that is sent.
        let silences = |sent: f64| {
            let expected = sent / beats;
            if expected > 0.0 { sent / libm::expm1(expected) } else { beats }
        };
        // Heartbeats to all parents, their timers, checks that are pushed and wait for the radio.
        let (heartbeats, timers, checks) = match options.policy {
            WakePolicy::Ping { .. } | WakePolicy::Adaptive { .. } => (beats, beats, 0.0),
            WakePolicy::Piggyback { .. } => {
                let alone = silences(transactions);
                (alone + transactions * (parents - 1.0) / parents, alone + transactions, 0.0)
            }
            WakePolicy::Push { .. } => {
                let alone = silences(transactions + news);
                (alone + transactions * (parents - 1.0) / parents, alone, alone)
            }
        };
        // A transaction has a timer; news have one, a notice, a confirmation, and wait for the radio as often as not.
        let of_mobile = heartbeats * parents * arrives
            + timers
            + checks * arrives
            + transactions * (1.0 + arrives)
            + news * (1.5 + 2.0 * arrives);
        let fulls = on.alive(point, NodeType::FullNode);
        let with_children = fulls * (1.0 - libm::exp(-(self.links(point) as f64) / fulls.max(1.0)));
        mobiles * of_mobile + with_children * on.times(options.look)
    }

    fn kinds(&self) -> usize {
        6
    }

    fn messages_per_second(&self, scenario: &Scenario, point: &Point) -> f64 {
        let options = self.options(scenario);
        let rate = |span: Option<SimSpan>| span.map_or(0.0, |span| 1.0 / span.as_secs_f64());
        let links = self.links(point) as f64;
        let asked = if matches!(options.policy, WakePolicy::Push { .. }) { 2.0 } else { 1.0 };
        let mobiles = f64::from(point.population.count(NodeType::MobileNode));
        links * (asked * rate(Some(options.policy.interval())) + rate(options.transactions))
            + mobiles * 2.0 * rate(options.news)
    }

    fn judging(&self, scenario: &Scenario, _: &Point) -> Option<Judging> {
        let options = self.options(scenario);
        // An interval more than it takes, the moment of the failure and that of the look included.
        let patience = options.policy.interval() * (u64::from(options.detector.intervals()) + 1);
        Some(Judging { detector: "timeout", patience: [patience; 4] })
    }

    fn chooses_peers(&self) -> bool {
        true
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let mobile = self.protocol(job);
        let own = |outcome: &Ran<Mobile>| spent(&mobile, &states_of(outcome), job.settings.end);
        job.run_summed("mobile", &mobile, mobile.bytes(), own, |_, all| Found {
            figures: self.figures(&all),
            ..Found::default()
        })
    }
}

/// What the mobile nodes of `mobile` spent whose partitions ended at `end` with `states`.
pub(super) fn spent(mobile: &Mobile, states: &[(Nodes, &MobileState)], end: SimTime) -> MobileFigures {
    let mut all = MobileFigures::default();
    states.iter().for_each(|(_, state)| all.merge(&mobile.figures(state, end)));
    all
}

/// What radios take, and how long batteries last. Over the whole run.
fn radio(all: &MobileFigures, battery: &Battery) -> Figures {
    let mut figures = Figures::new("battery");
    let mean = all.mean_mw();
    figures.add("mobile", "nodes", "1", all.nodes as f64);
    figures.add("mobile", "wakes-a-day", "1", all.wakes_per_day());
    figures.add("mobile", "radio-energy-a-day", "J", all.joules_per_day());
    figures.add("mobile", "radio-power-mean", "mW", mean);
    figures.add("mobile", "radio-power-p99", "mW", all.powers.quantile(99));
    figures.add("mobile", "life-of-radio-alone", "h", battery.radio_life(mean));
    figures.add("mobile", "life-of-phone", "h", battery.phone_life(mean));
    // Against a radio that pings every 30 s and does nothing else, as the documents' present design has it.
    let pinging = RadioModel::LTE.average_mw(WakePolicy::PING.interval());
    figures.add("mobile", "life-of-radio-by-pinging", "ratio", battery.radio_life(mean) / battery.radio_life(pinging));
    figures.claimed("QN-52");
    figures.add("mobile", "life-of-phone-by-pinging", "ratio", battery.phone_life(mean) / battery.phone_life(pinging));
    figures.claimed("QN-52");
    figures
}

/// What travels between mobile nodes and their parents. Over the whole run.
fn traffic(all: &MobileFigures) -> Figures {
    let mut figures = Figures::new("messages of mobile nodes");
    let counts = &all.counts;
    let per_day = [
        ("heartbeats-a-day", counts.heartbeats),
        ("heartbeats-on-transactions-a-day", counts.piggybacked),
        ("transactions-a-day", counts.transactions),
        ("checks-pushed-a-day", counts.checks),
        ("notices-a-day", counts.notices),
    ];
    for (name, count) in per_day {
        figures.add("mobile", name, "1", all.per_day(count));
    }
    figures.add("mobile", "news", "1", counts.news as f64);
    figures.add("mobile", "news-confirmed", "share", {
        (counts.news > 0).then(|| counts.delivered as f64 / counts.news as f64)
    });
    for (name, percent) in [("news-delay-p50", 50), ("news-delay-p99", 99)] {
        figures.add("mobile", name, "s", counts.delay.quantile(percent).map(SimSpan::as_secs_f64));
    }
    figures.add("mobile", "messages-rejected", "1", counts.rejected as f64);
    figures
}
