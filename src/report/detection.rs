//! How failures were detected, and what that cost: `detection.csv` and a table.

use serde::Serialize;

use super::number::{Number, count, metric, percent, plain, size};
use super::table::{bullet, table};
use super::{RunReport, sheet};
use crate::contract::{NodeType, SimSpan};
use crate::metrics::{Detection, FailureGroup, FailureKind, PointResult, Stage, StageFigures, Times};

pub(super) const COLUMNS: [&str; 23] = [
    "approach",
    "nodes",
    "detector",
    "node_type",
    "failure",
    "stage",
    "observers",
    "failures",
    "noticed",
    "never_noticed",
    "undecided",
    "share_never_noticed",
    "p50_s",
    "p90_s",
    "p99_s",
    "max_s",
    "mean_s",
    "false_positives",
    "node_hours",
    "false_positives_per_node_hour",
    "messages_per_node_per_s",
    "wire_bytes_per_node_per_s",
    "state_bytes_per_node",
];

#[derive(Serialize)]
struct Row<'a> {
    approach: &'a str,
    nodes: u32,
    detector: &'a str,
    node_type: &'static str,
    failure: &'static str,
    stage: &'static str,
    observers: &'static str,
    failures: u64,
    noticed: u64,
    never_noticed: Option<u64>,
    undecided: Option<u64>,
    share_never_noticed: Option<Number>,
    p50_s: Option<Number>,
    p90_s: Option<Number>,
    p99_s: Option<Number>,
    max_s: Option<Number>,
    mean_s: Option<Number>,
    false_positives: Option<u64>,
    node_hours: Option<Number>,
    false_positives_per_node_hour: Option<Number>,
    messages_per_node_per_s: Number,
    wire_bytes_per_node_per_s: Number,
    state_bytes_per_node: Number,
}

/// The word for all node types and all kinds of failure.
const ALL: &str = "all";

/// `detection.csv`: how failures in the measured span were noticed, by type of the failed node, by kind of failure, and
/// by how sure an observer had to be (`stage`).
///
/// Rows of `observers` `first` are over failures: `noticed` counts those that somebody noticed, and times go to the
/// first who did. Rows of `each` are over pairs of a failure and an observer who noticed it; who should have and did not
/// is unknown, so `never_noticed` and `undecided` are empty. A failure is undecided if the run ended before anyone
/// could be expected to have noticed. Wrong verdicts belong to the stage `down` and to no kind of failure. The last
/// columns are what the approach spends on all its nodes, the same in every row of a point.
///
/// A point without a detector has no rows. Node types and kinds of failure without failures have none either, but for
/// the rows over `all` kinds, which tell their wrong verdicts.
pub fn detection_csv(report: &RunReport<'_>) -> Vec<u8> {
    sheet::csv(&COLUMNS, report.points.iter().flat_map(rows))
}

fn rows(point: &PointResult) -> Vec<Row<'_>> {
    let Some(detection) = &point.detection else { return Vec::new() };
    let mut rows = Vec::new();
    for group in &detection.groups {
        for stage in &group.stages {
            let first = row(point, detection, group, stage, true);
            rows.push(first);
            if stage.each.is_some() {
                rows.push(row(point, detection, group, stage, false));
            }
        }
    }
    rows
}

/// The row over first observers (`first`), or over each.
fn row<'a>(
    point: &'a PointResult,
    detection: &'a Detection,
    group: &FailureGroup,
    stage: &StageFigures,
    first: bool,
) -> Row<'a> {
    let times = if first { stage.first } else { stage.each };
    let seconds = |pick: fn(&Times) -> SimSpan| times.as_ref().map(|times| Number(pick(times).as_secs_f64()));
    let wrong = group.wrong.filter(|_| stage.stage == Stage::Down);
    Row {
        approach: &point.approach,
        nodes: point.nodes(),
        detector: &detection.detector,
        node_type: group.node_type.map_or(ALL, NodeType::name),
        failure: group.kind.map_or(ALL, FailureKind::name),
        stage: stage.stage.name(),
        observers: if first { "first" } else { "each" },
        failures: group.failures,
        noticed: times.map_or(0, |times| times.count),
        never_noticed: first.then_some(stage.never),
        undecided: first.then_some(stage.undecided),
        share_never_noticed: stage.share_never().filter(|_| first).map(Number),
        p50_s: seconds(|times| times.p50),
        p90_s: seconds(|times| times.p90),
        p99_s: seconds(|times| times.p99),
        max_s: seconds(|times| times.max),
        mean_s: times.map(|times| Number(times.mean_s)),
        false_positives: wrong.map(|wrong| wrong.verdicts),
        node_hours: wrong.map(|wrong| Number(wrong.node_hours)),
        false_positives_per_node_hour: wrong.and_then(|wrong| wrong.per_node_hour()).map(Number),
        messages_per_node_per_s: Number(point.messages_per_node_per_second()),
        wire_bytes_per_node_per_s: Number(point.wire_bytes_per_node_per_second()),
        state_bytes_per_node: Number(point.state_bytes_per_node()),
    }
}

