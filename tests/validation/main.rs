//! Results that are not ours, and whether the simulator arrives at them. Every test names its source.

mod distributions;
mod infect_and_die;
mod kademlia;
mod latency;
mod random_graphs;
mod sample;
mod spreading;
mod statistics;
mod swim;
