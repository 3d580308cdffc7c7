//! How much memory the process has held, and how much it may take.

use std::fs;
use std::path::{Path, PathBuf};

/// Peak resident memory of this process so far, in bytes; zero where the system does not tell.
///
/// Linux tells (`VmHWM` in `/proc/self/status`). The number belongs to the whole process and never falls, so it says
/// what a point needed only when that point was the largest so far.
pub fn peak_memory() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| kibibytes(&status, "VmHWM:")).unwrap_or(0)
}

/// Resident memory of this process now, in bytes (`VmRSS`); zero where the system does not tell.
pub fn resident_memory() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| kibibytes(&status, "VmRSS:")).unwrap_or(0)
}

/// Forgets the peak, so that the next one is that of what comes next. Does nothing where the system cannot.
pub fn reset_peak_memory() {
    // "5" resets the high water mark; see proc(5). A peak that cannot be reset is still an upper bound.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Memory that this process can still take, in bytes: what the machine has available, or what the limits of its control
/// groups (cgroups, version 1 or 2, its own and those above) or of its address space (`ulimit -v`) leave if that is less.
/// `None` where the system does not tell.
pub fn available_memory() -> Option<u64> {
    available_below(Path::new("/"))
}

/// As [`available_memory`], of a system whose root is at `root`.
fn available_below(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| kibibytes(&text, "MemAvailable:"));
    let groups = read("proc/self/cgroup").zip(read("proc/self/mountinfo"));
    let groups = groups.map_or_else(Vec::new, |(groups, mounts)| group_folders(root, &groups, &mounts));
    let space = read("proc/self/limits").zip(read("proc/self/status")).and_then(|(limits, status)| {
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
        // The limit that counts is the first of two; a word where there is none.
        let limit: u64 = limit.split_whitespace().next()?.parse().ok()?;
        Some(limit.saturating_sub(kibibytes(&status, "VmSize:")?))
    });
    machine.into_iter().chain(space).chain(groups.iter().filter_map(|folder| room_in(folder))).min()
}

/// What the limit of the control group at `folder` leaves, in bytes; `None` if it has none.
fn room_in(folder: &Path) -> Option<u64> {
    let number = |names: [&str; 2]| {
        let text = names.iter().find_map(|name| fs::read_to_string(folder.join(name)).ok())?;
        text.trim().parse::<u64>().ok()
    };
    let limit = number(["memory.max", "memory.limit_in_bytes"])?;
    let used = number(["memory.current", "memory.usage_in_bytes"])?;
    // Pages of files that nobody used lately are given back before the limit is felt.
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let field = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    let files: u64 = field("total_inactive_file").or_else(|| field("inactive_file")).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

/// The folders of the control groups that may limit the memory of this process: its own and those above, as
/// far as they are mounted. `groups` and `mounts` are `/proc/self/cgroup` and `/proc/self/mountinfo`; see cgroups(7).
fn group_folders(root: &Path, groups: &str, mounts: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for mount in mounts.lines() {
        let Some((fields, kind)) = mount.split_once(" - ") else { continue };
        let (mut fields, mut kind) = (fields.split(' ').skip(3), kind.split(' '));
        let (Some(top), Some(at), Some(name)) = (fields.next(), fields.next(), kind.next()) else { continue };
        let has_memory = |controllers: &str| controllers.split(',').any(|controller| controller == "memory");
        let is_mine = |controllers: &str| match name {
            "cgroup2" => controllers.is_empty(),
            "cgroup" => has_memory(controllers) && kind.clone().nth(1).is_some_and(has_memory),
            _ => false,
        };
        let group = groups.lines().find_map(|line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            is_mine(controllers).then_some(group)
        });
        let Some(group) = group else { continue };
        let at = root.join(at.trim_start_matches('/'));
        // In a container the group may be named as outside of it: what is mounted is then all that can be seen.
        let below = Path::new(group).strip_prefix(top).unwrap_or(Path::new(""));
        let own = at.join(below.strip_prefix("/").unwrap_or(below));
        folders.extend(own.ancestors().take_while(|folder| folder.starts_with(&at)).map(Path::to_owned));
    }
    folders
}

