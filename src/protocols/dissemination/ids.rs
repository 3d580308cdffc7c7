//! Sets of message numbers that are near each other: twelve bytes, whatever they hold.

use serde::{Deserialize, Serialize};

/// Numbers from `base` on, fewer than [`Ids::SPAN`] apart.
///
/// On the wire this is a list of ids; see [`wire`](super::wire). As numbers are handed out in the order of publication,
/// recent ones are near each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    base: u32,
    /// Bit `i` is number `base + i`; the lower half first. Two halves, so that four bytes align a set.
    halves: [u32; 2],
}

impl Ids {
    /// How many numbers there is a place for.
    pub const SPAN: u32 = u64::BITS;

    #[inline(always)]
    fn of(base: u32, bits: u64) -> Self {
        Ids { base, halves: [bits as u32, (bits >> 32) as u32] }
    }

    #[inline(always)]
    fn bits(&self) -> u64 {
        u64::from(self.halves[1]) << 32 | u64::from(self.halves[0])
    }

    /// No numbers yet; there is a place for those from `base` on.
    #[inline(always)]
    pub fn none(base: u32) -> Self {
        Ids::of(base, 0)
    }

    /// One number.
    #[inline(always)]
    pub fn one(number: u32) -> Self {
        Ids::of(number, 1)
    }

    /// The first number that there is a place for.
    #[inline(always)]
    pub fn base(&self) -> u32 {
        self.base
    }

    /// The same numbers from the smallest on, as in a list without a base; from the base on if there are none.
    #[inline(always)]
    pub fn from_smallest(self) -> Self {
        let skipped = if self.bits() == 0 { 0 } else { self.bits().trailing_zeros() };
        Ids::of(self.base.saturating_add(skipped), self.bits() >> skipped)
    }

    /// A number that tells these apart from most others.
    pub(super) fn fingerprint(&self) -> u64 {
        self.bits().rotate_left(32) ^ u64::from(self.base)
    }

    /// Adds a number. Returns whether there is a place for it.
    #[inline(always)]
    pub fn insert(&mut self, number: u32) -> bool {
        let place = number.wrapping_sub(self.base);
        if number < self.base || place >= Self::SPAN {
            return false;
        }
        *self = Ids::of(self.base, self.bits() | 1 << place);
        true
    }

    /// Whether a number is among them.
    #[inline(always)]
    pub fn contains(&self, number: u32) -> bool {
        let place = number.wrapping_sub(self.base);
        number >= self.base && place < Self::SPAN && self.bits() >> place & 1 == 1
    }

    /// How many numbers these are.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        self.bits().count_ones()
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.bits() == 0
    }

    /// The largest number; `None` if there is none or it does not fit 32 bits.
    #[inline(always)]
    pub fn last(&self) -> Option<u32> {
        (!self.is_empty()).then(|| self.base.checked_add(self.bits().ilog2())).flatten()
    }

    /// The numbers in ascending order. Those beyond 32 bits, which only a forger can mean, count as the largest.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<> {
        let (base, mut bits) = (self.base, self.bits());
        std::iter::from_fn(move || {
            let place = (bits != 0).then(|| bits.trailing_zeros())?;
            bits &= bits - 1;
            Some(base.saturating_add(place))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_have_a_place_are_kept_in_order() {
        let mut ids = Ids::none(100);
        for (number, fits) in
            [(163, true), (100, true), (120, true), (120, true), (99, false), (164, false), (0, false)]
        {
            assert_eq!(ids.insert(number), fits, "{number}");
        }
        assert!(ids.iter().eq([100, 120, 163]));
        assert_eq!((ids.len(), ids.last(), ids.is_empty(), ids.base()), (3, Some(163), false, 100));
        assert!([100, 120, 163].iter().all(|&number| ids.contains(number)));
        assert!(![0, 99, 101, 164, u32::MAX].iter().any(|&number| ids.contains(number)));
        let tight = ids.from_smallest();
        assert!(tight == ids && Ids::of(90, 1 << 10).from_smallest() == Ids::one(100));
        assert_eq!(Ids::none(7).from_smallest(), Ids::none(7));
        assert_eq!((Ids::none(7).last(), Ids::none(7).is_empty(), Ids::one(7).last()), (None, true, Some(7)));
    }

    #[test]
    fn numbers_beyond_all_numbers_do_no_harm() {
        let forged = Ids::of(u32::MAX - 1, u64::MAX);
        assert_eq!((forged.last(), forged.iter().count()), (None, 64));
        assert!(forged.contains(u32::MAX) && !forged.contains(3));
    }
}
