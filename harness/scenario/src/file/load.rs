//! The shapes of what clients do: arrivals, kinds of clients, how they read and leave.

use serde::Deserialize;
use toml::Spanned;

use super::distribution::{Counts, Times};
use crate::plan::{Endpoint, HangUp, Output, Watch};
use crate::units::{Micros, PerSecond, Share};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadBlock {
    pub(crate) arrivals: Option<Spanned<ArrivalsBlock>>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) output: Option<Spanned<Output>>,
    pub(crate) watch: Option<Watch>,
    pub(crate) poll: Option<Spanned<Micros>>,
    pub(crate) prompts: Option<Spanned<PromptsBlock>>,
    pub(crate) prompt_tokens: Option<Spanned<Counts>>,
    pub(crate) history: Option<Spanned<HistoryBlock>>,
    pub(crate) max_tokens: Option<Spanned<u64>>,
    pub(crate) patience: Option<Micros>,
    pub(crate) client: Option<Vec<Spanned<ClientBlock>>>,
}

/// What was said before each prompt.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryBlock {
    pub(crate) turns: u32,
    pub(crate) tokens: Option<Counts>,
}

/// Which prompts are asked for, and how often each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptsBlock {
    pub(crate) questions: Option<bool>,
    pub(crate) distinct: Option<u64>,
    pub(crate) exponent: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ArrivalsBlock {
    Constant {
        rate: PerSecond,
    },
    Poisson {
        rate: PerSecond,
    },
    Ramp {
        from: PerSecond,
        to: PerSecond,
    },
    Steps {
        steps: Vec<StepBlock>,
    },
    Gamma {
        rate: PerSecond,
        burstiness: f64,
    },
    Spike {
        rate: PerSecond,
        peak: PerSecond,
        from: Micros,
        until: Micros,
    },
    OnOff {
        rate: PerSecond,
        on: Micros,
        off: Micros,
    },
    Closed {
        users: u32,
        think: Times,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepBlock {
    pub(crate) lasts: Micros,
    pub(crate) rate: PerSecond,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientBlock {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) share: Share,
    pub(crate) key: Option<Spanned<String>>,
    pub(crate) idempotent: Option<bool>,
    pub(crate) task: Option<Spanned<String>>,
    pub(crate) read: Option<Spanned<ReadBlock>>,
    pub(crate) disconnect: Option<Spanned<DisconnectBlock>>,
    pub(crate) again: Option<Spanned<AgainBlock>>,
}

/// How a kind of clients sends its requests a second time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgainBlock {
    pub(crate) after: Times,
    pub(crate) probability: Option<Share>,
}

/// How slowly a kind of clients reads: exactly one of the two.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadBlock {
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) stops_after_bytes: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisconnectBlock {
    pub(crate) after_tokens: Option<Counts>,
    pub(crate) after: Option<Times>,
    #[serde(default)]
    pub(crate) how: HangUp,
}
