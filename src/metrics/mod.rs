//! What a run measures: traffic by kind, node type and direction, its spread over nodes, delays, and the result.

mod links;
mod lives;
mod memory;
mod result;
mod spread;
mod traffic;

pub use links::{LinkDelays, Links};
pub use lives::{Judgement, LifeEvent, SampleCount, Turn};
pub use memory::{available_memory, peak_memory, reset_peak_memory};
pub use result::{EngineFigures, Method, PointResult, TimelineBucket};
pub use spread::{Bandwidth, Spread};
pub use traffic::{Count, Flow, Traffic};
