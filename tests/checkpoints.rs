//! A run that is broken off at any window and goes on from its checkpoint finds what an uninterrupted run finds.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use qnetsim::engine::{Checkpoint, CheckpointError, Keeper, Progress, Snapshot};
use qnetsim::metrics::{EngineFigures, PointResult};
use qnetsim::scenario::build::{Ending, Keeping, RunError, Watch, run_kept, run_point};
use qnetsim::scenario::{Approach, Point, Scenario, parse};

/// Breaks a run off after so many windows, with a checkpoint.
struct AfterWindows {
    left: AtomicU64,
    written: Vec<u8>,
}

impl AfterWindows {
    fn new(windows: u64) -> Self {
        AfterWindows { left: AtomicU64::new(windows), written: Vec::new() }
    }
}

impl Keeper for AfterWindows {
    fn is_wanted(&self) -> bool {
        self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }

    fn keep(&mut self, snapshot: &Snapshot<'_>) -> ControlFlow<()> {
        snapshot.write_to(&mut self.written).expect("memory takes it");
        ControlFlow::Break(())
    }
}

/// A network small and short enough for every mechanism.
const SMALL: &str = "name = \"a\"\nnodes = 150\nwarmup = \"2s\"\nmeasure = \"8s\"\n\
                     tiers = { super = 4, full = 20, mobile = 20 }\n";

