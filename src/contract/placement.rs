//! Where nodes stand: regions, drawn by share.

use super::{Domain, NodeId, RandomKey};

/// Places every node in a region, at random by share: a function of the seed and the node's number, so it takes no
/// memory per node.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Cumulative shares, scaled to 2^64; the last is the maximum.
    cumulative: Vec<u64>,
    /// By the highest bits of a draw: the first region that it can fall in.
    guide: Vec<u8>,
    key: RandomKey,
}

/// Bits of a draw that index the guide.
const GUIDE_BITS: u32 = 8;

impl Placement {
    /// The most regions.
    pub const REGIONS_MAX: usize = 64;

    /// Nodes stand in region `r` with probability `shares[r]`; shares add up to 1.
    ///
    /// # Panics
    /// If there are no regions, or more than [`Placement::REGIONS_MAX`].
    pub fn new(shares: &[f64], seed: u64) -> Self {
        assert!((1..=Self::REGIONS_MAX).contains(&shares.len()), "{} regions", shares.len());
        let mut sum = 0.0;
        let mut cumulative: Vec<u64> = shares
            .iter()
            .map(|share| {
                sum += share;
                // Casting saturates, so rounding above 1 is harmless.
                (sum * u64::MAX as f64) as u64
            })
            .collect();
        // Rounding must not leave a gap behind the last region that has nodes.
        if let Some(last) = shares.iter().rposition(|&share| share > 0.0) {
            cumulative[last..].fill(u64::MAX);
        }
        let first = |start: u64| cumulative.partition_point(|&end| end <= start) as u8;
        let guide = (0..1u64 << GUIDE_BITS).map(|high| first(high << (u64::BITS - GUIDE_BITS))).collect();
        Placement { cumulative, guide, key: RandomKey::new(seed, Domain::Placement) }
    }

    /// How many regions there are.
    pub fn regions(&self) -> usize {
        self.cumulative.len()
    }

    /// The region in which `node` stands.
    #[inline]
    pub fn region_of(&self, node: NodeId) -> usize {
        let word = self.key.word(node, 0);
        let first = usize::from(self.guide[(word >> (u64::BITS - GUIDE_BITS)) as usize]);
        // The largest draw of all is below no end; it belongs to the last region.
        let more = self.cumulative[first..].iter().position(|&end| word < end);
        more.map_or(self.cumulative.len() - 1, |more| first + more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_finds_what_a_search_finds() {
        for shares in [&[1.0][..], &[0.5, 0.0, 0.5], &[0.0, 1.0, 0.0], &[0.001; 64], &[0.3, 0.3, 0.399, 0.001]] {
            let placement = Placement::new(shares, 7);
            let mut counts = vec![0u32; shares.len()];
            for node in 0..50_000 {
                let word = placement.key.word(node, 0);
                let found = placement.cumulative.iter().position(|&end| word < end);
                assert_eq!(Some(placement.region_of(node)), found.or(Some(shares.len() - 1)));
                counts[placement.region_of(node)] += 1;
            }
            if shares.len() < 64 {
                for (count, share) in counts.iter().zip(shares) {
                    let expected = share * 50_000.0;
                    assert!((f64::from(*count) - expected).abs() <= 5.0 * expected.sqrt(), "{counts:?}");
                }
            }
        }
    }
}
