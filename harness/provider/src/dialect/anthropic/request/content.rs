//! Reads what somebody says: a bare string, or blocks.
//!
//! Keeps the text that the model reads. Images, documents and kinds of blocks it does not know have none.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;

/// Blocks; a bare string stands for one of text.
pub(super) struct Content(pub(super) Vec<Part>);

/// A block, as far as it is kept: the text that the model reads.
#[derive(Default)]
pub(super) struct Part {
    /// The text.
    pub(super) text: String,
    /// The caller asks to cache the prompt up to here.
    pub(super) marked: bool,
    /// It is the result of a tool.
    pub(super) tool_result: bool,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    input: Value,
    cache_control: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// Keeps a [`Part`] of each block at once, so that a list of many blocks takes no more memory than its text.
struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of content blocks")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        let text = text.to_owned();
        Ok(Content(vec![Part {
            text,
            ..Part::default()
        }]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Content, A::Error> {
        let mut parts = Vec::new();
        while let Some(block) = blocks.next_element::<Block>()? {
            parts.push(Part::of(block));
        }
        Ok(Content(parts))
    }
}

impl Part {
    fn of(block: Block) -> Self {
        let text = match block.kind.as_str() {
            "text" => block.text.unwrap_or_default(),
            "tool_use" => block.input.to_string(),
            "tool_result" => result_text(&block.content),
            _ => String::new(),
        };
        Self {
            text,
            marked: block.cache_control.is_some(),
            tool_result: block.kind == "tool_result",
        }
    }
}

/// The text of a tool's result: a string, or the text blocks of a list.
fn result_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join(" ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(content: &str) -> Vec<String> {
        let Content(parts) = serde_json::from_str(content).unwrap();
        parts.into_iter().map(|part| part.text).collect()
    }

    #[test]
    fn a_string_is_one_block_of_text() {
        assert_eq!(texts(r#""a \"b\"""#), [r#"a "b""#]);
        assert_eq!(texts(r#"[{"type":"text","text":"a \"b\""}]"#), [r#"a "b""#]);
    }

    #[test]
    fn blocks_without_text_for_the_model_have_none() {
        let content = r#"[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"image","source":{"data":"x"}},
            {"type":"web_search_tool_result","content":{"error_code":"x"}},{"type":"new","text":"x"}]"#;
        assert_eq!(texts(content), ["", "", "", ""]);
    }

    #[test]
    fn a_call_of_a_tool_is_its_input_and_a_result_is_its_text() {
        let content = r#"[{"type":"tool_use","id":"t","name":"a","input":{"city":"Bonn"}},
            {"type":"tool_result","tool_use_id":"t","content":"sun"},
            {"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"a"},{"type":"image"},
                {"type":"text","text":"b"}]},
            {"type":"tool_result","tool_use_id":"t","is_error":true}]"#;
        assert_eq!(texts(content), [r#"{"city":"Bonn"}"#, "sun", "a b", ""]);
    }
}
