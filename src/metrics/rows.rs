//! Rows of sheets that are read again: one of any length is found before it is taken apart, which takes many times its
//! memory.

/// Where a byte of CSV stands.
enum At {
    CellStart,
    Cell,
    Quoted,
    /// After a quote within quotes: it ends them, unless another follows.
    Quote,
}

/// The line, from 1, in which the first row of CSV begins that has more than `bytes_max` bytes.
pub fn long_row(bytes: &[u8], bytes_max: usize) -> Option<u64> {
    // Rows without quotes are lines, none of which is long where a line ends in every part of half the length. Nearly all
    // sheets are so, of which nearly nothing is looked at then.
    let part = (bytes_max / 2).max(1);
    if !bytes.contains(&b'"') && bytes.chunks_exact(part).all(|part| part.contains(&b'\n')) {
        return None;
    }
    let (mut start, mut start_line, mut line) = (0, 1u64, 1u64);
    let mut state = At::CellStart;
    for (at, &byte) in bytes.iter().enumerate() {
        line += u64::from(byte == b'\n');
        state = match (state, byte) {
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::CellStart | At::Quote, b'"') => At::Quoted,
            (_, b'\n' | b'\r') => {
                (start, start_line) = (at + 1, line);
                At::CellStart
            }
            (_, b',') => At::CellStart,
            _ => At::Cell,
        };
        if at + 1 - start > bytes_max {
            return Some(start_line);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_long_as_its_bytes_with_whatever_is_quoted_in_it() {
        let cases: [(&str, Option<u64>); 9] = [
            ("", None),
            ("1234\n1234", None),
            ("1234\n12345\n", Some(2)),
            ("12345\n1", Some(1)),
            ("1\r\n,,,,,\r\n", Some(2)),
            ("1\n\"\n\n\"\n\n1\n", None),
            ("1\n\"\n\n\n\"\n\n1\n", Some(2)),
            // A quote within a cell is one more letter, so the line ends the row.
            ("a\"\n12\n34\n", None),
            ("\"a\"\"\n\n\n", Some(1)),
        ];
        for (text, expected) in cases {
            assert_eq!(long_row(text.as_bytes(), 4), expected, "{text:?}");
        }
    }

    /// The same rows as those that are read.
    #[test]
    fn rows_are_those_of_the_reader() {
        for text in ["a,b\n\"x\ny\",2\n\"\"\"\n\"\"\",3\nq\"r,4\n\"s\"t\",5\n", "\"a\nb\"\nc\n\n\nd\n"] {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let starts: Vec<u64> = reader.records().map(|record| record.unwrap().position().unwrap().byte()).collect();
            let ends = starts.iter().skip(1).copied().chain([text.len() as u64]);
            let lens: Vec<usize> = starts
                .iter()
                .zip(ends)
                .map(|(&start, end)| text[start as usize..end as usize].trim_matches(['\n', '\r']).len())
                .collect();
            let longest = lens.into_iter().max().unwrap();
            assert_eq!(long_row(text.as_bytes(), longest), None, "{text:?}");
            assert!(long_row(text.as_bytes(), longest - 1).is_some(), "{text:?}");
        }
    }
}
