//! From measured sizes to larger ones, and all of them as tables.

use std::fmt::Write;

use super::point::QUANTILES;
use super::{ENDORSEMENTS, Figure, SERVER};
use crate::claims::claim;
use crate::cli::text::{WIDTH, paragraph};
use crate::registry::CacheSizes;
use crate::registry::disk::Engine;
use crate::registry::model::{DiskModel, Fit, filter_bytes, levels, worst_error};
use crate::registry::store::Family;
use crate::report::{count, metric, plain, table_with};

/// Sizes of the document that are projected where they are not measured, and the claims about them.
const DOCUMENTED: [(u64, &str); 5] = [
    (1_000_000, "UR-20"),
    (10_000_000, "UR-21"),
    (100_000_000, "UR-22"),
    (1_000_000_000, "UR-23"),
    (8_000_000_000, "UR-24"),
];

/// Fewest sizes that a model of memory is fitted to.
const SIZES_MIN: usize = 4;
/// The widest a column of text is, in characters.
const TEXT_WIDTH: u16 = 24;

fn value(figures: &[Figure], users: u64, variant: &str, figure: &str, part: &str) -> Option<f64> {
    let found = figures
        .iter()
        .find(|found| found.users == users && found.variant == variant && found.figure == figure && found.part == part);
    found.map(|found| found.value)
}

/// What the rows of the table are: a registry in the compact layout, or one on a server.
fn kept(figures: &[Figure]) -> &'static str {
    if figures.iter().any(|figure| figure.variant == SERVER) { SERVER } else { "compact" }
}

fn points(figures: &[Figure], sizes: &[u64], figure: &str, part: &str) -> Vec<(f64, f64)> {
    let point = |&users: &u64| Some((users as f64, value(figures, users, kept(figures), figure, part)?));
    sizes.iter().filter_map(point).collect()
}

/// What of a lookup is projected: from disk if that was measured, else from the page cache.
fn miss(figures: &[Figure]) -> &'static str {
    if figures.iter().any(|figure| figure.figure == "cold miss") { "cold miss" } else { "miss" }
}

/// Figures of the document's sizes beyond those that were measured.
pub(super) fn project(figures: &[Figure], sizes: &[u64]) -> Vec<Figure> {
    let families = &Family::ALL[..6];
    let disk: Vec<_> = families.iter().map(|&family| points(figures, sizes, "disk", family.name())).collect();
    let models: Vec<_> =
        families.iter().zip(&disk).map(|(&family, disk)| DiskModel::of(family, ENDORSEMENTS.into(), disk)).collect();
    // Rows of a server are as long whatever the number of users.
    let lines: Vec<_> = disk.iter().map(|disk| Fit::of(disk)).collect();
    let is_server = kept(figures) == SERVER;
    let bytes = |index: usize, users: f64| if is_server { lines[index].at(users) } else { models[index].bytes(users) };
    let all = points(figures, sizes, "disk", "all");
    let total = |users: f64| (0..families.len()).map(|index| bytes(index, users)).sum::<f64>();
    let memory = points(figures, sizes, "memory", "with endorsements cached");
    // Memory grows steeply until the caches are full, and slowly from there on.
    let memory: Vec<_> = memory.into_iter().filter(|(users, _)| *users >= CacheSizes::default().users as f64).collect();
    let memory_fit = (memory.len() >= SIZES_MIN).then(|| Fit::of(&memory));
    let by_log = |(users, value): (f64, f64)| (libm::log2(users), value);
    let misses: Vec<_> = points(figures, sizes, miss(figures), "mean").into_iter().map(by_log).collect();
    let miss_fit = Fit::of(&misses);
    let hits = points(figures, sizes, "hit", "mean");
    let hit = hits.iter().map(|point| point.1).sum::<f64>() / hits.len().max(1) as f64;
    let mut projected = Vec::new();
    for (users, claim) in DOCUMENTED.into_iter().filter(|(users, _)| !sizes.contains(users)) {
        let mut add = |claim: &str, figure: &str, part: &str, value: f64, unit: &str| {
            projected.push(Figure {
                claim: claim.to_owned(),
                users,
                variant: kept(figures).to_owned(),
                figure: figure.to_owned(),
                part: part.to_owned(),
                value,
                unit: unit.to_owned(),
                how: "projected".to_owned(),
            });
        };
        let count = users as f64;
        for (index, family) in families.iter().enumerate() {
            add("", "disk", family.name(), bytes(index, count), "bytes");
            if !is_server {
                add("", "levels", family.name(), levels(bytes(index, count)).into(), "");
            }
        }
        add(claim, "disk", "all", total(count), "bytes");
        add("", "disk", "error of the model where measured", worst_error(&all, total), "");
        if let Some(fit) = &memory_fit {
            add(claim, "memory", "with endorsements cached", fit.at(count), "bytes");
            add("", "memory", "error of the model where measured", worst_error(&memory, |users| fit.at(users)), "");
        }
        if !is_server {
            add("", "memory", "bloom filters", filter_bytes(count), "bytes");
        }
        let miss_mean = miss_fit.at(libm::log2(count)).max(0.0);
        add("", miss(figures), "mean", miss_mean, "ns");
        add(claim, "lookup at 90 % hits", "mean", 0.9 * hit + 0.1 * miss_mean, "ns");
    }
    projected.extend(by_proportion(figures));
    projected
}

