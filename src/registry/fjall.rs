//! A registry on disk: fjall, a log-structured merge tree, with a keyspace for each family.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry, RestartIntervalPolicy,
};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use thiserror::Error;

use super::store::{Batch, BulkStore, Entries, Entry, Family, Store, Value};
use super::{CacheSizes, DatabaseError, Layout, Settings, UserDatabase};

/// How a store on disk is opened. What concerns the format of files (`layout`, `compressed`, `bloom_filters`) holds for a
/// store that is created; one that exists keeps what it was created with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FjallOptions {
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

impl Default for FjallOptions {
    fn default() -> Self {
        FjallOptions {
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

/// Why a store on disk cannot be opened, read or written.
#[derive(Debug, Error)]
pub enum FjallError {
    /// Nothing is there, and nothing was to be created.
    #[error("there is no registry at {path}", path = .0.display())]
    Missing(PathBuf),
    /// Something else is there.
    #[error("{path} holds something that is not a registry: {1}", path = .0.display())]
    NotARegistry(PathBuf, String),
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

/// Families on disk.
pub struct FjallStore {
    keyspaces: [Keyspace; Family::ALL.len()],
    database: Database,
    path: PathBuf,
}

/// What fjall calls the file that says which of its formats a folder has, and the highest that is known.
const MARKER: &str = "version";
const ENGINE_FORMAT: u8 = 3;

/// Full memtables of a family at which writers are held back: with one that is being filled meanwhile and one that the next
/// write fills, still one fewer than the engine's own limit.
const SEALED_MAX: usize = 2;

/// The least that all journals together may grow to before tables are written, in bytes.
const JOURNAL: u64 = 64 << 20;

/// How the tables of a family are written. Filters stand where one asks for keys that may be absent: compact numbers are
/// never asked for in vain, and who has endorsed is told by the endorsed user or the group. What has nothing but hashes,
/// keys and signatures is not compressed: that would make it longer.
fn keyspace_options(family: Family, options: &FjallOptions) -> KeyspaceCreateOptions {
    let compact = options.layout.unwrap_or_default() == Layout::Compact;
    let (block, filtered, compressible) = match family {
        Family::User => (16 << 10, !compact, true),
        Family::Key | Family::GovernmentId => (8 << 10, true, true),
        Family::Endorsement => (16 << 10, false, !compact),
        Family::Currency | Family::Country => (16 << 10, false, true),
        Family::Meta => (4 << 10, false, false),
    };
    let compression = if options.compressed && compressible { CompressionType::Lz4 } else { CompressionType::None };
    let filter = if options.bloom_filters && filtered {
        FilterPolicy::all(FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0)))
    } else {
        FilterPolicy::disabled()
    };
    KeyspaceCreateOptions::default()
        .max_memtable_size(options.memtable)
        .data_block_size_policy(BlockSizePolicy::all(block))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(16))
        .data_block_compression_policy(CompressionPolicy::all(compression))
        .filter_policy(filter)
}

/// What an error of the engine means for the store at `path`.
fn explain(path: &Path, error: fjall::Error) -> FjallError {
    let path = path.to_path_buf();
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => explain_io(path, error),
        fjall::Error::Locked => FjallError::Locked(path),
        fjall::Error::Poisoned => FjallError::Poisoned(path),
        other => FjallError::Corrupt(path, format!("{other:?}")),
    }
}

fn explain_io(path: PathBuf, error: io::Error) -> FjallError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FjallError::DiskFull(path, error),
        io::ErrorKind::UnexpectedEof => FjallError::Corrupt(path, error.to_string()),
        _ => FjallError::Io(path, error),
    }
}

