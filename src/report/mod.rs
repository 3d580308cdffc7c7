//! Results to bytes: CSV, JSON, tables, charts and pages, and the one place that writes them to files.
//!
//! An exporter is a pure function of a [`RunReport`]. The same scenario and seed give the same bytes on every machine;
//! only the `engine` part of the summary, which says how long the run took and what it held, differs.

mod bandwidth;
mod claims;
mod detection;
mod dictionary;
mod drops;
mod figures;
mod folder;
mod latency;
mod links;
mod load;
mod messages;
mod metrics;
mod notes;
mod number;
mod page;
mod plot;
mod population;
#[cfg(test)]
mod sample;
mod sheet;
mod summary;
mod table;
mod thresholds;
mod trace;
mod write;

use crate::metrics::{PointResult, Threshold};

pub use bandwidth::{bandwidth_csv, bandwidth_table};
pub use claims::{Answer, Ran, claims_csv, claims_human, claims_json, claims_markdown, growth_svg, verdicts_svg};
pub use detection::{detection_csv, detection_table};
pub use dictionary::dictionary;
pub use drops::{drops_csv, drops_table};
pub use figures::{curves_csv, figures_csv, figures_tables};
pub use folder::{ReadError, ResultFolder, STORED_FORMAT, layout_of};
pub use latency::latency_csv;
pub use links::links_csv;
pub use load::network_load_table;
pub use messages::{messages_csv, timeline_csv};
pub use metrics::{MEAN_COLUMNS, METRICS_COLUMNS, RUN_COLUMNS, metrics_csv};
pub(crate) use number::{Number, count, metric, plain};
pub use page::{RESULTS_MAX, report_html};
pub use plot::{Choice, Kind, Picture, PlotError, Theme, pictures};
pub use population::{population_csv, population_table};
pub use summary::{
    Comparison, DetectionTotals, Deterministic, DropCounts, EnginePart, EnginePoint, RankPart, SUMMARY_FORMAT,
    StageTotals, Summary, SummaryPoint, TypeCounts, summary_json,
};
pub use table::at_width;
pub(crate) use table::table_with;
pub use thresholds::{SWEPT_THRESHOLD_COLUMNS, thresholds_csv, verdict};
pub use trace::{TRACE_COLUMNS, TraceRow, trace_csv, trace_jsonl, turn_name};
pub use write::{WriteError, check_writable, remove_files, temporary_files, write_results, write_streamed};

/// All that a report says about one run of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct RunReport<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// What the scenario is about, in its own words.
    pub description: &'a str,
    /// Hash of the scenario, in hexadecimal.
    pub scenario_hash: &'a str,
    /// The seed.
    pub seed: u64,
    /// A command line that reproduces the run. It stands among what is the same on every machine, so it must leave
    /// out threads and paths of this one.
    pub command: &'a str,
    /// The scenario as TOML, with what it extends and all overrides in it.
    pub effective: &'a str,
    /// What metrics must keep.
    pub thresholds: &'a [Threshold],
    /// One result per approach and size, in the order of the scenario.
    pub points: &'a [PointResult],
    /// What is said of a run that was interrupted: what it is short of. `None` of one that is whole.
    pub partial: Option<&'a str>,
}

/// Every result file of a run, by name, for [`write_results`]. The chart is among them when there is one to draw, the
/// sheet of links when there are regions, those of figures, curves, thresholds and notes when there are any.
pub fn result_files(report: &RunReport<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![
        ("messages.csv", messages_csv(report)),
        ("bandwidth.csv", bandwidth_csv(report)),
        ("timeline.csv", timeline_csv(report)),
        ("latency.csv", latency_csv(report)),
        ("detection.csv", detection_csv(report)),
        ("population.csv", population_csv(report)),
        ("drops.csv", drops_csv(report)),
        ("metrics.csv", metrics_csv(report)),
        ("summary.json", summary_json(report)),
        ("scenario.toml", scenario_toml(report)),
    ];
    files.extend(links_csv(report).map(|csv| ("links.csv", csv)));
    files.extend(figures_csv(report).map(|csv| ("figures.csv", csv)));
    files.extend(curves_csv(report).map(|csv| ("curves.csv", csv)));
    files.extend(thresholds_csv(report).map(|csv| ("thresholds.csv", csv)));
    files.extend(notes_csv(report).map(|csv| ("notes.csv", csv)));
    let folder = ResultFolder::in_memory(report.scenario, &files);
    let drawn = pictures(&folder, Kind::NetworkLoad, &Choice::default()).expect("what was just written is well-formed");
    files.extend(
        drawn.iter().map(|picture| picture.svg(Theme::Light)).map(|svg| ("network-load.svg", svg)).collect::<Vec<_>>(),
    );
    files
}

/// What begins the lines of `scenario.toml` that say where a result comes from.
const ORIGIN: [&str; 3] = ["# command: ", "# version: ", "# hash: "];

/// `scenario.toml`: the effective scenario, under what made the result of it.
fn scenario_toml(report: &RunReport<'_>) -> Vec<u8> {
    let [command, version, hash] = ORIGIN;
    format!(
        "# The effective scenario of this result: all that the file, what it extends and --set say.\n\
         # Files that it names are beside the scenario of the command.\n\
         {command}{}\n{version}qnetsim {}\n{hash}{}\n\n{}",
        report.command.replace(['\n', '\r'], " "),
        env!("CARGO_PKG_VERSION"),
        report.scenario_hash,
        report.effective
    )
    .into_bytes()
}

/// The column of `notes.csv`.
const NOTES_COLUMNS: [&str; 1] = ["note"];

/// `notes.csv`: where documented figures follow from something else than what was measured, a row a sentence. `None` if
/// there is nothing to say.
fn notes_csv(report: &RunReport<'_>) -> Option<Vec<u8>> {
    let mut notes = notes::notes(report.points);
    notes.splice(0..0, report.partial.map(str::to_owned));
    (!notes.is_empty()).then(|| sheet::csv(&NOTES_COLUMNS, notes.into_iter().map(|note| [note])))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_a_run_is_written_and_every_sheet_is_rectangular() {
        let points = [sample::tiers(), sample::flat("gossip", 3, 5)];
        let files = result_files(&sample::report(&points));
        let folder = tempfile::tempdir().unwrap();
        write_results(folder.path(), &files).unwrap();
        let mut rows = 0;
        for (name, bytes) in &files {
            assert_eq!(&std::fs::read(folder.path().join(name)).unwrap(), bytes, "{name}");
            if name.ends_with(".csv") {
                let mut sheet = csv::Reader::from_reader(&bytes[..]);
                let columns: BTreeSet<_> = sheet.headers().unwrap().iter().map(str::to_owned).collect();
                assert_eq!(columns.len(), sheet.headers().unwrap().len(), "{name} repeats a column");
                // The reader refuses rows of another length.
                rows += sheet.records().map(Result::unwrap).count();
            }
        }
        let metrics: usize = points.iter().map(|point| crate::metrics::measurements(point).len()).sum();
        assert_eq!((files.len(), rows), (11, 12 + 4 + 12 + metrics));
        assert!(metrics > 20, "{metrics}");
        assert_eq!(result_files(&sample::report(&points[..1])).len(), 10, "one size is no chart");
    }
}
