//! The `[faults]` tables: churn, crashes, crowds, losses, surges and partitions, and the checks that they share.

mod lives;
mod spans;
mod whom;

use super::Point;
use super::keys::Preset;
use super::points::PerMessage;
use super::problem::{Draft, Place};
use super::quantity::span_text;
use super::reader::{Reader, SPAN_MAX, Section};
use super::traces::Traces;
use crate::contract::{NodeType, SimSpan, SimTime};
use crate::engine::faults::{Disturbances, Schedule};

use whom::Whom;
pub(super) use whom::World;

/// What goes wrong in the course of a run. Times count from its start, warm-up included; regions are bits by their
/// index in the table of the latency model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultsSpec {
    /// When nodes come and go. A crowd is an outage from the start on, and one more where it leaves again.
    pub schedule: Schedule,
    /// What disturbs the links between them.
    pub disturbances: Disturbances,
}

impl FaultsSpec {
    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        *self == FaultsSpec::default()
    }
}

const FAULT_KEYS: &[&str] = &["churn", "crash", "crowd", "loss", "surge", "partition"];
/// Faults of one kind.
const FAULTS_MAX: usize = 64;

/// The faults of a file, and what checks need that concern more than faults.
#[derive(Debug)]
pub(super) struct Faults {
    /// `None` if a part is refused.
    pub(super) spec: Option<FaultsSpec>,
    /// Every fault that could be read, refused or not.
    marks: Vec<Mark>,
}

/// Whom a fault hits and when it begins, with the places where that is written.
#[derive(Clone, Debug)]
struct Mark {
    at: Place,
    /// `crash`.
    kind: &'static str,
    /// The sets of nodes that it names.
    whom: Vec<Whom>,
    start: Option<(SimTime, Place)>,
}

/// Reads all faults. `loss` is that of the network, without faults.
pub(super) fn faults(reader: &mut Reader, root: &Section<'_>, world: &World<'_>, loss: f64) -> Faults {
    let before = reader.drafts.len();
    let section = reader.section(root, "faults", FAULT_KEYS);
    let mut context = Context { reader, world, sets: 0, traces: Traces::default(), marks: Vec::new() };
    let schedule =
        Schedule { churns: lives::churns(&mut context, &section), outages: lives::outages(&mut context, &section) };
    let disturbances = Disturbances {
        losses: spans::losses(&mut context, &section, loss),
        surges: spans::surges(&mut context, &section),
        partitions: spans::partitions(&mut context, &section),
    };
    let marks = context.marks;
    // Whatever is left out of the lists was reported.
    let spec = (reader.drafts.len() == before).then_some(FaultsSpec { schedule, disturbances });
    Faults { spec, marks }
}

impl Faults {
    /// What a counted full mesh cannot have.
    pub(super) fn per_message(&self) -> Option<PerMessage> {
        self.marks.first().map(|mark| PerMessage {
            at: mark.at,
            what: "have faults",
            without: "remove the faults",
            why: "a broadcast that is counted reaches every node",
        })
    }

    /// Refuses faults that hit no node of any of `points`, or begin when the longest of them has ended.
    pub(super) fn check(&self, reader: &mut Reader, points: &[Point], longest: Option<SimSpan>) {
        for mark in &self.marks {
            if let (Some((start, at)), Some(longest)) = (mark.start, longest)
                && start >= SimTime::ZERO + longest
            {
                let title = format!("this {} begins at {start}, when every run has ended", mark.kind);
                let label = format!("write a moment before {}, or measure for longer", span_text(longest));
                reader.report(Draft::new(at, title, label));
            }
            for whom in mark.whom.iter().filter(|_| !points.is_empty()) {
                check_types(reader, whom, points);
            }
        }
    }
}

/// Refuses nodes of types that no point has.
fn check_types(reader: &mut Reader, whom: &Whom, points: &[Point]) {
    let Some(at) = whom.types_at else { return };
    let wanted = NodeType::ALL.into_iter().filter(|&node_type| whom.nodes.types[node_type as usize]);
    let exists = |node_type| points.iter().any(|point| point.population.count(node_type) > 0);
    if wanted.clone().any(exists) {
        return;
    }
    let names: Vec<_> = wanted.map(NodeType::name).collect();
    let title = format!("no network of the scenario has a {} node", names.join(" or "));
    let draft = Draft::new(at, title, "name other types, or remove this fault");
    reader.report(draft.help(
        "hierarchical and gossip have the types that [tiers] gives them; all nodes of the other approaches are full",
    ));
}

/// What the readers of all kinds of faults use.
struct Context<'a> {
    reader: &'a mut Reader,
    world: &'a World<'a>,
    /// Sets of nodes so far: their numbers start at 1.
    sets: u32,
    traces: Traces,
    marks: Vec<Mark>,
}

/// One fault in the file.
#[derive(Clone, Copy, Debug)]
struct Item<'t> {
    section: Section<'t>,
    at: Place,
    /// `crash`.
    kind: &'static str,
    /// Which of its kind, from 1.
    number: usize,
}

impl Item<'_> {
    /// The fault in words, for a reader who sees another one: `crash number 2`.
    fn name(&self) -> String {
        format!("{} number {}", self.kind, self.number)
    }
}

impl Context<'_> {
    /// The faults of one kind: a table, or a list of tables.
    fn items<'t>(
        &mut self,
        faults: &Section<'t>,
        kind: &'static str,
        plural: &str,
        known: &'t [&'t str],
    ) -> Vec<Item<'t>> {
        let Some(entry) = faults.get(kind) else { return Vec::new() };
        let mut items = Vec::new();
        for (index, value) in self.reader.items(&entry.value, plural, FAULTS_MAX).iter().enumerate() {
            let section = self.reader.section_of(value, kind, known);
            if section.is_table() {
                items.push(Item { section, at: value.at, kind, number: index + 1 });
            }
        }
        items
    }

    /// The moment `key`, which the fault cannot do without.
    fn moment(&mut self, item: &Item<'_>, key: &str) -> Option<(SimTime, Place)> {
        if let Some(entry) = item.section.get(key) {
            self.reader.note_preset(&entry.value, Preset::Required);
        }
        let found = self.moment_if_any(item, key)?;
        if found.is_none() {
            let title = format!("the {} has no `{key}`", item.kind);
            self.reader.lacks(Some(item.at), title, format!("add {key} = \"60s\""));
        }
        found
    }

    /// The moment `key`, if it is written; `None` if it is refused.
    fn moment_if_any(&mut self, item: &Item<'_>, key: &str) -> Option<Option<(SimTime, Place)>> {
        let Some(entry) = item.section.get(key) else { return Some(None) };
        let span = self.reader.span(&entry.value, SimSpan::ZERO, SPAN_MAX)?;
        Some(Some((SimTime::ZERO + span, entry.value.at)))
    }

    /// The span `key`, zero if it is not written.
    fn span(&mut self, item: &Item<'_>, key: &str) -> Option<SimSpan> {
        let read = |reader: &mut Reader, value: &_| reader.span(value, SimSpan::ZERO, SPAN_MAX);
        self.reader.field(&item.section, key, SimSpan::ZERO, read).value
    }

    /// Remembers the fault for the checks of [`Faults`].
    fn mark(&mut self, item: &Item<'_>, whom: &[&Option<Whom>], start: Option<(SimTime, Place)>) {
        let whom = whom.iter().filter_map(|whom| (*whom).clone()).collect();
        self.marks.push(Mark { at: item.at, kind: item.kind, whom, start });
    }
}
