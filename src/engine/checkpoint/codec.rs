//! Values to bytes and back, piece by piece: the encoding of postcard, over a buffer.

use std::io::{self, Read, Write};

use postcard::{Deserializer, Serializer, de_flavors, ser_flavors};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CheckpointError;

/// Bytes that are written or read at a time.
const BUFFER: usize = 1 << 17;

/// Writes values one after the other.
pub(in crate::engine) struct Encoder<'w> {
    out: &'w mut dyn Write,
    buffer: Box<[u8]>,
    /// Bytes of the buffer that are filled.
    filled: usize,
    /// What the output said; the encoding has no place for it.
    error: Option<io::Error>,
}

impl<'w> Encoder<'w> {
    pub(in crate::engine) fn new(out: &'w mut dyn Write) -> Self {
        Encoder { out, buffer: vec![0; BUFFER].into_boxed_slice(), filled: 0, error: None }
    }

    /// Writes `value`.
    pub(in crate::engine) fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let written = value.serialize(&mut Serializer { output: Output(self) });
        written.map_err(|error| self.error.take().unwrap_or_else(|| io::Error::other(error)))
    }

    /// Hands on what is still in the buffer.
    pub(in crate::engine) fn finish(mut self) -> io::Result<()> {
        self.empty().and_then(|()| self.out.flush())
    }

    fn empty(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer[..self.filled])?;
        self.filled = 0;
        Ok(())
    }
}

struct Output<'a, 'w>(&'a mut Encoder<'w>);

impl Output<'_, '_> {
    #[cold]
    fn make_room(&mut self) -> postcard::Result<()> {
        self.0.empty().map_err(|error| {
            self.0.error = Some(error);
            postcard::Error::SerializeBufferFull
        })
    }

    /// Appends a piece of known length: most of what is written are numbers of a few bytes, for which a call to copy them
    /// takes longer than all the rest.
    #[inline(always)]
    fn append<const LEN: usize>(&mut self, bytes: [u8; LEN]) -> postcard::Result<()> {
        if self.0.filled + LEN > BUFFER {
            self.make_room()?;
        }
        let room = self.0.buffer[self.0.filled..].first_chunk_mut();
        *room.ok_or(postcard::Error::SerializeBufferFull)? = bytes;
        self.0.filled += LEN;
        Ok(())
    }
}

impl ser_flavors::Flavor for Output<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.append([byte])
    }

    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match *bytes {
            [a] => self.append([a]),
            [a, b] => self.append([a, b]),
            [a, b, c] => self.append([a, b, c]),
            [a, b, c, d] => self.append([a, b, c, d]),
            [a, b, c, d, e] => self.append([a, b, c, d, e]),
            [a, b, c, d, e, f] => self.append([a, b, c, d, e, f]),
            _ => bytes.chunks(BUFFER).try_for_each(|part| {
                if self.0.filled + part.len() > BUFFER {
                    self.make_room()?;
                }
                self.0.buffer[self.0.filled..][..part.len()].copy_from_slice(part);
                self.0.filled += part.len();
                Ok(())
            }),
        }
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Reads what an [`Encoder`] wrote. Allocates nothing for a list that is longer than what is left to be read.
pub(in crate::engine) struct Decoder<'r> {
    input: &'r mut dyn Read,
    buffer: Box<[u8]>,
    /// What of the buffer is read and not taken yet.
    at: usize,
    end: usize,
    /// Bytes that are not read yet.
    left: u64,
    scratch: Vec<u8>,
    error: Option<io::Error>,
}

impl<'r> Decoder<'r> {
    /// A reader of the next `bytes` bytes of `input`.
    pub(in crate::engine) fn new(input: &'r mut dyn Read, bytes: u64) -> Self {
        let buffer = vec![0; BUFFER.min(bytes as usize)].into_boxed_slice();
        Decoder { input, buffer, at: 0, end: 0, left: bytes, scratch: Vec::new(), error: None }
    }

    /// The next value.
    pub(in crate::engine) fn get<T: DeserializeOwned>(&mut self) -> Result<T, CheckpointError> {
        let read = T::deserialize(&mut Deserializer::from_flavor(Input(self)));
        read.map_err(|error| match self.error.take() {
            Some(error) => CheckpointError::Read(error),
            None => CheckpointError::damaged(error.to_string()),
        })
    }

    /// Whether all of it was read.
    pub(in crate::engine) fn is_at_end(&self) -> bool {
        self.at == self.end && self.left == 0
    }

    fn remaining(&self) -> u64 {
        self.left + (self.end - self.at) as u64
    }

