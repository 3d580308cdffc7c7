//! Results against what was accepted before: baselines, what differs from them, and which thresholds failed.
//!
//! A *fingerprint* is what a baseline keeps of a run: the digest and the counts of every point, traffic bucket by bucket,
//! and the metrics that the scenario has a tolerance for. Two runs of the same scenario have the same fingerprint, so
//! whatever differs was changed by somebody.

mod baseline;
mod compare;
mod formats;

pub use baseline::{BASELINE_BYTES_MAX, BaselineError, Bucket, Fingerprint, PointFingerprint};
pub use compare::{Allowance, Difference, FailedThreshold, Parting, compare, failed_thresholds};
pub use formats::{Checked, Outcome, PointName, github, human, json, junit};
