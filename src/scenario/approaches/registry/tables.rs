//! The figures of the registry: what operations took, how shards are filled, how old reads were, and what was lost.

use crate::contract::{SimSpan, Spans};
use crate::metrics::{Curve, Figures};
use crate::protocols::registry::audit::Audit;
use crate::protocols::registry::store::Outcome;
use crate::protocols::registry::{Operation, RegistryFigures};

fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

fn millis(spans: &Spans, percent: u64) -> Option<f64> {
    spans.quantile(percent).map(|span| span.as_secs_f64() * 1e3)
}

/// What devices asked for and got, over the whole run, and what it took.
pub(super) fn operations(all: &RegistryFigures, run: f64) -> Figures {
    let mut figures = Figures::new("operations");
    for (operation, counts) in Operation::ALL.into_iter().zip(&all.operations) {
        let subject = operation.name();
        let answered = counts.answered();
        figures.add(subject, "asked", "1", counts.asked as f64);
        figures.add(subject, "answered", "share", share(answered, counts.asked));
        figures.add(subject, "answered-rate", "1/s", answered as f64 / run);
        figures.add(subject, "done", "1", counts.done() as f64);
        match operation {
            Operation::Register => {
                figures.add(subject, "id-taken", "1", counts.outcomes[Outcome::IdTaken as usize] as f64);
                figures.add(subject, "key-taken", "1", counts.outcomes[Outcome::KeyTaken as usize] as f64);
            }
            Operation::Endorse => {
                let again = counts.outcomes[Outcome::EndorsedAlready as usize];
                figures.add(subject, "endorsed-already", "1", again as f64);
                figures.add(subject, "endorsed-self", "1", counts.outcomes[Outcome::SelfEndorsement as usize] as f64);
            }
            _ => {}
        }
        for (name, percent) in [("latency-p50", 50), ("latency-p90", 90), ("latency-p99", 99)] {
            figures.add(subject, name, "ms", millis(&counts.latency, percent));
        }
        let [messages, bytes] = all.traffic[operation as usize];
        figures.add(subject, "messages-per-operation", "msg/op", share(messages, answered));
        if matches!(operation, Operation::Register | Operation::Query) {
            figures.claimed("UR-29");
        }
        figures.add(subject, "bytes-per-operation", "B", share(bytes, answered));
        figures.add(subject, "retried", "1", counts.retried as f64);
        figures.add(subject, "abandoned", "1", counts.abandoned as f64);
        figures.add(subject, "skipped", "1", counts.skipped as f64);
    }
    for operation in [Operation::Settle, Operation::Upkeep] {
        let [messages, bytes] = all.traffic[operation as usize];
        figures.add(operation.name(), "messages-rate", "1/s", messages as f64 / run);
        figures.add(operation.name(), "bytes-rate", "B/s", bytes as f64 / run);
    }
    figures.add(
        "all",
        "answered-rate",
        "1/s",
        all.operations.iter().map(|counts| counts.answered()).sum::<u64>() as f64 / run,
    );
    figures.add("all", "dropped-by-full-queues", "1", (all.dropped + all.busy) as f64);
    figures.add("all", "given-up-by-gateways", "1", all.given_up as f64);
    figures.add("all", "messages-invalid", "1", all.invalid as f64);
    figures
}