/// What the document says of 8 billion users by layout and of memory: what was measured at one size, in proportion.
fn by_proportion(figures: &[Figure]) -> Vec<Figure> {
    let mut projected = Vec::new();
    let mut add = |of: &Figure, claim: &str, users: u64| {
        let value = of.value / of.users as f64 * users as f64;
        projected.push(Figure { claim: claim.to_owned(), users, value, how: "projected".to_owned(), ..of.clone() });
    };
    for figure in figures.iter().filter(|figure| figure.variant == "memory" && figure.figure == "memory") {
        add(figure, &figure.claim, 8_000_000_000);
        if figure.part == "users" {
            [10_000_000, 50_000_000, 100_000_000].into_iter().for_each(|users| add(figure, "UR-05", users));
        }
    }
    for figure in figures.iter().filter(|figure| figure.variant.starts_with("documented") && figure.figure == "disk") {
        add(figure, &figure.claim, 8_000_000_000);
    }
    projected
}

/// What compression saves, in both layouts, as a share.
pub(super) fn compression(figures: &[Figure]) -> Vec<Figure> {
    let pairs = [("compact", "uncompressed"), ("documented", "documented-uncompressed")];
    let disk = |variant: &str, users: u64| {
        figures.iter().find(|found| {
            found.variant == variant && found.users == users && found.figure == "disk" && found.part == "all"
        })
    };
    let saved = |(with, without): (&str, &str)| {
        let without = figures.iter().find(|found| found.variant == without && found.figure == "disk")?;
        let (with, without) = (disk(with, without.users)?, disk(&without.variant, without.users)?);
        let own = |text: &str| text.to_owned();
        Some(Figure {
            claim: own("UR-06"),
            figure: own("saved by compression"),
            value: 100.0 * (1.0 - with.value / without.value),
            unit: own("%"),
            ..with.clone()
        })
    };
    pairs.into_iter().filter_map(saved).collect()
}

