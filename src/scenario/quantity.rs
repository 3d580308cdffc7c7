//! Numbers with units as people write them: `"30s"`, `"10K"`, `"1.5 kB"`. Exact: no float is involved.

use std::fmt;

use crate::contract::SimSpan;

/// Why a text is not a quantity: what was expected, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) title: String,
    pub(super) label: String,
}

/// A kind of quantity: its units and how to talk about it.
#[derive(Debug)]
pub(super) struct Quantity {
    /// `a duration`.
    pub(super) what: &'static str,
    /// A value as it would stand in the file, quotes included.
    pub(super) example: &'static str,
    /// The unit that a bare number is advised to take.
    pub(super) advised: &'static str,
    /// Unit names and how many of the smallest unit each is worth.
    units: &'static [(&'static str, u64)],
    /// What the smallest unit is called.
    smallest: &'static str,
    /// Whether a number without unit is a value.
    pub(super) bare: bool,
}

/// Durations, in nanoseconds.
pub(super) const DURATION: Quantity = Quantity {
    what: "a duration",
    example: "\"30s\"",
    advised: "s",
    units: &[
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000), // micro sign
        ("μs", 1_000), // Greek mu
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("min", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ],
    smallest: "nanoseconds",
    bare: false,
};

/// Counts of things.
pub(super) const COUNT: Quantity = Quantity {
    what: "a whole count",
    example: "\"10K\"",
    advised: "",
    units: &[("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)],
    smallest: "things",
    bare: true,
};

/// Sizes, in bytes.
pub(super) const SIZE: Quantity = Quantity {
    what: "a size",
    example: "\"100 B\"",
    advised: " B",
    units: &[
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ],
    smallest: "bytes",
    bare: false,
};

/// Data rates, in bits per second.
pub(super) const BITRATE: Quantity = Quantity {
    what: "a data rate",
    example: "\"10 Mbps\"",
    advised: " Mbps",
    units: &[("bps", 1), ("Kbps", 1_000), ("kbps", 1_000), ("Mbps", 1_000_000), ("Gbps", 1_000_000_000)],
    smallest: "bits per second",
    bare: false,
};

/// A count as people write it, such as `10K` or `1_000`.
///
/// # Errors
/// What is wrong with `text`, and what to write.
pub fn count(text: &str) -> Result<u64, String> {
    COUNT.parse(text).map_err(|fault| fault.to_string())
}

/// A span of time as people write it, such as `60s` or `1.5h`.
///
/// # Errors
/// What is wrong with `text`, and what to write.
pub fn span(text: &str) -> Result<SimSpan, String> {
    DURATION.parse(text).map(SimSpan::from_nanos).map_err(|fault| fault.to_string())
}

/// A size as people write it, such as `64 KiB` or `1GB`, in bytes.
///
/// # Errors
/// What is wrong with `text`, and what to write.
pub fn size(text: &str) -> Result<u64, String> {
    SIZE.parse(text).map_err(|fault| fault.to_string())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.label)
    }
}

impl Quantity {
    /// Reads `text`, in the smallest unit.
    pub(super) fn parse(&self, text: &str) -> Result<u64, Fault> {
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !matches!(c, '0'..='9' | '_' | '.' | '+' | '-')).unwrap_or(trimmed.len());
        let (number, unit) = (&trimmed[..split], trimmed[split..].trim_start());
        if number.starts_with('-') {
            return Err(self.fault(format!("{} cannot be negative", self.what), format!("write {}", self.example)));
        }
        let decimal = Decimal::parse(number).ok_or_else(|| self.expected(&format!("string \"{}\"", short(text))))?;
        let scale = match self.units.iter().find(|(name, _)| *name == unit) {
            Some((_, scale)) => *scale,
            None if unit.is_empty() && self.bare => 1,
            None => return Err(self.unknown_unit(number, unit)),
        };
        decimal.times(scale).ok_or_else(|| {
            let title = match decimal.times_floor(scale) {
                Some(_) => format!("`{}` is not a whole number of {}", short(text), self.smallest),
                None => format!("`{}` is too large for {}", short(text), self.what),
            };
            self.fault(title, format!("write {} such as {}", self.what, self.example))
        })
    }

    /// The fault of a value that is no such quantity at all.
    pub(super) fn expected(&self, found: &str) -> Fault {
        let title = format!("expected {} such as {}, found {found}", self.what, self.example);
        self.fault(title, format!("write {}", self.example))
    }

    fn unknown_unit(&self, number: &str, unit: &str) -> Fault {
        let names: Vec<_> = self.units.iter().map(|(name, _)| *name).filter(|name| name.is_ascii()).collect();
        let names = names.join(", ");
        let space = if self.advised.starts_with(' ') { " " } else { "" };
        if unit.is_empty() {
            let title = format!("{} needs a unit: one of {names}", self.what);
            return self.fault(title, format!("write \"{}{}\"", short(number), self.advised));
        }
        let alike = self.units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let label = match alike {
            Some((name, _)) => format!("write \"{}{space}{name}\"", short(number)),
            None => format!("write {} such as {}", self.what, self.example),
        };
        self.fault(format!("unknown unit `{}`: {} is in {names}", short(unit), self.what), label)
    }

    fn fault(&self, title: String, label: String) -> Fault {
        Fault { title, label }
    }
}

