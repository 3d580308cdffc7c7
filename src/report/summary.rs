//! `summary.json`: what a run found and how to repeat it, apart from how the engine fared on this machine.

use serde::{Deserialize, Serialize};

use super::RunReport;
use super::number::rounded;
use crate::claims;
use crate::contract::NodeType;
use crate::metrics::{Detection, Flow, PointResult, RankFigures, StageFigures, Traffic};

/// The version of the summary's layout; it changes when a field changes its name or meaning.
pub const SUMMARY_FORMAT: u32 = 1;

/// The whole summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What is the same on every machine.
    pub deterministic: Deterministic,
    /// What is not.
    pub engine: EnginePart,
}

/// What the same scenario and seed give on every machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deterministic {
    /// Layout of this file: [`SUMMARY_FORMAT`].
    pub format: u32,
    /// Version of the simulator.
    pub qnetsim: String,
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario is about.
    pub description: String,
    /// Hash of the scenario, in hexadecimal.
    pub scenario_hash: String,
    /// The seed.
    pub seed: u64,
    /// A command line that reproduces the run.
    pub command: String,
    /// What an interrupted run is short of; not there if the run is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// One entry per approach and size.
    pub points: Vec<SummaryPoint>,
}

/// What one approach at one size gave. Rates are per second of simulated time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummaryPoint {
    /// The approach, as the scenario names it.
    pub approach: String,
    /// The protocol that ran.
    pub protocol: String,
    /// Number of nodes.
    pub nodes: u32,
    /// Nodes by type.
    pub nodes_by_type: TypeCounts,
    /// How the numbers were obtained: `event` or `counted`.
    pub method: String,
    /// Simulated seconds before measuring began.
    pub warmup_s: f64,
    /// Simulated seconds that were measured.
    pub measure_s: f64,
    /// The heartbeat interval of the fastest node type, in seconds.
    pub interval_s: f64,
    /// Messages sent in the measured span.
    pub messages_sent: u64,
    /// Messages received in the measured span.
    pub messages_received: u64,
    /// Messages lost in the measured span, for whatever cause.
    pub messages_lost: u64,
    /// The same by cause.
    pub messages_dropped: DropCounts,
    /// Bytes sent in the measured span, without IP and UDP headers.
    pub payload_bytes_sent: u64,
    /// Bytes sent in the measured span, with IP and UDP headers.
    pub wire_bytes_sent: u64,
    /// Messages sent per second.
    pub messages_per_s: f64,
    /// Messages sent per `interval_s`.
    pub messages_per_interval: f64,
    /// How failures were detected; `null` where no detector ran.
    pub detection: Option<DetectionTotals>,
    /// Memory of the protocol in all nodes when the run ended, in bytes.
    pub state_bytes: u64,
    /// Messages under way when the run ended.
    pub in_flight: u64,
    /// Hash of everything that was delivered: sixteen hexadecimal digits.
    pub digest: String,
    /// What the documents say; `null` where they say nothing.
    pub documented: Option<Comparison>,
}

/// Nodes by type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCounts {
    /// Super nodes.
    #[serde(rename = "super")]
    pub super_nodes: u32,
    /// Full nodes.
    #[serde(rename = "full")]
    pub full_nodes: u32,
    /// Light nodes.
    #[serde(rename = "light")]
    pub light_nodes: u32,
    /// Mobile nodes.
    #[serde(rename = "mobile")]
    pub mobile_nodes: u32,
}

/// Messages by the cause for which they were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DropCounts {
    /// By the network at random.
    pub lost: u64,
    /// Between two parts of a divided network.
    pub partitioned: u64,
    /// The queue of the sender's uplink was full.
    pub uplink_full: u64,
    /// The queue of the receiver's downlink was full.
    pub downlink_full: u64,
    /// The receiver was down.
    pub receiver_down: u64,
}

impl DropCounts {
    fn of(traffic: &Traffic) -> DropCounts {
        let dropped = |cause| traffic.total(cause).messages;
        DropCounts {
            lost: dropped(Flow::Lost),
            partitioned: dropped(Flow::Partitioned),
            uplink_full: dropped(Flow::UplinkFull),
            downlink_full: dropped(Flow::DownlinkFull),
            receiver_down: dropped(Flow::ReceiverDown),
        }
    }
}

