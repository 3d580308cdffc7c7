//! What moved from one result to another, and whether by more than seeds explain.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::{Estimate, PointResult, measurements};
use crate::report::Number;

/// What names a figure of a result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// Axes of a sweep with their values; none of a single run.
    pub axes: Vec<(String, String)>,
    /// The approach.
    pub approach: String,
    /// Its nodes.
    pub nodes: u32,
    /// The metric or figure.
    pub metric: String,
}

/// What was measured under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The unit.
    pub unit: String,
    /// The value by seed; under `None` where the seed is not known and there is one run.
    pub by_seed: BTreeMap<Option<u64>, f64>,
}

/// The figures of a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// By name.
    pub figures: BTreeMap<Key, Figure>,
}

impl Results {
    /// Adds what `points` found, a run with their seed, with the digits that result files have.
    pub fn add(&mut self, points: &[PointResult]) {
        for point in points {
            for one in measurements(point) {
                let key =
                    Key { axes: Vec::new(), approach: point.approach.clone(), nodes: point.nodes(), metric: one.name };
                let empty = || Figure { unit: one.unit.to_owned(), by_seed: BTreeMap::new() };
                let value = Number(one.value).to_string().parse().unwrap_or(one.value);
                self.figures.entry(key).or_insert_with(empty).by_seed.insert(Some(point.seed), value);
            }
        }
    }
}

/// Two results beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first result, as it was named.
    pub a: String,
    /// The second.
    pub b: String,
    /// The most pairs of runs that a figure has.
    pub pairs: usize,
    /// What moved: beyond its interval first, then by the size of the relative difference.
    pub moved: Vec<Moved>,
    /// Figures that are equal in every pair.
    pub unchanged: usize,
    /// Figures that the first result alone has.
    pub only_a: Vec<Key>,
    /// Figures that the second result alone has.
    pub only_b: Vec<Key>,
}

/// A figure that moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// Its name.
    #[serde(flatten)]
    pub key: Key,
    /// Its unit.
    pub unit: String,
    /// Pairs of runs with the same seed.
    pub pairs: usize,
    /// Its mean in the first result.
    pub a: f64,
    /// Its mean in the second.
    pub b: f64,
    /// The mean of the paired differences, second less first.
    pub difference: f64,
    /// The difference as a share of the first mean; `None` if that is zero.
    pub relative: Option<f64>,
    /// The 95 % confidence interval of the mean difference, by Student's t; `None` of a single pair.
    pub interval: Option<[f64; 2]>,
    /// Whether zero lies outside of the interval; `None` without one.
    pub beyond: Option<bool>,
}

/// Compares the results `a` and `b`, which are called `names`. `None` if they have no figure in common.
pub fn compare(names: [String; 2], a: &Results, b: &Results) -> Option<Comparison> {
    let [name_a, name_b] = names;
    let mut comparison = Comparison {
        a: name_a,
        b: name_b,
        pairs: 0,
        moved: Vec::new(),
        unchanged: 0,
        only_a: Vec::new(),
        only_b: Vec::new(),
    };
    for (key, was) in &a.figures {
        let pairs = b.figures.get(key).map_or(Vec::new(), |is| pairs(was, is));
        comparison.pairs = comparison.pairs.max(pairs.len());
        match moved(key, &was.unit, &pairs) {
            _ if pairs.is_empty() => comparison.only_a.push(key.clone()),
            Some(moved) => comparison.moved.push(moved),
            None => comparison.unchanged += 1,
        }
    }
    let is_paired = |key: &Key, is: &Figure| a.figures.get(key).is_some_and(|was| !pairs(was, is).is_empty());
    comparison.only_b = b.figures.iter().filter(|(key, is)| !is_paired(key, is)).map(|(key, _)| key.clone()).collect();
    // The sort is stable, and figures come in the order of their names.
    comparison.moved.sort_by(|one, other| {
        let rank = |moved: &Moved| match moved.beyond {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        };
        let effect = |moved: &Moved| moved.relative.map_or(f64::INFINITY, f64::abs);
        rank(one).cmp(&rank(other)).then(effect(other).total_cmp(&effect(one)))
    });
    (comparison.pairs > 0).then_some(comparison)
}

/// The values of runs with the same seed; of two single runs, whatever their seeds. None if the units differ.
fn pairs(was: &Figure, is: &Figure) -> Vec<(f64, f64)> {
    if was.unit != is.unit {
        return Vec::new();
    }
    if let (1, 1, Some(one), Some(other)) =
        (was.by_seed.len(), is.by_seed.len(), was.by_seed.values().next(), is.by_seed.values().next())
    {
        return vec![(*one, *other)];
    }
    was.by_seed.iter().filter_map(|(seed, one)| Some((*one, *is.by_seed.get(seed)?))).collect()
}

