//! Tests of judging verdicts: histories made by hand, and random ones against a naive replay.

use proptest::prelude::*;

use super::*;

/// Node 0 is super, 1 to 3 are full, 4 and 5 light.
const COUNTS: [u64; 4] = [1, 3, 2, 0];
const SECOND: u64 = 1_000_000_000;

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn crash(secs: u64, node: NodeId) -> LifeEvent {
    LifeEvent { time: at(secs), node, turn: Turn::Crashed }
}

fn leave(secs: u64, node: NodeId) -> LifeEvent {
    LifeEvent { turn: Turn::Left, ..crash(secs, node) }
}

fn join(secs: u64, node: NodeId) -> LifeEvent {
    LifeEvent { turn: Turn::Joined, ..crash(secs, node) }
}

fn says(secs: u64, observer: NodeId, subject: NodeId, verdict: Verdict) -> Judgement {
    Judgement { time: at(secs), observer, subject, verdict }
}

fn truth(lives: &[LifeEvent]) -> Truth<'_> {
    let population = Population::new(COUNTS).unwrap();
    let patience = [30, 30, 60, 60].map(SimSpan::from_secs);
    Truth { population, measured: at(10)..at(100), end: at(100), patience, lives }
}

fn detect(lives: &[LifeEvent], judgements: &[Judgement]) -> Detection {
    Detection::of("timeout", &truth(lives), judgements.to_vec())
}

/// The figures of the stage in which a node is taken for down, over all nodes.
fn down(detection: &Detection) -> StageFigures {
    *detection.total().stages.last().unwrap()
}

fn wrong(detection: &Detection) -> u64 {
    detection.total().wrong.unwrap().verdicts
}

/// Seconds at which a failure was noticed: first, and by each.
fn seconds(figures: &StageFigures) -> [Vec<u64>; 2] {
    [figures.first, figures.each].map(|times| {
        let times = times.iter().flat_map(|times| [times.p50, times.p90, times.p99, times.max]);
        times.map(|time| time.as_nanos() / SECOND).collect()
    })
}

use Verdict::{Down, Suspected, Up};

#[test]
fn a_failure_is_noticed_by_its_first_observer_and_by_each() {
    let judgements = [says(25, 1, 4, Down), says(21, 2, 4, Down), says(27, 0, 4, Down), says(28, 2, 4, Down)];
    let detection = detect(&[crash(20, 4)], &judgements);
    let figures = down(&detection);
    assert_eq!((figures.noticed, figures.never, figures.undecided), (1, 0, 0));
    assert_eq!(seconds(&figures), [vec![1; 4], vec![5, 7, 7, 7]]);
    assert_eq!(figures.each.map(|times| (times.count, times.mean_s)), Some((3, 13.0 / 3.0)), "nobody counts twice");
    assert_eq!(detection.total().stages.len(), 1, "nobody was suspected");
    let places: Vec<_> = detection.groups.iter().map(|group| (group.node_type, group.kind, group.failures)).collect();
    let (full, light, super_node) = (NodeType::FullNode, NodeType::LightNode, NodeType::SuperNode);
    let crash = Some(FailureKind::Crash);
    let expected = [
        (None, None, 1),
        (None, crash, 1),
        (Some(super_node), None, 0),
        (Some(full), None, 0),
        (Some(light), None, 1),
        (Some(light), crash, 1),
    ];
    assert_eq!(places, expected, "types without nodes and kinds that did not occur are left out");
    assert_eq!(wrong(&detection), 0);
}

#[test]
fn crashes_are_told_from_leaves() {
    let lives = [crash(20, 4), leave(30, 1), join(50, 1), leave(60, 1)];
    let detection = detect(&lives, &[says(24, 0, 4, Down), says(31, 0, 1, Down), says(51, 0, 1, Up)]);
    let failures = |node_type: Option<NodeType>, kind| {
        let mut groups = detection.groups.iter().filter(|group| (group.node_type, group.kind) == (node_type, kind));
        groups.next().map(|group| (group.failures, group.stages[0].noticed, group.stages[0].never))
    };
    assert_eq!(failures(None, None), Some((3, 2, 1)), "the second leave is 40 s old at the end");
    assert_eq!(failures(None, Some(FailureKind::Leave)), Some((2, 1, 1)));
    assert_eq!(failures(Some(NodeType::LightNode), Some(FailureKind::Leave)), None);
    assert_eq!(down(&detection).share_never(), Some(1.0 / 3.0));
}

