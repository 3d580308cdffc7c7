//! Verdicts against the truth: how soon failures are noticed, which never are, and how often a node that is up is
//! taken for down.
//!
//! A *failure* is a node going down, by crash or leave, in the measured span. It ends when the node comes back or when
//! the run ends. Nodes that are away from the start have not failed. What happens at the same nanosecond is taken in
//! this order: nodes come and go first, then verdicts, so a verdict at the very moment of a failure notices it.
//!
//! A verdict stays open until its observer changes its mind or goes down itself. An open verdict at the moment of the
//! failure (until then a wrong one) notices the failure at once.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use rayon::prelude::*;

use super::lives::{Judgement, LifeEvent, Lives, Turn};
use crate::contract::{NodeId, NodeType, Population, SimSpan, SimTime, Verdict};

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FailureKind {
    /// From one moment to the next.
    Crash,
    /// In good order.
    Leave,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [FailureKind; 2] = [FailureKind::Crash, FailureKind::Leave];

    /// The name in result files.
    pub const fn name(self) -> &'static str {
        match self {
            FailureKind::Crash => "crash",
            FailureKind::Leave => "leave",
        }
    }

    /// The kind of failure that `turn` is, if it is one.
    pub const fn of(turn: Turn) -> Option<FailureKind> {
        match turn {
            Turn::Crashed => Some(FailureKind::Crash),
            Turn::Left => Some(FailureKind::Leave),
            Turn::Joined => None,
        }
    }
}

/// How sure an observer is that a node is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// It suspects the node, or takes it for down.
    Suspected,
    /// It takes the node for down.
    Down,
}

impl Stage {
    /// Every stage, the first one first.
    pub const ALL: [Stage; 2] = [Stage::Suspected, Stage::Down];

    /// The name in result files.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Suspected => "suspected",
            Stage::Down => "down",
        }
    }
}

/// What verdicts are judged by.
#[derive(Clone, Debug)]
pub struct Truth<'a> {
    /// Nodes by type.
    pub population: Population,
    /// Failures and wrong verdicts in this span count.
    pub measured: Range<SimTime>,
    /// When the run ended.
    pub end: SimTime,
    /// By type of node: a failure that nobody has noticed when the run ends counts as never noticed if it is at least
    /// this old, and is undecided otherwise.
    pub patience: [SimSpan; 4],
    /// Who came and went, in order of time.
    pub lives: &'a [LifeEvent],
}

/// How well the verdicts of a run fit the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The name of the detector.
    pub detector: String,
    /// The failures of all nodes, then those of each type that has nodes. Of these, failures of both kinds first, then
    /// each kind that occurred.
    pub groups: Vec<FailureGroup>,
}

/// Failures of some nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// The type of the nodes that failed; `None` for all.
    pub node_type: Option<NodeType>,
    /// How they failed; `None` for all.
    pub kind: Option<FailureKind>,
    /// How many failures.
    pub failures: u64,
    /// What became of them, stage by stage; [`Stage::Suspected`] only if any node of the run was suspected.
    pub stages: Vec<StageFigures>,
    /// Verdicts that took a node of this type for down though it was up; where both kinds of failure are meant.
    pub wrong: Option<WrongVerdicts>,
}

/// How failures were noticed. `noticed + never + undecided` are all failures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageFigures {
    /// How sure an observer has to be.
    pub stage: Stage,
    /// Failures that somebody noticed.
    pub noticed: u64,
    /// Failures that nobody noticed before the node came back, or before the run ended, though they lasted for the
    /// patience that [`Truth::patience`] grants.
    pub never: u64,
    /// Failures that nobody noticed before the run ended, and that were younger.
    pub undecided: u64,
    /// Times from a failure to its first observer, over failures that were noticed.
    pub first: Option<Times>,
    /// Times from a failure to each observer that noticed it; an observer counts once for a failure.
    pub each: Option<Times>,
}

impl StageFigures {
    /// Failures never noticed among those that are decided; `None` if none is.
    pub fn share_never(&self) -> Option<f64> {
        let decided = self.noticed + self.never;
        (decided > 0).then(|| self.never as f64 / decided as f64)
    }
}

/// Spans of time, exactly; percentiles are of the nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50: SimSpan,
    /// 90th percentile.
    pub p90: SimSpan,
    /// 99th percentile.
    pub p99: SimSpan,
    /// The longest.
    pub max: SimSpan,
    /// Arithmetic mean, in seconds.
    pub mean_s: f64,
}

