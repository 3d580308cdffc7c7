//! Who is connected to whom: compact adjacency, and the generators that fill it.

mod graph;
mod incoming;
mod nearby;
mod random;
mod tiers;

pub use graph::{Graph, Kept, Link, Notes};
pub use incoming::Incoming;
pub use nearby::{Clustering, Neighbourhood, Tier};
pub use random::distinct_peers;
pub use tiers::TierDegrees;
