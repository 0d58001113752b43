//! Keys of a load that nobody would read: what is asked for, or where, leaves them no meaning. Refused, so that nobody believes
//! that they have one.

use std::ops::Range;

use toml::Spanned;

use super::super::{Context, Resolved};
use crate::file::{ClientBlock, PromptsBlock};
use crate::plan::{Endpoint, Output};

/// The keys that may have no meaning beside others, as far as they are written.
pub(super) struct Keys<'a> {
    pub(super) prompts: Option<&'a PromptsBlock>,
    pub(super) prompt_tokens: Option<Range<usize>>,
    pub(super) history: Option<Range<usize>>,
    pub(super) max_tokens: Option<Range<usize>>,
    pub(super) output: Option<&'a Spanned<Output>>,
    pub(super) clients: &'a [Spanned<ClientBlock>],
}

/// Refuses what would change nothing.
pub(super) fn check(context: &Context<'_>, endpoint: Endpoint, keys: &Keys<'_>) -> Resolved<()> {
    let asks_questions = keys.prompts.is_some_and(|prompts| prompts.questions == Some(true));
    if let Some(span) = keys.prompt_tokens.clone().filter(|_| asks_questions) {
        return context.fail(
            span,
            "`prompt_tokens` has no meaning where prompts are questions: each is as long as it is",
            "remove it, or leave questions = true out",
        );
    }
    if endpoint != Endpoint::Embeddings {
        return Ok(());
    }
    let task = || keys.clients.iter().find_map(|client| client.get_ref().task.as_ref());
    let json = keys.output.filter(|output| *output.get_ref() == Output::Json);
    let unread = [
        ("history", keys.history.clone()),
        ("max_tokens", keys.max_tokens.clone()),
        ("output = \"json\"", json.map(Spanned::span)),
        ("task", task().map(Spanned::span)),
    ];
    match unread.into_iter().find_map(|(key, span)| Some((key, span?))) {
        None => Ok(()),
        Some((key, span)) => context.fail(
            span,
            format!("`{key}` has no meaning for endpoint = \"embeddings\": the answer to a text is its vector"),
            "remove it, or choose another endpoint",
        ),
    }
}
