//! How long a lookup and a change take a node: quantiles in the scenario, or in a file that `qnetsim registry bench` wrote.

use super::super::super::files::Row;
use super::super::super::problem::{Draft, Place};
use super::super::super::quantity::short;
use super::super::super::reader::{Reader, Section};
use super::super::super::tree::Value;
use crate::contract::SimSpan;
use crate::protocols::registry::{RegistryOptions, ServiceTime};

/// Spans that something may take a node.
const RANGE: [SimSpan; 2] = [SimSpan::ZERO, SimSpan::from_secs(60)];
/// Bytes of a file of service times.
const FILE_BYTES_MAX: u64 = 64_000;
/// The header of such a file; and the operations that it has, each once.
const HEADER: [&str; 6] = ["operation", "least_ns", "p50_ns", "p90_ns", "p99_ns", "most_ns"];
const OPERATIONS: [&str; 2] = ["read", "write"];
const HELP: &str = "`qnetsim registry bench` writes such a file: service-times.csv";

/// What a lookup and what a change takes: from the file that `service_times` names, or from `read_time` and `write_time`.
pub(super) fn times(reader: &mut Reader, own: &Section<'_>, base: &RegistryOptions) -> Option<[ServiceTime; 2]> {
    let Some(entry) = own.get("service_times") else {
        let (read, write) = (time(reader, own, "read_time", base.read), time(reader, own, "write_time", base.write));
        return Some([read?, write?]);
    };
    let mut alone = true;
    for key in ["read_time", "write_time"] {
        if let Some(other) = own.get(key) {
            alone = false;
            let title = format!("`{key}` has no meaning beside `service_times`, whose file says it");
            reader.report(Draft::new(other.key_at, title, "remove it, or `service_times`"));
        }
    }
    from_file(reader, &entry.value).filter(|_| alone)
}

/// The quantiles of a service time: one span, or five that ascend.
fn time(reader: &mut Reader, own: &Section<'_>, key: &str, default: ServiceTime) -> Option<ServiceTime> {
    let Some(entry) = own.get(key) else { return Some(default) };
    let mut spans = Vec::new();
    for value in reader.items(&entry.value, "quantiles", 5) {
        spans.push(reader.span(value, RANGE[0], RANGE[1])?);
    }
    match spans[..] {
        [span] => Some(ServiceTime::constant(span)),
        [least, half, ninety, most, all] if spans.is_sorted() => {
            Some(ServiceTime { quantiles: [least, half, ninety, most, all] })
        }
        _ => {
            let title = format!("`{key}` has {} spans, or they do not ascend", spans.len());
            let label = "write one span, or five: the least, the median, 90 and 99 per cent, the most";
            reader.report(Draft::new(entry.value.at, title, label));
            None
        }
    }
}

/// What the file that `value` names says of each of [`OPERATIONS`].
fn from_file(reader: &mut Reader, value: &Value) -> Option<[ServiceTime; 2]> {
    let file = reader.csv_file(value, FILE_BYTES_MAX)?;
    let mut rows = file.rows();
    let header = rows.next()?;
    if !header.cells().map(|cell| cell.text).eq(HEADER) {
        let label = format!("write {}", HEADER.join(","));
        reader.report(Draft::new(header.at, "this is no header of service times", label).help(HELP));
        return None;
    }
    let mut found: [Option<ServiceTime>; 2] = [None; 2];
    let mut last = header.at;
    for row in rows {
        last = row.at;
        match operation(&row) {
            Ok((index, time)) if found[index].is_none() => found[index] = Some(time),
            Ok((index, _)) => {
                let title = format!("the operation `{}` stands in the file for the second time", OPERATIONS[index]);
                reader.report(Draft::new(row.at, title, "remove one of the rows"));
                return None;
            }
            Err(draft) => {
                reader.report(draft.help(HELP));
                return None;
            }
        }
    }
    for (operation, time) in OPERATIONS.iter().zip(&found) {
        if time.is_none() {
            let title = format!("the file has no row of the operation `{operation}`");
            reader.report(Draft::new(last, title, "add one below").help(HELP));
        }
    }
    let [read, write] = found;
    Some([read?, write?])
}

/// Which of [`OPERATIONS`] a row is about, and what it takes.
fn operation(row: &Row<'_>) -> Result<(usize, ServiceTime), Draft> {
    let cells: Vec<_> = row.cells().collect();
    let [name, quantiles @ ..] = &cells[..] else {
        return Err(Draft::new(row.at, "this row is empty", "remove it"));
    };
    let Some(index) = OPERATIONS.iter().position(|operation| *operation == name.text) else {
        let title = format!("unknown operation `{}`", short(name.text));
        return Err(Draft::new(name.at, title, "write read or write"));
    };
    if quantiles.len() + 1 != HEADER.len() {
        let title = format!("this row has {} cells, and the header {}", cells.len(), HEADER.len());
        return Err(Draft::new(row.at, title, "write as many cells as the header has"));
    }
    let mut time = ServiceTime::constant(SimSpan::ZERO);
    for (quantile, cell) in time.quantiles.iter_mut().zip(quantiles) {
        *quantile = nanos(cell.text, cell.at)?;
    }
    if time.quantiles.is_sorted() {
        return Ok((index, time));
    }
    let title = format!("the quantiles of `{}` do not ascend", name.text);
    Err(Draft::new(row.at, title, "write the least, the median, 90 and 99 per cent, the most"))
}

