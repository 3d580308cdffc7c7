//! The folder that an import leaves which is killed after its registry got its name: recognised and removed.
//!
//! Before that, the import writes a mark. Where the mark stands and the registry has gone from beside it, nothing is left
//! to do. A folder that holds anything else, or that somebody works in, is left alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::super::store::Family;

const MARK: &str = "complete";
const MARK_TEXT: &[u8] = b"The registry of this import is complete and has its name.\n";
/// The other files of the folder, as `work.rs` and `sorter.rs` call them.
const LOCK: &str = "lock";
const OTHERS: [&str; 3] = [LOCK, "progress.json", MARK];

/// Says in the work folder that all is done but the name.
pub(super) fn mark(folder: &Path) -> io::Result<()> {
    let mut file = File::create(folder.join(MARK))?;
    file.write_all(MARK_TEXT)?;
    file.sync_all()
}

/// Removes what an import to `target` left that was complete. Whatever hinders it does no harm and is not told.
pub(in super::super) fn clean(target: &Path) {
    let Some(name) = target.file_name() else { return };
    let mut name = name.to_os_string();
    name.push(".import");
    let folder = target.with_file_name(name);
    if is_ours(&folder).unwrap_or(false) {
        let _ = remove(&folder);
    }
}

/// Whether `folder` is what a complete import left, and nothing else.
fn is_ours(folder: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !(entry.file_type()?.is_file() && name.to_str().is_some_and(is_known)) {
            return Ok(false);
        }
    }
    let mark = folder.join(MARK);
    Ok(fs::metadata(&mark)?.len() == MARK_TEXT.len() as u64 && fs::read(&mark)? == MARK_TEXT)
}

fn is_known(name: &str) -> bool {
    let is_run = |sorted: &str| {
        name.strip_prefix(sorted).is_some_and(|rest| rest.starts_with('-'))
            && Path::new(name).extension() == Some("run".as_ref())
    };
    OTHERS.contains(&name) || is_run("endorsements") || Family::ALL.iter().any(|family| is_run(family.name()))
}

/// Removes `folder`, unless somebody works in it; the mark last, so that a kill leaves what is recognised again.
fn remove(folder: &Path) -> io::Result<()> {
    let lock = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| is_known(name) && name != MARK && name != LOCK) {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_file(folder.join(LOCK))?;
    fs::remove_file(folder.join(MARK))?;
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::super::super::CacheSizes;
    use super::super::super::disk::{DiskOptions, open_registry};
    use super::super::super::population::Population;
    use super::super::work::Work;
    use super::super::{ImportError, ImportOptions, import, run};
    use super::*;

    /// Imports to `target` and stops where a kill could stop it: after the registry has its name.
    fn killed_at_the_end(target: &Path) {
        let population = Population::new(1, 20_000, 1);
        let small = ImportOptions { memory: 2 << 20, ..ImportOptions::default() };
        let work = Work::open(target).unwrap();
        run(&work, &population, &small, &mut |_, _, _| {}).unwrap();
        mark(work.folder()).unwrap();
        fs::rename(work.database(), target).unwrap();
    }

    #[test]
    fn what_a_complete_import_left_is_removed_when_its_registry_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (target, left) = (folder.path().join("r"), folder.path().join("r.import"));
        killed_at_the_end(&target);
        let names = fs::read_dir(&left).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.count() > 2, "the import sorted on disk");
        let registry = open_registry(&target, &DiskOptions::default(), CacheSizes::default()).unwrap();
        assert!(!left.exists());
        assert_eq!(registry.total_users(), 20_000);
    }

    #[test]
    fn what_a_complete_import_left_is_removed_by_the_next_import_which_is_refused_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (target, left) = (folder.path().join("r"), folder.path().join("r.import"));
        killed_at_the_end(&target);
        let again = import(&target, &Population::new(1, 10, 1), &ImportOptions::default(), &mut |_, _, _| {});
        assert!(matches!(again, Err(ImportError::Exists(_))), "{again:?}");
        assert!(!left.exists());
    }

    #[test]
    fn what_may_be_somebody_elses_or_is_not_complete_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (target, left) = (folder.path().join("r"), folder.path().join("r.import"));
        let stays = |what: &str| {
            let before = fs::read_dir(&left).unwrap().count();
            clean(&target);
            assert_eq!(fs::read_dir(&left).unwrap().count(), before, "{what}");
        };
        clean(&target);
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::write(left.join("endorsements-0.run"), "sorted").unwrap();
        stays("without the mark, it may go on");
        fs::write(left.join(MARK), "yes").unwrap();
        stays("another mark");
        mark(&left).unwrap();
        fs::create_dir(left.join("database")).unwrap();
        stays("the registry has no name yet");
        fs::remove_dir(left.join("database")).unwrap();
        fs::write(left.join("letters.txt"), "dear").unwrap();
        stays("somebody's letters");
        fs::remove_file(left.join("letters.txt")).unwrap();
        let held = File::options().write(true).open(left.join(LOCK)).unwrap();
        held.try_lock().unwrap();
        stays("somebody works in it");
        drop(held);
        clean(&target);
        assert!(!left.exists());
    }
}