#[test]
fn what_is_younger_than_patience_at_the_end_is_undecided() {
    for (secs, never, undecided) in [(40, 1, 0), (41, 0, 1), (99, 0, 1)] {
        let detection = detect(&[crash(secs, 5)], &[]);
        let figures = down(&detection);
        assert_eq!((figures.noticed, figures.never, figures.undecided), (0, never, undecided), "light nodes: 60 s");
        assert_eq!(figures.share_never(), (never > 0).then_some(1.0));
    }
    let back = down(&detect(&[crash(90, 5), join(91, 5)], &[says(95, 0, 5, Down)]));
    assert_eq!((back.noticed, back.never, back.undecided), (0, 1, 0), "it came back before anyone noticed");
}

#[test]
fn whoever_takes_a_node_for_down_when_it_fails_notices_at_once() {
    let early = [says(15, 1, 4, Down), says(15, 2, 4, Down), says(16, 2, 4, Up), says(40, 2, 4, Down)];
    let detection = detect(&[crash(20, 4)], &early);
    assert_eq!(wrong(&detection), 2, "until then they were wrong");
    assert_eq!(seconds(&down(&detection)), [vec![0; 4], vec![0, 20, 20, 20]]);
    // The first stays in its verdict over the return of the node, and so notices the second failure at once.
    let detection = detect(&[crash(20, 4), join(30, 4), crash(50, 4)], &[says(25, 1, 4, Down)]);
    assert_eq!((wrong(&detection), seconds(&down(&detection))[0].clone()), (0, vec![0, 5, 5, 5]));
}

#[test]
fn an_observer_that_goes_down_takes_its_verdicts_with_it() {
    let lives = [crash(18, 1), join(19, 1), crash(20, 4)];
    let detection = detect(&lives, &[says(15, 1, 4, Down), says(33, 1, 4, Down), says(34, 1, 4, Up)]);
    assert_eq!(wrong(&detection), 1);
    assert_eq!(seconds(&down(&detection))[0][0], 13, "of failures at 18 (never) and 20");
    let detection = detect(&lives[..2], &[says(18, 1, 4, Down), says(15, 1, 4, Down), says(33, 1, 4, Down)]);
    assert_eq!(wrong(&detection), 2, "the second verdict is new, and one of a node that is down is none");
}

#[test]
fn a_verdict_at_the_very_moment_of_a_turn_comes_after_it() {
    let detection = detect(&[crash(20, 4), join(30, 4)], &[says(20, 0, 4, Down), says(30, 1, 4, Down)]);
    assert_eq!((wrong(&detection), seconds(&down(&detection))[1].clone()), (1, vec![0; 4]));
}

#[test]
fn a_wrong_verdict_that_follows_from_a_right_one_is_not_counted() {
    let lives = [crash(20, 4), join(30, 4)];
    assert_eq!(wrong(&detect(&lives, &[says(25, 0, 4, Down), says(35, 0, 4, Down)])), 0);
    assert_eq!(wrong(&detect(&lives, &[says(25, 0, 4, Suspected), says(35, 0, 4, Down)])), 0);
    assert_eq!(wrong(&detect(&lives, &[says(25, 0, 4, Down), says(31, 0, 4, Up), says(35, 0, 4, Down)])), 1);
    assert_eq!(wrong(&detect(&lives, &[says(31, 0, 4, Suspected), says(35, 0, 4, Down)])), 1);
    assert_eq!(wrong(&detect(&lives, &[says(35, 0, 4, Suspected)])), 0, "a suspicion is no verdict yet");
    assert_eq!(wrong(&detect(&[], &[says(9, 0, 4, Down), says(12, 1, 4, Down)])), 1, "the warm-up is not measured");
}