#[track_caller]
fn read(text: &str) -> Scenario {
    parse("a.toml", text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs the point from `from`, if that is given, for at most so many windows.
fn go(scenario: &Scenario, point: &Point, threads: usize, from: Option<&[u8]>, keeper: &mut AfterWindows) -> Ending {
    try_go(scenario, point, threads, from, keeper).unwrap_or_else(|error| panic!("{}: {error}", point.label))
}

fn try_go(
    scenario: &Scenario,
    point: &Point,
    threads: usize,
    from: Option<&[u8]>,
    keeper: &mut AfterWindows,
) -> Result<Ending, RunError> {
    let progress = Progress::default();
    let watch = Watch { progress: &progress, clock: &|| 0.0 };
    let mut input = from.unwrap_or_default();
    let bytes = input.len() as u64;
    let checkpoint = from.map(|_| Checkpoint::open(&mut input, bytes)).transpose()?;
    run_kept(scenario, point, threads, &watch, Keeping { keeper, from: checkpoint })
}

/// All of a result that is the same on every machine.
fn facts(result: &PointResult) -> String {
    let mut result = result.clone();
    result.engine = EngineFigures { events: result.engine.events, ..EngineFigures::default() };
    serde_json::to_string_pretty(&result).expect("names and numbers are JSON")
}

fn whole(scenario: &Scenario, point: &Point, threads: usize) -> PointResult {
    let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
    run_point(scenario, point, threads, &watch).expect("nothing is lost or made up")
}

/// Breaks every point of `scenario` off after each of the numbers of windows in turn, each time with another number of
/// threads, and compares what comes of it with a run that is left alone. Returns how often points were broken off.
fn check(scenario: &Scenario, windows: &[u64]) -> usize {
    let mut broken = 0;
    for point in &scenario.points {
        let expected = facts(&whole(scenario, point, 2));
        let mut from: Option<Vec<u8>> = None;
        for (turn, &windows) in windows.iter().chain([&u64::MAX]).enumerate() {
            let mut keeper = AfterWindows::new(windows);
            match go(scenario, point, [1, 3, 2][turn % 3], from.as_deref(), &mut keeper) {
                Ending::Broken { .. } => {
                    broken += 1;
                    from = Some(keeper.written);
                }
                Ending::Whole(result) => {
                    let found = facts(&result);
                    let other = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
                    assert!(found == expected, "{} differs: {other:?}", point.label);
                    break;
                }
            }
        }
    }
    broken
}

#[test]
fn every_approach_goes_on_from_its_checkpoint() {
    for name in Approach::NAMES {
        let scenario = read(&format!("{SMALL}approaches = \"{name}\"\nheartbeat.interval = \"2s\"\n"));
        assert!(check(&scenario, &[3, 40, 300]) > 0, "{name} was never broken off");
    }
}

#[test]
fn faults_capacities_regions_and_detectors_go_on_from_their_checkpoints() {
    let faults = "[network]\nloss = 0.05\n\
        latency = { model = \"regions\", shares = { Tokyo = 0.5, London = 0.5 }, jitter = 0.1 }\n\
        [detection]\ndetector = \"phi\"\nthreshold = 4\n\
        [[faults.churn]]\nsession = { model = \"exponential\", mean = \"3s\" }\n\
        absence = { model = \"exponential\", mean = \"1s\" }\ngraceful = 0.5\n\
        [[faults.crash]]\nat = \"4s\"\nuntil = \"6s\"\nshare = 0.2\n";
    let head = "name = \"a\"\nnodes = 150\nwarmup = \"1s\"\nmeasure = \"7s\"\nheartbeat.interval = \"500ms\"\n\
        tiers = { super = 4, full = 20, mobile = 20 }\napproaches = [\"hierarchical\", \"flat-gossip\", \"gossip\"]\n";
    assert!(check(&read(&format!("{head}{faults}")), &[1, 77, 400, 1_500]) >= 9);
    let narrow =
        "[network.capacity]\nqueue = \"1 KiB\"\nsuper = \"100 kbps\"\nfull = \"20 kbps\"\nlight = \"10 kbps\"\n";
    assert!(check(&read(&format!("{head}{narrow}")), &[5, 30, 100]) >= 6);
}

#[test]
fn a_point_that_is_broken_off_tells_what_it_has_measured() {
    let scenario = read(&format!("{SMALL}approaches = \"ping\"\nheartbeat.interval = \"1s\"\n"));
    let point = &scenario.points[0];
    let full = whole(&scenario, point, 1);
    let Ending::Broken { at, result } = go(&scenario, point, 1, None, &mut AfterWindows::new(2)) else {
        panic!("two windows are not ten seconds")
    };
    assert!(result.is_none() && at.as_nanos() < 2_000_000_000);
    let ran = go(&scenario, point, 1, None, &mut AfterWindows::new(400));
    let Ending::Broken { at, result: Some(result) } = ran else { panic!("{ran:?}") };
    assert_eq!((at.as_nanos() - 2_000_000_000), result.measure.as_nanos());
    assert!(result.measure < point.measure && result.timeline.len() <= full.timeline.len());
    let ratio = result.messages_per_second() / full.messages_per_second();
    assert!((0.7..1.3).contains(&ratio), "rates are of the time that was measured: {ratio}");
}

#[test]
fn a_checkpoint_that_is_of_another_run_or_cut_short_is_refused() {
    let scenario = read(&format!("{SMALL}approaches = [\"ping\", \"swim\"]\n"));
    let (ping, swim) = (&scenario.points[0], &scenario.points[1]);
    let mut keeper = AfterWindows::new(50);
    go(&scenario, ping, 1, None, &mut keeper);
    let written = keeper.written;
    let refused = |scenario: &Scenario, point: &Point, bytes: &[u8]| match try_go(
        scenario,
        point,
        1,
        Some(bytes),
        &mut AfterWindows::new(1),
    ) {
        Err(RunError::Checkpoint(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it went on"),
    };
    let foreign = |error: CheckpointError| assert!(matches!(error, CheckpointError::Foreign(_)), "{error}");
    foreign(refused(&scenario, swim, &written));
    let seeded = parse("a.toml", &format!("{SMALL}approaches = \"ping\"\n"), &["seed=9".to_owned()]).unwrap();
    foreign(refused(&seeded, &seeded.points[0], &written));
    for len in (0..written.len()).step_by(97).chain([written.len() - 1]) {
        let error = refused(&scenario, ping, &written[..len]);
        assert!(matches!(error, CheckpointError::Damaged(_)), "{len}: {error}");
    }
    let mut longer = written;
    longer.write_all(&[0]).unwrap();
    assert!(matches!(refused(&scenario, ping, &longer), CheckpointError::Damaged(_)));
}
