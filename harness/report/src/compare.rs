//! Finished runs side by side: rows are figures, columns are runs, one table a variant.

use brownout_measure::record::{RunRecord, VariantRecord};

use crate::key_figures::{self, KeyFigure};
use crate::table::{Table, markdown, markdown_cell};
use crate::{figures, names};

/// The runs side by side, as Markdown that is aligned for a terminal too.
pub fn comparison(records: &[RunRecord]) -> String {
    let mut text = runs(records);
    let mut done = Vec::new();
    for record in records {
        for variant in &record.results.variants {
            let of = (record.scenario.as_str(), variant.name.as_str());
            if !done.contains(&of) {
                done.push(of);
                text.push_str(&one_variant(records, of));
            }
        }
    }
    text
}

/// Which letter is which run.
fn runs(records: &[RunRecord]) -> String {
    let head = ["run", "scenario", "verdict", "clock", "seed", "results"];
    let mut table = Table::new(head.map(str::to_owned).to_vec());
    for (index, record) in records.iter().enumerate() {
        table.push(vec![
            letter(index),
            record.scenario.clone(),
            names::verdict(record.results.verdict).to_owned(),
            names::clock(record.clock).to_owned(),
            record.seed.to_string(),
            record.results_fingerprint.chars().take(12).collect(),
        ]);
    }
    format!("{}{}", table.markdown(), engines(records))
}

/// Says so when the runs were not made alike.
fn engines(records: &[RunRecord]) -> String {
    let differ = |of: fn(&RunRecord) -> &str| records.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]));
    let mut text = String::new();
    if differ(|r| &r.engine) {
        text.push_str("\nThe runs come from different builds: compare values, not bytes.\n");
    }
    let same_scenario = !differ(|r| &r.scenario);
    if same_scenario && differ(|r| &r.plan_fingerprint) {
        text.push_str("\nThe plans differ: a difference below may come from the scenario and not from the service.\n");
    }
    text
}

fn one_variant(records: &[RunRecord], (scenario, name): (&str, &str)) -> String {
    let columns: Vec<(String, Option<&VariantRecord>)> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| record.scenario == scenario)
        .map(|(index, record)| (letter(index), record.results.variants.iter().find(|v| v.name == name)))
        .collect();
    let pair = match columns.as_slice() {
        [(_, Some(old)), (_, Some(new))] => Some((*old, *new)),
        _ => None,
    };
    let mut head = vec![markdown_cell(name)];
    head.extend(columns.iter().map(|(letter, _)| letter.clone()));
    head.extend(pair.map(|_| "change".to_owned()));
    let mut table = Table::new(head);
    for figure in key_figures::present(columns.iter().filter_map(|(_, variant)| *variant)) {
        let mut row = vec![figure.label.to_owned()];
        row.extend(
            columns
                .iter()
                .map(|(_, v)| v.map_or_else(|| figures::NONE.to_owned(), |v| figure.text(v))),
        );
        row.extend(pair.map(|(old, new)| change(figure, old, new)));
        table.push(row);
    }
    format!(
        "\n## {}: {}\n\n{}",
        markdown(scenario),
        markdown(name),
        table.markdown()
    )
}

/// The second against the first: `-12.3 %`, `=`.
fn change(figure: &KeyFigure, old: &VariantRecord, new: &VariantRecord) -> String {
    match ((figure.of)(old), (figure.of)(new)) {
        (Some(old), Some(new)) if old.total_cmp(&new).is_eq() => "=".to_owned(),
        (Some(old), Some(new)) if old != 0.0 => format!("{:+.1} %", (new / old - 1.0) * 100.0),
        _ => figures::NONE.to_owned(),
    }
}

/// A, B, ... Z, then numbers.
fn letter(index: usize) -> String {
    match u8::try_from(index) {
        Ok(index @ 0..26) => char::from(b'A' + index).to_string(),
        _ => (index + 1).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn two_runs_of_a_scenario_stand_side_by_side_with_the_change() {
        let (old, mut new) = (sample::record(), sample::record());
        new.results.variants[0].latency.p99_ms *= 1.25;
        new.results.variants[0].requests.answered = 0;
        let text = comparison(&[old, new]);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_variant_that_one_run_lacks_is_left_blank_there() {
        let (old, mut new) = (sample::record(), sample::record());
        new.results.variants.remove(1);
        let text = comparison(&[old, new]);
        let resilient = text.split("## ").last().expect("a section");
        assert!(
            resilient
                .lines()
                .any(|line| line.starts_with("| p99") && line.contains('–')),
            "{resilient}"
        );
    }

    #[test]
    fn nothing_to_compare_is_no_failure() {
        assert!(comparison(&[]).starts_with("| run"));
    }
}
