//! `qnetsim run --trace`: events of a run, one by one, in a file.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::engine::trace::{Happening, Record, Tracing};
use crate::metrics::PointResult;
use crate::report::{TraceRow, WriteError, trace_csv, trace_jsonl, turn_name, write_results};
use crate::scenario::build::TraceLog;

/// What is traced, and where to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// Write events one by one: sent, received and dropped messages, timers, nodes that come and go. CSV, or lines of JSON
    /// if FILE ends in .jsonl. For one scenario; the same bytes on any number of threads. Broadcasts that are counted as a
    /// whole are left out.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Most events of each point that are kept, the first; the file says how many were left out. At most 10,000,000.
    #[arg(long, value_name = "N", requires = "trace", default_value_t = Tracing::MAX_DEFAULT as u64,
          value_parser = clap::value_parser!(u64).range(1..=Tracing::MAX as u64))]
    trace_max: u64,

    /// Share of messages, timers and nodes that are traced, from 0 to 1, drawn by a hash: of a message all events or none.
    #[arg(long, value_name = "RATE", requires = "trace", default_value_t = 1.0, value_parser = rate)]
    trace_sample: f64,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.0..=1.0).contains(rate));
    rate.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

/// Traces of points on their way to a file.
#[derive(Debug)]
pub(super) struct Traces {
    path: PathBuf,
    is_csv: bool,
    max: usize,
    rate: f64,
    logs: Vec<TraceLog>,
}

impl TraceArgs {
    /// Whether a trace is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.trace.is_some()
    }

    /// Where traces of `scenarios` scenarios go, if anywhere.
    ///
    /// # Errors
    /// If the file is neither CSV nor lines of JSON, or if there are several scenarios.
    pub(super) fn open(&self, scenarios: usize) -> Result<Option<Traces>, Failure> {
        let Some(path) = &self.trace else { return Ok(None) };
        let refuse = |message: String| Err(Failure { code: Failure::BAD_SCENARIO, message });
        let is_csv = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => true,
            Some("jsonl") => false,
            _ => return refuse(format!("error: {} cannot be traced to: name it .csv or .jsonl", path.display())),
        };
        if scenarios != 1 {
            return refuse("error: --trace takes one scenario at a time, because there is one file".to_owned());
        }
        let (max, rate) = (self.trace_max as usize, self.trace_sample);
        Ok(Some(Traces { path: path.clone(), is_csv, max, rate, logs: Vec::new() }))
    }
}

impl Traces {
    /// What is traced of a run with `seed`.
    pub(super) fn tracing(&self, seed: u64) -> Tracing {
        Tracing { max: self.max, rate: self.rate, seed }
    }

    /// Takes in the trace of the next point.
    pub(super) fn add(&mut self, log: TraceLog) {
        self.logs.push(log);
    }

    /// Writes the file, and returns a line about it.
    pub(super) fn write(&self, points: &[PointResult]) -> Result<String, Failure> {
        let rows = points.iter().zip(&self.logs).flat_map(|(point, log)| {
            let events = log.records.iter().map(move |record| row(point, record));
            events.chain((log.cut > 0).then(|| TraceRow::cut(point, log.cut)))
        });
        let bytes = if self.is_csv { trace_csv(rows) } else { trace_jsonl(rows) };
        let failed = |error: WriteError| Failure::of(Failure::INPUT_OUTPUT, &error);
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        write_results(folder, &[(name, bytes)]).map_err(failed)?;
        let kept: usize = self.logs.iter().map(|log| log.records.len()).sum();
        let cut: u64 = self.logs.iter().map(|log| log.cut).sum();
        let more =
            if cut > 0 { format!("; {cut} more were cut, see --trace-max and --trace-sample") } else { String::new() };
        Ok(format!("{kept} events are in {}{more}\n", self.path.display()))
    }
}

fn row<'a>(point: &'a PointResult, record: &Record) -> TraceRow<'a> {
    let event = match record.happening {
        Happening::Sent => "sent",
        Happening::Dropped(cause) => cause,
        Happening::Received => "received",
        Happening::Timer => "timer",
        Happening::Turn(turn) => turn_name(turn),
    };
    let row = TraceRow::event(point, record.time, record.node, event);
    match record.happening {
        Happening::Turn(_) => row,
        Happening::Timer => TraceRow { sequence: Some(record.sequence), ..row },
        Happening::Sent | Happening::Dropped(_) | Happening::Received => TraceRow {
            kind: point.kinds.get(usize::from(record.kind)).copied(),
            sender: Some(record.sender),
            receiver: Some(record.receiver),
            sequence: Some(record.sequence),
            ..row
        },
    }
}
