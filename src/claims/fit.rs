//! How a quantity grows: the exponent of a power law, and which of the candidate laws fits best.

use std::fmt;

use crate::metrics::{Estimate, student_t};

/// Fewest sizes for a fit to mean anything.
pub const SIZES_MIN: usize = 5;

/// A law of growth with the number of nodes, up to a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// O(1).
    Constant,
    /// O(log n).
    Logarithmic,
    /// O(n).
    Linear,
    /// O(n log n).
    Linearithmic,
    /// O(n²).
    Quadratic,
}

impl Law {
    /// Every candidate, the slowest first.
    pub const ALL: [Law; 5] = [Law::Constant, Law::Logarithmic, Law::Linear, Law::Linearithmic, Law::Quadratic];

    fn of(self, n: f64) -> f64 {
        match self {
            Law::Constant => 1.0,
            Law::Logarithmic => libm::log2(n),
            Law::Linear => n,
            Law::Linearithmic => n * libm::log2(n),
            Law::Quadratic => n * n,
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Law::Constant => "O(1)",
            Law::Logarithmic => "O(log n)",
            Law::Linear => "O(n)",
            Law::Linearithmic => "O(n log n)",
            Law::Quadratic => "O(n^2)",
        })
    }
}

/// A quantity as a power of the number of nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// The exponent: the slope of the line through the points on log-log axes, by least squares.
    pub exponent: f64,
    /// Half the width of its 95 % confidence interval, by Student's t with two degrees of freedom less than points.
    pub half_width: f64,
    /// The natural logarithm of the quantity at one node, on that line.
    intercept: f64,
    /// The candidate that fits best: the one from which the logarithms of the points deviate least, with the best factor.
    pub law: Law,
}

/// Why there is no fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFew;

impl PowerLaw {
    /// Fits `points`: numbers of nodes with quantities, all above zero; others are left out.
    ///
    /// # Errors
    /// If fewer than [`SIZES_MIN`] different sizes are left.
    pub fn fit(points: &[(f64, f64)]) -> Result<PowerLaw, TooFew> {
        let positive = points.iter().filter(|(n, y)| *n > 0.0 && *y > 0.0);
        let logs: Vec<(f64, f64)> = positive.map(|(n, y)| (libm::log(*n), libm::log(*y))).collect();
        let mut sizes: Vec<f64> = logs.iter().map(|(x, _)| *x).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        if sizes.len() < SIZES_MIN {
            return Err(TooFew);
        }
        let count = logs.len() as f64;
        let mean = |pick: fn(&(f64, f64)) -> f64| logs.iter().map(pick).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|(x, _)| *x), mean(|(_, y)| *y));
        let sum_xx: f64 = logs.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
        let sum_xy: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let exponent = sum_xy / sum_xx;
        let intercept = mean_y - exponent * mean_x;
        let residual = |(x, y): &(f64, f64)| y - intercept - exponent * x;
        let sum_rr: f64 = logs.iter().map(|point| residual(point) * residual(point)).sum();
        let deviation = libm::sqrt(sum_rr / (count - 2.0) / sum_xx);
        let half_width = student_t(logs.len() - 2) * deviation;
        Ok(PowerLaw { exponent, half_width, intercept, law: best_law(&logs) })
    }

    /// The quantity at `nodes` by the line.
    pub fn at(&self, nodes: f64) -> f64 {
        libm::exp(self.intercept + self.exponent * libm::log(nodes))
    }
}

/// The law with the smallest variance of what is left of the logarithms when it is taken off.
fn best_law(logs: &[(f64, f64)]) -> Law {
    let spread = |law: Law| {
        let left: Vec<f64> = logs.iter().map(|(x, y)| y - libm::log(law.of(libm::exp(*x)))).collect();
        let mean = left.iter().sum::<f64>() / left.len() as f64;
        left.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>()
    };
    let mut best = (f64::INFINITY, Law::Constant);
    for law in Law::ALL {
        let spread = spread(law);
        // A slower law that fits as well is the better one.
        if spread < best.0 {
            best = (spread, law);
        }
    }
    best.1
}

/// Mean of some values with half the width of its 95 % confidence interval; `None` for the width of a single value.
pub fn mean_with_interval(values: &[f64]) -> Option<(f64, Option<f64>)> {
    Estimate::of(values).map(|estimate| (estimate.mean, estimate.half_width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(law: impl Fn(f64) -> f64) -> PowerLaw {
        let sizes = [1e3, 3e3, 1e4, 3e4, 1e5];
        PowerLaw::fit(&sizes.map(|n| (n, law(n)))).unwrap()
    }

    #[test]
    fn pure_laws_are_recognised() {
        type Case = (fn(f64) -> f64, Law, f64, f64);
        let cases: [Case; 5] = [
            (|_| 7.0, Law::Constant, 0.0, 1e-9),
            (|n| 3.0 * libm::log2(n), Law::Logarithmic, 0.11, 0.02),
            (|n| 0.5 * n, Law::Linear, 1.0, 1e-9),
            (|n| n * libm::log2(n), Law::Linearithmic, 1.11, 0.02),
            (|n| n * (n - 1.0), Law::Quadratic, 2.0, 1e-3),
        ];
        for (law, expected, exponent, within) in cases {
            let fitted = fit(law);
            assert_eq!(fitted.law, expected);
            assert!((fitted.exponent - exponent).abs() < within, "{expected}: {}", fitted.exponent);
            assert!((fitted.at(1e4) / law(1e4) - 1.0).abs() < 0.02);
        }
        assert!(fit(|n| n).half_width < 1e-9);
    }

    #[test]
    fn the_interval_holds_the_exponent_of_a_noisy_line() {
        // Noise of 10 %, alternating.
        let points: Vec<_> = (0..8)
            .map(|index| {
                let n = libm::exp2(f64::from(index) + 10.0);
                (n, n * if index % 2 == 0 { 1.1 } else { 0.9 })
            })
            .collect();
        let fitted = PowerLaw::fit(&points).unwrap();
        assert!((fitted.exponent - 1.0).abs() < fitted.half_width && fitted.half_width < 0.1, "{fitted:?}");
    }

    #[test]
    fn few_sizes_make_no_fit() {
        let twice = [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0), (4.0, 4.0), (5.0, 0.0)];
        assert_eq!(PowerLaw::fit(&twice), Err(TooFew));
    }

    #[test]
    fn a_mean_has_an_interval_from_two_values_on() {
        assert_eq!(mean_with_interval(&[]), None);
        assert_eq!(mean_with_interval(&[3.0]), Some((3.0, None)));
        let (mean, half) = mean_with_interval(&[1.0, 2.0, 3.0]).unwrap();
        // t(2) = 4.303, standard error 1 / sqrt(3).
        assert!(mean == 2.0 && (half.unwrap() - 4.303 / libm::sqrt(3.0)).abs() < 1e-9);
    }
}
