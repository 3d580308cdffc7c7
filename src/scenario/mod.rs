//! Scenarios: a TOML file, taken as hostile input, becomes a [`Scenario`] that can be run, or all that is wrong with it.
//!
//! The way of a file: a spanned tree (`tree`) is merged with those that it extends (`extends`) and takes the overrides in
//! (`overrides`), which makes a `document`; a `reader` takes typed values out of it table by table (`network`, `tiers`,
//! `topology`, `options`, `approaches`, `thresholds`) and out of the `files` that it names, `points` combines them, and
//! whatever is wrong on the way becomes a `problem` with its place, without stopping. A `sweep` changes the tree for each of
//! its combinations and has it read again.

mod approaches;
pub mod build;
mod canonical;
mod capacity;
pub mod codes;
mod detection;
mod distribution;
mod document;
mod effective;
mod extends;
mod faults;
mod files;
pub mod keys;
mod latency;
mod network;
mod options;
mod overrides;
pub mod plan;
mod points;
mod problem;
mod quantity;
mod reader;
mod regions;
pub mod schema;
mod sweep;
mod thresholds;
mod tiers;
mod topology;
mod traces;
mod tree;

use std::path::Path;

use crate::contract::{Population, SimSpan};
use crate::engine::regions::RegionTable;
use crate::engine::{Capacity, Jitter};
use crate::metrics::{Threshold, Tolerance};
use crate::protocols::swim::SwimTiming;

pub use approaches::{
    ConsensusSpec, DiscoverySpec, DisseminationSpec, KademliaSpec, LedgerSpec, Mechanism, MobileSpec, RecommendedSpec,
    RegistrySpec, RoutingSpec, ShardingSpec,
};
pub use capacity::DOCUMENTED_CAPACITY;
pub use detection::{DetectionSpec, SampleRates};
pub use faults::FaultsSpec;
pub use problem::{Problem, Problems, ScenarioError};
pub use quantity::{count, size, span};
pub use sweep::{Axis, COMBINATIONS_MAX, Combination, RUNS_MAX, Sweep};
pub use thresholds::share;

use codes::Code;
use document::{Document, Read, text_of};
use keys::{Preset, Shape};
use problem::Draft;
use quantity::short;
use reader::{Reader, Section};

/// Bytes of a scenario file.
pub const FILE_BYTES_MAX: usize = 2_000_000;

const ROOT_KEYS: &[&str] = &[
    "name",
    "description",
    "seed",
    "nodes",
    "approaches",
    "warmup",
    "measure",
    "timeline",
    "tables",
    "tiers",
    "network",
    "heartbeat",
    "detection",
    "topology",
    "approach",
    "faults",
    "thresholds",
    "tolerance",
    "extends",
    "sweep",
];

/// What is to be simulated. Valid by construction: [`load`] and [`parse`] are the only ways to get one from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Names the results: 1 to 64 of `A-Z a-z 0-9 . _ -`, safe as a file name.
    pub name: String,
    /// What it is about, for people; may be empty.
    pub description: String,
    /// Seed of every random draw, at most 2^63 - 1.
    pub seed: u64,
    /// What is run: every approach with every share of links nearby at every size, approaches first, all in the order
    /// of the file. Approaches in which nobody is chosen run once for all shares.
    pub points: Vec<Point>,
    /// What lies between nodes.
    pub network: NetworkSpec,
    /// What a heartbeat is.
    pub heartbeat: HeartbeatSpec,
    /// What goes wrong.
    pub faults: FaultsSpec,
    /// How nodes decide that others are down; `None` if they do not.
    pub detection: Option<DetectionSpec>,
    /// Width of a bucket of the time series, at least 1 ms; a point has at most 100 000 of them.
    pub timeline: SimSpan,
    /// The tables that are shown to people, in the order of the file. Of all tables, which is what a file that chooses
    /// none gets, those with nothing to say are left out.
    pub tables: Vec<Table>,
    /// What metrics must keep.
    pub thresholds: Vec<Threshold>,
    /// By how much metrics may move from what was accepted; by nothing where none is given.
    pub tolerances: Vec<Tolerance>,
    /// The line of the file, from 1, that says which approaches run; `None` if it is not there that this is written.
    pub approaches_line: Option<usize>,
    /// Whether the file has a table `sweep`, of which this is the scenario without it: [`load_sweep`] gives the rest.
    pub is_swept: bool,
    /// BLAKE3, in hex, of all that decides what is simulated; the same for every spelling. Name, description, seed,
    /// tables, thresholds and tolerances are not in it.
    pub hash: String,
    /// The file as TOML, with what it extends and all overrides in it. Files that it names are beside the scenario.
    pub effective: String,
}

