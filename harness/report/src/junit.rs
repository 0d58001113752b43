//! Runs as JUnit XML: a suite a run, a case an expectation.
//!
//! No time stamps and no durations: the file is a function of the record.

use brownout_measure::record::{ExpectationRecord, RunRecord, VariantRecord, Verdict};
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::{figures, names};

/// The XML over one run or several.
pub fn junit_xml(records: &[RunRecord]) -> Result<String, SerializeError> {
    let mut report = Report::new("brownout");
    report.add_test_suites(records.iter().map(suite));
    report.to_string()
}

fn suite(record: &RunRecord) -> TestSuite {
    let mut suite = TestSuite::new(record.scenario.as_str());
    let seed = record.seed.to_string();
    suite.add_properties([
        ("question", record.question.as_str()),
        ("answer", record.results.answer.as_str()),
        ("verdict", names::verdict(record.results.verdict)),
        ("clock", names::clock(record.clock)),
        ("seed", &seed),
        ("plan_fingerprint", &record.plan_fingerprint),
        ("results_fingerprint", &record.results_fingerprint),
        ("command", &record.command),
    ]);
    suite.add_test_case(case(record, "the run is valid", validity(record)));
    suite.add_test_cases(record.results.variants.iter().map(|variant| books(record, variant)));
    suite.add_test_cases(
        record
            .results
            .expectations
            .iter()
            .map(|expectation| expected(record, expectation)),
    );
    suite
}

fn case(record: &RunRecord, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(record.scenario.as_str());
    case
}

fn validity(record: &RunRecord) -> TestCaseStatus {
    match (record.results.verdict, record.interrupted) {
        (Verdict::Invalid, _) => unsuccessful(NonSuccessKind::Error, &record.results.answer),
        (_, true) => unsuccessful(
            NonSuccessKind::Error,
            "the run was interrupted: it counts what had fallen due",
        ),
        _ => TestCaseStatus::success(),
    }
}

fn books(record: &RunRecord, variant: &VariantRecord) -> TestCase {
    let status = if variant.books.balanced {
        TestCaseStatus::success()
    } else {
        unsuccessful(NonSuccessKind::Error, &variant.books.discrepancies.join("; "))
    };
    case(record, &format!("{}: the books balance", variant.name), status)
}

fn expected(record: &RunRecord, expectation: &ExpectationRecord) -> TestCase {
    let found = expectation.value.map_or_else(
        || "no figure was found".to_owned(),
        |v| format!("found {}", figures::number(v)),
    );
    let status = match expectation.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed => unsuccessful(NonSuccessKind::Failure, &found),
        Verdict::Invalid => unsuccessful(NonSuccessKind::Error, "the run is invalid"),
        Verdict::Inconclusive => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("inconclusive: {found}"));
            status
        }
    };
    let mut case = case(record, &expectation.text, status);
    if let Some(because) = &expectation.because {
        case.set_system_out(format!("{found}. {because}"));
    }
    case
}

fn unsuccessful(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_failed_expectation_is_a_failure_and_an_inconclusive_one_is_skipped() {
        insta::assert_snapshot!(junit_xml(&[sample::record()]).expect("serialises"));
    }

    #[test]
    fn books_that_do_not_balance_are_an_error() {
        let mut record = sample::record();
        record.results.variants[0].books.balanced = false;
        record.results.variants[0].books.discrepancies = vec!["billed 10 <> 9 & more".to_owned()];
        record.results.verdict = Verdict::Invalid;
        let xml = junit_xml(&[record]).expect("serialises");
        assert!(xml.contains("errors=\"2\""), "{xml}");
        assert!(xml.contains("billed 10 &lt;&gt; 9 &amp; more"), "{xml}");
    }
}