fn nanos(text: &str, at: Place) -> Result<SimSpan, Draft> {
    let most = RANGE[1].as_nanos();
    let label = format!("write whole nanoseconds from 0 to {most} (a minute)");
    match text.parse::<u64>() {
        Ok(nanos) if nanos <= most => Ok(SimSpan::from_nanos(nanos)),
        Ok(_) => Err(Draft::new(at, format!("`{}` nanoseconds are out of range", short(text)), label)),
        Err(_) => Err(Draft::new(at, format!("`{}` is no number of nanoseconds", short(text)), label)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::super::super::{Scenario, ScenarioError, load};

    const GOOD: &str = "# measured\noperation,least_ns,p50_ns,p90_ns,p99_ns,most_ns\nwrite,1000,2000,3000,4000,5000\n\
                        read,1,2,3,4,60000000000\n";

    /// A scenario whose file of service times holds `csv`, with `more` options of the approach.
    fn read(csv: &str, more: &str) -> Result<Scenario, ScenarioError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("times.csv"), csv).unwrap();
        let path = folder.path().join("s.toml");
        let head =
            "name = \"a\"\nnodes = 400\ntiers = { super = 7, full = 40, mobile = 50 }\napproaches = \"registry\"\n";
        fs::write(&path, format!("{head}[approach.registry]\n{more}")).unwrap();
        load(&path, &[])
    }

    const FILE: &str = "service_times = \"times.csv\"";

    #[test]
    fn a_file_says_the_same_as_lists_and_is_part_of_the_hash() {
        let from_file = read(GOOD, FILE).unwrap_or_else(|error| panic!("{error}"));
        let lists = "read_time = [\"1ns\", \"2ns\", \"3ns\", \"4ns\", \"1min\"]\n\
                     write_time = [\"1us\", \"2us\", \"3us\", \"4us\", \"5us\"]";
        assert_eq!(from_file.hash, read(GOOD, lists).unwrap().hash);
        let slower = read(&GOOD.replace("2000", "2001"), FILE).unwrap();
        assert_ne!(from_file.hash, slower.hash);
        assert_ne!(from_file.hash, read(GOOD, "").unwrap().hash);
    }

    #[track_caller]
    fn check(csv: &str, (line, column): (usize, usize), part: &str) {
        let Err(ScenarioError::Invalid(problems)) = read(csv, FILE) else { panic!("{csv}: accepted") };
        let [problem] = problems.list() else { panic!("{problems}") };
        assert_eq!((problem.source.as_str(), problem.line, problem.column), ("times.csv", line, column), "{problems}");
        assert!(problems.to_string().contains(part), "`{part}` is not said: {problems}");
    }

    #[test]
    fn a_bad_file_is_refused_by_line_and_reason() {
        check("operation,ns\nread,1\n", (1, 1), "this is no header of service times");
        check(&GOOD.replace("write", "wrote"), (3, 1), "unknown operation `wrote`");
        check(&GOOD.replace("3000,", ""), (3, 1), "this row has 5 cells, and the header 6");
        check(&GOOD.replace("3000", "3 us"), (3, 17), "`3 us` is no number of nanoseconds");
        check(&GOOD.replace("3000", "-1"), (3, 17), "`-1` is no number of nanoseconds");
        check(&GOOD.replace("60000000000", "60000000001"), (4, 14), "out of range");
        check(&GOOD.replace("3000", "1999"), (3, 1), "the quantiles of `write` do not ascend");
        check(&GOOD.replace("read", "write"), (4, 1), "the operation `write` stands in the file for the second time");
        let reads = GOOD.lines().filter(|line| !line.starts_with("write"));
        check(&reads.collect::<Vec<_>>().join("\n"), (3, 1), "the file has no row of the operation `write`");
    }

    #[track_caller]
    fn check_key(csv: &str, lines: &str, line: usize, part: &str) {
        let Err(ScenarioError::Invalid(problems)) = read(csv, lines) else { panic!("{lines}: accepted") };
        let [problem] = problems.list() else { panic!("{problems}") };
        assert_eq!((problem.source.ends_with("s.toml"), problem.line), (true, line), "{problems}");
        assert!(problems.to_string().contains(part), "`{part}` is not said: {problems}");
    }

    #[test]
    fn the_file_stands_alone_and_beside_the_scenario() {
        check_key(GOOD, "service_times = \"none.csv\"", 6, "cannot read the file `none.csv`");
        check_key(GOOD, "service_times = \"../times.csv\"", 6, "in the folder of the scenario");
        check_key(GOOD, "service_times = 7", 6, "expected the name of a file");
        check_key(
            GOOD,
            &format!("read_time = \"1us\"\n{FILE}"),
            6,
            "`read_time` has no meaning beside `service_times`",
        );
        check_key(GOOD, &format!("{FILE}\nwrite_time = \"1us\""), 7, "`write_time` has no meaning");
        check_key(&format!("# {}\n{GOOD}", "x".repeat(64_000)), FILE, 6, "is larger than 64000 bytes");
    }
}
