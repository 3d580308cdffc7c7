//! What a reader notes of the values that it is asked for: their kind, their bounds, what stands for them.

use std::collections::BTreeMap;

use super::super::SampleRates;
use super::super::problem::Place;
use super::super::quantity::{Decimal, bitrate_text, span_text};
use super::super::tiers::TierSize;
use crate::contract::SimSpan;
use crate::engine::Jitter;
use crate::engine::regions::Holds;

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A duration: a text of a number and a unit.
    Span {
        /// The shortest.
        min: SimSpan,
        /// The longest.
        max: SimSpan,
    },
    /// A whole number, or a text such as `"10K"`.
    Count {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A size in bytes: a text of a number and a unit.
    Size {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A data rate in bits per second: a text of a number and a unit.
    Bitrate {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// True or false.
    Boolean,
    /// A number.
    Number {
        /// What it may be, in words.
        range: String,
        /// The least, and whether it is one of them.
        low: Option<(f64, bool)>,
        /// The most, and whether it is one of them.
        high: Option<(f64, bool)>,
    },
    /// A text.
    Text {
        /// What it is.
        what: String,
    },
    /// One of some words.
    Choice(Vec<String>),
    /// A table with these keys.
    Table(Vec<String>),
    /// A table whose keys depend on the rest of the scenario.
    Entries,
    /// A list of such tables.
    Tables {
        /// How many at most.
        max: usize,
    },
}

/// What stands for a value that is not written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::scenario) enum Preset {
    /// Nothing that has a name.
    #[default]
    Nothing,
    /// Nothing may: it has to be written.
    Required,
    Value(String),
    Number(u64),
    /// One of the words of a choice.
    Word(usize),
    /// Several.
    List(Vec<Preset>),
}

/// All that is noted of one value.
#[derive(Clone, Debug, Default)]
pub(in crate::scenario) struct Note {
    pub(in crate::scenario) shapes: Vec<Shape>,
    pub(in crate::scenario) preset: Option<Preset>,
    /// How many of them a list may hold, if it may be one.
    pub(in crate::scenario) list_max: Option<usize>,
}

/// Notes by the place of the value.
pub(in crate::scenario) type Notes = BTreeMap<Place, Note>;

/// A default that can be told.
pub(in crate::scenario) trait Told {
    fn told(&self) -> Preset {
        Preset::Nothing
    }
}

impl Told for SimSpan {
    fn told(&self) -> Preset {
        Preset::Value(if *self == SimSpan::ZERO { "\"0s\"".to_owned() } else { format!("\"{}\"", span_text(*self)) })
    }
}

impl Told for u8 {
    fn told(&self) -> Preset {
        u64::from(*self).told()
    }
}

impl Told for u32 {
    fn told(&self) -> Preset {
        u64::from(*self).told()
    }
}

impl Told for u64 {
    fn told(&self) -> Preset {
        Preset::Number(*self)
    }
}

impl Told for f64 {
    fn told(&self) -> Preset {
        Preset::Value(self.to_string())
    }
}

impl Told for bool {
    fn told(&self) -> Preset {
        Preset::Value(self.to_string())
    }
}

/// Where words are read, they become their places in the list of all.
impl Told for usize {
    fn told(&self) -> Preset {
        Preset::Word(*self)
    }
}

impl<T: Told> Told for Option<T> {
    fn told(&self) -> Preset {
        self.as_ref().map_or(Preset::Nothing, Told::told)
    }
}

impl<T: Told> Told for [T] {
    fn told(&self) -> Preset {
        match self {
            [one] => one.told(),
            _ => Preset::List(self.iter().map(Told::told).collect()),
        }
    }
}

/// What has no short name is told in words, beside the meaning of its key.
macro_rules! told_in_words {
    ($($kind:ty),*) => { $(impl Told for $kind {})* };
}

told_in_words!(Decimal, Jitter, Holds, SampleRates, TierSize);

/// Rates of data, up and down.
impl Told for (u64, u64) {
    fn told(&self) -> Preset {
        Preset::Value(match self {
            (up, down) if up == down => format!("\"{}\"", bitrate_text(*up)),
            (up, down) => {
                format!("{{ upload = \"{}\", download = \"{}\" }}", bitrate_text(*up), bitrate_text(*down))
            }
        })
    }
}

/// The bound between `inside`, which `accepts` takes, and `outside`, which it does not: the number with the shorter
/// name of the two neighbours where it changes its mind, and whether that is taken.
pub(in crate::scenario) fn bound(accepts: &dyn Fn(f64) -> bool, inside: f64, outside: f64) -> (f64, bool) {
    // Floats of one sign are in the order of their bits.
    let order = |number: f64| {
        let bits = number.to_bits() as i64;
        if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }
    };
    let float = |order: i64| f64::from_bits(if order < 0 { i64::MIN.wrapping_sub(order) } else { order } as u64);
    let (mut inside, mut outside) = (order(inside), order(outside));
    while inside.abs_diff(outside) > 1 {
        let middle = ((i128::from(inside) + i128::from(outside)) / 2) as i64;
        if accepts(float(middle)) { inside = middle } else { outside = middle }
    }
    let (inside, outside) = (float(inside), float(outside));
    let is_taken = inside.to_string().len() <= outside.to_string().len();
    (if is_taken { inside } else { outside } + 0.0, is_taken)
}

/// What numbers `accepts` takes, which `range` says in words.
pub(in crate::scenario) fn number_shape(range: &str, accepts: &dyn Fn(f64) -> bool) -> Shape {
    const TRIED: [f64; 8] = [0.5, 1.0, 2.0, 0.01, 1e-6, 10.0, 0.0, 100.0];
    const FAR: f64 = 1e30;
    let inside = TRIED.into_iter().find(|number| accepts(*number));
    let side = |far: f64| inside.filter(|_| !accepts(far)).map(|inside| bound(accepts, inside, far));
    Shape::Number { range: range.to_owned(), low: side(-FAR), high: side(FAR) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_numbers_are_found_exactly() {
        let check = |accepts: &dyn Fn(f64) -> bool, low, high| {
            let Shape::Number { low: found_low, high: found_high, .. } = number_shape("", accepts) else { panic!() };
            assert_eq!((found_low, found_high), (low, high));
        };
        check(&|x| (0.0..=1.0).contains(&x), Some((0.0, true)), Some((1.0, true)));
        check(&|x| (0.0..1.0).contains(&x), Some((0.0, true)), Some((1.0, false)));
        check(&|x| x > 0.0 && x <= 5.0, Some((0.0, false)), Some((5.0, true)));
        check(&|x| (1.01..=1_000.0).contains(&x), Some((1.01, true)), Some((1_000.0, true)));
        check(&|x| x >= -2.5, Some((-2.5, true)), None);
    }
}
