//! Files of checkpoints: what each is of, by whom, and a checksum, around contents that others write and read.
//!
//! A file is the mark of the program, the version of this layout, the length of its label and the label as JSON, the
//! contents, and the BLAKE3 hash of all before it. Nothing of the contents is looked at before the hash is right. The state of a
//! point is in as many files as there are ranks, and in one that names them, with the length and the hash of each.

use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

/// The folder of checkpoints in that of a scenario's results.
pub const CHECKPOINT_FOLDER: &str = "checkpoint";
/// The folder of what an interrupted run found, in that of a scenario's results.
pub const PARTIAL_FOLDER: &str = "partial";

const MARK: [u8; 12] = *b"qnetsim\0kept";
const FORMAT: u32 = 2;
/// Mark, version and length of the label.
const HEAD_BYTES: usize = MARK.len() + 8;
const HASH_BYTES: usize = blake3::OUT_LEN;
/// Longest label.
const LABEL_BYTES_MAX: usize = 1 << 16;
const BUFFER_BYTES: usize = 1 << 16;

/// What a file of a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The run: its scenario and how it was called.
    Run,
    /// What a finished point found.
    Result,
    /// The state of a point that is under way: which files it is in.
    State,
    /// What one rank has of the state of a point.
    Share,
}

/// What a file of a checkpoint is of. All of it must be as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// What it is.
    pub part: Part,
    /// Version of the simulator.
    pub version: String,
    /// Hash of the program that wrote it: another build may simulate something else.
    pub program: String,
    /// Hash of the scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// The number of the point, from one; zero of the run.
    pub point: u32,
}

/// What tells a file of a checkpoint from all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Its length.
    pub bytes: u64,
    /// The hash at its end, in hexadecimal digits.
    pub hash: String,
}

impl Seal {
    fn new(bytes: u64, hash: blake3::Hash) -> Self {
        Seal { bytes, hash: hash.to_hex().to_string() }
    }
}

/// Why a file of a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableError {
    /// The system does not give it.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("it is no checkpoint of qnetsim")]
    NoCheckpoint,
    /// Another version of the layout.
    #[error("it has format {0}, and this version of qnetsim reads {FORMAT}")]
    Format(u32),
    /// It was not written to its end, or changed since.
    #[error("it is torn or damaged: {0}")]
    Damaged(String),
    /// It is of another version, program, scenario or point.
    #[error("it is foreign: {0}")]
    Foreign(String),
}

/// Writes what goes through it, and hashes it.
struct Hashing<'w> {
    out: &'w mut dyn Write,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Label {
    /// Writes a file with this label to `out`, with the contents that `fill` writes.
    ///
    /// # Errors
    /// Those of `out` and `fill`.
    pub fn write(
        &self,
        out: &mut dyn Write,
        fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Seal> {
        let label = serde_json::to_vec(self).map_err(io::Error::other)?;
        let mut hashing = Hashing { out, hash: blake3::Hasher::new(), bytes: 0 };
        hashing.write_all(&MARK)?;
        hashing.write_all(&FORMAT.to_le_bytes())?;
        hashing.write_all(&(label.len() as u32).to_le_bytes())?;
        hashing.write_all(&label)?;
        fill(&mut hashing)?;
        let (hash, bytes) = (hashing.hash.finalize(), hashing.bytes + HASH_BYTES as u64);
        out.write_all(hash.as_bytes())?;
        out.flush()?;
        Ok(Seal::new(bytes, hash))
    }

    /// # Errors
    /// With what is another in `other`.
    pub fn check(&self, other: &Label) -> Result<(), UnusableError> {
        let foreign = |reason: String| Err(UnusableError::Foreign(reason));
        if other.version != self.version {
            return foreign(format!("qnetsim {} wrote it, and this is {}", other.version, self.version));
        }
        if other.program != self.program {
            return foreign("another build of qnetsim wrote it, which may simulate something else".to_owned());
        }
        if (&other.scenario, other.seed) != (&self.scenario, self.seed) {
            return foreign("it is of another scenario or seed".to_owned());
        }
        if (other.part, other.point) != (self.part, self.point) {
            return foreign("it is of another point".to_owned());
        }
        Ok(())
    }
}

/// A file of a checkpoint.
#[derive(Debug)]
pub struct StoredPart<F> {
    /// What it is of.
    pub label: Label,
    /// The file, at the start of its contents.
    pub file: F,
    /// Where its contents start.
    pub start: u64,
    /// How many bytes of contents there are.
    pub bytes: u64,
    /// What it says of itself, which is so if it is whole.
    pub seal: Seal,
}

impl<F: Read + Seek> StoredPart<F> {
    /// Reads all of `file`, in a bounded piece of memory, to find out whether it is whole and of which run.
    ///
    /// # Errors
    /// If it is torn, damaged, or no file of a checkpoint.
    pub fn open(file: F) -> Result<Self, UnusableError> {
        let mut stored = StoredPart::begin(file)?;
        stored.check_hash()?;
        Ok(stored)
    }