/// A table for people. The files of a result do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Message rates by approach and size, beside the documented ones.
    NetworkLoad,
    /// Upload, download and monthly data by node type, beside the documented budgets.
    Bandwidth,
    /// How soon failures were noticed, which never were, and what that cost.
    Detection,
    /// Nodes that were up, and how many samples of them said there were.
    Population,
    /// Messages that did not arrive, by cause.
    Drops,
    /// What mechanisms found of their own, a table a topic.
    Figures,
}

impl Table {
    /// Every table, in the order of [`Table::NAMES`].
    pub const ALL: [Table; 6] =
        [Table::NetworkLoad, Table::Bandwidth, Table::Detection, Table::Population, Table::Drops, Table::Figures];
    /// The names in scenario files.
    pub const NAMES: [&'static str; 6] = ["network-load", "bandwidth", "detection", "population", "drops", "figures"];
}

/// One approach at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// How the network is kept alive.
    pub approach: Approach,
    /// Share of its links that a node has to near nodes, from 0 to 1; `None` if near and far are alike. Only where the
    /// latency model has regions.
    pub nearby: Option<f64>,
    /// What results call the approach: its name, with the share of links nearby if the scenario has several.
    pub label: String,
    /// Who is in the network; full nodes only for a flat approach.
    pub population: Population,
    /// Time before the measurement starts; may be zero.
    pub warmup: SimSpan,
    /// Time that is measured; above zero.
    pub measure: SimSpan,
}

/// A way of keeping a network alive.
#[expect(clippy::large_enum_variant, reason = "a scenario has few of them")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Approach {
    /// Everyone sends heartbeats to everyone.
    FullMesh {
        /// Largest size that is run event by event; beyond it, heartbeats are counted.
        event_nodes_max: u32,
    },
    /// Heartbeats along the links of the tiers.
    Hierarchical(TierLinks),
    /// Tiers whose upper part spreads heartbeats by gossip.
    Gossip {
        /// Links between the tiers.
        links: TierLinks,
        /// Nodes that a message is passed on to, 1 to 64; fewer than there are nodes.
        fanout: u32,
        /// Messages that a node remembers in order not to pass them on twice, 8 to 1 048 576.
        seen: u32,
        /// Hops after which a message is not passed on, 1 to 255.
        hops_max: u32,
        /// Share of the nodes of a tier that all of it judges by rumours, where there is a detector.
        track: f64,
    },
    /// Gossip without tiers.
    FlatGossip {
        /// Nodes that a message is passed on to, 1 to 64; fewer than there are nodes.
        fanout: u32,
    },
    /// Everyone pings a neighbour: the smallest workload.
    Ping,
    /// A sample of the nodes reports to a few super nodes, who reckon how many live.
    Sampled {
        /// Super nodes that track, 1 to 64; not more than there are.
        trackers: u32,
        /// The samples that are counted.
        rates: SampleRates,
        /// Missed heartbeats in a row that make a tracker take a node for down, unless the scenario has a detector.
        missed: u32,
    },
    /// Everyone probes a random other, and what it finds spreads on the probes: SWIM. Heartbeats mean nothing to it. The
    /// period is 10 ms or more; the timeout is 1 ms or more and at most half a period, or all of it without indirect
    /// probes, of which there are up to 16; a suspicion lasts 1 to 100 times log10(nodes) periods.
    Swim(SwimTiming),
    /// One mechanism, with figures of its own.
    Mechanism(Mechanism),
}

