//! A registry on disk: which engine keeps it, how it is opened, and what can go wrong.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use super::import::leftover;
use super::store::{Batch, BulkStore, Entries, Entry, Family, Store, Value};
use super::{CacheSizes, DatabaseError, Layout, Settings, UserDatabase};

pub mod fjall;
#[cfg(feature = "rocksdb")]
pub mod rocks;

/// What keeps families on disk. Both are log-structured merge trees; neither reads the files of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// fjall, in Rust.
    #[default]
    Fjall,
    /// RocksDB, in C++; only in a build with the feature `rocksdb`.
    RocksDb,
}

impl Engine {
    /// All of them, whether they were built or not.
    pub const ALL: [Engine; 2] = [Engine::Fjall, Engine::RocksDb];

    /// Those of this build.
    pub const BUILT: &[Engine] = if cfg!(feature = "rocksdb") { &Engine::ALL } else { &[Engine::Fjall] };

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Fjall => "fjall",
            Engine::RocksDb => "rocksdb",
        }
    }

    /// The engine whose store is at `path`, if any is.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn at(path: &Path) -> io::Result<Option<Engine>> {
        for engine in Engine::ALL {
            if engine.marker(path)?.is_some_and(|marker| marker.starts_with(engine.magic())) {
                return Ok(Some(engine));
            }
        }
        Ok(None)
    }

    /// How the file begins that stands in each store of the engine.
    fn magic(self) -> &'static [u8] {
        match self {
            Engine::Fjall => b"FJL",
            Engine::RocksDb => b"MANIFEST-",
        }
    }

    /// What that file in the folder `path` says; nothing if it is not there.
    fn marker(self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let name = match self {
            Engine::Fjall => "version",
            Engine::RocksDb => "CURRENT",
        };
        match std::fs::read(path.join(name)) {
            Ok(marker) => Ok(Some(marker)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Engine::ALL.into_iter().find(|engine| engine.name() == text);
        found.ok_or_else(|| format!("{text:?} is no engine; there are fjall and rocksdb"))
    }
}

/// How a store on disk is opened. What concerns the format of files (`layout`, `compressed`, `bloom_filters`) holds for a
/// store that is created; one that exists keeps what it was created with, or takes it for the tables that it writes from
/// now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// What keeps it. A store of another engine is refused. Default: fjall.
    pub engine: Engine,
    /// Whether to create a store where there is none. Default: yes.
    pub create: bool,
    /// The layout for which tables are tuned. `None` means the default layout for a new store. Default: `None`.
    pub layout: Option<Layout>,
    /// Blocks that are kept in memory, in bytes. Default: 32 MiB.
    pub block_cache: u64,
    /// Changes of one family that are collected in memory before they are written as a table, in bytes. Default: 16 MiB,
    /// so that seven families take 112 MiB at most before the writers are held back.
    pub memtable: u64,
    /// Whether blocks are compressed (LZ4) where that makes them smaller. Default: yes.
    pub compressed: bool,
    /// Whether tables have bloom filters, 10 bits a key, where keys are asked for that may be absent. Default: yes.
    pub bloom_filters: bool,
    /// Threads that write and merge tables. Default: 2.
    pub workers: usize,
}

impl Default for DiskOptions {
    fn default() -> Self {
        DiskOptions {
            engine: Engine::default(),
            create: true,
            layout: None,
            block_cache: 32 << 20,
            memtable: 16 << 20,
            compressed: true,
            bloom_filters: true,
            workers: 2,
        }
    }
}

/// The least that all journals together may grow to before tables are written, in bytes.
const JOURNAL: u64 = 64 << 20;

/// How the tables of a family are written.
struct Tables {
    /// Bytes of a block.
    block: u32,
    /// Whether they have bloom filters.
    filtered: bool,
    /// Whether blocks are compressed.
    compressed: bool,
}

impl Tables {
    /// Bits of a filter for each key.
    const FILTER_BITS: f32 = 10.0;