impl Times {
    /// The figures of `nanos`, which is put in order; `None` if there are none.
    pub fn of(nanos: &mut [u64]) -> Option<Times> {
        nanos.par_sort_unstable();
        let count = nanos.len();
        let sum: u128 = nanos.iter().map(|&nanos| u128::from(nanos)).sum();
        let rank = |percent: usize| SimSpan::from_nanos(nanos[(count * percent).div_ceil(100) - 1]);
        let max = SimSpan::from_nanos(*nanos.last()?);
        let mean_s = sum as f64 / count as f64 / 1e9;
        Some(Times { count: count as u64, p50: rank(50), p90: rank(90), p99: rank(99), max, mean_s })
    }
}

/// Verdicts that took a node for down at a moment when it was up.
///
/// A verdict that was right while its subject was down and that stays after the subject came back is not among them, nor
/// is the step from suspecting to taking for down when the suspicion was right then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WrongVerdicts {
    /// How many in the measured span.
    pub verdicts: u64,
    /// Hours that the nodes were up in the measured span, added up over nodes.
    pub node_hours: f64,
}

impl WrongVerdicts {
    /// Wrong verdicts in an hour of one node; `None` if no node was up.
    pub fn per_node_hour(&self) -> Option<f64> {
        (self.node_hours > 0.0).then(|| self.verdicts as f64 / self.node_hours)
    }
}

impl Detection {
    /// Judges the `judgements` of a run, in any order, by `truth`. `detector` names what made them.
    ///
    /// With e life events and j judgements takes O((e + j) log(e + j)) time, and 8 bytes for each notice of a failure.
    pub fn of(detector: &str, truth: &Truth<'_>, mut judgements: Vec<Judgement>) -> Detection {
        let key = |judgement: &Judgement| {
            let Judgement { time, observer, subject, verdict } = *judgement;
            (subject, time, observer, verdict)
        };
        judgements.par_sort_unstable_by_key(key);
        let lives = Lives::new(truth.lives);
        let mut court = Court { truth, lives: &lives, tally: Tally::default(), minds: BTreeMap::new() };
        let mut rest = &judgements[..];
        let mut lives_left = lives.all();
        while let Some(subject) = next_subject(lives_left, rest) {
            let events = split(&mut lives_left, |event| event.node == subject);
            let verdicts = split(&mut rest, |judgement| judgement.subject == subject);
            court.hear(subject, events, verdicts);
        }
        let suspects = judgements.iter().any(|judgement| judgement.verdict == Verdict::Suspected);
        Detection { detector: detector.to_owned(), groups: court.tally.groups(truth, suspects) }
    }

    /// All failures of all nodes.
    pub fn total(&self) -> &FailureGroup {
        &self.groups[0]
    }
}

fn next_subject(lives: &[LifeEvent], judgements: &[Judgement]) -> Option<NodeId> {
    let event = lives.first().map(|event| event.node);
    let judged = judgements.first().map(|judgement| judgement.subject);
    event.into_iter().chain(judged).min()
}

/// Takes off the front of `rest` what `belongs` together.
fn split<'a, T>(rest: &mut &'a [T], belongs: impl Fn(&T) -> bool) -> &'a [T] {
    let (front, back) = rest.split_at(rest.iter().position(|item| !belongs(item)).unwrap_or(rest.len()));
    *rest = back;
    front
}

/// What an observer thinks of the subject that is being heard.
#[derive(Clone, Copy, Debug, Default)]
struct Mind {
    /// The open verdict, unless the observer went down after `since`.
    stage: Option<Stage>,
    since: SimTime,
    /// Whether the subject was down at some moment while the verdict was open.
    right: bool,
    /// By stage: the failure of the subject that was noticed last, counted from 1.
    noticed: [u32; 2],
}

/// A failure of the subject that is being heard.
#[derive(Clone, Copy, Debug)]
struct Failure {
    /// Counted from 1.
    number: u32,
    at: SimTime,
    kind: FailureKind,
    /// Whether it is in the measured span.
    counts: bool,
    /// When it was first noticed, by stage.
    first: [Option<SimTime>; 2],
}

