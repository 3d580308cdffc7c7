//! What was found, for people, for programs, for JUnit readers, and as annotations of GitHub.

use std::collections::BTreeMap;
use std::fmt::Write;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::compare::{Difference, FailedThreshold};
use crate::metrics::Metric;

/// A scenario that was checked.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The scenario file.
    pub file: String,
    /// The scenario's name; the file's if it could not be read.
    pub scenario: String,
    /// The line of the file that names the approaches.
    #[serde(skip)]
    pub approaches_line: Option<usize>,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What names a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PointName {
    /// The approach.
    pub approach: String,
    /// Its nodes.
    pub nodes: u32,
}

/// How the check of a scenario went.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It ran.
    Ran {
        /// The points that ran.
        points: Vec<PointName>,
        /// The thresholds, as they are written.
        thresholds: Vec<String>,
        /// Whether there was a baseline to compare with.
        has_baseline: bool,
        /// What is not as it was accepted.
        differences: Vec<Difference>,
        /// Thresholds that are not kept.
        failed_thresholds: Vec<FailedThreshold>,
    },
    /// It could not be checked.
    Refused {
        /// The exit code that says why.
        exit_code: u8,
        /// Why.
        message: String,
        /// The line of the scenario file that is at fault, where one is.
        line: Option<usize>,
    },
}

impl Checked {
    /// Whether all is as accepted and all thresholds are kept.
    pub fn is_ok(&self) -> bool {
        matches!(&self.outcome, Outcome::Ran { differences, failed_thresholds, .. }
            if differences.is_empty() && failed_thresholds.is_empty())
    }
}

impl Difference {
    /// `messages.sent 12 -> 13 (+8.33 %), first parted at 3 s: messages.sent 4 -> 5`.
    fn line(&self) -> String {
        let absent = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let mut line = format!("{} {} -> {}", self.metric, absent(&self.old), absent(&self.new));
        if let Some(change) = self.change {
            let percent = change * 100.0;
            let _ = match percent.abs() < 0.01 {
                true => write!(line, " ({percent:+.1e} %)"),
                false => write!(line, " ({percent:+.2} %)"),
            };
        }
        if let Some(parting) = &self.first_parting {
            let (from_s, metric, old, new) = (parting.from_s, parting.metric, parting.old, parting.new);
            let _ = write!(line, ", first parted in the bucket at {from_s} s: {metric} {old} -> {new}");
        }
        line
    }

    fn point(&self) -> String {
        point_name(self.approach.as_deref().unwrap_or("scenario"), self.nodes)
    }
}

