//! Distributions of positive quantities, sampled by their inverse.

use std::sync::Arc;

/// A distribution of a positive quantity, in whatever unit its parameters are.
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
    /// Values that were observed, each as likely as the others; ascending, at least one.
    Observed(Arc<[f64]>),
}