#[test]
fn suspicions_are_a_stage_of_their_own() {
    let judgements = [says(22, 1, 4, Suspected), says(26, 1, 4, Down), says(24, 0, 4, Down)];
    let detection = detect(&[crash(20, 4), crash(30, 5)], &judgements);
    let [suspected, down] = &detection.total().stages[..] else { panic!("two stages") };
    assert_eq!((suspected.stage, down.stage), (Stage::Suspected, Stage::Down));
    assert_eq!(seconds(suspected), [vec![2; 4], vec![2, 4, 4, 4]]);
    assert_eq!(seconds(down), [vec![4; 4], vec![4, 6, 6, 6]]);
    assert_eq!((suspected.never, down.never), (1, 1));
}

#[test]
fn failures_count_in_the_measured_span_and_node_hours_are_those_of_nodes_that_are_up() {
    let lives = [leave(0, 1), crash(5, 2), join(20, 1), join(30, 2), crash(60, 2)];
    let detection = detect(&lives, &[says(7, 0, 2, Down), says(62, 0, 2, Down)]);
    assert_eq!(detection.total().failures, 1, "one was away from the start, one failed in the warm-up");
    assert_eq!(seconds(&down(&detection))[0][0], 0, "nobody had changed its mind since");
    let hours = |node_type: Option<NodeType>| {
        let mut groups = detection.groups.iter().filter(|group| group.node_type == node_type);
        groups.find_map(|group| group.wrong).unwrap().node_hours * 3_600.0
    };
    let full = 3.0 * 90.0 - 10.0 - 20.0 - 40.0;
    assert!((hours(Some(NodeType::FullNode)) - full).abs() < 1e-9, "{}", hours(Some(NodeType::FullNode)));
    assert!((hours(None) - full - 3.0 * 90.0).abs() < 1e-9);
    let mut from_zero = truth(&lives[..1]);
    from_zero.measured = at(0)..at(100);
    assert_eq!(Detection::of("phi", &from_zero, Vec::new()).total().failures, 0, "away from the start");
    let rate = WrongVerdicts { verdicts: 3, node_hours: 6.0 }.per_node_hour();
    assert_eq!((rate, WrongVerdicts { verdicts: 0, node_hours: 0.0 }.per_node_hour()), (Some(0.5), None));
}

/// One failure as the naive replay knows it.
struct Known {
    node: NodeId,
    kind: FailureKind,
    at: SimTime,
    end: SimTime,
    is_back: bool,
    /// By stage: who noticed, and when.
    notices: [Vec<(NodeId, SimTime)>; 2],
}

