//! Where two traces part, and what led there.

use std::fmt;
use std::path::{Path, PathBuf};

use super::trace::{TraceError, TraceEvent, TraceReader};
use crate::contract::SimTime;

/// What the comparison of two traces found.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// All that was traced is the same.
    None {
        /// Events of each.
        events: u64,
        /// Events of each that were not traced, because there were too many.
        cut: u64,
    },
    /// The traces part.
    At {
        /// Events before that, which are the same.
        same: u64,
        /// The first event that is not the same, in either trace; `None` at its end.
        events: [Option<TraceEvent>; 2],
    },
}

/// Compares the traces `paths`. Reads both once, a row at a time.
///
/// # Errors
/// If either cannot be read.
pub fn diverge(paths: [&Path; 2]) -> Result<Divergence, TraceError> {
    let [mut one, mut other] = [TraceReader::open(paths[0])?, TraceReader::open(paths[1])?];
    let (mut same, mut cut) = (0, 0);
    loop {
        let events = [one.next().transpose()?, other.next().transpose()?];
        match events {
            [None, None] => return Ok(Divergence::None { events: same, cut }),
            [Some(event), Some(ref equal)] if event == *equal => match event.cut_records {
                Some(records) => cut += records,
                None => same += 1,
            },
            events => return Ok(Divergence::At { same, events }),
        }
    }
}

/// A step from an event to what caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This event did.
    Event(TraceEvent),
    /// Something that the node handled from the first to the second of these moments did, in nanoseconds, probably this.
    Probably(TraceEvent, [u64; 2]),
    /// Nothing did: the run began, or the scenario has it so.
    Origin(&'static str),
    /// It is not in the trace.
    Untraced(&'static str),
}

/// What led to `event` in the trace `path`, the nearest cause first; at most `depth` steps. Every step reads the trace once.
///
/// A message is caused by its sending, and that by what the node handled at that moment. Who set a timer is not traced; the
/// numbers of the messages that the node sent before and after tell when that was.
///
/// # Errors
/// If the trace cannot be read.
pub fn causes(path: &Path, event: &TraceEvent, depth: usize) -> Result<Vec<Step>, TraceError> {
    let trace = Trace { path: path.to_owned(), point: event.clone() };
    let mut steps = Vec::new();
    let mut last = event.clone();
    while steps.len() < depth {
        let step = trace.cause(&last)?;
        steps.push(step.clone());
        match step {
            Step::Event(event) | Step::Probably(event, _) => last = event,
            Step::Origin(_) | Step::Untraced(_) => break,
        }
    }
    Ok(steps)
}

/// The trace of one point.
struct Trace {
    path: PathBuf,
    point: TraceEvent,
}

impl Trace {
    /// Calls `see` with every event of the point.
    fn each(&self, mut see: impl FnMut(TraceEvent)) -> Result<(), TraceError> {
        for event in TraceReader::open(&self.path)? {
            let event = event?;
            if event.is_of_same_point(&self.point) {
                see(event);
            }
        }
        Ok(())
    }

    fn cause(&self, event: &TraceEvent) -> Result<Step, TraceError> {
        let time = event.time_ns.unwrap_or(0);
        match event.event.as_str() {
            "joined" | "left" | "crashed" => Ok(Step::Origin("the scenario's faults have it so")),
            "cut" => Ok(Step::Untraced("what was cut is not in the trace")),
            "sent" => Ok(match self.handled(event.sender, time)? {
                Some(cause) => Step::Event(cause),
                None if time == 0 => Step::Origin("the run began"),
                None => Step::Untraced("what the node handled at that moment is not in the trace: was it sampled?"),
            }),
            "timer" => self.setting(event, time),
            _ => {
                let mut sending = None;
                self.each(|other| {
                    let is_it =
                        other.event == "sent" && (other.sender, other.sequence) == (event.sender, event.sequence);
                    if is_it {
                        sending = Some(other);
                    }
                })?;
                Ok(sending.map_or(Step::Untraced("its sending is not in the trace"), Step::Event))
            }
        }
    }

    /// The last event that `node` handled at `time`.
    fn handled(&self, node: Option<u32>, time: u64) -> Result<Option<TraceEvent>, TraceError> {
        let mut found = None;
        self.each(|other| {
            if other.node == node && other.time_ns == Some(time) && other.is_handled() {
                found = Some(other);
            }
        })?;
        Ok(found)
    }

    /// What set the timer `event`, which fired at `time`.
    fn setting(&self, event: &TraceEvent, time: u64) -> Result<Step, TraceError> {
        let number = event.sequence.unwrap_or(0);
        // The messages whose numbers are the next below and above that of the timer.
        let mut before: Option<(u32, u64)> = None;
        let mut after: Option<(u32, u64)> = None;
        self.each(|other| {
            let (Some(sequence), Some(sent)) = (other.sequence, other.time_ns) else { return };
            if other.event != "sent" || other.sender != event.node || sent > time {
                return;
            }
            if sequence < number && before.is_none_or(|(most, _)| sequence > most) {
                before = Some((sequence, sent));
            }
            if sequence > number && after.is_none_or(|(least, _)| sequence < least) {
                after = Some((sequence, sent));
            }
        })?;
        let from = before.map_or(0, |(_, sent)| sent);
        let to = after.map_or(time, |(_, sent)| sent);
        let likely = self.handled(event.node, from)?.filter(|likely| likely != event);
        Ok(match likely {
            Some(cause) if from == to => Step::Event(cause),
            Some(cause) => Step::Probably(cause, [from, to]),
            None if from == 0 => Step::Origin("the run began, or the node came, and set a timer"),
            None => Step::Untraced("what set the timer is not in the trace"),
        })
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(records) = self.cut_records {
            return write!(f, "{records} more events, which were not traced");
        }
        let number = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
        let (node, sequence) = (number(self.node), number(self.sequence));
        let (sender, receiver) = (number(self.sender), number(self.receiver));
        let kind = self.kind.as_deref().unwrap_or("message");
        write!(f, "{}  node {node}: ", SimTime::from_nanos(self.time_ns.unwrap_or(0)))?;
        match self.event.as_str() {
            "sent" => write!(f, "sent {kind} {sequence} to node {receiver}"),
            "received" => write!(f, "received {kind} {sequence} from node {sender}"),
            "timer" => write!(f, "timer {sequence} fired"),
            "joined" | "left" | "crashed" => f.write_str(&self.event),
            dropped => write!(f, "{kind} {sequence} from node {sender} to node {receiver} was dropped: {dropped}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Event(event) => event.fmt(f),
            Step::Probably(event, [from, to]) => {
                let [from, to] = [*from, *to].map(SimTime::from_nanos);
                write!(f, "{event}  (probably: it was something from {from} to {to})")
            }
            Step::Origin(why) | Step::Untraced(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests;
