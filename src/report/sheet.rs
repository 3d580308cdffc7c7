//! Tidy CSV: one header line, one row per observation, an empty cell for a value that does not exist.

use serde::Serialize;

/// `rows` under `columns`, as CSV with line feeds. The header is written even if there are no rows.
///
/// # Panics
/// If a row has another number of fields than there are columns.
pub(super) fn csv<Row: Serialize>(columns: &[&str], rows: impl IntoIterator<Item = Row>) -> Vec<u8> {
    const IN_MEMORY: &str = "a CSV in memory fails only if a row does not fit the header";
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(columns).expect(IN_MEMORY);
    for row in rows {
        writer.serialize(row).expect(IN_MEMORY);
    }
    writer.into_inner().expect(IN_MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_is_empty_and_an_empty_sheet_has_a_header() {
        assert_eq!(csv(&["a", "b"], [(None::<u64>, "x"), (Some(0), "y, z")]), b"a,b\n,x\n0,\"y, z\"\n");
        assert_eq!(csv(&["a", "b"], [(0, 0); 0]), b"a,b\n");
    }

    #[test]
    #[should_panic(expected = "does not fit the header")]
    fn a_row_that_does_not_fit_the_header_is_a_bug() {
        csv(&["a", "b"], [(1, 2, 3)]);
    }
}
