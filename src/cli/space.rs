//! How much room a filesystem has.

use std::path::Path;

/// Bytes that can still be written where `folder` is, or would be if it was made; `None` where the system does not tell.
#[cfg(unix)]
pub(super) fn available_disk(folder: &Path) -> Option<u64> {
    let here = if folder.is_absolute() { folder.to_owned() } else { std::env::current_dir().ok()?.join(folder) };
    let room = here.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    room.f_bavail.checked_mul(room.f_frsize)
}

/// Other systems do not tell.
#[cfg(not(unix))]
pub(super) fn available_disk(_: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above() {
        let root = tempfile::tempdir().unwrap();
        let inner = available_disk(&root.path().join("a/b/c"));
        assert!(inner.is_some_and(|room| room > 0) && available_disk(Path::new("none/such")).is_some());
    }
}