    #[cold]
    fn fill(&mut self) -> postcard::Result<()> {
        let wanted = (self.buffer.len() as u64).min(self.left) as usize;
        if wanted == 0 {
            return Err(postcard::Error::DeserializeUnexpectedEnd);
        }
        if let Err(error) = self.input.read_exact(&mut self.buffer[..wanted]) {
            self.error = Some(error);
            return Err(postcard::Error::DeserializeUnexpectedEnd);
        }
        (self.at, self.end) = (0, wanted);
        self.left -= wanted as u64;
        Ok(())
    }
}

struct Input<'a, 'r>(&'a mut Decoder<'r>);

impl<'de, 'a: 'de, 'r: 'de> de_flavors::Flavor<'de> for Input<'a, 'r> {
    type Remainder = ();
    type Source = ();

    #[inline(always)]
    fn pop(&mut self) -> postcard::Result<u8> {
        if self.0.at == self.0.end {
            self.0.fill()?;
        }
        self.0.at += 1;
        Ok(self.0.buffer[self.0.at - 1])
    }

    fn size_hint(&self) -> Option<usize> {
        usize::try_from(self.0.remaining()).ok()
    }

    /// Nothing that is read stays: texts and bytes are copied.
    fn try_take_n(&mut self, _: usize) -> postcard::Result<&'de [u8]> {
        Err(postcard::Error::WontImplement)
    }

    fn try_take_n_temp<'b>(&'b mut self, len: usize) -> postcard::Result<&'b [u8]>
    where
        'de: 'b,
    {
        if len as u64 > self.0.remaining() {
            return Err(postcard::Error::DeserializeUnexpectedEnd);
        }
        self.0.scratch.clear();
        for _ in 0..len {
            let byte = self.pop()?;
            self.0.scratch.push(byte);
        }
        Ok(&self.0.scratch)
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Column;

    type Mixed = (u64, Vec<(i32, f32)>, String, Option<u128>, Column<u16>);

    fn mixed() -> Mixed {
        let column = Column::collect(100_000, (0..70_000u32).map(|value| value as u16));
        (u64::MAX, vec![(-1, 0.1), (7, f32::MIN_POSITIVE)], "a text".to_owned(), Some(u128::MAX), column)
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes);
        encoder.put(&mixed()).unwrap();
        encoder.put(&9u8).unwrap();
        encoder.finish().unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_with_the_capacity_of_columns() {
        let bytes = written();
        assert!(bytes.len() > BUFFER, "{} bytes go through the buffer more than once", bytes.len());
        let mut input = &bytes[..];
        let mut decoder = Decoder::new(&mut input, bytes.len() as u64);
        let (number, pairs, text, large, column): Mixed = decoder.get().unwrap();
        let expected = mixed();
        assert_eq!((number, pairs, text, large), (expected.0, expected.1, expected.2, expected.3));
        assert_eq!((column[..] == expected.4[..], column.capacity()), (true, 100_000));
        assert!(!decoder.is_at_end());
        assert_eq!(decoder.get::<u8>().unwrap(), 9);
        assert!(decoder.is_at_end() && decoder.get::<u8>().is_err());
    }

    #[test]
    fn what_is_cut_short_is_refused_wherever_it_ends() {
        let bytes = written();
        for len in (0..200).chain([bytes.len() / 2, bytes.len() - 1]) {
            let mut input = &bytes[..len];
            let mut decoder = Decoder::new(&mut input, len as u64);
            let read = decoder.get::<Mixed>().and_then(|_| decoder.get::<u8>());
            assert!(matches!(read, Err(CheckpointError::Damaged(_))), "{len}");
            // The system gives less than the length says.
            let mut input = &bytes[..len];
            let mut decoder = Decoder::new(&mut input, bytes.len() as u64);
            let read = decoder.get::<Mixed>().and_then(|_| decoder.get::<u8>());
            assert!(matches!(read, Err(CheckpointError::Read(_))), "{len}");
        }
    }

    #[test]
    fn a_length_that_is_made_up_allocates_nothing() {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes);
        encoder.put(&(u64::MAX >> 1, u64::MAX >> 1, 1u8)).unwrap();
        encoder.finish().unwrap();
        let refused = |read: Result<(), CheckpointError>| assert!(matches!(read, Err(CheckpointError::Damaged(_))));
        let len = bytes.len() as u64;
        refused(Decoder::new(&mut &bytes[..], len).get::<Column<u64>>().map(drop));
        refused(Decoder::new(&mut &bytes[..], len).get::<String>().map(drop));
        refused(Decoder::new(&mut &bytes[..], len).get::<Vec<u64>>().map(drop));
    }

    #[test]
    fn an_output_that_fails_says_why() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = Encoder::new(&mut Full).put(&vec![1u8; 2 * BUFFER]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
