//! The folder in which an import works, beside the registry that comes of it, and how far it has come.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::ImportError;

/// The version of [`Progress`] as it is written.
const VERSION: u32 = 1;
const PROGRESS: &str = "progress.json";
const LOCK: &str = "lock";

/// How far an import has come: what need not be done again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    version: u32,
    /// What is imported, and how. An import that differs starts anew.
    pub(super) identity: String,
    /// Runs of endorsements on disk, ...
    pub(super) runs: usize,
    /// ... and the endorsements in them, which are the first of the source.
    pub(super) endorsements: u64,
}

impl Progress {
    /// Nothing done of the import of `identity`.
    pub(super) fn new(identity: String) -> Self {
        Progress { version: VERSION, identity, ..Self::default() }
    }
}

/// A folder that nobody else works in.
pub(super) struct Work {
    folder: PathBuf,
    target: PathBuf,
    _lock: File,
}

impl Work {
    /// The folder for an import to `target`: of the same name with `.import` behind it.
    pub(super) fn open(target: &Path) -> Result<Self, ImportError> {
        let taken = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => true,
            Err(source) => return Err(ImportError::Work { path: target.to_path_buf(), source }),
        };
        if taken {
            return Err(ImportError::Exists(target.to_path_buf()));
        }
        let Some(name) = target.file_name() else { return Err(ImportError::Exists(target.to_path_buf())) };
        let mut name = name.to_os_string();
        name.push(".import");
        let folder = target.with_file_name(name);
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ImportError::Work { path, source }
        };
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let path = folder.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Work { folder, target: target.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ImportError::Busy(target.to_path_buf())),
            Err(TryLockError::Error(source)) => Err(ImportError::Work { path, source }),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the registry is built.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("database")
    }

    /// What went wrong in the folder.
    pub(super) fn failed(&self, source: io::Error) -> ImportError {
        ImportError::Work { path: self.folder.clone(), source }
    }

    /// How far the import of `identity` came before. What another import has left is removed; so is a registry that was not
    /// completed.
    pub(super) fn resume(&self, identity: String) -> Result<Progress, ImportError> {
        let read = fs::read(self.folder.join(PROGRESS)).ok();
        let found: Option<Progress> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let found = found.filter(|found| found.version == VERSION && found.identity == identity);
        let keep =
            |name: &str| name == LOCK || found.is_some() && (name == PROGRESS || name.starts_with("endorsements-"));
        self.clear(keep).map_err(|error| self.failed(error))?;
        Ok(found.unwrap_or_else(|| Progress::new(identity)))
    }

    fn clear(&self, keep: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(&keep) {
                continue;
            }
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
        Ok(())
    }

    /// Keeps `progress`: whole, or as it was before.
    pub(super) fn save(&self, progress: &Progress) -> Result<(), ImportError> {
        let save = || -> io::Result<()> {
            let mut file = NamedTempFile::new_in(&self.folder)?;
            file.write_all(&serde_json::to_vec(progress)?)?;
            file.as_file().sync_all()?;
            file.persist(self.folder.join(PROGRESS)).map_err(|error| error.error)?;
            sync_folder(&self.folder)
        };
        save().map_err(|error| self.failed(error))
    }

    /// Gives the registry, which is complete and closed, its name, and removes the folder. A reader of the name sees
    /// nothing before and all of it afterwards.
    pub(super) fn finish(self) -> Result<(), ImportError> {
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let finish = || -> io::Result<()> {
            sync_folder(&self.database())?;
            fs::rename(self.database(), &self.target)?;
            sync_folder(parent)
        };
        finish().map_err(|source| ImportError::Work { path: self.target.clone(), source })?;
        self.discard();
        Ok(())
    }

    /// Removes the folder. What cannot be removed does no harm: the next import begins by that.
    pub(super) fn discard(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
