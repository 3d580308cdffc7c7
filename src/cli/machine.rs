//! The machine on which something is measured, in a line.

use std::fs;
use std::path::Path;

use super::run::threads;
use crate::metrics::{available_memory, total_memory};

/// Its cores, memory and system: `2 cores (AMD EPYC), 24.9 GB of memory (23.1 GB free), linux 6.1.0 x86_64`.
pub(super) fn machine() -> String {
    let gigabytes =
        |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |bytes| format!("{:.1} GB", bytes as f64 / 1e9));
    let read = |path: &str| fs::read_to_string(Path::new(path)).ok();
    let processor = read("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = read("/proc/sys/kernel/osrelease").map_or(String::new(), |text| format!(" {}", text.trim()));
    format!(
        "{} cores{}, {} of memory ({} free), {}{kernel} {}",
        threads(None),
        processor.map_or(String::new(), |name| format!(" ({name})")),
        gigabytes(total_memory()),
        gigabytes(available_memory()),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}
