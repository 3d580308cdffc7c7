//! What verdicts take: every change of a node's mind about another is kept for the result.

use super::super::build::{judging, method};
use super::super::{Approach, Point, Scenario};
use super::events::Conditions;
use super::{faults, messages_per_second};
use crate::contract::NodeType;
use crate::engine::faults::NodeSet;
use crate::metrics::{Judgement, Method};
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::detector::Detector;
use crate::protocols::swim::{Swim, SwimTiming, wire};

/// What a verdict takes: its place in a list of its thread, and that in the list which they become. The lists of all
/// threads but one are gone by then, but what they left behind as they grew is not.
const VERDICT_BYTES: f64 = 2.0 * size_of::<Judgement>() as f64;

/// What the verdicts of a run of `point` take, in bytes.
pub(super) fn bytes(scenario: &Scenario, point: &Point) -> u64 {
    // The cast saturates.
    (expected(scenario, point) * VERDICT_BYTES) as u64
}

/// How many verdicts are expected in a run of `point`; zero where nobody judges.
fn expected(scenario: &Scenario, point: &Point) -> f64 {
    match point.approach {
        _ if judging(scenario, point).is_none() => 0.0,
        Approach::Swim(timing) => of_swim(scenario, point, timing),
        _ => of_heartbeats(scenario, point),
    }
}

/// Every member judges every failure twice, suspected and down, and every return once. A suspicion that a lost message
/// caused is refuted, which makes two. Across a partition every member judges those on the other side.
fn of_swim(scenario: &Scenario, point: &Point, timing: SwimTiming) -> f64 {
    let nodes = f64::from(point.population.total());
    let turns = faults::turns(scenario, point);
    let [departures, returns] = [turns.departures, turns.returns].map(|turns| turns.iter().sum::<f64>());
    let refuted = suspicions(scenario, point, timing);
    let verdicts =
        nodes * (2.0 * departures + returns + 2.0 * refuted) + 3.0 * parted(scenario, point, |_| 1.0) * nodes * nodes;
    // No more than messages can carry.
    let run = (point.warmup + point.measure).as_secs_f64();
    verdicts.min(messages_per_second(scenario, point) * run * wire::UPDATES_MAX as f64)
}

/// How often a member of SWIM is suspected though it is up, because messages are lost.
pub(super) fn suspicions(scenario: &Scenario, point: &Point, timing: SwimTiming) -> f64 {
    let probes = f64::from(point.population.total()) * (point.warmup + point.measure).as_secs_f64()
        / timing.period.as_secs_f64();
    // A probe is two messages, an indirect one four.
    let fails = |loss: f64, messages| 1.0 - power(1.0 - loss, messages);
    probes * with_losses(scenario, point, |loss| fails(loss, 2) * power(fails(loss, 4), timing.indirect_probes))
}

/// How many members a member of SWIM is expected to suspect at a time, at most: all that crash together, and of what comes
/// one by one as much as a suspicion lasts for. Each has a timer.
pub(super) fn suspected_at_once(scenario: &Scenario, point: &Point, timing: SwimTiming) -> f64 {
    let departures: f64 = faults::turns(scenario, point).departures.iter().sum();
    let churning = faults::turns_of_churn(scenario, point).departures.iter().sum::<f64>();
    let suspicion = Swim::new(point.population, timing).suspicion().as_secs_f64();
    let lasting = (suspicion / (point.warmup + point.measure).as_secs_f64()).min(1.0);
    let other_side = parted(scenario, point, |_| 1.0) * f64::from(point.population.total());
    (departures - churning) + other_side + (churning + suspicions(scenario, point, timing)) * lasting
}

