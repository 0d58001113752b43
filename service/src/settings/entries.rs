//! What the lists of the settings hold: providers and keys, and the kinds of value that only they have.
//!
//! Does not say what a key may do at a given moment; that is [`crate::access`]'s.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use crate::routing::is_task;

/// A provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its name in spans, metrics and answers.
    pub name: String,
    /// Its address, as OpenAI's own clients take it: `https://api.openai.com/v1`.
    pub base_url: String,
    /// The model to ask for.
    pub model: String,
    /// The key. Never printed.
    pub api_key: Option<SecretString>,
    /// What the tokens of a prompt cost. Needed where a key has a budget.
    pub prompt_price: Option<Price>,
    /// What the tokens of an answer cost. Needed where a key has a budget.
    pub completion_price: Option<Price>,
    /// Tokens that a prompt and its answer may come to; absent: as many as may be.
    pub context_window: Option<u32>,
    /// What it is meant for, in words that requests may name; empty: for anything.
    pub tasks: Vec<Task>,
    /// Whether its model goes on from the beginning of an answer that it is given as the last turn.
    pub prefill: bool,
}

/// A word for what a request is for, such as `code`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task(String);

/// A word that can name no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write 1 to 32 letters, digits, dots, hyphens or underscores")]
pub struct NoTask;

impl std::str::FromStr for Task {
    type Err = NoTask;

    fn from_str(word: &str) -> Result<Self, NoTask> {
        if is_task(word) {
            Ok(Self(word.to_owned()))
        } else {
            Err(NoTask)
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Task {
    fn eq(&self, word: &str) -> bool {
        self.0 == word
    }
}

/// A key that callers may show.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// Its name: safe to log and to count by.
    pub name: String,
    /// The SHA-256 of the key. The key itself is nowhere.
    pub sha256: Digest,
    /// Whose data the key opens; without it, the key's own.
    pub tenant: Option<String>,
    /// Requests that are admitted in a minute; absent: as many as come.
    pub requests_per_minute: Option<u32>,
    /// Tokens that are admitted in a minute, of prompts and answers; absent: as many as come.
    pub tokens_per_minute: Option<u32>,
    /// Requests that are admitted at a time; absent: as many as come.
    pub concurrent: Option<u32>,
    /// What the key may spend in a `budget_window`; absent: whatever it asks for.
    pub budget: Option<Usd>,
    /// How long a budget lasts before it is full again.
    pub budget_window: Duration,
    /// Whether the key is refused although it is known.
    pub disabled: bool,
}

impl KeySettings {
    /// Whose data the key opens.
    pub fn tenant(&self) -> &str {
        self.tenant.as_deref().unwrap_or(&self.name)
    }
}

/// A SHA-256 sum. Printed as `[digest]`: people paste keys where their sums belong.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The sum of `text`.
    pub fn of(text: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(text).into())
    }

    /// As 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// The sum itself.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

/// An amount of money, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Usd {
    micros: u64,
}

impl Usd {
    /// From millionths of a dollar.
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// In millionths of a dollar.
    pub const fn micros(self) -> u64 {
        self.micros
    }
}

/// What a token costs, in billionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Price {
    nanos: u64,
}

impl Price {
    /// What `tokens` cost, in billionths of a dollar: to be summed before it is rounded.
    pub const fn nanos_for(self, tokens: u64) -> u64 {
        self.nanos.saturating_mul(tokens)
    }
}

/// What a token of a prompt and one of an answer cost.
pub(crate) type Prices = (Price, Price);

/// What so many tokens of a prompt and of an answer cost: a fraction of a millionth of a dollar is one.
pub(crate) const fn cost((prompt, completion): Prices, prompt_tokens: u64, completion_tokens: u64) -> Usd {
    let nanos = prompt
        .nanos_for(prompt_tokens)
        .saturating_add(completion.nanos_for(completion_tokens));
    Usd::from_micros(nanos.div_ceil(1000))
}

/// A quantity that is written as a plain number of some unit.
pub(super) trait Amount: Copy + 'static {
    /// What to write.
    const EXPECTED: &'static str;
    /// Reads it; `None` outside its bounds.
    fn from_number(number: f64) -> Option<Self>;
    /// Writes it.
    fn to_number(self) -> f64;
}

impl Amount for Usd {
    const EXPECTED: &'static str = "write dollars, from 0.000001 to 1000000000";

    fn from_number(number: f64) -> Option<Self> {
        let micros = (number * 1e6).round();
        (1.0..=1e15).contains(&micros).then(|| Self::from_micros(micros as u64))
    }

    fn to_number(self) -> f64 {
        self.micros as f64 / 1e6
    }
}

impl Amount for Price {
    const EXPECTED: &'static str = "write dollars for a million tokens, from 0 to 10000, in steps of a thousandth";

    fn from_number(number: f64) -> Option<Self> {
        let nanos = (number * 1e3).round();
        let price = Self { nanos: nanos as u64 };
        (0.0..=1e7).contains(&nanos).then_some(price)
    }

    fn to_number(self) -> f64 {
        self.nanos as f64 / 1e3
    }
}
