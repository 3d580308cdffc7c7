//! What follows from a measurement: the closed set of verdicts, and the rules that decide between them.

use std::fmt;

use super::fit::{Law, mean_with_interval};

/// How a number was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// Every message was an event of the engine.
    Event,
    /// Broadcasts were counted as a whole.
    Counted,
    /// On this machine, by a clock or a disk.
    Measured,
    /// By a law that was fitted to measured sizes.
    Projected,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::Event => "event",
            Means::Counted => "counted",
            Means::Measured => "measured",
            Means::Projected => "projected",
        })
    }
}

/// How a measured number is held against a documented one; where none is documented, against the implied one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// It is that number, give or take a share of it; otherwise it is off by a factor.
    Near(f64),
    /// It is that number or less, give or take a share; otherwise it is off by a factor.
    UpTo(f64),
    /// It is that number or more, give or take a share; otherwise it is off by a factor.
    From(f64),
    /// It is between two numbers; otherwise it is off by a factor from the nearer one.
    Between(f64, f64),
    /// It is that number at most; otherwise the claim is contradicted.
    AtMost,
    /// It is that number at least; otherwise the claim is contradicted.
    AtLeast,
    /// It is this number at most; otherwise the claim is contradicted.
    NoMoreThan(f64),
    /// It is this number at least; otherwise the claim is contradicted.
    NoLessThan(f64),
    /// It came to that number; if only to a smaller one, because the run was smaller, the claim holds under that condition.
    Reached,
    /// It is an exponent within so much of the documented one; otherwise the claim is contradicted.
    Exponent(f64),
    /// It grows no faster than by this law; otherwise the claim is contradicted.
    NoFasterThan(Law),
    /// It is shown, and decides nothing.
    Shown,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| share * 100.0;
        match *self {
            Rule::Near(share) => write!(f, "within {:.0} % of the number", percent(share)),
            Rule::UpTo(share) => write!(f, "at most {:.0} % above the number", percent(share)),
            Rule::From(share) => write!(f, "at most {:.0} % below the number", percent(share)),
            Rule::Between(low, high) => write!(f, "from {low} to {high}"),
            Rule::AtMost => f.write_str("at most the number"),
            Rule::AtLeast => f.write_str("at least the number"),
            Rule::NoMoreThan(bound) => write!(f, "at most {bound}"),
            Rule::NoLessThan(bound) => write!(f, "at least {bound}"),
            Rule::Reached => f.write_str("a run of that size, or of a smaller one as a condition"),
            Rule::Exponent(within) => write!(f, "exponent within {within} of the number"),
            Rule::NoFasterThan(law) => write!(f, "grows no faster than {law}"),
            Rule::Shown => f.write_str("shown, decides nothing"),
        }
    }
}

/// A number that was measured, with what the document says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is of: `upload`, `at 1M nodes`; empty where a claim has one number.
    pub name: String,
    /// Its unit; `exponent` of an exponent of growth.
    pub unit: &'static str,
    /// What is documented, in that unit.
    pub documented: Option<f64>,
    /// What follows from the document's own parameters, where that is another number.
    pub implied: Option<f64>,
    /// What was measured, once for each seed.
    pub values: Vec<f64>,
    /// Whether the values are what was reached without finding the number, which is larger.
    pub is_lower_bound: bool,
    /// Half the width of a 95 % confidence interval, where that does not come from seeds but from a fit.
    pub half_width: Option<f64>,
    /// The law of growth, where one was fitted.
    pub law: Option<Law>,
    /// Sizes and means over seeds that the law was fitted to.
    pub points: Vec<(f64, f64)>,
    /// How it was obtained.
    pub means: Means,
    /// Whether it says how fast or how large this machine is, so that another gives another number.
    pub is_of_machine: bool,
    /// What decides.
    pub rule: Rule,
}

/// What is to be said of a claim, or of a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It is so.
    Holds,
    /// It is so in some of what was measured, and not in all.
    HoldsConditionally,
    /// The right number is so many times the documented one.
    OffBy(f64),
    /// It is not so.
    Contradicted,
    /// Nothing that can be measured is claimed.
    NotMeasurable,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Holds => f.write_str("holds"),
            Verdict::HoldsConditionally => f.write_str("holds under stated conditions"),
            Verdict::OffBy(factor) => write!(f, "off by {}", three_digits(*factor)),
            Verdict::Contradicted => f.write_str("contradicted"),
            Verdict::NotMeasurable => f.write_str("not a measurable claim"),
        }
    }
}