/// Those who should hear a node judge its failure and its return, and a node that returns judges anew those that it
/// should hear and does not. Lost heartbeats make a verdict and its end, as do partitions.
fn of_heartbeats(scenario: &Scenario, point: &Point) -> f64 {
    let observers = observers(point);
    let (turns, churned) = (faults::turns(scenario, point), faults::turns_of_churn(scenario, point));
    let adaptive = AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval };
    let is_flat = matches!(point.approach, Approach::FullMesh { .. } | Approach::Ping | Approach::FlatGossip { .. });
    let detector = match (scenario.detection, point.approach) {
        (Some(detection), _) => detection.detector,
        (None, Approach::Sampled { missed, .. }) => Detector::Timeout { missed },
        (None, _) => return 0.0,
    };
    let wrong = with_losses(scenario, point, |loss| match detector {
        Detector::Timeout { missed } => power(loss, missed),
        Detector::Phi { .. } => loss,
    });
    let of_type = |node_type: NodeType| {
        let index = node_type as usize;
        let interval = if is_flat { adaptive.base_interval } else { adaptive.calculate_interval(node_type) };
        let beats = (point.warmup + point.measure).as_secs_f64() / interval.as_secs_f64();
        let nodes = f64::from(point.population.count(node_type));
        let outages = turns.departures[index] - churned.departures[index];
        let returns = turns.returns[index] - churned.returns[index];
        let patience = interval.as_secs_f64() * f64::from(detector.intervals());
        // The last heartbeat before a partition came up to an interval before it.
        let parted =
            parted(scenario, point, |lasts| ((lasts - patience) / interval.as_secs_f64() + 1.0).clamp(0.0, 1.0));
        observers[index] * (outages + 2.0 * returns + 2.0 * nodes * (beats * wrong + parted))
            + of_churn(scenario, point, node_type, observers[index], patience)
    };
    NodeType::ALL.map(of_type).iter().sum()
}

/// Who is up when a node goes notices it if it says so, or if it is away for longer than the `patience`, in seconds, and
/// notices its return. An observer that comes back judges anew those that are away, half of whom come back in its session.
fn of_churn(scenario: &Scenario, point: &Point, node_type: NodeType, observers: f64, patience: f64) -> f64 {
    let on = Conditions::of(scenario, point);
    let above =
        if matches!(point.approach, Approach::Sampled { .. }) { NodeType::SuperNode } else { NodeType::FullNode };
    let observer = above as usize;
    let sessions = on.returns[observer] / f64::from(point.population.count(above).max(1));
    let of_churn = scenario.faults.schedule.churns.iter().map(|churn| {
        let nodes = faults::by_type(&churn.nodes, &scenario.network, point)[node_type as usize];
        let (session, absence) = (churn.session.mean(), churn.absence.mean());
        let noticed = churn.graceful + (1.0 - churn.graceful) * libm::exp(-patience / absence);
        let gone = on.run / (session + absence) * on.up[observer] * noticed * 2.0;
        let anew = sessions * absence / (session + absence) * 1.5;
        observers * nodes * (gone + anew)
    });
    of_churn.sum()
}

/// How many nodes should hear a node of each type.
fn observers(point: &Point) -> [f64; 4] {
    let count = |node_type| f64::from(point.population.count(node_type));
    let (supers, fulls) = (count(NodeType::SuperNode), count(NodeType::FullNode));
    match point.approach {
        Approach::FullMesh { .. } if method(point) == Method::Event => [f64::from(point.population.total()); 4],
        Approach::FullMesh { .. } | Approach::Swim(_) | Approach::Mechanism(_) => [0.0; 4],
        Approach::Ping => [1.0; 4],
        Approach::FlatGossip { fanout } => [f64::from(fanout); 4],
        Approach::Hierarchical(links) => {
            let [full, above, lower] = [links.full_peers, links.super_parents, links.light_parents].map(f64::from);
            [supers, full.min(fulls) + above, lower, lower]
        }
        Approach::Gossip { links, track, .. } => {
            let [above, lower] = [links.super_parents, links.light_parents].map(f64::from);
            [supers * track, fulls * track + above, lower, lower]
        }
        Approach::Sampled { trackers, rates, .. } => [f64::from(trackers).min(supers) * rates.largest(); 4],
    }
}

