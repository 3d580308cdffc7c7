//! Values of a sweep as amounts that can be compared, told, and written in one unit.

use std::cmp::Ordering;

use super::super::quantity::{BITRATE, COUNT, DURATION, SIZE};
use super::super::tree::{Kind, Value};

/// What a value amounts to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Amount {
    Whole(u64),
    Real(f64),
    Nanos(u64),
    Bytes(u64),
    BitsPerSecond(u64),
    Boolean(bool),
    Text(String),
}

impl Amount {
    /// The amount of a value; `None` of lists, tables and dates.
    pub(super) fn of(value: &Value) -> Option<Amount> {
        Some(match &value.kind {
            Kind::Text(text) => Amount::of_text(text),
            Kind::Integer { .. } | Kind::Float(_) => Amount::of_number(&value.digits())?,
            Kind::Boolean(boolean) => Amount::Boolean(*boolean),
            Kind::Date | Kind::List(_) | Kind::Table(_) => return None,
        })
    }

    /// The amount of a text: a quantity if it is one. No text is a quantity of two kinds.
    pub(super) fn of_text(text: &str) -> Amount {
        let read = |quantity: &super::super::quantity::Quantity| quantity.parse(text).ok();
        let quantity = read(&DURATION).map(Amount::Nanos).or_else(|| read(&SIZE).map(Amount::Bytes));
        let quantity = quantity.or_else(|| read(&BITRATE).map(Amount::BitsPerSecond));
        quantity.or_else(|| read(&COUNT).map(Amount::Whole)).unwrap_or_else(|| Amount::Text(text.to_owned()))
    }

    /// The amount of the digits of a number; `None` if it is not finite.
    pub(super) fn of_number(digits: &str) -> Option<Amount> {
        let digits = digits.replace('_', "");
        let whole = digits.parse().ok().map(Amount::Whole);
        whole.or_else(|| digits.parse().ok().filter(|number: &f64| number.is_finite()).map(Amount::Real))
    }

    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Amount::Whole(_) | Amount::Real(_) => "a number",
            Amount::Nanos(_) => "a duration",
            Amount::Bytes(_) => "a size",
            Amount::BitsPerSecond(_) => "a data rate",
            Amount::Boolean(_) => "true or false",
            Amount::Text(_) => "a text",
        }
    }

    /// The unit in which it stands in a column of its kind.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Amount::Nanos(_) => "s",
            Amount::Bytes(_) => "bytes",
            Amount::BitsPerSecond(_) => "bps",
            Amount::Whole(_) | Amount::Real(_) | Amount::Boolean(_) | Amount::Text(_) => "",
        }
    }

    /// It in its unit, exactly.
    pub(super) fn cell(&self) -> String {
        match self {
            Amount::Whole(number) | Amount::Bytes(number) | Amount::BitsPerSecond(number) => number.to_string(),
            Amount::Real(number) => (number + 0.0).to_string(),
            Amount::Nanos(nanos) => decimal(*nanos, 1_000_000_000).unwrap_or_default(),
            Amount::Boolean(boolean) => boolean.to_string(),
            Amount::Text(text) => text.clone(),
        }
    }

    /// How it compares with another of its kind; `None` of another kind. Texts and booleans are equal or not: then
    /// [`Ordering::Less`] only means that they differ.
    pub(super) fn compare(&self, other: &Amount) -> Option<Ordering> {
        let real = |amount: &Amount| match amount {
            Amount::Whole(number) => Some(*number as f64),
            Amount::Real(number) => Some(*number),
            _ => None,
        };
        match (self, other) {
            (Amount::Whole(one), Amount::Whole(other))
            | (Amount::Nanos(one), Amount::Nanos(other))
            | (Amount::Bytes(one), Amount::Bytes(other))
            | (Amount::BitsPerSecond(one), Amount::BitsPerSecond(other)) => Some(one.cmp(other)),
            (Amount::Boolean(one), Amount::Boolean(other)) => {
                Some(if one == other { Ordering::Equal } else { Ordering::Less })
            }
            (Amount::Text(one), Amount::Text(other)) => {
                Some(if one == other { Ordering::Equal } else { Ordering::Less })
            }
            _ => real(self)?.partial_cmp(&real(other)?),
        }
    }

    /// Whether amounts of this kind have an order.
    pub(super) fn is_ordered(&self) -> bool {
        !matches!(self, Amount::Boolean(_) | Amount::Text(_))
    }
}

/// `number / scale` as a decimal number, if that ends after nine digits or fewer.
pub(super) fn decimal(number: u64, scale: u64) -> Option<String> {
    let (whole, mut rest) = (number / scale, u128::from(number % scale));
    let mut digits = String::new();
    while rest > 0 {
        if digits.len() == 9 {
            return None;
        }
        rest *= 10;
        digits.push(char::from(b'0' + (rest / u128::from(scale)) as u8));
        rest %= u128::from(scale);
    }
    Some(if digits.is_empty() { whole.to_string() } else { format!("{whole}.{digits}") })
}

/// A value as it would be written, without the quotes of a text.
pub(super) fn told(value: &Value) -> String {
    match &value.kind {
        Kind::Text(text) => text.clone(),
        Kind::Integer { .. } | Kind::Float(_) => value.digits(),
        Kind::Boolean(boolean) => boolean.to_string(),
        Kind::Date => "a date".to_owned(),
        Kind::List(items) => format!("[{}]", items.iter().map(told).collect::<Vec<_>>().join(", ")),
        Kind::Table(table) => {
            let entry = |(key, entry): (&String, &super::super::tree::Entry)| format!("{key} = {}", told(&entry.value));
            format!("{{ {} }}", table.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_they_amount_to() {
        let cases = [
            ("10K", Amount::Whole(10_000), "", "10000"),
            ("1.5s", Amount::Nanos(1_500_000_000), "s", "1.5"),
            ("7ns", Amount::Nanos(7), "s", "0.000000007"),
            ("2 KiB", Amount::Bytes(2_048), "bytes", "2048"),
            ("1 Mbps", Amount::BitsPerSecond(1_000_000), "bps", "1000000"),
            ("gossip", Amount::Text("gossip".to_owned()), "", "gossip"),
        ];
        for (text, amount, unit, cell) in cases {
            let found = Amount::of_text(text);
            assert_eq!((&found, found.unit(), found.cell().as_str()), (&amount, unit, cell), "{text}");
        }
        assert_eq!(Amount::of_number("1_000"), Some(Amount::Whole(1_000)));
        assert_eq!(Amount::of_number("-0.5"), Some(Amount::Real(-0.5)));
        assert_eq!(Amount::of_number("nan"), None);
    }

    #[test]
    fn amounts_of_one_kind_compare() {
        let of = |text: &str| Amount::of_text(text);
        assert_eq!(of("999ms").compare(&of("1s")), Some(Ordering::Less));
        assert_eq!(of("1K").compare(&Amount::Real(999.5)), Some(Ordering::Greater));
        assert_eq!(of("1K").compare(&of("1s")), None);
        assert_eq!(of("a").compare(&of("a")), Some(Ordering::Equal));
    }

    #[test]
    fn decimals_end_or_are_none() {
        assert_eq!(decimal(90, 60).as_deref(), Some("1.5"));
        assert_eq!(decimal(1, 3), None);
        assert_eq!(decimal(u64::MAX, 1_000_000_000).as_deref(), Some("18446744073.709551615"));
    }
}