/// A factor in three significant digits.
fn three_digits(factor: f64) -> String {
    let digits = 2 - libm::floor(libm::log10(factor.abs().max(1e-300))) as i32;
    format!("{factor:.*}", digits.clamp(0, 12) as usize)
}

impl Part {
    /// The mean over seeds, with half the width of its confidence interval.
    pub fn mean(&self) -> Option<(f64, Option<f64>)> {
        let (mean, half_width) = mean_with_interval(&self.values)?;
        Some((mean, self.half_width.or(half_width)))
    }

    /// Measured by documented.
    pub fn ratio(&self) -> Option<f64> {
        let documented = self.documented.filter(|documented| *documented != 0.0)?;
        Some(self.mean()?.0 / documented)
    }

    /// What the rule says; `None` if it decides nothing, or nothing was measured.
    pub fn verdict(&self) -> Option<Verdict> {
        let (measured, _) = self.mean()?;
        let number = self.documented.or(self.implied);
        let held = |holds: bool| Some(if holds { Verdict::Holds } else { Verdict::Contradicted });
        let off = |holds: fn(f64, f64) -> bool, share: f64| {
            let ratio = measured / number?;
            Some(if holds(ratio, share) { Verdict::Holds } else { Verdict::OffBy(ratio) })
        };
        // Of a number that is known to be larger, only that can be said.
        let at_most = |bound: f64| held(measured <= bound).filter(|_| !self.is_lower_bound || measured > bound);
        match self.rule {
            Rule::Shown => None,
            Rule::NoFasterThan(law) => held(self.law? <= law),
            Rule::Near(share) => off(|ratio, share| (ratio - 1.0).abs() <= share, share),
            Rule::UpTo(share) => off(|ratio, share| ratio <= 1.0 + share, share),
            Rule::From(share) => off(|ratio, share| ratio >= 1.0 - share, share),
            Rule::Between(low, high) => Some(match measured {
                below if below < low => Verdict::OffBy(below / low),
                above if above > high => Verdict::OffBy(above / high),
                _ => Verdict::Holds,
            }),
            Rule::AtMost => at_most(number?),
            Rule::NoMoreThan(bound) => at_most(bound),
            Rule::AtLeast => held(measured >= number?),
            Rule::NoLessThan(bound) => held(measured >= bound),
            Rule::Reached => Some(if measured >= number? { Verdict::Holds } else { Verdict::HoldsConditionally }),
            Rule::Exponent(within) => held((measured - number?).abs() <= within),
        }
    }
}

