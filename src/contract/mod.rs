//! What a node and a simulator agree on: time, identity, randomness, and the [`Protocol`] trait.
//!
//! This room uses nothing of the rest of the crate. A protocol is written against it alone, so the same code can
//! run in a real node: it is given the time, a message and a random stream, and it answers with effects.

mod column;
pub mod exact;
mod histogram;
mod node;
mod placement;
mod places;
mod protocol;
mod random;
mod time;

pub use column::{Column, Slab, prefetch};
pub use histogram::{Counts, Spans};
pub use node::{Here, Key256, NodeId, NodeType, Nodes, Population, Share};
pub use placement::Placement;
pub use places::Places;
pub use protocol::{Effects, Protocol, Verdict};
pub use random::{Domain, RandomKey, Stream, scale_word};
pub use time::{CoarseTime, SimSpan, SimTime};
