//! The JSON that clients ask for where they ask for JSON, and whether an answer is that.
//!
//! Written apart from the service's own check on purpose: this is the second opinion. One small schema is all there is: a
//! text, a whole number and a choice, all required.

use serde_json::{Value, json};

/// What the schema is called.
pub const NAME: &str = "support_answer";

const TEXT: &str = "answer";
const NUMBER: &str = "confidence";
const CHOICE: &str = "topic";
const CHOICES: [&str; 3] = ["billing", "product", "other"];
const MOST: u64 = 100;

/// The schema.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            TEXT: { "type": "string" },
            NUMBER: { "type": "integer", "minimum": 0, "maximum": MOST },
            CHOICE: { "type": "string", "enum": CHOICES },
        },
        "required": [TEXT, NUMBER, CHOICE],
        "additionalProperties": false,
    })
}

/// Whether an answer is valid under the schema.
pub fn fits(answer: &str) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_str(answer) else {
        return false;
    };
    let text = fields.get(TEXT).is_some_and(Value::is_string);
    let number = fields.get(NUMBER).and_then(Value::as_u64);
    let choice = fields.get(CHOICE).and_then(Value::as_str);
    let all = text && number.is_some_and(|number| number <= MOST) && choice.is_some_and(|word| CHOICES.contains(&word));
    all && fields.len() == 3
}

/// Whether a word of an answer is one that the schema itself brings: a name, a choice or a number.
pub fn brings(word: &str) -> bool {
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    is_number || [TEXT, NUMBER, CHOICE].contains(&word) || CHOICES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_fits_with_all_three_and_nothing_else() {
        assert!(fits(r#"{"answer":"t1.0 t1.1","confidence":0,"topic":"billing"}"#));
        assert!(fits(
            " {\n \"topic\": \"other\", \"confidence\": 100, \"answer\": \"\" } "
        ));
        let others = [
            "",
            "t1.0 t1.1",
            "[]",
            r#"{"answer":"t1.0","confidence":0}"#,
            r#"{"answer":"t1.0","confidence":0,"topic":"weather"}"#,
            r#"{"answer":"t1.0","confidence":101,"topic":"other"}"#,
            r#"{"answer":"t1.0","confidence":1.5,"topic":"other"}"#,
            r#"{"answer":"t1.0","confidence":"1","topic":"other"}"#,
            r#"{"answer":null,"confidence":1,"topic":"other"}"#,
            r#"{"answer":"t1.0","confidence":1,"topic":"other","more":1}"#,
            r#"{"answer":"t1.0","confidence":1,"topic":"oth"#,
            r#"```json{"answer":"t1.0","confidence":1,"topic":"other"}```"#,
        ];
        for other in others {
            assert!(!fits(other), "{other}");
        }
    }

    #[test]
    fn names_choices_and_numbers_come_from_the_schema_and_words_do_not() {
        let brought = ["answer", "confidence", "topic", "billing", "0", "100"];
        assert!(brought.into_iter().all(brings));
        assert!(!["t1.0", "", "1.5", "-1", "null", "answers"].into_iter().any(brings));
    }
}
