//! Columns of text that line up: names to the left, numbers by their decimal point.
//!
//! Invariant: all cells of a column take the same columns on a terminal; only the first column gives way when the page
//! is too narrow.

use crate::page::{Line, Tone, columns, shortened};

/// Blanks between two columns.
const GAP: usize = 3;

/// The first column is never made narrower than this; then the page cuts the line instead.
const NARROWEST_NAME: usize = 12;

/// How the cells of a column stand below each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    /// By the decimal point; the head of the column to the right.
    Point,
}

/// One cell.
pub(crate) type Cell = (Tone, String);

/// A plain cell.
pub(crate) fn cell(text: impl Into<String>) -> Cell {
    (Tone::Plain, text.into())
}

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Table {
    aligns: Vec<Align>,
    heads: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table whose first column is headed by its title.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let (heads, aligns) = columns.iter().map(|(head, align)| ((*head).to_owned(), *align)).unzip();
        Self { aligns, heads, rows: Vec::new() }
    }

    /// Adds a row; missing cells at its end are empty.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines of the table, its head first, for a page of `width` columns.
    pub(crate) fn lines(&self, width: usize) -> Vec<Line> {
        let mut widths: Vec<Width> = (0..self.aligns.len()).map(|column| self.width_of(column)).collect();
        let others: usize = widths.iter().skip(1).map(|width| width.total() + GAP).sum();
        if let Some(name) = widths.first_mut() {
            let room = width.saturating_sub(others).max(NARROWEST_NAME);
            name.before = name.before.min(room);
        }
        let head = self.heads.iter().map(|head| (Tone::Strong, head.clone())).collect::<Vec<_>>();
        let mut lines = vec![self.line(&head, &widths, true)];
        lines.extend(self.rows.iter().map(|row| self.line(row, &widths, false)));
        lines
    }

    fn width_of(&self, column: usize) -> Width {
        let mut width = Width::default();
        for (_, text) in self.rows.iter().filter_map(|row| row.get(column)) {
            let (before, after) = split(text, self.aligns[column]);
            width.before = width.before.max(columns(before));
            width.after = width.after.max(columns(after));
        }
        let head = columns(&self.heads[column]);
        width.before = width.before.max(head.saturating_sub(width.after));
        width
    }

    fn line(&self, cells: &[Cell], widths: &[Width], is_head: bool) -> Line {
        let mut line = Line::new();
        for (column, ((tone, text), width)) in cells.iter().zip(widths).enumerate() {
            if column > 0 {
                line = line.text(" ".repeat(GAP));
            }
            let align = match self.aligns[column] {
                Align::Point if is_head => Align::Right,
                align => align,
            };
            let text = shortened(text, width.total());
            let (before, after) = split(&text, align);
            let blanks = |all: usize, taken: &str| " ".repeat(all.saturating_sub(columns(taken)));
            line = match align {
                Align::Left => line.toned(*tone, &text).text(blanks(width.total(), &text)),
                Align::Right => line.text(blanks(width.total(), &text)).toned(*tone, &text),
                Align::Point => line
                    .text(blanks(width.before, before))
                    .toned(*tone, &text)
                    .text(blanks(width.after, after)),
            };
        }
        line
    }
}

/// Columns before the decimal point, and with and after it.
#[derive(Debug, Clone, Copy, Default)]
struct Width {
    before: usize,
    after: usize,
}

impl Width {
    fn total(self) -> usize {
        self.before + self.after
    }
}

fn split(text: &str, align: Align) -> (&str, &str) {
    let point = text.find('.').filter(|_| align == Align::Point).unwrap_or(text.len());
    text.split_at(point)
}