/// Whether the engine was interrupted at `path` before it had founded a store, which it could not go on with: nothing is
/// there yet. If so, removes what hinders it.
fn is_unborn(path: &Path) -> io::Result<bool> {
    const JOURNAL: &str = "0.jnl";
    const KEYSPACES: &str = "keyspaces";
    for entry in path.read_dir()? {
        let name = entry?.file_name();
        if name != "lock" && name != JOURNAL && name != KEYSPACES {
            return Ok(false);
        }
    }
    let keyspaces = path.join(KEYSPACES);
    if keyspaces.try_exists()? && keyspaces.read_dir()?.next().is_some() {
        return Ok(false);
    }
    match std::fs::remove_file(path.join(JOURNAL)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// Whether there is a store of the engine at `path`, or room for one.
fn look(path: &Path, create: bool) -> Result<(), FjallError> {
    let not = |what: &str| FjallError::NotARegistry(path.to_path_buf(), what.to_owned());
    let failed = |error| explain_io(path.to_path_buf(), error);
    if !path.try_exists().map_err(failed)? {
        return if create { Ok(()) } else { Err(FjallError::Missing(path.to_path_buf())) };
    }
    if !path.is_dir() {
        return Err(not("it is a file"));
    }
    let marker = match std::fs::read(path.join(MARKER)) {
        Ok(marker) => marker,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let empty = path.read_dir().map_err(failed)?.next().is_none();
            return match (empty || is_unborn(path).map_err(failed)?, create) {
                (true, true) => Ok(()),
                (true, false) => Err(FjallError::Missing(path.to_path_buf())),
                (false, _) => Err(not("a folder with other files")),
            };
        }
        Err(error) => return Err(failed(error)),
    };
    match marker.as_slice() {
        [b'F', b'J', b'L', version, ..] if *version > ENGINE_FORMAT => {
            Err(FjallError::Newer(path.to_path_buf(), *version))
        }
        [b'F', b'J', b'L', ENGINE_FORMAT, ..] => Ok(()),
        [b'F', b'J', b'L', ..] => Err(not("a store of an earlier version of the engine")),
        _ => Err(FjallError::Corrupt(path.to_path_buf(), format!("its file `{MARKER}` is no version"))),
    }
}

/// Opens the registry at `path`, or founds one there: the store by `options`, the rest by `caches`.
///
/// # Errors
///
/// Those of [`FjallStore::open`] and [`UserDatabase::open`].
pub fn open_registry(
    path: &Path,
    options: &FjallOptions,
    caches: CacheSizes,
) -> Result<UserDatabase<FjallStore>, DatabaseError<FjallError>> {
    let store = FjallStore::open(path, options)?;
    UserDatabase::open(store, &Settings { layout: options.layout, caches })
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

impl FjallStore {
    /// Opens the store at `path`, a folder, or creates it.
    ///
    /// # Errors
    ///
    /// All of [`FjallError`] but `Poisoned` and `Disorder`.
    pub fn open(path: &Path, options: &FjallOptions) -> Result<Self, FjallError> {
        look(path, options.create)?;
        let failed = |error| explain(path, error);
        let builder = Database::builder(path)
            .cache_size(options.block_cache)
            .max_journaling_size(JOURNAL)
            .worker_threads(options.workers.max(1));
        let database = builder.open().map_err(failed)?;
        let known = |name: &str| Family::ALL.iter().any(|family| family.name() == name);
        if let Some(foreign) = database.list_keyspace_names().iter().find(|name| !known(name)) {
            return Err(FjallError::NotARegistry(path.to_path_buf(), format!("a store with a keyspace {foreign:?}")));
        }
        let open = |family: Family| database.keyspace(family.name(), || keyspace_options(family, options));
        let mut keyspaces = Vec::with_capacity(Family::ALL.len());
        for family in Family::ALL {
            keyspaces.push(open(family).map_err(failed)?);
        }
        let Ok(keyspaces) = keyspaces.try_into() else { unreachable!("one keyspace for each family") };
        Ok(FjallStore { keyspaces, database, path: path.to_path_buf() })
    }

    /// The folder of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the files of `family` on disk: data, indexes and filters of its tables, and their list.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn table_bytes(&self, family: Family) -> Result<u64, FjallError> {
        folder_bytes(self.keyspace(family).path()).map_err(|error| explain_io(self.path.clone(), error))
    }

    /// Bytes of all files of the store, journals included.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, FjallError> {
        folder_bytes(&self.path).map_err(|error| explain_io(self.path.clone(), error))
    }

    /// Bytes of blocks in the cache.
    pub fn cached_bytes(&self) -> u64 {
        self.database.cache_size()
    }

    /// Writes what is in memory to tables and merges all tables of every family into one run.
    ///
    /// # Errors
    ///
    /// If tables cannot be read or written.
    pub fn compact(&self) -> Result<(), FjallError> {
        for keyspace in &self.keyspaces {
            keyspace.rotate_memtable_and_wait().map_err(|error| explain(&self.path, error))?;
            keyspace.major_compact().map_err(|error| explain(&self.path, error))?;
        }
        Ok(())
    }

    /// Holds a writer back while full memtables wait to become tables. The engine does so, too, but from a fourth one on and
    /// without end: if a table could not be written, because the disk is full, it would wait for ever.
    fn wait_for_tables(&self) -> Result<(), FjallError> {
        while self.keyspaces.iter().any(|keyspace| keyspace.sealed_memtable_count() >= SEALED_MAX) {
            self.database.persist(PersistMode::Buffer).map_err(|error| explain(&self.path, error))?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn keyspace(&self, family: Family) -> &Keyspace {
        &self.keyspaces[family as usize]
    }
}

impl Store for FjallStore {
    type Error = FjallError;

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, FjallError> {
        let found = self.keyspace(family).get(key).map_err(|error| explain(&self.path, error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn contains(&self, family: Family, key: &[u8]) -> Result<bool, FjallError> {
        self.keyspace(family).contains_key(key).map_err(|error| explain(&self.path, error))
    }

    fn scan<'a>(&'a self, family: Family, prefix: &[u8], from: &[u8]) -> Entries<'a, FjallError> {
        let prefix = prefix.to_vec();
        let entries = self.keyspace(family).range(prefix.as_slice().max(from)..);
        let read = move |guard: fjall::Guard| match guard.into_inner() {
            Ok((key, value)) => key.starts_with(&prefix).then(|| Ok((key.to_vec(), value.to_vec()))),
            Err(error) => Some(Err(explain(&self.path, error))),
        };
        Box::new(entries.map_while(read))
    }

    fn commit(&self, batch: Batch) -> Result<(), FjallError> {
        self.wait_for_tables()?;
        let mut changes = self.database.batch();
        for (family, key, value) in batch.changes {
            match value {
                Some(value) => changes.insert(self.keyspace(family), key, value),
                None => changes.remove(self.keyspace(family), key),
            }
        }
        changes.commit().map_err(|error| explain(&self.path, error))
    }

    fn sync(&self) -> Result<(), FjallError> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| explain(&self.path, error))
    }
}

impl BulkStore for FjallStore {
    fn ingest<E: From<FjallError>>(
        &self,
        family: Family,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<u64, E> {
        let failed = |error| explain(&self.path, error);
        let mut ingestion = self.keyspace(family).start_ingestion().map_err(failed)?;
        let mut last: Option<Vec<u8>> = None;
        let mut taken = 0;
        for entry in entries {
            let (key, value) = entry?;
            // The engine panics where keys do not ascend.
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(FjallError::Disorder(family.name()).into());
            }
            ingestion.write(key.as_slice(), value).map_err(failed)?;
            last = Some(key);
            taken += 1;
        }
        ingestion.finish().map_err(failed)?;
        Ok(taken)
    }
}
