//! What a run measures: traffic by kind, node type and direction, its spread over nodes, delays, and the result.

mod bound;
mod detection;
mod estimate;
mod figure;
mod links;
mod lives;
mod memory;
mod metric;
mod population;
mod result;
mod rows;
mod spread;
mod stored;
mod traffic;

pub use bound::{Comparison, Threshold, Tolerance};
pub use detection::{Detection, FailureGroup, FailureKind, Stage, StageFigures, Times, Truth, WrongVerdicts};
pub use estimate::{Estimate, student_t};
pub use figure::{Curve, Figure, Figures};
pub use links::{LinkDelays, Links};
pub use lives::{Judgement, LifeEvent, SampleCount, Turn};
pub use memory::{available_memory, peak_memory, reset_peak_memory, resident_memory, total_memory};
pub use metric::{Measurement, Metric, Unit, may_be_figure, measurements, metric_value, named_figures};
pub use population::{PopulationOverTime, PopulationRow, SampleEstimate};
pub use result::{EngineFigures, Method, PointResult, RankFigures, TimelineBucket};
pub use rows::long_row;
pub use spread::{Bandwidth, Spread, Values};
pub use stored::{StaticStr, StoredHistogram};
pub use traffic::{Count, Flow, Traffic};