/// A non-negative decimal number: `digits / 10^scale`, without rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: u128,
    scale: u32,
}

/// More digits than any unit needs, and few enough that a product with the largest unit fits 128 bits.
const DIGITS_MAX: u32 = 24;

impl Decimal {
    /// Reads `12`, `1_000`, `0.25`, `+1.5`, `1e-4`; `None` if it is anything else or has too many digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let mut digits = 0u128;
        for part in [Some(whole), fraction].into_iter().flatten() {
            if !is_number(part) {
                return None;
            }
            for digit in part.bytes().filter(u8::is_ascii_digit) {
                digits = digits.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
            }
        }
        let decimals = fraction.map_or(0, |part| part.bytes().filter(u8::is_ascii_digit).count());
        Decimal { digits, scale: 0 }.shifted(exponent.checked_sub(i32::try_from(decimals).ok()?)?)
    }

    /// The number times `10^exponent`, if that has a sensible number of digits.
    fn shifted(self, exponent: i32) -> Option<Self> {
        let steps = exponent.unsigned_abs();
        if steps > DIGITS_MAX {
            return None;
        }
        let (digits, scale) = match exponent < 0 {
            true => (self.digits, steps),
            false => (self.digits.checked_mul(10u128.pow(steps))?, 0),
        };
        (digits < 10u128.pow(DIGITS_MAX)).then_some(Decimal { digits, scale })
    }

    /// The number times `unit`, if that is whole and fits.
    pub(super) fn times(self, unit: u64) -> Option<u64> {
        let product = self.digits.checked_mul(u128::from(unit))?;
        let divisor = 10u128.pow(self.scale);
        product.is_multiple_of(divisor).then(|| u64::try_from(product / divisor).ok()).flatten()
    }

    fn times_floor(self, unit: u64) -> Option<u64> {
        u64::try_from(self.digits.checked_mul(u128::from(unit))? / 10u128.pow(self.scale)).ok()
    }

    /// The number times `count`, to the nearest whole; halves go up.
    pub(super) fn share_of(self, count: u64) -> Option<u64> {
        let divisor = 10u128.pow(self.scale);
        let doubled = self.digits.checked_mul(2 * u128::from(count))?.checked_add(divisor)?;
        u64::try_from(doubled / (2 * divisor)).ok()
    }

    /// Whether the number is at most one.
    pub(super) fn at_most_one(self) -> bool {
        self.digits <= 10u128.pow(self.scale)
    }
}

