//! A piece of a checkpoint, what one thread of a rank wrote: a head, sections of which a reader takes those that it needs, and their table.
//!
//! The head is the shape of the run and where it stands. The first section has what the thread counted; then comes one for
//! each partition that it held, and one for each partition of the run with the messages to it that it had under way.
//! The table is at the end, because lengths are known only then; the last eight bytes tell where it begins.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use super::codec::{Decoder, Encoder};
use super::{CheckpointError, Shape, Standing};

/// Base-2 logarithm of the number of partitions, at most.
const PARTITIONS_LOG2_MAX: u32 = 16;
/// Stands in the table.
const MARK: u64 = 0x7171_6e65_7473_696d;
/// Bytes that tell where the table begins.
const TAIL_BYTES: u64 = 8;

/// Where a piece is read from.
pub trait Source: Read + Seek {}

impl<S: Read + Seek> Source for S {}

/// A piece of a checkpoint, to be read from where its source stands.
pub struct Piece {
    source: Box<dyn Source>,
    bytes: u64,
}

impl Piece {
    /// The next `bytes` bytes of `source`, which [`Snapshot::write_piece`](super::Snapshot::write_piece) wrote.
    pub fn new(source: impl Source + 'static, bytes: u64) -> Self {
        Piece { source: Box::new(source), bytes }
    }
}

/// Where the sections of a piece are.
#[derive(Debug, Serialize, Deserialize)]
struct Table {
    mark: u64,
    /// Where the head ends.
    head: u64,
    /// Partitions that the thread held, ascending.
    held: Vec<u32>,
    /// Where each section ends, and the next begins.
    ends: Vec<u64>,
}

/// The table of a piece that is being written.
pub(in crate::engine) struct Sections(Table);

impl Sections {
    /// What comes next in `to` are the sections of a thread that holds these partitions.
    pub(in crate::engine) fn begin(to: &Encoder<'_>, held: impl Iterator<Item = u32>) -> Self {
        Sections(Table { mark: MARK, head: to.position(), held: held.collect(), ends: Vec::new() })
    }

    /// A section ends.
    pub(in crate::engine) fn end(&mut self, to: &Encoder<'_>) {
        self.0.ends.push(to.position());
    }

    /// The piece ends.
    pub(in crate::engine) fn finish(self, mut to: Encoder<'_>) -> io::Result<()> {
        let at = to.position();
        to.put(&self.0)?;
        to.put(&at.to_le_bytes())?;
        to.finish()
    }
}

/// A piece of which the head is read.
pub(in crate::engine) struct Opened<'p> {
    pub(in crate::engine) shape: Shape,
    pub(in crate::engine) standing: Standing,
    piece: &'p mut Piece,
    /// Where the piece begins in its source.
    start: u64,
    table: Table,
}

impl<'p> Opened<'p> {
    /// Reads how `piece` begins, and how it ends.
    pub(in crate::engine) fn begin(piece: &'p mut Piece) -> Result<Self, CheckpointError> {
        let start = piece.source.stream_position().map_err(CheckpointError::Read)?;
        let all = piece.bytes;
        let mut from = Decoder::new(&mut piece.source, all);
        let shape: Shape = from.get()?;
        if shape.partitions_log2 > PARTITIONS_LOG2_MAX {
            return Err(CheckpointError::damaged("it has more partitions than any run"));
        }
        let standing = from.get()?;
        let head = all - from.remaining();
        let table = read_table(piece, start, head)?;
        let partitions = 1usize << shape.partitions_log2;
        let is_held = |&partition: &u32| (partition as usize) < partitions;
        let is_sound = table.held.iter().all(is_held) && table.held.is_sorted_by(|one, next| one < next);
        if !is_sound || table.ends.len() != 1 + table.held.len() + partitions {
            return Err(CheckpointError::damaged("its table is of other partitions"));
        }
        Ok(Opened { shape, standing, piece, start, table })
    }

    /// Partitions that the thread held which wrote the piece.
    pub(in crate::engine) fn held(&self) -> &[u32] {
        &self.table.held
    }

    /// What the thread counted.
    pub(in crate::engine) fn counts(&mut self) -> Result<Decoder<'_>, CheckpointError> {
        self.section(0)
    }

    /// The partition with this place among those that the thread held.
    pub(in crate::engine) fn partition(&mut self, place: usize) -> Result<Decoder<'_>, CheckpointError> {
        self.section(1 + place)
    }

    /// The messages to `partition` that the thread had under way.
    pub(in crate::engine) fn messages(&mut self, partition: u32) -> Result<Decoder<'_>, CheckpointError> {
        self.section(1 + self.table.held.len() + partition as usize)
    }

    fn section(&mut self, number: usize) -> Result<Decoder<'_>, CheckpointError> {
        let before = number.checked_sub(1).map_or(self.table.head, |before| self.table.ends[before]);
        let bytes = self.table.ends[number] - before;
        if bytes > 0 {
            seek(self.piece, self.start + before)?;
        }
        Ok(Decoder::new(&mut self.piece.source, bytes))
    }
}

fn seek(piece: &mut Piece, to: u64) -> Result<(), CheckpointError> {
    piece.source.seek(SeekFrom::Start(to)).map(drop).map_err(CheckpointError::Read)
}

/// The table of `piece`, which begins at `start` and has a head of so many bytes.
fn read_table(piece: &mut Piece, start: u64, head: u64) -> Result<Table, CheckpointError> {
    let tail = (piece.bytes.checked_sub(TAIL_BYTES)).filter(|&tail| tail >= head);
    let tail = tail.ok_or_else(|| CheckpointError::damaged("it has no table"))?;
    seek(piece, start + tail)?;
    let mut at = [0; TAIL_BYTES as usize];
    piece.source.read_exact(&mut at).map_err(CheckpointError::Read)?;
    let at = u64::from_le_bytes(at);
    let len = tail.checked_sub(at).filter(|_| at >= head);
    let len = len.ok_or_else(|| CheckpointError::damaged("its table is elsewhere"))?;
    seek(piece, start + at)?;
    let mut from = Decoder::new(&mut piece.source, len);
    let table: Table = from.get()?;
    let is_at_end = from.is_at_end();
    // No byte is of two sections, so what is read is no more than what is there.
    let is_sound = table.mark == MARK && table.head == head && table.ends.last() == Some(&at);
    if !(is_at_end && is_sound && table.ends.is_sorted() && table.ends[0] >= head) {
        return Err(CheckpointError::damaged("it does not end where it should"));
    }
    Ok(table)
}
