//! Random valid scenarios, as the TOML text of a file: every approach, every kind of network, every fault.
//!
//! Values are drawn from tables (`options`), and what does not go together is put right when the text is written, so that
//! whatever is drawn is a scenario; when proptest makes it smaller, what is left out is what does not matter.

use std::fmt;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use qnetsim::scenario::{Scenario, parse, plan};

use super::options::{BYSTANDERS, CAPACITIES, DETECTIONS, Kind, LATENCIES, LAYERS, LIVENESS, MECHANISMS, Rows, SPANS};

/// Events of all runs of a scenario, by its plan: longer ones are measured for less.
const EVENTS_MAX: u64 = 6_000;
/// The folder of the files that scenarios name.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/generated/kept");

/// The text of a scenario file. Shown as it would stand in the file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Toml(pub(crate) String);

impl fmt::Debug for Toml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

impl Toml {
    /// The scenario that the text is.
    pub(crate) fn scenario(&self) -> Scenario {
        read(&self.0).unwrap_or_else(|error| panic!("{error}\n{}", self.0))
    }
}

fn read(text: &str) -> Result<Scenario, String> {
    parse(&format!("{FOLDER}/generated.toml"), text, &[]).map_err(|error| error.to_string())
}

/// Which approaches are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    Liveness,
    Mechanisms,
}

/// An approach that runs, with the lines of its options and, of layers, with whole tables.
#[derive(Clone, Debug)]
struct Chosen {
    name: &'static str,
    is_tiered: bool,
    lines: String,
    layers: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
enum FaultKind {
    Churn { spans: [&'static str; 2], graceful: &'static str, steady: bool },
    Crash { returns: bool, graceful: bool },
    Crowd { stays: bool },
    Loss(&'static str),
    Surge(&'static str),
    Partition,
}

/// A fault; moments and spans are thousandths of the run.
#[derive(Clone, Debug)]
struct Fault {
    kind: FaultKind,
    start: u64,
    length: u64,
    over: u64,
    share: &'static str,
    types: &'static [&'static str],
    /// Whether it is about a region, or the way between two, if there are any.
    is_regional: bool,
}

/// What a scenario is made of, before it is known what of it goes together.
#[derive(Clone, Debug)]
struct Parts {
    seed: u64,
    counts: [u32; 4],
    sizes: Sizes,
    links: [u32; 4],
    run_ms: u64,
    warmup_share: u64,
    approaches: Vec<Chosen>,
    latency: usize,
    network: String,
    capacity: Option<&'static str>,
    heartbeat: String,
    detection: Option<&'static str>,
    nearby: Option<&'static str>,
    faults: Vec<Fault>,
    bystanders: String,
    own_times: bool,
}

/// How the numbers of nodes are written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sizes {
    Counts,
    Shares,
    Two,
}

/// Random scenarios with approaches of `choice`.
pub(crate) fn any_scenario(choice: Choice) -> impl Strategy<Value = Toml> {
    let kinds = match choice {
        Choice::Liveness => LIVENESS,
        Choice::Mechanisms => MECHANISMS,
    };
    let approaches = (any_approach(kinds), prop::option::weighted(0.15, any_approach(kinds)));
    let approaches = approaches.prop_map(|(first, second)| {
        let second = second.filter(|second| second.name != first.name);
        std::iter::once(first).chain(second).collect::<Vec<_>>()
    });
    let sizes = (
        [1u32..5, 1u32..12, 0u32..50, 1u32..25],
        prop_oneof![4 => Just(Sizes::Counts), 1 => Just(Sizes::Shares), 1 => Just(Sizes::Two)],
        [1u32..4, 1u32..5, 1u32..9, 1u32..4],
        any::<bool>(),
    );
    let times = (select(vec![20_000u64, 5_000, 60_000, 400_000]), select(vec![0u64, 250, 500]));
    let network = (0..LATENCIES.len(), lines(NETWORK, true), maybe(CAPACITIES, 0.2), lines(HEARTBEAT, true));
    let rest = (maybe(DETECTIONS, 0.3), maybe(&["0.5", "1", "[0, 0.8]"], 0.2), lines(BYSTANDERS, true));
    let faults = prop_oneof![1 => Just(Vec::new()), 2 => prop::collection::vec(any_fault(), 1..4)];
    let seed = prop_oneof![Just(1u64), 0..=i64::MAX as u64];
    (seed, sizes, times, approaches, network, rest, faults).prop_map(
        |(seed, sizes, times, approaches, net, rest, faults)| {
            let (counts, sizes, links, own_times) = sizes;
            let (run_ms, warmup_share) = times;
            let (latency, network, capacity, heartbeat) = net;
            let (detection, nearby, bystanders) = rest;
            Parts {
                seed,
                counts,
                sizes,
                links,
                run_ms,
                warmup_share,
                approaches,
                latency,
                network,
                capacity,
                heartbeat,
                detection,
                nearby,
                faults,
                bystanders,
                own_times,
            }
            .bounded()
        },
    )
}

const NETWORK: Rows = &[("loss", &["0.01", "0.3", "0"]), ("header", &["\"28 B\"", "\"0 B\"", "\"1500 B\""])];
const HEARTBEAT: Rows =
    &[("interval", &["\"2s\"", "\"300ms\"", "\"30s\""]), ("size", &["\"100 B\"", "\"48 B\"", "\"1 KiB\""])];

fn maybe(values: &'static [&'static str], chance: f64) -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(chance, select(values))
}

