//! Where the slices of time begin by which results are given.

use crate::contract::{SimSpan, SimTime};
use crate::scenario::Point;

/// No slice of time is shorter, because windows are no longer than slices.
const SLICE_MIN: SimSpan = SimSpan::from_millis(1);

/// Where slices of time begin: buckets of `width` from the start and, anew, from the end of the warm-up.
pub(super) fn boundaries(point: &Point, width: SimSpan) -> Vec<SimTime> {
    let warm = SimTime::ZERO + point.warmup;
    let end = warm + point.measure;
    let buckets = |from: SimTime, to: SimTime| {
        std::iter::successors(Some(from + width), move |&time| Some(time + width))
            .take_while(move |&time| to.since(time) >= SLICE_MIN)
    };
    let warming = buckets(SimTime::ZERO, warm);
    let switch = Some(warm).filter(|&warm| warm > SimTime::ZERO);
    warming.chain(switch).chain(buckets(warm, end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Population;
    use crate::scenario::Approach;

    fn starts(warmup: u64, measure: u64, width: u64) -> Vec<u64> {
        let point = Point {
            approach: Approach::Ping,
            nearby: None,
            label: "ping".to_owned(),
            population: Population::flat(2),
            warmup: SimSpan::from_millis(warmup),
            measure: SimSpan::from_millis(measure),
        };
        boundaries(&point, SimSpan::from_millis(width)).iter().map(|time| time.as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn slices_restart_at_the_end_of_the_warmup() {
        assert_eq!(starts(0, 3_000, 1_000), [1_000, 2_000]);
        assert_eq!(starts(2_000, 2_000, 1_000), [1_000, 2_000, 3_000]);
        assert_eq!(starts(1_500, 1_200, 1_000), [1_000, 1_500, 2_500]);
        assert_eq!(starts(500, 500, 1_000), [500]);
        assert_eq!(starts(0, 10, 1_000), [0u64; 0]);
    }
}
