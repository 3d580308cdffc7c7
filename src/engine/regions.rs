//! Delays between places of the world: published measurements, and tables of one's own.

use crate::contract::{Placement, SimSpan};

/// What the figures of a table of delays are.
///
/// A trap lies here. SimBlock applies the table `p2p-6` as one-way delays, yet its figures have the size of round trips:
/// it has 124 ms between North America and Europe, where a measured round trip takes about 90 to 115 ms. So a table must
/// say what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The time from a node to another.
    OneWay,
    /// The time there and back, of which half is taken for each way.
    Rtt,
}

/// One-way delays between regions.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionTable {
    /// What it is called: the name in scenario files, or the file that it comes from.
    pub name: String,
    /// The names of the regions, at least one, at most [`Placement::REGIONS_MAX`].
    pub regions: Vec<String>,
    /// Shares of the nodes in each region, if the source of the table has them; they add up to 1.
    pub shares: Option<Vec<f64>>,
    /// Row by row: from, then to. None is zero.
    one_way: Vec<SimSpan>,
}

/// Between two nodes of one region where a table does not say it, one way: half of the RTTs on the diagonal of
/// the table `aws-6`, which are 0.1 to 0.6 ms.
pub const SAME_REGION: SimSpan = SimSpan::from_micros(200);

/// A table as its source prints it.
struct Published {
    name: &'static str,
    regions: &'static [&'static str],
    holds: Holds,
    /// Row = from, column = to, in `unit`. A diagonal of zero says nothing about delays within a region.
    delays: &'static [&'static [u16]],
    unit: SimSpan,
    shares: Option<&'static [f64]>,
}

/// Thirteen AWS regions, one-way delays in milliseconds: cometbft v1.x, `test/e2e/pkg/files/aws-latencies.csv`.
const AWS_13: Published = Published {
    name: "aws-13",
    regions: &[
        "N_Virginia",
        "Canada",
        "N_California",
        "London",
        "Oregon",
        "Ireland",
        "Frankfurt",
        "S_Paulo",
        "Tokyo",
        "Mumbai",
        "Sydney",
        "Seoul",
        "Singapore",
    ],
    holds: Holds::OneWay,
    delays: &[
        &[0, 7, 30, 38, 39, 33, 44, 58, 73, 93, 98, 87, 105],
        &[7, 0, 38, 39, 29, 35, 46, 63, 70, 94, 97, 85, 103],
        &[30, 39, 0, 68, 10, 68, 75, 88, 54, 116, 69, 67, 86],
        &[38, 39, 68, 0, 63, 5, 8, 94, 104, 56, 131, 118, 82],
        &[39, 29, 10, 63, 0, 59, 68, 88, 49, 109, 69, 63, 84],
        &[33, 35, 68, 5, 59, 0, 13, 88, 100, 61, 127, 114, 90],
        &[44, 46, 75, 8, 68, 13, 0, 101, 111, 60, 143, 109, 77],
        &[58, 63, 88, 94, 88, 89, 101, 0, 128, 151, 155, 142, 161],
        &[73, 70, 54, 104, 49, 100, 111, 128, 0, 60, 57, 16, 39],
        &[93, 94, 116, 56, 109, 61, 60, 151, 60, 0, 76, 57, 27],
        &[98, 97, 69, 131, 69, 127, 143, 155, 57, 76, 0, 69, 45],
        &[87, 84, 67, 118, 63, 114, 109, 142, 17, 57, 69, 0, 36],
        &[105, 103, 86, 82, 81, 90, 77, 161, 39, 27, 45, 36, 0],
    ],
    unit: SimSpan::from_millis(1),
    shares: None,
};

