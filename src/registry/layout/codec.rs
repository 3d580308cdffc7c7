//! What records are made of: numbers that keep their order as bytes, and a checksum.

use thiserror::Error;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRecord {
    /// It ends early.
    #[error("it ends before it is complete")]
    Short,
    /// Something follows its end.
    #[error("bytes follow its end")]
    Long,
    /// It was written by a later version.
    #[error("its format has version {0}, which is not known here")]
    Version(u8),
    /// Something in it was changed.
    #[error("its checksum does not fit its bytes")]
    Checksum,
    /// What it holds cannot be.
    #[error("it holds a {0} that cannot be")]
    Field(&'static str),
}

/// Most bytes of a number that [`put_number`] writes.
pub(in crate::registry) const NUMBER_LEN_MAX: usize = 9;

/// Appends `number` in 1 to 9 bytes, 7 bits in each, such that bytes are in the order of the numbers. As many ones as the
/// first byte begins with, as many bytes follow it.
pub(in crate::registry) fn put_number(number: u64, out: &mut Vec<u8>) {
    let bits = 64 - number.leading_zeros() as usize;
    let more = (bits.max(1) - 1) / 7;
    if more >= 8 {
        out.push(u8::MAX);
        out.extend_from_slice(&number.to_be_bytes());
        return;
    }
    let ones = !(u8::MAX >> more);
    let bytes = number.to_be_bytes();
    out.push(ones | bytes[7 - more]);
    out.extend_from_slice(&bytes[8 - more..]);
}

/// `number` as [`put_number`] writes it.
pub(in crate::registry) fn number_bytes(number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(NUMBER_LEN_MAX);
    put_number(number, &mut bytes);
    bytes
}

/// What is left to read of a record.
pub(in crate::registry) struct Reader<'a>(pub(in crate::registry) &'a [u8]);

impl<'a> Reader<'a> {
    pub(in crate::registry) fn take(&mut self, len: usize) -> Result<&'a [u8], BadRecord> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(BadRecord::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(in crate::registry) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BadRecord::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(in crate::registry) fn byte(&mut self) -> Result<u8, BadRecord> {
        self.array().map(|[byte]| byte)
    }

    /// A number that [`put_number`] wrote; no other spelling of it.
    pub(in crate::registry) fn number(&mut self) -> Result<u64, BadRecord> {
        let first = self.byte()?;
        let more = first.leading_ones() as usize;
        let mut bytes = [0; 8];
        bytes[8 - more..].copy_from_slice(self.take(more)?);
        if more < 8 {
            bytes[7 - more] |= first & (u8::MAX >> more);
        }
        let number = u64::from_be_bytes(bytes);
        let least = if more == 0 { 0 } else { 1 << (7 * more) };
        if number < least {
            return Err(BadRecord::Field("number"));
        }
        Ok(number)
    }

    pub(in crate::registry) fn end(self) -> Result<(), BadRecord> {
        if self.0.is_empty() { Ok(()) } else { Err(BadRecord::Long) }
    }
}

const fn crc_tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][index] = crc;
        index += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut index = 0;
        while index < 256 {
            let before = tables[table - 1][index];
            tables[table][index] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            index += 1;
        }
        table += 1;
    }
    tables
}

static CRC: [[u32; 256]; 8] = crc_tables();

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of `key` and `record` together, eight bytes a step. It tells every change
/// within 32 bits in a row, and a record that was put at another key.
pub(in crate::registry) fn checksum(key: &[u8], record: &[u8]) -> u32 {
    let mut crc = !0;
    for part in [key, record] {
        let mut words = part.chunks_exact(8);
        for word in &mut words {
            let low = crc ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            crc = CRC[7][(low & 0xff) as usize]
                ^ CRC[6][(low >> 8 & 0xff) as usize]
                ^ CRC[5][(low >> 16 & 0xff) as usize]
                ^ CRC[4][(low >> 24) as usize]
                ^ CRC[3][usize::from(word[4])]
                ^ CRC[2][usize::from(word[5])]
                ^ CRC[1][usize::from(word[6])]
                ^ CRC[0][usize::from(word[7])];
        }
        for &byte in words.remainder() {
            crc = (crc >> 8) ^ CRC[0][((crc ^ u32::from(byte)) & 0xff) as usize];
        }
    }
    !crc
}

/// Appends the checksum of `out`, a record to be put at `key`.
pub(in crate::registry) fn seal(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&checksum(key, out).to_le_bytes());
}

/// The record that was [`seal`]ed, if nothing in it was changed.
pub(in crate::registry) fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], BadRecord> {
    let (record, sum) = sealed.split_last_chunk().ok_or(BadRecord::Short)?;
    if checksum(key, record) == u32::from_le_bytes(*sum) { Ok(record) } else { Err(BadRecord::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, ascending.
        assert_eq!(checksum(&[], &[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 16], &[0xff; 16]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(checksum(&ascending[..3], &ascending[3..]), 0x46dd_794e);
    }

    proptest! {
        #[test]
        fn numbers_come_back_and_keep_their_order(a: u64, b: u64, shift in 0..64u32) {
            let (a, b) = (a >> shift, b >> (shift / 2));
            let bytes = number_bytes(a);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.number(), Ok(a));
            prop_assert_eq!(reader.end(), Ok(()));
            prop_assert_eq!(a.cmp(&b), bytes.cmp(&number_bytes(b)));
        }

        #[test]
        fn any_bytes_are_one_number_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader(&bytes);
            if let Ok(number) = reader.number() {
                prop_assert_eq!(&number_bytes(number)[..], &bytes[..bytes.len() - reader.0.len()]);
            }
        }
    }
}