impl FailedThreshold {
    fn line(&self) -> String {
        let unit = Metric::named(&self.metric).map_or("", |metric| metric.unit.suffix());
        let measured =
            self.measured.map_or("nothing was measured".to_owned(), |value| format!("measured {value}{unit}"));
        format!("{}: {measured}", self.threshold)
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn point_name(approach: &str, nodes: Option<u32>) -> String {
    nodes.map_or_else(|| approach.to_owned(), |nodes| format!("{approach}, {nodes} nodes"))
}

/// Lines for people.
pub fn human(all: &[Checked]) -> String {
    let mut text = String::new();
    for checked in all {
        text += &human_of(checked);
    }
    let failed = all.iter().filter(|checked| !checked.is_ok()).count();
    let _ = match failed {
        0 => writeln!(text, "{} as accepted", counted(all.len(), "scenario")),
        _ => writeln!(text, "{failed} of {} failed", counted(all.len(), "scenario")),
    };
    text
}

fn human_of(checked: &Checked) -> String {
    let (file, mark) = (&checked.file, if checked.is_ok() { "ok  " } else { "FAIL" });
    let (points, thresholds, has_baseline, differences, failed) = match &checked.outcome {
        Outcome::Refused { message, .. } => return format!("{mark} {file}\n{}\n", indented(message)),
        Outcome::Ran { points, thresholds, has_baseline, differences, failed_thresholds } => {
            (points, thresholds, has_baseline, differences, failed_thresholds)
        }
    };
    let against = if *has_baseline { "as accepted" } else { "without a baseline" };
    let mut text = match checked.is_ok() {
        true => {
            let (points, thresholds) = (counted(points.len(), "point"), counted(thresholds.len(), "threshold"));
            format!("{mark} {file}: {points} {against}, {thresholds} kept\n")
        }
        false => {
            let (moved, all) = (counted(differences.len(), "difference"), counted(thresholds.len(), "threshold"));
            format!("{mark} {file}: {moved}, {} of {all} failed\n", failed.len())
        }
    };
    let mut last = String::new();
    for difference in differences {
        let point = difference.point();
        if point != last {
            let _ = writeln!(text, "     {point}");
            last = point;
        }
        let _ = writeln!(text, "       {}", difference.line());
    }
    for threshold in failed {
        let place = threshold.line.map_or(String::new(), |line| format!("{file}:{line}: "));
        let point = point_name(&threshold.approach, Some(threshold.nodes));
        let _ = writeln!(text, "     {place}threshold {} ({point})", threshold.line());
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("     {line}")).collect::<Vec<_>>().join("\n")
}

/// One JSON document.
pub fn json(all: &[Checked]) -> String {
    let mut text = serde_json::to_string_pretty(all).expect("names and numbers are JSON");
    text.push('\n');
    text
}

/// A JUnit report: a suite for each scenario, with a case for each point and each threshold.
pub fn junit(all: &[Checked]) -> String {
    let mut report = Report::new("qnetsim check");
    for checked in all {
        let mut suite = TestSuite::new(checked.scenario.clone());
        suite.extra.insert("file".into(), checked.file.clone().into());
        match &checked.outcome {
            Outcome::Refused { message, .. } => {
                suite.add_test_case(case(
                    "scenario",
                    &checked.scenario,
                    NonSuccessKind::Error,
                    std::slice::from_ref(message),
                ));
            }
            Outcome::Ran { points, thresholds, differences, failed_thresholds, .. } => {
                let mut of_point: BTreeMap<String, Vec<String>> =
                    points.iter().map(|point| (point_name(&point.approach, Some(point.nodes)), Vec::new())).collect();
                for difference in differences {
                    of_point.entry(difference.point()).or_default().push(difference.line());
                }
                for (point, lines) in &of_point {
                    suite.add_test_case(case(point, &checked.scenario, NonSuccessKind::Failure, lines));
                }
                for threshold in thresholds {
                    let is_this = |failed: &&FailedThreshold| failed.threshold == *threshold;
                    let failed: Vec<_> = failed_thresholds
                        .iter()
                        .filter(is_this)
                        .map(|failed| {
                            format!("{}: {}", point_name(&failed.approach, Some(failed.nodes)), failed.line())
                        })
                        .collect();
                    suite.add_test_case(case(threshold, &checked.scenario, NonSuccessKind::Failure, &failed));
                }
            }
        }
        report.add_test_suite(suite);
    }
    report.to_string().expect("a report in memory is written")
}

/// A case that passed if there is nothing to say against it.
fn case(name: &str, class: &str, kind: NonSuccessKind, against: &[String]) -> TestCase {
    let mut status = TestCaseStatus::success();
    if let Some(first) = against.first() {
        status = TestCaseStatus::non_success(kind);
        status.set_message(first.clone()).set_description(against.join("\n"));
    }
    let mut case = TestCase::new(name.to_owned(), status);
    case.set_classname(class.to_owned());
    case
}

/// Workflow commands that GitHub shows beside the lines of the scenario files, one a difference.
pub fn github(all: &[Checked]) -> String {
    let mut text = String::new();
    for checked in all {
        let mut error = |line: Option<usize>, title: &str, message: &str| {
            let line = line.map_or(String::new(), |line| format!(",line={line}"));
            let (file, title) = (property(&checked.file), property(title));
            let _ = writeln!(text, "::error file={file}{line},title={title}::{}", escaped(message));
        };
        match &checked.outcome {
            Outcome::Refused { message, line, .. } => error(*line, "cannot be checked", message),
            Outcome::Ran { differences, failed_thresholds, .. } => {
                for difference in differences {
                    error(checked.approaches_line, &difference.point(), &difference.line());
                }
                for threshold in failed_thresholds {
                    let point = point_name(&threshold.approach, Some(threshold.nodes));
                    error(threshold.line, &format!("threshold failed: {point}"), &threshold.line());
                }
            }
        }
    }
    text
}

/// The message of a workflow command: what would end it is escaped.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Parting;

    fn moved() -> Checked {
        let difference = Difference {
            approach: Some("gossip".to_owned()),
            nodes: Some(10),
            metric: "messages.sent".to_owned(),
            old: Some("12".to_owned()),
            new: Some("15".to_owned()),
            change: Some(0.25),
            first_parting: Some(Parting { from_s: 3.0, metric: "messages.sent", old: 4, new: 7 }),
        };
        let failed = FailedThreshold {
            approach: "gossip".to_owned(),
            nodes: 10,
            metric: "delay.p99".to_owned(),
            threshold: "delay.p99 < 1s".to_owned(),
            measured: Some(1.5),
            line: Some(9),
        };
        Checked {
            file: "a,b.toml".to_owned(),
            scenario: "ab".to_owned(),
            approaches_line: Some(3),
            outcome: Outcome::Ran {
                points: ["gossip", "ping"].map(|name| PointName { approach: name.to_owned(), nodes: 10 }).into(),
                thresholds: vec!["delay.p99 < 1s".to_owned(), "messages.lost == 0".to_owned()],
                has_baseline: true,
                differences: vec![difference],
                failed_thresholds: vec![failed],
            },
        }
    }

    fn refused() -> Checked {
        let outcome = Outcome::Refused { exit_code: 2, message: "100 % wrong\nin two lines".to_owned(), line: Some(4) };
        Checked { file: "c.toml".to_owned(), scenario: "c".to_owned(), approaches_line: None, outcome }
    }

    #[test]
    fn people_read_what_moved_from_where_on_and_where_the_threshold_stands() {
        let text = human(&[moved(), refused()]);
        for part in [
            "FAIL a,b.toml: 1 difference, 1 of 2 thresholds failed",
            "gossip, 10 nodes",
            "messages.sent 12 -> 15 (+25.00 %), first parted in the bucket at 3 s: messages.sent 4 -> 7",
            "a,b.toml:9: threshold delay.p99 < 1s: measured 1.5 s (gossip, 10 nodes)",
            "2 of 2 scenarios failed",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn annotations_point_at_lines_and_escape_what_would_end_them() {
        let text = github(&[moved(), refused()]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[0].starts_with("::error file=a%2Cb.toml,line=3,title=gossip%2C 10 nodes::messages.sent 12 -> 15")
        );
        assert!(lines[1].starts_with("::error file=a%2Cb.toml,line=9,title=threshold failed%3A gossip"));
        assert_eq!(lines[2], "::error file=c.toml,line=4,title=cannot be checked::100 %25 wrong%0Ain two lines");
    }

    #[test]
    fn junit_has_a_case_for_each_point_and_threshold() {
        let text = junit(&[moved(), refused()]);
        assert!(text.contains(r#"tests="5" skipped="0" failures="2" errors="1""#), "{text}");
        assert!(text.contains(r#"name="ping, 10 nodes""#) && text.contains("messages.lost == 0"), "{text}");
    }

    #[test]
    fn json_says_what_happened_by_file() {
        let value: serde_json::Value = serde_json::from_str(&json(&[moved(), refused()])).unwrap();
        assert_eq!(value[0]["outcome"], "ran");
        assert_eq!(value[0]["differences"][0]["first_parting"]["from_s"], 3.0);
        assert_eq!((&value[1]["outcome"], &value[1]["exit_code"]), (&"refused".into(), &2.into()));
    }
}
