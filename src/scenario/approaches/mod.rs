//! Mechanisms: approaches that measure one mechanism and report figures of their own, a file each.
//!
//! A new one is a file here, a row of [`KINDS`] and a variant of [`Mechanism`].

mod consensus;
mod discovery;
mod dissemination;
mod kademlia;
mod ledger;
mod mobile;
mod recommended;
mod registry;
mod routing;
mod sharding;

use super::build::{Job, Judging, Ran, RunError};
use super::codes::Code;
use super::keys::Told;
use super::plan::events::Conditions;
use super::problem::{Draft, Place};
use super::reader::{Reader, Section};
use super::tree::Value;
use super::{Point, Scenario};
use crate::contract::{Nodes, Population, Protocol};
use crate::metrics::PointResult;

pub use consensus::ConsensusSpec;
pub use discovery::DiscoverySpec;
pub use dissemination::DisseminationSpec;
pub use kademlia::KademliaSpec;
pub use ledger::LedgerSpec;
pub use mobile::MobileSpec;
pub use recommended::RecommendedSpec;
pub use registry::RegistrySpec;
pub use routing::RoutingSpec;
pub use sharding::ShardingSpec;

/// A kind of mechanism: what stands in `[approach.<name>]`, besides `warmup` and `measure`.
pub(super) struct Kind {
    /// The name in scenario and result files.
    pub(super) name: &'static str,
    /// Its keys, `warmup` and `measure` among them.
    pub(super) keys: &'static [&'static str],
    /// Whether its network has tiers; else all nodes are full nodes.
    pub(super) is_tiered: bool,
    /// Reads its table.
    pub(super) read: fn(&mut Reader, &Section<'_>) -> Option<Vec<Variant>>,
}

/// Every kind, in the order in which they follow the other approaches in [`super::Approach::NAMES`].
pub(super) const KINDS: [Kind; 10] = [
    kademlia::KIND,
    discovery::KIND,
    routing::KIND,
    dissemination::KIND,
    consensus::KIND,
    ledger::KIND,
    mobile::KIND,
    sharding::KIND,
    recommended::KIND,
    registry::KIND,
];

/// One of several ways in which a scenario runs a mechanism.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// What is added to the name of the approach in results, if there are several.
    pub(super) suffix: String,
    pub(super) mechanism: Mechanism,
}

/// A mechanism with its options.
#[expect(clippy::large_enum_variant, reason = "a scenario has few of them")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mechanism {
    /// Nodes find each other, and values, by the exclusive or of ids.
    Kademlia(KademliaSpec),
    /// Light and mobile nodes find their parents through the Kademlia network of the others.
    Discovery(DiscoverySpec),
    /// Nodes attach to parents, replace those that die, and send messages to each other by way of them.
    Routing(RoutingSpec),
    /// Messages of some nodes come to all.
    Dissemination(DisseminationSpec),
    /// Nodes agree on blocks.
    Consensus(ConsensusSpec),
    /// Transactions go up the tiers, and blocks go down.
    Ledger(LedgerSpec),
    /// Mobile nodes say that they live, and spare their batteries.
    Mobile(MobileSpec),
    /// Full nodes keep records, and hand them over.
    Sharding(ShardingSpec),
    /// All of them together.
    Recommended(RecommendedSpec),
    /// Users are registered in shards.
    Registry(RegistrySpec),
}

impl Mechanism {
    pub(super) fn spec(&self) -> &dyn Spec {
        match self {
            Mechanism::Kademlia(spec) => spec,
            Mechanism::Discovery(spec) => spec,
            Mechanism::Routing(spec) => spec,
            Mechanism::Dissemination(spec) => spec,
            Mechanism::Consensus(spec) => spec,
            Mechanism::Ledger(spec) => spec,
            Mechanism::Mobile(spec) => spec,
            Mechanism::Sharding(spec) => spec,
            Mechanism::Recommended(spec) => spec,
            Mechanism::Registry(spec) => spec,
        }
    }

    /// The place of its kind in [`KINDS`].
    pub(super) fn kind(&self) -> usize {
        match self {
            Mechanism::Kademlia(_) => 0,
            Mechanism::Discovery(_) => 1,
            Mechanism::Routing(_) => 2,
            Mechanism::Dissemination(_) => 3,
            Mechanism::Consensus(_) => 4,
            Mechanism::Ledger(_) => 5,
            Mechanism::Mobile(_) => 6,
            Mechanism::Sharding(_) => 7,
            Mechanism::Recommended(_) => 8,
            Mechanism::Registry(_) => 9,
        }
    }
}

/// The nodes and the state of each partition, as figures are taken from them: a protocol may be a layer of another.
pub(super) fn states_of<P: Protocol>(outcome: &Ran<P>) -> Vec<(Nodes, &P::State)> {
    outcome.states.iter().map(|(nodes, state)| (nodes.clone(), state)).collect()
}

/// One value or a list of up to `most`, none of them twice; `default` if the key is not there.
fn several<T: PartialEq + Clone + Told>(
    reader: &mut Reader,
    own: &Section<'_>,
    key: &str,
    default: &[T],
    most: usize,
    mut read: impl FnMut(&mut Reader, &Value) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(entry) = own.get(key) else { return Some(default.to_vec()) };
    reader.note_preset(&entry.value, default.told());
    let mut values = Vec::new();
    for item in reader.items(&entry.value, key, most) {
        let value = read(reader, item)?;
        if values.contains(&value) {
            let title = format!("{} stands in the list `{key}` for the second time", item.found());
            reader.report(Draft::new(item.at, title, "remove it").code(Code::Twice));
            return None;
        }
        values.push(value);
    }
    Some(values).filter(|values| !values.is_empty())
}

/// One of the words `known` or a list of them, as places in it. `what` names one.
fn words(
    reader: &mut Reader,
    own: &Section<'_>,
    key: &str,
    what: &str,
    known: &[&str],
    default: &[usize],
) -> Option<Vec<usize>> {
    several(reader, own, key, default, known.len(), |reader, value| reader.choice(value, what, known))
}

/// What the rest of this room asks of a mechanism.
pub(super) trait Spec {
    /// Refuses what does not go with `population`; `at` is where the approach is named.
    fn check(&self, _reader: &mut Reader, _population: Population, _at: Place) {}

    /// All its options as a text, for the hash of the scenario.
    fn canonical(&self) -> String;

    /// Memory that its nodes take besides what the engine does, in bytes.
    fn memory(&self, scenario: &Scenario, point: &Point) -> u64;

    /// The part of that which ranks do not share out: what each of them has for all nodes, and what rank 0 gathers.
    fn undivided(&self, _scenario: &Scenario, _point: &Point) -> u64 {
        0
    }

    /// Whether its nodes have links that are drawn before the run.
    fn has_links(&self) -> bool {
        false
    }

    /// Deliveries and timers of a run under the conditions `on`, about; nodes that come and go are not among them.
    fn events(&self, scenario: &Scenario, point: &Point, on: &Conditions) -> f64;

    /// How many kinds of messages its protocol has.
    fn kinds(&self) -> usize;

    /// Messages that all its nodes send together in a second, about.
    fn messages_per_second(&self, scenario: &Scenario, point: &Point) -> f64;

    /// How its nodes judge others, if they do.
    fn judging(&self, _scenario: &Scenario, _point: &Point) -> Option<Judging> {
        None
    }

    /// Whether its nodes choose whom they talk to, near or far.
    fn chooses_peers(&self) -> bool {
        false
    }

    /// Runs it.
    ///
    /// # Errors
    /// As [`run_with`](Job::run_with).
    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError>;
}
