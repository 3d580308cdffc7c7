//! Keyed randomness: every draw is a function of (seed, domain, entity, counter) and of nothing else.
//!
//! Neither the order of other draws nor the number of partitions can move a draw. The keys of a domain come from
//! ChaCha8; the draws, which stand in the hot loop, are SplitMix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", OOPSLA 2014), finalised by Stafford's variant 13.

use std::convert::Infallible;

use rand::rand_core::TryRng;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{NodeId, SimSpan};

/// What a draw is for. Draws of different domains are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Domain {
    /// A protocol's own choices: phases, peers, ...
    Protocol = 1,
    /// Delay of a message.
    Latency = 2,
    /// Whether a message is lost.
    Loss = 3,
    /// Who is connected to whom.
    Topology = 4,
    /// Where a node stands.
    Placement = 5,
    /// How long a node stays, and stays away.
    Churn = 6,
    /// Which nodes a fault hits.
    Fault = 7,
    /// What users do, and who they are.
    Workload = 8,
    /// Who the users of a generated registry are.
    Population = 9,
    /// Which events are traced.
    Trace = 10,
}

/// The key of one domain of one run.
#[derive(Clone, Copy, Debug)]
pub struct RandomKey {
    offset: u64,
    gamma: u64,
}

/// Stafford's mix 13: a bijection whose every output bit depends on every input bit.
#[inline(always)]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An odd number whose bits change at least 24 times along the word, as increments of SplitMix64 should.
fn gamma_of(word: u64) -> u64 {
    let gamma = word | 1;
    if (gamma ^ (gamma >> 1)).count_ones() < 24 { gamma ^ 0xaaaa_aaaa_aaaa_aaaa } else { gamma }
}

impl RandomKey {
    /// The key of `domain` in a run seeded with `seed`.
    pub fn new(seed: u64, domain: Domain) -> Self {
        let mut chacha = ChaCha8Rng::seed_from_u64(seed);
        chacha.set_stream(domain as u64);
        RandomKey { offset: chacha.next_u64(), gamma: gamma_of(chacha.next_u64()) }
    }

    /// The draw of `(entity, counter)`: 64 uniform bits.
    #[inline(always)]
    pub fn word(&self, entity: NodeId, counter: u32) -> u64 {
        let index = u64::from(entity) << 32 | u64::from(counter);
        mix(index.wrapping_mul(self.gamma).wrapping_add(self.offset))
    }

    /// The draws of `(entity, counter)`, `(entity, counter + 1)` and so on, each as [`RandomKey::word`] gives it.
    #[inline(always)]
    pub fn draws(&self, entity: NodeId, counter: u32) -> Stream {
        let before = (u64::from(entity) << 32 | u64::from(counter)).wrapping_sub(1);
        Stream { state: before.wrapping_mul(self.gamma).wrapping_add(self.offset), gamma: self.gamma }
    }

    /// An endless stream of draws for `(entity, counter)`.
    #[inline(always)]
    pub fn stream(&self, entity: NodeId, counter: u32) -> Stream {
        let state = self.word(entity, counter);
        // Two streams that meet in a state part again, because their increments differ.
        Stream { state, gamma: mix(state ^ self.offset) | 1 }
    }
}

/// A stream of random draws; also a [`rand::Rng`], so that the distributions of `rand` work on it.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
    gamma: u64,
}

