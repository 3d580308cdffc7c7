//! Histograms of delays as a checkpoint keeps them: what they tell apart, and how often each value came.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Significant digits of a histogram, at most: more would take a gigabyte for the range of all numbers.
const DIGITS_MAX: u8 = 3;

/// A histogram that grows with what is recorded, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHistogram {
    low: u64,
    digits: u8,
    /// The last value of every cell that has any, and how many.
    cells: Vec<(u64, u64)>,
}

impl StoredHistogram {
    /// All of `histogram`. Two values of the same cell can be told apart by no figure of it, so the last stands for all.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let cells = histogram.iter_recorded().map(|cell| (cell.value_iterated_to(), cell.count_at_value()));
        StoredHistogram { low: histogram.low(), digits: histogram.sigfig(), cells: cells.collect() }
    }

    /// The histogram; `None` if there is none such.
    pub fn histogram(&self) -> Option<Histogram<u64>> {
        let high = self.low.checked_mul(2)?;
        let digits = Some(self.digits).filter(|&digits| digits <= DIGITS_MAX)?;
        let mut histogram = Histogram::new_with_bounds(self.low, high, digits).ok()?;
        histogram.auto(true);
        let sum = self.cells.iter().try_fold(0u64, |sum, &(_, count)| sum.checked_add(count));
        sum?;
        self.cells.iter().try_for_each(|&(value, count)| histogram.record_n(value, count)).ok()?;
        Some(histogram)
    }
}

/// For `#[serde(with)]`.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn serialize<S: Serializer>(histogram: &Histogram<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    StoredHistogram::of(histogram).serialize(serializer)
}

/// For `#[serde(with)]`.
///
/// # Errors
/// Those of the deserializer, and if there is no such histogram.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Histogram<u64>, D::Error> {
    let stored = StoredHistogram::deserialize(reader)?;
    stored.histogram().ok_or_else(|| serde::de::Error::custom("a histogram holds what it cannot"))
}

/// Lists of histograms, for `#[serde(with)]`.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, Histogram, Serializer, StoredHistogram};

    /// Writes a list.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(list: &[Histogram<u64>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(StoredHistogram::of))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// Those of the deserializer, and if there is no such histogram.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<Histogram<u64>>, D::Error> {
        let stored = Vec::<StoredHistogram>::deserialize(reader)?;
        let histograms: Option<Vec<_>> = stored.iter().map(StoredHistogram::histogram).collect();
        histograms.ok_or_else(|| serde::de::Error::custom("a histogram holds what it cannot"))
    }
}

/// A text that is part of the program, or as long-lived. Another name for the type, because `serde` takes a reference in a
/// field for one into what is read.
pub type StaticStr = &'static str;

/// The same text for the rest of the process. Names of figures are few; each takes its place once.
fn interned(text: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&name) = names.get(text.as_str()) {
        return name;
    }
    let name: &'static str = text.leak();
    names.insert(name);
    name
}

/// Names that are part of the program and are read from a checkpoint, for `#[serde(with)]`.
pub(crate) mod name {
    use super::{Deserialize, Deserializer, Serialize, Serializer, interned};

    /// One or several names that live as long as the process.
    pub(crate) trait Name {
        /// As they are read.
        type Owned;

        /// Those that were read.
        fn of(owned: Self::Owned) -> Self;
    }

    impl Name for &'static str {
        type Owned = String;

        fn of(text: String) -> Self {
            interned(text)
        }
    }

    impl Name for Option<&'static str> {
        type Owned = Option<String>;

        fn of(text: Option<String>) -> Self {
            text.map(interned)
        }
    }

    impl Name for [&'static str; 2] {
        type Owned = [String; 2];

        fn of(texts: [String; 2]) -> Self {
            texts.map(interned)
        }
    }

    impl Name for &'static [&'static str] {
        type Owned = Vec<String>;

        fn of(texts: Vec<String>) -> Self {
            Vec::leak(texts.into_iter().map(interned).collect())
        }
    }

    /// Writes names.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<N: Name + Serialize, S: Serializer>(name: &N, serializer: S) -> Result<S::Ok, S::Error> {
        name.serialize(serializer)
    }

    /// Reads names.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub(crate) fn deserialize<'de, N: Name<Owned: Deserialize<'de>>, D: Deserializer<'de>>(
        reader: D,
    ) -> Result<N, D::Error> {
        N::Owned::deserialize(reader).map(N::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    #[test]
    fn no_figure_of_a_histogram_changes_when_it_is_kept() {
        let mut random = RandomKey::new(1, Domain::Protocol).stream(0, 0);
        for (low, digits) in [(1, 3), (1_000, 2)] {
            let mut histogram = Histogram::<u64>::new_with_bounds(low, 2 * low, digits).unwrap();
            histogram.auto(true);
            for bits in [1, 10, 30, 60] {
                (0..500).for_each(|_| histogram.record(random.below(1 << bits)).unwrap());
                let kept = StoredHistogram::of(&histogram).histogram().unwrap();
                assert_eq!(kept, histogram);
                assert_eq!((kept.min(), kept.max(), kept.mean()), (histogram.min(), histogram.max(), histogram.mean()));
                let shares = [0.0, 0.01, 0.5, 0.99, 1.0];
                assert!(shares.iter().all(|&q| kept.value_at_quantile(q) == histogram.value_at_quantile(q)));
            }
        }
    }

    #[test]
    fn histograms_that_cannot_be_are_refused() {
        let stored = |low, digits, cells: &[(u64, u64)]| StoredHistogram { low, digits, cells: cells.to_vec() };
        for bad in
            [stored(0, 3, &[]), stored(u64::MAX, 3, &[]), stored(1, 4, &[]), stored(1, 3, &[(1, u64::MAX), (2, 1)])]
        {
            assert!(bad.histogram().is_none(), "{bad:?}");
        }
        assert!(stored(1, 3, &[(u64::MAX, u64::MAX)]).histogram().is_some());
    }
}
