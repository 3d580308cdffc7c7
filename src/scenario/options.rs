//! The `[approach.*]` tables: the options of every approach, whether or not the scenario uses it.

use super::approaches::{KINDS, Variant};
use super::codes::Code;
use super::detection::{self, MISSED_MAX, SampleRates};
use super::problem::{Draft, Place};
use super::quantity::span_text;
use super::reader::{Field, Reader, SPAN_MAX, Section};
use super::tree::Value;
use super::{Approach, TierLinks};
use crate::contract::SimSpan;
use crate::protocols::swim::SwimTiming;

/// Shorter slices of time would need shorter windows than any network does.
const SLICE_MIN: SimSpan = SimSpan::from_millis(1);

/// Approaches whose options stand here; the others are mechanisms.
const OWN: usize = 7;

/// The keys of each of these, in the order of [`Approach::NAMES`].
const KEYS: [&[&str]; OWN] = [
    &["warmup", "measure", "event_nodes_max"],
    &["warmup", "measure", "full_peers", "super_parents", "light_parents"],
    &["warmup", "measure", "full_peers", "super_parents", "light_parents", "fanout", "seen", "hops_max", "track"],
    &["warmup", "measure", "fanout"],
    &["warmup", "measure"],
    &["warmup", "measure", "trackers", "rates", "missed"],
    &["warmup", "measure", "period", "probe_timeout", "indirect_probes", "suspicion_mult"],
];

/// Periods of SWIM, and timeouts of its probes: the longest timeout fits the longest period twice.
const PERIOD: [SimSpan; 2] = [SimSpan::from_millis(10), SimSpan::from_secs(86_400)];
const PROBE_TIMEOUT: [SimSpan; 2] = [SimSpan::from_millis(1), SimSpan::from_secs(43_200)];

/// Options of one approach; those that it does not have keep their defaults.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) warmup: Field<SimSpan>,
    pub(super) measure: Field<SimSpan>,
    pub(super) event_nodes_max: Field<u32>,
    pub(super) full_peers: Field<u32>,
    pub(super) super_parents: Field<u32>,
    pub(super) light_parents: Field<u32>,
    pub(super) fanout: Field<u32>,
    pub(super) seen: Field<u32>,
    pub(super) hops_max: Field<u32>,
    pub(super) track: Field<f64>,
    pub(super) trackers: Field<u32>,
    pub(super) rates: Field<SampleRates>,
    pub(super) missed: Field<u32>,
    pub(super) period: Field<SimSpan>,
    pub(super) probe_timeout: Field<SimSpan>,
    pub(super) indirect_probes: Field<u32>,
    pub(super) suspicion_mult: Field<u32>,
    /// Of a mechanism: the ways in which it runs; `None` if something is refused.
    variants: Option<Vec<Variant>>,
}

/// The options of all approaches, in the order of [`Approach::NAMES`].
pub(super) fn all(reader: &mut Reader, root: &Section<'_>) -> [Options; Approach::NAMES.len()] {
    let (root_warmup, root_measure) = (warmup(reader, root), measure(reader, root));
    let section = reader.section(root, "approach", &Approach::NAMES);
    std::array::from_fn(|index| {
        let kind = index.checked_sub(OWN).map(|kind| &KINDS[kind]);
        let table =
            reader.section(&section, Approach::NAMES[index], kind.map_or_else(|| KEYS[index], |kind| kind.keys));
        let variants = kind.and_then(|kind| (kind.read)(reader, &table));
        // A mechanism reads its own keys, whatever they are called.
        let own = if kind.is_some() { Section::default() } else { table };
        let mut count = |key, default, min, max| {
            reader.field(&own, key, default, |reader, value| reader.count_u32(value, min, max))
        };
        Options {
            event_nodes_max: count("event_nodes_max", 1_000, 0, super::points::NODES_MAX),
            full_peers: count("full_peers", 32, 1, 1_000),
            super_parents: count("super_parents", 2, 1, 64),
            light_parents: count("light_parents", 4, 1, 64),
            fanout: count("fanout", 8, 1, 64),
            seen: count("seen", 1_024, 8, 1 << 20),
            hops_max: count("hops_max", 32, 1, 255),
            trackers: count("trackers", 3, 1, 64),
            missed: count("missed", 3, 1, MISSED_MAX),
            indirect_probes: count("indirect_probes", 3, 0, 16),
            suspicion_mult: count("suspicion_mult", 4, 1, 100),
            track: reader.field(&own, "track", 1.0, |reader, value| {
                reader.number(value, "a share from 0 to 1", |share| (0.0..=1.0).contains(&share))
            }),
            rates: reader.field(&own, "rates", SampleRates::default(), detection::rates),
            period: span(reader, &own, "period", SimSpan::from_secs(1), PERIOD),
            probe_timeout: span(reader, &own, "probe_timeout", SimSpan::from_millis(500), PROBE_TIMEOUT),
            warmup: warmup(reader, &table).or(root_warmup),
            measure: measure(reader, &table).or(root_measure),
            variants,
        }
    })
}

