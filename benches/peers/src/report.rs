//! What one simulation did, and the line that says so.

use std::fmt;
use std::time::Duration;

/// Counts that show that the work was done, the same for every simulator that does it.
pub(crate) enum Check {
    /// The rumour's spread; `missed + reached` is the number of nodes.
    Gossip { reached: u64, missed: u64, duplicates: u64 },
    /// Heartbeats fired and delivered, and the in-edges over which at least one arrived.
    Heartbeat { fired: u64, delivered: u64, edges_heard: u64 },
}

impl Check {
    /// Deliveries plus timer firings.
    pub(crate) fn events(&self) -> u64 {
        match *self {
            Self::Gossip { reached, duplicates, .. } => reached + duplicates,
            Self::Heartbeat { fired, delivered, .. } => fired + delivered,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gossip { reached, missed, duplicates } => {
                write!(f, "reached:{reached},missed:{missed},duplicates:{duplicates}")
            }
            Self::Heartbeat { fired, delivered, edges_heard } => {
                write!(f, "fired:{fired},delivered:{delivered},edges_heard:{edges_heard}")
            }
        }
    }
}

/// A finished simulation.
pub(crate) struct Outcome {
    /// Wall time of the event loop alone, without setup and without teardown.
    pub(crate) elapsed: Duration,
    /// What the nodes saw.
    pub(crate) check: Check,
}

/// Largest resident set of this process so far, in bytes; `None` where the system does not tell.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
