//! What can go wrong with a registry on a server.

use std::io;
use std::path::PathBuf;

use postgres::error::SqlState;
use thiserror::Error;

/// Why a registry on a server cannot be opened, read or written. No text of it holds a password.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The URL of the server is malformed. It is not quoted, since it may hold a password.
    #[error(
        "the URL of a server is postgres://USER@HOST:PORT/DATABASE?PARAMETERS, with reserved characters as %XX, and the \
         password in PGPASSWORD: {0}"
    )]
    Url(&'static str),
    /// A certificate cannot be read.
    #[error("cannot read the certificate {path}", path = .path.display())]
    Certificate {
        /// The file that `sslrootcert` names.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Encryption cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] native_tls::Error),
    /// The server cannot be reached, or refuses a connection. What was not acknowledged is not there.
    #[error("cannot reach {server}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        source: postgres::Error,
    },
    /// The server refuses a statement.
    #[error("{server} refuses")]
    Refused {
        /// The server.
        server: String,
        /// Why.
        source: postgres::Error,
    },
    /// A change met others again and again.
    #[error("{0} has put off a change for others {1} times; try again when fewer write")]
    Busy(String, u32),
    /// The connection was lost during a commit, and the server cannot be asked what became of it.
    #[error(
        "the connection to {0} was lost during a commit, and what became of it cannot be told: look for the change before \
         making it again"
    )]
    Unknown(String),
    /// There is no registry, and none was to be founded.
    #[error("there is no registry in {0}")]
    Missing(String),
    /// There is a registry where a new one was to be made.
    #[error(
        "there is a registry in {0} already: an import makes a new one, so name another database or another schema \
             (?options=-csearch_path%3DNAME)"
    )]
    Exists(String),
    /// An import was cut off that could not be one transaction.
    #[error("an import to {0} was cut off: import again, which begins by removing what there is")]
    HalfImported(String),
    /// What was imported is not what is counted.
    #[error("{server} was given {given} rows of {table} and counts {counted}")]
    Differs {
        /// The server.
        server: String,
        /// The table.
        table: &'static str,
        /// Rows that were written.
        given: u64,
        /// Rows that are there.
        counted: u64,
    },
}

/// What to do about an error of the server or of the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing is to be done: it would happen again.
    Give,
    /// The transaction is undone for the sake of others: once more.
    Again,
    /// The connection is of no use any more: with a new one.
    Reconnect,
}

/// What to do about `error`, which came of anything but a commit.
pub(super) fn remedy(error: &postgres::Error) -> Remedy {
    let Some(code) = error.code() else { return Remedy::Reconnect };
    match *code {
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => Remedy::Again,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::TOO_MANY_CONNECTIONS
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Remedy::Reconnect,
        _ if code.code().starts_with("08") => Remedy::Reconnect,
        _ => Remedy::Give,
    }
}

/// Whether `error`, which came of a commit, says that nothing was committed. Transactions that are undone have codes of
/// class 40, of which 40003 says that the outcome is not known; broken constraints have class 23.
pub(super) fn is_undone(error: &postgres::Error) -> bool {
    let undone = |code: &str| code.starts_with("23") || code.starts_with("40") && code != "40003";
    error.code().is_some_and(|code| undone(code.code()))
}
