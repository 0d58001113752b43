//! What a synthetic answer says: tracer words, bare or wrapped in the JSON that the caller asked for.
//!
//! An answer of `n` tokens is `n` pieces, so its token count is exact by construction. Pieces depend on the prompt and
//! the request alone. Dialects quote them; they know nothing of how a piece came about.

mod instance;

use brownout_scenario::tracer;
use brownout_scenario::units::PromptId;
use serde_json::Value;

/// The text of an answer, piece by piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    prompt: PromptId,
    tokens: u64,
    /// Words of the answer that were there before: the first piece follows them.
    begun: u64,
    /// The tool that it calls; then the pieces are the JSON text of its arguments.
    pub(crate) tool: Option<String>,
    before: String,
    after: String,
    /// Whether the words have a place to stand in.
    traced: bool,
}

impl Output {
    /// Bare words.
    pub(crate) fn text(prompt: PromptId, tokens: u64) -> Self {
        Self {
            prompt,
            tokens,
            begun: 0,
            tool: None,
            before: String::new(),
            after: String::new(),
            traced: true,
        }
    }

    /// JSON that is valid under `schema`, the words in its first free string.
    ///
    /// A schema without a free string leaves no place for words: then the JSON is the first piece and the other pieces
    /// are empty.
    pub(crate) fn json(prompt: PromptId, tokens: u64, schema: &Value) -> Self {
        let (before, after, traced) = instance::around_words(schema);
        Self {
            before,
            after,
            traced,
            ..Self::text(prompt, tokens)
        }
    }

    /// A call of `tool` with arguments that are valid under `parameters`.
    pub(crate) fn call(prompt: PromptId, tokens: u64, tool: &str, parameters: &Value) -> Self {
        Self {
            tool: Some(tool.to_owned()),
            ..Self::json(prompt, tokens, parameters)
        }
    }

    /// The words alone, without the JSON around them that was asked for.
    #[must_use]
    pub(crate) fn bare(self) -> Self {
        Self {
            tool: self.tool,
            begun: self.begun,
            ..Self::text(self.prompt, self.tokens)
        }
    }

    /// The same after `begun` words that are there already.
    #[must_use]
    pub(crate) fn after(self, begun: u64) -> Self {
        Self { begun, ..self }
    }

    /// The first `tokens` pieces of it, which is then no longer complete.
    #[must_use]
    pub(crate) fn cut(mut self, tokens: u64) -> Self {
        if tokens < self.tokens {
            self.tokens = tokens;
            self.after.clear();
        }
        self
    }

    /// Pieces, which is tokens.
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Appends piece `index`, as plain text.
    pub(crate) fn piece(&self, index: u64, out: &mut String) {
        let word = self.begun.saturating_add(index);
        if word == 0 {
            out.push_str(&self.before);
        }
        if self.traced {
            tracer::push_word(out, self.prompt, word);
        }
        if index + 1 == self.tokens {
            out.push_str(&self.after);
        }
    }

    /// All pieces.
    pub(crate) fn whole(&self) -> String {
        let mut text = String::with_capacity(self.before.len() + self.after.len() + self.tokens as usize * 8);
        for index in 0..self.tokens {
            self.piece(index, &mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::structured;
    use serde_json::json;

    #[test]
    fn the_pieces_are_the_whole_and_the_whole_fits_the_schema() {
        let schema = json!({"type": "object", "required": ["city", "days"],
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}}});
        let output = Output::json(PromptId(9), 3, &schema);
        let parsed: Value = serde_json::from_str(&output.whole()).unwrap();
        assert_eq!(parsed, json!({"city": "t9.0 t9.1 t9.2", "days": 3}));
        let mut pieces = Vec::new();
        for index in 0..3 {
            let mut piece = String::new();
            output.piece(index, &mut piece);
            pieces.push(piece);
        }
        assert_eq!(pieces, [r#"{"city":"t9.0"#, " t9.1", r#" t9.2","days":3}"#]);
    }

    #[test]
    fn the_json_that_clients_ask_for_is_what_they_take_and_garbage_is_not() {
        let output = Output::json(PromptId(9), 3, &structured::schema());
        assert!(structured::fits(&output.whole()), "{}", output.whole());
        let mut reader = tracer::Reader::of_json(PromptId(9));
        reader.push(&output.whole());
        let delivered = reader.finish();
        assert_eq!((delivered.tokens, delivered.schema, delivered.foreign), (3, 5, 0));
        assert!(!structured::fits(&output.clone().cut(2).whole()));
        assert!(!structured::fits(&output.bare().whole()));
    }

    #[test]
    fn a_schema_without_a_free_string_has_no_words_and_still_so_many_pieces() {
        let output = Output::json(PromptId(9), 4, &json!({"type": "boolean"}));
        assert_eq!(output.whole(), "false");
        assert_eq!(output.tokens(), 4);
    }

    #[test]
    fn the_rest_follows_the_beginning_without_a_seam() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let whole = Output::json(PromptId(9), 4, &schema).whole();
        let beginning = Output::json(PromptId(9), 4, &schema).cut(3).whole();
        let rest = Output::json(PromptId(9), 1, &schema).after(3).whole();
        assert_eq!(beginning + &rest, whole);
        assert_eq!(Output::text(PromptId(9), 0).after(4).whole(), "");
    }

    #[test]
    fn what_is_cut_off_is_not_closed() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        assert_eq!(
            Output::json(PromptId(9), 4, &schema).cut(2).whole(),
            r#"{"a":"t9.0 t9.1"#
        );
        assert_eq!(Output::text(PromptId(9), 4).cut(9).whole(), "t9.0 t9.1 t9.2 t9.3");
    }
}
