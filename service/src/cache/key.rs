//! What makes two questions the same one: everything that changes the answer, whoever asks, and nothing else.
//!
//! Every part is written with its length in front and hashed, so no two questions can come to the same key by being cut
//! at another place. Does not compare meanings.

mod origin;

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::Kept;
use crate::upstream::{Message, Options, Prompt, Role};

/// Of the form of keys. Raise it when a part is added: what was kept under the old form is then never found.
const VERSION: u64 = 2;

/// The name of a question: equal for equal questions of a tenant, for all practical purposes never otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of what is asked. `user` is a part of it although models do not look at it: a tenant that names its users
    /// has them kept apart.
    pub(crate) fn of(asked: Asked<'_>) -> Self {
        Self::over("question", asked, &asked.prompt.messages)
    }

    /// The key of all that has to be equal where only the last of the messages is compared by its meaning.
    fn before_the_last(asked: Asked<'_>) -> Self {
        let earlier = asked
            .prompt
            .messages
            .split_last()
            .map_or(&[][..], |(_, earlier)| earlier);
        Self::over("partition", asked, earlier)
    }

    fn over(of: &str, asked: Asked<'_>, messages: &[Message]) -> Self {
        let Asked {
            origin,
            tenant,
            model,
            task,
            prompt,
        } = asked;
        let Prompt {
            messages: _,
            max_tokens,
            options,
        } = prompt;
        let mut sum = Sum::begin(of);
        sum.0.update(origin.0);
        sum.perhaps(tenant.as_ref(), |sum, tenant| sum.text(tenant));
        sum.perhaps(model.as_ref(), |sum, model| sum.text(model));
        sum.perhaps(task.as_ref(), |sum, task| sum.text(task));
        sum.messages(messages);
        sum.perhaps(max_tokens.as_ref(), |sum, tokens| sum.number((*tokens).into()));
        sum.options(options);
        sum.end()
    }
}

/// What is asked, with all that the answer depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Where the answer is to come from.
    pub(crate) origin: Key,
    /// Who asks; nobody: the service itself, for all.
    pub(crate) tenant: Option<&'a str>,
    /// The model that is asked for by name; without one the service chooses.
    pub(crate) model: Option<&'a str>,
    /// What it is for: the service may choose by it.
    pub(crate) task: Option<&'a str>,
    pub(crate) prompt: &'a Prompt,
}

/// Hexadecimal digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A hash of parts that cannot run into each other.
struct Sum(Sha256);

impl Sum {
    fn begin(of: &str) -> Self {
        let mut sum = Self(Sha256::new());
        sum.text(of);
        sum.number(VERSION);
        sum
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn real(&mut self, number: f64) {
        self.number(number.to_bits());
    }

    fn perhaps<T>(&mut self, part: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.number(part.is_some().into());
        if let Some(part) = part {
            write(self, part);
        }
    }

    fn messages(&mut self, messages: &[Message]) {
        self.number(messages.len() as u64);
        for Message { role, content } in messages {
            self.text(match role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            });
            self.text(content);
        }
    }

    fn options(&mut self, options: &Options) {
        let Options {
            temperature,
            top_p,
            presence_penalty,
            frequency_penalty,
            stop,
            seed,
            user,
            response_format,
        } = options;
        for number in [temperature, top_p, presence_penalty, frequency_penalty] {
            self.perhaps(number.as_ref(), |sum, number| sum.real(*number));
        }
        self.number(stop.len() as u64);
        for text in stop {
            self.text(text);
        }
        self.perhaps(seed.as_ref(), |sum, seed| sum.number(seed.cast_unsigned()));
        self.perhaps(user.as_ref(), |sum, user| sum.text(user));
        // The order of a schema's keys is kept: models write in it.
        self.perhaps(response_format.as_ref(), |sum, format| sum.text(&format.to_string()));
    }

    fn end(self) -> Key {
        Key(self.0.finalize().into())
    }
}

