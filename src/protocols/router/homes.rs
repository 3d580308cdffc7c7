//! Which super nodes keep the location of a child: consistent hashing, so that all who know the super nodes agree.

use crate::contract::{Domain, NodeId, RandomKey};

/// Most homes of a child.
pub const HOMES_MAX: u8 = 3;

/// The homes of children among the super nodes `0..supers`.
///
/// Jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): the work is
/// logarithmic in the number of super nodes, no table is kept, and where one super node is added, no child changes its
/// home but to the new one. The quotient is taken of integers, as no rounding can then differ.
#[derive(Clone, Debug)]
pub struct Homes {
    supers: u32,
    /// By all of them; not by the seed of a run, which real nodes do not have.
    key: RandomKey,
    each: u8,
}

impl Homes {
    /// Of each child, `each` homes, or as many as there are super nodes.
    ///
    /// # Panics
    /// If `each` is zero or more than [`HOMES_MAX`].
    pub fn new(supers: u32, each: u8) -> Self {
        assert!((1..=HOMES_MAX).contains(&each), "{each} homes");
        let each = u32::from(each).min(supers) as u8;
        Homes { supers, key: RandomKey::new(0, Domain::Topology), each }
    }

    /// How many homes a child has; zero if there is no super node.
    pub fn each(&self) -> u8 {
        self.each
    }

    /// The home of `child` that is asked first, if `number` is 0, second, and so on. Distinct for `number` up to
    /// [`Homes::each`]; it starts anew from there. `None` if there is no super node.
    #[inline]
    pub fn home(&self, child: NodeId, number: u8) -> Option<NodeId> {
        let number = number.checked_rem(self.each)?;
        let mut homes = [0; HOMES_MAX as usize];
        for rank in 0..=usize::from(number) {
            let mut home = jump(self.key.word(child, rank as u32), self.supers);
            while homes[..rank].contains(&home) {
                home = if home + 1 == self.supers { 0 } else { home + 1 };
            }
            homes[rank] = home;
        }
        Some(homes[usize::from(number)])
    }

    /// All homes of `child`.
    #[inline]
    pub fn all(&self, child: NodeId) -> impl Iterator<Item = NodeId> + use<'_> {
        (0..self.each).filter_map(move |number| self.home(child, number))
    }
}

/// The bucket of `key` among `buckets`, at least one.
#[inline]
fn jump(mut key: u64, buckets: u32) -> u32 {
    let (mut bucket, mut next) = (0, 0);
    while next < u64::from(buckets) {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // At most 2^63, and above `bucket`, since the divisor is at most 2^31.
        next = ((bucket + 1) << 31) / ((key >> 33) + 1);
    }
    bucket as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_spread_evenly_and_their_homes_are_distinct() {
        let homes = Homes::new(20, 3);
        let mut counts = [[0u32; 20]; 3];
        for child in 0..60_000 {
            let all: Vec<_> = homes.all(child).collect();
            assert!(all.len() == 3 && all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
            all.iter().zip(&mut counts).for_each(|(&home, counts)| counts[home as usize] += 1);
            assert_eq!(homes.home(child, 4), Some(all[1]));
        }
        // Six standard deviations of a binomial count with mean 3000.
        assert!(counts.iter().flatten().all(|&count| count.abs_diff(3_000) < 320), "{counts:?}");
    }

    #[test]
    fn a_new_super_node_takes_its_share_and_nothing_else_moves() {
        let (before, after) = (Homes::new(20, 1), Homes::new(21, 1));
        let moved = (0..21_000).filter(|&child| before.home(child, 0) != after.home(child, 0));
        let moved: Vec<_> = moved.map(|child| after.home(child, 0)).collect();
        assert!(moved.iter().all(|&home| home == Some(20)));
        assert!(moved.len().abs_diff(1_000) < 190, "{}", moved.len());
    }

    #[test]
    fn there_may_be_few_super_nodes_or_none() {
        assert_eq!(Homes::new(0, 2).home(7, 0), None);
        assert_eq!(Homes::new(0, 2).all(7).count(), 0);
        assert!(Homes::new(1, 3).all(7).eq([0]));
        let mut both: Vec<_> = Homes::new(2, 3).all(7).collect();
        both.sort_unstable();
        assert_eq!(both, [0, 1]);
    }
}