/// Hears one subject after the other.
struct Court<'a> {
    truth: &'a Truth<'a>,
    lives: &'a Lives,
    tally: Tally,
    /// By observer; of the current subject.
    minds: BTreeMap<NodeId, Mind>,
}

impl Court<'_> {
    /// Goes through all that happened to `subject` and all that was thought of it, both in order of time.
    fn hear(&mut self, subject: NodeId, events: &[LifeEvent], mut verdicts: &[Judgement]) {
        let node_type = self.truth.population.type_of(subject);
        self.minds.clear();
        let (mut failure, mut number) = (None, 0);
        for event in events {
            let earlier = split(&mut verdicts, |judgement| judgement.time < event.time);
            earlier.iter().for_each(|judgement| self.take(node_type, &mut failure, judgement));
            match (FailureKind::of(event.turn), failure.take()) {
                (Some(kind), None) => {
                    number += 1;
                    failure = Some(self.open(node_type, number, kind, event.time));
                }
                (None, Some(over)) => self.close(node_type, &over, event.time, true),
                // It goes when it is gone, or comes when it is there: nothing changes.
                (_, unchanged) => failure = unchanged,
            }
        }
        verdicts.iter().for_each(|judgement| self.take(node_type, &mut failure, judgement));
        if let Some(lasting) = failure {
            self.close(node_type, &lasting, self.truth.end, false);
        }
    }

    /// The subject goes down. Whoever takes it for down already has noticed at once.
    fn open(&mut self, node_type: NodeType, number: u32, kind: FailureKind, at: SimTime) -> Failure {
        let counts = at > SimTime::ZERO && self.truth.measured.contains(&at);
        let mut failure = Failure { number, at, kind, counts, first: [None; 2] };
        let lives = self.lives;
        self.minds.retain(|&observer, mind| mind.stage.is_some() && !lives.goes_down(observer, mind.since, at));
        let cell = self.tally.cell(node_type, kind);
        cell.failures += u64::from(counts);
        for mind in self.minds.values_mut() {
            mind.right = true;
            notice(cell, &mut failure, mind, at);
        }
        failure
    }

    /// The subject is back, or the run is over.
    fn close(&mut self, node_type: NodeType, failure: &Failure, end: SimTime, is_back: bool) {
        let Range { start, end: measured_end } = self.truth.measured;
        let away = end.min(measured_end).since(failure.at.max(start));
        self.tally.away[node_type as usize] += u128::from(away.as_nanos());
        if !failure.counts {
            return;
        }
        let outlasts = end.since(failure.at) >= self.truth.patience[node_type as usize];
        let cell = self.tally.cell(node_type, failure.kind);
        for (stage, first) in cell.stages.iter_mut().zip(failure.first) {
            match first {
                Some(first) => stage.first.push(first.since(failure.at).as_nanos()),
                None if is_back || outlasts => stage.never += 1,
                None => stage.undecided += 1,
            }
        }
    }

    /// A verdict. `failure` is that of the subject, if it is down.
    fn take(&mut self, node_type: NodeType, failure: &mut Option<Failure>, judgement: &Judgement) {
        let Judgement { time, observer, verdict, .. } = *judgement;
        // A node that is down decides nothing.
        if !self.lives.is_up(observer, time) {
            return;
        }
        let mind = self.minds.entry(observer).or_default();
        if mind.stage.is_some() && self.lives.goes_down(observer, mind.since, time) {
            (mind.stage, mind.right) = (None, false);
        }
        let before = mind.stage;
        mind.stage = match verdict {
            Verdict::Up => None,
            Verdict::Suspected => Some(Stage::Suspected),
            Verdict::Down => Some(Stage::Down),
        };
        mind.since = time;
        if mind.stage.is_none() {
            mind.right = false;
            return;
        }
        if let Some(failure) = failure {
            mind.right = true;
            notice(self.tally.cell(node_type, failure.kind), failure, mind, time);
        } else if mind.stage == Some(Stage::Down) && before != Some(Stage::Down) && !mind.right {
            self.tally.wrong[node_type as usize] += u64::from(self.truth.measured.contains(&time));
        }
    }
}

/// The observer whose `mind` this is takes the subject for down, or suspects it, during its `failure`.
fn notice(cell: &mut Cell, failure: &mut Failure, mind: &mut Mind, time: SimTime) {
    for stage in Stage::ALL {
        let index = stage as usize;
        if mind.stage < Some(stage) || mind.noticed[index] == failure.number {
            continue;
        }
        mind.noticed[index] = failure.number;
        failure.first[index].get_or_insert(time);
        if failure.counts {
            cell.stages[index].each.push(time.since(failure.at).as_nanos());
        }
    }
}

