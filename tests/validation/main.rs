//! Results that are not ours, and whether the simulator arrives at them. Every test names its source.

mod distributions;
mod latency;
mod statistics;
