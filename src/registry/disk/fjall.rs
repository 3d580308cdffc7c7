//! The default engine, fjall: a log-structured merge tree in Rust, with a keyspace for each family.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy,
    RestartIntervalPolicy,
};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::super::store::{Batch, BulkStore, Entries, Entry, Family, Store, Value};
use super::{DiskError, DiskOptions, JOURNAL, Tables, explain_io, folder_bytes, look};

/// Families on disk.
pub struct FjallStore {
    keyspaces: [Keyspace; Family::ALL.len()],
    database: Database,
    path: PathBuf,
}

/// The highest of its formats that is known.
const ENGINE_FORMAT: u8 = 3;

/// Full memtables of a family at which writers are held back: with one that is being filled meanwhile and one that the next
/// write fills, still one fewer than the engine's own limit.
const SEALED_MAX: usize = 2;

fn keyspace_options(family: Family, options: &DiskOptions) -> KeyspaceCreateOptions {
    let Tables { block, filtered, compressed } = Tables::of(family, options);
    let compression = if compressed { CompressionType::Lz4 } else { CompressionType::None };
    let filter = if filtered {
        FilterPolicy::all(FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(Tables::FILTER_BITS)))
    } else {
        FilterPolicy::disabled()
    };
    KeyspaceCreateOptions::default()
        .max_memtable_size(options.memtable)
        .data_block_size_policy(BlockSizePolicy::all(block))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(16))
        .data_block_compression_policy(CompressionPolicy::all(compression))
        .filter_policy(filter)
        // Both stand in one block for a whole table, megabytes long: where such a block falls out of the cache, every lookup
        // reads all of it again.
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
}

/// What an error of the engine means for the store at `path`.
fn explain(path: &Path, error: fjall::Error) -> DiskError {
    let path = path.to_path_buf();
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => explain_io(path, error),
        fjall::Error::Locked => DiskError::Locked(path),
        fjall::Error::Poisoned => DiskError::Poisoned(path),
        other => DiskError::Corrupt(path, format!("{other:?}")),
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

/// Whether a store that begins with `marker` can be opened.
fn check_marker(path: &Path, marker: &[u8]) -> Result<(), DiskError> {
    match marker {
        [b'F', b'J', b'L', version, ..] if *version > ENGINE_FORMAT => {
            Err(DiskError::Newer(path.to_path_buf(), *version))
        }
        [b'F', b'J', b'L', ENGINE_FORMAT, ..] => Ok(()),
        [b'F', b'J', b'L', ..] => {
            let what = "a store of an earlier version of the engine".to_owned();
            Err(DiskError::NotARegistry(path.to_path_buf(), what))
        }
        _ => Err(DiskError::Corrupt(path.to_path_buf(), "its file `version` is no version".to_owned())),
    }
}

impl FjallStore {
    /// Opens the store at `path`, a folder, or creates it.
    ///
    /// # Errors
    ///
    /// All of [`DiskError`] but `Poisoned` and `Disorder`.
    pub fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        if let Some(marker) = look(path, options, is_unborn)? {
            check_marker(path, &marker)?;
        }
        let failed = |error| explain(path, error);
        let builder = Database::builder(path)
            .cache_size(options.block_cache)
            .max_journaling_size(JOURNAL)
            .worker_threads(options.workers.max(1));
        let database = builder.open().map_err(failed)?;
        let known = |name: &str| Family::ALL.iter().any(|family| family.name() == name);
        if let Some(foreign) = database.list_keyspace_names().iter().find(|name| !known(name)) {
            return Err(DiskError::NotARegistry(path.to_path_buf(), format!("a store with a keyspace {foreign:?}")));
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
    pub fn table_bytes(&self, family: Family) -> Result<u64, DiskError> {
        folder_bytes(self.keyspace(family).path()).map_err(|error| explain_io(self.path.clone(), error))
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
    pub fn compact(&self) -> Result<(), DiskError> {
        for keyspace in &self.keyspaces {
            keyspace.rotate_memtable_and_wait().map_err(|error| explain(&self.path, error))?;
            keyspace.major_compact().map_err(|error| explain(&self.path, error))?;
        }
        Ok(())
    }

    /// Holds a writer back while full memtables wait to become tables. The engine does so, too, but from a fourth one on and
    /// without end: if a table could not be written, because the disk is full, it would wait for ever.
    fn wait_for_tables(&self) -> Result<(), DiskError> {
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
    type Error = DiskError;

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, DiskError> {
        let found = self.keyspace(family).get(key).map_err(|error| explain(&self.path, error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn contains(&self, family: Family, key: &[u8]) -> Result<bool, DiskError> {
        self.keyspace(family).contains_key(key).map_err(|error| explain(&self.path, error))
    }

    fn scan<'a>(&'a self, family: Family, prefix: &[u8], from: &[u8]) -> Entries<'a, DiskError> {
        let prefix = prefix.to_vec();
        let entries = self.keyspace(family).range(prefix.as_slice().max(from)..);
        let read = move |guard: fjall::Guard| match guard.into_inner() {
            Ok((key, value)) => key.starts_with(&prefix).then(|| Ok((key.to_vec(), value.to_vec()))),
            Err(error) => Some(Err(explain(&self.path, error))),
        };
        Box::new(entries.map_while(read))
    }

    fn commit(&self, batch: Batch) -> Result<(), DiskError> {
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

    fn sync(&self) -> Result<(), DiskError> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| explain(&self.path, error))
    }
}

impl BulkStore for FjallStore {
    fn ingest<E: From<DiskError>>(
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
                return Err(DiskError::Disorder(family.name()).into());
            }
            ingestion.write(key.as_slice(), value).map_err(failed)?;
            last = Some(key);
            taken += 1;
        }
        ingestion.finish().map_err(failed)?;
        Ok(taken)
    }
}