/// Six AWS regions, RTTs in tenths of a millisecond, within regions too: github.com/asonnino/mysticeti, issue 277, which
/// prints the upper triangle.
const AWS_6: Published = Published {
    name: "aws-6",
    regions: &["use1", "use2", "euc1", "euw2", "euw3", "apne1"],
    holds: Holds::Rtt,
    delays: &[
        &[2, 114, 906, 753, 822, 1464],
        &[114, 6, 956, 861, 907, 1348],
        &[906, 956, 4, 120, 82, 2383],
        &[753, 861, 120, 2, 74, 2122],
        &[822, 907, 82, 74, 1, 2192],
        &[1464, 1348, 2383, 2122, 2192, 2],
    ],
    unit: SimSpan::from_micros(100),
    shares: None,
};

/// Public peers of six parts of the world and the shares of Bitcoin nodes in each: SimBlock,
/// `NetworkConfiguration` (2019), in milliseconds. They have the size of RTTs; see [`Holds`].
const P2P_6: Published = Published {
    name: "p2p-6",
    regions: &["NA", "EU", "SA", "AsiaPac", "Japan", "Aus"],
    holds: Holds::Rtt,
    delays: &[
        &[32, 124, 184, 198, 151, 189],
        &[124, 11, 227, 237, 252, 294],
        &[184, 227, 88, 325, 301, 322],
        &[198, 237, 325, 85, 58, 198],
        &[151, 252, 301, 58, 12, 126],
        &[189, 294, 322, 198, 126, 16],
    ],
    unit: SimSpan::from_millis(1),
    shares: Some(&[0.3316, 0.4998, 0.0090, 0.1177, 0.0224, 0.0195]),
};

const PUBLISHED: [&Published; 3] = [&AWS_13, &AWS_6, &P2P_6];

/// The names of the published tables.
pub const TABLES: [&str; 3] = [AWS_13.name, AWS_6.name, P2P_6.name];

impl RegionTable {
    /// The published table `name`, if there is one. `holds` is what its figures are taken for, if not for what the
    /// table says that they are.
    pub fn published(name: &str, holds: Option<Holds>) -> Option<RegionTable> {
        let table = PUBLISHED.into_iter().find(|table| table.name == name)?;
        let unit = table.unit.as_nanos();
        let one_way = |delay: u64| match holds.unwrap_or(table.holds) {
            Holds::OneWay => SimSpan::from_nanos(delay * unit),
            Holds::Rtt => SimSpan::from_nanos(delay * unit / 2),
        };
        let delays = table.delays.iter().flat_map(|row| row.iter()).map(|&delay| one_way(u64::from(delay)));
        let regions = table.regions.iter().map(|&region| region.to_owned()).collect();
        let shares = table.shares.map(|shares| shares.to_vec());
        Some(RegionTable { shares, ..RegionTable::new(name.to_owned(), regions, delays.collect()) })
    }

    /// A table of one-way delays, row by row: from, then to. A zero on the diagonal becomes [`SAME_REGION`].
    ///
    /// # Panics
    /// If there are no regions or more than [`Placement::REGIONS_MAX`], if there is not a delay for each pair of them,
    /// or if one between two regions is zero.
    pub fn new(name: String, regions: Vec<String>, mut one_way: Vec<SimSpan>) -> RegionTable {
        let count = regions.len();
        assert!((1..=Placement::REGIONS_MAX).contains(&count), "{count} regions");
        assert_eq!(one_way.len(), count * count, "a delay for each pair of regions of {name}");
        one_way.iter_mut().step_by(count + 1).filter(|delay| **delay == SimSpan::ZERO).for_each(|d| *d = SAME_REGION);
        assert!(!one_way.contains(&SimSpan::ZERO), "{name} has a delay of zero between two regions");
        RegionTable { name, regions, shares: None, one_way }
    }

    /// The same table, with the one-way delay `delay` within every region.
    ///
    /// # Panics
    /// If it is zero.
    pub fn with_same_region(mut self, delay: SimSpan) -> RegionTable {
        assert!(delay > SimSpan::ZERO, "no delay is zero");
        let step = self.regions.len() + 1;
        self.one_way.iter_mut().step_by(step).for_each(|within| *within = delay);
        self
    }