/// Memory of the machine, in bytes; `None` where the system does not tell.
pub fn total_memory() -> Option<u64> {
    fs::read_to_string("/proc/meminfo").ok().and_then(|text| kibibytes(&text, "MemTotal:"))
}

/// A line such as `VmHWM:  2048 kB`, in bytes; the kernel writes it in kibibytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_read_in_bytes_and_only_from_its_own_line() {
        assert_eq!(kibibytes("Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n", "VmHWM:"), Some(2 << 20));
        assert_eq!(kibibytes("VmPeak:\t 9 kB\n", "VmHWM:"), None);
        assert_eq!(kibibytes("VmHWM:\t 9 pages\n", "VmHWM:"), None);
    }

    /// A system of 8 GiB, in which this process is in a group, whose limits are those of `files`.
    fn system(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemAvailable: 8388608 kB\n");
        write("proc/self/cgroup", groups);
        write("proc/self/mountinfo", mounts);
        write("proc/self/status", "VmSize:\t1024 kB\n");
        files.iter().for_each(|(path, text)| write(path, text));
        available_below(root.path())
    }

    const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 23 0:28 / /cg rw - tmpfs tmpfs rw\n34 31 0:31 / /cg/cpu rw - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /cg/memory rw,relatime - cgroup cgroup rw,memory\n41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_least_limit_of_a_group_and_those_above_counts() {
        assert_eq!(system("0::/job/step\n", V2, &[]), Some(8 << 30));
        let step = [("sys/fs/cgroup/job/step/memory.max", "max\n"), ("sys/fs/cgroup/job/step/memory.current", "5\n")];
        assert_eq!(system("0::/job/step\n", V2, &step), Some(8 << 30));
        let job = [("sys/fs/cgroup/job/memory.max", "1000\n"), ("sys/fs/cgroup/job/memory.current", "300\n")];
        assert_eq!(system("0::/job/step\n", V2, &[step, job].concat()), Some(700));
        // What the files in memory take can be had back.
        let files = ("sys/fs/cgroup/job/memory.stat", "anon 200\ninactive_file 60\nactive_file 40\n");
        assert_eq!(system("0::/job/step\n", V2, &[&job[..], &[files]].concat()), Some(760));
        // Another group's limit is none of ours.
        assert_eq!(system("0::/other\n", V2, &job), Some(8 << 30));
    }

    #[test]
    fn groups_of_version_1_and_of_containers_are_found() {
        let groups = "9:name=systemd:/\n4:memory:/slurm/job_7\n1:cpu:/x\n0::/\n";
        let at = |folder: &str| {
            let names = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
            names.map(|name| format!("{folder}/{name}"))
        };
        let [limit, used] = at("cg/memory/slurm/job_7");
        assert_eq!(system(groups, V1, &[(&limit, "9000"), (&used, "1000")]), Some(8_000));
        assert_eq!(system(groups, V1, &[(&limit, "900"), (&used, "1000")]), Some(0));
        // The name is that of the host, and the group's own folder is mounted.
        let inside = "30 24 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup ro\n";
        let own = [("sys/fs/cgroup/memory.max", "500"), ("sys/fs/cgroup/memory.current", "100")];
        assert_eq!(system("0::/docker/1\n", inside, &own), Some(400));
        assert_eq!(system("0::/elsewhere\n", inside, &own), Some(400));
    }

    #[test]
    fn a_limit_of_the_address_space_counts_and_nonsense_does_not() {
        let limits = |text: &'static str| system("0::/\n", V2, &[("proc/self/limits", text)]);
        assert_eq!(limits("Limit  Soft  Hard  Units\nMax address space  2097152  unlimited  bytes\n"), Some(1 << 20));
        assert_eq!(
            limits("Max address space         unlimited            unlimited            bytes\n"),
            Some(8 << 30)
        );
        assert_eq!(system("x\n::\n\n", " - \n1 - cgroup2\n a b - c d\n", &[]), Some(8 << 30));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_mark_rises_with_memory_that_is_touched() {
        let before = peak_memory();
        assert!(before > 0);
        let block = vec![1u8; 64 << 20];
        assert!(peak_memory() >= 64 << 20);
        assert!(block.iter().all(|&byte| byte == 1));
        drop(block);
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
