//! The `[detection]` table, and the rates of the sampled approach: how nodes decide that others are down.

use super::codes::Code;
use super::problem::Draft;
use super::quantity::short;
use super::reader::{Field, Reader, SPAN_MAX, Section};
use super::tree::Value;
use crate::contract::SimSpan;
use crate::protocols::detector::Detector;
use crate::protocols::sampled::RATES_MAX;

const KEYS: &[&str] = &["detector", "missed", "threshold", "patience"];
const DETECTORS: &[&str] = &["timeout", "phi"];
/// The key of each detector that the other does not have.
const OWN_KEYS: [&str; 2] = ["missed", "threshold"];

/// Most heartbeats that a timeout waits for.
pub(super) const MISSED_MAX: u32 = 100;
const THRESHOLD: std::ops::RangeInclusive<f64> = 0.1..=30.0;
/// Smallest rate of a sample.
const RATE_MIN: f64 = 1e-9;

/// How nodes decide that others are down, and how long they are given for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectionSpec {
    /// The detector.
    pub detector: Detector,
    /// How long a failure lasts at least that counts as never noticed; `None` if it depends on the node.
    pub patience: Option<SimSpan>,
}

impl DetectionSpec {
    /// How long the failure of a node lasts at least that counts as never noticed, if nobody does. If the scenario does
    /// not say: one interval of the node more than its failure takes to be noticed, the moment within the interval at
    /// which it falls and that at which others look included. That is `missed + 2` intervals for a timeout.
    pub fn patience(&self, interval: SimSpan) -> SimSpan {
        self.patience.unwrap_or(interval * (u64::from(self.detector.intervals()) + 1))
    }
}

/// The rates of the samples that the sampled approach counts: one to eight, ascending.
#[derive(Clone, Copy, PartialEq)]
pub struct SampleRates {
    /// Those that are not used are zero.
    rates: [f64; RATES_MAX],
    count: usize,
}

impl SampleRates {
    /// The rates `rates`, if they are one to eight, above zero, at most 1, and ascending.
    pub fn new(rates: &[f64]) -> Option<Self> {
        let ascending = rates.is_sorted_by(|smaller, larger| smaller < larger);
        let valid = ascending && rates.iter().all(|rate| (RATE_MIN..=1.0).contains(rate));
        if !valid || !(1..=RATES_MAX).contains(&rates.len()) {
            return None;
        }
        let mut all = [0.0; RATES_MAX];
        all[..rates.len()].copy_from_slice(rates);
        Some(SampleRates { rates: all, count: rates.len() })
    }

    /// The rates, ascending.
    pub fn as_slice(&self) -> &[f64] {
        &self.rates[..self.count]
    }

    /// The largest rate: who is in its sample sends.
    pub fn largest(&self) -> f64 {
        self.rates[self.count - 1]
    }
}

impl Default for SampleRates {
    /// From one in ten thousand to one in ten.
    fn default() -> Self {
        SampleRates { rates: [0.0001, 0.001, 0.01, 0.1, 0.0, 0.0, 0.0, 0.0], count: 4 }
    }
}

impl std::fmt::Debug for SampleRates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// The detector, if the file has the table for it.
pub(super) fn detection(reader: &mut Reader, root: &Section<'_>) -> Field<Option<DetectionSpec>> {
    let Some(entry) = root.get("detection") else { return Field::default(None) };
    let section = reader.section_of(&entry.value, "detection", KEYS);
    let at = section.at;
    let name = reader.field(&section, "detector", 0, |reader, value| reader.choice(value, "a detector", DETECTORS));
    let missed = reader.field(&section, "missed", 3, |reader, value| reader.count_u32(value, 1, MISSED_MAX));
    let range = format!("a number from {} to {}", THRESHOLD.start(), THRESHOLD.end());
    let threshold = reader.field(&section, "threshold", 8.0, |reader, value| {
        reader.number(value, &range, |threshold| THRESHOLD.contains(&threshold))
    });
    let patience = reader.field(&section, "patience", None, |reader, value| {
        reader.span(value, SimSpan::from_millis(1), SPAN_MAX).map(Some)
    });
    let Some(name) = name.value else { return Field { value: None, at } };
    let stray = OWN_KEYS[1 - name];
    if let Some(entry) = section.get(stray) {
        let title = format!("`{stray}` has no meaning for the {} detector", DETECTORS[name]);
        let label = format!("remove it, or write detector = \"{}\"", DETECTORS[1 - name]);
        let why = match name {
            0 => "a timeout counts missed heartbeats; a threshold is for phi, which weighs how late the next one is",
            _ => "phi weighs how late the next heartbeat is and does not count missed ones",
        };
        reader.report(Draft::new(entry.key_at, title, label).code(Code::Meaningless).help(why));
    }
    let spec = || {
        let detector = match name {
            0 => Detector::Timeout { missed: missed.value? },
            _ => Detector::Phi { threshold: threshold.value? },
        };
        Some(Some(DetectionSpec { detector, patience: patience.value? }))
    };
    Field { value: spec(), at }
}

/// The rates of the sampled approach: one or a list, in any order.
pub(super) fn rates(reader: &mut Reader, value: &Value) -> Option<SampleRates> {
    let range = format!("a rate from {RATE_MIN} to 1");
    let mut rates: Vec<f64> = Vec::new();
    let mut is_valid = true;
    for item in reader.items(value, "rates", RATES_MAX) {
        let Some(rate) = reader.number(item, &range, |rate| (RATE_MIN..=1.0).contains(&rate)) else {
            is_valid = false;
            continue;
        };
        if rates.contains(&rate) {
            let title = format!("the rate {} stands in the list for the second time", short(&item.digits()));
            reader.report(Draft::new(item.at, title, "remove it").code(Code::Twice));
            is_valid = false;
        }
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    if is_valid { SampleRates::new(&rates) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_what_the_file_says_or_some_intervals_of_the_node() {
        let spec = |detector, patience| DetectionSpec { detector, patience };
        let minute = SimSpan::from_secs(60);
        let timeout = Detector::Timeout { missed: 3 };
        assert_eq!(spec(timeout, None).patience(minute), minute * 5);
        assert_eq!(spec(Detector::Phi { threshold: 8.0 }, None).patience(minute), minute * 4);
        assert_eq!(spec(timeout, Some(SimSpan::from_secs(7))).patience(minute), SimSpan::from_secs(7));
    }

    #[test]
    fn rates_ascend_above_zero_up_to_one() {
        let defaults = SampleRates::default();
        assert_eq!(SampleRates::new(&[0.0001, 0.001, 0.01, 0.1]), Some(defaults));
        assert_eq!((defaults.as_slice().len(), defaults.largest()), (4, 0.1));
        for wrong in [&[][..], &[0.0], &[0.1, 0.1], &[0.2, 0.1], &[0.5, 1.5], &[f64::NAN], &[0.5; 9]] {
            assert_eq!(SampleRates::new(wrong), None, "{wrong:?}");
        }
    }
}
