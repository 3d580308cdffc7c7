//! Tables for people: no frames, numbers to the right, never wider than a hundred columns.

use std::cell::Cell;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table, TableStyle, Width};

/// The widest a line may be, in characters.
pub(super) const WIDTH: usize = 100;

/// The widest a column of text is, in characters, before its cells are wrapped, where a table does not ask for more.
const TEXT_WIDTH: u16 = 18;

thread_local! {
    /// The widest a line may be at the moment.
    static COLUMNS: Cell<usize> = const { Cell::new(WIDTH) };
}

/// What `render` makes, with tables at most `columns` wide where that is less than the hundred that they may have.
pub fn at_width<T>(columns: usize, render: impl FnOnce() -> T) -> T {
    let before = COLUMNS.replace(columns.min(WIDTH));
    let made = render();
    COLUMNS.set(before);
    made
}

/// The widest a line may be at the moment.
pub(super) fn columns() -> usize {
    COLUMNS.get()
}

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// `rows` under `header`; the columns at the indices `texts` are set to the left, all others are numbers.
pub(super) fn table(header: &[&str], texts: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table_with(header, texts, TEXT_WIDTH, rows)
}

/// As [`table`], with columns of text up to `text_width` characters wide.
pub(crate) fn table_with(
    header: &[&str],
    texts: &[usize],
    text_width: u16,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_width(COLUMNS.get() as u16).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(Row::from(header.to_vec()));
    for row in rows {
        table.add_row(row);
    }
    let gap = gap(&table.column_max_content_widths(), texts, text_width);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { 0 } else { gap }, 0));
        if texts.contains(&index) {
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(text_width)));
        } else {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// The widest gap between columns, of one to three characters, at which a table with these widths fits.
fn gap(widths: &[u16], texts: &[usize], text_width: u16) -> u16 {
    let bounded = |(index, &width): (usize, &u16)| if texts.contains(&index) { width.min(text_width) } else { width };
    let content: usize = widths.iter().enumerate().map(bounded).map(usize::from).sum();
    let gaps = widths.len().saturating_sub(1);
    (2..=3).rev().find(|&gap| content + gaps * usize::from(gap) <= COLUMNS.get()).unwrap_or(1)
}

/// `text` as a list item, broken at spaces so that no line is too wide.
pub(super) fn bullet(text: &str) -> String {
    let mut lines = vec!["-".to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.chars().count() + 1 + word.chars().count() > COLUMNS.get() {
            lines.push(format!("  {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_to_the_right_and_text_to_the_left() {
        let rows = [["a", "1"], ["bcd", "1000"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&["name", "n"], &[0], rows), "name      n\n───────────\na         1\nbcd    1000\n");
    }

    #[test]
    fn gaps_shrink_before_a_table_gets_too_wide() {
        assert_eq!(gap(&[40, 40, 14], &[], 18), 3);
        assert_eq!(gap(&[40, 40, 15], &[], 18), 2);
        assert_eq!(gap(&[40, 40, 40], &[], 18), 1);
        assert_eq!(gap(&[90, 40, 36], &[0], 18), 3, "the first is wrapped");
    }

    #[test]
    fn bullets_are_wrapped() {
        let text = bullet(&"word ".repeat(50));
        assert_eq!(text.split_whitespace().filter(|&word| word == "word").count(), 50);
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= WIDTH));
        assert!(text.starts_with("- word") && text.lines().skip(1).all(|line| line.starts_with("  word")));
    }
}