    /// Filters stand where one asks for keys that may be absent: compact numbers are never asked for in vain, and who has
    /// endorsed is told by the endorsed user or the group. What has nothing but hashes, keys and signatures is not
    /// compressed: that would make it longer.
    ///
    /// A lookup that no cache answers reads a block of an index and one of users. With blocks of a page, those of compact
    /// users not compressed, it took 10 us at a million users; with 8 and 16 KiB, all compressed, 17 us for 1 % less disk.
    fn of(family: Family, options: &DiskOptions) -> Self {
        let compact = options.layout.unwrap_or_default() == Layout::Compact;
        let (block, filtered, compressible) = match family {
            Family::User if compact => (4 << 10, false, false),
            Family::User => (16 << 10, true, true),
            Family::Key | Family::GovernmentId => (4 << 10, true, true),
            Family::Endorsement => (16 << 10, false, !compact),
            Family::Currency | Family::Country => (16 << 10, false, true),
            Family::Meta => (4 << 10, false, false),
        };
        let (filtered, compressed) = (options.bloom_filters && filtered, options.compressed && compressible);
        Tables { block, filtered, compressed }
    }
}

/// Why a store on disk cannot be opened, read or written.
#[derive(Debug, Error)]
pub enum DiskError {
    /// Nothing is there, and nothing was to be created.
    #[error("there is no registry at {path}", path = .0.display())]
    Missing(PathBuf),
    /// Something else is there.
    #[error("{path} holds something that is not a registry: {1}", path = .0.display())]
    NotARegistry(PathBuf, String),
    /// A store of another engine is there.
    #[error("the registry at {path} is kept by the engine {found}, not by {wanted}: open it with {found}", path = .path.display())]
    OtherEngine {
        /// The folder.
        path: PathBuf,
        /// The engine that made it.
        found: Engine,
        /// The engine that was to open it.
        wanted: Engine,
    },
    /// The engine is not in this program.
    #[error(
        "this program was built without the engine {0}; `cargo build --release --features {0}` builds it in (it needs \
         RocksDB's library and ROCKSDB_LIB_DIR: see README)"
    )]
    NotBuilt(Engine),
    /// Another process has it open.
    #[error("the registry at {path} is in use by another process", path = .0.display())]
    Locked(PathBuf),
    /// A later version of the engine wrote it.
    #[error("the registry at {path} was written by a later version of its engine (format {1}; known up to 3)", path = .0.display())]
    Newer(PathBuf, u8),
    /// Its files are damaged.
    #[error("the registry at {path} is damaged: {1}", path = .0.display())]
    Corrupt(PathBuf, String),
    /// No room is left on the disk.
    #[error("the disk of {path} is full; what was not acknowledged is not kept", path = .0.display())]
    DiskFull(PathBuf, #[source] io::Error),
    /// An earlier write failed, so that nothing more is written.
    #[error("an earlier write to {path} failed (a full disk, for one); open it again when the cause is gone", path = .0.display())]
    Poisoned(PathBuf),
    /// The file system refused something.
    #[error("cannot read or write {path}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// Keys that are ingested do not ascend.
    #[error("entries of the family {0} do not come in order of their keys")]
    Disorder(&'static str),
}

fn explain_io(path: PathBuf, error: io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::DiskFull(path, error),
        io::ErrorKind::UnexpectedEof => DiskError::Corrupt(path, error.to_string()),
        _ => DiskError::Io(path, error),
    }
}

/// What the marker of the store at `path` says, which is one of the engine wanted; nothing if there is room for a new one.
/// `is_unborn` tells whether the engine was interrupted in a folder before it had founded a store.
fn look(
    path: &Path,
    options: &DiskOptions,
    is_unborn: impl Fn(&Path) -> io::Result<bool>,
) -> Result<Option<Vec<u8>>, DiskError> {
    let not = |what: &str| DiskError::NotARegistry(path.to_path_buf(), what.to_owned());
    let failed = |error| explain_io(path.to_path_buf(), error);
    let vacant = || if options.create { Ok(None) } else { Err(DiskError::Missing(path.to_path_buf())) };
    if !path.try_exists().map_err(failed)? {
        return vacant();
    }
    if !path.is_dir() {
        return Err(not("it is a file"));
    }
    if let Some(marker) = options.engine.marker(path).map_err(failed)? {
        return Ok(Some(marker));
    }
    if let Some(found) = Engine::at(path).map_err(failed)? {
        return Err(DiskError::OtherEngine { path: path.to_path_buf(), found, wanted: options.engine });
    }
    let empty = path.read_dir().map_err(failed)?.next().is_none();
    if empty || is_unborn(path).map_err(failed)? { vacant() } else { Err(not("a folder with other files")) }
}

