//! How numbers are written: exactly for machines, in three digits for people. The one place that formats floats.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::metrics::PointResult;

/// Significant digits of a number in result files: more than any figure here is good for, and few enough that the
/// noise of binary fractions (`33333.333333333336`) does not show.
const FILE_DIGITS: usize = 12;

/// A number for result files: up to twelve significant digits, whole numbers in full, never an exponent; empty if it
/// is not finite.
///
/// Formatting is done by the standard library without the system's, so the bytes are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() { write!(f, "{}", rounded(self.0)) } else { Ok(()) }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `value` in twelve significant digits; whole numbers are left as they are.
pub(super) fn rounded(value: f64) -> f64 {
    if !value.is_finite() || value == value.trunc() {
        return value + 0.0; // turns -0 into 0
    }
    format!("{value:.*e}", FILE_DIGITS - 1).parse().unwrap_or(value)
}

/// Units of counts, as the documents write them: 10B is ten thousand million.
const COUNT_UNITS: [&str; 7] = ["", "K", "M", "B", "T", "P", "E"];
/// Units of bits and bytes.
const METRIC_UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// A count for people, in three significant digits: `0.0333`, `8.00`, `33.3K`, `10.0B`, `1.00T`.
pub(crate) fn count(value: f64) -> String {
    three_digits(value, &COUNT_UNITS)
}

/// Ten to the `power` as a count for people, without digits that say nothing: `0.01`, `10`, `1K`, `100B`.
pub(super) fn power_of_ten(power: i32) -> String {
    match (power, COUNT_UNITS.get(power.unsigned_abs() as usize / 3)) {
        (-6..0, _) => format!("0.{:0>1$}", 1, power.unsigned_abs() as usize),
        (0.., Some(unit)) => format!("{:0<1$}{unit}", 1, power as usize % 3 + 1),
        _ => format!("1e{power}"),
    }
}

/// A value at an axis, as short as it can be said: `0.05`, `2K`, `10M`, `1e-7`.
pub(super) fn plain_tick(value: f64) -> String {
    let text = count(value);
    // Where the value has an exponent, digits that say nothing stand before it.
    let (digits, exponent) = text.split_at(text.find('e').unwrap_or(text.len()));
    let (digits, unit) =
        digits.split_at(digits.find(|letter: char| letter.is_ascii_uppercase()).unwrap_or(digits.len()));
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits}{unit}{exponent}")
}

/// Bits or bytes for people, in three significant digits and decimal units: `341`, `1.20K`, `30.0T`.
pub(crate) fn metric(value: f64) -> String {
    three_digits(value, &METRIC_UNITS)
}

/// A number for people, in three significant digits, with neither unit nor exponent: `0.000307`, `1.20`, `100`, `12300`.
/// What is below a millionth is only said to be that: `<0.000001`.
pub(crate) fn plain(value: f64) -> String {
    if value > 0.0 && value < 1e-6 {
        return "<0.000001".to_owned();
    }
    // Rounding comes first, so that 9.999 is 10.0 and not 10.00.
    let scientific = format!("{value:.2e}");
    let power = scientific.split_once('e').and_then(|(_, power)| power.parse::<i32>().ok()).unwrap_or(0);
    let rounded = scientific.parse().unwrap_or(value);
    if rounded == 0.0 { "0".to_owned() } else { format!("{rounded:.*}", (2 - power).max(0) as usize) }
}

/// A share for people: `0.034` is `3.40%`.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", count(share * 100.0))
}

fn three_digits(value: f64, units: &[&str; 7]) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounding comes first, so that 999 999 is 1.00M and not 1000K.
    let scientific = format!("{value:.2e}");
    let parts = scientific.split_once('e').and_then(|(digits, power)| Some((digits, power.parse::<i32>().ok()?)));
    let Some((digits, power)) = parts else { return scientific };
    match (power, units.get((power / 3).unsigned_abs() as usize)) {
        (-6..0, _) => format!("{:.*}", (2 - power) as usize, scientific.parse().unwrap_or(value)),
        (0.., Some(unit)) => {
            let (sign, digits) = digits.split_at(usize::from(value < 0.0));
            let digits = digits.replace('.', "");
            let (whole, rest) = digits.split_at(power as usize % 3 + 1);
            format!("{sign}{whole}{}{rest}{unit}", if rest.is_empty() { "" } else { "." })
        }
        _ => scientific,
    }
}