/// What `chance` makes of the loss of the network, and of those that last for a while between some nodes; the mean over
/// the run and over all links.
pub(super) fn with_losses(scenario: &Scenario, point: &Point, chance: impl Fn(f64) -> f64) -> f64 {
    let run = (point.warmup + point.measure).as_secs_f64();
    let losses = &scenario.faults.disturbances.losses;
    losses.iter().fold(chance(scenario.network.loss), |sum, (between, loss)| {
        let during = between.during.end.since(between.during.start).as_secs_f64();
        let links = share(scenario, point, &between.from) * share(scenario, point, &between.to);
        let links = if between.both_ways { (2.0 * links).min(1.0) } else { links };
        sum + chance(*loss) * links * (during / run).min(1.0)
    })
}

/// `base` so many times by itself; with few times, for each is a multiplication.
fn power(base: f64, times: u32) -> f64 {
    (0..times).fold(1.0, |product, _| product * base)
}

/// The share of the nodes that is in `set`.
pub(super) fn share(scenario: &Scenario, point: &Point, set: &NodeSet) -> f64 {
    faults::expected(set, &scenario.network, point) / f64::from(point.population.total())
}

/// The share of all pairs of nodes that partitions part, in either order; each partition counts, as far as it is `noticed`
/// if it lasts for so many seconds.
fn parted(scenario: &Scenario, point: &Point, noticed: impl Fn(f64) -> f64) -> f64 {
    let partitions = scenario.faults.disturbances.partitions.iter();
    partitions.fold(0.0, |sum, (during, set)| {
        let side = share(scenario, point, set);
        sum + 2.0 * side * (1.0 - side) * noticed(during.end.since(during.start).as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;

    const TIERS: &str = "name = \"a\"\nnodes = \"100K\"\nwarmup = \"10s\"\nmeasure = \"90s\"\n\
                         tiers = { super = 100, full = 900, mobile = \"49K\" }\n";

    /// The verdicts that are expected with `approach`, and `lines` in the file.
    #[track_caller]
    fn verdicts(approach: &str, lines: &str) -> f64 {
        let text = format!("{TIERS}approaches = \"{approach}\"\n{lines}");
        let scenario = parse("a.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
        expected(&scenario, &scenario.points[0])
    }

    #[track_caller]
    fn check(approach: &str, lines: &str, count: f64) {
        let found = verdicts(approach, lines);
        assert!((found - count).abs() <= 1e-6 * count, "{approach}: {found} verdicts, not {count}, with\n{lines}");
    }

    /// That three indirect probes fail at a loss of 1 %: 1 - 0.99^4 each.
    const INDIRECT: f64 = 0.039_403_99 * 0.039_403_99 * 0.039_403_99;
    const CRASH: &str = "[[faults.crash]]\nat = \"10s\"\nshare = 0.001\n";

    #[test]
    fn where_nobody_judges_or_nothing_happens_there_are_none() {
        check("hierarchical", CRASH, 0.0);
        check("flat-gossip", "[detection]", 0.0);
        check("swim", "", 0.0);
    }

    #[test]
    fn in_swim_everybody_judges_everything() {
        let n = 100_000.0;
        check("swim", CRASH, n * 2.0 * 100.0);
        check("swim", &format!("{CRASH}until = \"50s\""), n * 3.0 * 100.0);
        check("swim", &format!("{CRASH}until = \"101s\""), n * 2.0 * 100.0);
        // Five cycles of 20 s, of ten nodes.
        let churn = "[[faults.churn]]\nshare = 0.0001\nsession = { model = \"constant\", value = \"15s\" }\n\
                     absence = { model = \"constant\", value = \"5s\" }";
        check("swim", churn, n * 3.0 * 10.0 * 5.0);
    }

    #[test]
    fn losses_make_suspicions_that_are_refuted() {
        let n = 100_000.0;
        // 100 periods of a second; 1 - 0.99^2, and 1 - 0.99^4 three times.
        let fails = 0.0199 * INDIRECT;
        check("swim", "network.loss = 0.01", n * 2.0 * n * 100.0 * fails);
        let loss = "[[faults.loss]]\nstart = \"20s\"\nend = \"45s\"\nloss = 0.01";
        check("swim", loss, n * 2.0 * n * 25.0 * fails);
        // Between a quarter and a half of the nodes, both ways and one way.
        let regions =
            "network.latency = { model = \"regions\", shares = { Tokyo = 0.25, Seoul = 0.5, Mumbai = 0.25 } }\n";
        let between = format!("{regions}{loss}\nfrom = \"Tokyo\"\nto = \"Seoul\"");
        check("swim", &between, n * 2.0 * n * 25.0 * fails * 0.25);
        check("swim", &format!("{between}\nboth_ways = false"), n * 2.0 * n * 25.0 * fails * 0.125);
        // No more than 2 n messages a second carry.
        check("swim", "network.loss = 0.9", 2.0 * n * 100.0 * wire::UPDATES_MAX as f64);
    }

    #[test]
    fn crashes_are_suspected_together_and_the_rest_one_by_one() {
        let at_once = |lines: &str| {
            let text = format!("{TIERS}approaches = \"swim\"\n{lines}");
            let scenario = parse("a.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
            let Approach::Swim(timing) = scenario.points[0].approach else { panic!("it is not SWIM") };
            suspected_at_once(&scenario, &scenario.points[0], timing)
        };
        let near = |found: f64, count: f64| assert!((found - count).abs() < 1e-6 * count, "{found}, not {count}");
        near(at_once(CRASH), 100.0);
        // A suspicion lasts 20 of the 100 seconds.
        near(at_once("network.loss = 0.01"), 0.2 * 1e7 * 0.0199 * INDIRECT);
        let churn = "[[faults.churn]]\nshare = 0.0001\nsession = { model = \"constant\", value = \"15s\" }\n\
                     absence = { model = \"constant\", value = \"5s\" }\n";
        near(at_once(&format!("{CRASH}{churn}")), 100.0 + 0.2 * 10.0 * 5.0);
    }

    #[test]
    fn partitions_make_verdicts_across() {
        let half = "[[faults.partition]]\nstart = \"20s\"\nheal = \"45s\"\nshare = 0.5";
        let few = "nodes = 1000\n";
        let with_few =
            |approach: &str| TIERS.replace("nodes = \"100K\"\n", few) + &format!("approaches = \"{approach}\"\n{half}");
        let scenario = parse("a.toml", &with_few("swim"), &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(expected(&scenario, &scenario.points[0]), 3.0 * 0.5 * 1e6);
        // Four intervals without a heartbeat make a verdict: always, where the first of them began late enough, never.
        for (interval, share) in [("5s", 1.0), ("8s", 0.125), ("9s", 0.0)] {
            let heard = format!("[detection]\n[heartbeat]\ninterval = \"{interval}\"\n{half}");
            check("ping", &heard, 2.0 * 0.5 * 100_000.0 * share);
        }
    }

    #[test]
    fn elsewhere_those_judge_who_should_hear_a_node() {
        let crash =
            |types: &str| format!("[detection]\n[[faults.crash]]\nat = \"10s\"\nshare = 0.1\ntypes = \"{types}\"\n");
        check("flat-gossip", &crash("full"), 8.0 * 10_000.0);
        check("ping", &format!("{}until = \"50s\"", crash("full")), 3.0 * 10_000.0);
        check("hierarchical", &crash("super"), 100.0 * 10.0);
        check("hierarchical", &crash("full"), 34.0 * 90.0);
        check("hierarchical", &crash("light"), 4.0 * 5_000.0);
        check("gossip", &crash("full"), 902.0 * 90.0);
        check("sampled", &crash("light").replace("[detection]\n", ""), 0.3 * 5_000.0);
        // A hundred seconds are 10/3 intervals; three lost in a row, or one for phi.
        let lossy = |detector| format!("network.loss = 0.1\ndetection = {{ detector = \"{detector}\" }}");
        check("ping", &lossy("timeout"), 2.0 * 100_000.0 * 0.001 * 10.0 / 3.0);
        check("ping", &lossy("phi"), 2.0 * 100_000.0 * 0.1 * 10.0 / 3.0);
    }

    #[test]
    fn a_verdict_takes_its_bytes_twice() {
        let text = format!("{TIERS}approaches = \"swim\"\n{CRASH}");
        let scenario = parse("a.toml", &text, &[]).unwrap();
        assert_eq!(bytes(&scenario, &scenario.points[0]), 48 * 20_000_000);
    }
}
