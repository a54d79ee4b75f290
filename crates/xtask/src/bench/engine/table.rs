//! What a group found, as an aligned table that is Markdown at the same time.

use std::fmt::Write as _;

use super::measure::{Contestant, Round, Spread};

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// That or less, and what would be better still.
    AtMost(f64, Option<f64>),
    /// That or more.
    AtLeast(f64),
}

impl Goal {
    pub const fn at_most(most: f64) -> Self {
        Self::AtMost(most, None)
    }

    pub const fn with_aim(most: f64, aim: f64) -> Self {
        Self::AtMost(most, Some(aim))
    }

    pub const fn at_least(least: f64) -> Self {
        Self::AtLeast(least)
    }

    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most, _) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::AtMost(most, None) => format!("≤ {most}"),
            Self::AtMost(most, Some(aim)) => format!("≤ {most}, aim {aim}"),
            Self::AtLeast(least) => format!("≥ {least}"),
        }
    }
}

/// The result of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Sentences below the table.
    pub notes: Vec<String>,
}

impl Table {
    /// A table of generators by what a request costs them; `reference` is 1.
    pub fn of_costs(title: impl Into<String>) -> Self {
        let columns = vec!["generator", "CPU per request", "range", "goal", "", "µs", "requests/s"];
        Self { title: title.into(), columns, rows: Vec::new(), notes: Vec::new() }
    }

    /// A table of figures with a unit.
    pub fn of_figures(title: impl Into<String>) -> Self {
        let columns = vec!["figure", "median", "range", "goal", ""];
        Self { title: title.into(), columns, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a generator that took turns with the reference, by the ratio of their costs.
    pub fn add_cost(&mut self, name: &str, rounds: &[Round], reference: &[Round], goal: Option<Goal>) {
        let Some(ratio) = Spread::of_ratios(rounds, reference, Round::cpu_us) else { return };
        let middle = |figure: fn(&Round) -> f64| {
            Spread::of(rounds.iter().map(figure)).map_or(0.0, |spread| spread.median)
        };
        let mut row = figure_row(name, ratio, 2, "", goal);
        row.push(format!("{:.2}", middle(Round::cpu_us)));
        row.push(grouped(middle(Round::per_s)));
        self.rows.push(row);
    }

    /// Adds all that took turns, the first of them as the reference, each with its goal.
    pub fn add_contestants(
        &mut self,
        contestants: &[Contestant<'_>],
        rounds: &[Vec<Round>],
        goals: &[Option<Goal>],
    ) {
        let Some(reference) = rounds.first() else { return };
        for (index, (contestant, rounds)) in contestants.iter().zip(rounds).enumerate() {
            let goal = goals.get(index).copied().flatten();
            self.add_cost(&contestant.name, rounds, reference, goal);
        }
    }

    /// Adds a figure with its unit.
    pub fn add_figure(&mut self, name: &str, spread: Option<Spread>, unit: &str, goal: Option<Goal>) {
        let Some(spread) = spread else { return };
        self.rows.push(figure_row(name, spread, decimals(spread), unit, goal));
    }

    /// Adds a figure below the table.
    pub fn note_figure(&mut self, name: &str, spread: Option<Spread>, unit: &str, goal: Option<Goal>) {
        let Some(spread) = spread else { return };
        let row = figure_row(name, spread, decimals(spread), unit, goal);
        let (figure, range) = (&row[1], &row[2]);
        let goal = if goal.is_some() { format!("; goal {}: {}", row[3], row[4]) } else { String::new() };
        self.note(format!("{name}: {figure} ({range}){goal}."));
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Markdown, with columns that line up.
    pub fn text(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        let width = |column: usize| {
            let cells = std::iter::once(&heads).chain(&self.rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let line =
            |cells: &[String]| {
                let cells = cells.iter().zip(&widths).enumerate();
                let padded = cells.map(|(column, (cell, width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                });
                format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
            };
        let rules: Vec<String> = widths
            .iter()
            .enumerate()
            .map(
                |(column, width)| {
                    if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
                },
            )
            .collect();
        let mut text = format!("### {}\n\n{}{}", self.title, line(&heads), line(&rules));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

/// Digits behind the point, so that there are about three in all.
fn decimals(spread: Spread) -> usize {
    match spread.median {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    }
}

fn figure_row(name: &str, spread: Spread, decimals: usize, unit: &str, goal: Option<Goal>) -> Vec<String> {
    let Spread { median, least, most } = spread;
    let shown = |value: f64| format!("{value:.decimals$}");
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let (goal, met) = match goal {
        None => (String::new(), ""),
        Some(goal) => (goal.shown(), if goal.is_met(median) { "met" } else { "missed" }),
    };
    let range = format!("{} to {}", shown(least), shown(most));
    vec![name.to_owned(), format!("{}{unit}", shown(median)), range, goal, met.to_owned()]
}

/// A whole number with commas between the thousands.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.4].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_table_lines_up_and_says_whether_goals_are_met() {
        let round = |cpu_ms| Round {
            requests: 1000.0,
            wall: Duration::from_secs(1),
            cpu: Duration::from_millis(cpu_ms),
        };
        let (wrk, ours) = ([round(8), round(8)], [round(6), round(7)]);
        let mut table = Table::of_costs("closed");
        table.add_cost("wrk", &wrk, &wrk, None);
        table.add_cost("ours", &ours, &wrk, Some(Goal::with_aim(0.8, 0.7)));
        let text = table.text();
        assert!(text.contains("| ours "), "{text}");
        assert!(text.contains("| 0.75 to 0.88 | ≤ 0.8, aim 0.7 | missed | 6.50 |      1,000 |"), "{text}");
        let widths: Vec<usize> = text.lines().skip(2).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    }
}
