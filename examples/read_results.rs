//! Reading results: the files of a run as any program may read them, and `summary.json` by its types.
//!
//! What each column means is in `results/README.md`. Run it with `cargo run --example read_results [FOLDER]`; without a folder
//! it reads the committed results of `scenarios/network-load.toml`.
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use qnetsim::report::Summary;

/// Messages per second by approach and nodes, from the rows of messages.csv that tell what was sent.
fn message_rates(folder: &Path) -> Result<BTreeMap<(String, u32), f64>, Box<dyn Error>> {
    let mut rates = BTreeMap::new();
    let mut sheet = csv::Reader::from_path(folder.join("messages.csv"))?;
    for row in sheet.deserialize() {
        let row: BTreeMap<String, String> = row?;
        if row["direction"] == "sent" {
            let point = (row["approach"].clone(), row["nodes"].parse()?);
            *rates.entry(point).or_default() += row["messages_per_s"].parse::<f64>()?;
        }
    }
    Ok(rates)
}

/// The summary of a run: what is the same on every machine, and what is not.
fn summary(folder: &Path) -> Result<Summary, Box<dyn Error>> {
    Ok(serde_json::from_slice(&fs::read(folder.join("summary.json"))?)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/network-load");
    let folder = std::env::args_os().nth(1).map_or(committed, Into::into);
    for ((approach, nodes), rate) in message_rates(&folder)? {
        println!("{approach:24} {nodes:>9} nodes {rate:>16.1} messages/s");
    }
    // It is written by every run, but not committed, as it tells of the machine, too.
    if folder.join("summary.json").exists() {
        let Summary { deterministic, engine } = summary(&folder)?;
        println!("{}, seed {}: {}", deterministic.scenario, deterministic.seed, deterministic.command);
        for point in engine.points {
            println!(
                "{:24} {:>9} nodes {:>12} events in {:.1} s",
                point.approach, point.nodes, point.events, point.seconds
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_results_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/network-load");
        let rates = message_rates(&folder).unwrap();
        // A million nodes that each send one ping every 30 s.
        let ping = rates[&("ping".to_owned(), 1_000_000)];
        assert!((ping - 1e6 / 30.0).abs() < 1.0, "{ping}");
        assert_eq!(rates.len(), 20);
    }
}