/// Digits with single underscores between them, as TOML allows.
fn is_number(text: &str) -> bool {
    text.split('_').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `text` cut to a length that fits a message.
pub(super) fn short(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A count as it may be written: `10K`, `990K`, `1_234`.
pub(super) fn count_text(count: u64) -> String {
    for (name, scale) in COUNT.units.iter().rev() {
        if count > 0 && count.is_multiple_of(*scale) {
            return format!("{}{name}", count / scale);
        }
    }
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// A duration as it may be written: `30s`, `1h`, `250ms`.
pub(super) fn span_text(span: SimSpan) -> String {
    let nanos = span.as_nanos();
    for (name, scale) in DURATION.units.iter().rev().take(3) {
        if nanos > 0 && nanos.is_multiple_of(*scale) {
            return format!("{}{name}", nanos / scale);
        }
    }
    span.to_string()
}

/// A data rate, in bits per second, as it may be written: `10 Mbps`, `1500 kbps`.
pub(super) fn bitrate_text(rate: u64) -> String {
    let whole = BITRATE.units.iter().rev().find(|(_, scale)| rate > 0 && rate.is_multiple_of(*scale));
    let (name, scale) = whole.unwrap_or(&("bps", 1));
    format!("{} {name}", rate / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quantity: &Quantity, text: &str, expected: Result<u64, &str>) {
        match (quantity.parse(text), expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected, "{text}"),
            (Err(fault), Err(part)) => {
                let said = format!("{}: {}", fault.title, fault.label);
                assert!(said.contains(part), "{text}: {said}");
            }
            (found, _) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn durations_are_exact_to_the_nanosecond() {
        for (text, nanos) in [
            ("10ns", 10),
            ("5us", 5_000),
            ("5µs", 5_000),
            ("5μs", 5_000),
            ("10ms", 10_000_000),
            ("30s", 30_000_000_000),
            (" 1.5 s ", 1_500_000_000),
            ("5min", 300_000_000_000),
            ("2h", 7_200_000_000_000),
            ("1d", 86_400_000_000_000),
            ("1_000ms", 1_000_000_000),
            ("0.123456789s", 123_456_789),
            ("9007199.254740993s", 9_007_199_254_740_993),
        ] {
            check(&DURATION, text, Ok(nanos));
        }
    }

    #[test]
    fn counts_and_sizes_take_their_units() {
        for (text, count) in [("1K", 1_000), ("2.5M", 2_500_000), ("1G", 1_000_000_000), ("1_000_000", 1_000_000)] {
            check(&COUNT, text, Ok(count));
        }
        for (text, bytes) in [("100 B", 100), ("1.5 kB", 1_500), ("2 KiB", 2_048), ("1MB", 1_000_000)] {
            check(&SIZE, text, Ok(bytes));
        }
    }

    #[test]
    fn data_rates_are_decimal_and_in_bits() {
        for (text, rate) in [
            ("9600 bps", 9_600),
            ("56kbps", 56_000),
            ("56 Kbps", 56_000),
            ("0.1 Mbps", 100_000),
            ("100Mbps", 100_000_000),
            ("2.5 Gbps", 2_500_000_000),
        ] {
            check(&BITRATE, text, Ok(rate));
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_what_to_write() {
        check(&DURATION, "30", Err("write \"30s\""));
        check(&DURATION, "-5s", Err("cannot be negative"));
        check(&DURATION, "1.5ns", Err("not a whole number of nanoseconds"));
        check(&DURATION, "1000000000000d", Err("too large"));
        check(&DURATION, "1m", Err("unknown unit `m`: a duration is in ns, us, ms, s, min, h, d"));
        check(&DURATION, "5 MS", Err("write \"5ms\""));
        check(&DURATION, "soon", Err("expected a duration such as \"30s\", found string \"soon\""));
        for text in ["", "s", ".5s", "1.s", "1__0s", "_1s", "1.2.3s", "+-1s", "99999999999999999999999999s"] {
            check(&DURATION, text, Err("expected a duration"));
        }
        check(&COUNT, "1k", Err("write \"1K\""));
        check(&COUNT, "1.5", Err("not a whole number of things"));
        check(&COUNT, "1.0005K", Err("not a whole number"));
        check(&SIZE, "1 KB", Err("write \"1 kB\""));
        check(&SIZE, "12", Err("write \"12 B\""));
        check(&BITRATE, "10", Err("write \"10 Mbps\""));
        check(&BITRATE, "10 mbps", Err("write \"10 Mbps\""));
        check(&BITRATE, "10 Mbit/s", Err("unknown unit `Mbit/s`: a data rate is in bps, Kbps, kbps, Mbps, Gbps"));
        check(&BITRATE, "0.5 bps", Err("not a whole number of bits per second"));
        check(&BITRATE, "-1 Mbps", Err("cannot be negative"));
    }

    #[test]
    fn shares_round_halves_up_without_float_error() {
        let share = |text: &str, of| Decimal::parse(text).and_then(|share| share.share_of(of));
        assert_eq!(share("0.0001", 1_000_000), Some(100));
        assert_eq!(share("1e-4", 1_000_000), Some(100));
        assert_eq!(share("0.0015", 1_000), Some(2));
        assert_eq!(share("0.0014999", 1_000), Some(1));
        assert_eq!(share("1", 7), Some(7));
        assert_eq!(Decimal::parse("1e99"), None);
        assert_eq!(Decimal::parse("nan"), None);
        assert!(Decimal::parse("1.0").is_some_and(Decimal::at_most_one));
        assert!(!Decimal::parse("1.0000001").is_some_and(Decimal::at_most_one));
    }

    #[test]
    fn shown_counts_and_spans_read_back_as_themselves() {
        for count in [0, 1, 999, 1_000, 1_234, 10_000, 990_000, 1_000_100, 4_000_000_000] {
            assert_eq!(COUNT.parse(&count_text(count)), Ok(count));
        }
        for nanos in [1, 1_500, 250_000_000, 30_000_000_000, 3_600_000_000_000, 86_400_000_000_000] {
            assert_eq!(DURATION.parse(&span_text(SimSpan::from_nanos(nanos))), Ok(nanos));
        }
        for rate in [0, 1, 9_600, 100_000, 1_500_000, 100_000_000, 1_000_000_000_000] {
            assert_eq!(BITRATE.parse(&bitrate_text(rate)), Ok(rate));
        }
        assert_eq!(bitrate_text(100_000), "100 kbps");
        assert_eq!(count_text(1_000_100), "1_000_100");
        assert_eq!(span_text(SimSpan::from_secs(3600)), "1h");
    }
}
