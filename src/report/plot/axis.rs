//! Axes: where a value stands, and the ticks that say so.

use super::super::number::plain_tick;

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    /// Evenly.
    Linear,
    /// In powers of ten.
    Log,
    /// Shares below one in powers of ten of what is left: 0, 90 %, 99 %, 99.9 %.
    Nines,
}

/// An axis.
#[derive(Debug)]
pub(in crate::report) struct Axis {
    /// What it measures, with its unit.
    pub(in crate::report) label: String,
    scale: Scale,
    /// Its ends, on its scale.
    low: f64,
    high: f64,
    /// Values on its scale, with what they are called.
    pub(in crate::report) ticks: Vec<(f64, String)>,
    /// What stands below several ticks, in the middle of them.
    pub(in crate::report) groups: Vec<(f64, String)>,
}

/// The most ticks with a name.
const TICKS_MAX: usize = 9;

impl Axis {
    /// An even axis that holds `values`, and zero.
    pub(in crate::report) fn linear(label: &str, values: impl Iterator<Item = f64>) -> Axis {
        let (low, high) = range(values.chain([0.0]));
        let high = if high > low { high } else { low + 1.0 };
        let step = nice((high - low) / 5.0);
        let (first, last) = (libm::floor(low / step) as i64, libm::ceil(high / step) as i64);
        // Steps are at least a tenth of the whole, so these are a dozen numbers.
        let ticks = (first..=last).map(|tick| tick as f64 * step).map(|at| (at, plain_tick(at))).collect();
        Axis {
            label: label.to_owned(),
            scale: Scale::Linear,
            low: first as f64 * step,
            high: last as f64 * step,
            ticks,
            groups: Vec::new(),
        }
    }

    /// An even axis of shares, from nothing to all.
    pub(in crate::report) fn shares(label: &str) -> Axis {
        let ticks = (0..=5).map(|tick| (f64::from(tick) / 5.0, format!("{}%", tick * 20))).collect();
        Axis { label: label.to_owned(), scale: Scale::Linear, low: 0.0, high: 1.0, ticks, groups: Vec::new() }
    }

    /// An axis in powers of ten that holds `values`, which are above zero, with room for markers.
    pub(in crate::report) fn log(label: &str, values: impl Iterator<Item = f64>) -> Axis {
        let (low, high) = range(values.filter(|value| *value > 0.0).map(libm::log10));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let is_long = libm::floor(high) - libm::ceil(low) >= 2.0;
        let ticks = if is_long { decades(low, high) } else { parts_of_decades(low, high) };
        let (low, high) = match (ticks.first(), ticks.last()) {
            (Some(first), Some(last)) if !is_long => (low.min(first.0), high.max(last.0)),
            _ => (low, high),
        };
        let room = 0.05 * (high - low);
        Axis {
            label: label.to_owned(),
            scale: Scale::Log,
            low: low - room,
            high: high + room,
            ticks,
            groups: Vec::new(),
        }
    }

    /// An axis of shares in powers of ten of what is left, as far as 99.9 %; all, which would be at no end, stands above
    /// that and is called `longest`.
    pub(in crate::report) fn nines(label: &str) -> Axis {
        let shares = [(0.0, "0%"), (0.5, "50%"), (0.9, "90%"), (0.99, "99%"), (0.999, "99.9%"), (1.0, "longest")];
        let ticks = shares.map(|(share, name)| (nines(share), name.to_owned())).to_vec();
        Axis { label: label.to_owned(), scale: Scale::Nines, low: 0.0, high: NINES_MAX, ticks, groups: Vec::new() }
    }

    /// An axis of names within `groups`: at the whole numbers from 0, in the order in which they come.
    pub(in crate::report) fn grouped(label: &str, names: &[(&str, &str)]) -> Axis {
        let plain: Vec<String> = names.iter().map(|(_, name)| (*name).to_owned()).collect();
        let mut axis = Axis::names(label, &plain);
        let mut at = 0;
        for of_group in names.chunk_by(|one, other| one.0 == other.0) {
            let middle = at as f64 + (of_group.len() - 1) as f64 / 2.0;
            axis.groups.push((middle, of_group[0].0.to_owned()));
            at += of_group.len();
        }
        axis
    }

    /// An axis of names, at the whole numbers from 0.
    pub(in crate::report) fn names(label: &str, names: &[String]) -> Axis {
        let ticks = names.iter().enumerate().map(|(at, name)| (at as f64, name.clone())).collect();
        let high = names.len() as f64 - 0.5;
        Axis { label: label.to_owned(), scale: Scale::Linear, low: -0.5, high, ticks, groups: Vec::new() }
    }

    fn place(&self, value: f64) -> Option<f64> {
        match self.scale {
            Scale::Linear => Some(value),
            Scale::Log => (value > 0.0).then(|| libm::log10(value)),
            Scale::Nines => Some(nines(value)),
        }
    }