/// The span `key`, from the first to the second of `range`.
pub(super) fn span(
    reader: &mut Reader,
    section: &Section<'_>,
    key: &str,
    default: SimSpan,
    range: [SimSpan; 2],
) -> Field<SimSpan> {
    reader.field(section, key, default, |reader, value| reader.span(value, range[0], range[1]))
}

fn warmup(reader: &mut Reader, section: &Section<'_>) -> Field<SimSpan> {
    let read = |reader: &mut Reader, value: &Value| {
        let span = reader.span(value, SimSpan::ZERO, SPAN_MAX)?;
        if span > SimSpan::ZERO && span < SLICE_MIN {
            let draft =
                Draft::new(value.at, format!("a warm-up of {span} is too short"), "write \"0s\" or at least \"1ms\"")
                    .code(Code::OutOfRange);
            reader.report(draft);
            return None;
        }
        Some(span)
    };
    reader.field(section, "warmup", SimSpan::from_secs(5), read)
}

fn measure(reader: &mut Reader, section: &Section<'_>) -> Field<SimSpan> {
    let read = |reader: &mut Reader, value: &Value| reader.span(value, SLICE_MIN, SPAN_MAX);
    reader.field(section, "measure", SimSpan::from_secs(60), read)
}

impl Options {
    fn links(&self) -> Option<TierLinks> {
        Some(TierLinks {
            full_peers: self.full_peers.value?,
            super_parents: self.super_parents.value?,
            light_parents: self.light_parents.value?,
        })
    }

    /// The approach number `index` of [`Approach::NAMES`] with these options, in each of the ways in which it runs, with
    /// what its name is followed by; none if an option that it needs is refused.
    pub(super) fn approaches(&self, index: usize) -> Vec<(String, Approach)> {
        if let Some(approach) = self.approach(index) {
            return vec![(String::new(), approach)];
        }
        let variants = self.variants.iter().flatten();
        variants.map(|variant| (variant.suffix.clone(), Approach::Mechanism(variant.mechanism))).collect()
    }

    fn approach(&self, index: usize) -> Option<Approach> {
        match index {
            0 => Some(Approach::FullMesh { event_nodes_max: self.event_nodes_max.value? }),
            1 => Some(Approach::Hierarchical(self.links()?)),
            2 => Some(Approach::Gossip {
                links: self.links()?,
                fanout: self.fanout.value?,
                seen: self.seen.value?,
                hops_max: self.hops_max.value?,
                track: self.track.value?,
            }),
            3 => Some(Approach::FlatGossip { fanout: self.fanout.value? }),
            4 => Some(Approach::Ping),
            5 => Some(Approach::Sampled {
                trackers: self.trackers.value?,
                rates: self.rates.value?,
                missed: self.missed.value?,
            }),
            6 => Some(Approach::Swim(SwimTiming {
                period: self.period.value?,
                probe_timeout: self.probe_timeout.value?,
                indirect_probes: self.indirect_probes.value?,
                suspicion_mult: self.suspicion_mult.value?,
            })),
            _ => None,
        }
    }

    /// Refuses a timeout of SWIM that leaves no time for what follows it. `at` is where the approach is named.
    ///
    /// An indirect probe makes two round trips where a probe makes one, so it needs at least as much time as that had.
    pub(super) fn check_probes(&self, reader: &mut Reader, at: Place) {
        let (Some(period), Some(timeout)) = (self.period.value, self.probe_timeout.value) else { return };
        let Some(indirect_probes) = self.indirect_probes.value else { return };
        let parts = if indirect_probes > 0 { 2 } else { 1 };
        if timeout * parts <= period {
            return;
        }
        let title = format!(
            "a probe timeout of {} does not fit a period of {}{}",
            span_text(timeout),
            span_text(period),
            if indirect_probes > 0 { " with indirect probes after it" } else { "" },
        );
        let longest = SimSpan::from_nanos(period.as_nanos() / parts);
        let label = format!(
            "write probe_timeout = \"{}\" or less, or period = \"{}\" or more",
            span_text(longest),
            span_text(timeout * parts)
        );
        let at = self.probe_timeout.at.or(self.period.at).or(self.indirect_probes.at).unwrap_or(at);
        let mut draft = Draft::new(at, title, label);
        if indirect_probes > 0 {
            draft = draft.help(
                "an indirect probe makes two round trips where a probe makes one, so it gets half of the period or more; \
                 indirect_probes = 0 does without",
            );
        }
        reader.report(draft);
    }
}
