//! An answer as it is kept: whole, or not at all.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::structured::Shape;
use crate::upstream::{Prompt, Usage};

/// Reasons to stop that leave an answer complete: the model was done, or came to the bound that the question set.
const STOPPED: &str = "stop";
const BOUND: &str = "length";

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// All of its text.
    pub content: String,
    /// Why the model stopped, in the provider's word.
    pub finish_reason: String,
    /// The model that answered, in the provider's word.
    pub model: String,
    /// The provider that answered, by its name in the settings.
    pub provider: String,
    /// What it used when it was made. It uses nothing when it is given again.
    pub usage: Option<Usage>,
}

impl Kept {
    /// Whether it may be given to somebody else who asks `prompt`: said to its end, of use, and of the form that was asked
    /// for.
    pub(crate) fn answers(&self, prompt: &Prompt) -> bool {
        let to_its_end = match self.finish_reason.as_str() {
            STOPPED => true,
            // Where the question sets no bound, the bound was somebody's who cannot pay for more.
            BOUND => prompt.max_tokens.is_some(),
            _ => false,
        };
        to_its_end && !self.content.is_empty() && has_form(prompt.options.response_format.as_ref(), &self.content)
    }

    /// What it takes in memory, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        let texts = self.content.len() + self.finish_reason.len() + self.model.len() + self.provider.len();
        texts + size_of::<Self>()
    }
}

/// Whether `text` is what `format` asks for, whoever else checks it.
fn has_form(format: Option<&Value>, text: &str) -> bool {
    Shape::of(format).is_ok_and(|shape| shape.check(text).is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(content: &str, finish_reason: &str) -> Kept {
        Kept {
            content: content.to_owned(),
            finish_reason: finish_reason.to_owned(),
            model: "m".to_owned(),
            provider: "p".to_owned(),
            usage: None,
        }
    }

    #[test]
    fn only_what_was_said_to_its_end_is_kept() {
        let mut prompt = Prompt::default();
        assert!(kept("All of it.", "stop").answers(&prompt));
        for reason in ["content_filter", "tool_calls", "error", ""] {
            assert!(!kept("Some of it", reason).answers(&prompt), "{reason}");
        }
        assert!(!kept("", "stop").answers(&prompt), "nothing is no answer");
        assert!(
            !kept("Up to the", "length").answers(&prompt),
            "a bound that nobody asked for"
        );
        prompt.max_tokens = Some(3);
        assert!(kept("Up to the", "length").answers(&prompt));
    }

    #[test]
    fn what_is_not_of_the_form_that_was_asked_for_is_not_kept() {
        let mut prompt = Prompt::default();
        let schema = json!({ "name": "n", "schema": { "type": "object", "required": ["a"] } });
        for format in [
            json!({ "type": "json_object" }),
            json!({ "type": "json_schema", "json_schema": schema }),
        ] {
            prompt.options.response_format = Some(format.clone());
            assert!(kept(r#"{"a":1}"#, "stop").answers(&prompt));
            assert_eq!(kept("{}", "stop").answers(&prompt), format["type"] == "json_object");
            assert!(!kept(r#"{"a":"#, "stop").answers(&prompt));
            assert!(!kept("Sure! Here is your JSON.", "stop").answers(&prompt));
        }
    }
}