/// A number of nodes for people, exactly: `1K`, `100K`, `1.0101M`, `1023`.
pub(super) fn size(nodes: u32) -> String {
    match nodes {
        1_000_000.. => format!("{}M", f64::from(nodes) / 1e6),
        10_000.. => format!("{}K", f64::from(nodes) / 1e3),
        _ if nodes.is_multiple_of(1_000) && nodes > 0 => format!("{}K", nodes / 1_000),
        _ => nodes.to_string(),
    }
}

/// Seconds in the thirty days that count as a month.
pub(super) const MONTH_SECONDS: f64 = 30.0 * 86_400.0;

/// Mbit/s of a node that moves `bytes` in the measured span of `point`.
pub(super) fn mbps(point: &PointResult, bytes: f64) -> f64 {
    bytes * 8.0 / 1e6 / point.measure.as_secs_f64()
}

/// Decimal gigabytes in thirty days of a node that moves `bytes` in the measured span of `point`.
pub(super) fn monthly_gigabytes(point: &PointResult, bytes: f64) -> f64 {
    bytes / point.measure.as_secs_f64() * MONTH_SECONDS / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_numbers_are_short_exact_and_without_exponent() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1e6 / 30.0, "33333.3333333"),
            (0.1 + 0.2, "0.3"),
            (1.0 / 3e9, "0.000000000333333333333"),
            (1e14, "100000000000000"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e20, "100000000000000000000"),
            (-2.5, "-2.5"),
            (f64::NAN, ""),
            (f64::INFINITY, ""),
        ];
        for (value, text) in cases {
            assert_eq!(Number(value).to_string(), text, "{value}");
        }
    }

    #[test]
    fn counts_have_three_digits_and_the_documents_units() {
        let cases = [
            (0.0, "0"),
            (8.0, "8.00"),
            (999.4, "999"),
            (999.6, "1.00K"),
            (33_333.3, "33.3K"),
            (999_999.0, "1.00M"),
            (333_000_000.0, "333M"),
            (1e10, "10.0B"),
            (1e12, "1.00T"),
            (9.99e20, "999E"),
            (1e21, "1.00e21"),
            (1.0, "1.00"),
            (0.9996, "1.00"),
            (0.033_333, "0.0333"),
            (0.000_001_5, "0.00000150"),
            (0.000_000_15, "1.50e-7"),
            (-33_333.3, "-33.3K"),
            (f64::NAN, "NaN"),
        ];
        for (value, text) in cases {
            assert_eq!(count(value), text, "{value}");
        }
        assert_eq!(metric(1e10), "10.0G");
        assert_eq!(percent(0.034), "3.40%");
    }

    #[test]
    fn plain_numbers_have_three_digits_and_no_exponent() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (3.07e-4, "0.000307"),
            (6.826_666e-6, "0.00000683"),
            (1e-6, "0.00000100"),
            (9.99e-7, "<0.000001"),
            (0.9996, "1.00"),
            (1.2, "1.20"),
            (9.999, "10.0"),
            (100.0, "100"),
            (999.6, "1000"),
            (12_345.6, "12300"),
        ];
        for (value, text) in cases {
            assert_eq!(plain(value), text, "{value}");
        }
    }

    #[test]
    fn powers_of_ten_have_no_spare_digits() {
        let cases = [(0, "1"), (2, "100"), (3, "1K"), (7, "10M"), (11, "100B"), (12, "1T"), (21, "1e21"), (-9, "1e-9")];
        for (power, text) in cases.into_iter().chain([(-1, "0.1"), (-2, "0.01")]) {
            assert_eq!(power_of_ten(power), text);
        }
    }

    #[test]
    fn ticks_are_short() {
        let cases = [(0.0, "0"), (0.05, "0.05"), (100.0, "100"), (2_000.0, "2K"), (1e10, "10B"), (1e-7, "1e-7")];
        for (value, text) in cases.into_iter().chain([(2.5, "2.5"), (-20.0, "-20"), (1e21, "1e21"), (0.2, "0.2")]) {
            assert_eq!(plain_tick(value), text);
        }
    }

    #[test]
    fn sizes_are_exact() {
        let cases = [(7, "7"), (1_000, "1K"), (1_023, "1023"), (12_345, "12.345K"), (100_000, "100K")];
        for (nodes, text) in cases.into_iter().chain([(1_010_100, "1.0101M"), (u32::MAX, "4294.967295M"), (0, "0")]) {
            assert_eq!(size(nodes), text);
        }
    }
}