    /// How far along the axis `value` is, from 0 to 1; outside of that where it is not on it. `None` if it can be on no
    /// axis of this scale.
    pub(in crate::report) fn share(&self, value: f64) -> Option<f64> {
        Some(self.share_of_tick(self.place(value)?))
    }

    /// The same of a value on the axis' scale, as ticks are.
    pub(in crate::report) fn share_of_tick(&self, tick: f64) -> f64 {
        (tick - self.low) / (self.high - self.low)
    }
}

/// Where all stands on an axis of nines.
const NINES_MAX: f64 = 3.5;

/// How many nines `share` has, at most [`NINES_MAX`].
fn nines(share: f64) -> f64 {
    if share < 1.0 { (-libm::log10(1.0 - share)).min(NINES_MAX) } else { NINES_MAX }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
}

/// A step of 1, 2, 2.5 or 5 times a power of ten, at least `step`.
fn nice(step: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(step)));
    let times = [1.0, 2.0, 2.5, 5.0].into_iter().find(|times| times * power >= step * (1.0 - 1e-9)).unwrap_or(10.0);
    times * power
}

/// Whole powers of ten from `low` to `high`, with names as far apart as there is room for.
fn decades(low: f64, high: f64) -> Vec<(f64, String)> {
    let powers: Vec<i32> = (libm::ceil(low) as i32..=libm::floor(high) as i32).collect();
    let apart = powers.len().div_ceil(TICKS_MAX) as i32;
    let name = |power: i32| if power % apart == 0 { power_name(power) } else { String::new() };
    powers.iter().map(|&power| (f64::from(power), name(power))).collect()
}

/// Long names of small powers would take the room of the data.
fn power_name(power: i32) -> String {
    if power < -4 { format!("1e{power}") } else { plain_tick(libm::pow(10.0, f64::from(power))) }
}

/// Once, twice and five times powers of ten, the last below `low` to the first above `high`.
fn parts_of_decades(low: f64, high: f64) -> Vec<(f64, String)> {
    let powers = libm::floor(low) as i32 - 1..=libm::ceil(high) as i32 + 1;
    let values = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|times| times * libm::pow(10.0, f64::from(power))));
    let places: Vec<(f64, String)> = values.map(|value| (libm::log10(value), plain_tick(value))).collect();
    let near = 1e-9;
    let first = places.iter().rposition(|(at, _)| *at <= low + near).unwrap_or(0);
    let last = places.iter().position(|(at, _)| *at >= high - near).unwrap_or(places.len() - 1);
    places[first..=last.max(first + 1).min(places.len() - 1)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, name)| name.as_str()).filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn axes_hold_their_values_and_name_round_ones() {
        let cases: [(&[f64], &[&str]); 6] = [
            (&[1e3, 1e5], &["1K", "10K", "100K"]),
            (&[1_600.0, 2_500.0], &["1K", "2K", "5K"]),
            (&[100.0], &["100", "200"]),
            (&[0.03, 3.2], &["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"]),
            (&[38.0, 640.0], &["20", "50", "100", "200", "500", "1K"]),
            (&[1e-7, 1e-5], &["1e-7", "1e-6", "1e-5"]),
        ];
        for (values, expected) in cases {
            let axis = Axis::log("", values.iter().copied());
            assert!(values.iter().all(|value| (0.0..=1.0).contains(&axis.share(*value).unwrap())), "{axis:?}");
            assert_eq!(names(&axis), expected, "{values:?}");
        }
        let axis = Axis::linear("", [0.0, 51.3].into_iter());
        assert_eq!(names(&axis), ["0", "20", "40", "60"]);
        assert_eq!((axis.share(0.0), axis.share(60.0)), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn far_ends_leave_few_names() {
        for values in [[1e-300, 1e300], [1e18, 1e18], [0.0, 0.0], [-1e18, 1e18]] {
            for axis in [Axis::log("", values.into_iter()), Axis::linear("", values.into_iter())] {
                assert!((2..=2 * TICKS_MAX).contains(&names(&axis).len()), "{values:?}: {axis:?}");
                let shares = values.iter().filter_map(|value| axis.share(*value));
                assert!(shares.into_iter().all(|share| share.is_finite()), "{axis:?}");
            }
        }
        assert_eq!(Axis::log("", std::iter::once(1.0)).share(0.0), None, "nothing has no logarithm");
    }

    #[test]
    fn nines_are_as_far_apart_as_powers_of_ten() {
        let axis = Axis::nines("");
        assert_eq!(names(&axis), ["0%", "50%", "90%", "99%", "99.9%", "longest"]);
        let [two, three] = [0.99, 0.999].map(|share| axis.share(share).unwrap() * NINES_MAX);
        assert!((two - 2.0).abs() < 1e-9 && (three - 3.0).abs() < 1e-9, "{two} {three}");
        assert_eq!((axis.share(1.0), axis.share(0.0)), (Some(1.0), Some(0.0)));
    }
}
