//! What holds of every run of every scenario.

use qnetsim::engine::Progress;
use qnetsim::metrics::{EngineFigures, Flow, Method, PointResult};
use qnetsim::report::{RunReport, result_files};
use qnetsim::scenario::build::{Layout, Watch, run_point};
use qnetsim::scenario::{Scenario, plan};

/// Threads, and base-2 logarithms of the numbers of partitions, that results must not depend on.
const LAYOUTS: [Layout; 6] = [
    Layout { threads: 1, partitions_log2: Some(0) },
    Layout { threads: 2, partitions_log2: None },
    Layout { threads: 3, partitions_log2: None },
    Layout { threads: 8, partitions_log2: None },
    Layout { threads: 1, partitions_log2: Some(3) },
    Layout { threads: 2, partitions_log2: Some(5) },
];

/// Events may be so many times more or fewer than the plan says, and so many besides. The plan knows means; tiny networks
/// under deep faults are far from them.
const EVENTS_FACTOR: u64 = 4;
const EVENTS_BESIDES: u64 = 1_500;

/// Runs `scenario` in every layout and checks what must hold.
pub(crate) fn check(scenario: &Scenario) {
    let results: Vec<_> = LAYOUTS.iter().map(|&layout| (layout, run(scenario, layout))).collect();
    let (_, first) = &results[0];
    for result in first {
        check_conservation(result);
    }
    check_plan(scenario, first);
    let files = all_files(scenario, first);
    for (layout, other) in &results[1..] {
        for ((name, bytes), (_, others)) in files.iter().zip(all_files(scenario, other)) {
            let differs = || bytes.iter().zip(&others).position(|(one, other)| one != other).unwrap_or(0);
            assert!(*bytes == others, "{name} differs from byte {} on with {layout:?}", differs());
        }
    }
}

fn run(scenario: &Scenario, layout: Layout) -> Vec<PointResult> {
    let (progress, clock) = (Progress::default(), || 0.0);
    let watch = Watch { progress: &progress, clock: &clock };
    let run = |point| run_point(scenario, point, layout, &watch).unwrap_or_else(|violation| panic!("{violation}"));
    scenario.points.iter().map(run).collect()
}

/// All result files, without what is of the machine.
fn all_files(scenario: &Scenario, points: &[PointResult]) -> Vec<(&'static str, Vec<u8>)> {
    let same = |point: &PointResult| {
        // What a node takes is of the machine as well: it counts what was allocated.
        let engine = EngineFigures { events: point.engine.events, ..EngineFigures::default() };
        PointResult { engine, ..point.clone() }
    };
    let points: Vec<_> = points.iter().map(same).collect();
    result_files(&RunReport {
        scenario: &scenario.name,
        description: &scenario.description,
        scenario_hash: &scenario.hash,
        seed: scenario.seed,
        command: "",
        effective: &scenario.effective,
        thresholds: &scenario.thresholds,
        points: &points,
        partial: None,
    })
}

/// All that was sent was received, was dropped for a cause, or is still under way; and delays are of what was received.
fn check_conservation(result: &PointResult) {
    let total = |flow| result.timeline.iter().map(|bucket| bucket.traffic.total(flow).messages).sum::<u64>();
    let dropped: u64 = Flow::DROPS.map(total).iter().sum();
    let label = &result.approach;
    assert_eq!(
        total(Flow::Sent),
        total(Flow::Received) + dropped + result.in_flight,
        "{label}: sent is received, dropped ({dropped}) and in flight ({})",
        result.in_flight
    );
    if result.method == Method::Event {
        let handled = result.engine.events;
        assert!(handled >= total(Flow::Received), "{label}: {handled} events");
    }
}

/// The run is what its plan said, within wide bounds.
fn check_plan(scenario: &Scenario, results: &[PointResult]) {
    for (point, result) in scenario.points.iter().zip(results) {
        let forecast = plan::forecast(scenario, point, 1);
        let (planned, found) = (forecast.events, result.engine.events);
        let within =
            planned / EVENTS_FACTOR <= found + EVENTS_BESIDES && found <= planned * EVENTS_FACTOR + EVENTS_BESIDES;
        assert!(within, "{}: {planned} events were planned, and there were {found}", point.label);
        let held = result.engine.bytes_per_node * f64::from(result.nodes());
        assert!(
            held <= forecast.memory_bytes as f64,
            "{}: {} bytes were planned, and {held} are held at the end",
            point.label,
            forecast.memory_bytes
        );
    }
}