    /// Reads how `file` begins and ends: whether it is whole is left to others, or to [`StoredPart::check_hash`].
    ///
    /// # Errors
    /// If it is too short, or no file of a checkpoint.
    pub fn begin(mut file: F) -> Result<Self, UnusableError> {
        let all = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut head = [0; HEAD_BYTES];
        let is_long = all >= (HEAD_BYTES + HASH_BYTES) as u64;
        let mark_read = file.by_ref().take(MARK.len() as u64).read(&mut head[..MARK.len()])?;
        if head[..mark_read] != MARK[..mark_read] || mark_read == 0 {
            return Err(UnusableError::NoCheckpoint);
        }
        if !is_long {
            return Err(UnusableError::Damaged("it is too short".to_owned()));
        }
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut head)?;
        let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (format, label_len) = (number(MARK.len()), number(MARK.len() + 4) as usize);
        if format != FORMAT {
            return Err(UnusableError::Format(format));
        }
        let start = (HEAD_BYTES + label_len) as u64;
        if label_len > LABEL_BYTES_MAX || start + HASH_BYTES as u64 > all {
            return Err(UnusableError::Damaged("it is shorter than it says".to_owned()));
        }
        let mut label = vec![0; label_len];
        file.read_exact(&mut label)?;
        let mut hash = [0; HASH_BYTES];
        file.seek(SeekFrom::Start(all - HASH_BYTES as u64))?;
        file.read_exact(&mut hash)?;
        let seal = Seal::new(all, hash.into());
        // A label that cannot be read is only told of when the file is known to be as it was written.
        let Ok(label) = serde_json::from_slice(&label) else {
            check_hash(&mut file, &seal)?;
            return Err(UnusableError::Damaged("its label is none".to_owned()));
        };
        file.seek(SeekFrom::Start(start))?;
        Ok(StoredPart { label, file, start, bytes: all - start - HASH_BYTES as u64, seal })
    }

    /// Reads all of the file, in a bounded piece of memory.
    ///
    /// # Errors
    /// If it is torn or damaged.
    pub fn check_hash(&mut self) -> Result<(), UnusableError> {
        check_hash(&mut self.file, &self.seal)?;
        self.file.seek(SeekFrom::Start(self.start))?;
        Ok(())
    }
}

/// Whether `file` has the hash that its `seal` says.
fn check_hash<F: Read + Seek>(file: &mut F, seal: &Seal) -> Result<(), UnusableError> {
    file.seek(SeekFrom::Start(0))?;
    let (mut hash, mut buffer, mut left) =
        (blake3::Hasher::new(), vec![0; BUFFER_BYTES], seal.bytes - HASH_BYTES as u64);
    while left > 0 {
        let piece = &mut buffer[..left.min(BUFFER_BYTES as u64) as usize];
        file.read_exact(piece)?;
        hash.update(piece);
        left -= piece.len() as u64;
    }
    match Seal::new(seal.bytes, hash.finalize()) == *seal {
        true => Ok(()),
        false => Err(UnusableError::Damaged("its checksum is not that of its contents".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn label() -> Label {
        Label {
            part: Part::State,
            version: "1".to_owned(),
            program: "ab".to_owned(),
            scenario: "cd".to_owned(),
            seed: 7,
            point: 2,
        }
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        label().write(&mut bytes, &mut |out| out.write_all(b"contents")).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        let seal = label().write(&mut bytes, &mut |out| out.write_all(b"contents")).unwrap();
        let mut stored = StoredPart::open(Cursor::new(bytes)).unwrap();
        assert_eq!(stored.seal, seal);
        let mut contents = vec![0; stored.bytes as usize];
        stored.file.read_exact(&mut contents).unwrap();
        assert_eq!((stored.label, &contents[..]), (label(), &b"contents"[..]));
    }

    #[test]
    fn every_file_that_is_cut_and_every_bit_that_is_flipped_is_refused() {
        let bytes = written();
        for len in 0..bytes.len() {
            let refused = StoredPart::open(Cursor::new(&bytes[..len])).unwrap_err();
            let is_said = matches!(refused, UnusableError::Damaged(_)) || len == 0;
            assert!(is_said, "{len}: {refused}");
        }
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(StoredPart::open(Cursor::new(flipped)).is_err(), "bit {bit}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(StoredPart::open(Cursor::new(longer)), Err(UnusableError::Damaged(_))));
        let mut older = bytes;
        older[MARK.len()] = 1;
        assert!(matches!(StoredPart::open(Cursor::new(older)), Err(UnusableError::Format(1))));
        assert!(matches!(StoredPart::open(Cursor::new(b"#!/bin/sh")), Err(UnusableError::NoCheckpoint)));
    }

    #[test]
    fn what_is_foreign_is_refused_with_its_reason() {
        let refused = |other: Label| label().check(&other).unwrap_err().to_string();
        assert!(label().check(&label()).is_ok());
        assert!(refused(Label { version: "2".to_owned(), ..label() }).contains("qnetsim 2 wrote it, and this is 1"));
        assert!(refused(Label { program: "xx".to_owned(), ..label() }).contains("another build"));
        assert!(refused(Label { scenario: "xx".to_owned(), ..label() }).contains("another scenario"));
        assert!(refused(Label { seed: 8, ..label() }).contains("seed"));
        assert!(refused(Label { point: 3, ..label() }).contains("another point"));
        assert!(refused(Label { part: Part::Run, ..label() }).contains("another point"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_checkpoint_or_an_error(at in 0..200usize, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut text = written();
            let at = at.min(text.len());
            let end = (at + bytes.len()).min(text.len());
            text.splice(at..end, bytes);
            prop_assert!(text == written() || StoredPart::open(Cursor::new(text)).is_err());
        }
    }
}
