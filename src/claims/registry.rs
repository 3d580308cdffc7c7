//! How each claim about the user registry is decided.

use super::evidence::{Evidence, MachineFigure, Missing, REGISTRY_BENCH, named};
use super::verdict::{Means, Part, Rule};
use super::{Definition, Parts, claim, documented};
use crate::metrics::PointResult;

const BENCH: &[&str] = &[REGISTRY_BENCH];

/// Every claim about the registry, in the order of the document.
pub const DEFINITIONS: &[Definition] = &[
    Definition::new("UR-01", BENCH, record),
    Definition::new("UR-02", BENCH, in_memory),
    Definition::new("UR-03", BENCH, in_memory),
    Definition::new("UR-04", BENCH, in_memory),
    Definition::new("UR-05", BENCH, in_memory_by_size),
    Definition::new("UR-06", BENCH, compression),
    Definition::new("UR-07", BENCH, family),
    Definition::new("UR-08", BENCH, family),
    Definition::new("UR-09", BENCH, family),
    Definition::new("UR-10", BENCH, family),
    Definition::new("UR-11", BENCH, disk),
    Definition::new("UR-12", BENCH, cached_memory),
    Definition::new("UR-13", BENCH, cache_hit),
    Definition::new("UR-14", BENCH, cache_miss),
    Definition::new("UR-15", BENCH, mean_lookup),
    Definition::new("UR-16", BENCH, lookup_rate),
    Definition::new("UR-17", BENCH, single_write),
    Definition::new("UR-18", BENCH, batched_write),
    Definition::new("UR-19", BENCH, registration_rate),
    Definition::new("UR-20", BENCH, row),
    Definition::new("UR-21", BENCH, row),
    Definition::new("UR-22", BENCH, row),
    Definition::new("UR-23", BENCH, row),
    Definition::new("UR-24", BENCH, row),
    Definition::new("UR-25", BENCH, restarts),
    Definition::new("UR-26", BENCH, bloom_filters),
    Definition::new("UR-27", &["user-shards"], places),
    Definition::new("UR-28", &["user-faults"], replicas),
    Definition::new("UR-29", &["user-shards"], across_shards),
];

/// How far sizes may be from documented ones, which are rounded.
const ROUNDED: f64 = 0.25;
/// The layout that this registry uses where nothing else is said.
const COMPACT: &str = "compact";
/// All users of the world, as the document has it.
const EVERYBODY: u64 = 8_000_000_000;

/// Figures of the registry benchmark, found by what they are of.
struct Bench<'e>(&'e [MachineFigure]);

impl<'e> Bench<'e> {
    fn of(evidence: &'e Evidence) -> Result<Self, Missing> {
        evidence.registry().map(Bench)
    }

    fn find(&self, users: u64, variant: &str, figure: &str, part: &str) -> Result<&'e MachineFigure, Missing> {
        let is_it = |found: &&MachineFigure| {
            found.users == users && found.variant == variant && found.figure == figure && found.part == part
        };
        self.0.iter().find(is_it).ok_or_else(|| {
            Missing(format!("{REGISTRY_BENCH} has no figure {figure:?}, {part:?} of {users} users, {variant}"))
        })
    }

    /// The most users of whom this was measured.
    fn largest(&self, variant: &str, figure: &str, part: &str) -> Result<&'e MachineFigure, Missing> {
        let found = self.0.iter().filter(|found| {
            found.how == "measured" && found.variant == variant && found.figure == figure && found.part == part
        });
        found
            .max_by_key(|found| found.users)
            .ok_or_else(|| Missing(format!("{REGISTRY_BENCH} has no figure {figure:?}, {part:?} of {variant}")))
    }
}