/// Some of `rows`, a line each; without lists if there are to be none.
fn lines(rows: Rows, lists: bool) -> BoxedStrategy<String> {
    let line = |&(key, values): &(&'static str, &'static [&'static str])| {
        let values: Vec<_> = values.iter().copied().filter(|value| lists || !value.starts_with('[')).collect();
        let line = move |value: Option<&str>| value.map_or(String::new(), |value| format!("{key} = {value}\n"));
        prop::option::weighted(0.4, select(values)).prop_map(line)
    };
    rows.iter().map(line).collect::<Vec<_>>().prop_map(|lines| lines.concat()).boxed()
}

fn any_approach(kinds: &'static [Kind]) -> BoxedStrategy<Chosen> {
    let of = |kind: &'static Kind| {
        let layers = if kind.name == "recommended" { LAYERS } else { &[] };
        let layers: Vec<_> =
            layers.iter().map(|&(name, rows)| lines(rows, false).prop_map(move |lines| (name, lines))).collect();
        let chosen = |(lines, layers)| Chosen { name: kind.name, is_tiered: kind.is_tiered, lines, layers };
        (lines(kind.rows, true), layers).prop_map(chosen).boxed()
    };
    prop::strategy::Union::new(kinds.iter().map(of)).boxed()
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let churn = ([select(SPANS), select(SPANS)], select(vec!["0", "0.5", "1"]), any::<bool>());
    let kind = prop_oneof![
        3 => churn.prop_map(|(spans, graceful, steady)| FaultKind::Churn { spans, graceful, steady }),
        2 => any::<[bool; 2]>().prop_map(|[returns, graceful]| FaultKind::Crash { returns, graceful }),
        1 => any::<bool>().prop_map(|stays| FaultKind::Crowd { stays }),
        1 => select(vec!["0.5", "1"]).prop_map(FaultKind::Loss),
        1 => select(vec!["factor = 3.0", "extra = \"100ms\"", "factor = 1.5\nextra = \"1s\""]).prop_map(FaultKind::Surge),
        1 => Just(FaultKind::Partition),
    ];
    const TYPES: &[&[&str]] = &[&[], &["super"], &["full"], &["light", "mobile"], &["super", "full"]];
    let times = (1u64..900, 1u64..500, 0u64..300);
    (kind, times, select(vec!["1", "0.5", "0.1"]), select(TYPES), any::<bool>()).prop_map(
        |(kind, (start, length, over), share, types, is_regional)| Fault {
            kind,
            start,
            length,
            over,
            share,
            types,
            is_regional,
        },
    )
}

impl Parts {
    /// The text, of a run that is as long as its events allow.
    fn bounded(mut self) -> Toml {
        for _ in 0..8 {
            let text = self.text();
            let Ok(scenario) = read(&text) else { return Toml(text) };
            let events: u64 = scenario.points.iter().map(|point| plan::forecast(&scenario, point, 1).events).sum();
            if events <= EVENTS_MAX || self.run_ms <= 20 {
                return Toml(text);
            }
            self.run_ms = (self.run_ms * EVENTS_MAX / events).clamp(20, self.run_ms - 1);
        }
        Toml(self.text())
    }

