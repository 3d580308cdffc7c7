//! Distributions of positive quantities, sampled by their inverse.
//!
//! Every draw is arithmetic of IEEE 754 and functions of the `libm` crate, so it is the same on every machine.

use std::sync::Arc;

use super::normal::normal_quantile;
use crate::contract::Stream;

/// A distribution of a positive quantity, in whatever unit its parameters are.
///
/// All parameters are finite and above zero; a shape of a Weibull distribution is at least 0.01, below which its mean
/// cannot be told from infinity.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// Memoryless.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// `P(X > x) = exp(-(x / scale)^shape)`.
    Weibull {
        /// Below one, the longer it has lasted the longer it goes on.
        shape: f64,
        /// The quantile of `1 - 1/e`.
        scale: f64,
    },
    /// Its logarithm is normal.
    Lognormal {
        /// The median, `exp(mu)`.
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// `P(X > x) = (scale / x)^shape` from `scale` on.
    Pareto {
        /// Above one, so that there is a mean.
        shape: f64,
        /// The smallest value.
        scale: f64,
    },
    /// Values that were observed, each as likely as the others.
    Observed(Observations),
}

/// Values that were observed, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    /// Ascending, at least one, none negative.
    values: Arc<[f64]>,
    /// Sums of the values up to and with each.
    sums: Arc<[f64]>,
}

impl From<Vec<f64>> for Observations {
    /// # Panics
    /// If there are no values, or if one is negative or not finite.
    fn from(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "at least one value was observed");
        assert!(values.iter().all(|value| value.is_finite() && *value >= 0.0), "observed values are not negative");
        values.sort_unstable_by(f64::total_cmp);
        let mut sum = 0.0;
        let sums = values.iter().map(|value| {
            sum += value;
            sum
        });
        Observations { sums: sums.collect(), values: values.into() }
    }
}

impl Observations {
    /// The values, ascending.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    fn total(&self) -> f64 {
        self.sums[self.sums.len() - 1]
    }

    /// The value in which a point at the share `u` of the sum of all values falls: large ones are likelier.
    fn at_share_of_sum(&self, u: f64) -> f64 {
        let point = u * self.total();
        let index = self.sums.partition_point(|&sum| sum <= point);
        self.values[index.min(self.values.len() - 1)]
    }
}

/// Session lengths of the peers of three downloads of files, in minutes: name, shape, scale.
///
/// Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks", IMC 2006.
const PUBLISHED: [(&str, f64, f64); 3] = [("debian", 0.38, 42.4), ("redhat", 0.34, 21.3), ("flatout", 0.59, 41.9)];

/// Names that [`published`] knows.
pub const PUBLISHED_NAMES: [&str; 3] = [PUBLISHED[0].0, PUBLISHED[1].0, PUBLISHED[2].0];

/// A published distribution of session lengths, in seconds: the Weibull distributions that Stutzbach and Rejaie (IMC
/// 2006) fitted to the swarms "debian", "redhat" and "flatout".
pub fn published(name: &str) -> Option<Distribution> {
    let (_, shape, minutes) = PUBLISHED.into_iter().find(|(known, ..)| *known == name)?;
    Some(Distribution::Weibull { shape, scale: minutes * 60.0 })
}