/// How the figure moved; `None` if it did not.
fn moved(key: &Key, unit: &str, pairs: &[(f64, f64)]) -> Option<Moved> {
    let differences: Vec<f64> = pairs.iter().map(|(was, is)| is - was).collect();
    if differences.iter().all(|difference| *difference == 0.0) {
        return None;
    }
    let estimate = Estimate::of(&differences)?;
    let mean = |values: Vec<f64>| Estimate::of(&values).map(|estimate| estimate.mean);
    let a = mean(pairs.iter().map(|(was, _)| *was).collect())?;
    let b = mean(pairs.iter().map(|(_, is)| *is).collect())?;
    let interval = estimate.interval().map(|(low, high)| [low, high]);
    Some(Moved {
        key: key.clone(),
        unit: unit.to_owned(),
        pairs: pairs.len(),
        a,
        b,
        difference: estimate.mean,
        relative: (a != 0.0).then(|| estimate.mean / a),
        interval,
        beyond: interval.map(|[low, high]| low > 0.0 || high < 0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(rows: &[(&str, &[(u64, f64)])]) -> Results {
        let figure = |(metric, values): &(&str, &[(u64, f64)])| {
            let key = Key { axes: Vec::new(), approach: "ping".to_owned(), nodes: 10, metric: (*metric).to_owned() };
            let by_seed = values.iter().map(|(seed, value)| (Some(*seed), *value)).collect();
            (key, Figure { unit: "1".to_owned(), by_seed })
        };
        Results { figures: rows.iter().map(figure).collect() }
    }

    fn compared(a: &[(&str, &[(u64, f64)])], b: &[(&str, &[(u64, f64)])]) -> Option<Comparison> {
        compare(["a".to_owned(), "b".to_owned()], &results(a), &results(b))
    }

    #[test]
    fn pairs_with_one_seed_tell_more_than_means() {
        // Seeds differ by ten, and the change by one, always the same way.
        let a: &[(u64, f64)] = &[(1, 10.0), (2, 20.0), (3, 30.0)];
        let found = compared(&[("x", a)], &[("x", &[(1, 11.0), (2, 21.5), (3, 31.0)])]).unwrap();
        let moved = &found.moved[0];
        assert_eq!((moved.pairs, moved.a, moved.beyond), (3, 20.0, Some(true)));
        let mean = 3.5 / 3.0;
        assert!((moved.difference - mean).abs() < 1e-12 && (moved.relative.unwrap() - mean / 20.0).abs() < 1e-12);
        // Deviation 0.2887, t(2) = 4.303: 1.167 -+ 0.717.
        let [low, high] = moved.interval.unwrap();
        assert!((low - 0.4495).abs() < 1e-3 && (high - 1.8838).abs() < 1e-3, "{low} {high}");
        let wavering = compared(&[("x", a)], &[("x", &[(1, 11.0), (2, 19.0), (3, 30.5)])]).unwrap();
        assert_eq!(wavering.moved[0].beyond, Some(false));
    }

    #[test]
    fn what_is_beyond_its_interval_comes_first_and_then_the_largest_effect() {
        let a: &[(&str, &[(u64, f64)])] = &[
            ("small", &[(1, 100.0), (2, 100.0)]),
            ("large", &[(1, 100.0), (2, 100.0)]),
            ("from-zero", &[(1, 0.0), (2, 0.0)]),
            ("noise", &[(1, 1.0), (2, 1.0)]),
            ("same", &[(1, 1.0), (2, 1.0)]),
            ("gone", &[(1, 1.0)]),
        ];
        let b: &[(&str, &[(u64, f64)])] = &[
            ("small", &[(1, 101.0), (2, 101.0)]),
            ("large", &[(1, 50.0), (2, 50.0)]),
            ("from-zero", &[(1, 1.0), (2, 1.0)]),
            ("noise", &[(1, 90.0), (2, 1.0)]),
            ("same", &[(1, 1.0), (2, 1.0)]),
            ("new", &[(1, 1.0)]),
        ];
        let found = compared(a, b).unwrap();
        let names: Vec<_> = found.moved.iter().map(|moved| moved.key.metric.as_str()).collect();
        assert_eq!(names, ["from-zero", "large", "small", "noise"]);
        assert_eq!((found.unchanged, found.moved[0].relative), (1, None));
        assert_eq!((found.only_a[0].metric.as_str(), found.only_b[0].metric.as_str()), ("gone", "new"));
    }

    #[test]
    fn single_runs_are_compared_without_an_interval() {
        let found = compared(&[("x", &[(1, 2.0)])], &[("x", &[(9, 3.0)])]).unwrap();
        let moved = &found.moved[0];
        assert_eq!((moved.difference, moved.relative, moved.interval, moved.beyond), (1.0, Some(0.5), None, None));
    }

    #[test]
    fn results_with_nothing_in_common_cannot_be_compared() {
        assert_eq!(compared(&[("x", &[(1, 2.0)])], &[("y", &[(1, 2.0)])]), None);
        assert_eq!(compared(&[("x", &[(1, 2.0), (2, 2.0)])], &[("x", &[(3, 2.0), (4, 2.0)])]), None);
    }
}
