//! How many events a run has: deliveries, timers, and nodes that come or go; from rates, fan-outs and faults.

use super::super::build::method;
use super::super::{Approach, LatencySpec, Point, Scenario};
use super::{faults, verdicts};
use crate::contract::{NodeType, SimSpan, SimTime};
use crate::engine::Jitter;
use crate::engine::faults::NodeSet;
use crate::metrics::Method;
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::swim::SwimTiming;

/// What a run of a point is like for those who send and receive in it.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct Conditions {
    /// Length of the run, in seconds.
    pub(in crate::scenario) run: f64,
    /// Share of the run in which a node of each type is up, on average.
    pub(in crate::scenario) up: [f64; 4],
    /// Share of the messages that are lost on their way.
    pub(in crate::scenario) lost: f64,
    /// How long a message takes on average, in seconds.
    pub(in crate::scenario) delay: f64,
    /// How often nodes of each type go, for whatever reason.
    pub(in crate::scenario) departures: [f64; 4],
    /// How often they go in good order.
    pub(in crate::scenario) leaves: [f64; 4],
    /// How often they come back.
    pub(in crate::scenario) returns: [f64; 4],
}

impl Conditions {
    /// Those of a run of `point`.
    pub(in crate::scenario) fn of(scenario: &Scenario, point: &Point) -> Self {
        let run = (point.warmup + point.measure).as_secs_f64();
        let delay = mean_delay(&scenario.network.latency);
        let zero = [0.0; 4];
        let lost = lost(scenario, point);
        let mut on = Conditions { run, up: [1.0; 4], lost, delay, departures: zero, leaves: zero, returns: zero };
        for churn in &scenario.faults.schedule.churns {
            let (session, absence) = (churn.session.mean(), churn.absence.mean());
            let cycles = run / (session + absence);
            on.add(
                scenario,
                point,
                &churn.nodes,
                [cycles, cycles * churn.graceful, cycles],
                absence / (session + absence),
            );
        }
        let end = SimTime::ZERO + point.warmup + point.measure;
        for outage in scenario.faults.schedule.outages.iter().filter(|outage| outage.from < end) {
            let until = outage.until.filter(|&until| until < end);
            let away = until.unwrap_or(end).since(outage.from).as_secs_f64() / run;
            let leaves = f64::from(u8::from(outage.graceful));
            let returns = f64::from(u8::from(until.is_some()));
            on.add(scenario, point, &outage.nodes, [1.0, leaves, returns], away);
        }
        on
    }

    /// The nodes of `set` go so often, in good order so often, come back so often, and are `away` for a share of the run.
    fn add(&mut self, scenario: &Scenario, point: &Point, set: &NodeSet, turns: [f64; 3], away: f64) {
        let sizes = faults::by_type(set, &scenario.network, point);
        for node_type in NodeType::ALL {
            let (index, size) = (node_type as usize, sizes[node_type as usize]);
            let share = size / f64::from(point.population.count(node_type).max(1));
            self.up[index] *= 1.0 - share * away;
            self.departures[index] += size * turns[0];
            self.leaves[index] += size * turns[1];
            self.returns[index] += size * turns[2];
        }
    }

    /// How many nodes of a type of `point` are up, on average.
    pub(in crate::scenario) fn alive(&self, point: &Point, node_type: NodeType) -> f64 {
        f64::from(point.population.count(node_type)) * self.up[node_type as usize]
    }

    /// The chance that a message to a node of a type is received.
    pub(in crate::scenario) fn heard(&self, node_type: NodeType) -> f64 {
        (1.0 - self.lost) * self.up[node_type as usize]
    }

    /// How often in the run something happens that happens every `span`.
    pub(in crate::scenario) fn times(&self, span: SimSpan) -> f64 {
        self.run / span.as_secs_f64()
    }
}