impl Approach {
    /// The names in scenario and result files.
    pub const NAMES: [&'static str; 7 + approaches::KINDS.len()] = {
        let own = ["full-mesh", "hierarchical", "gossip", "flat-gossip", "ping", "sampled", "swim"];
        let mut names = [""; 7 + approaches::KINDS.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = if index < own.len() { own[index] } else { approaches::KINDS[index - own.len()].name };
            index += 1;
        }
        names
    };

    /// The name in scenario and result files.
    pub fn name(&self) -> &'static str {
        let index = match self {
            Approach::FullMesh { .. } => 0,
            Approach::Hierarchical(_) => 1,
            Approach::Gossip { .. } => 2,
            Approach::FlatGossip { .. } => 3,
            Approach::Ping => 4,
            Approach::Sampled { .. } => 5,
            Approach::Swim(_) => 6,
            Approach::Mechanism(mechanism) => 7 + mechanism.kind(),
        };
        Approach::NAMES[index]
    }

    /// Whether nodes choose whom they talk to, near or far. In a full mesh they do not.
    pub fn chooses_peers(&self) -> bool {
        match self {
            // Trackers are the same for all, and SWIM probes anyone.
            Approach::FullMesh { .. } | Approach::Sampled { .. } | Approach::Swim(_) => false,
            Approach::Hierarchical(_) | Approach::Gossip { .. } | Approach::FlatGossip { .. } | Approach::Ping => true,
            Approach::Mechanism(mechanism) => mechanism.spec().chooses_peers(),
        }
    }
}

/// How the tiers are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLinks {
    /// Full nodes that a full node is linked to, 1 to 1000; all of them where there are fewer. Documents: 20-50.
    pub full_peers: u32,
    /// Super nodes that a full node is linked to, 1 to 64; not more than there are.
    pub super_parents: u32,
    /// Full nodes that a light or mobile node is linked to, 1 to 64; not more than there are. Documents: 3-5.
    pub light_parents: u32,
}

/// What a heartbeat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatSpec {
    /// Time between two heartbeats of a node, at least 1 ms.
    pub interval: SimSpan,
    /// Bytes without IP and UDP headers, 48 to 65 507.
    pub size: u32,
}

/// What lies between nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    /// How long a message takes.
    pub latency: LatencySpec,
    /// Share of messages that are lost, from 0 up to, not including, 1.
    pub loss: f64,
    /// Bytes of IP and UDP headers, added to every message; at most 1500.
    pub header: u32,
    /// What nodes can send and receive, `None` if that is not limited: rates of 1 kbps to 1 Tbps, a queue of 1 KiB to
    /// 1 GiB.
    pub capacity: Option<Capacity>,
}

/// How long a message takes, one way. Always above zero; bounds and medians are at most an hour.
#[derive(Clone, Debug, PartialEq)]
pub enum LatencySpec {
    /// Always the same.
    Constant {
        /// The delay.
        delay: SimSpan,
    },
    /// Uniform between two delays.
    Uniform {
        /// The smallest delay.
        min: SimSpan,
        /// The largest delay, not below `min`.
        max: SimSpan,
    },
    /// A smallest delay plus a lognormal part.
    Lognormal {
        /// The smallest delay.
        min: SimSpan,
        /// The median of the whole; above `min`.
        median: SimSpan,
        /// Standard deviation of the logarithm of the lognormal part: 0 to 5.
        sigma: f64,
    },
    /// A delay exceeds `d` with probability `(min / d)^shape`.
    Pareto {
        /// The smallest delay.
        min: SimSpan,
        /// From 1.01 to 1000; the mean is `min * shape / (shape - 1)`.
        shape: f64,
    },
    /// From a table of delays between the regions of the world.
    Regions {
        /// The table.
        table: RegionTable,
        /// Share of the nodes in each region of the table; they add up to 1.
        shares: Vec<f64>,
        /// What is drawn on top of the table's delay, or around it.
        jitter: Jitter,
    },
}

