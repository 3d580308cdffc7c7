//! No deadline is missed: what is due before the end happens exactly then, and what is due later is still under way.
//!
//! When a timer or a message is due is known from the moment at which a protocol sets or sends it. The reference engine notes
//! it there, before anything is queued; the trace of the engine says when it happened.

use std::collections::BTreeMap;
use std::ops::Add;

use super::reference::Due;
use crate::contract::{NodeId, SimTime};
use crate::engine::trace::{Happening, Record};
use crate::metrics::Turn;

/// How many deadlines were kept, by what became of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    messages: u64,
    timers: u64,
    /// Timers whose nodes went before.
    outlived: u64,
    /// Messages that are due at the end or later.
    under_way: u64,
}

impl Kept {
    pub(super) const NONE: Kept = Kept { messages: 0, timers: 0, outlived: 0, under_way: 0 };

    /// Checks that there were enough of each to tell anything.
    pub(super) fn check_all_came_up(self) {
        let Kept { messages, timers, outlived, under_way } = self;
        assert!([messages, timers].iter().all(|&kept| kept > 1_000), "{self:?}");
        assert!([outlived, under_way].iter().all(|&kept| kept > 20), "{self:?}");
    }
}

impl Add for Kept {
    type Output = Kept;

    fn add(self, other: Kept) -> Kept {
        Kept {
            messages: self.messages + other.messages,
            timers: self.timers + other.timers,
            outlived: self.outlived + other.outlived,
            under_way: self.under_way + other.under_way,
        }
    }
}

/// Checks that all `dues` of a run of `label` until `end` were kept by the engine, which has left `records` and so many
/// messages `in_flight`.
pub(super) fn check(label: &str, records: &[Record], dues: &[Due], end: SimTime, in_flight: u64) -> Kept {
    // What became of messages and timers, by who made them and their number; and when nodes went.
    let mut done: BTreeMap<(NodeId, u32), &Record> = BTreeMap::new();
    let mut went: BTreeMap<NodeId, Vec<SimTime>> = BTreeMap::new();
    for record in records {
        let is_end = match record.happening {
            Happening::Received | Happening::Timer => true,
            // Where it arrived, as who was to get it was down or had no room; what is lost on its way is due nowhere.
            Happening::Dropped(_) => record.node == record.receiver,
            Happening::Sent => false,
            Happening::Turn(turn) => {
                if turn != Turn::Joined {
                    went.entry(record.node).or_default().push(record.time);
                }
                false
            }
        };
        if is_end && let Some(before) = done.insert((record.sender, record.sequence), record) {
            panic!("{label}: what has happened happens again: {before:?}, {record:?}");
        }
    }
    // What waited for a downlink is due when it was through.
    let last: BTreeMap<(NodeId, u32), &Due> = dues.iter().map(|due| ((due.from, due.sequence), due)).collect();
    let mut last: Vec<&Due> = last.into_values().collect();
    // The first that was missed is what made others late.
    last.sort_by_key(|due| due.time);
    let mut kept = Kept::NONE;
    for due in last {
        let found = done.remove(&(due.from, due.sequence));
        let gone = || went.get(&due.to).is_some_and(|times| times.iter().any(|&at| due.set <= at && at < due.time));
        let is_outlived = due.is_timer && gone();
        match found {
            Some(record) => {
                assert_eq!(record.time, due.time, "{label}: {due:?} is missed: {record:?}");
                assert!(!is_outlived, "{label}: {due:?} outlives its node: {record:?}");
                *(if due.is_timer { &mut kept.timers } else { &mut kept.messages }) += 1;
            }
            None if is_outlived => kept.outlived += 1,
            None => {
                assert!(due.time >= end, "{label}: {due:?} is missed: it never happens");
                kept.under_way += u64::from(!due.is_timer);
            }
        }
    }
    assert!(done.is_empty(), "{label}: nobody has made what happens: {done:?}");
    assert_eq!(in_flight, kept.under_way, "{label}: messages that are in flight, and that are due at the end or later");
    kept
}

/// A run of two messages and three timers until 10 ns: what of it is changed is found.
#[test]
fn what_is_late_missing_or_made_up_is_found() {
    let at = SimTime::from_nanos;
    let due = |set: u64, time: u64, to: NodeId, from: NodeId, sequence: u32| Due {
        set: at(set),
        time: at(time),
        to,
        from,
        sequence,
        is_timer: to == from,
    };
    let record = |time: u64, node: NodeId, sender: NodeId, sequence: u32, happening| Record {
        time: at(time),
        node,
        sender,
        sequence,
        happening,
        receiver: node,
        kind: 0,
    };
    let dues = [due(0, 4, 1, 0, 0), due(0, 10, 1, 0, 1), due(0, 3, 0, 0, 2), due(5, 8, 2, 2, 0), due(0, 99, 0, 0, 3)];
    let good = vec![
        record(3, 0, 0, 2, Happening::Timer),
        record(4, 1, 0, 0, Happening::Received),
        record(6, 2, NodeId::MAX, u32::MAX, Happening::Turn(Turn::Crashed)),
    ];
    let passes = |change: &dyn Fn(&mut Vec<Record>), in_flight: u64| {
        let mut records = good.clone();
        change(&mut records);
        std::panic::catch_unwind(|| check("a", &records, &dues, at(10), in_flight)).is_ok()
    };
    assert!(passes(&|_| {}, 1));
    assert!(!passes(&|_| {}, 0), "a message that is lost at the end");
    assert!(!passes(&|records| records[0].time = at(4), 1), "a timer that is late");
    assert!(!passes(&|records| records[1].time = at(3), 1), "a message that is early");
    assert!(!passes(&|records| _ = records.remove(0), 1), "a timer that does not fire");
    assert!(!passes(&|records| _ = records.remove(1), 1), "a message that does not arrive");
    assert!(!passes(&|records| _ = records.remove(2), 1), "a timer of a node that stays");
    assert!(
        !passes(&|records| records.push(record(8, 2, 2, 0, Happening::Timer)), 1),
        "a timer of a node that is gone"
    );
    assert!(!passes(&|records| records.push(record(9, 0, 0, 7, Happening::Timer)), 1), "a timer that nobody set");
    assert!(!passes(&|records| records.push(good[1]), 1), "a message that arrives twice");
}
