//! What a registry of any size takes on disk and in memory and how long a lookup lasts, by a model that is fitted to
//! measured sizes.
//!
//! **Disk**, by family, of the compact layout: `fixed + users * (per_user + ids * length(users))`. The numbers of users get
//! longer as there are more, by a known rule, and `ids` of them stand in a family for each user; the rest is fitted. The
//! engine leaves out what a key shares with the one before, so the rule is an upper bound.
//! **Memory**: `fixed + users * per_user`. **A lookup that misses the caches**: `fixed + per_doubling * log2(users)`, as
//! searching an index takes; it is measured with tables in the system's page cache, or from disk where that was asked for.
//! Fits are least squares.

use super::store::Family;

/// `fixed + slope * x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The value at 0.
    pub fixed: f64,
    /// What it grows by with each 1.
    pub slope: f64,
}

impl Fit {
    /// The line of least squares through `points`; a constant through points that all have one x.
    pub fn of(points: &[(f64, f64)]) -> Fit {
        let count = points.len().max(1) as f64;
        let mean = |get: fn(&(f64, f64)) -> f64| points.iter().map(get).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum();
        let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let slope = if spread > 0.0 { together / spread } else { 0.0 };
        Fit { fixed: y - slope * x, slope }
    }

    /// The value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.fixed + self.slope * x
    }
}

/// Mean bytes of the numbers `0..users` as records hold them: 7 bits a byte.
pub fn id_length(users: f64) -> f64 {
    let mut sum = 0.0;
    let (mut from, mut to) = (0.0, 128.0);
    for length in 1..=9 {
        let within = (users.min(to) - from).max(0.0);
        sum += within * f64::from(length);
        (from, to) = (to, to * 128.0);
    }
    sum / users.max(1.0)
}

/// How many numbers of users stand in `family` for each user who has `endorsements`.
fn ids(family: Family, endorsements: f64) -> f64 {
    match family {
        Family::User | Family::Key | Family::GovernmentId | Family::Currency | Family::Country => 1.0,
        Family::Endorsement => 1.0 + endorsements,
        Family::Meta => 0.0,
    }
}

/// Bytes on disk of one family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskModel {
    family: Family,
    endorsements: f64,
    fit: Fit,
}

impl DiskModel {
    /// Fitted to `measured` pairs of users and bytes of `family`, where each user has `endorsements`.
    pub fn of(family: Family, endorsements: f64, measured: &[(f64, f64)]) -> Self {
        let without_ids =
            |&(users, bytes): &(f64, f64)| (users, bytes - users * ids(family, endorsements) * id_length(users));
        let points: Vec<_> = measured.iter().map(without_ids).collect();
        DiskModel { family, endorsements, fit: Fit::of(&points) }
    }

    /// Bytes of the family with `users` users.
    pub fn bytes(&self, users: f64) -> f64 {
        self.fit.at(users) + users * ids(self.family, self.endorsements) * id_length(users)
    }
}

/// Bytes of all bloom filters of the compact layout, which are in memory: 10 bits for each user in the indexes of keys and of
/// government ids.
pub fn filter_bytes(users: f64) -> f64 {
    2.0 * users * 10.0 / 8.0
}

/// Levels of tables that a family of `bytes` has when it grows by single writes: the first holds 256 MiB, each further one
/// ten times as much. An import makes one.
pub fn levels(bytes: f64) -> u32 {
    let (mut levels, mut room, mut level) = (1, 256.0 * 1_048_576.0, 256.0 * 1_048_576.0);
    while room < bytes && levels < 6 {
        level *= 10.0;
        room += level;
        levels += 1;
    }
    levels
}

/// The greatest distance of `model` from `measured` values, as a share of them.
pub fn worst_error(measured: &[(f64, f64)], model: impl Fn(f64) -> f64) -> f64 {
    measured.iter().map(|&(users, value)| ((model(users) - value) / value).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again() {
        let fit = Fit::of(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0), (8.0, 19.0)]);
        assert!((fit.fixed - 3.0).abs() < 1e-9 && (fit.slope - 2.0).abs() < 1e-9, "{fit:?}");
        assert_eq!(Fit::of(&[(2.0, 7.0), (2.0, 9.0)]), Fit { fixed: 8.0, slope: 0.0 });
    }

    #[test]
    fn numbers_get_longer_as_there_are_more() {
        assert_eq!(id_length(128.0), 1.0);
        assert_eq!(id_length(256.0), 1.5);
        for users in [1e6, 1e7, 1e8, 1e9, 8e9] {
            let bytes = crate::registry::layout::compact::user_key(users as u64).len() as f64;
            assert!(id_length(users) <= bytes && id_length(users) > bytes - 0.6, "{users}: {}", id_length(users));
        }
    }

    #[test]
    fn a_model_gives_back_what_follows_its_rule() {
        let rule = |users: f64| 5_000.0 + users * (350.0 + 6.0 * id_length(users));
        let measured: Vec<_> = [1e5, 2e5, 5e5, 1e6].iter().map(|&users| (users, rule(users))).collect();
        let model = DiskModel::of(Family::Endorsement, 5.0, &measured);
        assert!(worst_error(&measured, |users| model.bytes(users)) < 1e-9);
        assert!((model.bytes(8e9) / rule(8e9) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn levels_grow_by_tens() {
        assert_eq!([1e6, 2e8, 3e8, 3e9, 1e11, 5e12].map(levels), [1, 1, 2, 3, 4, 6]);
    }
}
