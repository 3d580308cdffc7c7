//! The event engine: conservative parallel windows over partitions of nodes.
//!
//! Time is cut into windows no longer than the smallest delay of the network (the lookahead), so every message that
//! arrives in a window was sent before the window began: only a node's own timers can fall inside it. Partitions of
//! nodes therefore run a window independently of each other and swap messages at its end. This is synchronous
//! conservative parallel simulation (Fujimoto, "Parallel discrete event simulation", CACM 1990).
//!
//! Within a node, events are handled in the order `(time, sender, sequence of the sender)`. Nothing else can be seen
//! by a protocol, so threads and partitions cannot move a result.

mod access;
mod capacity;
mod cells;
mod checkpoint;
mod clashes;
mod context;
mod digest;
mod distribution;
mod disturbance;
mod event;
pub mod faults;
mod inbox;
mod lane;
mod latency;
mod lives;
mod living;
mod network;
mod normal;
mod outbox;
mod partition;
mod probe;
mod ranks;
pub mod regions;
mod side;
mod simulation;
mod sorter;
mod stream;
mod tally;
mod team;
pub mod trace;
mod wheel;

pub use capacity::Capacity;
pub use checkpoint::{Checkpoint, CheckpointError, Keeper, Piece, Snapshot, Source};
pub use distribution::{Distribution, Observations, PUBLISHED_NAMES, published};
pub use latency::{Jitter, Latency, RegionMatrix, TAIL_MAX};
pub use lives::{Life, Lives};
pub use network::{Network, NetworkModel};
pub use probe::{Cause, Passing, Probe};
pub use ranks::{Ranks, Remote};
pub use simulation::{Broadcast, Outcome, Progress, Settings, Simulation, Violation, gather, meeting_span};
