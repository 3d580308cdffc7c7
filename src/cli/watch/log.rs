//! `--log` and `--log-file`: what a command does, line by line.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::super::Failure;
use super::failed;

/// What is logged.
pub(in crate::cli) type Filter = Targets;

/// Most parts of a filter.
const PARTS_MAX: usize = 32;

/// The file of the log.
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
    /// The first error: nothing is written after it.
    error: Mutex<Option<io::Error>>,
}

/// Where the log goes; `None` stands for standard error.
static LOG: OnceLock<Option<LogFile>> = OnceLock::new();

/// Reads a filter: levels of all and of single modules, parted by commas.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    let expected = "write a level (error, warn, info, debug, trace or off), or MODULE=LEVEL with a module such as \
                    qnetsim::cli; parts are parted by commas";
    let level = |text: &str| {
        let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic());
        text.parse::<LevelFilter>().ok().filter(|_| is_word)
    };
    let mut targets = Targets::new();
    if text.split(',').count() > PARTS_MAX {
        return Err(format!("a filter has at most {PARTS_MAX} parts"));
    }
    for part in text.split(',').map(str::trim) {
        targets = match part.split_once('=') {
            None => targets.with_default(level(part).ok_or(expected)?),
            Some((module, name)) if module == "qnetsim" || module.starts_with("qnetsim::") => {
                targets.with_target(module, level(name).ok_or(expected)?)
            }
            Some(_) => return Err(expected.to_owned()),
        };
    }
    Ok(targets)
}

/// Begins to log what `filter` lets through, to `path` or else to standard error; does nothing if neither is given.
pub(super) fn start(filter: Option<&Filter>, path: Option<&Path>) -> Result<(), Failure> {
    if filter.is_none() && path.is_none() {
        return Ok(());
    }
    let open = |path: &Path| {
        let file = File::options().create(true).append(true).open(path).map_err(|error| failed(path, &error))?;
        Ok(LogFile { path: path.to_owned(), file: Mutex::new(file), error: Mutex::default() })
    };
    let _ = LOG.set(path.map(open).transpose()?);
    let filter = filter.cloned().unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    // A process logs once: who embeds the command and logs already keeps the own log.
    let _ = tracing_subscriber::registry().with(layer().with_writer(|| Sink)).with(filter).try_init();
    Ok(())
}

/// Whether the log goes to standard error, where it would be torn by a line that is drawn over and over.
pub(in crate::cli) fn is_on_stderr() -> bool {
    matches!(LOG.get(), Some(None))
}

/// What went wrong with the file of the log, if anything did.
pub(super) fn finish() -> Option<Failure> {
    let log = LOG.get()?.as_ref()?;
    let error = log.error.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    Some(failed(&log.path, &error))
}

/// Takes whole lines. Errors are kept for the end: a log that cannot be written is no reason to stop a simulation.
struct Sink;

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(Some(log)) = LOG.get() else {
            // Nothing is left to be done if standard error is gone.
            let _ = io::stderr().write_all(line);
            return Ok(line.len());
        };
        let mut error = log.error.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_none() {
            let mut file = log.file.lock().unwrap_or_else(PoisonError::into_inner);
            *error = file.write_all(line).err();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_module() {
        let all = filter("debug").unwrap();
        assert!(all.would_enable("qnetsim::cli", &Level::DEBUG) && !all.would_enable("qnetsim::cli", &Level::TRACE));
        let one = filter("warn, qnetsim::cli::sweep=debug").unwrap();
        assert!(one.would_enable("qnetsim::cli::sweep::pool", &Level::DEBUG));
        assert!(!one.would_enable("qnetsim::cli", &Level::INFO));
        assert!(!filter("off").unwrap().would_enable("qnetsim::cli", &Level::ERROR));
    }

    #[test]
    fn a_filter_that_would_say_nothing_by_mistake_is_refused() {
        for bad in
            ["", "verbose", "info,", "cli=debug", "qnetsim::cli", "qnetsim::cli=loud", "3", "qnetsimulation=info"]
        {
            assert!(filter(bad).is_err_and(|error| error.starts_with("write a level")), "{bad}");
        }
        assert!(filter(&vec!["info"; 33].join(",")).is_err_and(|error| error.contains("at most 32")));
    }
}
