//! Distributions against the crate `rand_distr`, against the theory of renewals, and against published sessions.

use qnetsim::contract::{Domain, RandomKey, Stream};
use qnetsim::engine::{Distribution, PUBLISHED_NAMES, published};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use rand_distr::Distribution as _;

use crate::statistics::{SIGMAS, kolmogorov, smirnov};

const SAMPLES: usize = 20_000;
const SEEDS: std::ops::Range<u64> = 0..5;

fn ours(seed: u64) -> Stream {
    RandomKey::new(seed, Domain::Churn).stream(1, 1)
}

/// Each kind of distribution, with short and long tails.
fn every() -> Vec<Distribution> {
    let mut every = vec![
        Distribution::Exponential { mean: 60.0 },
        Distribution::Weibull { shape: 0.59, scale: 41.9 },
        Distribution::Weibull { shape: 0.38, scale: 42.4 },
        Distribution::Weibull { shape: 3.0, scale: 2.0 },
        Distribution::Lognormal { median: 50.0, sigma: 0.3 },
        Distribution::Lognormal { median: 0.05, sigma: 1.5 },
        Distribution::Pareto { shape: 5.0, scale: 7.0 },
        Distribution::Pareto { shape: 2.2, scale: 100.0 },
    ];
    every.push(Distribution::Observed((1..200).map(|value| f64::from(value * value)).collect::<Vec<_>>().into()));
    every
}

/// `count` draws of `distribution` by the crate `rand_distr`, or by `rand` where it holds observations.
fn theirs(distribution: &Distribution, count: usize, seed: u64) -> Vec<f64> {
    let random = ChaCha12Rng::seed_from_u64(seed);
    fn draw(random: ChaCha12Rng, count: usize, from: impl rand_distr::Distribution<f64>) -> Vec<f64> {
        from.sample_iter(random).take(count).collect()
    }
    match distribution {
        Distribution::Constant(value) => vec![*value; count],
        Distribution::Exponential { mean } => draw(random, count, rand_distr::Exp::new(1.0 / mean).unwrap()),
        Distribution::Weibull { shape, scale } => {
            draw(random, count, rand_distr::Weibull::new(*scale, *shape).unwrap())
        }
        Distribution::Lognormal { median, sigma } => {
            draw(random, count, rand_distr::LogNormal::new(libm::log(*median), *sigma).unwrap())
        }
        Distribution::Pareto { shape, scale } => draw(random, count, rand_distr::Pareto::new(*scale, *shape).unwrap()),
        Distribution::Observed(observed) => {
            let values = observed.values();
            let index = rand_distr::Uniform::new(0, values.len()).unwrap();
            index.sample_iter(random).take(count).map(|index: usize| values[index]).collect()
        }
    }
}

/// Oracle: the crate `rand_distr` 0.6, whose methods differ from ours (Ziggurat tables for the exponential and the
/// normal distribution). Five seeds, a false alarm in one of 10^6 pairs.
#[test]
fn draws_have_the_distributions_of_rand_distr() {
    for distribution in every() {
        for seed in SEEDS {
            let mut random = ours(seed);
            let mut drawn: Vec<_> = (0..SAMPLES).map(|_| distribution.sample(&mut random)).collect();
            let distance = smirnov(&mut drawn, &mut theirs(&distribution, SAMPLES, seed));
            assert!(distance < 1.0, "{distribution:?}, seed {seed}: {distance:.2} of the critical distance");
        }
    }
}

/// The mean and the median of samples of `rand_distr`, within what five seeds of them allow at 4.9 sigmas.
#[test]
fn means_and_medians_are_those_of_samples_of_rand_distr() {
    for distribution in every() {
        for seed in SEEDS {
            let mut sample = theirs(&distribution, 200_000, seed);
            let n = sample.len() as f64;
            let mean = sample.iter().sum::<f64>() / n;
            let variance = sample.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
            let off = (mean - distribution.mean()).abs() / (variance / n).sqrt();
            assert!(off < SIGMAS, "{distribution:?}, seed {seed}: the mean is {off:.1} sigmas off");
            // The share of the sample below the median is binomial.
            sample.sort_unstable_by(f64::total_cmp);
            let median = distribution.median();
            let ends = [sample.partition_point(|x| *x < median), sample.partition_point(|x| *x <= median)];
            let [low, high] = ends.map(|below| (below as f64 - n / 2.0) / (n / 4.0).sqrt());
            assert!(low < SIGMAS && high > -SIGMAS, "{distribution:?}, seed {seed}: {low:.1} to {high:.1} sigmas");
        }
    }
}

