//! The shapes serde reads from a scenario file. Nothing here is valid yet: `resolve` makes it so.
//!
//! Keys are strict. A block that a variant may patch has all its keys optional and is used for both. Here is the file as
//! a whole; `provider`, `fault`, `load`, `world` and `distribution` hold the shapes of these.

mod distribution;
mod fault;
mod load;
mod provider;
mod world;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(crate) use self::distribution::{Counts, Times};
pub(crate) use self::fault::{BodyWord, FaultBlock, FaultKind, HeaderBlock, OutageWord};
pub(crate) use self::load::{
    AgainBlock, ArrivalsBlock, ClientBlock, DisconnectBlock, HistoryBlock, LoadBlock, PromptsBlock, ReadBlock,
    StepBlock,
};
pub(crate) use self::provider::{
    CapacityBlock, OnDisconnectBlock, PriceBlock, PromptCacheBlock, ProviderBlock, RateLimitBlock, ServedBlock,
    SlowPeriodsBlock,
};
pub(crate) use self::world::{
    DependencyFaultBlock, DependencyWord, EventBlock, EventWord, GatewayBlock, HealthCheckBlock, OrchestratorBlock,
    ScaleBlock,
};
use crate::units::Micros;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) question: Spanned<String>,
    pub(crate) claim: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) warmup: Option<Spanned<Micros>>,
    pub(crate) duration: Spanned<Micros>,
    pub(crate) drain: Option<Spanned<Micros>>,
    pub(crate) scrape: Option<Spanned<Micros>>,
    #[serde(default)]
    pub(crate) limits: LimitsBlock,
    #[serde(default)]
    pub(crate) provider: Vec<Spanned<ProviderBlock>>,
    pub(crate) gateway: Option<Spanned<GatewayBlock>>,
    pub(crate) orchestrator: Option<OrchestratorBlock>,
    #[serde(default)]
    pub(crate) event: Vec<Spanned<EventBlock>>,
    #[serde(default)]
    pub(crate) dependency_fault: Vec<Spanned<DependencyFaultBlock>>,
    pub(crate) load: Spanned<LoadBlock>,
    #[serde(default)]
    pub(crate) variant: Vec<Spanned<VariantBlock>>,
    #[serde(default)]
    pub(crate) expect: Vec<Spanned<ExpectBlock>>,
}

/// A file of providers that stand alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvidersFile {
    pub(crate) seed: Option<u64>,
    #[serde(default)]
    pub(crate) provider: Vec<Spanned<ProviderBlock>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsBlock {
    pub(crate) lateness_p99: Option<Micros>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VariantBlock {
    pub(crate) name: Spanned<String>,
    #[serde(default)]
    pub(crate) service: toml::Table,
    pub(crate) load: Option<LoadBlock>,
    pub(crate) gateway: Option<GatewayBlock>,
    pub(crate) orchestrator: Option<OrchestratorBlock>,
    pub(crate) event: Option<Vec<Spanned<EventBlock>>>,
    pub(crate) dependency_fault: Option<Vec<Spanned<DependencyFaultBlock>>>,
    #[serde(default)]
    pub(crate) provider: BTreeMap<Spanned<String>, ProviderBlock>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectBlock {
    pub(crate) because: Option<String>,
    pub(crate) variant: Option<Spanned<String>>,
    pub(crate) metric: Spanned<String>,
    pub(crate) phase: Option<Spanned<String>>,
    pub(crate) compare: Option<Spanned<String>>,
    pub(crate) at_least: Option<f64>,
    pub(crate) at_most: Option<f64>,
}
