//! Sheets as tables of a page: whole where they are short, their first rows where they are long.

use super::super::folder::{ReadError, ResultFolder, Row, Sheet};

/// The most rows of a table on a page.
const ROWS_MAX: usize = 1_000;

/// A table of a page.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) caption: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) is_number: bool,
}

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    /// How it is set: one of a few words of this program, never of a file.
    pub(super) class: &'static str,
}

/// Sheets that are shown, with what they hold. Those over time and by link are for other programs.
const SHOWN: [(&str, &str); 8] = [
    ("bandwidth.csv", "Bandwidth by type of node"),
    ("detection.csv", "Failure detection"),
    ("figures.csv", "Figures of mechanisms"),
    ("messages.csv", "Messages by kind and type of node"),
    ("latency.csv", "One-way delays by kind of message"),
    ("drops.csv", "Dropped messages by cause"),
    ("registry-bench.csv", "Registries, measured on one machine"),
    ("sweep-means.csv", "Means of a sweep over its seeds"),
];

/// The tables that `folder` has data for.
pub(super) fn tables(folder: &ResultFolder<'_>) -> Result<Vec<Table>, ReadError> {
    let mut tables = Vec::new();
    for (file, title) in SHOWN {
        if let Some(sheet) = folder.sheet(file)?.filter(|sheet| sheet.rows().len() > 0) {
            tables.push(whole(&sheet, file, title));
        }
    }
    Ok(tables)
}

fn whole(sheet: &Sheet, file: &str, title: &str) -> Table {
    let all: Vec<Row<'_>> = sheet.rows().collect();
    let shown = &all[..all.len().min(ROWS_MAX)];
    let columns: Vec<Column> = sheet
        .columns()
        .iter()
        .map(|name| Column { name: name.clone(), is_number: shown.iter().all(|row| is_number(row.text(name))) })
        .collect();
    let row = |row: &Row<'_>| {
        let cells = row.cells().zip(&columns);
        cells.map(|(text, column)| Cell { text: text.to_owned(), class: class(column.is_number) }).collect()
    };
    let rows = shown.iter().map(row).collect();
    let title = format!("{title} ({file}, {} rows)", all.len());
    let caption = if shown.len() < all.len() { format!("The first {ROWS_MAX} rows.") } else { String::new() };
    Table { title, caption, columns, rows }
}

/// Whether a cell may stand in a column of numbers.
fn is_number(text: &str) -> bool {
    text.is_empty() || text.parse::<f64>().is_ok()
}

fn class(is_number: bool) -> &'static str {
    if is_number { "n" } else { "" }
}

/// Thresholds with their verdicts; `None` if there are none.
pub(super) fn thresholds(folder: &ResultFolder<'_>) -> Result<Option<Table>, ReadError> {
    let Some(sheet) = folder.sheet("thresholds.csv")? else { return Ok(None) };
    sheet.require(&["threshold", "approach", "nodes", "metric", "measured", "verdict"])?;
    let failed = sheet.rows().filter(|row| row.text("verdict") != "pass").count();
    let caption = format!("Thresholds: {failed} of {} failed.", sheet.rows().len());
    Ok(Some(verdicts(&sheet, caption, &["verdict", "threshold", "approach", "nodes", "measured"], &|row, column| {
        row.text(column).to_owned()
    })))
}

/// Claims with their verdicts; `None` if the folder holds none.
pub(super) fn claims(folder: &ResultFolder<'_>) -> Result<Option<Table>, ReadError> {
    let Some(sheet) = folder.sheet("claims.csv")? else { return Ok(None) };
    sheet.require(&["id", "claim", "part", "unit", "documented", "simulated", "machine", "because"])?;
    sheet.require(&["simulated_verdict", "machine_verdict"])?;
    let either = |row: &Row<'_>, column: &str| {
        let simulated = row.text(&format!("simulated{column}"));
        if simulated.is_empty() { row.text(&format!("machine{column}")).to_owned() } else { simulated.to_owned() }
    };
    // A claim has a row for each of its parts, and one verdict.
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut last = "";
    for row in sheet.rows() {
        if row.text("id") != last {
            let verdict = either(&row, "_verdict");
            let kind = if verdict.starts_with("off by") { "off by a factor".to_owned() } else { verdict };
            match counts.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        last = row.text("id");
    }
    let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let caption = format!("Claims: {}.", counts.join(", "));
    let columns = ["verdict", "id", "claim", "part", "documented", "measured", "unit", "obtained", "because"];
    Ok(Some(verdicts(&sheet, caption, &columns, &|row, column| match column {
        "verdict" => either(row, "_verdict"),
        "measured" => either(row, ""),
        "because" if !row.text("missing").is_empty() => row.text("missing").to_owned(),
        other => row.text(other).to_owned(),
    })))
}

/// A table whose first column is a verdict.
fn verdicts(sheet: &Sheet, caption: String, columns: &[&str], cell: &dyn Fn(&Row<'_>, &str) -> String) -> Table {
    let texts: Vec<Vec<String>> =
        sheet.rows().take(ROWS_MAX).map(|row| columns.iter().map(|column| cell(&row, column)).collect()).collect();
    let is_number = |at: usize| texts.iter().all(|row| is_number(&row[at]));
    let columns: Vec<Column> = columns
        .iter()
        .enumerate()
        .map(|(at, name)| Column { name: (*name).to_owned(), is_number: is_number(at) })
        .collect();
    let rows = texts
        .into_iter()
        .map(|row| {
            let cells = row.into_iter().zip(&columns).enumerate();
            let cells = cells.map(|(at, (text, column))| {
                let class = if at == 0 { verdict_class(&text) } else { class(column.is_number) };
                Cell { text, class }
            });
            cells.collect()
        })
        .collect();
    Table { title: String::new(), caption, columns, rows }
}

/// How a verdict is set: its words say it as well.
fn verdict_class(verdict: &str) -> &'static str {
    match verdict {
        "pass" | "holds" => "pass",
        "fail" | "contradicted" | "no evidence" => "fail",
        off if off.starts_with("off by") => "fail",
        _ => "",
    }
}
