//! The `[network]` and `[heartbeat]` tables: delays, losses, headers and what a heartbeat is.

use super::capacity::capacity;
use super::points::PerMessage;
use super::problem::{Draft, Place, nearest};
use super::quantity::{short, span_text};
use super::reader::{Field, Reader, SPAN_MAX, Section};
use super::{HeartbeatSpec, LatencySpec, NetworkSpec};
use crate::contract::SimSpan;
use crate::engine::Capacity;
use crate::engine::regions::{RegionTable, TABLES};

const NETWORK_KEYS: &[&str] = &["latency", "loss", "header", "capacity"];
const HEARTBEAT_KEYS: &[&str] = &["interval", "size"];
const MODELS: &[&str] = &["uniform", "constant", "regions"];
/// Keys of a latency model; every key of every model, so that a stray one is told from an unknown one.
const LATENCY_KEYS: &[&str] = &["model", "delay", "min", "max", "table", "shares", "jitter"];

/// No link of any network is slower.
const DELAY_MAX: SimSpan = SimSpan::from_secs(3_600);
/// Jitter stays below one so that no delay becomes zero.
const JITTER_MAX: f64 = 0.9;
/// How far from one the sum of shares may be.
const SHARES_TOLERANCE: f64 = 1e-9;
/// Shortest interval that is simulated.
const INTERVAL_MIN: SimSpan = SimSpan::from_millis(1);
/// Sizes of a heartbeat: its fixed fields, and the most that a UDP datagram over IPv4 carries.
const HEARTBEAT_SIZE: (u32, u32) = (48, 65_507);

/// The network as written; a part that is refused is `None`.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) latency: Option<LatencySpec>,
    pub(super) loss: Field<f64>,
    header: Option<u32>,
    capacity: Field<Option<Capacity>>,
}

/// Reads the network.
pub(super) fn network(reader: &mut Reader, root: &Section<'_>) -> Parts {
    let section = reader.section(root, "network", NETWORK_KEYS);
    let loss = reader.field(&section, "loss", 0.0, |reader, value| {
        reader.number(value, "a share of messages from 0 up to, not including, 1", |loss| (0.0..1.0).contains(&loss))
    });
    let header = reader.field(&section, "header", 28, |reader, value| reader.size(value, 0, 1_500));
    let latency = latency(reader, &section);
    Parts { latency, loss, header: header.value, capacity: capacity(reader, &section) }
}

impl Parts {
    /// The network, unless a part of it is refused.
    pub(super) fn spec(self) -> Option<NetworkSpec> {
        let Parts { latency, loss, header, capacity } = self;
        Some(NetworkSpec { latency: latency?, loss: loss.value?, header: header?, capacity: capacity.value? })
    }

    /// What of it concerns single messages.
    pub(super) fn per_message(&self) -> Vec<PerMessage> {
        let losing = self.loss.at.filter(|_| self.loss.value.is_some_and(|loss| loss > 0.0)).map(|at| PerMessage {
            at,
            what: "lose messages",
            without: "set network.loss = 0",
            why: "counted cannot draw n(n-1) losses",
        });
        let queueing = self.capacity.at.map(|at| PerMessage {
            at,
            what: "have capacities",
            without: "remove network.capacity",
            why: "messages that are counted wait in no queue",
        });
        losing.into_iter().chain(queueing).collect()
    }
}

/// What a heartbeat is.
pub(super) fn heartbeat(reader: &mut Reader, root: &Section<'_>) -> Option<HeartbeatSpec> {
    let section = reader.section(root, "heartbeat", HEARTBEAT_KEYS);
    let interval = reader.field(&section, "interval", SimSpan::from_secs(30), |reader, value| {
        reader.span(value, INTERVAL_MIN, SPAN_MAX)
    });
    let (min, max) = HEARTBEAT_SIZE;
    let size = reader.field(&section, "size", 100, |reader, value| reader.size(value, min, max));
    Some(HeartbeatSpec { interval: interval.value?, size: size.value? })
}

fn latency(reader: &mut Reader, network: &Section<'_>) -> Option<LatencySpec> {
    let section = reader.section(network, "latency", LATENCY_KEYS);
    let model = reader.field(&section, "model", 0, |reader, value| reader.choice(value, "a latency model", MODELS));
    let (own, spec): (&[&str], _) = match MODELS[model.value?] {
        "constant" => (&["delay"], constant(reader, &section, model.at)),
        "regions" => (&["table", "shares", "jitter"], regions(reader, &section)),
        _ => (&["min", "max"], uniform(reader, &section)),
    };
    for key in LATENCY_KEYS.iter().filter(|key| **key != "model" && !own.contains(*key)) {
        if let Some(entry) = section.get(key) {
            let title = format!("`{key}` has no meaning for the {} latency model", MODELS[model.value?]);
            reader
                .report(Draft::new(entry.key_at, title, "remove it").help(format!("its keys are {}", own.join(", "))));
        }
    }
    spec
}

