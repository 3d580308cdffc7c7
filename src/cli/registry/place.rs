//! Where a registry is, a folder or a server, and the registry there.

use std::path::Path;

#[cfg(feature = "postgres")]
use super::of_database;
use super::open;
use crate::cli::Failure;
use crate::registry::UserRegistryConsensus;
use crate::registry::disk::{DiskError, DiskStore, Engine};
#[cfg(feature = "postgres")]
use crate::registry::server::{ServerError, ServerOptions, ServerRegistry};

/// Where a registry is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// In this folder.
    Folder(&'a Path),
    /// On the server with this URL, which may hold a password.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "a build without servers only refuses them"))]
    Server(&'a str),
}

impl<'a> Place<'a> {
    /// What `--db` names.
    pub(super) fn of(db: &'a Path) -> Self {
        match db.to_str() {
            Some(url) if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) => {
                Place::Server(url)
            }
            _ => Place::Folder(db),
        }
    }

    /// What a message may say of it: no URL, which may hold a password.
    pub(super) fn name(self) -> String {
        match self {
            Place::Folder(path) => path.display().to_string(),
            Place::Server(_) => "the server".to_owned(),
        }
    }

    /// The folder, for what only a registry on disk can do.
    pub(super) fn folder(self, what: &str, instead: &str) -> Result<&'a Path, Failure> {
        match self {
            Place::Folder(path) => Ok(path),
            Place::Server(_) => {
                let message = format!("error: {what} is for registries in a folder; {instead}");
                Err(Failure { code: Failure::BAD_SCENARIO, message })
            }
        }
    }

    /// Opens the registry, which exists unless `create`. `engine` keeps it if it is in a folder.
    pub(super) fn open(self, engine: Engine, create: bool) -> Result<Opened, Failure> {
        match self {
            Place::Folder(path) => Ok(Opened::Disk(UserRegistryConsensus::new(open(path, engine, create)?))),
            #[cfg(feature = "postgres")]
            Place::Server(url) => {
                let options = ServerOptions { create, ..server_options(url, engine)? };
                Ok(Opened::Server(ServerRegistry::open(&options).map_err(|error| of_database(&error))?))
            }
            #[cfg(not(feature = "postgres"))]
            Place::Server(_) => Err(not_built()),
        }
    }
}

/// How the registry at `url` is opened; the password is in the environment if it is not in the URL.
#[cfg(feature = "postgres")]
pub(super) fn server_options(url: &str, engine: Engine) -> Result<ServerOptions, Failure> {
    if engine != Engine::default() {
        let message = format!("error: --engine {engine} keeps registries in folders; a server keeps its own");
        return Err(Failure { code: Failure::BAD_SCENARIO, message });
    }
    Ok(ServerOptions { password: std::env::var("PGPASSWORD").ok(), ..ServerOptions::new(url) })
}

/// A program without servers.
#[cfg(not(feature = "postgres"))]
pub(super) fn not_built() -> Failure {
    let message = "error: this program was built without registries on servers; `cargo build --release --features \
                   postgres` builds them in (it needs libssl-dev and pkg-config: see README)";
    Failure { code: Failure::BAD_SCENARIO, message: message.to_owned() }
}

/// A registry that is open.
pub(super) enum Opened {
    /// In a folder.
    Disk(UserRegistryConsensus<DiskStore>),
    /// On a server.
    #[cfg(feature = "postgres")]
    Server(ServerRegistry),
}

/// Does the same with whichever registry is open.
macro_rules! with_registry {
    ($opened:expr, $registry:ident => $work:expr) => {
        match $opened {
            $crate::cli::registry::place::Opened::Disk($registry) => $work,
            #[cfg(feature = "postgres")]
            $crate::cli::registry::place::Opened::Server($registry) => $work,
        }
    };
}
pub(super) use with_registry;

/// What keeps a registry, by its errors.
pub(super) trait Keeper: std::error::Error + 'static {
    /// Whether something was asked for that cannot be, rather than something failed.
    fn is_of_request(&self) -> bool;
}

impl Keeper for DiskError {
    fn is_of_request(&self) -> bool {
        matches!(self, DiskError::OtherEngine { .. })
    }
}

#[cfg(feature = "postgres")]
impl Keeper for ServerError {
    fn is_of_request(&self) -> bool {
        matches!(self, ServerError::Url(_) | ServerError::Exists(_))
    }
}
