//! The other engine, RocksDB: a log-structured merge tree in C++, with a column family for each family.

use std::io;
use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    DBCompressionType, DBRecoveryMode, Direction, ErrorKind, IngestExternalFileOptions, IteratorMode, LogLevel,
    Options, ReadOptions, SstFileWriter, WriteBatch,
};

use super::super::store::{Batch, BulkStore, Entries, Entry, Family, Store, Value, after_prefix};
use super::{DiskError, DiskOptions, JOURNAL, Tables, explain_io, look};

/// Families on disk.
pub struct RocksStore {
    database: DB,
    cache: Cache,
    /// How the tables of each family are written, for those that are made outside of the database.
    tables: Vec<Options>,
    path: PathBuf,
}

/// The family that every database of the engine has, and that is empty here.
const DEFAULT: &str = "default";

/// Bytes of a table at which an ingestion begins another.
const TABLE: u64 = 256 << 20;

/// What the folders are called in which tables are made that are to be ingested.
const INGESTION: &str = "ingestion-";

/// How the tables of `family` are written.
fn table_options(family: Family, options: &DiskOptions, cache: &Cache) -> Options {
    let Tables { block, filtered, compressed } = Tables::of(family, options);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_size(block as usize);
    blocks.set_block_cache(cache);
    blocks.set_format_version(5);
    if filtered {
        blocks.set_bloom_filter(f64::from(Tables::FILTER_BITS), false);
    }
    let mut tables = Options::default();
    tables.set_block_based_table_factory(&blocks);
    tables.set_write_buffer_size(usize::try_from(options.memtable).unwrap_or(usize::MAX));
    tables.set_compression_type(if compressed { DBCompressionType::Lz4 } else { DBCompressionType::None });
    tables.set_level_compaction_dynamic_level_bytes(true);
    tables
}

/// How a database is opened.
fn database_options(options: &DiskOptions) -> Options {
    let mut all = Options::default();
    all.create_if_missing(options.create);
    all.create_missing_column_families(true);
    all.set_max_total_wal_size(JOURNAL);
    all.set_db_write_buffer_size(usize::try_from(options.memtable).unwrap_or(usize::MAX) * Family::ALL.len());
    all.set_max_background_jobs(i32::try_from(options.workers.max(1)).unwrap_or(i32::MAX));
    // A torn end is what a killed process leaves; damage before it is no end but an error.
    all.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // The engine's own log for people.
    all.set_log_level(LogLevel::Warn);
    all.set_max_log_file_size(1 << 20);
    all.set_keep_log_file_num(2);
    all.set_stats_dump_period_sec(0);
    all.set_stats_persist_period_sec(0);
    all
}

/// What an error of the engine means for the store at `path`.
fn explain(path: &Path, error: &rocksdb::Error) -> DiskError {
    let text = error.to_string();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let of = |kind| io::Error::new(kind, text.clone());
    let path = path.to_path_buf();
    match error.kind() {
        _ if has(&["No space left on device", "Disk quota exceeded"]) => {
            DiskError::DiskFull(path, of(io::ErrorKind::StorageFull))
        }
        ErrorKind::IOError if has(&["While lock file", "lock hold by current process"]) => DiskError::Locked(path),
        ErrorKind::Corruption => DiskError::Corrupt(path, text),
        _ => DiskError::Io(path, of(io::ErrorKind::Other)),
    }
}

