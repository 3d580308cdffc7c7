//! Deterministic discrete-event simulation of overlay networks of a million nodes and more.
//!
//! See the README for the tour, `ARCHITECTURE.md` for the rooms, and `examples/` for a protocol, a topology and a latency
//! model of one's own, and for reading results.
//!
//! What follows semantic versioning: [`contract`], [`topologies`], [`engine`], [`metrics`], [`scenario`] and the types of
//! [`report`], as well as the files of results. [`protocols`], [`registry`], [`claims`] and [`check`] are public so that they
//! can be used, tested and measured, and may change with any minor version; so may [`cli`], of which only the commands and
//! their exit codes are kept.

// Tests of the library use modules of those of the whole program.
#[cfg(test)]
extern crate self as qnetsim;

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
