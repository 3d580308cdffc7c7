//! The mean of a few values with its spread and its confidence interval.

/// The mean of some values, as an estimate of the mean of all that could be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// How many values there were; at least one.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, by one degree of freedom less than values; `None` of a single value.
    pub deviation: Option<f64>,
    /// Half the width of the 95 % confidence interval of the mean, by Student's t; `None` of a single value.
    pub half_width: Option<f64>,
}

impl Estimate {
    /// The estimate from `values`; `None` if there are none. The sums are made in the order of the values.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        let count = values.len() as f64;
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)?;
        if values.len() < 2 {
            return Some(Estimate { count: 1, mean, deviation: None, half_width: None });
        }
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let variance = squares / (count - 1.0);
        let half_width = student_t(values.len() - 1) * libm::sqrt(variance / count);
        let (deviation, half_width) = (Some(libm::sqrt(variance)), Some(half_width));
        Some(Estimate { count: values.len(), mean, deviation, half_width })
    }

    /// The ends of the 95 % confidence interval of the mean; `None` of a single value.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.half_width.map(|half| (self.mean - half, self.mean + half))
    }
}

/// The two-sided 95 % point of Student's t with `degrees` of freedom, at least one; NIST/SEMATECH e-Handbook of Statistical
/// Methods, table 1.3.6.7.2. Between the tabulated degrees the larger value of the lower one is taken.
pub fn student_t(degrees: usize) -> f64 {
    const TABLE: [(usize, f64); 16] = [
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (5, 2.571),
        (6, 2.447),
        (7, 2.365),
        (8, 2.306),
        (9, 2.262),
        (10, 2.228),
        (12, 2.179),
        (15, 2.131),
        (20, 2.086),
        (30, 2.042),
        (60, 2.0),
        (100, 1.984),
    ];
    let at = TABLE.partition_point(|(tabulated, _)| *tabulated <= degrees).max(1);
    TABLE[at - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_an_interval_from_two_values_on() {
        assert_eq!(Estimate::of(&[]), None);
        let one = Estimate::of(&[3.0]).unwrap();
        assert_eq!((one.count, one.mean, one.deviation, one.interval()), (1, 3.0, None, None));
        let three = Estimate::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((three.count, three.mean, three.deviation), (3, 2.0, Some(1.0)));
        // t(2) = 4.303, standard error 1 / sqrt(3).
        let (low, high) = three.interval().unwrap();
        assert!((low - (2.0 - 4.303 / libm::sqrt(3.0))).abs() < 1e-12 && (low + high - 4.0).abs() < 1e-12);
    }

    #[test]
    fn equal_values_have_no_spread() {
        let same = Estimate::of(&[0.1, 0.1]).unwrap();
        assert_eq!((same.deviation, same.interval()), (Some(0.0), Some((0.1, 0.1))));
    }

    #[test]
    fn between_tabulated_degrees_the_wider_interval_counts() {
        assert_eq!([1, 11, 12, 10_000].map(student_t), [12.706, 2.228, 2.179, 1.984]);
    }
}
