//! Several runs together: `suite.json` and the page over them.
//!
//! A suite holds no figures of its own: it names its runs, and says where they are.

use brownout_measure::record::{ClockKind, RunRecord, Verdict};
use maud::{Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};

use crate::chart::{Chart, ChartError, Shape};
use crate::names;
use crate::page::frame;

/// `schema` of suites written by this version.
pub const SUITE_SCHEMA: &str = "brownout.suite/1";

/// What `suite.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// [`SUITE_SCHEMA`].
    pub schema: String,
    /// The worst of the runs' verdicts.
    pub verdict: Verdict,
    /// The runs, in the order in which they were played.
    pub scenarios: Vec<SuiteEntry>,
}

/// A run of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteEntry {
    /// The scenario's name.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// How it came out.
    pub verdict: Verdict,
    /// The question answered in one sentence.
    pub answer: String,
    /// Which clock it was played on.
    pub clock: ClockKind,
    /// The seed.
    pub seed: u64,
    /// Hash of lock file, compiler and target.
    pub engine: String,
    /// Hash of the resolved plan.
    pub plan_fingerprint: String,
    /// Hash of the integers in the results.
    pub results_fingerprint: String,
    /// The folder of its report, beside `suite.json`.
    pub folder: String,
    /// Its page, from `suite.json`.
    pub link: String,
}

impl SuiteRecord {
    /// The suite of `records`. Folders are the scenarios' names, made safe and made unique.
    pub fn of(records: &[RunRecord]) -> Self {
        let folders = names::file_names(records.iter().map(|record| record.scenario.as_str()));
        let entry = |(record, folder): (&RunRecord, String)| SuiteEntry {
            name: record.scenario.clone(),
            question: record.question.clone(),
            verdict: record.results.verdict,
            answer: record.results.answer.clone(),
            clock: record.clock,
            seed: record.seed,
            engine: record.engine.clone(),
            plan_fingerprint: record.plan_fingerprint.clone(),
            results_fingerprint: record.results_fingerprint.clone(),
            link: format!("{folder}/index.html"),
            folder,
        };
        Self {
            schema: SUITE_SCHEMA.to_owned(),
            verdict: worst(&records.iter().map(|record| record.results.verdict).collect::<Vec<_>>()),
            scenarios: records.iter().zip(folders).map(entry).collect(),
        }
    }
}

/// The verdict that decides: invalid before failed before inconclusive. Of no runs at all, inconclusive.
fn worst(verdicts: &[Verdict]) -> Verdict {
    let order = [
        Verdict::Invalid,
        Verdict::Failed,
        Verdict::Inconclusive,
        Verdict::Passed,
    ];
    order
        .into_iter()
        .find(|verdict| verdicts.contains(verdict))
        .unwrap_or(Verdict::Inconclusive)
}

/// How many runs came out how: `3 passed, 1 failed`.
pub(crate) fn tally(records: &[RunRecord]) -> String {
    let order = [
        Verdict::Passed,
        Verdict::Failed,
        Verdict::Invalid,
        Verdict::Inconclusive,
    ];
    let parts: Vec<_> = order
        .into_iter()
        .map(|verdict| {
            (
                verdict,
                records
                    .iter()
                    .filter(|record| record.results.verdict == verdict)
                    .count(),
            )
        })
        .filter(|(_, runs)| *runs > 0)
        .map(|(verdict, runs)| format!("{runs} {}", names::verdict(verdict)))
        .collect();
    if parts.is_empty() {
        "no scenario was played".to_owned()
    } else {
        parts.join(", ")
    }
}

/// The page over the runs: one file, no script, nothing fetched.
pub fn suite_page(records: &[RunRecord]) -> Result<String, ChartError> {
    let suite = SuiteRecord::of(records);
    let cards = records
        .iter()
        .zip(&suite.scenarios)
        .map(|(record, entry)| card(record, entry))
        .collect::<Result<Vec<_>, _>>()?;
    let scenarios = if records.len() == 1 { "scenario" } else { "scenarios" };
    let body = html! {
        header {
            p.kicker { "Brownout" }
            h1 { (frame::badge(suite.verdict)) " " (records.len()) " " (scenarios) }
            p.lead { (tally(records)) }
        }
        main.cards { @for card in &cards { (card) } }
    };
    Ok(frame::document("Brownout: suite", &body))
}

fn card(record: &RunRecord, entry: &SuiteEntry) -> Result<Markup, ChartError> {
    let svg = Chart::headline(record).svg(record, Shape::Narrow)?;
    Ok(html! {
        article.card {
            p.kicker { (frame::badge(entry.verdict)) " " (entry.name) " · " (names::clock(entry.clock)) " clock" }
            h2 { a href=(entry.link) { (entry.question) } }
            p { (entry.answer) }
            div.paper { (PreEscaped(svg)) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_suite_names_its_runs_and_where_they_are() {
        let suite = SuiteRecord::of(&sample::suite());
        insta::assert_snapshot!(serde_json::to_string_pretty(&suite).expect("serialises"));
    }

    #[test]
    fn one_invalid_run_outweighs_all_others() {
        assert_eq!(
            worst(&[Verdict::Passed, Verdict::Invalid, Verdict::Failed]),
            Verdict::Invalid
        );
        assert_eq!(worst(&[Verdict::Passed, Verdict::Inconclusive]), Verdict::Inconclusive);
        assert_eq!(worst(&[Verdict::Passed]), Verdict::Passed);
        assert_eq!(worst(&[]), Verdict::Inconclusive);
    }

    #[test]
    fn two_runs_of_a_scenario_do_not_share_a_folder() {
        let suite = SuiteRecord::of(&[sample::record(), sample::record()]);
        assert_ne!(suite.scenarios[0].folder, suite.scenarios[1].folder);
    }
}