/// Makes 64 uniform bits a number in the open interval from 0 to 1: an odd multiple of 2^-53. The largest is
/// [`OPEN_UNIT_MAX`].
#[inline(always)]
pub(super) fn open_unit(word: u64) -> f64 {
    ((word >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
}

/// The largest number that [`open_unit`] makes: 1 - 2^-53.
pub(super) const OPEN_UNIT_MAX: f64 = 1.0 - f64::EPSILON / 2.0;

/// Tries of a method that rejects fewer than one in twenty: all of them fail once in 10^83 draws.
const TRIES_MAX: u32 = 64;

impl Distribution {
    /// The value below which a draw falls with probability `u`, for `u` from 0 up to, not including, 1.
    pub fn quantile(&self, u: f64) -> f64 {
        debug_assert!((0.0..1.0).contains(&u), "{u} is no probability below one");
        match self {
            Distribution::Constant(value) => *value,
            Distribution::Exponential { mean } => -mean * libm::log1p(-u),
            Distribution::Weibull { shape, scale } => {
                debug_assert!(*shape >= 0.01 && *scale > 0.0, "{self:?}");
                scale * libm::pow(-libm::log1p(-u), 1.0 / shape)
            }
            Distribution::Lognormal { median, sigma } => median * libm::exp(sigma * normal_quantile(u)),
            Distribution::Pareto { shape, scale } => {
                debug_assert!(*shape > 0.0 && *scale > 0.0, "{self:?}");
                scale * libm::exp(-libm::log1p(-u) / shape)
            }
            Distribution::Observed(observed) => {
                let index = (u * observed.values.len() as f64) as usize;
                observed.values[index.min(observed.values.len() - 1)]
            }
        }
    }

    /// The expected value; infinite for a Pareto distribution with a shape of at most one.
    pub fn mean(&self) -> f64 {
        match self {
            Distribution::Constant(value) => *value,
            Distribution::Exponential { mean } => *mean,
            Distribution::Weibull { shape, scale } => scale * libm::tgamma(1.0 + 1.0 / shape),
            Distribution::Lognormal { median, sigma } => median * libm::exp(sigma * sigma / 2.0),
            Distribution::Pareto { shape, .. } if *shape <= 1.0 => f64::INFINITY,
            Distribution::Pareto { shape, scale } => scale * shape / (shape - 1.0),
            Distribution::Observed(observed) => observed.total() / observed.values.len() as f64,
        }
    }

    /// The value that half of the draws do not exceed.
    pub fn median(&self) -> f64 {
        match self {
            Distribution::Observed(observed) => {
                let (values, half) = (&observed.values, observed.values.len() / 2);
                if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
            }
            _ => self.quantile(0.5),
        }
    }

    /// A draw: one word of `random` through [`Distribution::quantile`], never infinite.
    pub fn sample(&self, random: &mut Stream) -> f64 {
        self.quantile(open_unit(random.word()))
    }

    /// What is left of a span of this distribution that is met at a random moment of an endless row of such spans: the
    /// rest of a session that is under way in the steady state. Its mean is `E[X^2] / (2 E[X])`.
    ///
    /// A random moment falls into a span with a chance in proportion to its length, and anywhere in it (Feller, "An
    /// introduction to probability theory", volume 2, XI.4). A Pareto distribution needs a shape above one.
    pub fn sample_residual(&self, random: &mut Stream) -> f64 {
        let met = match self {
            Distribution::Constant(value) => *value,
            // Without memory, what is left is as long as a whole one.
            Distribution::Exponential { .. } => return self.sample(random),
            // In units of (x / scale)^shape, which is exponential, the weight x makes it gamma.
            Distribution::Weibull { shape, scale } => {
                scale * libm::pow(sample_gamma(1.0 + 1.0 / shape, random), 1.0 / shape)
            }
            // The weight x moves the mean of the logarithm by sigma^2.
            Distribution::Lognormal { median, sigma } => {
                Distribution::Lognormal { median: median * libm::exp(sigma * sigma), sigma: *sigma }.sample(random)
            }
            Distribution::Pareto { shape, scale } => {
                debug_assert!(*shape > 1.0, "a Pareto distribution of shape {shape} has no mean");
                Distribution::Pareto { shape: shape - 1.0, scale: *scale }.sample(random)
            }
            Distribution::Observed(observed) => observed.at_share_of_sum(open_unit(random.word())),
        };
        met * open_unit(random.word())
    }
}

/// A draw of the gamma distribution with `shape`, at least one, and scale 1.
///
/// Marsaglia and Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical Software 26
/// (2000): a cubed normal variable, accepted by comparison of logarithms.
fn sample_gamma(shape: f64, random: &mut Stream) -> f64 {
    debug_assert!(shape >= 1.0, "the method needs a shape of at least one");
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    for _ in 0..TRIES_MAX {
        let normal = normal_quantile(open_unit(random.word()));
        let chance = open_unit(random.word());
        let root = 1.0 + c * normal;
        if root <= 0.0 {
            continue;
        }
        let cube = root * root * root;
        // The squeeze of the paper: what it accepts, the comparison of logarithms does, too.
        if chance < 1.0 - 0.0331 * (normal * normal) * (normal * normal) {
            return d * cube;
        }
        if libm::log(chance) < 0.5 * normal * normal + d * (1.0 - cube + libm::log(cube)) {
            return d * cube;
        }
    }
    // The middle of the distribution.
    d
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    fn every() -> [Distribution; 6] {
        [
            Distribution::Constant(7.0),
            Distribution::Exponential { mean: 60.0 },
            Distribution::Weibull { shape: 0.38, scale: 2_544.0 },
            Distribution::Lognormal { median: 30.0, sigma: 1.2 },
            Distribution::Pareto { shape: 2.5, scale: 10.0 },
            Distribution::Observed(vec![8.0, 1.0, 4.0, 2.0].into()),
        ]
    }

    fn random(seed: u64) -> Stream {
        RandomKey::new(seed, Domain::Churn).stream(3, 1)
    }

    /// Bits of a draw and of what is left of one, for each of [`every`].
    const PINNED: [[u64; 2]; 6] = [
        [4_619_567_317_775_286_272, 4_612_730_017_564_664_020],
        [4_626_363_037_768_734_511, 4_628_019_156_900_266_852],
        [4_639_267_404_668_170_785, 4_673_803_481_069_000_764],
        [4_624_736_766_877_702_441, 4_633_068_661_462_877_535],
        [4_622_628_203_479_041_045, 4_621_429_223_301_526_549],
        [4_611_686_018_427_387_904, 4_613_460_480_560_899_649],
    ];

    #[test]
    fn the_same_word_gives_the_same_draw_on_every_machine() {
        let drawn = every().map(|distribution| {
            let mut random = random(42);
            [distribution.sample(&mut random).to_bits(), distribution.sample_residual(&mut random).to_bits()]
        });
        assert_eq!(drawn, PINNED, "a change here changes every result");
    }

    #[test]
    fn the_smallest_and_the_largest_draw_are_finite_and_in_order() {
        assert_eq!(open_unit(u64::MAX), OPEN_UNIT_MAX);
        const { assert!(OPEN_UNIT_MAX < 1.0) };
        assert_eq!(open_unit(0), f64::EPSILON / 2.0);
        for distribution in every() {
            let (low, high) = (distribution.quantile(open_unit(0)), distribution.quantile(OPEN_UNIT_MAX));
            assert!(0.0 <= low && low <= distribution.median() && distribution.median() <= high && high.is_finite());
            let steps = (0..1_000).map(|step| distribution.quantile(f64::from(step) / 1_000.0));
            assert!(steps.is_sorted(), "{distribution:?}");
        }
    }

    #[test]
    fn means_and_medians_follow_from_the_formulas() {
        let near = |found: f64, exact: f64| assert!((found - exact).abs() <= 1e-14 * exact, "{found}, not {exact}");
        let [constant, exponential, weibull, lognormal, pareto, observed] = every();
        near(constant.mean() + constant.median(), 14.0);
        near(exponential.median(), 60.0 * std::f64::consts::LN_2);
        near(weibull.median(), 2_544.0 * libm::pow(std::f64::consts::LN_2, 1.0 / 0.38));
        near(Distribution::Weibull { shape: 0.5, scale: 3.0 }.mean(), 6.0);
        near(lognormal.median(), 30.0);
        near(lognormal.mean(), 30.0 * libm::exp(0.72));
        near(pareto.mean(), 25.0 / 1.5);
        near(pareto.median(), 10.0 * libm::pow(2.0, 0.4));
        assert_eq!(Distribution::Pareto { shape: 1.0, scale: 1.0 }.mean(), f64::INFINITY);
        near(observed.mean(), 3.75);
        near(observed.median(), 3.0);
        near(Distribution::Observed(vec![5.0, 1.0, 2.0].into()).median(), 2.0);
    }

    #[test]
    fn what_is_left_of_a_constant_span_is_uniform_and_never_all_of_it() {
        let mut random = random(1);
        let left: Vec<_> = (0..10_000).map(|_| Distribution::Constant(2.0).sample_residual(&mut random)).collect();
        assert!(left.iter().all(|left| (0.0..2.0).contains(left)));
        let mean = left.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 1.0).abs() < 5.0 * 2.0 / 12f64.sqrt() / 100.0, "{mean}");
    }

    #[test]
    fn long_observations_are_met_more_often() {
        let observed = Observations::from(vec![3.0, 0.0, 1.0]);
        assert_eq!(observed.values(), [0.0, 1.0, 3.0]);
        for (u, value) in [(0.0, 1.0), (0.249, 1.0), (0.25, 3.0), (0.999, 3.0)] {
            assert_eq!(observed.at_share_of_sum(u), value, "{u}");
        }
        assert_eq!(Observations::from(vec![0.0]).at_share_of_sum(0.5), 0.0);
    }

    #[test]
    #[should_panic(expected = "observed values are not negative")]
    fn negative_observations_are_refused() {
        let _ = Observations::from(vec![1.0, -1.0]);
    }

    #[test]
    fn published_distributions_are_in_seconds() {
        assert_eq!(published("debian"), Some(Distribution::Weibull { shape: 0.38, scale: 2_544.0 }));
        assert!(PUBLISHED_NAMES.iter().all(|name| published(name).is_some()));
        assert_eq!(published("windows"), None);
    }
}
