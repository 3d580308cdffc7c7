//! Checkpoints: a run between two windows, written as it stands, from which the same run goes on to the same end.

mod codec;
mod piece;

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::contract::{Population, SimTime};

pub(super) use codec::{Decoder, Encoder};
pub(super) use piece::{Opened, Sections};
pub use piece::{Piece, Source};

/// Decides when a run writes a checkpoint, and where it goes. Where several ranks share a run, each has one.
pub trait Keeper: Send {
    /// Whether [`Keeper::keep`] is to be called now. Asked once after every window, so it should be a look at a flag. What one
    /// rank wants is done by all of them.
    fn is_wanted(&self) -> bool;

    /// Takes the run as it stands. A break ends the run here, with what it has found so far: all ranks must break, or none.
    fn keep(&mut self, snapshot: &Snapshot<'_>) -> ControlFlow<()>;
}

/// A run between two windows, or what one rank has of it.
pub struct Snapshot<'a> {
    /// The start of the window that was handled last: the same on all ranks, and another at every checkpoint of a run.
    pub time: SimTime,
    /// Events so far, those of this rank.
    pub events: u64,
    /// The pieces that it is written in: one for each thread of this rank, and all may be written at the same time.
    pub pieces: usize,
    pub(super) write: &'a WritePiece<'a>,
}

/// Writes the piece with a number.
pub(super) type WritePiece<'a> = dyn Fn(usize, &mut dyn Write) -> io::Result<()> + Sync + 'a;

impl Snapshot<'_> {
    /// Writes piece `number` of what this rank has of the run to `out`, a little at a time: it is never in memory twice. What
    /// is written has neither a mark nor a checksum; those belong to the file.
    ///
    /// # Panics
    /// If there is no piece of this number.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_piece(&self, number: usize, out: &mut dyn Write) -> io::Result<()> {
        assert!(number < self.pieces, "pieces are numbered from zero on");
        (self.write)(number, out)
    }
}

/// Why a run cannot go on from a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system does not give it.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is not what a run has written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is of another run.
    #[error("it is of another run: {0}")]
    Foreign(String),
}

impl CheckpointError {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        CheckpointError::Damaged(what.into())
    }
}

/// What two runs have in common of which one can go on from the other's checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) partitions_log2: u32,
    /// The number of ranks that nodes were dealt out to.
    pub(super) dealt_to: u64,
    pub(super) population: Population,
    pub(super) seed: u64,
    pub(super) end: SimTime,
    pub(super) boundaries: Vec<SimTime>,
    pub(super) measured: [SimTime; 2],
    /// Nanoseconds of a window, and base-2 logarithm of the windows in a block.
    pub(super) windows: (u64, u32),
    /// Pairs of regions of which delays are recorded.
    pub(super) links: u32,
    /// Whether there are meters, delays, judgements, lives and capacities.
    pub(super) parts: [bool; 5],
    /// The Rust type of the protocol.
    pub(super) protocol: String,
    pub(super) kinds: Vec<String>,
}

impl Shape {
    /// # Errors
    /// If `other` is the shape of another run, with what differs.
    pub(super) fn check(&self, other: &Shape) -> Result<(), CheckpointError> {
        let facts = [
            ("the number of partitions", self.partitions_log2 == other.partitions_log2),
            ("who has which nodes", self.dealt_to == other.dealt_to),
            ("the nodes", self.population == other.population),
            ("the seed", self.seed == other.seed),
            ("the end", self.end == other.end),
            ("the slices of time", (&self.boundaries, self.measured) == (&other.boundaries, other.measured)),
            ("the delays of the network", (self.windows, self.links) == (other.windows, other.links)),
            ("what is recorded", self.parts == other.parts),
            ("the protocol", (&self.protocol, &self.kinds) == (&other.protocol, &other.kinds)),
        ];
        match facts.iter().find(|(_, is_same)| !is_same) {
            Some((what, _)) => Err(CheckpointError::Foreign(format!("{what} differs"))),
            None => Ok(()),
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// The window that was handled last.
    pub(super) window: u64,
    /// Windows that this rank handled.
    pub(super) handled: u64,
    /// The block that was opened last.
    pub(super) opened: u64,
    /// Boundaries between slices that were passed.
    pub(super) passed: usize,
    /// The largest index that a message of this rank was ever sent to.
    pub(super) index_max: u32,
}

impl Standing {
    /// Whether the run stood there when `other` stood where it does. Ranks meet there by ways of their own.
    pub(super) fn is_at(&self, other: &Standing) -> bool {
        (self.window, self.opened, self.passed) == (other.window, other.opened, other.passed)
    }
}

/// A checkpoint that is being read: how its first piece begins is, the rest is read by
/// [`Simulation::restore`](super::Simulation::restore).
///
/// Whoever opens it has made sure that its pieces are whole, by a checksum: what is made up with care can make the protocol
/// panic, but allocates no more than a small multiple of what is there, and breaks nothing else.
pub struct Checkpoint<'r> {
    pub(super) pieces: usize,
    pub(super) open: &'r OpenPiece<'r>,
    partitions_log2: u32,
    dealt_to: usize,
}

/// Opens the piece with a number.
type OpenPiece<'r> = dyn Fn(usize) -> io::Result<Piece> + 'r;

impl<'r> Checkpoint<'r> {
    /// Begins to read what all ranks wrote with [`Snapshot::write_piece`] at the same time, so many pieces in all, in any order;
    /// `open` gives the piece with a number, and may be asked for it more than once.
    ///
    /// # Errors
    /// If the first piece cannot be read, or begins as none does.
    pub fn open(pieces: usize, open: &'r OpenPiece<'r>) -> Result<Self, CheckpointError> {
        if pieces == 0 {
            return Err(CheckpointError::damaged("it has no pieces"));
        }
        let mut first = open(0).map_err(CheckpointError::Read)?;
        let Shape { partitions_log2, dealt_to, .. } = Opened::begin(&mut first)?.shape;
        let dealt_to = usize::try_from(dealt_to).unwrap_or(usize::MAX);
        Ok(Checkpoint { pieces, open, partitions_log2, dealt_to })
    }

    /// For [`Settings::partitions_log2`](super::Settings::partitions_log2), which the run must have that goes on.
    pub fn partitions_log2(&self) -> u32 {
        self.partitions_log2
    }

    /// For [`Settings::dealt_to`](super::Settings::dealt_to), likewise.
    pub fn dealt_to(&self) -> usize {
        self.dealt_to
    }
}