/// What the parts of a claim say together: it holds if all hold, under conditions if some do; otherwise the part that is
/// off by most, or that contradicts, decides.
pub fn together(parts: &[Part]) -> Option<Verdict> {
    let verdicts: Vec<Verdict> = parts.iter().filter_map(Part::verdict).collect();
    let holding = verdicts.iter().filter(|verdict| **verdict == Verdict::Holds).count();
    match holding {
        _ if verdicts.is_empty() => None,
        all if all == verdicts.len() => Some(Verdict::Holds),
        1.. => Some(Verdict::HoldsConditionally),
        _ if verdicts.contains(&Verdict::HoldsConditionally) => Some(Verdict::HoldsConditionally),
        _ if verdicts.contains(&Verdict::Contradicted) => Some(Verdict::Contradicted),
        _ => {
            let distance = |verdict: &Verdict| match verdict {
                Verdict::OffBy(factor) => libm::log(factor.abs().max(1e-300)).abs(),
                _ => 0.0,
            };
            verdicts.into_iter().max_by(|one, other| distance(one).total_cmp(&distance(other)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(rule: Rule, documented: f64, values: &[f64]) -> Part {
        Part::new("", "1", Some(documented), values.to_vec(), Means::Event, rule)
    }

    #[test]
    fn rules_decide_by_the_mean_over_seeds() {
        let cases = [
            (Rule::Near(0.1), 100.0, [95.0, 105.0], Some(Verdict::Holds)),
            (Rule::Near(0.1), 100.0, [250.0, 350.0], Some(Verdict::OffBy(3.0))),
            (Rule::UpTo(0.25), 100.0, [1.0, 3.0], Some(Verdict::Holds)),
            (Rule::UpTo(0.25), 100.0, [120.0, 132.0], Some(Verdict::OffBy(1.26))),
            (Rule::From(0.25), 100.0, [900.0, 100.0], Some(Verdict::Holds)),
            (Rule::From(0.25), 100.0, [50.0, 50.0], Some(Verdict::OffBy(0.5))),
            (Rule::Between(50.0, 70.0), 0.0, [50.0, 70.0], Some(Verdict::Holds)),
            (Rule::Between(50.0, 70.0), 0.0, [5.0, 5.0], Some(Verdict::OffBy(0.1))),
            (Rule::Between(50.0, 70.0), 0.0, [140.0, 140.0], Some(Verdict::OffBy(2.0))),
            (Rule::AtMost, 5.0, [4.0, 6.0], Some(Verdict::Holds)),
            (Rule::AtMost, 5.0, [5.0, 6.0], Some(Verdict::Contradicted)),
            (Rule::AtLeast, 5.0, [5.0, 6.0], Some(Verdict::Holds)),
            (Rule::AtLeast, 5.0, [4.0, 5.0], Some(Verdict::Contradicted)),
            (Rule::NoMoreThan(1.0), 0.0, [0.5, 0.7], Some(Verdict::Holds)),
            (Rule::NoMoreThan(1.0), 0.0, [1.5, 0.7], Some(Verdict::Contradicted)),
            (Rule::NoLessThan(1.0), 9.0, [1.5, 0.7], Some(Verdict::Holds)),
            (Rule::Reached, 5.0, [5.0, 5.0], Some(Verdict::Holds)),
            (Rule::Reached, 5.0, [1.0, 1.0], Some(Verdict::HoldsConditionally)),
            (Rule::Exponent(0.05), 2.0, [2.04, 2.0], Some(Verdict::Holds)),
            (Rule::Exponent(0.05), 1.0, [1.2, 1.2], Some(Verdict::Contradicted)),
            (Rule::Shown, 5.0, [5.0, 6.0], None),
        ];
        for (rule, documented, values, expected) in cases {
            assert_eq!(part(rule, documented, &values).verdict(), expected, "{rule:?} {values:?}");
        }
        assert_eq!(part(Rule::AtMost, 5.0, &[]).verdict(), None);
        let grows = |law| Part { law: Some(law), ..part(Rule::NoFasterThan(Law::Logarithmic), 0.0, &[0.1]) };
        assert_eq!(grows(Law::Constant).verdict(), Some(Verdict::Holds));
        assert_eq!(grows(Law::Linear).verdict(), Some(Verdict::Contradicted));
    }

    #[test]
    fn a_lower_bound_can_only_contradict_an_upper_one() {
        let reached = |value: f64| Part { is_lower_bound: true, ..part(Rule::AtMost, 10.0, &[value]) };
        assert_eq!((reached(100.0).verdict(), reached(5.0).verdict()), (Some(Verdict::Contradicted), None));
    }

    #[test]
    fn the_implied_number_decides_where_none_is_documented() {
        let implied = Part { documented: None, implied: Some(10.0), ..part(Rule::Near(0.1), 0.0, &[10.5]) };
        assert_eq!((implied.verdict(), implied.ratio()), (Some(Verdict::Holds), None));
        let neither = Part { documented: None, ..part(Rule::Near(0.1), 0.0, &[10.5]) };
        assert_eq!(neither.verdict(), None);
    }

    #[test]
    fn parts_hold_together_or_under_conditions() {
        let (good, bad) = (part(Rule::AtMost, 5.0, &[1.0]), part(Rule::AtMost, 5.0, &[9.0]));
        let off = |factor: f64| part(Rule::Near(0.1), 1.0, &[factor]);
        let shown = part(Rule::Shown, 1.0, &[1.0]);
        assert_eq!(together(&[good.clone(), shown.clone()]), Some(Verdict::Holds));
        assert_eq!(together(&[good, bad.clone()]), Some(Verdict::HoldsConditionally));
        assert_eq!(together(&[bad, off(2.0)]), Some(Verdict::Contradicted));
        assert_eq!(together(&[off(3.0), off(0.1)]), Some(Verdict::OffBy(0.1)));
        assert_eq!(together(&[shown]), None);
    }

    #[test]
    fn factors_have_three_digits() {
        let said = [0.033_33, 1.5, 3_333.3].map(|factor| Verdict::OffBy(factor).to_string());
        assert_eq!(said, ["off by 0.0333", "off by 1.50", "off by 3333"]);
    }
}