/// The mean delay between two random nodes, in seconds.
pub(super) fn mean_delay(latency: &LatencySpec) -> f64 {
    match latency {
        LatencySpec::Constant { delay } => delay.as_secs_f64(),
        LatencySpec::Uniform { min, max } => (min.as_secs_f64() + max.as_secs_f64()) / 2.0,
        LatencySpec::Lognormal { min, median, sigma } => {
            let least = min.as_secs_f64();
            least + (median.as_secs_f64() - least) * libm::exp(sigma * sigma / 2.0)
        }
        LatencySpec::Pareto { min, shape } => min.as_secs_f64() * shape / (shape - 1.0),
        LatencySpec::Regions { table, shares, jitter } => {
            let pairs = shares.iter().enumerate().flat_map(|(from, a)| {
                shares.iter().enumerate().map(move |(to, b)| a * b * table.one_way(from, to).as_secs_f64())
            });
            let jitter = match jitter {
                Jitter::None | Jitter::Pareto { .. } => 1.0,
                Jitter::Uniform { share } => 1.0 + share / 2.0,
                Jitter::Lognormal { median, sigma } => 1.0 + median * libm::exp(sigma * sigma / 2.0),
            };
            pairs.sum::<f64>() * jitter
        }
    }
}

/// How often something has happened in `time` seconds whose next time is uniform up to twice the `mean`: the renewal
/// function of that distribution, exact up to twice the mean, and its asymptote after that.
pub(in crate::scenario) fn renewals(time: f64, mean: SimSpan) -> f64 {
    let means = time.max(0.0) / mean.as_secs_f64();
    if means < 2.0 { libm::exp(means / 2.0) - 1.0 } else { means - 1.0 / 3.0 }
}

/// The share of the nodes that a rumour reaches which each tells to `fanout` others, once: the fixed point of infect and die.
pub(in crate::scenario) fn reach(fanout: f64) -> f64 {
    (0..64).fold(1.0, |share: f64, _| 1.0 - libm::exp(-fanout * share))
}

/// How many events a run of `point` has, about.
pub(super) fn expected(scenario: &Scenario, point: &Point) -> f64 {
    let on = Conditions::of(scenario, point);
    let turns: f64 = on.departures.iter().chain(&on.returns).sum();
    let interval = scenario.heartbeat.interval;
    let of_approach = match point.approach {
        Approach::FullMesh { .. } if method(point) == Method::Counted => {
            f64::from(point.population.total()) * on.times(interval)
        }
        Approach::FullMesh { .. } => flat(point, &on, interval, f64::from(point.population.total()) - 1.0),
        Approach::Ping => flat(point, &on, interval, 1.0),
        Approach::FlatGossip { fanout } => flat(point, &on, interval, f64::from(fanout)),
        Approach::Hierarchical(_) | Approach::Gossip { .. } => tiers(scenario, point, &on),
        Approach::Sampled { trackers, rates, .. } => {
            let trackers = f64::from(trackers);
            let adaptive = AdaptiveHeartbeat { base_interval: interval };
            let senders = NodeType::ALL.map(|node_type| {
                let beats = on.alive(point, node_type) * on.times(adaptive.calculate_interval(node_type));
                let arrive = trackers * on.heard(NodeType::SuperNode);
                rates.largest() * (beats * (1.0 + arrive) + on.leaves[node_type as usize] * arrive)
            });
            senders.iter().sum::<f64>() + trackers * on.times(interval)
        }
        Approach::Swim(timing) => swim(scenario, point, &on, timing),
        Approach::Mechanism(mechanism) => mechanism.spec().events(scenario, point, &on),
    };
    of_approach + turns
}

/// Every node sends to `degree` others at every interval, and tells them when it leaves.
fn flat(point: &Point, on: &Conditions, interval: SimSpan, degree: f64) -> f64 {
    let full = NodeType::FullNode;
    let arrive = degree * on.heard(full);
    on.alive(point, full) * on.times(interval) * (1.0 + arrive) + on.leaves[full as usize] * arrive
}

