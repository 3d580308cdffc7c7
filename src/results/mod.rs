//! Results on disk that are read again: the runs of sweeps, the sheets made of them, and comparisons of two results;
//! and traces, to find where two part.
//!
//! A sweep's folder holds `sweep.json`, the [`Manifest`] of what is to be run, and a file in `runs/` for each run that is
//! finished. All else is made of these, so a sweep that was interrupted goes on, and shards make what one run would.
//! What is read is taken as hostile: bounded in size, checked field by field, refused with the reason.

mod checkpoint;
mod compare;
mod divergence;
mod formats;
mod manifest;
mod read;
mod record;
mod sheets;
mod trace;

pub use checkpoint::{CHECKPOINT_FOLDER, Label, PARTIAL_FOLDER, Part, Seal, StoredPart, UnusableError};
pub use compare::{Comparison, Figure, Key, Moved, Results, compare};
pub use divergence::{Divergence, Step, causes, diverge};
pub use formats::{human, json, markdown};
pub use manifest::{MANIFEST_FILE, Manifest, ManifestAxis, ManifestCombination, ManifestPoint, RunId};
pub use read::{ReadError, read_metrics, read_sweep};
pub use record::{Record, RecordedMetric, StoredError};
pub use sheets::{MEANS_FILE, SWEEP_FILE, SWEPT_THRESHOLDS_FILE, Sheets, short_names};
pub use trace::{TraceError, TraceEvent, TraceReader};

/// The folder of finished runs in that of a sweep.
pub const RUNS_FOLDER: &str = "runs";
/// Version of the layout of the files of a sweep.
pub const FORMAT: u64 = crate::report::STORED_FORMAT;