    fn is_tiered(&self) -> bool {
        self.approaches.iter().any(|approach| approach.is_tiered)
    }

    fn text(&self) -> String {
        let (regions, mut text) = (LATENCIES[self.latency].1, String::new());
        let names: Vec<_> = self.approaches.iter().map(|approach| format!("\"{}\"", approach.name)).collect();
        let total: u32 = self.counts.iter().sum();
        let nodes = if self.sizes == Sizes::Two { format!("[{total}, {}]", total + 17) } else { total.to_string() };
        let warmup = self.run_ms * self.warmup_share / 1_000;
        let _ = writeln!(
            text,
            "name = \"generated\"\nseed = {}\nnodes = {nodes}\napproaches = [{}]",
            self.seed,
            names.join(", ")
        );
        let _ = writeln!(text, "warmup = \"{warmup}ms\"\nmeasure = \"{}ms\"", self.run_ms - warmup);
        text += &self.bystanders;
        if self.is_tiered() {
            text += &self.tiers();
        }
        text += &table("network", &self.network);
        text += &table("network.latency", LATENCIES[self.latency].0);
        text += self.capacity.unwrap_or("");
        text += &table("heartbeat", &self.heartbeat);
        text += self.detection.unwrap_or("");
        if let (Some(nearby), false) = (self.nearby, regions.is_empty()) {
            let _ = writeln!(text, "[topology]\nnearby = {nearby}");
        }
        for approach in &self.approaches {
            text += &table(&format!("approach.{}", approach.name), &(self.own_lines(approach) + &approach.lines));
            for (layer, lines) in &approach.layers {
                let own = if *layer == "discovery" { self.parents_of_discovery() } else { String::new() };
                text += &table(&format!("approach.recommended.{layer}"), &(own + lines));
            }
        }
        text + &self.faults_text(regions)
    }

    fn tiers(&self) -> String {
        let [supers, fulls, lights, mobiles] = self.counts;
        let share = |count: u32| format!("{{ share = 0.1, min = {count}, max = {count} }}");
        match self.sizes {
            Sizes::Shares => format!(
                "[tiers]
super = {}
full = {}
light = {}
mobile = {}
",
                share(supers),
                share(fulls),
                share(lights),
                share(mobiles)
            ),
            Sizes::Counts => {
                format!(
                    "[tiers]
super = {supers}
full = {fulls}
light = {lights}
mobile = {mobiles}
"
                )
            }
            Sizes::Two => format!(
                "[tiers]
super = {supers}
full = {fulls}
mobile = {mobiles}
"
            ),
        }
    }

    fn parents_of_discovery(&self) -> String {
        format!("parents = {}\n", self.links[0].min(self.counts[0] + self.counts[1]))
    }

    /// The options that depend on how many nodes there are, and on what else the scenario says.
    fn own_lines(&self, approach: &Chosen) -> String {
        let [supers, fulls, ..] = self.counts;
        let total: u32 = self.counts.iter().sum();
        let [first, second, fanout, _] = self.links;
        let mut lines = String::new();
        // All runs stay as long as the scenario says, so that no fault comes too late.
        if self.own_times {
            let _ = writeln!(lines, "warmup = \"0s\"\nmeasure = \"{}ms\"", self.run_ms);
        }
        let detects = self.detection.is_some();
        match approach.name {
            "hierarchical" | "gossip" => {
                let _ = writeln!(lines, "super_parents = {}\nlight_parents = {}", first.min(supers), second.min(fulls));
            }
            "sampled" => {
                let _ = writeln!(lines, "trackers = {}", first.min(supers));
            }
            "discovery" => lines += &self.parents_of_discovery(),
            _ => {}
        }
        match approach.name {
            "gossip" | "flat-gossip" => {
                let _ = writeln!(lines, "fanout = {}", fanout.min(total - 1));
            }
            "sampled" if !detects && first > 1 => lines += "missed = 2\n",
            // What is counted as a whole cannot lose single messages.
            "full-mesh" if self.faults.is_empty() && self.capacity.is_none() && !self.network.contains("loss = 0.") => {
                let _ = writeln!(lines, "event_nodes_max = {}", [0, 1_000][first as usize % 2]);
            }
            "registry" if second == 1 && !approach.lines.contains("_time = ") => {
                lines += "service_times = \"service-times.csv\"\n";
            }
            _ => {}
        }
        if approach.name == "gossip" && detects {
            let _ = writeln!(lines, "track = {}", ["1", "0", "0.5"][second as usize % 3]);
        }
        lines
    }

