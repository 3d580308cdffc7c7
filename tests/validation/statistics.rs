//! Tests of samples against each other and against distributions, each with a stated chance of a false alarm.

/// The chance that a test fails although nothing is wrong. Seeds are fixed, so a test that passed passes for ever.
pub(crate) const FALSE_ALARM: f64 = 1e-6;

/// The distance of Kolmogorov and Smirnov between two samples, in units of what it exceeds by chance with the
/// probability [`FALSE_ALARM`]. Both are sorted on the way.
///
/// For large samples `P(D > d)` is at most `2 exp(-2 d^2 n m / (n + m))` (Smirnov 1948, the first term of the limit).
pub(crate) fn smirnov(ours: &mut [f64], theirs: &mut [f64]) -> f64 {
    ours.sort_unstable_by(f64::total_cmp);
    theirs.sort_unstable_by(f64::total_cmp);
    let (n, m) = (ours.len() as f64, theirs.len() as f64);
    let mut distance: f64 = 0.0;
    let (mut i, mut j) = (0, 0);
    while i < ours.len() && j < theirs.len() {
        let at = ours[i].min(theirs[j]);
        // All that ties is passed before the two are compared.
        i += ours[i..].iter().take_while(|value| **value <= at).count();
        j += theirs[j..].iter().take_while(|value| **value <= at).count();
        distance = distance.max((i as f64 / n - j as f64 / m).abs());
    }
    distance / (critical() * ((n + m) / (n * m)).sqrt())
}

/// As [`smirnov`], between a sample and the probability of falling below a value.
pub(crate) fn kolmogorov(sample: &mut [f64], below: impl Fn(f64) -> f64) -> f64 {
    sample.sort_unstable_by(f64::total_cmp);
    let n = sample.len() as f64;
    let distances = sample.iter().enumerate().map(|(index, value)| {
        let expected = below(*value);
        (expected - index as f64 / n).abs().max((expected - (index + 1) as f64 / n).abs())
    });
    distances.fold(0.0, f64::max) / (critical() / n.sqrt())
}

/// `d` times the root of the sample size at which `2 exp(-2 d^2)` is [`FALSE_ALARM`].
fn critical() -> f64 {
    (-libm::log(FALSE_ALARM / 2.0) / 2.0).sqrt()
}

/// A standard normal value that is exceeded in size with a probability just below [`FALSE_ALARM`].
pub(crate) const SIGMAS: f64 = 4.9;

#[test]
fn samples_of_one_distribution_pass_and_a_shift_of_a_twentieth_fails() {
    let mut even: Vec<f64> = (0..20_000).map(|step| f64::from(step) / 20_000.0).collect();
    let mut odd: Vec<f64> = even.iter().map(|value| value + 1e-5).collect();
    assert!(smirnov(&mut even, &mut odd) < 0.01);
    assert!(kolmogorov(&mut even, |value| value.clamp(0.0, 1.0)) < 0.01);
    let mut moved: Vec<f64> = even.iter().map(|value| value + 0.05).collect();
    assert!(smirnov(&mut even, &mut moved) > 1.0);
    assert!(kolmogorov(&mut moved, |value| value.clamp(0.0, 1.0)) > 1.0);
    let mut ties = vec![1.0; 1_000];
    assert_eq!(smirnov(&mut ties.clone(), &mut ties), 0.0);
}
