//! Runs one overlay workload on one published discrete-event simulator and prints one line of
//! `key=value` pairs about it.

mod nexosim_peer;
mod report;
mod simcore_peer;
mod workload;

use std::process::ExitCode;

use report::{Outcome, peak_memory_bytes};
use workload::{NODES_MIN, SIMULATED_S_DEFAULT};

const USAGE: &str = "\
usage: peers <nexosim|simcore> gossip <nodes>
       peers <nexosim|simcore> heartbeat <nodes> [--seconds-simulated <seconds>]

Runs one workload on one published simulator, in one thread, and prints one line:
simulator, workload, nodes, threads, events, seconds, events_per_s, peak_memory_bytes, check.

  <nodes>                         whole number, 9 or more
  --seconds-simulated <seconds>   simulated time, 1 or more; 120 by default";

#[derive(Clone, Copy)]
enum Simulator {
    Nexosim,
    Simcore,
}

#[derive(Clone, Copy)]
enum Workload {
    Gossip,
    Heartbeat { simulated_s: u32 },
}

struct Arguments {
    simulator: Simulator,
    workload: Workload,
    nodes: u32,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if arguments.iter().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match parse(&arguments) {
        Ok(arguments) => {
            println!("{}", line(&arguments, &run(&arguments)));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("error: {problem}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> Result<Arguments, String> {
    let [simulator, workload, nodes, options @ ..] = words else {
        return Err("a simulator, a workload and a number of nodes are needed".to_owned());
    };
    let simulator = match simulator.as_str() {
        "nexosim" => Simulator::Nexosim,
        "simcore" => Simulator::Simcore,
        other => return Err(format!("unknown simulator `{other}`")),
    };
    let simulated_s = match options {
        [] => None,
        [name, value] if name == "--seconds-simulated" => Some(whole_number(name, value, 1)?),
        [name] if name == "--seconds-simulated" => return Err(format!("`{name}` needs a value")),
        [other, ..] => return Err(format!("unexpected argument `{other}`")),
    };
    let workload = match (workload.as_str(), simulated_s) {
        ("gossip", None) => Workload::Gossip,
        ("gossip", Some(_)) => return Err("gossip runs to its end and takes no `--seconds-simulated`".to_owned()),
        ("heartbeat", simulated_s) => Workload::Heartbeat { simulated_s: simulated_s.unwrap_or(SIMULATED_S_DEFAULT) },
        (other, _) => return Err(format!("unknown workload `{other}`")),
    };
    Ok(Arguments { simulator, workload, nodes: whole_number("<nodes>", nodes, NODES_MIN)? })
}

fn whole_number(name: &str, word: &str, min: u32) -> Result<u32, String> {
    match word.parse() {
        Ok(number) if number >= min => Ok(number),
        _ => Err(format!("`{name}` is `{word}`, but must be a whole number from {min} to {}", u32::MAX)),
    }
}

fn run(arguments: &Arguments) -> Outcome {
    let nodes = arguments.nodes;
    match (arguments.simulator, arguments.workload) {
        (Simulator::Nexosim, Workload::Gossip) => nexosim_peer::gossip(nodes),
        (Simulator::Nexosim, Workload::Heartbeat { simulated_s }) => nexosim_peer::heartbeat(nodes, simulated_s),
        (Simulator::Simcore, Workload::Gossip) => simcore_peer::gossip(nodes),
        (Simulator::Simcore, Workload::Heartbeat { simulated_s }) => simcore_peer::heartbeat(nodes, simulated_s),
    }
}

fn line(arguments: &Arguments, outcome: &Outcome) -> String {
    let simulator = match arguments.simulator {
        Simulator::Nexosim => "nexosim",
        Simulator::Simcore => "simcore",
    };
    let workload = match arguments.workload {
        Workload::Gossip => "gossip",
        Workload::Heartbeat { .. } => "heartbeat",
    };
    let events = outcome.check.events();
    let seconds = outcome.elapsed.as_secs_f64();
    let peak = peak_memory_bytes().map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    format!(
        "simulator={simulator} workload={workload} nodes={} threads=1 events={events} seconds={seconds:.6} \
         events_per_s={:.0} peak_memory_bytes={peak} check={}",
        arguments.nodes,
        events as f64 / seconds,
        outcome.check,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Check;
    use crate::workload::FANOUT;

    const NODES: u32 = 2_000;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn both_peers_play_the_same_gossip() {
        let nexosim = nexosim_peer::gossip(NODES).check;
        let simcore = simcore_peer::gossip(NODES).check;
        assert_eq!(nexosim.to_string(), simcore.to_string());
        // Every node that was reached sends, and node 0 got the rumour from outside.
        let Check::Gossip { reached, missed, .. } = nexosim else { panic!("gossip reports gossip") };
        assert_eq!(nexosim.events(), FANOUT as u64 * reached + 1);
        assert_eq!(reached + missed, u64::from(NODES));
    }

    #[test]
    fn both_peers_play_the_same_heartbeats() {
        let nexosim = nexosim_peer::heartbeat(NODES, SIMULATED_S_DEFAULT).check;
        let simcore = simcore_peer::heartbeat(NODES, SIMULATED_S_DEFAULT).check;
        assert_eq!(nexosim.to_string(), simcore.to_string());
        let Check::Heartbeat { fired, edges_heard, .. } = nexosim else { panic!("heartbeat reports heartbeats") };
        assert_eq!(fired, 4 * u64::from(NODES));
        assert_eq!(edges_heard, FANOUT as u64 * u64::from(NODES));
    }

    #[test]
    fn bad_arguments_are_refused() {
        assert!(parsed("simcore heartbeat 9 --seconds-simulated 1").is_ok());
        for line in [
            "",
            "simcore gossip",
            "other gossip 100",
            "simcore other 100",
            "simcore gossip 8",
            "simcore gossip 1K",
            "simcore gossip 100 --seconds-simulated 60",
            "simcore heartbeat 100 --seconds-simulated",
            "simcore heartbeat 100 --seconds-simulated 0",
            "simcore heartbeat 100 --other",
        ] {
            assert!(parsed(line).is_err(), "`{line}` was accepted");
        }
    }
}
