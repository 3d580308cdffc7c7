//! How much memory the process has held, and how much it may take.

use std::fs;

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

/// Memory that this process can still take, in bytes: what the machine has available, or what its control group
/// leaves of its limit if that is less. `None` where the system does not tell.
pub fn available_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kibibytes(&text, "MemAvailable:"));
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = |limit: &str, used: &str| Some(number(limit)?.saturating_sub(number(used)?));
    let v2 = group("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current");
    let v1 = group("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes");
    machine.into_iter().chain(v2).chain(v1).min()
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
