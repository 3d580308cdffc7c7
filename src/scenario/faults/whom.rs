//! Whom a fault hits: nodes of some types, in some regions, and a share of those.

use super::{Context, Item};
use crate::contract::NodeType;
use crate::engine::faults::NodeSet;
use crate::scenario::LatencySpec;
use crate::scenario::codes::Code;
use crate::scenario::keys::Shape;
use crate::scenario::problem::{Draft, Place, nearest};
use crate::scenario::quantity::short;
use crate::scenario::reader::Section;
use crate::scenario::tree::Value;

/// Node types, or regions, of one fault.
const ITEMS_MAX: usize = 64;

/// What is known about regions when faults are read.
#[derive(Clone, Debug)]
pub(in crate::scenario) enum World<'a> {
    /// The latency model is refused, so nothing is.
    Unknown,
    /// The latency model knows no regions.
    Plain,
    /// The names of the regions, and the share of the nodes in each.
    Regions { names: Vec<&'a str>, shares: &'a [f64] },
}

impl<'a> World<'a> {
    /// The regions of a latency model; `None` if it is refused.
    pub(in crate::scenario) fn of(latency: Option<&'a LatencySpec>) -> Self {
        match latency {
            None => World::Unknown,
            Some(LatencySpec::Regions { table, shares, .. }) => {
                World::Regions { names: table.regions.iter().map(String::as_str).collect(), shares }
            }
            Some(_) => World::Plain,
        }
    }
}

/// A set of nodes and where its parts are written.
#[derive(Clone, Debug)]
pub(super) struct Whom {
    pub(super) nodes: NodeSet,
    pub(super) types_at: Option<Place>,
}

impl Whom {
    /// Whether the set names less than every node.
    pub(super) fn is_part(&self) -> bool {
        self.nodes.types != NodeSet::ALL.types || self.nodes.regions != NodeSet::ALL.regions || self.nodes.share < 1.0
    }
}

/// Whether some node may be in both sets.
pub(super) fn meet(one: &NodeSet, other: &NodeSet) -> bool {
    one.regions & other.regions != 0 && one.types.iter().zip(other.types).any(|(one, other)| *one && other)
}

/// Whether every node of `other` is in `one` for certain.
pub(super) fn covers(one: &NodeSet, other: &NodeSet) -> bool {
    one.share >= 1.0
        && one.regions & other.regions == other.regions
        && one.types.iter().zip(other.types).all(|(one, other)| *one || !other)
}

impl Context<'_> {
    /// The nodes of `types`, `regions` and `share`; each that is not written means all. `None` if one is refused.
    pub(super) fn whom(&mut self, item: &Item<'_>) -> Option<Whom> {
        self.sets += 1;
        let number = self.sets;
        let types = self.types(&item.section);
        let regions = self.regions(&item.section, "regions");
        let share = self.reader.field(&item.section, "share", 1.0, |reader, value| {
            reader.number(value, "a share above 0, up to 1", |share| share > 0.0 && share <= 1.0)
        });
        let nodes = NodeSet { types: types?, regions: regions?, share: share.value?, number };
        Some(Whom { nodes, types_at: item.section.get("types").map(|entry| entry.value.at) })
    }

    /// The nodes in the regions that `key` lists.
    pub(super) fn side(&mut self, item: &Item<'_>, key: &str) -> Option<NodeSet> {
        Some(NodeSet { regions: self.regions(&item.section, key)?, ..NodeSet::ALL })
    }

    fn types(&mut self, section: &Section<'_>) -> Option<[bool; 4]> {
        let Some(entry) = section.get("types") else { return Some(NodeSet::ALL.types) };
        let names = NodeType::ALL.map(NodeType::name);
        let mut types = [false; 4];
        let chosen = self.list(&entry.value, "node types", |context, value| {
            let index = context.reader.choice(value, "a node type", &names)?;
            Some((index, names[index].to_owned()))
        })?;
        chosen.into_iter().for_each(|index| types[index] = true);
        Some(types)
    }

    fn regions(&mut self, section: &Section<'_>, key: &str) -> Option<u64> {
        let Some(entry) = section.get(key) else { return Some(NodeSet::ALL.regions) };
        // What may stand here does not depend on whether there are regions.
        self.reader.note_shape(&entry.value, || Shape::Text { what: "a region".to_owned() });
        self.reader.note_list(&entry.value, ITEMS_MAX);
        let world = self.world;
        let (names, shares) = match world {
            World::Unknown => return None,
            World::Plain => {
                let title = "the nodes of this network stand in no regions";
                let draft = Draft::new(entry.key_at, title, format!("remove `{key}`, or name a table of regions"));
                self.reader
                    .report(draft.help("write latency = { model = \"regions\", table = \"aws-13\" } in [network]"));
                return None;
            }
            World::Regions { names, shares } => (names, *shares),
        };
        let chosen = self.list(&entry.value, "regions", |context, value| {
            let index = context.region(value, names)?;
            Some((index, names[index].to_owned()))
        })?;
        if chosen.iter().all(|&index| shares[index] == 0.0) {
            let title = "no node stands in any of these regions";
            let draft = Draft::new(entry.value.at, title, "name a region whose share is above 0");
            self.reader.report(draft);
            return None;
        }
        // All regions and no choice of regions are the same.
        let all = chosen.len() == names.len();
        Some(if all { NodeSet::ALL.regions } else { chosen.iter().fold(0, |mask, index| mask | 1 << index) })
    }

    fn region(&mut self, value: &Value, names: &[&str]) -> Option<usize> {
        let written = self.reader.text(value, "a region", &format!("\"{}\"", names.first().unwrap_or(&"")))?;
        let index = names.iter().position(|name| *name == written);
        if index.is_none() {
            let title = format!("unknown region `{}`", short(written));
            self.reader.report(match nearest(written, names) {
                Some(near) => Draft::new(value.at, title, format!("write \"{near}\"")).code(Code::UnknownWord),
                None => Draft::new(value.at, title, "remove it")
                    .code(Code::UnknownWord)
                    .help(format!("the regions are {}", names.join(", "))),
            });
        }
        index
    }

    /// One value or a list of different ones, each as `read` takes it: a number and its name.
    fn list(
        &mut self,
        value: &Value,
        what: &str,
        read: impl Fn(&mut Self, &Value) -> Option<(usize, String)>,
    ) -> Option<Vec<usize>> {
        let before = self.reader.drafts.len();
        let mut chosen = Vec::new();
        for item in self.reader.items(value, what, ITEMS_MAX) {
            let Some((index, name)) = read(self, item) else { continue };
            if chosen.contains(&index) {
                let title = format!("{name} stands in the list for the second time");
                self.reader.report(Draft::new(item.at, title, "remove it").code(Code::Twice));
            }
            chosen.push(index);
        }
        (self.reader.drafts.len() == before).then_some(chosen)
    }
}
