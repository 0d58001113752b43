//! `summary.md`: verdict, answer, figures, expectations and the command, for a pull request or a chat.

use std::fmt::Write;

use brownout_measure::record::{ExpectationRecord, RunRecord};

use crate::key_figures;
use crate::table::{Table, markdown};
use crate::{ablation, bill, figures, names};

/// One run.
pub fn run_summary(record: &RunRecord) -> String {
    let results = &record.results;
    let sign = names::sign(results.verdict);
    let verdict = names::headline(results);
    let mut text = format!(
        "# {sign} {verdict}: {}\n\n{}\n",
        markdown(&record.question),
        markdown(&results.answer)
    );
    if let Some(claim) = &record.claim {
        let _ = writeln!(text, "\nClaim under test: {}", markdown(claim));
    }
    if record.interrupted {
        text.push_str("\n**The run was interrupted: it counts what had fallen due.**\n");
    }
    text.push('\n');
    text.push_str(&figures_table(record).markdown());
    text.push_str(&cures(record));
    text.push_str(&culprits(record));
    text.push_str(&bill(record));
    text.push_str(&expectations(&results.expectations));
    text.push_str(&discrepancies(record));
    let _ = write!(
        text,
        "\n## Play it again\n\n{}\n\nScenario {}, {} clock, seed {}, results `{}`.\n",
        fenced(&record.command),
        markdown(&record.scenario),
        names::clock(record.clock),
        record.seed,
        short(&record.results_fingerprint),
    );
    text
}

/// Several runs: a line each, then each in full but for its command.
pub fn suite_summary(records: &[RunRecord]) -> String {
    let mut text = format!("# Brownout: {}\n", crate::suite::tally(records));
    for record in records {
        let verdict = record.results.verdict;
        let _ = write!(
            text,
            "\n- {} **{}** {}: {}",
            names::sign(verdict),
            markdown(&record.scenario),
            names::verdict(verdict),
            markdown(&record.results.answer),
        );
    }
    text.push('\n');
    for record in records {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n{}{}",
            markdown(&record.scenario),
            markdown(&record.question),
            figures_table(record).markdown(),
            expectations(&record.results.expectations).replace("\n## Expectations\n", ""),
        );
    }
    text
}

fn cures(record: &RunRecord) -> String {
    let Some((table, headline)) = ablation::table(record).zip(ablation::headline(record)) else {
        return String::new();
    };
    format!(
        "\n## {}\n\n{}\n\n{}\n{}\n",
        ablation::TITLE,
        markdown(&headline),
        table.markdown(),
        markdown(&ablation::note(record))
    )
}

fn bill(record: &RunRecord) -> String {
    let rows = bill::rows(&record.results.variants);
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(bill::HEAD.map(str::to_owned).to_vec());
    for row in rows {
        table.push(row.to_vec());
    }
    format!("\n## {}\n\n{}\n{}\n", bill::TITLE, table.markdown(), bill::NOTE)
}

/// Rows are variants, columns the figures they have.
fn figures_table(record: &RunRecord) -> Table {
    let variants = &record.results.variants;
    let columns = key_figures::present(variants);
    let head = std::iter::once("variant").chain(columns.iter().map(|figure| figure.label));
    let mut table = Table::new(head.map(str::to_owned).collect());
    for variant in variants {
        let cells = columns.iter().map(|figure| figure.text(variant));
        table.push(std::iter::once(variant.name.clone()).chain(cells).collect());
    }
    table
}

fn culprits(record: &RunRecord) -> String {
    let mut text = String::new();
    for variant in &record.results.variants {
        if let Some(culprit) = &variant.culprit {
            let _ = write!(text, "\n- **{}**: {}", markdown(&variant.name), markdown(culprit));
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\n## Where the p99 went\n{text}\n")
    }
}

fn expectations(expectations: &[ExpectationRecord]) -> String {
    if expectations.is_empty() {
        return String::new();
    }
    let mut text = "\n## Expectations\n".to_owned();
    for expectation in expectations {
        let found = expectation
            .value
            .map_or_else(|| "no figure".to_owned(), figures::number);
        let because = expectation
            .because
            .as_ref()
            .map_or(String::new(), |b| format!(" {}", markdown(b)));
        let _ = write!(
            text,
            "\n- {} {} ({}; found {found}).{because}",
            names::sign(expectation.verdict),
            markdown(&expectation.text),
            names::verdict(expectation.verdict),
        );
    }
    text.push('\n');
    text
}

fn discrepancies(record: &RunRecord) -> String {
    let mut text = String::new();
    for variant in record.results.variants.iter().filter(|v| !v.books.balanced) {
        for discrepancy in &variant.books.discrepancies {
            let _ = write!(text, "\n- **{}**: {}", markdown(&variant.name), markdown(discrepancy));
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\n## The books do not balance\n{text}\n")
    }
}

/// A code block that its content cannot end.
fn fenced(code: &str) -> String {
    let mut fence = "```".to_owned();
    while code.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}sh\n{code}\n{fence}")
}

fn short(fingerprint: &str) -> String {
    fingerprint
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(12)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_run_in_a_minute() {
        insta::assert_snapshot!(run_summary(&sample::record()));
    }

    #[test]
    fn a_suite_in_a_minute() {
        insta::assert_snapshot!(suite_summary(&sample::suite()));
    }

    #[test]
    fn a_command_cannot_end_its_block() {
        assert!(fenced("echo '```'").starts_with("````sh\n"));
    }
}
