//! A run for a terminal: under 100 columns, no colour, no cursor. Whoever prints it may colour it.

use std::fmt::Write;

use brownout_measure::record::RunRecord;

use crate::key_figures::{self, KeyFigure};
use crate::table::{Table, wrapped};
use crate::{ablation, figures, names};

/// Columns at most.
const WIDTH: usize = 98;

/// Columns in the order in which they earn their place; the last give way first.
const COLUMNS: [&str; 10] = [
    "answered",
    "failed",
    "p50",
    "p99",
    "ttft p99",
    "ack p99",
    "wasted %",
    "cost",
    "attempts",
    "throughput",
];

/// Names at most this long.
const NAME: usize = 24;

/// The run as text.
pub fn summary_text(record: &RunRecord) -> String {
    let results = &record.results;
    let verdict = names::headline(results);
    let mut text = wrapped(
        &format!("{} {verdict}  {}", names::sign(results.verdict), record.question),
        "",
        WIDTH,
    );
    text.push_str(&wrapped(&results.answer, "  ", WIDTH));
    if record.interrupted {
        text.push_str("  Interrupted: counts what had fallen due.\n");
    }
    text.push('\n');
    text.push_str(&table(record));
    let culprits = results
        .variants
        .iter()
        .filter_map(|v| Some((v.name.as_str(), v.culprit.as_ref()?)));
    for (name, culprit) in culprits {
        let _ = write!(
            text,
            "\n{}",
            wrapped(&format!("{}: {culprit}", shortened(name)), "  ", WIDTH).trim_end()
        );
    }
    text.push_str("\n\n");
    text.push_str(&cures(record));
    expectations(record, &mut text);
    for variant in results.variants.iter().filter(|v| !v.books.balanced) {
        for discrepancy in &variant.books.discrepancies {
            let line = format!(
                "! {}: the books do not balance: {discrepancy}",
                shortened(&variant.name)
            );
            text.push_str(&wrapped(&line, "  ", WIDTH));
        }
    }
    let _ = writeln!(text, "  again: {}", record.command);
    text
}

fn cures(record: &RunRecord) -> String {
    let Some((table, headline)) = ablation::table(record).zip(ablation::headline(record)) else {
        return String::new();
    };
    let mut text = wrapped(&headline, "  ", WIDTH);
    text.push('\n');
    for row in table.plain().lines() {
        let _ = writeln!(text, "  {row}");
    }
    text.push('\n');
    text
}

fn expectations(record: &RunRecord, text: &mut String) {
    for expectation in &record.results.expectations {
        let found = expectation
            .value
            .map_or_else(|| "no figure".to_owned(), figures::number);
        let line = format!(
            "{} {} (found {found})",
            names::sign(expectation.verdict),
            expectation.text
        );
        text.push_str(&wrapped(&line, "  ", WIDTH));
    }
}

/// As many columns as fit.
fn table(record: &RunRecord) -> String {
    let variants = &record.results.variants;
    let present = key_figures::present(variants);
    let mut columns: Vec<&KeyFigure> = COLUMNS
        .iter()
        .filter_map(|label| present.iter().copied().find(|figure| figure.label == *label))
        .collect();
    loop {
        let head = std::iter::once("  variant").chain(columns.iter().map(|figure| figure.label));
        let mut table = Table::new(head.map(str::to_owned).collect());
        for variant in variants {
            let cells = columns.iter().map(|figure| figure.text(variant));
            table.push(
                std::iter::once(format!("  {}", shortened(&variant.name)))
                    .chain(cells)
                    .collect(),
            );
        }
        let text = table.plain();
        if text.lines().all(|line| line.chars().count() <= WIDTH) || columns.pop().is_none() {
            return text;
        }
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(NAME - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use brownout_measure::record::Verdict;

    use super::*;
    use crate::sample;

    #[test]
    fn a_run_in_a_terminal() {
        insta::assert_snapshot!(summary_text(&sample::record()));
    }

    #[test]
    fn who_expects_nothing_passes_and_says_so() {
        let mut record = sample::record();
        record.results.verdict = Verdict::Passed;
        let line = |record: &RunRecord| summary_text(record).lines().next().map(str::to_owned).unwrap();
        assert!(line(&record).starts_with("✓ PASSED Who"), "{}", line(&record));
        record.results.expectations.clear();
        let unjudged = line(&record);
        assert!(
            unjudged.starts_with("✓ PASSED (nothing was expected of it) Who"),
            "{unjudged}"
        );
        let markdown = crate::summary::run_summary(&record);
        assert!(
            markdown.starts_with("# ✓ PASSED (nothing was expected of it): "),
            "{markdown}"
        );
    }

    #[test]
    fn no_line_but_the_command_is_longer_than_a_terminal() {
        let mut record = sample::record();
        record.question = "why ".repeat(100);
        record.results.answer = "because ".repeat(100);
        record.results.variants[0].name = "a variant with a name that nobody would want to type ".repeat(3);
        record.results.variants[0].ack = record.results.variants[0].latency.clone();
        let text = summary_text(&record);
        let lines = text.lines().filter(|line| !line.starts_with("  again:"));
        assert!(lines.clone().all(|line| line.chars().count() < 100), "{text}");
        assert!(lines.count() > 10);
    }
}
