//! How many nodes are up, and how many samples of them say there are: `population.csv` and a table.

use serde::Serialize;

use super::number::{Number, count, plain, size};
use super::table::{bullet, table};
use super::{RunReport, sheet};
use crate::contract::NodeType;
use crate::metrics::{PointResult, PopulationOverTime, PopulationRow};

pub(super) const COLUMNS: [&str; 13] = [
    "approach",
    "nodes",
    "time_s",
    "live",
    "live_super",
    "live_full",
    "live_light",
    "live_mobile",
    "rate",
    "tracked_alive",
    "estimate",
    "standard_error",
    "z",
];

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    time_s: Number,
    live: Number,
    live_super: Number,
    live_full: Number,
    live_light: Number,
    live_mobile: Number,
    rate: Option<Number>,
    tracked_alive: Option<Number>,
    estimate: Option<Number>,
    standard_error: Option<Number>,
    z: Option<Number>,
}

/// `population.csv`: nodes that are up over time, and estimates from samples beside the truth.
///
/// A row without `rate` is the truth at the start of a bucket of the time series. A row with one is the mean over
/// trackers of the last count that each made in the bucket; its `live` columns are the mean of the truth at those
/// moments, of which `time_s` is the latest. `standard_error` is that of the estimate, and `z` tells by how many of
/// them it is above the truth; it is empty where the error is zero.
///
/// A point whose nodes were all up all the time, and that no tracker counted, has no rows.
pub fn population_csv(report: &RunReport<'_>) -> Vec<u8> {
    let points = report.points.iter().filter_map(|point| Some((point, point.population_over_time.as_ref()?)));
    sheet::csv(&COLUMNS, points.flat_map(|(point, over_time)| over_time.rows.iter().map(|moment| row(point, moment))))
}

fn row<'a>(point: &'a PointResult, moment: &PopulationRow) -> Row<'a> {
    let live = |node_type: NodeType| Number(moment.live[node_type as usize]);
    let sample = moment.sample;
    Row {
        approach: &point.approach,
        nodes: point.nodes(),
        time_s: Number(moment.time.as_nanos() as f64 / 1e9),
        live: Number(moment.total()),
        live_super: live(NodeType::SuperNode),
        live_full: live(NodeType::FullNode),
        live_light: live(NodeType::LightNode),
        live_mobile: live(NodeType::MobileNode),
        rate: sample.map(|sample| Number(sample.rate)),
        tracked_alive: sample.map(|sample| Number(sample.alive)),
        estimate: sample.map(|sample| Number(sample.estimate)),
        standard_error: sample.map(|sample| Number(sample.standard_error)),
        z: sample.and_then(|sample| sample.deviation).map(Number),
    }
}

/// The population as a table for people: where it went, and at each rate of sampling the last estimate beside the truth.
/// `None` if all nodes were up all the time and nobody counted them. No line is wider than a hundred characters.
pub fn population_table(report: &RunReport<'_>) -> Option<String> {
    let counted = || report.points.iter().filter_map(|point| Some((point, point.population_over_time.as_ref()?)));
    counted().next()?;
    let header = ["approach", "nodes", "live\nstart", "\nleast", "\nmost", "\nend"];
    let mut text = format!("Live nodes at the starts of buckets (seed {})\n\n", report.seed);
    text.push_str(&table(&header, &[0], counted().filter_map(|(point, over_time)| truth_row(point, over_time))));
    let estimates: Vec<_> = counted().flat_map(|(point, over_time)| estimate_rows(point, over_time)).collect();
    if !estimates.is_empty() {
        let header =
            ["approach", "nodes", "sample\nrate", "last\ntime s", "tracked\nalive", "estimate", "±", "live", "rms z"];
        text.push('\n');
        text.push_str(&table(&header, &[0], estimates));
        text.push('\n');
        text.push_str(&bullet(
            "estimate: tracked alive / rate, with its standard error; rms z: how far all estimates of the run were off, \
             in standard errors (root of the mean square)",
        ));
    }
    Some(text)
}

fn truth_row(point: &PointResult, over_time: &PopulationOverTime) -> Option<Vec<String>> {
    let truth = || over_time.rows.iter().filter(|row| row.sample.is_none()).map(PopulationRow::total);
    let least = truth().reduce(f64::min)?;
    let cells = [truth().next()?, least, truth().reduce(f64::max)?, truth().next_back()?];
    let mut row = vec![point.approach.clone(), size(point.nodes())];
    row.extend(cells.map(|live| Number(live).to_string()));
    Some(row)
}

