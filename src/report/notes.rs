//! Notes on documented figures that follow from other parameters than stated. Every verdict is computed.

use super::Comparison;
use super::load::approaches;
use super::number::{count, size};
use crate::metrics::PointResult;

/// How far two figures may lie apart and still be called the same: a twentieth, the rounding of the documents.
const TOLERANCE: f64 = 0.05;

/// The documents' gossip fanout.
const DOCUMENTED_FANOUT: f64 = 8.0;

/// A point that has a documented figure.
struct Compared<'a> {
    point: &'a PointResult,
    documented: Comparison,
}

impl Compared<'_> {
    fn nodes(&self) -> f64 {
        f64::from(self.point.nodes())
    }

    fn per_second(&self) -> f64 {
        self.point.messages_per_second()
    }

    fn documented(&self) -> f64 {
        self.documented.messages_per_s
    }
}

/// Says something about one point, or nothing.
type PointRule = fn(&Compared<'_>) -> Option<String>;
/// Says something about all sizes of one approach, or nothing. The points are in ascending order of size.
type SeriesRule = fn(&[Compared<'_>]) -> Option<String>;

const POINT_RULES: [PointRule; 3] = [per_interval_not_per_second, square_of_nodes, fanout_times_nodes];
const SERIES_RULES: [SeriesRule; 1] = [falls_per_node];

/// What there is to say about the documented figures beside `points`.
pub(super) fn notes(points: &[PointResult]) -> Vec<String> {
    let mut notes = Vec::new();
    for approach in approaches(points) {
        let of_approach = points.iter().filter(|point| point.approach == approach);
        let mut series: Vec<Compared<'_>> =
            of_approach.filter_map(|point| Some(Compared { point, documented: Comparison::of(point)? })).collect();
        series.sort_by_key(|compared| compared.point.nodes());
        for compared in &series {
            let place = format!("{approach} at {} ({}): ", size(compared.point.nodes()), compared.documented.claim);
            notes.extend(POINT_RULES.iter().filter_map(|rule| Some(place.clone() + &rule(compared)?)));
        }
        notes.extend(SERIES_RULES.iter().filter_map(|rule| Some(format!("{approach}: {}", rule(&series)?))));
    }
    notes
}

fn near(figure: f64, other: f64) -> bool {
    (figure - other).abs() <= TOLERANCE * other.abs()
}

/// The documented rate is what is sent in one heartbeat interval.
fn per_interval_not_per_second(compared: &Compared<'_>) -> Option<String> {
    let documented = compared.documented();
    if near(documented, compared.per_second()) || !near(documented, compared.point.messages_per_interval()) {
        return None;
    }
    let square = near(documented, compared.nodes() * compared.nodes());
    Some(format!(
        "documented {} msg/s is the number per {} interval{}; per second it is {}",
        count(documented),
        compared.point.interval,
        if square { " (n^2)" } else { "" },
        count(compared.per_second()),
    ))
}

/// The documented rate is the number of pairs of nodes, whatever the interval of this run.
fn square_of_nodes(compared: &Compared<'_>) -> Option<String> {
    let documented = compared.documented();
    let explained = near(documented, compared.per_second()) || per_interval_not_per_second(compared).is_some();
    if explained || !near(documented, compared.nodes() * compared.nodes()) {
        return None;
    }
    Some(format!(
        "documented {} msg/s is n^2, one message from every node to every node, and no time; measured are {} per {} interval",
        count(documented),
        count(compared.point.messages_per_interval()),
        compared.point.interval,
    ))
}

/// The documented rate is the gossip fanout times the nodes: one round, whatever its length.
fn fanout_times_nodes(compared: &Compared<'_>) -> Option<String> {
    let documented = compared.documented();
    if documented != DOCUMENTED_FANOUT * compared.nodes() || near(documented, compared.per_second()) {
        return None;
    }
    let interval = compared.point.interval;
    Some(format!(
        "documented {} msg/s is {DOCUMENTED_FANOUT} x {} nodes: every node sends to its {DOCUMENTED_FANOUT} gossip peers \
         once; once per {interval} interval is {} msg/s",
        count(documented),
        size(compared.point.nodes()),
        count(documented / interval.as_secs_f64()),
    ))
}

/// The documented rate per node falls with the size, which needs a reason; the measured one stands beside it.
fn falls_per_node(series: &[Compared<'_>]) -> Option<String> {
    let (first, last) = (series.first()?, series.last()?);
    let documented = |compared: &Compared<'_>| compared.documented() / compared.nodes();
    let measured = |compared: &Compared<'_>| compared.per_second() / compared.nodes();
    if documented(last) >= documented(first) * (1.0 - TOLERANCE) {
        return None;
    }
    Some(format!(
        "documented msg/s per node falls from {} at {} to {} at {} nodes; measured it goes from {} to {}",
        count(documented(first)),
        size(first.point.nodes()),
        count(documented(last)),
        size(last.point.nodes()),
        count(measured(first)),
        count(measured(last)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::SimSpan;
    use crate::report::sample;

    #[test]
    fn a_full_mesh_figure_is_per_interval() {
        let points = [1_000, 100_000, 1_000_000].map(|n| sample::flat("full-mesh", n, u64::from(n) * u64::from(n - 1)));
        let expected = [
            "full-mesh at 1K (QN-20): documented 1.00M msg/s is the number per 30s interval (n^2); per second it is 33.3K",
            "full-mesh at 100K (QN-21): documented 10.0B msg/s is the number per 30s interval (n^2); per second it is 333M",
            "full-mesh at 1M (QN-22): documented 1.00T msg/s is the number per 30s interval (n^2); per second it is 33.3B",
        ];
        assert_eq!(notes(&points), expected);
    }

    #[test]
    fn the_interval_note_has_a_tolerance_of_a_twentieth() {
        for (messages, noted) in [(940_000, false), (960_000, true), (1_040_000, true), (1_060_000, false)] {
            let points = [sample::flat("full-mesh", 1_000, messages)];
            let found = notes(&points).iter().any(|note| note.contains("is the number per 30s interval"));
            assert_eq!(found, noted, "{messages}");
        }
    }

    #[test]
    fn a_square_is_named_where_this_run_does_not_reach_it() {
        let points = [sample::flat("full-mesh", 1_000, 30_000)];
        let expected = "full-mesh at 1K (QN-20): documented 1.00M msg/s is n^2, one message from every node to every \
                        node, and no time; measured are 30.0K per 30s interval";
        assert_eq!(notes(&points), [expected]);
    }

    #[test]
    fn a_figure_that_is_met_needs_no_note() {
        let mut every_second = sample::flat("full-mesh", 1_000, 30 * 999_000);
        every_second.interval = SimSpan::from_secs(1);
        let points = [every_second, sample::flat("ping", 1_000_000, 1_000_000), sample::flat("full-mesh", 1_001, 5)];
        assert_eq!(notes(&points), [""; 0]);
    }

    #[test]
    fn a_gossip_figure_is_one_round_and_falls_per_node() {
        let points = [sample::flat("gossip", 10_000_000, 80_000_000), sample::flat("gossip", 1_000, 9_000)];
        let expected = [
            "gossip at 1K (QN-28): documented 8.00K msg/s is 8 x 1K nodes: every node sends to its 8 gossip peers once; \
             once per 30s interval is 267 msg/s",
            "gossip: documented msg/s per node falls from 8.00 at 1K to 0.200 at 10M nodes; measured it goes from 0.300 \
             to 0.267",
        ];
        assert_eq!(notes(&points), expected);
    }

    #[test]
    fn one_size_alone_does_not_fall() {
        assert_eq!(notes(&[sample::flat("gossip", 1_000_000, 80)]), [""; 0]);
    }
}