/// How failures of all nodes in the measured span were detected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionTotals {
    /// The detector.
    pub detector: String,
    /// Nodes that crashed or left.
    pub failures: u64,
    /// `suspected`, where the detector has that stage, and `down`.
    pub stages: Vec<StageTotals>,
    /// Verdicts that a node is down while it was up.
    pub false_positives: u64,
    /// Hours that nodes were up, added up over nodes.
    pub node_hours: f64,
}

/// How failures were noticed, by an observer that is so sure; times are to the first observer, in seconds, and `null`
/// where no failure was noticed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTotals {
    /// `suspected` or `down`.
    pub stage: String,
    /// Failures that somebody noticed.
    pub noticed: u64,
    /// Failures that nobody noticed in time.
    pub never_noticed: u64,
    /// Failures that were too young to tell when the run ended.
    pub undecided: u64,
    /// Median.
    pub p50_s: Option<f64>,
    /// 90th percentile.
    pub p90_s: Option<f64>,
    /// 99th percentile.
    pub p99_s: Option<f64>,
    /// The longest.
    pub max_s: Option<f64>,
    /// Arithmetic mean.
    pub mean_s: Option<f64>,
}

impl DetectionTotals {
    fn of(detection: &Detection) -> DetectionTotals {
        let total = detection.total();
        DetectionTotals {
            detector: detection.detector.clone(),
            failures: total.failures,
            stages: total.stages.iter().map(StageTotals::of).collect(),
            false_positives: total.wrong.map_or(0, |wrong| wrong.verdicts),
            node_hours: total.wrong.map_or(0.0, |wrong| rounded(wrong.node_hours)),
        }
    }
}

impl StageTotals {
    fn of(figures: &StageFigures) -> StageTotals {
        let first = figures.first.as_ref();
        StageTotals {
            stage: figures.stage.name().to_owned(),
            noticed: figures.noticed,
            never_noticed: figures.never,
            undecided: figures.undecided,
            p50_s: first.map(|times| rounded(times.p50.as_secs_f64())),
            p90_s: first.map(|times| rounded(times.p90.as_secs_f64())),
            p99_s: first.map(|times| rounded(times.p99.as_secs_f64())),
            max_s: first.map(|times| rounded(times.max.as_secs_f64())),
            mean_s: first.map(|times| rounded(times.mean_s)),
        }
    }
}

/// A measured message rate beside the documented one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The claim that gives the figure.
    pub claim: String,
    /// The documented figure, in messages per second.
    pub messages_per_s: f64,
    /// Measured divided by documented.
    pub ratio: f64,
}

impl Comparison {
    /// `point` beside what the documents say of its approach at its size; `None` if they say nothing.
    pub fn of(point: &PointResult) -> Option<Comparison> {
        let claim = claims::network_load(&point.approach, point.nodes())?;
        let messages_per_s = claim.number()?;
        let ratio = rounded(point.messages_per_second() / messages_per_s);
        Some(Comparison { claim: claim.id.clone(), messages_per_s, ratio })
    }
}

/// How the engine fared; differs from machine to machine and from run to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnginePart {
    /// One entry per approach and size, in the same order.
    pub points: Vec<EnginePoint>,
}

/// How the engine fared at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnginePoint {
    /// The approach.
    pub approach: String,
    /// Number of nodes.
    pub nodes: u32,
    /// Deliveries and timer firings.
    pub events: u64,
    /// Wall time of the event loop, in seconds.
    pub seconds: f64,
    /// Events per second of wall time; `null` where no time passed.
    pub events_per_s: Option<f64>,
    /// Wall time of building topology and node state, in seconds.
    pub build_seconds: f64,
    /// Peak resident memory of the process so far, in bytes; `null` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Memory of node state, topology and queues, divided by the number of nodes.
    pub bytes_per_node: f64,
    /// Threads used.
    pub threads: usize,
    /// Partitions of the node columns.
    pub partitions: usize,
    /// How several processes fared that ran the point together; not there if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RankPart>,
}