/// Detection as two tables for people: how soon failures were noticed, and what that cost. `None` if no detector ran.
/// No line is wider than a hundred characters.
pub fn detection_table(report: &RunReport<'_>) -> Option<String> {
    let detected = || report.points.iter().filter_map(|point| Some((point, point.detection.as_ref()?)));
    detected().next()?;
    let header = [
        "approach",
        "nodes",
        "stage",
        "failures",
        "noticed",
        "never",
        "un-\ndecided",
        "first after\nmean",
        "\np50",
        "\np90",
        "\np99",
        "\nmax",
    ];
    let rows = detected().flat_map(|(point, detection)| {
        detection.total().stages.iter().map(|stage| times_row(point, detection.total().failures, stage))
    });
    let mut text = format!("Failure detection, in seconds from the failure (seed {})\n\n", report.seed);
    text.push_str(&table(&header, &[0, 2], rows));
    let header = [
        "approach",
        "nodes",
        "detector",
        "false\npositives",
        "per\nnode-hour",
        "msg/s\nper node",
        "B/s\nper node",
        "state B\nper node",
    ];
    text.push('\n');
    text.push_str(&table(&header, &[0, 2], detected().map(|(point, detection)| cost_row(point, detection))));
    text.push('\n');
    text.push_str(&bullet(
        "never: nobody noticed before the node came back, or in spite of enough time, and its share of what is decided; \
         undecided: the run ended too soon to tell",
    ));
    text.push_str(&bullet(
        "false positives: verdicts that a node is down while it is up; B/s: bytes on the wire, IP and UDP headers included",
    ));
    Some(text)
}

fn times_row(point: &PointResult, failures: u64, stage: &StageFigures) -> Vec<String> {
    let share = stage.share_never().map_or(String::new(), |share| format!("\n{}", percent(share)));
    let seconds = |pick: fn(&Times) -> SimSpan| match &stage.first {
        Some(times) => plain(pick(times).as_secs_f64()),
        None => "-".to_owned(),
    };
    vec![
        point.approach.clone(),
        size(point.nodes()),
        stage.stage.name().to_owned(),
        failures.to_string(),
        stage.noticed.to_string(),
        format!("{}{share}", stage.never),
        stage.undecided.to_string(),
        stage.first.map_or("-".to_owned(), |times| plain(times.mean_s)),
        seconds(|times| times.p50),
        seconds(|times| times.p90),
        seconds(|times| times.p99),
        seconds(|times| times.max),
    ]
}

fn cost_row(point: &PointResult, detection: &Detection) -> Vec<String> {
    let wrong = detection.total().wrong;
    vec![
        point.approach.clone(),
        size(point.nodes()),
        detection.detector.clone(),
        wrong.map_or("-".to_owned(), |wrong| wrong.verdicts.to_string()),
        wrong.and_then(|wrong| wrong.per_node_hour()).map_or("-".to_owned(), count),
        count(point.messages_per_node_per_second()),
        metric(point.wire_bytes_per_node_per_second()),
        metric(point.state_bytes_per_node()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::table::WIDTH;
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_row_stands_for_every_group_stage_and_kind_of_observer() {
        let points = [sample::tiers(), sample::detected("gossip", 10)];
        let text = String::from_utf8(detection_csv(&sample::report(&points))).unwrap();
        let expected = "\
approach,nodes,detector,node_type,failure,stage,observers,failures,noticed,never_noticed,undecided,\
share_never_noticed,p50_s,p90_s,p99_s,max_s,mean_s,false_positives,node_hours,false_positives_per_node_hour,\
messages_per_node_per_s,wire_bytes_per_node_per_s,state_bytes_per_node
gossip,10,timeout,all,all,suspected,first,3,2,1,0,0.333333333333,2,5,5,5,3.5,,,,1,128,64
gossip,10,timeout,all,all,suspected,each,3,3,,,,3,5,5,5,3.33333333333,,,,1,128,64
gossip,10,timeout,all,all,down,first,3,0,1,2,1,,,,,,6,0.0666666666667,90,1,128,64
gossip,10,timeout,all,crash,down,first,3,0,0,3,,,,,,,,,,1,128,64
gossip,10,timeout,full,all,down,first,0,0,0,0,,,,,,,0,0,,1,128,64
";
        assert_eq!(text, expected);
    }

    #[test]
    fn without_a_detector_there_is_nothing_to_say() {
        let points = [sample::tiers()];
        assert_eq!(detection_csv(&sample::report(&points)), (COLUMNS.join(",") + "\n").into_bytes());
        assert_eq!(detection_table(&sample::report(&points)), None);
    }

    #[test]
    fn the_table_tells_how_soon_and_at_what_cost() {
        let points = [sample::tiers(), sample::detected("gossip", 10)];
        let text = detection_table(&sample::report(&points)).unwrap();
        let expected = "\
Failure detection, in seconds from the failure (seed 7)

approach  nodes  stage      failures  noticed  never      un-  first after
                                                      decided         mean   p50   p90   p99   max
──────────────────────────────────────────────────────────────────────────────────────────────────
gossip       10  suspected         3        2      1        0         3.50  2.00  5.00  5.00  5.00
                                               33.3%
gossip       10  down              3        0      1        2            -     -     -     -     -
                                                100%

approach   nodes   detector       false         per      msg/s        B/s    state B
                              positives   node-hour   per node   per node   per node
────────────────────────────────────────────────────────────────────────────────────
gossip        10   timeout            6        90.0       1.00        128       64.0

";
        assert_eq!(text.split("- never").next(), Some(expected), "{text}");
    }

    #[test]
    fn many_points_and_long_names_stay_within_a_hundred_columns() {
        let name = "an-approach-with-a-name-of-sixty-four-characters-xxxxxxxxxxxxxxx";
        let points: Vec<_> = (0..10).map(|index| sample::detected(name, 1_234_567 + index)).collect();
        let text = detection_table(&sample::report(&points)).unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= WIDTH, "{widest} columns\n{text}");
        assert_eq!(text.matches("1.234567M").count(), 3, "{text}");
    }
}
