//! From measured sizes to larger ones, and all of them as tables.

use std::fmt::Write;

use super::{ENDORSEMENTS, Figure};
use crate::claims::claim;
use crate::registry::model::{DiskModel, Fit, filter_bytes, levels, worst_error};
use crate::registry::store::Family;

/// Sizes of the document that are projected where they are not measured, and the claims about them.
const DOCUMENTED: [(u64, &str); 5] = [
    (1_000_000, "UR-20"),
    (10_000_000, "UR-21"),
    (100_000_000, "UR-22"),
    (1_000_000_000, "UR-23"),
    (8_000_000_000, "UR-24"),
];

fn value(figures: &[Figure], users: u64, variant: &str, figure: &str, part: &str) -> Option<f64> {
    let found = figures
        .iter()
        .find(|found| found.users == users && found.variant == variant && found.figure == figure && found.part == part);
    found.map(|found| found.value)
}

fn points(figures: &[Figure], sizes: &[u64], figure: &str, part: &str) -> Vec<(f64, f64)> {
    let point = |&users: &u64| Some((users as f64, value(figures, users, "compact", figure, part)?));
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
    let all = points(figures, sizes, "disk", "all");
    let total = |users: f64| models.iter().map(|model| model.bytes(users)).sum::<f64>();
    let memory = points(figures, sizes, "memory", "with endorsements cached");
    let memory_fit = Fit::of(&memory);
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
                variant: "compact".to_owned(),
                figure: figure.to_owned(),
                part: part.to_owned(),
                value,
                unit: unit.to_owned(),
                how: "projected".to_owned(),
            });
        };
        let count = users as f64;
        for (family, model) in families.iter().zip(&models) {
            add("", "disk", family.name(), model.bytes(count), "bytes");
            add("", "levels", family.name(), levels(model.bytes(count)).into(), "");
        }
        add(claim, "disk", "all", total(count), "bytes");
        add("", "disk", "error of the model where measured", worst_error(&all, total), "");
        add(claim, "memory", "with endorsements cached", memory_fit.at(count), "bytes");
        add("", "memory", "filters, if all were in memory", filter_bytes(count), "bytes");
        add("", "memory", "error of the model where measured", worst_error(&memory, |users| memory_fit.at(users)), "");
        let miss_mean = miss_fit.at(libm::log2(count)).max(0.0);
        add("", miss(figures), "mean", miss_mean, "ns");
        add(claim, "lookup at 90 % hits", "mean", 0.9 * hit + 0.1 * miss_mean, "ns");
    }
    projected
}

fn size(bytes: f64) -> String {
    match bytes {
        _ if bytes >= 1e12 => format!("{:.2} TB", bytes / 1e12),
        _ if bytes >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        _ => format!("{:.0} MB", bytes / 1e6),
    }
}

fn people(users: u64) -> String {
    match users {
        _ if users >= 1_000_000_000 && users.is_multiple_of(1_000_000_000) => format!("{}B", users / 1_000_000_000),
        _ if users >= 1_000_000 && users.is_multiple_of(1_000_000) => format!("{}M", users / 1_000_000),
        _ if users.is_multiple_of(1_000) => format!("{}K", users / 1_000),
        _ => users.to_string(),
    }
}

/// The tables for people.
pub(super) fn tables(figures: &[Figure], sizes: &[u64]) -> String {
    let mut text =
        String::from("Users and what they take (5 endorsements each; compact layout, LZ4, bloom filters)\n\n");
    let _ = writeln!(
        text,
        "{:>8}  {:>9}  {:>9}  {:>11}  {:<9}  {:<6}  {}",
        "Users", "Disk", "RAM", "Lookup time", "how", "claim", "documented"
    );
    let mut rows: Vec<u64> = sizes.iter().copied().chain(DOCUMENTED.map(|(users, _)| users)).collect();
    rows.sort_unstable();
    rows.dedup();
    for users in rows {
        let get = |figure: &str, part: &str| value(figures, users, "compact", figure, part);
        let (Some(disk), Some(memory), Some(lookup)) =
            (get("disk", "all"), get("memory", "with endorsements cached"), get("lookup at 90 % hits", "mean"))
        else {
            continue;
        };
        let how = if sizes.contains(&users) { "measured" } else { "projected" };
        let id = DOCUMENTED.iter().find(|row| row.0 == users).map_or("", |row| row.1);
        let documented = claim(id).and_then(|claim| claim.figure.clone()).unwrap_or_default().replace(';', "  ");
        let _ = writeln!(
            text,
            "{:>8}  {:>9}  {:>9}  {:>8.5} ms  {how:<9}  {id:<6}  {documented}",
            people(users),
            size(disk),
            size(memory),
            lookup / 1e6
        );
    }
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
    let mut text = format!(
        "\nRAM is resident memory of the process with 100K users and 500K endorsements cached. Lookup time is the mean with\n\
         90 % hits in the cache of users; others are answered {}.\n",
        if miss(figures) == "miss" {
            "from the system's page cache (--drop-caches measures reads from disk)"
        } else {
            "from the page cache where measured, and from disk where projected"
        }
    );
    if let (Some(disk), Some(memory)) = (error("disk"), error("memory")) {
        let _ = writeln!(
            text,
            "Projected rows: bytes by family, memory and misses fitted to the measured rows (least squares; numbers of users\n\
             get longer by their known rule); the fit is off by {disk:.1} % of disk and {memory:.1} % of memory at most there."
        );
    }
    text
}

/// Everything that was measured at the largest size and of the variants, one figure a line.
fn details(figures: &[Figure], sizes: &[u64]) -> String {
    let largest = sizes.last().copied().unwrap_or_default();
    let mut text = String::from("\nFigures (all measured)\n\n");
    let _ = writeln!(
        text,
        "{:>7}  {:<23}  {:<24}  {:<24}  {:>13} {:<6} {}",
        "Users", "variant", "figure", "part", "value", "unit", "claim"
    );
    let shown = figures
        .iter()
        .filter(|figure| figure.how == "measured" && (figure.variant != "compact" || figure.users == largest));
    for figure in shown {
        let digits = if figure.value.abs() < 100.0 { 3 } else { 0 };
        let _ = writeln!(
            text,
            "{:>7}  {:<23}  {:<24}  {:<24}  {:>13.digits$} {:<6} {}",
            people(figure.users),
            figure.variant,
            figure.figure,
            figure.part,
            figure.value,
            figure.unit,
            figure.claim
        );
    }
    text +=
        "\nService times for scenarios (the least, the median, 90 and 99 per cent, the most), at the largest size\n\n";
    for (key, figure) in [
        ("read_time", "miss"),
        ("write_time", "register, buffered"),
        ("# durable write_time", "register, durable"),
        ("# endorse", "endorse, buffered"),
    ] {
        let spans: Vec<String> = ["least", "p50", "p90", "p99", "most"]
            .iter()
            .filter_map(|part| value(figures, largest, "compact", figure, part))
            .map(|nanos| format!("\"{nanos:.0}ns\""))
            .collect();
        let _ = writeln!(text, "{key} = [{}]", spans.join(", "));
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
        let table = tables(&figures, &sizes);
        for part in ["8B", "5.6TB  200MB  0.003ms", "UR-24", "projected", "1M", "measured", "read_time = ["] {
            assert!(table.contains(part), "{part}:\n{table}");
        }
    }
}
