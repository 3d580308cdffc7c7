//! The user registry: who is registered, by which government id, and who vouches for whom.

mod access;
pub mod cache;
mod commit;
pub mod consensus;
pub mod currencies;
pub mod database;
pub mod disk;
mod draft;
pub mod import;
pub mod layout;
mod locks;
pub mod memory;
pub mod meta;
pub mod migrate;
pub mod model;
pub mod operations;
pub mod population;
pub mod record;
pub mod rules;
#[cfg(feature = "postgres")]
pub mod server;
pub mod store;
#[cfg(test)]
mod tests;
pub mod text;
pub mod verify;

pub use access::{BatchError, DatabaseError, Outcome};
pub use cache::CacheSizes;
pub use commit::Durability;
pub use consensus::UserRegistryConsensus;
pub use database::{Cursor, Settings, UserDatabase, Users};
pub use layout::{Layout, Stored, UserId};
pub use meta::Counters;
pub use operations::{Listing, Operations};
pub use verify::Report;
