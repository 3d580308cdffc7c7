//! Watching a command from outside: logs for people, a stream of lines for schedulers.

pub(super) mod log;
pub(super) mod metrics;

use std::path::PathBuf;

use super::Failure;

/// What every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Watching")]
pub(super) struct WatchArgs {
    /// Log to standard error what is done: error, warn, info, debug or trace, or levels by module, such as
    /// info,qnetsim::cli::sweep=debug. Nothing is logged for each event of a simulation: that is what --trace is for.
    #[arg(long, global = true, value_name = "FILTER", value_parser = log::filter)]
    log: Option<log::Filter>,

    /// Append the log to a file instead; of level info if --log is not given.
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Append how far the command is to a file, for schedulers: a line of JSON each second, after 100 seconds each
    /// hundredth of the time so far, at most a minute apart. Lines have unix_s, elapsed_s, command, points, points_done,
    /// events, events_per_s (since the line before), memory_bytes, left_s (estimated), running (points that are simulated
    /// now, with simulated_s of span_s) and exit_code, which only the last line has. Null is what is not known.
    #[arg(long, global = true, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

impl WatchArgs {
    /// Begins to log and to write lines, for the command with the name `command`.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub(super) fn start(&self, command: &str) -> Result<(), Failure> {
        log::start(self.log.as_ref(), self.log_file.as_deref())?;
        if let Some(path) = &self.metrics_file {
            metrics::start(path, command)?;
        }
        tracing::info!(command, version = env!("CARGO_PKG_VERSION"), "the command begins");
        Ok(())
    }
}

/// Ends logs and lines with the exit code `code` of the command, and returns what went wrong with them.
pub(super) fn finish(code: u8) -> impl Iterator<Item = Failure> {
    tracing::info!(exit_code = code, "the command ends");
    metrics::finish(code).into_iter().chain(log::finish())
}

/// The failure to write to `path`, a file that is no result.
fn failed(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let message = format!("error: cannot write {}: {error}", path.display());
    Failure { code: Failure::INPUT_OUTPUT, message }
}