/// How the processes fared that ran a point together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankPart {
    /// How many there were.
    pub ranks: usize,
    /// Peak resident memory of the rank that took the most, in bytes.
    pub peak_memory_bytes_most: u64,
    /// Of the rank that took the least.
    pub peak_memory_bytes_least: u64,
    /// What all ranks together hold of what nodes share, such as links, in bytes.
    pub shared_bytes: u64,
    /// Windows that were handled, by the rank that handled the most.
    pub windows: u64,
    /// The stretch of time that ranks handle between two meetings, in milliseconds.
    pub lookahead_ms: f64,
    /// Times at which the ranks agreed on what is next.
    pub meetings: u64,
    /// Meetings at which messages went from rank to rank.
    pub exchanges: u64,
    /// Messages that went from rank to rank.
    pub remote_messages: u64,
    /// Their share of the messages that arrived, warm-up included; `null` where none did.
    pub remote_share: Option<f64>,
    /// What they took, in bytes.
    pub remote_bytes: u64,
    /// The same by message; `null` where there were none.
    pub bytes_per_remote_message: Option<f64>,
    /// The same by exchange; `null` where there were none.
    pub bytes_per_exchange: Option<f64>,
    /// The same by window; `null` where there were none.
    pub bytes_per_window: Option<f64>,
}

impl RankPart {
    fn of(point: &PointResult) -> Option<RankPart> {
        let figures = point.engine.ranks?;
        let RankFigures { remote_messages, remote_bytes, exchanges, .. } = figures;
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| rounded(part as f64 / whole as f64));
        let arrived = |flow| point.timeline.iter().map(|bucket| bucket.traffic.total(flow).messages).sum::<u64>();
        let delivered = [Flow::Received, Flow::ReceiverDown, Flow::DownlinkFull].map(arrived).iter().sum();
        Some(RankPart {
            ranks: figures.ranks,
            peak_memory_bytes_most: figures.peak_memory_most,
            peak_memory_bytes_least: figures.peak_memory_least,
            shared_bytes: figures.shared_bytes,
            windows: figures.windows,
            lookahead_ms: rounded(figures.lookahead.as_secs_f64() * 1e3),
            meetings: figures.meetings,
            exchanges,
            remote_messages,
            remote_share: ratio(remote_messages, delivered),
            remote_bytes,
            bytes_per_remote_message: ratio(remote_bytes, remote_messages),
            bytes_per_exchange: ratio(remote_bytes, exchanges),
            bytes_per_window: ratio(remote_bytes, figures.windows),
        })
    }
}

impl Summary {
    /// The summary of `report`.
    pub fn of(report: &RunReport<'_>) -> Summary {
        Summary {
            deterministic: Deterministic {
                format: SUMMARY_FORMAT,
                qnetsim: env!("CARGO_PKG_VERSION").to_owned(),
                scenario: report.scenario.to_owned(),
                description: report.description.to_owned(),
                scenario_hash: report.scenario_hash.to_owned(),
                seed: report.seed,
                command: report.command.to_owned(),
                partial: report.partial.map(str::to_owned),
                points: report.points.iter().map(SummaryPoint::of).collect(),
            },
            engine: EnginePart { points: report.points.iter().map(EnginePoint::of).collect() },
        }
    }
}

impl SummaryPoint {
    fn of(point: &PointResult) -> SummaryPoint {
        let sent = point.measured.total(Flow::Sent);
        let count = |node_type| point.population.count(node_type);
        SummaryPoint {
            approach: point.approach.clone(),
            protocol: point.protocol.to_owned(),
            nodes: point.nodes(),
            nodes_by_type: TypeCounts {
                super_nodes: count(NodeType::SuperNode),
                full_nodes: count(NodeType::FullNode),
                light_nodes: count(NodeType::LightNode),
                mobile_nodes: count(NodeType::MobileNode),
            },
            method: point.method.to_string(),
            warmup_s: point.warmup.as_secs_f64(),
            measure_s: point.measure.as_secs_f64(),
            interval_s: point.interval.as_secs_f64(),
            messages_sent: sent.messages,
            messages_received: point.measured.total(Flow::Received).messages,
            messages_lost: point.measured.dropped(Traffic::total).messages,
            messages_dropped: DropCounts::of(&point.measured),
            payload_bytes_sent: sent.bytes,
            wire_bytes_sent: sent.wire_bytes(point.header),
            messages_per_s: rounded(point.messages_per_second()),
            messages_per_interval: rounded(point.messages_per_interval()),
            detection: point.detection.as_ref().map(DetectionTotals::of),
            state_bytes: point.state_bytes,
            in_flight: point.in_flight,
            digest: format!("{:016x}", point.digest),
            documented: Comparison::of(point),
        }
    }
}