/// Whether the engine was interrupted at `path` before it had founded a store. It goes on with what is there.
fn is_unborn(path: &Path) -> io::Result<bool> {
    for entry in path.read_dir()? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let is_early = name == "LOCK" || name == "IDENTITY" || name.ends_with(".dbtmp");
        if !(is_early || name.starts_with("LOG") || name.starts_with("MANIFEST-") || name.ends_with(".log")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the families of the database at `path` are those of a registry, or will be: only ours are there, or none and
/// nothing else either.
fn check_families(path: &Path, options: &Options) -> Result<(), DiskError> {
    let failed = |error| explain(path, &error);
    let not = |what: String| Err(DiskError::NotARegistry(path.to_path_buf(), what));
    let names = DB::list_cf(options, path).map_err(failed)?;
    let known = |name: &String| name == DEFAULT || Family::ALL.iter().any(|family| family.name() == name);
    if let Some(foreign) = names.iter().find(|name| !known(name)) {
        return not(format!("a store with a column family {foreign:?}"));
    }
    if names.len() <= Family::ALL.len() {
        // Founding was interrupted, or somebody else keeps all in the one family that is always there.
        let database = DB::open_cf_for_read_only(&Options::default(), path, [DEFAULT], false).map_err(failed)?;
        if database.iterator(IteratorMode::Start).next().transpose().map_err(failed)?.is_some() {
            return not("a store without column families".to_owned());
        }
    }
    Ok(())
}

/// Removes what an ingestion left that was killed before its tables were the database's.
fn clear_ingestions(path: &Path) -> io::Result<()> {
    for entry in path.read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(INGESTION) && entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

impl RocksStore {
    /// Opens the store at `path`, a folder, or creates it.
    ///
    /// # Errors
    ///
    /// All of [`DiskError`] but `Newer`, `Poisoned` and `Disorder`.
    pub fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        let failed = |error| explain(path, &error);
        let failed_io = |error| explain_io(path.to_path_buf(), error);
        let all = database_options(options);
        match look(path, options, is_unborn)? {
            Some(_) => check_families(path, &all)?,
            // The engine makes but the last folder of a path.
            None => std::fs::create_dir_all(path).map_err(failed_io)?,
        }
        let cache = Cache::new_lru_cache(usize::try_from(options.block_cache).unwrap_or(usize::MAX)).map_err(failed)?;
        let tables: Vec<Options> =
            Family::ALL.into_iter().map(|family| table_options(family, options, &cache)).collect();
        let families = Family::ALL.into_iter().zip(&tables);
        let families = families.map(|(family, tables)| ColumnFamilyDescriptor::new(family.name(), tables.clone()));
        let database = DB::open_cf_descriptors(&all, path, families).map_err(failed)?;
        clear_ingestions(path).map_err(failed_io)?;
        Ok(RocksStore { database, cache, tables, path: path.to_path_buf() })
    }

    /// The folder of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the tables of `family` on disk: data, indexes and filters.
    ///
    /// # Errors
    ///
    /// If the engine does not say.
    pub fn table_bytes(&self, family: Family) -> Result<u64, DiskError> {
        let bytes = self.database.property_int_value_cf(self.handle(family), "rocksdb.total-sst-files-size");
        Ok(bytes.map_err(|error| self.explain(&error))?.unwrap_or(0))
    }

    /// Bytes of blocks in the cache.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.get_usage() as u64
    }

    /// Writes what is in memory to tables and merges all tables of every family into one run.
    ///
    /// # Errors
    ///
    /// If tables cannot be read or written.
    pub fn compact(&self) -> Result<(), DiskError> {
        let failed = |error| self.explain(&error);
        // The engine does not say whether a merge failed; it counts its errors.
        let errors = || self.database.property_int_value("rocksdb.background-errors").map_err(failed);
        let before = errors()?;
        let mut how = CompactOptions::default();
        how.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for family in Family::ALL {
            let handle = self.handle(family);
            self.database.flush_cf(handle).map_err(failed)?;
            self.database.compact_range_cf_opt(handle, None::<&[u8]>, None::<&[u8]>, &how);
        }
        if errors()? == before {
            return Ok(());
        }
        let why = "its tables could not be merged; the file LOG in its folder says why".to_owned();
        Err(DiskError::Io(self.path.clone(), io::Error::other(why)))
    }

    fn handle(&self, family: Family) -> &ColumnFamily {
        let Some(handle) = self.database.cf_handle(family.name()) else { unreachable!("all families were opened") };
        handle
    }

    fn explain(&self, error: &rocksdb::Error) -> DiskError {
        explain(&self.path, error)
    }
}

impl Store for RocksStore {
    type Error = DiskError;

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Value>, DiskError> {
        self.database.get_cf(self.handle(family), key).map_err(|error| self.explain(&error))
    }

    fn contains(&self, family: Family, key: &[u8]) -> Result<bool, DiskError> {
        let found = self.database.get_pinned_cf(self.handle(family), key).map_err(|error| self.explain(&error))?;
        Ok(found.is_some())
    }

    fn scan<'a>(&'a self, family: Family, prefix: &[u8], from: &[u8]) -> Entries<'a, DiskError> {
        let mut how = ReadOptions::default();
        if let Some(end) = after_prefix(prefix) {
            how.set_iterate_upper_bound(end);
        }
        let start = IteratorMode::From(prefix.max(from), Direction::Forward);
        let entries = self.database.iterator_cf_opt(self.handle(family), how, start);
        Box::new(entries.map(|entry| match entry {
            Ok((key, value)) => Ok((key.into_vec(), value.into_vec())),
            Err(error) => Err(self.explain(&error)),
        }))
    }

    fn commit(&self, batch: Batch) -> Result<(), DiskError> {
        let mut changes = WriteBatch::default();
        for (family, key, value) in batch.changes {
            match value {
                Some(value) => changes.put_cf(self.handle(family), key, value),
                None => changes.delete_cf(self.handle(family), key),
            }
        }
        self.database.write(changes).map_err(|error| self.explain(&error))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.database.flush_wal(true).map_err(|error| self.explain(&error))
    }
}

impl RocksStore {
    /// Writes `entries` to tables in `folder`, whose paths and number of entries it returns.
    fn write_tables<E: From<DiskError>>(
        &self,
        family: Family,
        folder: &Path,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<(Vec<PathBuf>, u64), E> {
        let failed = |error| self.explain(&error);
        let (mut paths, mut taken) = (Vec::new(), 0);
        let mut last: Option<Vec<u8>> = None;
        let mut open: Option<SstFileWriter<'_>> = None;
        for entry in entries {
            let (key, value) = entry?;
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(DiskError::Disorder(family.name()).into());
            }
            let writer = match &mut open {
                Some(writer) => writer,
                closed => {
                    let path = folder.join(format!("{}-{}.sst", family.name(), paths.len()));
                    let writer = SstFileWriter::create(&self.tables[family as usize]);
                    writer.open(&path).map_err(failed)?;
                    paths.push(path);
                    closed.insert(writer)
                }
            };
            writer.put(&key, &value).map_err(failed)?;
            if writer.file_size() >= TABLE {
                writer.finish().map_err(failed)?;
                open = None;
            }
            last = Some(key);
            taken += 1;
        }
        if let Some(mut writer) = open {
            writer.finish().map_err(failed)?;
        }
        Ok((paths, taken))
    }
}

impl BulkStore for RocksStore {
    fn ingest<E: From<DiskError>>(
        &self,
        family: Family,
        entries: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<u64, E> {
        // Within the database's folder, so that tables are moved and not copied.
        let folder = tempfile::Builder::new().prefix(INGESTION).tempdir_in(&self.path);
        let folder = folder.map_err(|error| explain_io(self.path.clone(), error))?;
        let (paths, taken) = self.write_tables(family, folder.path(), entries)?;
        if taken > 0 {
            let mut how = IngestExternalFileOptions::default();
            how.set_move_files(true);
            let done = self.database.ingest_external_file_cf_opts(self.handle(family), &how, paths);
            done.map_err(|error| self.explain(&error))?;
        }
        Ok(taken)
    }
}