/// Bytes of all files in `folder` and the folders below it, as allocated or as long, whichever is less: journals are
/// allocated before they are filled.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        // Tables are removed by merges at any time.
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { allocated(&metadata) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.len().min(metadata.blocks() * 512)
}

#[cfg(not(unix))]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

/// Opens the registry at `path`, or founds one there: the store by `options`, the rest by `caches`. If an import made it
/// that was killed before it had removed its folder, that is removed.
///
/// # Errors
///
/// Those of [`DiskStore::open`] and [`UserDatabase::open`].
pub fn open_registry(
    path: &Path,
    options: &DiskOptions,
    caches: CacheSizes,
) -> Result<UserDatabase<DiskStore>, DatabaseError<DiskError>> {
    let store = DiskStore::open(path, options)?;
    leftover::clean(path);
    UserDatabase::open(store, &Settings { layout: options.layout, caches })
}

/// Families on disk, kept by one engine or another.
pub enum DiskStore {
    /// By fjall.
    Fjall(fjall::FjallStore),
    /// By RocksDB.
    #[cfg(feature = "rocksdb")]
    RocksDb(rocks::RocksStore),
}

/// Asks whichever engine it is.
macro_rules! ask {
    ($store:expr, $engine:ident => $call:expr) => {
        match $store {
            DiskStore::Fjall($engine) => $call,
            #[cfg(feature = "rocksdb")]
            DiskStore::RocksDb($engine) => $call,
        }
    };
}

impl DiskStore {
    /// Opens the store at `path`, a folder, or creates it.
    ///
    /// # Errors
    ///
    /// All of [`DiskError`] but `Poisoned` and `Disorder`.
    pub fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        match options.engine {
            Engine::Fjall => fjall::FjallStore::open(path, options).map(DiskStore::Fjall),
            #[cfg(feature = "rocksdb")]
            Engine::RocksDb => rocks::RocksStore::open(path, options).map(DiskStore::RocksDb),
            #[cfg(not(feature = "rocksdb"))]
            Engine::RocksDb => Err(DiskError::NotBuilt(Engine::RocksDb)),
        }
    }

    /// The engine that keeps it.
    pub fn engine(&self) -> Engine {
        match self {
            DiskStore::Fjall(_) => Engine::Fjall,
            #[cfg(feature = "rocksdb")]
            DiskStore::RocksDb(_) => Engine::RocksDb,
        }
    }

    /// The folder of the store.
    pub fn path(&self) -> &Path {
        ask!(self, engine => engine.path())
    }

    /// Bytes of the tables of `family` on disk: data, indexes and filters.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn table_bytes(&self, family: Family) -> Result<u64, DiskError> {
        ask!(self, engine => engine.table_bytes(family))
    }

    /// Bytes of all files of the store, journals included.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, DiskError> {
        folder_bytes(self.path()).map_err(|error| explain_io(self.path().to_path_buf(), error))
    }

    /// Bytes of blocks in the cache.
    pub fn cached_bytes(&self) -> u64 {
        ask!(self, engine => engine.cached_bytes())
    }

    /// Writes what is in memory to tables and merges all tables of every family into one run.
    ///
    /// # Errors
    ///
    /// If tables cannot be read or written.
    pub fn compact(&self) -> Result<(), DiskError> {
        ask!(self, engine => engine.compact())
    }
}

impl Store for DiskStore {
    type Error = DiskError;

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, DiskError> {
        ask!(self, engine => engine.get(family, key))
    }

    fn contains(&self, family: Family, key: &[u8]) -> Result<bool, DiskError> {
        ask!(self, engine => engine.contains(family, key))
    }

    fn scan<'a>(&'a self, family: Family, prefix: &[u8], from: &[u8]) -> Entries<'a, DiskError> {
        ask!(self, engine => engine.scan(family, prefix, from))
    }

    fn commit(&self, batch: Batch) -> Result<(), DiskError> {
        ask!(self, engine => engine.commit(batch))
    }

    fn sync(&self) -> Result<(), DiskError> {
        ask!(self, engine => engine.sync())
    }
}

impl BulkStore for DiskStore {
    fn ingest<E: From<DiskError>>(
        &self,
        family: Family,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<u64, E> {
        ask!(self, engine => engine.ingest(family, entries))
    }
}