impl EnginePoint {
    fn of(point: &PointResult) -> EnginePoint {
        let engine = &point.engine;
        EnginePoint {
            approach: point.approach.clone(),
            nodes: point.nodes(),
            events: engine.events,
            seconds: rounded(engine.seconds),
            events_per_s: (engine.seconds > 0.0).then(|| rounded(engine.events as f64 / engine.seconds)),
            build_seconds: rounded(engine.build_seconds),
            peak_memory_bytes: (engine.peak_memory > 0).then_some(engine.peak_memory),
            bytes_per_node: rounded(engine.bytes_per_node),
            threads: engine.threads,
            partitions: engine.partitions,
            ranks: RankPart::of(point),
        }
    }
}

/// `summary.json`, also the `json` format on standard output: a [`Summary`], indented, with a final line feed.
pub fn summary_json(report: &RunReport<'_>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&Summary::of(report)).expect("a summary has nothing that JSON lacks");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::metrics::EngineFigures;
    use crate::report::sample;

    #[test]
    fn a_summary_reads_back_as_it_was() {
        let points = [sample::tiers(), sample::flat("full-mesh", 1_000, 999_000), sample::detected("gossip", 10)];
        let report = sample::report(&points);
        let bytes = summary_json(&report);
        assert!(bytes.ends_with(b"}\n"));
        assert_eq!(serde_json::from_slice::<Summary>(&bytes).unwrap(), Summary::of(&report));
    }

    #[test]
    fn the_deterministic_part_holds_these_values() {
        let points = [sample::tiers(), sample::flat("full-mesh", 1_000, 999_000), sample::detected("gossip", 10)];
        let value: Value = serde_json::from_slice(&summary_json(&sample::report(&points))).unwrap();
        let part = &value["deterministic"];
        assert_eq!((&part["format"], &part["seed"], &part["scenario"]), (&json!(1), &json!(7), &json!("network-load")));
        let expected = json!({
            "approach": "hierarchical", "protocol": "heartbeat", "nodes": 10,
            "nodes_by_type": {"super": 2, "full": 0, "light": 8, "mobile": 0},
            "method": "event", "warmup_s": 12.5, "measure_s": 30.0, "interval_s": 30.0,
            "messages_sent": 30, "messages_received": 29, "messages_lost": 0,
            "messages_dropped":
                {"lost": 0, "partitioned": 0, "uplink-full": 0, "downlink-full": 0, "receiver-down": 0},
            "payload_bytes_sent": 3000, "wire_bytes_sent": 3840,
            "messages_per_s": 1.0, "messages_per_interval": 30.0,
            "detection": null, "state_bytes": 640, "in_flight": 1, "digest": "00000000000000ab", "documented": null,
        });
        assert_eq!(part["points"][0], expected);
        let detection = json!({
            "detector": "timeout", "failures": 3, "false_positives": 6, "node_hours": 0.0666666666667,
            "stages": [
                {"stage": "suspected", "noticed": 2, "never_noticed": 1, "undecided": 0,
                 "p50_s": 2.0, "p90_s": 5.0, "p99_s": 5.0, "max_s": 5.0, "mean_s": 3.5},
                {"stage": "down", "noticed": 0, "never_noticed": 1, "undecided": 2,
                 "p50_s": null, "p90_s": null, "p99_s": null, "max_s": null, "mean_s": null},
            ],
        });
        assert_eq!(part["points"][2]["detection"], detection);
        let documented = json!({"claim": "QN-20", "messages_per_s": 1e6, "ratio": 0.0333});
        assert_eq!(part["points"][1]["documented"], documented);
    }

    #[test]
    fn another_machine_changes_the_engine_part_alone() {
        let parts = |points: &[PointResult]| {
            let value: Value = serde_json::from_slice(&summary_json(&sample::report(points))).unwrap();
            (value["deterministic"].to_string(), value["engine"].to_string())
        };
        let here = parts(&[sample::tiers()]);
        let mut elsewhere = sample::tiers();
        elsewhere.engine = EngineFigures::default();
        let there = parts(&[elsewhere]);
        assert_eq!(here.0, there.0);
        assert_ne!(here.1, there.1);
        let expected =
            r#"{"points":[{"approach":"hierarchical","build_seconds":0.25,"bytes_per_node":64.5,"events":59,"#;
        assert!(here.1.starts_with(expected), "{}", here.1);
        assert!(there.1.contains(r#""events_per_s":null"#) && there.1.contains(r#""peak_memory_bytes":null"#));
    }
}
