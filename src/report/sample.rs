//! Results made by hand, for the tests of this room.

use super::RunReport;
use crate::contract::{NodeType, Population, SimSpan, SimTime};
use crate::metrics::{
    Bandwidth, Count, Detection, EngineFigures, FailureGroup, FailureKind, Flow, Method, PointResult, Spread, Stage,
    StageFigures, TimelineBucket, Times, Traffic, WrongVerdicts,
};

/// A report over `points`.
pub(super) fn report(points: &[PointResult]) -> RunReport<'_> {
    RunReport {
        scenario: "network-load",
        description: "Message rate by approach and size",
        scenario_hash: "ab12",
        seed: 7,
        command: "qnetsim run network-load --seed 7",
        effective: "name = \"network-load\"\n",
        thresholds: &[],
        points,
        partial: None,
    }
}

/// `nodes` full nodes that sent `messages` pings of 100 bytes in 30 s, the heartbeat interval, and lost none.
pub(super) fn flat(approach: &str, nodes: u32, messages: u64) -> PointResult {
    let mut point = empty(approach, Population::flat(nodes));
    for flow in [Flow::Sent, Flow::Received] {
        point.measured.add(flow, 0, NodeType::FullNode, Count { messages, bytes: 100 * messages });
    }
    point
}

/// 2 super nodes that sent 30 pings to 8 light nodes, 1 of them still under way, and a timeline of two buckets.
pub(super) fn tiers() -> PointResult {
    let mut point = empty("hierarchical", Population::new([2, 0, 8, 0]).unwrap());
    point.measured.add(Flow::Sent, 0, NodeType::SuperNode, Count { messages: 30, bytes: 3_000 });
    point.measured.add(Flow::Received, 0, NodeType::LightNode, Count { messages: 29, bytes: 2_900 });
    point.in_flight = 1;
    let mut bucket = Traffic::new(2);
    bucket.add(Flow::Sent, 0, NodeType::SuperNode, Count { messages: 5, bytes: 500 });
    point.timeline.push(TimelineBucket { start: SimTime::ZERO, traffic: bucket });
    let mut bucket = Traffic::new(2);
    bucket.add(Flow::Received, 0, NodeType::LightNode, Count { messages: 7, bytes: 700 });
    point.timeline.push(TimelineBucket { start: SimTime::from_nanos(12_500_000_000), traffic: bucket });
    let idle = Spread { mean: 0.0, p99: 0, max: 0 };
    let upload = Spread { mean: 1_920.0, p99: 2_560, max: 3_750_000 };
    let download = Spread { mean: 464.0, p99: 512, max: 640 };
    point.bandwidth[NodeType::SuperNode as usize] = Some(Bandwidth { upload, download: idle });
    point.bandwidth[NodeType::LightNode as usize] = Some(Bandwidth { upload: idle, download });
    point
}

/// `nodes` full nodes that sent a ping each second and suspected two of three nodes that crashed, and wrongly took six
/// for down.
pub(super) fn detected(approach: &str, nodes: u32) -> PointResult {
    let mut point = flat(approach, nodes, 30 * u64::from(nodes));
    point.state_bytes = 64 * u64::from(nodes);
    let times = |count, p50, longest, mean_s| {
        let [p50, longest] = [p50, longest].map(SimSpan::from_secs);
        Some(Times { count, p50, p90: longest, p99: longest, max: longest, mean_s })
    };
    let (first, each) = (times(2, 2, 5, 3.5), times(3, 3, 5, 10.0 / 3.0));
    let down =
        |never, undecided| StageFigures { stage: Stage::Down, noticed: 0, never, undecided, first: None, each: None };
    let suspected = StageFigures { stage: Stage::Suspected, noticed: 2, never: 1, undecided: 0, first, each };
    let group = |node_type, kind: Option<FailureKind>, failures, stages| {
        let (verdicts, node_hours) = if failures > 0 { (6, 1.0 / 15.0) } else { (0, 0.0) };
        let wrong = kind.is_none().then_some(WrongVerdicts { verdicts, node_hours });
        FailureGroup { node_type, kind, failures, stages, wrong }
    };
    let groups = vec![
        group(None, None, 3, vec![suspected, down(1, 2)]),
        group(None, Some(FailureKind::Crash), 3, vec![down(0, 3)]),
        group(Some(NodeType::FullNode), None, 0, vec![down(0, 0)]),
    ];
    point.detection = Some(Detection { detector: "timeout".to_owned(), groups });
    point
}

fn empty(approach: &str, population: Population) -> PointResult {
    PointResult {
        approach: approach.to_owned(),
        protocol: "heartbeat",
        population,
        method: Method::Event,
        seed: 7,
        warmup: SimSpan::from_millis(12_500),
        measure: SimSpan::from_secs(30),
        interval: SimSpan::from_secs(30),
        header: 28,
        kinds: &["ping", "pong"],
        measured: Traffic::new(2),
        timeline: Vec::new(),
        delays: Vec::new(),
        links: None,
        bandwidth: [None; 4],
        detection: None,
        population_over_time: None,
        figures: Vec::new(),
        state_bytes: 640,
        in_flight: 0,
        digest: 0xab,
        engine: EngineFigures {
            events: 59,
            seconds: 0.5,
            build_seconds: 0.25,
            peak_memory: 1 << 20,
            bytes_per_node: 64.5,
            threads: 2,
            partitions: 4,
            ranks: None,
        },
    }
}
