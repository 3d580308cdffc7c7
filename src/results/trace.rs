//! Traces as they are read again, row by row: CSV or lines of JSON, as `qnetsim run --trace` writes them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::report::TRACE_COLUMNS;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 4_096;

/// Why a trace cannot be used.
#[derive(Debug, Error)]
pub enum TraceError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no trace.
    #[error("{}: {reason}: `qnetsim run --trace FILE.csv` (or FILE.jsonl) writes traces", path.display())]
    NoTrace {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is damaged.
    #[error("{}, line {line}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// An event of a trace, or how many were left out. Fields as in [`TRACE_COLUMNS`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceEvent {
    /// The approach.
    pub approach: String,
    /// Nodes of the point.
    pub nodes: u32,
    /// When, in nanoseconds; `None` in the row that tells what was left out.
    pub time_ns: Option<u64>,
    /// Where.
    pub node: Option<u32>,
    /// sent, received, the cause of a drop, timer, joined, left, crashed; or cut.
    pub event: String,
    /// The kind of the message.
    pub kind: Option<String>,
    /// The sender of the message.
    pub sender: Option<u32>,
    /// Its receiver.
    pub receiver: Option<u32>,
    /// The sender's number of the message, or the node's of its timer.
    pub sequence: Option<u32>,
    /// How many records were left out.
    pub cut_records: Option<u64>,
}

impl TraceEvent {
    /// Whether it tells how many records were left out.
    pub fn is_cut(&self) -> bool {
        self.event == "cut"
    }

    /// Whether it is something that a node handled, and to which it may have answered.
    pub fn is_handled(&self) -> bool {
        matches!(self.event.as_str(), "received" | "timer" | "joined" | "left" | "crashed")
    }

    /// Whether both are of the same run.
    pub fn is_of_same_point(&self, other: &TraceEvent) -> bool {
        self.nodes == other.nodes && self.approach == other.approach
    }

    /// Where it stands in the order of events: time, node, sender, sequence.
    pub fn order(&self) -> (u64, u32, u32, u32) {
        let most = u32::MAX;
        let own = if self.event == "timer" { self.node } else { None };
        (
            self.time_ns.unwrap_or(u64::MAX),
            self.node.unwrap_or(most),
            self.sender.or(own).unwrap_or(most),
            self.sequence.unwrap_or(most),
        )
    }

    /// What is missing of an event of its kind, if anything.
    fn lack(&self) -> Option<&'static str> {
        let is_message = matches!(
            self.event.as_str(),
            "sent" | "received" | "lost" | "partitioned" | "uplink-full" | "downlink-full" | "receiver-down"
        );
        let is_known = is_message || self.is_handled() || self.is_cut();
        match self {
            _ if !is_known => Some("the event is none that traces have"),
            _ if self.is_cut() => self.cut_records.is_none().then_some("it does not say how many events were cut"),
            TraceEvent { time_ns: None, .. } | TraceEvent { node: None, .. } => Some("it has no time or no node"),
            TraceEvent { sequence: None, .. } if is_message || self.event == "timer" => Some("it has no sequence"),
            TraceEvent { sender: None, .. } | TraceEvent { receiver: None, .. } if is_message => {
                Some("it has no sender or no receiver")
            }
            _ => None,
        }
    }
}

/// Reads a trace a row at a time; holds one line, however long the file is.
#[derive(Debug)]
pub struct TraceReader<R = BufReader<File>> {
    lines: R,
    path: PathBuf,
    is_csv: bool,
    /// The lines read so far.
    line: u64,
    bytes: Vec<u8>,
}

impl TraceReader {
    /// Opens the trace `path`; whether it is CSV is told by its name.
    ///
    /// # Errors
    /// If it cannot be opened, or is no trace.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let unreadable = |source| TraceError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        TraceReader::new(BufReader::new(file), path)
    }
}

impl<R: BufRead> TraceReader<R> {
    /// Reads the trace in `lines`, which is called `path`.
    ///
    /// # Errors
    /// If it is no trace.
    pub fn new(lines: R, path: &Path) -> Result<Self, TraceError> {
        let no_trace = |reason| TraceError::NoTrace { path: path.to_owned(), reason };
        let is_csv = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => true,
            Some("jsonl") => false,
            _ => return Err(no_trace("its name ends neither in .csv nor in .jsonl")),
        };
        let mut reader = TraceReader { lines, path: path.to_owned(), is_csv, line: 0, bytes: Vec::new() };
        if is_csv {
            let header = reader.next_line()?.then_some(&reader.bytes[..]);
            if header != Some(TRACE_COLUMNS.join(",").as_bytes()) {
                return Err(no_trace("its first line has not the columns of a trace"));
            }
        }
        Ok(reader)
    }

    /// The lines read so far.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn damaged(&self, reason: &'static str) -> TraceError {
        TraceError::Damaged { path: self.path.clone(), line: self.line, reason }
    }

    /// Reads a line, without its end. False at the end of the file.
    fn next_line(&mut self) -> Result<bool, TraceError> {
        self.bytes.clear();
        let read = (&mut self.lines).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut self.bytes);
        let read = read.map_err(|source| TraceError::Unreadable { path: self.path.clone(), source })?;
        if read == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.bytes.pop_if(|last| *last == b'\n').is_some() {
            return Ok(true);
        }
        let is_long = read as u64 > LINE_BYTES_MAX;
        Err(self.damaged(if is_long { "the line is longer than any that is written" } else { "the line has no end" }))
    }

    fn row(&mut self) -> Result<Option<TraceEvent>, TraceError> {
        if !self.next_line()? {
            return Ok(None);
        }
        let event = if self.is_csv {
            let mut record = csv::StringRecord::new();
            let mut row = csv::ReaderBuilder::new().has_headers(false).from_reader(&self.bytes[..]);
            let is_whole = row.read_record(&mut record).is_ok_and(|is_there| is_there);
            let event =
                if is_whole && record.len() == TRACE_COLUMNS.len() { record.deserialize(None).ok() } else { None };
            event.ok_or("it has not the cells of an event")
        } else {
            serde_json::from_slice(&self.bytes).map_err(|_| "it is no JSON of an event")
        };
        let event: TraceEvent = event.map_err(|reason| self.damaged(reason))?;
        match event.lack() {
            Some(reason) => Err(self.damaged(reason)),
            None => Ok(Some(event)),
        }
    }
}

impl<R: BufRead> Iterator for TraceReader<R> {
    type Item = Result<TraceEvent, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}