/// A replay moment by moment over all pairs of nodes.
fn naive(truth: &Truth<'_>, judgements: &[Judgement]) -> Detection {
    const NODES: usize = 6;
    let mut times: Vec<SimTime> = truth.lives.iter().map(|event| event.time).collect();
    times.extend(judgements.iter().map(|judgement| judgement.time));
    times.sort();
    times.dedup();
    let mut open: [[Option<(Stage, bool)>; NODES]; NODES] = [[None; NODES]; NODES];
    let mut current: [Option<usize>; NODES] = [None; NODES];
    let mut known: Vec<Known> = Vec::new();
    let mut wrong = [0; 4];
    let mark = |known: &mut Known, stage: Stage, observer: NodeId, time| {
        for index in 0..=stage as usize {
            if known.notices[index].iter().all(|(other, _)| *other != observer) {
                known.notices[index].push((observer, time));
            }
        }
    };
    for &time in &times {
        for event in truth.lives.iter().filter(|event| event.time == time) {
            let node = event.node as usize;
            let Some(kind) = FailureKind::of(event.turn) else {
                if let Some(over) = current[node].take() {
                    (known[over].end, known[over].is_back) = (time, true);
                }
                continue;
            };
            if current[node].is_some() {
                continue;
            }
            current[node] = Some(known.len());
            let notices = [Vec::new(), Vec::new()];
            known.push(Known { node: event.node, kind, at: time, end: truth.end, is_back: false, notices });
            open[node] = [None; NODES];
        }
        // Observers that fail at the same moment have lost their verdicts by now.
        for (observer, row) in open.iter_mut().enumerate() {
            for (subject, cell) in row.iter_mut().enumerate() {
                let (Some(failure), Some((stage, right))) = (current[subject], cell) else { continue };
                *right = true;
                mark(&mut known[failure], *stage, observer as NodeId, time);
            }
        }
        for judgement in judgements.iter().filter(|judgement| judgement.time == time) {
            let (observer, subject) = (judgement.observer as usize, judgement.subject as usize);
            if current[observer].is_some() {
                continue;
            }
            let cell = &mut open[observer][subject];
            let stage = match judgement.verdict {
                Up => {
                    *cell = None;
                    continue;
                }
                Suspected => Stage::Suspected,
                Down => Stage::Down,
            };
            let right = cell.is_some_and(|(_, right)| right);
            if let Some(failure) = current[subject] {
                mark(&mut known[failure], stage, judgement.observer, time);
                *cell = Some((stage, true));
                continue;
            }
            if stage == Stage::Down && cell.is_none_or(|(before, _)| before != Stage::Down) && !right {
                let node_type = truth.population.type_of(judgement.subject);
                wrong[node_type as usize] += u64::from(truth.measured.contains(&time));
            }
            *cell = Some((stage, right));
        }
    }
    let mut tally = Tally { wrong, ..Tally::default() };
    for failure in known {
        let node_type = truth.population.type_of(failure.node);
        let during = (failure.at.as_nanos()..failure.end.as_nanos()).step_by(SECOND as usize);
        let seconds = during.filter(|&nanos| truth.measured.contains(&SimTime::from_nanos(nanos))).count();
        tally.away[node_type as usize] += seconds as u128 * u128::from(SECOND);
        if failure.at == SimTime::ZERO || !truth.measured.contains(&failure.at) {
            continue;
        }
        let patience = truth.patience[node_type as usize];
        let cell = tally.cell(node_type, failure.kind);
        cell.failures += 1;
        for (stage, notices) in cell.stages.iter_mut().zip(&failure.notices) {
            let mut times: Vec<u64> = notices.iter().map(|(_, time)| time.since(failure.at).as_nanos()).collect();
            times.sort_unstable();
            stage.first.extend(times.first());
            let decided = failure.is_back || failure.end.since(failure.at) >= patience;
            stage.never += u64::from(times.is_empty() && decided);
            stage.undecided += u64::from(times.is_empty() && !decided);
            stage.each.extend(times);
        }
    }
    let suspects = judgements.iter().any(|judgement| judgement.verdict == Suspected);
    Detection { detector: "x".to_owned(), groups: tally.groups(truth, suspects) }
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![Just(Turn::Crashed), Just(Turn::Left), Just(Turn::Joined)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Suspected), Just(Down), Just(Down), Just(Up)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_history_is_judged_as_a_naive_replay_judges_it(
        lives in prop::collection::vec((0..100u64, 0..6u32, turn()), 0..30),
        judgements in prop::collection::vec((0..100u64, 0..6u32, 0..6u32, verdict()), 0..60),
    ) {
        let mut lives: Vec<_> =
            lives.into_iter().map(|(secs, node, turn)| LifeEvent { time: at(secs), node, turn }).collect();
        lives.sort();
        let judgements = judgements.into_iter().filter(|(_, observer, subject, _)| observer != subject);
        let mut judgements: Vec<_> =
            judgements.map(|(secs, observer, subject, verdict)| says(secs, observer, subject, verdict)).collect();
        judgements.sort();
        let truth = truth(&lives);
        prop_assert_eq!(Detection::of("x", &truth, judgements.clone()), naive(&truth, &judgements));
    }
}
