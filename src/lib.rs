//! Deterministic discrete-event simulation of overlay networks of a million nodes and more.
//!
//! See the README for the tour, and `ARCHITECTURE.md` for the rooms.

pub mod check;
pub mod claims;
pub mod cli;
pub mod contract;
pub mod engine;
pub mod metrics;
pub mod protocols;
pub mod registry;
pub mod report;
pub mod results;
pub mod scenario;
pub mod topologies;
