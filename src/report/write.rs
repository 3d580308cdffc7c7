//! Result files on disk: each whole or not at all, and the old set kept when a new one cannot be written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Why results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder does not exist and cannot be made.
    #[error("cannot create the folder {}", path.display())]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The contents of a file could not be stored; no file of the set was changed.
    #[error("cannot write {}", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that was stored could not be given its name; files before it have their new contents.
    #[error("cannot replace {}", path.display())]
    ReplaceFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files have their names, but a crash of the machine might still undo that.
    #[error("cannot store the folder {}", path.display())]
    SyncFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes `files`, by name, into the folder `dir`, which is made if it is missing.
///
/// All contents are on disk under temporary names before the first file gets its own, so a full disk leaves the old
/// set as it was. A reader sees each file either old or new. Temporary files are removed on error.
///
/// # Errors
/// [`WriteError`] names the path at fault.
pub fn write_results<N: AsRef<Path>>(dir: &Path, files: &[(N, Vec<u8>)]) -> Result<(), WriteError> {
    create_folder(dir)?;
    let mut stored = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let path = dir.join(name);
        match store(dir, &path, bytes) {
            Ok(file) => stored.push((file, path)),
            Err(source) => return Err(WriteError::WriteFile { path, source }),
        }
    }
    for (file, path) in stored {
        if let Err(error) = file.persist(&path) {
            return Err(WriteError::ReplaceFile { path, source: error.error });
        }
        tracing::debug!(file = %path.display(), "a file has its contents");
    }
    sync_folder(dir)
}

/// Writes the file `name` into the folder `dir`, which is made if it is missing, piece by piece as `fill` makes it: whole or
/// not at all, as [`write_results`] does.
///
/// # Errors
/// [`WriteError`] names the path at fault.
pub fn write_streamed(
    dir: &Path,
    name: &str,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    create_folder(dir)?;
    let path = dir.join(name);
    let file = temporary(dir, &path).and_then(|file| {
        fill(&mut file.as_file())?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    let file = file.map_err(|source| WriteError::WriteFile { path: path.clone(), source })?;
    file.persist(&path).map_err(|error| WriteError::ReplaceFile { path, source: error.error })?;
    sync_folder(dir)
}

/// Removes the files `names`, in this order, and the folder `dir` if nothing else is in it. What is not there is no error.
///
/// # Errors
/// [`WriteError`] names the path at fault.
pub fn remove_files(dir: &Path, names: &[String]) -> Result<(), WriteError> {
    for name in names {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(WriteError::ReplaceFile { path, source: error });
            }
            _ => {}
        }
    }
    // A folder with something else in it stays.
    let _ = fs::remove_dir(dir);
    Ok(())
}

/// The names of files in `dir` that a process left there under temporary names when it was killed; none if it cannot be
/// read.
pub fn temporary_files(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(or_here(dir)) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(".qnetsim-") && name.ends_with(".tmp")).collect()
}

/// Finds out whether results can be written into `dir`, which is made if it is missing, before work is spent on them.
///
/// # Errors
/// [`WriteError`] names the path at fault.
pub fn check_writable(dir: &Path) -> Result<(), WriteError> {
    create_folder(dir)?;
    let probe = tempfile::Builder::new().prefix(".qnetsim-").suffix(".tmp").tempfile_in(or_here(dir));
    probe.map(drop).map_err(|source| WriteError::WriteFile { path: dir.to_owned(), source })
}

/// Makes `dir` and what is missing above it, and stores each in the folder that holds it.
fn create_folder(dir: &Path) -> Result<(), WriteError> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !exists(folder)).collect();
    fs::create_dir_all(dir).map_err(|source| WriteError::CreateFolder { path: dir.to_owned(), source })?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_folder)
}

fn exists(folder: &Path) -> bool {
    or_here(folder).exists()
}

/// The parent of a relative path of one part is the empty path, which stands for the current folder.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Stores `bytes` under a temporary name in `dir`, next to where they belong, so that renaming stays on one disk.
fn store(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let file = temporary(dir, path)?;
    fill(file.as_file(), bytes)?;
    Ok(file)
}

/// An empty file under a temporary name in `dir`, for what belongs to `path`.
fn temporary(dir: &Path, path: &Path) -> io::Result<NamedTempFile> {
    // Found out now, while nothing is changed, rather than at the rename.
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".qnetsim-").suffix(".tmp");
    // Temporary files are private by default; results are for everyone whom the umask lets read.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(or_here(dir))
}

/// Writes all of `bytes` and waits until the disk has them; a full disk may only say so then.
fn fill(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.flush()?;
    file.sync_all()
}

/// Waits until the disk has the names in `dir`. Only Unix can ask for that.
fn sync_folder(dir: &Path) -> Result<(), WriteError> {
    if !cfg!(unix) {
        return Ok(());
    }
    let synced = File::open(or_here(dir)).and_then(|folder| folder.sync_all());
    synced.map_err(|source| WriteError::SyncFolder { path: dir.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_written_and_replaced_in_folders_that_are_made() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        check_writable(&dir).unwrap();
        assert!(names(&dir).is_empty(), "the check leaves nothing behind");
        write_results(&dir, &[("x.csv", b"old, and longer".to_vec()), ("y.csv", Vec::new())]).unwrap();
        write_results(&dir, &[("x.csv", b"new".to_vec())]).unwrap();
        assert_eq!(fs::read(dir.join("x.csv")).unwrap(), b"new");
        assert_eq!(names(&dir), ["x.csv", "y.csv"]);
    }

    #[test]
    fn the_old_set_is_kept_when_a_later_file_cannot_be_written() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        fs::write(dir.join("a.csv"), "old").unwrap();
        fs::create_dir(dir.join("b.csv")).unwrap();
        let error = write_results(dir, &[("a.csv", b"new".to_vec()), ("b.csv", b"new".to_vec())]).unwrap_err();
        assert!(matches!(&error, WriteError::WriteFile { path, .. } if *path == dir.join("b.csv")), "{error:?}");
        assert!(error.to_string().ends_with("b.csv") && error.source().is_some());
        assert_eq!(fs::read(dir.join("a.csv")).unwrap(), b"old");
        assert_eq!(names(dir), ["a.csv", "b.csv"], "no temporary file is left");
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("results");
        fs::write(&dir, "not a folder").unwrap();
        for dir in [dir.clone(), dir.join("inner")] {
            let error = write_results(&dir, &[("a.csv", b"new".to_vec())]).unwrap_err();
            assert!(matches!(&error, WriteError::CreateFolder { path, .. } if *path == dir), "{error:?}");
            assert!(error.source().is_some());
        }
        assert_eq!(fs::read(&dir).unwrap(), b"not a folder");
    }

    #[test]
    fn a_name_in_a_folder_that_is_missing_fails_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let error = write_results(root.path(), &[("missing/a.csv", b"new".to_vec())]).unwrap_err();
        assert!(matches!(error, WriteError::ReplaceFile { .. }), "{error:?}");
        assert!(names(root.path()).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = fill(&full, b"some").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[cfg(unix)]
    #[test]
    fn results_are_as_readable_as_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        write_results(root.path(), &[("a.csv", Vec::new())]).unwrap();
        fs::write(root.path().join("plain"), "").unwrap();
        let mode = |name| fs::metadata(root.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("a.csv"), mode("plain"));
    }
}