/// A part of `figure` in a unit of which it has so many.
fn machine(
    figure: &MachineFigure,
    name: &str,
    (unit, each): (&'static str, f64),
    documented: Option<f64>,
    rule: Rule,
) -> Part {
    let means = if figure.how == "projected" { Means::Projected } else { Means::Measured };
    Part { is_of_machine: true, ..Part::new(name, unit, documented, vec![figure.value / each], means, rule) }
}

/// A number of users for people: `100K`, `8B`.
fn users_text(users: u64) -> String {
    let units = [(1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")];
    let unit = units.iter().find(|(size, _)| users >= *size && users.is_multiple_of(size / 10));
    unit.map_or_else(|| users.to_string(), |(size, unit)| format!("{}{unit}", users as f64 / *size as f64))
}

fn record(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let documented_layout = bench.largest("documented", "record", "user")?;
    let compact = bench.largest(COMPACT, "record", "user")?;
    Ok(vec![
        machine(documented_layout, "document's layout", ("B", 1.0), documented(id), Rule::Near(ROUNDED)),
        machine(compact, "compact layout", ("B", 1.0), None, Rule::Shown),
    ])
}

fn in_memory(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    // The document's own bytes of a record and of an endorsement.
    let (part, implied) = match id {
        "UR-02" => ("users", 434.0 * 8.0),
        "UR-03" => ("endorsements", 200.0 * 40.0),
        _ => ("all", 434.0 * 8.0 + 200.0 * 40.0),
    };
    let measured = bench.largest("memory", "memory", part)?;
    let all = bench.find(EVERYBODY, "memory", "memory", part)?;
    let name = format!("8B users, from {} measured", users_text(measured.users));
    let part = machine(all, &name, ("GB", 1e9), documented(id), Rule::Near(ROUNDED));
    let each = Part { unit: "B", ..machine(measured, "each user", ("B", measured.users as f64), None, Rule::Shown) };
    Ok(vec![Part { implied: Some(implied), ..part }, each])
}

fn in_memory_by_size(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let written = claim(id).and_then(|claim| claim.figure.as_deref()).unwrap_or("");
    let sizes = [10_000_000, 50_000_000, 100_000_000];
    let part = |(users, written): (u64, &str)| {
        let figure = bench.find(users, "memory", "memory", "users")?;
        Ok(machine(figure, &users_text(users), ("GB", 1e9), written.parse().ok(), Rule::Near(ROUNDED)))
    };
    sizes.into_iter().zip(written.split(';')).map(part).collect()
}

fn compression(evidence: &Evidence, _: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let rule = Rule::Between(50.0, 70.0);
    Ok(vec![
        machine(
            bench.largest("documented", "saved by compression", "all")?,
            "document's layout",
            ("%", 1.0),
            None,
            rule,
        ),
        machine(bench.largest(COMPACT, "saved by compression", "all")?, "compact layout", ("%", 1.0), None, rule),
    ])
}

fn family(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    // Entries for each of 8 billion users, and bytes of each by the document.
    let (family, entries, bytes) = match id {
        "UR-07" => ("user", 1.0, 467.0),
        "UR-08" => ("govid", 1.0, 97.0),
        "UR-09" => ("endorse", 5.0, 232.0),
        _ => ("currency", 1.0, 50.0),
    };
    let claim = claim(id).ok_or_else(|| Missing(format!("there is no claim {id}")))?;
    let [raw, compressed] = claim.pair().map_or([None; 2], |pair| pair.map(Some));
    let unit = if claim.unit.as_deref() == Some("TB") { ("TB", 1e12) } else { ("GB", 1e9) };
    let uncompressed = bench.find(EVERYBODY, "documented-uncompressed", "disk", family)?;
    let implied = Some(entries * EVERYBODY as f64 * bytes / unit.1);
    let raw = Part { implied, ..machine(uncompressed, "raw", unit, raw, Rule::Near(ROUNDED)) };
    let with_lz4 = bench.find(EVERYBODY, "documented", "disk", family)?;
    let compact = bench.find(EVERYBODY, COMPACT, "disk", family)?;
    Ok(vec![
        raw,
        machine(with_lz4, "compressed", unit, compressed, Rule::Near(ROUNDED)),
        machine(compact, "compact layout, compressed", unit, None, Rule::Shown),
    ])
}

fn disk(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let written = bench.find(EVERYBODY, "documented", "disk", "all")?;
    let compact = bench.find(EVERYBODY, COMPACT, "disk", "all")?;
    let rule = Rule::UpTo(ROUNDED);
    // The document's own compressed families, from its schema.
    let implied = Some(1.5 + 0.3 + 3.7 + 0.15);
    Ok(vec![
        Part { implied, ..machine(written, "document's layout", ("TB", 1e12), documented(id), rule) },
        machine(compact, "compact layout", ("TB", 1e12), documented(id), rule),
    ])
}

fn cached_memory(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let part = |(name, part): (&str, &str)| {
        let figure = bench.largest(COMPACT, "memory", part)?;
        let name = format!("{name}, {} users", users_text(figure.users));
        let rule = if part == "opened" { Rule::Shown } else { Rule::UpTo(ROUNDED) };
        Ok(machine(figure, &name, ("MB", 1e6), documented(id).filter(|_| part != "opened"), rule))
    };
    let parts = [("opened", "opened"), ("caches full", "with endorsements cached"), ("after lookups", "after lookups")];
    parts.into_iter().map(part).collect()
}

fn cache_hit(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let part = |statistic: &str, rule| {
        Ok(machine(bench.largest(COMPACT, "hit", statistic)?, statistic, ("ns", 1.0), documented(id), rule))
    };
    Ok(vec![part("p50", Rule::UpTo(ROUNDED))?, part("p99", Rule::Shown)?])
}

/// The document gives ranges of what is typical, so the median decides against their end, and the rest is shown.
fn typical(statistic: &str) -> Rule {
    if statistic == "p50" { Rule::UpTo(0.0) } else { Rule::Shown }
}

fn cache_miss(evidence: &Evidence, _: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let mut parts = Vec::new();
    for statistic in ["p50", "p99"] {
        let figure = bench.largest(COMPACT, "miss", statistic)?;
        let name = format!("{statistic}, {} users", users_text(figure.users));
        parts.push(machine(figure, &name, ("us", 1e3), Some(10.0), typical(statistic)));
    }
    // Only where the page cache may be emptied.
    if let Ok(cold) = bench.largest(COMPACT, "cold miss", "p50") {
        parts.push(machine(cold, "p50, from disk", ("us", 1e3), Some(10.0), Rule::UpTo(0.0)));
    }
    Ok(parts)
}

/// The document's own sum of a mean lookup, in milliseconds.
const MEAN_LOOKUP_MS: f64 = 0.9 * 0.0001 + 0.1 * 0.01;

fn mean_lookup(evidence: &Evidence, id: &'static str) -> Parts {
    let figure = Bench::of(evidence)?.largest(COMPACT, "lookup at 90 % hits", "mean")?;
    let name = format!("{} users", users_text(figure.users));
    let part = machine(figure, &name, ("ms", 1e6), documented(id), Rule::UpTo(ROUNDED));
    Ok(vec![Part { implied: Some(MEAN_LOOKUP_MS), ..part }])
}

fn lookup_rate(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let part = |threads: &str| {
        let figure = bench.largest(COMPACT, "lookups at 90 % hits", threads)?;
        let part = machine(figure, threads, ("1/s", 1.0), documented(id), Rule::From(ROUNDED));
        Ok(Part { implied: Some(1e3 / MEAN_LOOKUP_MS), ..part })
    };
    ["1 threads", "2 threads"].into_iter().map(part).collect()
}

fn single_write(evidence: &Evidence, _: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let mut parts = Vec::new();
    for (name, figure) in [("not durable", "register, buffered"), ("durable", "register, durable")] {
        for statistic in ["p50", "p99"] {
            let figure = bench.largest(COMPACT, figure, statistic)?;
            let name = format!("{name}, {statistic}");
            parts.push(machine(figure, &name, ("us", 1e3), Some(100.0), typical(statistic)));
        }
    }
    Ok(parts)
}

fn batched_write(evidence: &Evidence, id: &'static str) -> Parts {
    let figure = Bench::of(evidence)?.largest(COMPACT, "batched write", "mean")?;
    Ok(vec![machine(figure, "a record", ("us", 1e3), documented(id), Rule::UpTo(ROUNDED))])
}

fn registration_rate(evidence: &Evidence, id: &'static str) -> Parts {
    let figure = Bench::of(evidence)?.largest(COMPACT, "registrations, durable", "8 writers")?;
    let part = machine(figure, "durable, 8 writers", ("1/s", 1.0), documented(id), Rule::From(ROUNDED));
    Ok(vec![Part { implied: Some(1e4), ..part }])
}

/// A row of the document's table, such as `700MB;200MB;0.001ms`, in bytes, bytes, and nanoseconds.
fn row_numbers(written: &str) -> [Option<f64>; 3] {
    let units = [("GB", 1e9), ("MB", 1e6), ("TB", 1e12), ("ms", 1e6)];
    let mut numbers = written.split(';').map(|text| {
        let (unit, each) = units.into_iter().find(|(unit, _)| text.ends_with(unit))?;
        Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * each)
    });
    [(); 3].map(|()| numbers.next().flatten())
}

fn row(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let users = match id {
        "UR-20" => 1_000_000,
        "UR-21" => 10_000_000,
        "UR-22" => 100_000_000,
        "UR-23" => 1_000_000_000,
        _ => EVERYBODY,
    };
    let written = claim(id).and_then(|claim| claim.figure.as_deref()).unwrap_or("");
    let [disk, memory, lookup] = row_numbers(written);
    let rule = Rule::UpTo(ROUNDED);
    let of = |bytes: Option<f64>, each: f64| bytes.map(|bytes| bytes / each);
    let found = bench.find(users, COMPACT, "disk", "all")?;
    let mut parts = vec![machine(found, "disk", ("GB", 1e9), of(disk, 1e9), rule)];
    parts.push(match bench.find(users, COMPACT, "memory", "with endorsements cached") {
        Ok(found) => machine(found, "RAM", ("MB", 1e6), of(memory, 1e6), rule),
        // Memory is projected only from sizes that fill the caches, and a small benchmark has one of them.
        Err(_) => {
            let found = bench.largest(COMPACT, "memory", "with endorsements cached")?;
            let name = format!("RAM, with caches full at {}", users_text(found.users));
            machine(found, &name, ("MB", 1e6), None, Rule::Shown)
        }
    });
    let found = bench.find(users, COMPACT, "lookup at 90 % hits", "mean")?;
    parts.push(machine(found, "lookup", ("ms", 1e6), of(lookup, 1e6), rule));
    Ok(parts)
}

fn restarts(evidence: &Evidence, id: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let mut parts = Vec::new();
    for (variant, name) in [("crash", "on disk"), ("crash-memory", "in memory")] {
        let find = |part: &str| bench.largest(variant, "restarts", part);
        let (acknowledged, lost, kills) = (find("acknowledged")?, find("lost")?, find("kills")?);
        let records = ("records", 1.0);
        parts.push(machine(acknowledged, &format!("{name}, acknowledged"), records, None, Rule::Shown));
        parts.push(machine(kills, &format!("{name}, kills"), ("1", 1.0), None, Rule::Shown));
        // What is in memory alone is said to be lost, all of it.
        parts.push(match variant {
            "crash" => machine(lost, &format!("{name}, lost"), records, documented(id), Rule::AtMost),
            _ => {
                let share = ("share", acknowledged.value.max(1.0));
                machine(lost, &format!("{name}, lost"), share, None, Rule::NoLessThan(1.0))
            }
        });
    }
    Ok(parts)
}

fn bloom_filters(evidence: &Evidence, _: &'static str) -> Parts {
    let bench = Bench::of(evidence)?;
    let mut parts = Vec::new();
    for statistic in ["p50", "mean"] {
        let without = bench.largest("no-bloom", "absent", statistic)?;
        let with = bench.find(without.users, COMPACT, "absent", statistic)?;
        parts.push(machine(with, &format!("with, {statistic}"), ("us", 1e3), None, Rule::Shown));
        parts.push(machine(without, &format!("without, {statistic}"), ("us", 1e3), None, Rule::Shown));
        let name = format!("with by without, {statistic}");
        parts.push(machine(with, &name, ("ratio", without.value), None, Rule::NoMoreThan(1.0)));
    }
    Ok(parts)
}

/// What `figure` is where shards are countries, by what it is where they are hashes, seed by seed.
fn by_hash(evidence: &Evidence, name: &str, figure: &str) -> Result<Part, Missing> {
    let country = evidence.largest("user-shards", "registry country", &named(figure))?;
    let hash = evidence.largest("user-shards", "registry hash", &named(figure))?;
    let ratios = country.values.iter().zip(&hash.values).map(|(country, hash)| country / hash).collect();
    Ok(Part::new(name, "ratio", None, ratios, country.means, Rule::NoMoreThan(1.0)))
}

fn places(evidence: &Evidence, _: &'static str) -> Parts {
    let mut parts = Vec::new();
    for approach in ["country", "hash"] {
        let label = format!("registry {approach}");
        for (name, figure, unit) in [
            ("storage", "shards.node.storage-imbalance", "max/mean"),
            ("load", "shards.shard.load-imbalance", "max/mean"),
            ("registrations across shards", "shards.register.cross-shard", "share"),
        ] {
            let found = evidence.largest("user-shards", &label, &named(figure))?;
            parts.push(found.part(&format!("{name}, {approach}"), unit, None, Rule::Shown));
        }
    }
    parts.push(by_hash(evidence, "storage imbalance, country by hash", "shards.node.storage-imbalance")?);
    parts.push(by_hash(evidence, "load imbalance, country by hash", "shards.shard.load-imbalance")?);
    parts.push(by_hash(evidence, "registrations across, country by hash", "shards.register.cross-shard")?);
    Ok(parts)
}

/// The label of the scenario's one way to shard and to acknowledge.
const FAULTS: &str = "registry";

fn replicas(evidence: &Evidence, _: &'static str) -> Parts {
    let find = |figure: &str| evidence.largest("user-faults", FAULTS, &named(figure));
    let (reads, changes) =
        ("read-replicas.reads.answered-in-worst-slice", "read-replicas.changes.answered-in-worst-slice");
    let by = |point: &PointResult| Some(named(reads)(point)? / named(changes)(point)?);
    let by = evidence.largest("user-faults", FAULTS, &by)?;
    Ok(vec![
        find(reads)?.part("reads answered, worst 10 s", "share", None, Rule::Shown),
        find(changes)?.part("changes answered, worst 10 s", "share", None, Rule::Shown),
        by.part("reads by changes, worst 10 s", "ratio", None, Rule::NoLessThan(1.0)),
        find("read-replicas.lookup.served-by-replicas")?.part("served by replicas", "share", None, Rule::Shown),
        find("read-replicas.lookup.age-p99")?.part("age of an answer, p99", "ms", None, Rule::Shown),
        find("audit.registration.lost")?.part("acknowledged and lost", "records", None, Rule::NoMoreThan(0.0)),
    ])
}

fn across_shards(evidence: &Evidence, _: &'static str) -> Parts {
    let find = |figure: &str| evidence.largest("user-shards", "registry hash", &named(figure));
    let mut parts = Vec::new();
    for (name, operation) in [("registration", "register"), ("query by currency", "query")] {
        let figure = |figure: &str| find(&format!("operations.{operation}.{figure}"));
        parts.push(figure("messages-per-operation")?.part(&format!("{name}, messages"), "msg/op", None, Rule::Shown));
        parts.push(figure("latency-p50")?.part(&format!("{name}, p50"), "ms", None, Rule::Shown));
        parts.push(figure("latency-p99")?.part(&format!("{name}, p99"), "ms", None, Rule::Shown));
        let answered = figure("answered")?;
        parts.push(answered.part(&format!("{name}, answered"), "share", None, Rule::NoLessThan(0.99)));
    }
    let twice = find("audit.government-id.registered-twice")?;
    parts.push(twice.part("government ids registered twice", "1", None, Rule::NoMoreThan(0.0)));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_documents_table_are_read_with_their_units() {
        assert_eq!(row_numbers("700MB;200MB;0.001ms"), [Some(7e8), Some(2e8), Some(1_000.0)]);
        assert_eq!(row_numbers("5.6TB;200MB;0.003ms"), [Some(5.6e12), Some(2e8), Some(3_000.0)]);
        assert_eq!(row_numbers("7GB;much"), [Some(7e9), None, None]);
        for id in ["UR-20", "UR-21", "UR-22", "UR-23", "UR-24"] {
            let numbers = row_numbers(claim(id).unwrap().figure.as_deref().unwrap());
            assert!(numbers.iter().all(Option::is_some), "{id}: {numbers:?}");
        }
    }

    #[test]
    fn numbers_of_users_are_short() {
        assert_eq!([100_000, 12_500, 8_000_000_000, 999].map(users_text), ["100K", "12.5K", "8B", "999"]);
    }
}
