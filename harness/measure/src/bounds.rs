//! The bounds of an expectation: in words, and whether a value is within.
//!
//! Does not know where the value comes from.

use brownout_scenario::plan::Expectation;

use crate::record::Verdict;

/// `between 6.3 and 7`, `at least 3`, `at most 0.1`.
pub(crate) fn in_words(expectation: &Expectation) -> String {
    match (expectation.at_least, expectation.at_most) {
        (Some(least), Some(most)) => format!("between {least} and {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "known".to_owned(),
    }
}

/// Whether the value is within; both bounds are included.
pub(crate) fn judge(expectation: &Expectation, value: f64) -> Verdict {
    let holds =
        expectation.at_least.is_none_or(|least| value >= least) && expectation.at_most.is_none_or(|most| value <= most);
    if holds { Verdict::Passed } else { Verdict::Failed }
}