/// Every node sends along its links at the interval of its type; where tiers gossip, a rumour comes to all of a tier.
fn tiers(scenario: &Scenario, point: &Point, on: &Conditions) -> f64 {
    let count = |node_type| f64::from(point.population.count(node_type));
    let (supers, fulls) = (count(NodeType::SuperNode), count(NodeType::FullNode));
    let (links, within) = match point.approach {
        Approach::Hierarchical(links) => (links, [supers - 1.0, f64::from(links.full_peers).min(fulls - 1.0)]),
        Approach::Gossip { links, fanout, .. } => {
            (links, [NodeType::SuperNode, NodeType::FullNode].map(|tier| rumour(scenario, point, on, tier, fanout)))
        }
        _ => return 0.0,
    };
    let adaptive = AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval };
    let (above, below) = (f64::from(links.super_parents), f64::from(links.light_parents));
    let of_type = |node_type: NodeType| {
        let [to_super, to_full] = [NodeType::SuperNode, NodeType::FullNode].map(|to| on.heard(to));
        let arrive = match node_type {
            NodeType::SuperNode => within[0].max(0.0) * to_super,
            NodeType::FullNode => within[1].max(0.0) * to_full + above * to_super,
            NodeType::LightNode | NodeType::MobileNode => below * to_full,
        };
        let beats = on.alive(point, node_type) * on.times(adaptive.calculate_interval(node_type));
        beats * (1.0 + arrive) + on.leaves[node_type as usize] * arrive
    };
    NodeType::ALL.map(of_type).iter().sum()
}

/// How many messages a rumour makes in `tier`, where every node that it reaches passes it on to `fanout` others. Where all
/// links are near, it stays in its region, unless that has too few nodes for them.
fn rumour(scenario: &Scenario, point: &Point, on: &Conditions, tier: NodeType, fanout: u32) -> f64 {
    let members = on.alive(point, tier);
    let fanout = f64::from(fanout).min(members - 1.0).max(0.0);
    let near = point.nearby.map_or(0.0, |share| libm::round(share * fanout));
    let members = match &scenario.network.latency {
        LatencySpec::Regions { shares, .. } if near >= fanout => {
            let reached = |&share: &f64| if share * members > fanout { share * members } else { members };
            shares.iter().map(|share| share * reached(share)).sum()
        }
        _ => members,
    };
    members * reach(fanout * on.heard(tier)) * fanout
}

/// A ping and its ack in each period, and two timers; where that fails, others try; and a suspicion has a timer at
/// everybody.
fn swim(scenario: &Scenario, point: &Point, on: &Conditions, timing: SwimTiming) -> f64 {
    let nodes: f64 = NodeType::ALL.map(|node_type| on.alive(point, node_type)).iter().sum();
    let arrives = 1.0 - on.lost;
    // A ping and its ack; ping request, ping, ack, and the ack that is passed on.
    let direct = arrives + arrives * arrives;
    let indirect =
        f64::from(timing.indirect_probes) * (1..=4).map(|steps| libm::pow(arrives, f64::from(steps))).sum::<f64>();
    let fails = 1.0 - arrives * arrives;
    let suspicions = on.departures.iter().sum::<f64>() - on.leaves.iter().sum::<f64>()
        + verdicts::suspicions(scenario, point, timing);
    nodes * (on.times(timing.period) * (2.0 + direct + fails * indirect) + suspicions)
}

/// Share of the messages between any two nodes that are lost, over the run.
fn lost(scenario: &Scenario, point: &Point) -> f64 {
    let run = (point.warmup + point.measure).as_secs_f64();
    let end = SimTime::ZERO + point.warmup + point.measure;
    let losses = verdicts::with_losses(scenario, point, |loss| loss);
    let partitions = scenario.faults.disturbances.partitions.iter().map(|(during, set)| {
        let side = verdicts::share(scenario, point, set);
        let lasts = during.end.min(end).since(during.start.min(end)).as_secs_f64() / run;
        2.0 * side * (1.0 - side) * lasts
    });
    (losses + partitions.sum::<f64>()).min(1.0)
}