/// What a client said about answers from a cache. Source: RFC 9111, section 5.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Freshness {
    /// `no-cache`: a new answer is wanted.
    pub(crate) fresh: bool,
    /// `no-store`: the answer is not to be kept; nor is one wanted that was.
    pub(crate) forget: bool,
}

impl Freshness {
    /// Reads a `cache-control` header.
    pub(crate) fn of(header: &str) -> Self {
        let mut said = Self::default();
        for word in header.split(',').map(str::trim) {
            said.forget |= word.eq_ignore_ascii_case("no-store");
            said.fresh |= word.eq_ignore_ascii_case("no-cache") || said.forget;
        }
        said
    }
}

/// A question that may be compared with others.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) tenant: String,
    pub(crate) key: Key,
    /// What has to be equal where the last message is compared by its meaning.
    pub(crate) partition: Key,
    /// The same for answers that are there for all tenants.
    pub(crate) common: Common,
    /// The last message, where it is a person's.
    pub(crate) asks: Option<String>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) freshness: Freshness,
}

/// What names a question among those that belong to nobody. Their answers are complete however many tokens are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    pub(crate) key: Key,
    pub(crate) partition: Key,
}

impl Question {
    /// What is asked; `None` where every asker wants an answer of its own: above `max_temperature`.
    pub(crate) fn of(asked: Asked<'_>, freshness: Freshness, max_temperature: Option<f64>) -> Option<Self> {
        let prompt = asked.prompt;
        let temperature = prompt.options.temperature.unwrap_or_default();
        if max_temperature.is_some_and(|most| temperature > most) {
            return None;
        }
        let unbounded = Prompt {
            max_tokens: None,
            ..prompt.clone()
        };
        let for_all = Asked {
            tenant: None,
            prompt: &unbounded,
            ..asked
        };
        let last = prompt.messages.last().filter(|last| last.role == Role::User);
        Some(Self {
            tenant: asked.tenant.unwrap_or_default().to_owned(),
            key: Key::of(asked),
            partition: Key::before_the_last(asked),
            common: Common {
                key: Key::of(for_all),
                partition: Key::before_the_last(for_all),
            },
            asks: last.map(|last| last.content.clone()),
            max_tokens: prompt.max_tokens,
            freshness,
        })
    }

    /// Whether an answer that was made for nobody in particular is one to this question too: no longer than it may be.
    pub(crate) fn takes(&self, kept: &Kept) -> bool {
        let tokens = kept.usage.map(|usage| usage.completion_tokens);
        self.max_tokens
            .is_none_or(|most| tokens.is_some_and(|tokens| tokens <= u64::from(most)))
    }
}