/// Source: Feller, "An introduction to probability theory and its applications", volume 2, XI.4: in the steady state of
/// a renewal process, what is left of the current span is below x with probability `E[min(X, x)] / E[X]`, and its mean
/// is `E[X^2] / (2 E[X])`. The expectations are taken over 10^6 draws of `rand_distr`.
#[test]
fn what_is_left_of_a_session_follows_the_theory_of_renewals() {
    for distribution in every() {
        let mut spans = theirs(&distribution, 1_000_000, 77);
        spans.sort_unstable_by(f64::total_cmp);
        let mut sums = vec![0.0];
        spans.iter().for_each(|span| sums.push(sums[sums.len() - 1] + span));
        let total = sums[spans.len()];
        let below = |x: f64| {
            let shorter = spans.partition_point(|span| *span < x);
            (sums[shorter] + (spans.len() - shorter) as f64 * x) / total
        };
        for seed in SEEDS {
            let mut random = ours(seed);
            let mut left: Vec<_> = (0..SAMPLES).map(|_| distribution.sample_residual(&mut random)).collect();
            let distance = kolmogorov(&mut left, below);
            assert!(distance < 1.0, "{distribution:?}, seed {seed}: {distance:.2} of the critical distance");
        }
    }
}

/// `E[X^2] / (2 E[X])` in closed form, for distributions whose third moment keeps the mean of a sample near.
/// Source: Feller, as above; second moments of the Weibull, lognormal and Pareto distributions are textbook.
#[test]
fn the_mean_of_what_is_left_is_half_the_second_moment_over_the_first() {
    let gamma = libm::tgamma;
    let cases = [
        (Distribution::Constant(8.0), 4.0),
        (Distribution::Exponential { mean: 60.0 }, 60.0),
        (Distribution::Weibull { shape: 0.59, scale: 1.0 }, gamma(1.0 + 2.0 / 0.59) / (2.0 * gamma(1.0 + 1.0 / 0.59))),
        (Distribution::Lognormal { median: 10.0, sigma: 0.5 }, 5.0 * libm::exp(1.5 * 0.25)),
        (Distribution::Pareto { shape: 6.0, scale: 4.0 }, (6.0 * 16.0 / 4.0) / (2.0 * 6.0 * 4.0 / 5.0)),
        (Distribution::Observed(vec![1.0, 3.0].into()), 5.0 / 4.0),
    ];
    for (distribution, mean) in cases {
        for seed in SEEDS {
            let mut random = ours(seed);
            let left: Vec<_> = (0..200_000).map(|_| distribution.sample_residual(&mut random)).collect();
            let n = left.len() as f64;
            let found = left.iter().sum::<f64>() / n;
            let variance = left.iter().map(|value| (value - found) * (value - found)).sum::<f64>() / n;
            let off = (found - mean).abs() / (variance / n).sqrt();
            assert!(off < SIGMAS, "{distribution:?}, seed {seed}: mean {found}, not {mean}");
        }
    }
}

/// Source: Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks", IMC 2006: shapes and scales of the
/// sessions in three swarms; the means and medians in minutes follow from them by an independent computation.
#[test]
fn published_sessions_have_the_means_and_medians_that_follow_from_them() {
    for (name, (mean, median)) in PUBLISHED_NAMES.into_iter().zip([(163.0, 16.2), (119.0, 7.2), (64.0, 22.5)]) {
        let sessions = published(name).unwrap();
        let found = (sessions.mean() / 60.0, sessions.median() / 60.0);
        assert!((found.0 - mean).abs() <= 0.5 && (found.1 - median).abs() <= 0.05, "{name}: {found:?}");
        for seed in SEEDS {
            let mut random = ours(seed);
            let mut drawn: Vec<_> = (0..SAMPLES).map(|_| sessions.sample(&mut random) / 60.0).collect();
            drawn.sort_unstable_by(f64::total_cmp);
            let below = drawn.partition_point(|session| *session < median) as f64;
            let sigmas = (below - SAMPLES as f64 / 2.0) / (SAMPLES as f64 / 4.0).sqrt();
            // Rounding the median to a tenth of a minute moves the share below it by up to a quarter of a sigma.
            assert!(sigmas.abs() < SIGMAS + 0.25, "{name}, seed {seed}: the median is {sigmas:.1} sigmas off");
        }
    }
}
