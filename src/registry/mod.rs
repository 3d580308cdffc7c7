//! The user registry: who is registered, by which government id, and who vouches for whom.

pub mod currencies;
pub mod population;
pub mod record;
pub mod rules;
pub mod store;
