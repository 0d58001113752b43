//! A failure as clients read it: RFC 9457, section 3.1, and what is wrong with which part of a request.

use garde::Report;
use serde::Serialize;
use utoipa::ToSchema;

/// Longest text of a violation, in bytes: a client's own words are not sent back at length.
const LONGEST_DETAIL: usize = 200;
/// Violations that are listed. Who makes more of them mends these first.
const MOST_VIOLATIONS: usize = 32;

/// RFC 9457, section 3.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status, for those who see only the body.
    pub status: u16,
    /// This occurrence in words, and what to do.
    pub detail: String,
    /// What is wrong with which part of the request; only with status 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<Violation>,
}

/// A part of a request that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Violation {
    /// Where, as a JSON pointer in a fragment (RFC 6901, section 6): `#/messages/0/content`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl From<Report> for super::Error {
    fn from(report: Report) -> Self {
        let violations = report.into_inner().into_iter().take(MOST_VIOLATIONS);
        Self::Invalid(
            violations
                .map(|(path, error)| Violation {
                    pointer: pointer(&path.to_string()),
                    detail: shortened(error.message()),
                })
                .collect(),
        )
    }
}

/// `messages[0].content` as `#/messages/0/content`. The names are the code's own, so none of them needs escaping.
fn pointer(path: &str) -> String {
    let mut pointer = "#".to_owned();
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        pointer.push('/');
        pointer.push_str(part);
    }
    pointer
}

/// The first violations in a sentence.
pub(super) fn in_words(violations: &[Violation]) -> String {
    let shown: Vec<String> = violations
        .iter()
        .take(3)
        .map(|violation| format!("{} {}", violation.pointer, violation.detail))
        .collect();
    shown.join("; ")
}

/// No more of a text than is good to send back.
pub(crate) fn shortened(text: &str) -> String {
    if text.len() <= LONGEST_DETAIL {
        return text.to_owned();
    }
    let mut cut = LONGEST_DETAIL;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}...", &text[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_pointer() {
        assert_eq!(pointer("messages[12].content"), "#/messages/12/content");
        assert_eq!(pointer("max_tokens"), "#/max_tokens");
        assert_eq!(pointer(""), "#");
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let text = "é".repeat(300);
        assert_eq!(shortened(&text).chars().filter(|c| *c == 'é').count(), 100);
        assert_eq!(shortened("short"), "short");
    }
}
