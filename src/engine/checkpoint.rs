//! Checkpoints: a run between two windows, written as it stands, from which the same run goes on to the same end.

mod codec;

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::contract::{Population, SimTime};

pub(super) use codec::{Decoder, Encoder};

/// Base-2 logarithm of the number of partitions, at most.
const PARTITIONS_LOG2_MAX: u32 = 16;

/// Decides when a run writes a checkpoint, and where it goes.
pub trait Keeper: Send {
    /// Whether [`Keeper::keep`] is to be called now. Asked once after every window, so it should be a look at a flag.
    fn is_wanted(&self) -> bool;

    /// Takes the run as it stands. A break ends the run here, with what it has found so far.
    fn keep(&mut self, snapshot: &Snapshot<'_>) -> ControlFlow<()>;
}

/// A run between two windows.
pub struct Snapshot<'a> {
    /// The start of the window that was handled last.
    pub time: SimTime,
    /// Events so far.
    pub events: u64,
    pub(super) write: &'a WriteTo<'a>,
}

/// Writes a run somewhere.
pub(super) type WriteTo<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

impl Snapshot<'_> {
    /// Writes all of the run to `out`, piece by piece: it is never in memory twice. What is written has neither a mark nor
    /// a checksum; those belong to the file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        (self.write)(out)
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
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    /// The window that was handled last.
    pub(super) window: u64,
    /// Windows that were handled.
    pub(super) handled: u64,
    /// The block that was opened last.
    pub(super) opened: u64,
    /// Boundaries between slices that were passed.
    pub(super) passed: usize,
    /// The largest index that a message was ever sent to.
    pub(super) index_max: u32,
}

/// A checkpoint that is being read: its beginning is, the rest is read by
/// [`Simulation::restore`](super::Simulation::restore).
///
/// Whoever opens it has made sure that it is whole, by a checksum: what is made up with care can make the protocol panic,
/// but allocates no more than a small multiple of what is there, and breaks nothing else.
pub struct Checkpoint<'r> {
    pub(super) shape: Shape,
    pub(super) decoder: Decoder<'r>,
}

impl<'r> Checkpoint<'r> {
    /// Begins to read `input`, which has `bytes` bytes that [`Snapshot::write_to`] wrote.
    ///
    /// # Errors
    /// If the input cannot be read, or begins as no checkpoint does.
    pub fn open(input: &'r mut dyn Read, bytes: u64) -> Result<Self, CheckpointError> {
        let mut decoder = Decoder::new(input, bytes);
        let shape: Shape = decoder.get()?;
        if shape.partitions_log2 > PARTITIONS_LOG2_MAX {
            return Err(CheckpointError::damaged("it has more partitions than any run"));
        }
        Ok(Checkpoint { shape, decoder })
    }

    /// For [`Settings::partitions_log2`](super::Settings::partitions_log2), which the run must have that goes on.
    pub fn partitions_log2(&self) -> u32 {
        self.shape.partitions_log2
    }
}
