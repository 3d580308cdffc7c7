//! `qnetsim new`: a scenario to start from.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Failure, print};

pub(super) const NEW_EXAMPLES: &str = "Examples:
  qnetsim new
  qnetsim new liveness
  qnetsim new faults -o outage.toml
  qnetsim new detection -o -";

/// Arguments of `qnetsim new`.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// What the scenario is to be about; lists the topics if not given.
    #[arg(value_name = "TOPIC", value_parser = clap::builder::PossibleValuesParser::new(TOPICS.iter().map(|topic| topic.name)), hide_possible_values = true)]
    topic: Option<String>,

    /// The file to write, - for standard output; TOPIC.toml in the current folder if not given. One that is there is kept.
    #[arg(long, short, value_name = "FILE", requires = "topic")]
    output: Option<PathBuf>,
}

/// A scenario to start from.
struct Topic {
    name: &'static str,
    about: &'static str,
    text: &'static str,
}

const TOPICS: &[Topic] = &[
    Topic {
        name: "liveness",
        about: "ways of keeping a network alive, side by side",
        text: include_str!("new/liveness.toml"),
    },
    Topic {
        name: "detection",
        about: "how soon crashes are noticed, and at what cost",
        text: include_str!("new/detection.toml"),
    },
    Topic {
        name: "faults",
        about: "churn, a partition that heals, lossy links and a surge of latency",
        text: include_str!("new/faults.toml"),
    },
    Topic {
        name: "regions",
        about: "published delays between regions, and links chosen nearby",
        text: include_str!("new/regions.toml"),
    },
    Topic {
        name: "bandwidth",
        about: "what nodes send and receive, with access links that limit them",
        text: include_str!("new/bandwidth.toml"),
    },
    Topic {
        name: "dissemination",
        about: "how far and how fast messages of some nodes come to all",
        text: include_str!("new/dissemination.toml"),
    },
    Topic {
        name: "kademlia",
        about: "lookups in a Kademlia network that nodes join one by one, under churn",
        text: include_str!("new/kademlia.toml"),
    },
    Topic {
        name: "routing",
        about: "parents, failover and messages between light nodes",
        text: include_str!("new/routing.toml"),
    },
    Topic {
        name: "consensus",
        about: "rounds of consensus in two patterns of messages",
        text: include_str!("new/consensus.toml"),
    },
    Topic {
        name: "ledger",
        about: "transactions up the tiers, blocks and headers down",
        text: include_str!("new/ledger.toml"),
    },
    Topic {
        name: "mobile",
        about: "batteries of mobile nodes under four ways to say that they live",
        text: include_str!("new/mobile.toml"),
    },
    Topic {
        name: "sharding",
        about: "records on full nodes, and what moves when some crash",
        text: include_str!("new/sharding.toml"),
    },
    Topic {
        name: "registry",
        about: "registrations, endorsements and lookups of users over shards",
        text: include_str!("new/registry.toml"),
    },
    Topic {
        name: "sweep",
        about: "many scenarios in one file: axes, variants, constraints, seeds",
        text: include_str!("new/sweep.toml"),
    },
    Topic {
        name: "recommended",
        about: "all mechanisms together in one network",
        text: include_str!("new/recommended.toml"),
    },
];

/// Writes the scenario of a topic, or lists the topics.
pub(super) fn new(args: &NewArgs) -> Result<(), Failure> {
    let Some(topic) = args.topic.as_deref().and_then(|name| TOPICS.iter().find(|topic| topic.name == name)) else {
        let lines: String = TOPICS.iter().map(|topic| format!("  {:14} {}\n", topic.name, topic.about)).collect();
        return print(&format!("Topics of scenarios to start from\n\n{lines}\nqnetsim new TOPIC writes TOPIC.toml.\n"));
    };
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.toml", topic.name)));
    if path.as_os_str() == "-" {
        return print(topic.text);
    }
    write(&path, topic.text).map_err(|error| Failure {
        code: Failure::INPUT_OUTPUT,
        message: match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("error: {} is there already and is kept: name another file with -o", path.display())
            }
            _ => format!("error: cannot write {}: {error}", path.display()),
        },
    })?;
    print(&format!("Wrote {0}. Run it:\n\n  qnetsim run {0}\n", path.display()))
}

/// Writes `text` to a new file at `path`, as a whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // As for any new file: the umask takes away what it should.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".qnetsim-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    // A full disk may only say so then.
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;

    #[test]
    fn every_topic_is_a_scenario_of_its_name_that_is_small() {
        for topic in TOPICS {
            let scenario = parse("s.toml", topic.text, &[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, topic.name);
            assert!(scenario.points.iter().all(|point| point.population.total() <= 1_000), "{}", topic.name);
            assert!(topic.text.lines().all(|line| line.chars().count() <= 100));
        }
    }
}