impl LatencySpec {
    /// The regions that nodes stand in; none if delays do not depend on them.
    pub fn regions(&self) -> &[String] {
        match self {
            LatencySpec::Regions { table, .. } => &table.regions,
            _ => &[],
        }
    }
}

/// Reads the scenario in the file `path`, with `overrides` (`key=value`) put over it. Of a file with a sweep it is the
/// scenario without it.
///
/// # Errors
/// If the file cannot be read, is larger than [`FILE_BYTES_MAX`] or not UTF-8, or with everything that is wrong in it.
pub fn load(path: &Path, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    parse(name_of(path)?, &text_of(path)?, overrides)
}

/// The path of a scenario as results, commands and problems name it.
fn name_of(path: &Path) -> Result<&str, ScenarioError> {
    path.to_str().ok_or_else(|| {
        let reason = "its path is not UTF-8, so results could not name it: give it another";
        ScenarioError::Io {
            path: path.to_owned(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidInput, reason),
        }
    })
}

/// Reads the sweep of the scenario in the file `path`, with `overrides` put over it; `None` if it has none. A key that an
/// override sets is not varied: it has that value in every combination.
///
/// # Errors
/// As [`load`], and with everything that is wrong in the combinations.
pub fn load_sweep(path: &Path, overrides: &[String]) -> Result<Option<Sweep>, ScenarioError> {
    parse_sweep(name_of(path)?, &text_of(path)?, overrides)
}

/// Reads the scenario `text` of the file `file_name`, with `overrides` (`key=value`) put over it. Other files that the
/// text names, and those that it extends, are looked for in the folder of `file_name`.
///
/// # Errors
/// If the text is larger than [`FILE_BYTES_MAX`], or with everything that is wrong in it.
pub fn parse(file_name: &str, text: &str, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    let document = Document::new(file_name, text, overrides)?;
    match document.read(document.root()) {
        Ok(read) => Ok(read.scenario),
        Err((drafts, files)) => Err(document.refused(drafts, &files)),
    }
}

/// Reads the sweep of the scenario `text`, as [`parse`] reads the scenario; `None` if it has none.
///
/// # Errors
/// As [`load_sweep`].
pub fn parse_sweep(file_name: &str, text: &str, overrides: &[String]) -> Result<Option<Sweep>, ScenarioError> {
    let document = Document::new(file_name, text, overrides)?;
    let read = document.read(document.root());
    let read = read.map_err(|(drafts, files)| document.refused(drafts, &files))?;
    let Some(spec) = read.sweep else { return Ok(None) };
    sweep::expand(document, spec, &read.scenario).map(Some)
}

