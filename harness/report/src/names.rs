//! What the record's keys are called in front of people.
//!
//! Only words: a key that is not known is spelled out, never dropped.

use brownout_measure::attribution;
use brownout_measure::record::{ClockKind, Results, Verdict};

/// The verdict as a word.
pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Invalid => "invalid",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// The verdict as a sign that does not need colour.
pub(crate) const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Failed => "✗",
        Verdict::Invalid => "!",
        Verdict::Inconclusive => "?",
    }
}

/// The verdict on a run at the head of its summary: who expects nothing passes, and that is to be seen.
pub(crate) fn headline(results: &Results) -> String {
    let word = verdict(results.verdict).to_uppercase();
    if is_unjudged(results) {
        format!("{word} (nothing was expected of it)")
    } else {
        word
    }
}

/// Whether it passed because nothing was expected.
fn is_unjudged(results: &Results) -> bool {
    results.verdict == Verdict::Passed && results.expectations.is_empty()
}

/// What its verdict means for the reader of a run.
pub(crate) fn verdict_means(results: &Results) -> &'static str {
    match results.verdict {
        Verdict::Passed if is_unjudged(results) => "Nothing was expected of it.",
        Verdict::Passed => "All that was expected holds.",
        Verdict::Failed => "Something that was expected does not hold.",
        Verdict::Invalid => {
            "No figure here may be trusted: the books do not balance, or the harness was the bottleneck."
        }
        Verdict::Inconclusive => "There is not enough to judge.",
    }
}

/// The clock as a word.
pub(crate) const fn clock(clock: ClockKind) -> &'static str {
    match clock {
        ClockKind::Virtual => "virtual",
        ClockKind::Real => "real",
    }
}

/// A phase of a request's time: `wait.worker` is "waiting for a free worker". Phases that `brownout-measure` has no
/// words of their own for keep their name, so that no two look alike.
pub(crate) fn phase(key: &str) -> String {
    match attribution::in_words(key) {
        generic if generic == attribution::in_words("wait.?") => spelled(&key.replacen("wait.", "waiting: ", 1)),
        generic if generic == attribution::in_words("?") => spelled(key),
        words => words.to_owned(),
    }
}

/// A class of failure: `gateway_timeout_in_model` is "gateway timeout, model was working".
pub(crate) fn failure(class: &str) -> String {
    let known = match class {
        "gateway_timeout" => "gateway timeout (504)",
        "gateway_timeout_before_model" => "gateway timeout (504), before the model was called",
        "gateway_timeout_in_model" => "gateway timeout (504), while the model worked",
        "bad_gateway" => "bad gateway (502)",
        "unavailable" => "unavailable (503)",
        "rate_limited" => "rate limited (429)",
        "server_error" => "server error (5xx)",
        "client_error" => "client error (4xx)",
        "connect" => "no connection",
        "connection_lost" => "connection lost",
        "truncated" => "answer cut short",
        "error_event" => "error event in the stream",
        "malformed" => "answer not understood",
        "invalid_output" => "answer not the JSON asked for",
        "client_timeout" => "client's patience ran out",
        "job_failed" => "job failed",
        "job_lost" => "job lost after it was taken on",
        "unfinished" => "still open at the end",
        _ => return spelled(class),
    };
    known.to_owned()
}

fn spelled(key: &str) -> String {
    key.replace(['_', '.'], " ")
}

/// A name as part of a file name: letters, digits, `-`, `_` and `.` stay, anything else becomes `-`.
pub(crate) fn file_name(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = name.chars().map(|c| if kept(c) { c } else { '-' }).collect();
    let text = text.trim_start_matches('.');
    if text.is_empty() {
        "unnamed".to_owned()
    } else {
        text.chars().take(100).collect()
    }
}

/// File names for `names`, in order, no two alike (compared without case, as some file systems do).
pub(crate) fn file_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken = std::collections::BTreeSet::new();
    names
        .into_iter()
        .map(|name| {
            let stem = file_name(name);
            let mut candidate = stem.clone();
            let mut copy = 2;
            while !taken.insert(candidate.to_ascii_lowercase()) {
                candidate = format!("{stem}-{copy}");
                copy += 1;
            }
            candidate
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_nobody_named_is_spelled_out() {
        assert_eq!(phase("wait.worker"), "waiting for a free worker");
        assert_eq!(phase("wait.tool_call"), "waiting: tool call");
        assert_eq!(phase("validate.prompt"), "validate prompt");
        assert_eq!(failure("quota_exceeded"), "quota exceeded");
    }

    #[test]
    fn a_name_cannot_leave_its_folder_or_take_anothers_place() {
        assert_eq!(file_name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(file_name(".."), "unnamed");
        assert_eq!(file_names(["a b", "a/b", "A-b"]), ["a-b", "a-b-2", "A-b-3"]);
    }
}
