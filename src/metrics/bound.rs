//! Thresholds that metrics must keep, and by how much metrics may move from what they were.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A bound for a metric: `messages.sent == 1284003`, `detection.p99 < 90 s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The metric's name.
    pub metric: String,
    /// The approach to which it applies, by the name that scenarios give it; `None` for all.
    pub approach: Option<String>,
    /// How the metric is compared.
    pub comparison: Comparison,
    /// With what, in the unit of the metric.
    pub value: f64,
    /// The bound as it was written: `< 90s`.
    pub written: String,
    /// Where it was written in the scenario file, from 1; `None` if it was not written there.
    #[serde(skip)]
    pub line: Option<usize>,
}

/// How a metric is compared with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Exactly as much.
    Equal,
    /// Less.
    Below,
    /// Not more.
    AtMost,
    /// More.
    Above,
    /// Not less.
    AtLeast,
}

impl Comparison {
    /// Every comparison; signs that begin alike have the longer one first.
    pub const ALL: [Comparison; 5] =
        [Comparison::Equal, Comparison::AtMost, Comparison::Below, Comparison::AtLeast, Comparison::Above];

    /// The sign in scenario files.
    pub const fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
        }
    }

    /// Whether `measured` compares so with `bound`.
    pub fn holds(self, measured: f64, bound: f64) -> bool {
        match self {
            Comparison::Equal => measured == bound,
            Comparison::Below => measured < bound,
            Comparison::AtMost => measured <= bound,
            Comparison::Above => measured > bound,
            Comparison::AtLeast => measured >= bound,
        }
    }
}

impl Threshold {
    /// Whether the threshold applies to the results of `label`: an approach, perhaps followed by a blank and a variant.
    pub fn applies_to(&self, label: &str) -> bool {
        self.approach.as_deref().is_none_or(|approach| {
            label.strip_prefix(approach).is_some_and(|variant| variant.is_empty() || variant.starts_with(' '))
        })
    }

    /// Whether `measured` keeps it; what was not measured does not.
    pub fn holds(&self, measured: Option<f64>) -> bool {
        measured.is_some_and(|measured| self.comparison.holds(measured, self.value))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(approach) = &self.approach {
            write!(f, "{approach}: ")?;
        }
        write!(f, "{} {}", self.metric, self.written)
    }
}

/// By which share of what it was a metric may move, either way.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance {
    /// The metric's name.
    pub metric: String,
    /// The share, from 0 to 1; with 0 the metric is compared exactly.
    pub share: f64,
}

impl Tolerance {
    /// Whether a metric that was `old` may be `new` by `share`.
    pub fn allows(share: f64, old: f64, new: f64) -> bool {
        (new - old).abs() <= share * old.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(comparison: Comparison, value: f64, approach: Option<&str>) -> Threshold {
        let approach = approach.map(str::to_owned);
        let metric = "messages.sent".to_owned();
        Threshold { metric, approach, comparison, value, written: format!("{} {value}", comparison.sign()), line: None }
    }

    #[test]
    fn comparisons_are_what_their_signs_say() {
        let held = |measured| Comparison::ALL.map(|comparison| threshold(comparison, 5.0, None).holds(Some(measured)));
        // ==, <=, <, >=, >
        assert_eq!(held(4.0), [false, true, true, false, false]);
        assert_eq!(held(5.0), [true, true, false, true, false]);
        assert_eq!(held(6.0), [false, false, false, true, true]);
        assert!(!threshold(Comparison::Below, 5.0, None).holds(None), "nothing was measured");
        assert!(!threshold(Comparison::AtMost, 5.0, None).holds(Some(f64::NAN)));
    }

    #[test]
    fn a_threshold_of_an_approach_is_one_of_its_variants() {
        let gossip = threshold(Comparison::Equal, 1.0, Some("gossip"));
        assert!(gossip.applies_to("gossip") && gossip.applies_to("gossip nearby 0.5"));
        assert!(!gossip.applies_to("flat-gossip") && !gossip.applies_to("gossips"));
        assert!(threshold(Comparison::Equal, 1.0, None).applies_to("anything"));
    }

    #[test]
    fn a_tolerance_is_a_share_of_what_was() {
        assert!(Tolerance::allows(0.0, 7.0, 7.0) && !Tolerance::allows(0.0, 7.0, 7.1));
        assert!(Tolerance::allows(0.01, 100.0, 101.0) && Tolerance::allows(0.01, 100.0, 99.0));
        assert!(!Tolerance::allows(0.01, 100.0, 102.0) && !Tolerance::allows(0.5, 0.0, 1.0));
    }
}