    /// The one-way delay from a node in region `from` to a node in region `to`.
    ///
    /// # Panics
    /// If either is not an index into [`RegionTable::regions`].
    pub fn one_way(&self, from: usize, to: usize) -> SimSpan {
        assert!(to < self.regions.len(), "there is no region {to}");
        self.one_way[from * self.regions.len() + to]
    }

    /// All one-way delays, row by row: from, then to.
    pub fn delays(&self) -> &[SimSpan] {
        &self.one_way
    }

    /// The smallest delay of the table.
    pub fn smallest(&self) -> SimSpan {
        self.one_way.iter().copied().min().unwrap_or(SAME_REGION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> RegionTable {
        RegionTable::published(name, None).unwrap()
    }

    #[test]
    fn published_tables_are_square_and_their_shares_add_up() {
        for (source, name) in PUBLISHED.into_iter().zip(TABLES) {
            assert!(source.delays.len() == source.regions.len());
            assert!(source.delays.iter().all(|row| row.len() == source.regions.len()));
            let table = table(name);
            let sum: f64 = table.shares.unwrap_or(vec![1.0]).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{name}: {sum}");
            let mut names = table.regions;
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), source.regions.len());
        }
        assert_eq!(RegionTable::published("aws", None), None);
    }

    #[track_caller]
    fn check(name: &str, from: &str, to: &str, delay: SimSpan) {
        let table = table(name);
        let index = |name| table.regions.iter().position(|region| region == name).unwrap();
        assert_eq!(table.one_way(index(from), index(to)), delay, "{from} to {to}");
    }

    #[test]
    fn delays_are_those_of_the_source_in_both_directions() {
        check("aws-13", "N_Virginia", "Singapore", SimSpan::from_millis(105));
        check("aws-13", "S_Paulo", "Ireland", SimSpan::from_millis(89));
        check("aws-13", "Ireland", "S_Paulo", SimSpan::from_millis(88));
        check("aws-13", "N_California", "Canada", SimSpan::from_millis(39));
        check("aws-13", "London", "London", SAME_REGION);
        check("aws-6", "use1", "use1", SimSpan::from_micros(100));
        check("aws-6", "euw3", "euw3", SimSpan::from_micros(50));
        check("aws-6", "apne1", "euc1", SimSpan::from_micros(119_150));
        check("aws-6", "euw2", "euw3", SimSpan::from_micros(3_700));
        check("p2p-6", "EU", "NA", SimSpan::from_millis(62));
        check("p2p-6", "EU", "EU", SimSpan::from_micros(5_500));
        for (source, total) in PUBLISHED.into_iter().zip([11_535, 30_225, 6_616]) {
            let sum: u32 = source.delays.iter().flat_map(|row| row.iter()).map(|&delay| u32::from(delay)).sum();
            assert_eq!(sum, total, "a digit of {} changed", source.name);
        }
    }

    #[test]
    fn tables_that_were_printed_as_a_triangle_are_symmetric() {
        for name in ["aws-6", "p2p-6"] {
            let table = table(name);
            for (from, to) in (0..6).flat_map(|from| (0..6).map(move |to| (from, to))) {
                assert_eq!(table.one_way(from, to), table.one_way(to, from));
            }
        }
    }

    #[test]
    fn figures_can_be_taken_for_what_they_are_not_and_regions_for_smaller() {
        let taken = RegionTable::published("p2p-6", Some(Holds::OneWay)).unwrap();
        assert_eq!(taken.one_way(0, 1), SimSpan::from_millis(124));
        let near = taken.with_same_region(SimSpan::from_micros(3));
        assert_eq!((near.one_way(5, 5), near.one_way(5, 4)), (SimSpan::from_micros(3), SimSpan::from_millis(126)));
        assert_eq!((near.smallest(), near.delays().len()), (SimSpan::from_micros(3), 36));
    }

    #[test]
    #[should_panic(expected = "a delay of zero between two regions")]
    fn two_regions_are_never_in_one_place() {
        let delays = [0, 5, 0, 0].map(SimSpan::from_millis).to_vec();
        RegionTable::new("mine".to_owned(), vec!["a".to_owned(), "b".to_owned()], delays);
    }
}