/// The tables for people.
pub(super) fn tables(figures: &[Figure], sizes: &[u64]) -> String {
    let mut rows: Vec<u64> = sizes.iter().copied().chain(DOCUMENTED.map(|(users, _)| users)).collect();
    rows.sort_unstable();
    rows.dedup();
    let rows = rows.into_iter().filter_map(|users| {
        let get = |figure: &str, part: &str| value(figures, users, kept(figures), figure, part);
        let (disk, lookup) = (get("disk", "all")?, get("lookup at 90 % hits", "mean")?);
        let memory = get("memory", "with endorsements cached");
        let how = if sizes.contains(&users) { "measured" } else { "projected" };
        let id = DOCUMENTED.iter().find(|row| row.0 == users).map_or("", |row| row.1);
        let documented = claim(id).and_then(|claim| claim.figure.clone()).unwrap_or_default().replace(';', ", ");
        Some(vec![
            count(users as f64),
            metric(disk) + "B",
            memory.map_or_else(String::new, |memory| metric(memory) + "B"),
            plain(lookup / 1e6) + " ms",
            how.to_owned(),
            id.to_owned(),
            documented,
        ])
    });
    let header = ["Users", "Disk", "RAM", "Lookup time", "how", "claim", "documented"];
    let how = if kept(figures) == SERVER { "tables of a server" } else { "compact layout, LZ4, bloom filters" };
    let mut text = format!("Users and what they take (5 endorsements each; {how})\n\n");
    text += &table_with(&header, &[4, 5, 6], TEXT_WIDTH, rows);
    text += &notes(figures);
    text += &details(figures, sizes);
    text
}

/// How the rows above were had.
fn notes(figures: &[Figure]) -> String {
    let error = |figure: &str| {
        figures
            .iter()
            .find(|found| found.figure == figure && found.part == "error of the model where measured")
            .map(|found| found.value * 100.0)
    };
    let on_server = "RAM is resident memory of this process, which keeps nothing of the registry; the server's own is not \
                     in it. Lookup time is the mean of one after the other on one connection, nine of ten of 50K users and \
                     one of any: each asks the server, and what lies between is in it."
        .to_owned();
    let in_folder = format!(
        "RAM is resident memory of the process with 100K users and 500K endorsements cached. Lookup time is the mean with \
         90 % hits in the cache of users; others are answered {}.",
        if miss(figures) == "miss" {
            "from the system's page cache (--drop-caches measures reads from disk)"
        } else {
            "from the page cache where measured, and from disk where projected"
        }
    );
    let told = if kept(figures) == SERVER { on_server } else { in_folder };
    let mut text = format!("\n{}", paragraph(&told));
    if let Some(disk) = error("disk") {
        let memory = error("memory").map_or_else(
            || "memory is not projected, because fewer than four sizes fill the caches".to_owned(),
            |memory| format!("{memory:.1} % of memory"),
        );
        text += &paragraph(&format!(
            "Projected rows: bytes by family, memory and misses fitted to the measured rows (least squares{}). Where \
             measured, the fit is off by at most {disk:.1} % of disk; {memory}.",
            if kept(figures) == SERVER { "" } else { "; numbers of users get longer by their known rule" }
        ));
    }
    text
}

/// Everything that was measured at the largest size and of the variants, one figure a line.
fn details(figures: &[Figure], sizes: &[u64]) -> String {
    let largest = sizes.last().copied().unwrap_or_default();
    let shown = figures
        .iter()
        .filter(|figure| figure.how == "measured" && (figure.variant != kept(figures) || figure.users == largest));
    let rows = shown.map(|figure| {
        let Figure { variant, figure: name, part, unit, claim, .. } = figure.clone();
        vec![count(figure.users as f64), variant, name, part, plain(figure.value), unit, claim]
    });
    let header = ["Users", "variant", "figure", "part", "value", "unit", "claim"];
    let mut text = format!("\nFigures (all measured)\n\n{}", table_with(&header, &[1, 2, 3, 5, 6], TEXT_WIDTH, rows));
    text += "\nService times for scenarios at the largest size (least, median, 90 and 99 per cent, most)\n\n";
    for (key, figure) in [
        ("read_time", "miss"),
        ("write_time", "register, buffered"),
        ("# durable write_time", "register, durable"),
        ("# endorse", "endorse, buffered"),
    ] {
        let nanos = quantiles(figures, largest, figure);
        let spans: Vec<String> = nanos.iter().map(|nanos| format!("\"{nanos:.0}ns\"")).collect();
        let line = format!("{key} = [{}]", spans.join(", "));
        if line.chars().count() <= WIDTH {
            let _ = writeln!(text, "{line}");
        } else {
            // A list may go over several lines; what is a remark has to stay one.
            let remark = if key.starts_with('#') { "#" } else { "" };
            let _ = writeln!(text, "{key} = [\n{remark}    {},\n{remark}]", spans.join(&format!(",\n{remark}    ")));
        }
    }
    text
}

