//! Simulated time: integer nanoseconds, so that no result depends on rounding.

use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

use serde::{Deserialize, Serialize};

/// A moment of simulated time, in nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SimTime(u64);

/// A length of simulated time, in nanoseconds; at most 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SimSpan(u64);

/// A moment to within 2^20 ns, about a millisecond, in four bytes: for columns of many moments. May be no moment at all.
///
/// Reaches 52 days; later moments are taken for that one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CoarseTime(u32);

impl CoarseTime {
    /// No moment; before all others.
    pub const NEVER: CoarseTime = CoarseTime(0);
    /// The step between two moments that can be told apart.
    pub const TICK: SimSpan = SimSpan(1 << CoarseTime::TICK_LOG2);

    const TICK_LOG2: u32 = 20;

    /// How many steps of [`CoarseTime::TICK`] this moment is after `earlier`; zero if it is not after it.
    #[inline(always)]
    pub const fn ticks_since(self, earlier: CoarseTime) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<SimTime> for CoarseTime {
    #[inline(always)]
    fn from(time: SimTime) -> Self {
        let ticks = time.0 >> CoarseTime::TICK_LOG2;
        CoarseTime(if ticks < u64::from(u32::MAX) { ticks as u32 + 1 } else { u32::MAX })
    }
}

impl SimTime {
    /// The start of every run.
    pub const ZERO: SimTime = SimTime(0);
    /// Later than anything that can be scheduled.
    pub const MAX: SimTime = SimTime(u64::MAX);

    /// The moment `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        SimTime(nanos)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    pub const fn since(self, earlier: SimTime) -> SimSpan {
        SimSpan(self.0.saturating_sub(earlier.0))
    }
}

impl SimSpan {
    /// No time at all.
    pub const ZERO: SimSpan = SimSpan(0);

    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        SimSpan(nanos)
    }

    /// A span of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        SimSpan(micros * 1_000)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        SimSpan(millis * 1_000_000)
    }

    /// A span of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        SimSpan(secs * 1_000_000_000)
    }

    /// The span in nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The span in seconds, rounded to the nearest `f64`. For reports, never for scheduling.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add<SimSpan> for SimTime {
    type Output = SimTime;
    /// Saturates at [`SimTime::MAX`].
    fn add(self, span: SimSpan) -> SimTime {
        SimTime(self.0.saturating_add(span.0))
    }
}

impl Add for SimSpan {
    type Output = SimSpan;
    /// Saturates.
    fn add(self, other: SimSpan) -> SimSpan {
        SimSpan(self.0.saturating_add(other.0))
    }
}

impl Sub for SimSpan {
    type Output = SimSpan;
    /// Saturates at zero.
    fn sub(self, other: SimSpan) -> SimSpan {
        SimSpan(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for SimSpan {
    type Output = SimSpan;
    /// Saturates.
    fn mul(self, factor: u64) -> SimSpan {
        SimSpan(self.0.saturating_mul(factor))
    }
}

impl Div<SimSpan> for SimSpan {
    type Output = u64;
    /// How many whole `other` fit; panics if `other` is zero.
    fn div(self, other: SimSpan) -> u64 {
        self.0 / other.0
    }
}

impl fmt::Display for SimSpan {
    /// The largest unit that leaves at most three decimals: `30s`, `1.5s`, `250ms`, `10us`, `7ns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0 => return f.write_str("0s"),
            n if n >= 1_000_000_000 && n.is_multiple_of(1_000_000) => (1_000_000_000, "s"),
            n if n >= 1_000_000 && n.is_multiple_of(1_000) => (1_000_000, "ms"),
            n if n >= 1_000 => (1_000, "us"),
            _ => (1, "ns"),
        };
        let (whole, rest) = (self.0 / unit, self.0 % unit);
        if rest == 0 {
            return write!(f, "{whole}{name}");
        }
        let decimals = format!("{:0>3}", rest * 1_000 / unit);
        write!(f, "{whole}.{}{name}", decimals.trim_end_matches('0'))
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SimSpan(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shown_in_its_largest_readable_unit() {
        let shown = |nanos| SimSpan::from_nanos(nanos).to_string();
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(7), "7ns");
        assert_eq!(shown(10_000), "10us");
        assert_eq!(shown(250_000_000), "250ms");
        assert_eq!(shown(1_500_000_000), "1.5s");
        assert_eq!(shown(30_000_000_000), "30s");
        assert_eq!(shown(1_234_567), "1234.567us");
    }

    #[test]
    fn coarse_times_keep_the_order_of_moments_a_millisecond_apart() {
        let coarse = |nanos| CoarseTime::from(SimTime::from_nanos(nanos));
        assert!(CoarseTime::NEVER < coarse(0));
        assert_eq!(coarse(0), coarse((1 << 20) - 1));
        let moments = [0, 1 << 20, 100_000_000_000, 100_001_048_576, 52 * 86_400_000_000_000, 60 * 86_400_000_000_000];
        assert!(moments.map(coarse).is_sorted_by(|earlier, later| earlier < later));
        assert_eq!(coarse(60 * 86_400_000_000_000), coarse(u64::MAX));
        assert_eq!(coarse(7 << 20).ticks_since(coarse(4 << 20)), 3);
        assert_eq!(coarse(4 << 20).ticks_since(coarse(7 << 20)), 0);
        assert_eq!(size_of::<CoarseTime>(), 4);
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(SimTime::MAX + SimSpan::from_secs(1), SimTime::MAX);
        assert_eq!(SimTime::ZERO.since(SimTime::MAX), SimSpan::ZERO);
        assert_eq!(SimSpan::ZERO - SimSpan::from_secs(1), SimSpan::ZERO);
        assert_eq!(SimSpan::from_secs(300) / SimSpan::from_secs(30), 10);
    }
}
