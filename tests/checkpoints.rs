//! A run that is broken off at any window and goes on from its checkpoint finds what an uninterrupted run finds, whatever the
//! ranks that share it, before and after.

#[path = "ranks/hub.rs"]
mod hub;

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use qnetsim::engine::{Checkpoint, CheckpointError, Keeper, Piece, Progress, Snapshot};
use qnetsim::metrics::{EngineFigures, PointResult};
use qnetsim::scenario::build::{Ending, Keeping, RunError, Watch, run_kept, run_point};
use qnetsim::scenario::{Approach, Point, Scenario, parse};

use hub::each_rank;

/// Breaks a run off after so many windows, with a checkpoint.
struct AfterWindows {
    left: AtomicU64,
    /// All pieces.
    written: Vec<Vec<u8>>,
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
        self.written.resize(snapshot.pieces, Vec::new());
        for (number, piece) in self.written.iter_mut().enumerate() {
            snapshot.write_piece(number, piece).expect("memory takes it");
        }
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

/// Ranks, and threads of each.
type Shape = (usize, usize);

/// How a rank ended, and the pieces that it wrote then.
type Left = (Result<Ending, RunError>, Vec<Vec<u8>>);

/// Runs the point from the pieces `from`, if there are any, for at most so many windows. Returns how it ended, and what all
/// ranks wrote then.
fn go(scenario: &Scenario, point: &Point, shape: Shape, from: &[Vec<u8>], windows: u64) -> (Ending, Vec<Vec<u8>>) {
    let mut ends: Vec<Left> = try_go(scenario, point, shape, from, windows);
    let written = ends.iter_mut().flat_map(|(_, written)| std::mem::take(written)).collect();
    let mut ends: Vec<Ending> = ends
        .into_iter()
        .map(|(ended, _)| ended.unwrap_or_else(|error| panic!("{}, {shape:?}: {error}", point.label)))
        .collect();
    let first = ends.remove(0);
    let is_alike = |end: &Ending| match (&first, end) {
        (Ending::Whole(_), Ending::Elsewhere) => true,
        (Ending::Broken { at, .. }, Ending::Broken { at: their_at, result: None }) => at == their_at,
        _ => false,
    };
    assert!(ends.iter().all(is_alike), "{first:?} {ends:?}");
    (first, written)
}

fn try_go(scenario: &Scenario, point: &Point, (ranks, threads): Shape, from: &[Vec<u8>], windows: u64) -> Vec<Left> {
    each_rank(ranks, |ranks| {
        let progress = Progress::default();
        let watch = Watch { progress: &progress, clock: &|| 0.0 };
        let open = |number: usize| {
            let bytes = from[number].clone();
            let len = bytes.len() as u64;
            Ok(Piece::new(Cursor::new(bytes), len))
        };
        // Only one of the ranks wants it kept.
        let is_own = ranks.share().rank() + 1 == ranks.share().ranks();
        let mut keeper = AfterWindows::new(if is_own { windows } else { u64::MAX });
        let checkpoint = (!from.is_empty()).then(|| Checkpoint::open(from.len(), &open)).transpose();
        let ended = checkpoint.map_err(RunError::from).and_then(|from| {
            // Some begin with spare partitions, some without.
            let keeping = Keeping { keeper: &mut keeper, from, has_spare: windows % 2 == 1 };
            run_kept(scenario, point, threads, &watch, keeping, Some(ranks))
        });
        (ended, keeper.written)
    })
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

/// Breaks every point of `scenario` off after each of the numbers of windows in turn, each time with the next of `shapes`, and
/// compares what comes of it with a run that is left alone. Returns how often points were broken off.
fn check_over(scenario: &Scenario, windows: &[u64], shapes: &[Shape]) -> usize {
    let mut broken = 0;
    for point in &scenario.points {
        let expected = facts(&whole(scenario, point, 2));
        let mut from = Vec::new();
        for (turn, &windows) in windows.iter().chain([&u64::MAX]).enumerate() {
            let shape = shapes[turn % shapes.len()];
            match go(scenario, point, shape, &from, windows) {
                (Ending::Broken { .. }, written) => {
                    broken += 1;
                    assert_eq!(written.len(), shape.0 * shape.1, "each thread of each rank has a piece");
                    from = written;
                }
                (Ending::Whole(result), _) => {
                    let found = facts(&result);
                    let other = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
                    assert!(found == expected, "{} differs in turn {turn}: {other:?}", point.label);
                    break;
                }
                (Ending::Elsewhere, _) => panic!("the first rank has the result"),
            }
        }
    }
    broken
}

/// As [`check_over`], in one process.
fn check(scenario: &Scenario, windows: &[u64]) -> usize {
    check_over(scenario, windows, &[(1, 1), (1, 3), (1, 2)])
}

#[test]
fn every_approach_goes_on_from_its_checkpoint() {
    for name in Approach::NAMES {
        let scenario = read(&format!("{SMALL}approaches = \"{name}\"\nheartbeat.interval = \"2s\"\n"));
        assert!(check(&scenario, &[3, 40, 300]) > 0, "{name} was never broken off");
    }
}

/// Scenarios with all that a partition can have beside its state: lives, links, regions, blocks of windows, detectors.
fn with_everything() -> [Scenario; 2] {
    let faults = "[network]\nloss = 0.05\n\
        latency = { model = \"regions\", shares = { Tokyo = 0.5, London = 0.5 }, jitter = 0.1 }\n\
        [detection]\ndetector = \"phi\"\nthreshold = 4\n\
        [[faults.churn]]\nsession = { model = \"exponential\", mean = \"3s\" }\n\
        absence = { model = \"exponential\", mean = \"1s\" }\ngraceful = 0.5\n\
        [[faults.crash]]\nat = \"4s\"\nuntil = \"6s\"\nshare = 0.2\n";
    let head = "name = \"a\"\nnodes = 150\nwarmup = \"1s\"\nmeasure = \"7s\"\nheartbeat.interval = \"500ms\"\n\
        tiers = { super = 4, full = 20, mobile = 20 }\napproaches = [\"hierarchical\", \"flat-gossip\", \"gossip\"]\n";
    let narrow =
        "[network.capacity]\nqueue = \"1 KiB\"\nsuper = \"100 kbps\"\nfull = \"20 kbps\"\nlight = \"10 kbps\"\n";
    [read(&format!("{head}{faults}")), read(&format!("{head}{narrow}"))]
}

#[test]
fn faults_capacities_regions_and_detectors_go_on_from_their_checkpoints() {
    let [faults, narrow] = with_everything();
    assert!(check(&faults, &[1, 77, 400, 1_500]) >= 9);
    assert!(check(&narrow, &[5, 30, 100]) >= 6);
}

#[test]
fn any_number_of_ranks_goes_on_with_what_any_other_number_left() {
    let [faults, narrow] = with_everything();
    // The first shape decides how many partitions there are, and who has which nodes: here a rank has Tokyo, and the other
    // London, so they seldom meet, and are not asked at every window.
    assert!(check_over(&faults, &[9, 400, 700], &[(2, 2), (3, 1), (1, 2)]) >= 9);
    assert!(check_over(&faults, &[9, 11, 13], &[(2, 1), (2, 2), (2, 1)]) >= 9);
    assert!(check_over(&faults, &[401, 20, 300], &[(1, 1), (2, 1), (3, 1)]) >= 9);
    assert!(check_over(&narrow, &[5, 30, 100], &[(4, 1), (1, 1), (2, 1)]) >= 6);
    let mechanisms = read(&format!("{SMALL}approaches = [\"swim\", \"sampled\", \"kademlia\", \"ledger\"]\n"));
    assert!(check_over(&mechanisms, &[30, 200], &[(3, 1), (2, 1), (4, 1)]) >= 3);
}

#[test]
fn ranks_beyond_the_partitions_of_a_run_have_nothing_and_find_the_same() {
    let scenario = read(&format!("{SMALL}approaches = \"ping\"\nheartbeat.interval = \"1s\"\n"));
    assert_eq!(check_over(&scenario, &[30, 60], &[(1, 1), (3, 1), (2, 2)]), 2);
}

#[test]
fn a_point_that_is_broken_off_tells_what_it_has_measured() {
    let scenario = read(&format!("{SMALL}approaches = \"ping\"\nheartbeat.interval = \"1s\"\n"));
    let point = &scenario.points[0];
    let full = whole(&scenario, point, 1);
    for ranks in [1, 2] {
        let (Ending::Broken { at, result }, _) = go(&scenario, point, (ranks, 1), &[], 2) else {
            panic!("two windows are not ten seconds")
        };
        assert!(result.is_none() && at.as_nanos() < 2_000_000_000);
        let (ran, _) = go(&scenario, point, (ranks, 1), &[], 400);
        let Ending::Broken { at, result: Some(result) } = ran else { panic!("{ran:?}") };
        assert_eq!((at.as_nanos() - 2_000_000_000), result.measure.as_nanos());
        assert!(result.measure < point.measure && result.timeline.len() <= full.timeline.len());
        let ratio = result.messages_per_second() / full.messages_per_second();
        assert!((0.7..1.3).contains(&ratio), "rates are of the time that was measured: {ratio}");
    }
}

#[test]
fn a_checkpoint_that_is_of_another_run_or_cut_short_is_refused() {
    let scenario = read(&format!("{SMALL}approaches = [\"ping\", \"swim\"]\n"));
    let (ping, swim) = (&scenario.points[0], &scenario.points[1]);
    let (_, written) = go(&scenario, ping, (2, 1), &[], 50);
    // By the ranks that cannot go on; the others say that they do not either.
    let refused = |scenario: &Scenario, point: &Point, pieces: &[Vec<u8>]| {
        let ends = try_go(scenario, point, (2, 1), pieces, 1);
        let mut errors = Vec::new();
        for (ended, _) in ends {
            match ended {
                Err(RunError::Checkpoint(error)) => errors.push(error),
                Err(RunError::OtherRank) => {}
                ended => panic!("{ended:?}"),
            }
        }
        errors.swap_remove(0)
    };
    let foreign = |error: CheckpointError| assert!(matches!(error, CheckpointError::Foreign(_)), "{error}");
    let damaged = |error: CheckpointError| assert!(matches!(error, CheckpointError::Damaged(_)), "{error}");
    foreign(refused(&scenario, swim, &written));
    let seeded = parse("a.toml", &format!("{SMALL}approaches = \"ping\"\n"), &["seed=9".to_owned()]).unwrap();
    foreign(refused(&seeded, &seeded.points[0], &written));
    let [one, other] = &written[..] else { panic!("there are two ranks") };
    for len in (0..one.len()).step_by(97).chain([one.len() - 1]) {
        damaged(refused(&scenario, ping, &[one[..len].to_vec(), other.clone()]));
    }
    damaged(refused(&scenario, ping, &[[&one[..], &[0]].concat(), other.clone()]));
    damaged(refused(&scenario, ping, std::slice::from_ref(one)));
    damaged(refused(&scenario, ping, &[one.clone(), other.clone(), other.clone()]));
    let (_, later) = go(&scenario, ping, (2, 1), &[], 52);
    damaged(refused(&scenario, ping, &[one.clone(), later[1].clone()]));
}

#[test]
fn a_rank_that_cannot_go_on_keeps_the_others_from_going_on_alone() {
    let scenario = read(&format!("{SMALL}approaches = \"ping\"\n"));
    let point = &scenario.points[0];
    let (_, written) = go(&scenario, point, (2, 1), &[], 50);
    let ends = each_rank(2, |ranks| {
        let watch = Watch { progress: &Progress::default(), clock: &|| 0.0 };
        let times = AtomicU64::new(0);
        let open = |number: usize| {
            let mut bytes = written[number].clone();
            let len = bytes.len() as u64;
            // The disk of the second rank gives something else when it is read again.
            if ranks.share().rank() == 1 && times.fetch_add(1, Ordering::Relaxed) > 0 {
                bytes.truncate(len as usize / 2);
            }
            Ok(Piece::new(Cursor::new(bytes), len))
        };
        let from = Checkpoint::open(2, &open).unwrap();
        let mut keeper = AfterWindows::new(u64::MAX);
        run_kept(
            &scenario,
            point,
            1,
            &watch,
            Keeping { keeper: &mut keeper, from: Some(from), has_spare: false },
            Some(ranks),
        )
    });
    assert!(matches!(ends[0], Err(RunError::OtherRank)), "{:?}", ends[0]);
    assert!(matches!(ends[1], Err(RunError::Checkpoint(_))), "{:?}", ends[1]);
}