/// A key of its own for each name, for tests.
#[cfg(test)]
pub(super) fn named(name: &str) -> Key {
    Key::of(Asked {
        origin: Key([0; 32]),
        tenant: Some("t"),
        model: Some(name),
        task: None,
        prompt: &Prompt::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn message(role: Role, content: &str) -> Message {
        let content = content.to_owned();
        Message { role, content }
    }

    fn prompt() -> Prompt {
        Prompt {
            messages: vec![message(Role::User, "hello")],
            ..Prompt::default()
        }
    }

    /// Every way in which one field can differ. A field that is added stops this from compiling.
    fn changed() -> Vec<(&'static str, Prompt)> {
        let Prompt {
            messages: _,
            max_tokens: _,
            options:
                Options {
                    temperature: _,
                    top_p: _,
                    presence_penalty: _,
                    frequency_penalty: _,
                    stop: _,
                    seed: _,
                    user: _,
                    response_format: _,
                },
        } = prompt();
        let with = |name: &'static str, change: fn(&mut Prompt)| {
            let mut changed = prompt();
            change(&mut changed);
            (name, changed)
        };
        vec![
            with("said", |p| p.messages[0].content.push('!')),
            with("role", |p| p.messages[0].role = Role::Assistant),
            with("a turn before", |p| p.messages.insert(0, message(Role::System, "s"))),
            with("a turn after", |p| p.messages.push(message(Role::User, "s"))),
            with("max_tokens", |p| p.max_tokens = Some(7)),
            with("max_tokens, more", |p| p.max_tokens = Some(8)),
            with("temperature", |p| p.options.temperature = Some(0.5)),
            with("temperature, none at all", |p| p.options.temperature = Some(0.0)),
            with("top_p", |p| p.options.top_p = Some(0.5)),
            with("presence_penalty", |p| p.options.presence_penalty = Some(0.5)),
            with("frequency_penalty", |p| p.options.frequency_penalty = Some(0.5)),
            with("stop", |p| p.options.stop = vec!["ab".to_owned()]),
            with("stop, twice", |p| p.options.stop = vec!["a".to_owned(), "b".to_owned()]),
            with("seed", |p| p.options.seed = Some(7)),
            with("seed, below zero", |p| p.options.seed = Some(-7)),
            with("user", |p| p.options.user = Some("u".to_owned())),
            with("format", |p| {
                p.options.response_format = Some(json!({ "type": "json_object" }));
            }),
            with("schema", |p| {
                p.options.response_format = Some(json!({ "type": "json_schema" }));
            }),
        ]
    }

    fn key(prompt: &Prompt) -> Key {
        Key::of(asked(prompt))
    }

    const fn asked(prompt: &Prompt) -> Asked<'_> {
        Asked {
            origin: Key([0; 32]),
            tenant: Some("t"),
            model: Some("m"),
            task: None,
            prompt,
        }
    }

    #[test]
    fn every_field_that_changes_the_answer_changes_the_key() {
        let same = prompt();
        let base = asked(&same);
        assert_eq!(Key::of(base), key(&prompt()));
        let of_others = [
            Asked {
                origin: Key([1; 32]),
                ..base
            },
            Asked {
                tenant: Some("t2"),
                ..base
            },
            Asked { tenant: None, ..base },
            Asked { model: None, ..base },
            Asked {
                model: Some("m2"),
                ..base
            },
            Asked {
                task: Some("m"),
                ..base
            },
            Asked {
                model: None,
                task: Some("m"),
                ..base
            },
        ];
        let mut seen: BTreeSet<Key> = of_others.into_iter().map(Key::of).chain([Key::of(base)]).collect();
        assert_eq!(seen.len(), 8);
        for (name, changed) in changed() {
            assert!(seen.insert(key(&changed)), "{name}");
        }
    }

    #[test]
    fn a_text_that_is_cut_at_another_place_is_another_question() {
        let said = |first: &str, second: &str| Prompt {
            messages: vec![message(Role::User, first), message(Role::User, second)],
            ..Prompt::default()
        };
        assert_ne!(key(&said("ab", "c")), key(&said("a", "bc")));
        let same = prompt();
        let of = |tenant, model| {
            Key::of(Asked {
                tenant: Some(tenant),
                model: Some(model),
                ..asked(&same)
            })
        };
        assert_ne!(of("ta", "m"), of("t", "am"));
    }

    #[test]
    fn who_wants_variety_is_not_given_what_somebody_else_got() {
        let ask = |temperature, most| {
            let mut prompt = prompt();
            prompt.options.temperature = temperature;
            Question::of(asked(&prompt), Freshness::default(), most).is_some()
        };
        assert!(ask(None, Some(1.0)) && ask(Some(1.0), Some(1.0)) && ask(Some(2.0), None));
        assert!(!ask(Some(1.1), Some(1.0)));
    }

    #[test]
    fn what_is_said_of_freshness_is_read() {
        let said = |header| {
            let Freshness { fresh, forget } = Freshness::of(header);
            (fresh, forget)
        };
        assert_eq!(said(""), (false, false));
        assert_eq!(said("max-age=0"), (false, false));
        assert_eq!(said("No-Cache"), (true, false));
        assert_eq!(said("max-age=0, no-store"), (true, true));
    }
}