    fn faults_text(&self, regions: &[&str]) -> String {
        let (mut text, mut churned) = (String::new(), false);
        // Losses, surges and partitions must not overlap with others of their kind: one of each will do.
        let mut taken = [false; 3];
        for fault in &self.faults {
            let once = match fault.kind {
                FaultKind::Loss(_) => Some(0),
                FaultKind::Surge(_) => Some(1),
                FaultKind::Partition => Some(2),
                _ => None,
            };
            if once.is_some_and(|index| std::mem::replace(&mut taken[index], true)) {
                continue;
            }
            // A node follows the first churn that it is in, so another needs nodes that are left.
            let is_churn = matches!(fault.kind, FaultKind::Churn { .. });
            if is_churn && std::mem::replace(&mut churned, true) {
                continue;
            }
            text += &self.fault_text(fault, regions);
        }
        text
    }

    fn fault_text(&self, fault: &Fault, regions: &[&str]) -> String {
        let at = |thousandths: u64| (self.run_ms * thousandths / 1_000).max(1);
        let (start, length, over) = (at(fault.start), at(fault.length), at(fault.over.max(1)).min(at(fault.length)));
        let is_regional = fault.is_regional && !regions.is_empty();
        let between = if is_regional {
            format!(
                "from = \"{}\"\nto = [\"{}\"]\nboth_ways = {}\n",
                regions[0],
                regions[1],
                fault.over.is_multiple_of(2)
            )
        } else {
            String::new()
        };
        let whom = self.whom(fault, is_regional.then(|| regions[0]));
        match &fault.kind {
            FaultKind::Churn { spans: [session, absence], graceful, steady } => {
                let begin = if *steady { "steady" } else { "up" };
                format!(
                    "[[faults.churn]]\nsession = {session}\nabsence = {absence}\ngraceful = {graceful}\nstart = \"{begin}\"\n{whom}"
                )
            }
            FaultKind::Crash { returns, graceful } => {
                let until = start + length;
                let back = if *returns {
                    format!("until = \"{until}ms\"\nuntil_over = \"{over}ms\"\n")
                } else {
                    String::new()
                };
                format!(
                    "[[faults.crash]]\nat = \"{start}ms\"\nover = \"{over}ms\"\ngraceful = {graceful}\n{back}{whom}"
                )
            }
            FaultKind::Crowd { stays } => {
                let stay = if *stays { String::new() } else { format!("stay = \"{length}ms\"\ngraceful = true\n") };
                format!("[[faults.crowd]]\nat = \"{start}ms\"\nover = \"{over}ms\"\n{stay}{whom}")
            }
            FaultKind::Loss(loss) => {
                format!(
                    "[[faults.loss]]\nstart = \"{start}ms\"\nend = \"{}ms\"\nloss = {loss}\n{between}",
                    start + length
                )
            }
            FaultKind::Surge(how) => {
                format!("[[faults.surge]]\nstart = \"{start}ms\"\nend = \"{}ms\"\n{how}\n{between}", start + length)
            }
            FaultKind::Partition => {
                // One side must not be all.
                let whom = whom.replace("share = 1\n", "share = 0.4\n");
                format!("[[faults.partition]]\nstart = \"{start}ms\"\nheal = \"{}ms\"\n{whom}", start + length)
            }
        }
    }

    /// The nodes that a fault hits: of types that there are, if it names any.
    fn whom(&self, fault: &Fault, region: Option<&str>) -> String {
        let exists = |name: &&str| match *name {
            "super" => self.is_tiered(),
            "full" => true,
            "light" => self.is_tiered() && (self.counts[2] > 0 || self.sizes == Sizes::Two),
            _ => self.is_tiered(),
        };
        let mut text = format!("share = {}\n", fault.share);
        if let Some(region) = region {
            let _ = writeln!(text, "regions = \"{region}\"");
        }
        if fault.types.iter().any(exists) {
            let names: Vec<_> = fault.types.iter().map(|name| format!("\"{name}\"")).collect();
            let _ = writeln!(text, "types = [{}]", names.join(", "));
        }
        text
    }
}

/// The table `name` with `lines`; nothing without lines.
fn table(name: &str, lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!("[{name}]\n{lines}") }
}