/// The last estimate at each rate, in ascending order of the rates.
fn estimate_rows(point: &PointResult, over_time: &PopulationOverTime) -> Vec<Vec<String>> {
    let mut last: Vec<_> = over_time.rows.iter().rev().filter_map(|row| Some((row, row.sample?))).collect();
    // A stable sort keeps the last one of each rate in front.
    last.sort_by(|(_, one), (_, other)| one.rate.total_cmp(&other.rate));
    last.dedup_by_key(|(_, sample)| sample.rate.to_bits());
    let deviations = over_time.deviations();
    let rows = last.into_iter().map(|(row, sample)| {
        let deviation = deviations.iter().find(|(rate, _)| *rate == sample.rate);
        vec![
            point.approach.clone(),
            size(point.nodes()),
            Number(sample.rate).to_string(),
            plain(row.time.as_nanos() as f64 / 1e9),
            count(sample.alive),
            count(sample.estimate),
            count(sample.standard_error),
            count(row.total()),
            deviation.map_or("-".to_owned(), |(_, deviation)| plain(*deviation)),
        ]
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::WIDTH;
    use super::*;
    use crate::contract::{SimSpan, SimTime};
    use crate::metrics::SampleEstimate;
    use crate::report::sample;

    fn moment(secs: u64, live: [f64; 4], sample: Option<SampleEstimate>) -> PopulationRow {
        PopulationRow { time: SimTime::ZERO + SimSpan::from_secs(secs), live, sample }
    }

    /// Two buckets, each with an estimate at two rates.
    fn counted(approach: &str, nodes: u32) -> PointResult {
        let estimate = |rate, alive, live: f64| Some(SampleEstimate::new(rate, alive, live));
        let rows = vec![
            moment(0, [2.0, 0.0, 998.0, 0.0], None),
            moment(9, [2.0, 0.0, 997.5, 0.0], estimate(0.1, 96.0, 999.5)),
            moment(10, [2.0, 0.0, 890.0, 0.0], None),
            moment(19, [2.0, 0.0, 900.0, 0.0], estimate(0.1, 81.0, 902.0)),
            moment(19, [2.0, 0.0, 900.0, 0.0], estimate(1.0, 902.0, 902.0)),
        ];
        PointResult { population_over_time: Some(PopulationOverTime { rows }), ..sample::flat(approach, nodes, 5) }
    }

    #[test]
    fn estimates_stand_beside_the_truth_of_their_moment() {
        let points = [sample::tiers(), counted("sampled", 1_000)];
        let text = String::from_utf8(population_csv(&sample::report(&points))).unwrap();
        let expected = "\
approach,nodes,time_s,live,live_super,live_full,live_light,live_mobile,rate,tracked_alive,estimate,standard_error,z
sampled,1000,0,1000,2,0,998,0,,,,,
sampled,1000,9,999.5,2,0,997.5,0,0.1,96,960,92.951600309,-0.424952339376
sampled,1000,10,892,2,0,890,0,,,,,
sampled,1000,19,902,2,0,900,0,0.1,81,810,85.3814968245,-1.07751683235
sampled,1000,19,902,2,0,900,0,1,902,902,0,
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_table_has_the_course_of_the_truth_and_the_last_estimates() {
        let points = [sample::tiers(), counted("sampled", 1_000)];
        let text = population_table(&sample::report(&points)).unwrap();
        let expected = "\
Live nodes at the starts of buckets (seed 7)

approach   nodes    live
                   start   least   most   end
─────────────────────────────────────────────
sampled       1K    1000     892   1000   892

approach   nodes   sample     last   tracked   estimate      ±   live   rms z
                     rate   time s     alive
─────────────────────────────────────────────────────────────────────────────
sampled       1K      0.1     19.0      81.0        810   85.4    902   0.819
sampled       1K        1     19.0       902        902      0    902       -

";
        assert_eq!(text.split("- estimate").next(), Some(expected), "{text}");
    }

    #[test]
    fn where_nobody_comes_or_goes_there_is_nothing_to_say() {
        let points = [sample::tiers()];
        assert_eq!(population_csv(&sample::report(&points)), (COLUMNS.join(",") + "\n").into_bytes());
        assert_eq!(population_table(&sample::report(&points)), None);
    }

    #[test]
    fn many_points_and_long_names_stay_within_a_hundred_columns() {
        let name = "an-approach-with-a-name-of-sixty-four-characters-xxxxxxxxxxxxxxx";
        let points: Vec<_> = (0..10).map(|index| counted(name, 1_234_567 + index)).collect();
        let text = population_table(&sample::report(&points)).unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= WIDTH, "{widest} columns\n{text}");
    }
}
