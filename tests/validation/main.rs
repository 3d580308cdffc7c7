//! Results that are not ours, and whether the simulator arrives at them. Every test names its source.

mod churn;
mod consensus;
mod dissemination;
mod distributions;
#[path = "../idle/mod.rs"]
mod idle;
mod infect_and_die;
mod kademlia;
mod latency;
mod mobile;
mod random_graphs;
mod sample;
mod sampling;
mod spreading;
mod statistics;
mod swim;