impl Stream {
    /// 64 uniform bits.
    #[inline(always)]
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(self.gamma);
        mix(self.state)
    }

    /// A number in `0..bound`, uniform to within `bound / 2^64` (Lemire, "Fast random integer generation in an
    /// interval", 2019, without the rejection step). Zero if `bound` is zero.
    #[inline(always)]
    pub fn below(&mut self, bound: u64) -> u64 {
        scale_word(self.word(), bound)
    }

    /// A span with an exponential distribution of mean `nanos`, as between the events of a Poisson process, by inversion:
    /// at most 36.8 times the mean.
    pub fn exponential(&mut self, nanos: f64) -> SimSpan {
        // The cast saturates.
        SimSpan::from_nanos((-nanos * libm::log1p(-self.unit())) as u64)
    }

    /// A number in `[0, 1)`, a multiple of 2^-53.
    #[inline(always)]
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// Maps 64 uniform bits to `0..bound`, uniform to within `bound / 2^64`; zero if `bound` is zero.
#[inline(always)]
pub fn scale_word(word: u64, bound: u64) -> u64 {
    ((u128::from(word) * u128::from(bound)) >> 64) as u64
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.word() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.word())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's statistic of `counts` against a uniform expectation, as standard deviations from its mean.
    fn chi_square_sigmas(counts: &[u64]) -> f64 {
        let total: u64 = counts.iter().sum();
        let expected = total as f64 / counts.len() as f64;
        let off = |count: u64| count as f64 - expected;
        let statistic: f64 = counts.iter().map(|&count| off(count) * off(count) / expected).sum();
        let freedom = (counts.len() - 1) as f64;
        (statistic - freedom) / (2.0 * freedom).sqrt()
    }

    /// Every byte of the words that `draw` makes of 0, 1, 2, ... is uniform, and so is the xor of neighbours.
    fn check_uniform(name: &str, draw: impl Fn(u32) -> u64) {
        for byte in 0..8 {
            let mut counts = [[0u64; 256]; 2];
            for index in 0..1 << 16 {
                let (word, next) = (draw(index), draw(index + 1));
                counts[0][(word >> (8 * byte)) as usize & 255] += 1;
                counts[1][((word ^ next) >> (8 * byte)) as usize & 255] += 1;
            }
            for (test, counts) in ["bytes", "neighbours"].iter().zip(&counts) {
                let sigmas = chi_square_sigmas(counts);
                assert!(sigmas.abs() < 5.0, "{name}: byte {byte}, {test}: {sigmas:.1} sigmas");
            }
        }
    }

    #[test]
    fn draws_are_uniform_along_every_axis_of_the_key() {
        let key = RandomKey::new(1, Domain::Latency);
        check_uniform("counter", |i| key.word(7, i));
        check_uniform("entity", |i| key.word(i, 7));
        check_uniform("seed", |i| RandomKey::new(u64::from(i), Domain::Loss).word(3, 3));
        check_uniform("first of a stream", |i| key.stream(i, 0).word());
        check_uniform("second of a stream", |i| {
            let mut stream = key.stream(0, i);
            stream.word();
            stream.word()
        });
    }

    #[test]
    fn draws_are_the_words_of_one_counter_after_the_other() {
        let key = RandomKey::new(4, Domain::Latency);
        for (entity, first) in [(0, 0), (7, 5), (u32::MAX, u32::MAX - 20)] {
            let mut draws = key.draws(entity, first);
            assert!((first..first + 20).all(|counter| draws.word() == key.word(entity, counter)));
        }
    }

    #[test]
    fn every_bit_of_the_key_moves_half_of_the_bits_of_the_draw() {
        let key = RandomKey::new(9, Domain::Protocol);
        for bit in 0..32 {
            let mut flipped = [0u32; 2];
            for index in 0..4_000u32 {
                flipped[0] += (key.word(index, 5) ^ key.word(index ^ (1 << bit), 5)).count_ones();
                flipped[1] += (key.word(5, index) ^ key.word(5, index ^ (1 << bit))).count_ones();
            }
            for total in flipped {
                let mean = f64::from(total) / 4_000.0;
                assert!((mean - 32.0).abs() < 0.4, "bit {bit} flips {mean} bits");
            }
        }
    }

    #[test]
    fn the_same_key_gives_the_same_draws_on_every_machine() {
        let mut stream = RandomKey::new(42, Domain::Topology).stream(3, 1);
        let drawn = [stream.word(), stream.word(), stream.below(1_000)];
        assert_eq!(drawn, PINNED, "a change here changes every result");
    }

    const PINNED: [u64; 3] = [11_885_547_584_718_247_779, 8_314_345_222_280_755_893, 507];

    #[test]
    fn bounded_draws_stay_in_bounds_and_reach_all_of_them() {
        let mut stream = RandomKey::new(5, Domain::Protocol).stream(0, 0);
        let mut counts = [0u64; 10];
        for _ in 0..100_000 {
            counts[stream.below(10) as usize] += 1;
            assert!((0.0..1.0).contains(&stream.unit()));
        }
        assert!(chi_square_sigmas(&counts).abs() < 5.0);
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn exponential_spans_have_their_mean() {
        let key = RandomKey::new(5, Domain::Protocol);
        let sum: u64 = (0..40_000).map(|draw| key.stream(draw, 0).exponential(1e9).as_nanos()).sum();
        let mean = sum as f64 / 40_000.0 / 1e9;
        assert!((mean - 1.0).abs() < 0.02, "{mean}: four standard errors");
    }
}