/// How much concerns two shards, and how evenly nodes and shards are loaded, at the end of the run.
pub(super) fn shards(all: &RegistryFigures, audit: &Audit) -> Figures {
    let mut figures = Figures::new("shards");
    figures.add("all", "shards", "1", audit.shards as f64);
    for (subject, [one, two]) in ["register", "endorse"].into_iter().zip(all.crossing) {
        figures.add(subject, "cross-shard", "share", share(two, one + two));
        figures.claimed("UR-27");
    }
    figures.add("query", "shards-asked-mean", "1", share(all.scanned, all.operations[3].asked));
    figures.add("query", "users-found-mean", "1", share(all.found, all.operations[3].answered()));
    figures.add("query", "pages-cut-short", "1", all.short_pages as f64);
    figures.add("node", "nodes-that-keep", "share", share(audit.keepers, audit.nodes));
    let mean = |[_, sum]: [u64; 2], count: u64| share(sum, count);
    figures.add("node", "bytes-mean", "B", mean(audit.node_bytes, audit.nodes));
    figures.add("node", "bytes-max", "B", audit.node_bytes[0] as f64);
    figures.add("node", "storage-imbalance", "max/mean", Audit::imbalance(audit.node_bytes, audit.nodes));
    figures.claimed("UR-27");
    figures.add("shard", "bytes-mean", "B", mean(audit.shard_bytes, audit.shards));
    figures.add("shard", "bytes-max", "B", audit.shard_bytes[0] as f64);
    figures.add("shard", "storage-imbalance", "max/mean", Audit::imbalance(audit.shard_bytes, audit.shards));
    figures.add("shard", "changes-mean", "1", mean(audit.shard_writes, audit.shards));
    figures.add("shard", "changes-max", "1", audit.shard_writes[0] as f64);
    figures.add("shard", "load-imbalance", "max/mean", Audit::imbalance(audit.shard_writes, audit.shards));
    figures.claimed("UR-27");
    figures
}

/// Which reads other members than the leader served, how old they were, and what was answered when.
pub(super) fn replicas(all: &RegistryFigures, slice: SimSpan) -> Figures {
    let mut figures = Figures::new("read replicas");
    let served = all.age.count();
    figures.add("lookup", "served-by-replicas", "share", share(served, served + all.led_reads));
    figures.claimed("UR-28");
    for (name, percent) in [("age-p50", 50), ("age-p99", 99), ("age-max", 100)] {
        figures.add("lookup", name, "ms", millis(&all.age, percent));
        if percent == 99 {
            figures.claimed("UR-28");
        }
    }
    figures.add("lookup", "of-own-users", "1", all.own_reads as f64);
    figures.add("lookup", "of-own-users-not-found", "share", share(all.missed_reads, all.own_reads));
    figures.add("shard", "votes-asked-for", "1", all.campaigns as f64);
    figures.add("shard", "leaders-elected", "1", all.leaders as f64);
    let width = slice.as_secs_f64();
    // What is begun in the last slice may be answered later.
    let whole = &all.slices[..all.slices.len().saturating_sub(1)];
    for (kind, subject, name) in [(0, "changes", "answered-over-time"), (1, "reads", "answered-over-time")] {
        let answered = |number: usize| share(whole[number][kind][1], whole[number][kind][0]);
        let points = (0..whole.len()).filter_map(|number| Some([number as f64 * width, answered(number)?]));
        let points: Vec<[f64; 2]> = points.collect();
        let worst = points.iter().map(|[_, share]| *share).reduce(f64::min);
        figures.add(subject, "answered-in-worst-slice", "share", worst);
        figures.claimed("UR-28");
        figures.curves.push(Curve { subject, name, units: ["s", "share"], points });
    }
    figures
}

/// How members were replaced.
pub(super) fn hand_off(all: &RegistryFigures) -> Figures {
    let mut figures = Figures::new("hand-off");
    figures.add("member", "to-be-replaced", "1", all.planned as f64);
    figures.add("member", "replaced", "1", all.replaced as f64);
    figures.add("member", "dismissed", "1", all.dismissed as f64);
    figures.add("full", "nodes-drained", "1", all.drained as f64);
    figures.add("all", "records-moved", "B", all.moved as f64);
    figures.add("all", "records-moved-per-member", "B", share(all.moved, all.replaced));
    figures.add("all", "entries-sent-again", "B", all.taught as f64);
    figures
}

/// What all disks hold at the end against what devices were told.
pub(super) fn safety(audit: &Audit) -> Figures {
    let mut figures = Figures::new("audit");
    for (subject, name, count) in [
        ("registration", "acknowledged", audit.acknowledged),
        ("registration", "created", audit.created),
        ("registration", "lost", audit.lost),
        ("registration", "below-a-majority", audit.thin),
        ("government-id", "registered-twice", audit.ids_twice),
        ("user", "registered-twice", audit.keys_twice),
        ("replica", "diverged", audit.diverged),
        ("claim", "open-at-end", audit.open_claims),
        ("claim", "fences-at-end", audit.fences),
    ] {
        figures.add(subject, name, "1", count as f64);
    }
    figures
}