fn constant(reader: &mut Reader, section: &Section<'_>, model_at: Option<Place>) -> Option<LatencySpec> {
    let delay = reader.field(section, "delay", SimSpan::ZERO, delay);
    if delay.at.is_none() {
        let at = model_at.or(section.at).unwrap_or_default();
        let draft = Draft::new(at, "the constant latency model needs a `delay`", "add delay = \"50ms\" below");
        reader.report(draft);
        return None;
    }
    let delay = refuse_zero(reader, delay)?;
    Some(LatencySpec::Constant { delay })
}

fn uniform(reader: &mut Reader, section: &Section<'_>) -> Option<LatencySpec> {
    let min = reader.field(section, "min", SimSpan::from_millis(10), delay);
    let max = reader.field(section, "max", SimSpan::from_millis(100), delay);
    let smallest = refuse_zero(reader, min);
    if let (Some(low), Some(high)) = (min.value, max.value)
        && low > high
    {
        let at = min.at.or(max.at).unwrap_or_default();
        let title = format!("the smallest delay {} exceeds the largest, {}", span_text(low), span_text(high));
        reader.report(Draft::new(at, title, "write min <= max"));
        return None;
    }
    Some(LatencySpec::Uniform { min: smallest?, max: max.value? })
}

fn delay(reader: &mut Reader, value: &super::tree::Value) -> Option<SimSpan> {
    reader.span(value, SimSpan::ZERO, DELAY_MAX)
}

/// The smallest delay of the network, unless it is zero.
fn refuse_zero(reader: &mut Reader, delay: Field<SimSpan>) -> Option<SimSpan> {
    let nonzero = delay.value.filter(|delay| *delay > SimSpan::ZERO);
    if let (Some(_), None, Some(at)) = (delay.value, nonzero, delay.at) {
        let draft = Draft::new(at, "the smallest delay between nodes must be above zero", "write for example \"1ms\"");
        reader.report(draft.help(
            "nodes are simulated side by side in windows as long as the smallest delay; \
             a delay of zero between nodes leaves no such window",
        ));
    }
    nonzero
}

fn regions(reader: &mut Reader, section: &Section<'_>) -> Option<LatencySpec> {
    let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
    let table = reader.field(section, "table", 0, |reader, value| reader.choice(value, "a latency table", &names));
    let range = format!("a number from 0 to {JITTER_MAX}");
    let jitter = reader.field(section, "jitter", 0.0, |reader, value| {
        reader.number(value, &range, |jitter| (0.0..=JITTER_MAX).contains(&jitter))
    });
    let table = *TABLES.get(table.value?)?;
    let shares = shares(reader, section, table);
    Some(LatencySpec::Regions { table, shares: shares?, jitter: jitter.value? })
}

/// How the nodes are spread over the regions of `table`; evenly if nothing is written.
fn shares(reader: &mut Reader, section: &Section<'_>, table: &'static RegionTable) -> Option<Vec<f64>> {
    let Some(entry) = section.get("shares") else {
        return Some(vec![1.0 / table.regions.len() as f64; table.regions.len()]);
    };
    let written = reader.table_of(&entry.value, "shares")?;
    let mut shares = Some(vec![0.0; table.regions.len()]);
    for (name, entry) in written {
        let Some(region) = table.regions.iter().position(|region| region == name) else {
            let title = format!("unknown region `{}` in table {}", short(name), table.name);
            let draft = match nearest(name, table.regions) {
                Some(near) => Draft::new(entry.key_at, title, format!("write {near}")),
                None => Draft::new(entry.key_at, title, "remove it")
                    .help(format!("its regions are {}", table.regions.join(", "))),
            };
            reader.report(draft);
            shares = None;
            continue;
        };
        let share = reader.number(&entry.value, "a share from 0 to 1", |share| (0.0..=1.0).contains(&share));
        match (share, &mut shares) {
            (Some(share), Some(shares)) => shares[region] = share,
            _ => shares = None,
        }
    }
    let shares = shares?;
    let sum = shares.iter().fold(0.0, |sum, share| sum + share);
    if (sum - 1.0).abs() > SHARES_TOLERANCE {
        let draft =
            Draft::new(entry.value.at, format!("the shares of the regions add up to {sum}"), "make them add up to 1");
        reader.report(draft);
        return None;
    }
    Some(shares)
}
