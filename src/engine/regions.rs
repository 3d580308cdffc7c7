//! Delays between places of the world, from published measurements.

use crate::contract::SimSpan;

/// One-way delays between regions.
#[derive(Debug, PartialEq, Eq)]
pub struct RegionTable {
    /// The name in scenario files.
    pub name: &'static str,
    /// The names of the regions.
    pub regions: &'static [&'static str],
    /// One-way delay in milliseconds, row = from, column = to; the diagonal is unused. Not symmetric.
    pub one_way_ms: &'static [&'static [u16]],
    /// One-way delay between two nodes of the same region.
    pub same_region: SimSpan,
}

/// Thirteen AWS regions.
///
/// Between regions: cometbft v1.x, `test/e2e/pkg/files/aws-latencies.csv`, which holds one-way delays. Within a
/// region: 200 us; the RTTs on the diagonal of the table in mysticeti issue 277 are 0.1 - 0.6 ms, hence 50 - 300 us
/// one way.
pub const AWS_13: RegionTable = RegionTable {
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
    one_way_ms: &[
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
    same_region: SimSpan::from_micros(200),
};

/// Every table that a scenario can name.
pub const TABLES: &[&RegionTable] = &[&AWS_13];

impl RegionTable {
    /// The one-way delay from a node in region `from` to a node in region `to`.
    ///
    /// # Panics
    /// If either is not an index into [`RegionTable::regions`].
    pub fn one_way(&self, from: usize, to: usize) -> SimSpan {
        let between = SimSpan::from_millis(u64::from(self.one_way_ms[from][to]));
        if from == to { self.same_region } else { between }
    }

    /// The smallest delay of the table.
    pub fn smallest(&self) -> SimSpan {
        let regions = 0..self.regions.len();
        let pairs = regions.clone().flat_map(|from| regions.clone().map(move |to| (from, to)));
        pairs.map(|(from, to)| self.one_way(from, to)).min().unwrap_or(self.same_region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_square_and_only_its_diagonal_is_zero() {
        for table in TABLES {
            assert_eq!(table.one_way_ms.len(), table.regions.len());
            for (from, row) in table.one_way_ms.iter().enumerate() {
                assert_eq!(row.len(), table.regions.len());
                for (to, &ms) in row.iter().enumerate() {
                    assert_eq!(ms == 0, from == to, "{} to {}", table.regions[from], table.regions[to]);
                }
            }
            let mut names = table.regions.to_vec();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.regions.len());
        }
    }

    #[track_caller]
    fn check(from: &str, to: &str, delay: SimSpan) {
        let index = |name| AWS_13.regions.iter().position(|region| *region == name).unwrap();
        assert_eq!(AWS_13.one_way(index(from), index(to)), delay, "{from} to {to}");
    }

    #[test]
    fn delays_are_those_of_the_source_in_both_directions() {
        check("N_Virginia", "Singapore", SimSpan::from_millis(105));
        check("S_Paulo", "Ireland", SimSpan::from_millis(89));
        check("Ireland", "S_Paulo", SimSpan::from_millis(88));
        check("Tokyo", "Seoul", SimSpan::from_millis(16));
        check("Seoul", "Tokyo", SimSpan::from_millis(17));
        check("Canada", "N_California", SimSpan::from_millis(38));
        check("N_California", "Canada", SimSpan::from_millis(39));
        check("London", "London", SimSpan::from_micros(200));
        let total: u32 = AWS_13.one_way_ms.iter().flat_map(|row| row.iter()).map(|&ms| u32::from(ms)).sum();
        assert_eq!(total, 11535, "a digit of the table changed");
        assert_eq!(AWS_13.smallest(), SimSpan::from_micros(200));
    }
}