/// The quantiles of what an operation takes, in nanoseconds.
fn quantiles(figures: &[Figure], users: u64, operation: &str) -> Vec<f64> {
    let parts = QUANTILES.iter().map(|(part, _)| part);
    parts.filter_map(|part| value(figures, users, kept(figures), operation, part)).collect()
}

/// The file of service times that a scenario names: those of the largest size, which is above what caches hold. A change
/// is one that does not wait for the disk: a replica's change is safe when others have it.
pub(super) fn service_times(figures: &[Figure], sizes: &[u64], engine: Engine) -> String {
    let largest = sizes.last().copied().unwrap_or_default();
    let how = match kept(figures) {
        SERVER => "on a server".to_owned(),
        layout => format!("engine {engine}, {layout} layout"),
    };
    let mut text = format!(
        "# Measured by `qnetsim registry bench`: {largest} users, {how}. Lookups that no cache of\n\
         # users answers; registrations that do not wait for the disk.\n\
         operation,least_ns,p50_ns,p90_ns,p99_ns,most_ns\n"
    );
    for (name, operation) in [("read", "miss"), ("write", "register, buffered")] {
        let nanos = quantiles(figures, largest, operation);
        let cells: String = nanos.iter().map(|nanos| format!(",{nanos:.0}")).collect();
        let _ = writeln!(text, "{name}{cells}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(users: u64, figure: &str, part: &str, value: f64) -> Figure {
        Figure {
            claim: String::new(),
            users,
            variant: "compact".to_owned(),
            figure: figure.to_owned(),
            part: part.to_owned(),
            value,
            unit: String::new(),
            how: "measured".to_owned(),
        }
    }

    #[test]
    fn sizes_of_the_document_that_were_not_measured_are_projected_and_say_so() {
        let sizes = [125_000, 250_000, 500_000, 1_000_000];
        let mut figures = Vec::new();
        for users in sizes {
            for family in &Family::ALL[..6] {
                figures.push(figure(users, "disk", family.name(), users as f64 * 100.0));
            }
            figures.push(figure(users, "disk", "all", users as f64 * 600.0));
            figures.push(figure(users, "memory", "with endorsements cached", 1e8));
            figures.push(figure(users, "miss", "mean", 5_000.0));
            figures.push(figure(users, "hit", "mean", 100.0));
            figures.push(figure(users, "lookup at 90 % hits", "mean", 590.0));
        }
        let projected = project(&figures, &sizes);
        assert!(projected.iter().all(|figure| figure.how == "projected" && figure.users >= 10_000_000));
        let lookup = value(&projected, 8_000_000_000, "compact", "lookup at 90 % hits", "mean").unwrap();
        assert!((lookup - 590.0).abs() < 1e-6, "{lookup}");
        let disk = value(&projected, 8_000_000_000, "compact", "disk", "all").unwrap();
        assert!((4.8e12..5.8e12).contains(&disk), "600 bytes a user and longer numbers: {disk}");
        figures.extend(projected);
        for part in ["least", "p50", "p90", "p99", "most"] {
            figures.push(figure(1_000_000, "register, durable", part, 123_456_789_012.0));
        }
        let table = tables(&figures, &sizes);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        for part in ["8.00B", "5.6TB, 200MB, 0.003ms", "UR-24", "projected", "1.00M", "measured", "read_time = ["] {
            assert!(table.contains(part), "{part}:\n{table}");
        }
    }
}