/// Failures of one kind of the nodes of one type.
#[derive(Clone, Debug, Default)]
struct Cell {
    failures: u64,
    stages: [StageTally; 2],
}

#[derive(Clone, Debug, Default)]
struct StageTally {
    /// Nanoseconds from a failure to its first observer.
    first: Vec<u64>,
    /// Nanoseconds from a failure to each observer.
    each: Vec<u64>,
    never: u64,
    undecided: u64,
}

#[derive(Debug, Default)]
struct Tally {
    /// By type of node and kind of failure.
    cells: [[Cell; 2]; 4],
    /// Wrong verdicts by type of the subject.
    wrong: [u64; 4],
    /// Nanoseconds of the measured span that nodes were away, by type.
    away: [u128; 4],
}

impl Tally {
    fn cell(&mut self, node_type: NodeType, kind: FailureKind) -> &mut Cell {
        &mut self.cells[node_type as usize][kind as usize]
    }

    fn groups(&self, truth: &Truth<'_>, suspects: bool) -> Vec<FailureGroup> {
        let of_nodes = NodeType::ALL.into_iter().filter(|&node_type| truth.population.count(node_type) > 0);
        let mut groups = Vec::new();
        for node_type in std::iter::once(None).chain(of_nodes.map(Some)) {
            for kind in std::iter::once(None).chain(FailureKind::ALL.map(Some)) {
                let group = self.group(truth, suspects, node_type, kind);
                if kind.is_none() || group.failures > 0 {
                    groups.push(group);
                }
            }
        }
        groups
    }

    fn group(
        &self,
        truth: &Truth<'_>,
        suspects: bool,
        node_type: Option<NodeType>,
        kind: Option<FailureKind>,
    ) -> FailureGroup {
        let types: Vec<NodeType> = node_type.map_or(NodeType::ALL.to_vec(), |node_type| vec![node_type]);
        let kinds: Vec<FailureKind> = kind.map_or(FailureKind::ALL.to_vec(), |kind| vec![kind]);
        let rows = types.iter().map(|&node_type| &self.cells[node_type as usize]);
        let cells: Vec<&Cell> = rows.flat_map(|row| kinds.iter().map(|&kind| &row[kind as usize])).collect();
        let stages = Stage::ALL.into_iter().filter(|&stage| suspects || stage == Stage::Down);
        FailureGroup {
            node_type,
            kind,
            failures: cells.iter().map(|cell| cell.failures).sum(),
            stages: stages.map(|stage| figures(stage, &cells)).collect(),
            wrong: kind.is_none().then(|| self.wrong(truth, &types)),
        }
    }

    fn wrong(&self, truth: &Truth<'_>, types: &[NodeType]) -> WrongVerdicts {
        const HOUR_NANOS: f64 = 3.6e12;
        let measured = truth.measured.end.min(truth.end).since(truth.measured.start);
        let up = |node_type: NodeType| {
            let all = u128::from(truth.population.count(node_type)) * u128::from(measured.as_nanos());
            all - self.away[node_type as usize]
        };
        WrongVerdicts {
            verdicts: types.iter().map(|&node_type| self.wrong[node_type as usize]).sum(),
            node_hours: types.iter().map(|&node_type| up(node_type)).sum::<u128>() as f64 / HOUR_NANOS,
        }
    }
}

fn figures(stage: Stage, cells: &[&Cell]) -> StageFigures {
    let tallies: Vec<&StageTally> = cells.iter().map(|cell| &cell.stages[stage as usize]).collect();
    let all = |pick: fn(&StageTally) -> &[u64]| tallies.iter().flat_map(|tally| pick(tally)).copied().collect();
    let (mut first, mut each): (Vec<u64>, Vec<u64>) = (all(|tally| &tally.first), all(|tally| &tally.each));
    StageFigures {
        stage,
        noticed: first.len() as u64,
        never: tallies.iter().map(|tally| tally.never).sum(),
        undecided: tallies.iter().map(|tally| tally.undecided).sum(),
        first: Times::of(&mut first),
        each: Times::of(&mut each),
    }
}

#[cfg(test)]
mod tests;
