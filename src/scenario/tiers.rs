//! The `[tiers]` table: how many nodes are of which type.

use super::codes::Code;
use super::keys::Preset;
use super::points::{NODES_MAX, Size};
use super::problem::{Draft, Place};
use super::quantity::{Decimal, count_text};
use super::reader::{Field, Reader, Section, count_written};
use super::tree::{Kind, Value};
use crate::contract::Population;

const TIER_KEYS: &[&str] = &["super", "full", "mobile", "light"];
const SHARE_KEYS: &[&str] = &["share", "min", "max"];

/// How many nodes a tier has.
#[derive(Clone, Copy, Debug)]
pub(super) enum TierSize {
    Count(u64),
    Share { share: Decimal, min: u64, max: u64 },
}

impl TierSize {
    fn of(self, nodes: u64) -> Option<u64> {
        match self {
            TierSize::Count(count) => Some(count),
            TierSize::Share { share, min, max } => Some(share.share_of(nodes)?.clamp(min, max)),
        }
    }
}

/// The tiers as written, for any number of nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiers {
    supers: Field<TierSize>,
    fulls: Field<TierSize>,
    mobiles: Field<TierSize>,
    /// `None` by default: all the rest.
    lights: Field<Option<TierSize>>,
}

/// Reads the tiers.
pub(super) fn tiers(reader: &mut Reader, root: &Section<'_>) -> Tiers {
    let section = reader.section(root, "tiers", TIER_KEYS);
    let default = |share, min, max| Decimal::parse(share).map(|share| TierSize::Share { share, min, max });
    let mut tier = |key, default: Option<TierSize>| match section.get(key) {
        Some(entry) => Field { value: tier_size(reader, &entry.value, key), at: Some(entry.value.at) },
        None => Field { value: default, at: None },
    };
    let supers = tier("super", default("0.0001", 10, 100));
    let fulls = tier("full", default("0.01", 100, 10_000));
    let mobiles = tier("mobile", Some(TierSize::Count(0)));
    let lights = reader.field(&section, "light", None, |reader, value| Some(Some(tier_size(reader, value, "light")?)));
    Tiers { supers, fulls, mobiles, lights }
}

fn tier_size(reader: &mut Reader, value: &Value, key: &str) -> Option<TierSize> {
    match &value.kind {
        Kind::Table(_) => {
            let section = reader.section_of(value, key, SHARE_KEYS);
            let count = |reader: &mut Reader, value: &Value| reader.count(value, 0, u64::from(NODES_MAX));
            let share = reader.field(&section, "share", None, |reader, value| Some(Some(reader.share(value)?)));
            let min = reader.field(&section, "min", 0, count);
            let max = reader.field(&section, "max", u64::from(NODES_MAX), count);
            if let Some(entry) = section.get("share") {
                reader.note_preset(&entry.value, Preset::Required);
            }
            if share.at.is_none() {
                let title = format!("the tier `{key}` has no share");
                reader.report(
                    Draft::new(value.at, title, "add share = 0.01, or write a count instead of the table")
                        .code(Code::Missing),
                );
            }
            let (min_count, max_count) = (min.value?, max.value?);
            if min_count > max_count {
                let at = min.at.or(max.at).unwrap_or(value.at);
                let title = format!("min {} exceeds max {}", count_text(min_count), count_text(max_count));
                reader.report(Draft::new(at, title, "write min <= max"));
                return None;
            }
            Some(TierSize::Share { share: share.value??, min: min_count, max: max_count })
        }
        Kind::Text(_) | Kind::Integer { .. } => reader.count(value, 0, u64::from(NODES_MAX)).map(TierSize::Count),
        _ => {
            let title = format!("expected a count such as \"10K\" or a share of the nodes, found {}", value.found());
            reader.report(
                Draft::new(value.at, title, "write \"10K\" or { share = 0.01, min = 100, max = \"10K\" }")
                    .code(Code::WrongType),
            );
            None
        }
    }
}

impl Tiers {
    /// The tiers of a network of `nodes`; problems are reported.
    pub(super) fn population(&self, reader: &mut Reader, nodes: Size) -> Option<Population> {
        let total = u64::from(nodes.count);
        let supers = self.supers.value?.of(total)?;
        let fulls = self.fulls.value?.of(total)?;
        let mobiles = self.mobiles.value?.of(total)?;
        let upper = supers + fulls + mobiles;
        let lights = match self.lights.value? {
            Some(size) => size.of(total)?,
            None => total.saturating_sub(upper),
        };
        let sum = upper + lights;
        if sum != total {
            let at = self.lights.at.or_else(|| self.largest_written(supers, fulls, mobiles)).unwrap_or(nodes.at);
            let title = format!(
                "for {} nodes the tiers add up to {}: {} super + {} full + {} mobile + {} light",
                count_text(total),
                count_text(sum),
                count_text(supers),
                count_text(fulls),
                count_text(mobiles),
                count_text(lights),
            );
            let label = match self.lights.at {
                Some(_) if upper <= total => format!("remove it, or write {}", count_written(total - upper)),
                Some(_) => format!("write tiers of {} nodes together", count_text(total)),
                None => format!("write tiers of at most {} nodes together, or simulate more nodes", count_text(total)),
            };
            reader.report(Draft::new(at, title, label));
            return None;
        }
        for (name, count, field) in [("super", supers, self.supers), ("full", fulls, self.fulls)] {
            if count == 0 {
                let title = match field.value? {
                    TierSize::Count(_) => format!("there is no {name} node"),
                    TierSize::Share { .. } => format!("for {} nodes there is no {name} node", count_text(total)),
                };
                let label = format!("write {name} = 1 or more under [tiers]");
                reader.report(Draft::new(field.at.unwrap_or(nodes.at), title, label));
                return None;
            }
        }
        Population::new([supers, fulls, lights, mobiles])
    }

    /// The place of the largest of the tiers that the file sets.
    fn largest_written(&self, supers: u64, fulls: u64, mobiles: u64) -> Option<Place> {
        let tiers = [(supers, self.supers.at), (fulls, self.fulls.at), (mobiles, self.mobiles.at)];
        tiers.into_iter().filter_map(|(count, at)| Some((count, at?))).max_by_key(|(count, _)| *count).map(|(_, at)| at)
    }
}
