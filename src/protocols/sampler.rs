//! Sampling of nodes by their ids: who is tracked, and what the sample tells about all.

use crate::contract::Key256;

/// Tracks a share of all nodes, chosen by a hash of their ids: whoever knows the rate agrees on the sample.
///
/// The documents compare `value as f64 / u64::MAX as f64 < rate`, where `value` is the first eight bytes of
/// `blake3(id)`, little endian. A float has no room for all values, so here it is two integers that are compared:
/// `value < ceil(rate * (2^64 - 1))`, without rounding on the way. That is the same but within 2^-53 of the threshold,
/// and at a rate of 1, where every node is tracked; the documents would leave out the largest values.
///
/// The sample of a smaller rate is a part of that of a larger.
///
/// ```
/// use qnetsim::protocols::sampler::NodeSampler;
/// use qnetsim::protocols::wire::key_of;
/// let sampler = NodeSampler::new(0.001);
/// let tracked = (0..100_000).filter(|&node| sampler.should_track_node(&key_of(node))).count();
/// assert!((70..130).contains(&tracked));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeSampler {
    rate: f64,
    /// Values below it are tracked; at most 2^64.
    threshold: u128,
}

impl NodeSampler {
    /// Tracks the share `rate` of all nodes.
    ///
    /// # Panics
    /// If that is not from 0 to 1.
    pub fn new(rate: f64) -> Self {
        assert!((0.0..=1.0).contains(&rate), "a share of the nodes is from 0 to 1, not {rate}");
        NodeSampler { rate, threshold: threshold(rate) }
    }

    /// Which share of all nodes is tracked.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether the node with the id `node_id` is tracked.
    pub fn should_track_node(&self, node_id: &Key256) -> bool {
        u128::from(value_of(node_id)) < self.threshold
    }

    /// How many nodes live, if `alive` of the sample do: `alive / rate`, the estimator of Horvitz and Thompson ("A
    /// generalization of sampling without replacement from a finite universe", 1952). Without bias; infinite or not a
    /// number at a rate of zero.
    pub fn estimate(&self, alive: u32) -> f64 {
        f64::from(alive) / self.rate
    }

    /// The standard error of [`NodeSampler::estimate`], in nodes.
    ///
    /// Of n nodes that live, each is in the sample with chance p, so the sample has n p (1 - p) as its variance, and the
    /// estimate n (1 - p) / p. With the estimate for n this is `sqrt(alive * (1 - p)) / p`.
    pub fn standard_error(&self, alive: u32) -> f64 {
        (f64::from(alive) * (1.0 - self.rate)).sqrt() / self.rate
    }
}

/// What of an id decides whether it is in a sample: uniform over all 64-bit numbers.
pub fn value_of(node_id: &Key256) -> u64 {
    let hash = blake3::hash(node_id);
    hash.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// `ceil(rate * (2^64 - 1))`, exactly; 2^64 at a rate of 1.
fn threshold(rate: f64) -> u128 {
    if rate >= 1.0 {
        return 1 << 64;
    }
    // A rate below 1 is a whole number below 2^53 divided by 2^shift.
    let exponent = (rate.to_bits() >> 52) as u32 & 0x7ff;
    let fraction = u128::from(rate.to_bits() & ((1 << 52) - 1));
    let whole = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let shift = 1_075 - exponent.max(1);
    let product = whole * u128::from(u64::MAX);
    match shift {
        0..128 => product.div_ceil(1 << shift),
        _ => u128::from(product > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::wire::key_of;

    #[test]
    fn thresholds_are_exact() {
        let max = u128::from(u64::MAX);
        for (rate, expected) in [
            (0.0, 0),
            (-0.0, 0),
            (f64::from_bits(1), 1),
            (f64::MIN_POSITIVE, 1),
            (1.0 / 18_446_744_073_709_551_616.0, 1),
            (0.5, max.div_ceil(2)),
            (0.75, (3 * max).div_ceil(4)),
            (1.0 / 3.0, 6_148_914_691_236_516_864),
            (1.0 - f64::EPSILON / 2.0, (max * ((1 << 53) - 1)).div_ceil(1 << 53)),
            (1.0, max + 1),
        ] {
            assert_eq!(threshold(rate), expected, "{rate}");
        }
    }

    #[test]
    fn nobody_is_tracked_at_rate_zero_and_everybody_at_one() {
        for node in 0..1_000 {
            assert!(!NodeSampler::new(0.0).should_track_node(&key_of(node)));
            assert!(NodeSampler::new(1.0).should_track_node(&key_of(node)));
        }
    }

    #[test]
    fn the_sample_of_a_smaller_rate_is_a_part_of_that_of_a_larger() {
        let rates = [0.0, 1e-18, 0.0001, 0.001, 0.01, 0.1, 0.1 + f64::EPSILON, 0.5, 1.0 - f64::EPSILON, 1.0];
        assert!(rates.map(threshold).is_sorted());
        let samplers = rates.map(NodeSampler::new);
        for node in 0..5_000 {
            let tracked = samplers.map(|sampler| sampler.should_track_node(&key_of(node)));
            assert!(tracked.is_sorted(), "node {node}: {tracked:?}");
        }
    }

    #[test]
    fn the_documents_formula_tells_the_same_nodes() {
        for rate in [0.0001, 0.001, 0.01, 0.1, 0.9] {
            let sampler = NodeSampler::new(rate);
            for node in 0..20_000 {
                let documented = value_of(&key_of(node)) as f64 / (u64::MAX as f64) < rate;
                assert_eq!(sampler.should_track_node(&key_of(node)), documented, "node {node} at {rate}");
            }
        }
    }

    #[test]
    fn the_hash_is_that_of_the_documents() {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&blake3::hash(&key_of(7)).as_bytes()[..8]);
        assert_eq!(value_of(&key_of(7)), u64::from_le_bytes(bytes));
        assert_eq!(value_of(&key_of(0)), PINNED, "a change here changes every sample");
    }

    const PINNED: u64 = 8_238_098_025_478_871_594;

    #[test]
    fn a_sample_tells_about_all_with_its_error() {
        let sampler = NodeSampler::new(0.01);
        assert_eq!(sampler.estimate(400), 40_000.0);
        assert!((sampler.standard_error(400) - 1_989.974_874).abs() < 1e-6);
        assert_eq!((NodeSampler::new(1.0).estimate(7), NodeSampler::new(1.0).standard_error(7)), (7.0, 0.0));
        assert_eq!(sampler.standard_error(0), 0.0);
    }

    #[test]
    #[should_panic(expected = "from 0 to 1, not NaN")]
    fn a_rate_is_a_share() {
        NodeSampler::new(f64::NAN);
    }
}