/// The scenario in `table` and its sweep, unless a part of them is refused.
fn read(reader: &mut Reader, table: &tree::Table) -> Option<Read> {
    let root = reader.root(table, ROOT_KEYS);
    if let Some(entry) = root.get(extends::KEY) {
        reader.text(&entry.value, "the name of a file", "\"base.toml\"");
    }
    let name = name(reader, &root);
    let description = description(reader, &root);
    let seed = seed(reader, &root);
    let tables = tables(reader, &root);
    let network = network::network(reader, &root);
    let heartbeat = network::heartbeat(reader, &root);
    let world = faults::World::of(network.latency.as_ref());
    let faults = faults::faults(reader, &root, &world, network.loss.value.unwrap_or(0.0));
    let nearby = topology::nearby(reader, &root, network.latency.as_ref());
    let detection = detection::detection(reader, &root);
    let before = reader.drafts.len();
    let axes = points::axes(reader, &root);
    // Parts of a damaged file are missing from the tree, and what is left need not go together.
    if reader.damaged {
        return None;
    }
    let points = axes.points(reader, &nearby);
    // What hits no point can be told only where no point is refused.
    if reader.drafts.len() == before {
        faults.check(reader, &points, axes.longest());
    }
    let per_message: Vec<_> = network.per_message().into_iter().chain(faults.per_message()).collect();
    axes.check_counted(reader, &per_message);
    axes.check_detection(reader, detection.value.flatten().is_some(), heartbeat);
    let thresholds = thresholds::thresholds(reader, &root, &axes);
    let tolerances = thresholds::tolerances(reader, &root);
    let sweep = sweep::spec(reader, &root);
    let approaches_line = root.get("approaches").and_then(|entry| reader.line_of(entry.key_at));
    let mut scenario = Scenario {
        name: name?,
        description: description?,
        seed: seed?,
        points,
        network: network.spec()?,
        heartbeat: heartbeat?,
        faults: faults.spec?,
        detection: detection.value?,
        timeline: axes.timeline.value?,
        tables,
        thresholds,
        tolerances,
        approaches_line,
        is_swept: root.has(sweep::KEY),
        hash: String::new(),
        // Last, as much that is refused is long.
        effective: effective::toml(table),
    };
    scenario.hash = canonical::hash(&scenario);
    Some(Read { scenario, sweep })
}

fn name(reader: &mut Reader, root: &Section<'_>) -> Option<String> {
    const CHARS_MAX: usize = 64;
    let Some(entry) = root.get("name") else {
        reader.missing("name", "add name = \"my-scenario\"");
        return None;
    };
    reader.note_preset(&entry.value, Preset::Required);
    let name = reader.text(&entry.value, "a name", "\"my-scenario\"")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=CHARS_MAX).contains(&name.len()) && name.chars().all(plain) && name != "." && name != ".." {
        return Some(name.to_owned());
    }
    let title = format!("`{}` cannot name the files of the results", short(name));
    let draft =
        Draft::new(entry.value.at, title, "write 1 to 64 of the characters A-Z a-z 0-9 . _ -").code(Code::BadText);
    reader.report(draft.help("the names . and .. mean folders"));
    None
}

fn description(reader: &mut Reader, root: &Section<'_>) -> Option<String> {
    let Some(entry) = root.get("description") else { return Some(String::new()) };
    let description = reader.text(&entry.value, "a text", "\"what this scenario shows\"")?;
    // A description is printed: it must not be able to drive a terminal.
    if description.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        reader.report(
            Draft::new(entry.value.at, "the description holds control characters", "remove them").code(Code::BadText),
        );
        return None;
    }
    Some(description.to_owned())
}

fn seed(reader: &mut Reader, root: &Section<'_>) -> Option<u64> {
    const SEED_MAX: u64 = i64::MAX as u64;
    let seed = reader.field(root, "seed", 1, |reader, value| {
        reader.note_shape(value, || Shape::Count { min: 0, max: SEED_MAX });
        let seed = value.digits().parse::<u64>().ok().filter(|seed| *seed <= SEED_MAX);
        if seed.is_none() {
            let title = format!("expected a whole number from 0 to 2^63 - 1, found {}", value.found());
            reader.report(Draft::new(value.at, title, "write a number such as 1").code(Code::OutOfRange));
        }
        seed
    });
    seed.value
}

/// The tables to show: all, unless the file chooses.
fn tables(reader: &mut Reader, root: &Section<'_>) -> Vec<Table> {
    let Some(entry) = root.get("tables") else { return Table::ALL.to_vec() };
    let mut tables = Vec::new();
    for value in reader.items(&entry.value, "tables", Table::ALL.len()) {
        let Some(index) = reader.choice(value, "table", &Table::NAMES) else { continue };
        if tables.contains(&Table::ALL[index]) {
            let title = format!("the table {} stands in the list for the second time", Table::NAMES[index]);
            reader.report(Draft::new(value.at, title, "remove it").code(Code::Twice));
            continue;
        }
        tables.push(Table::ALL[index]);
    }
    tables
}
