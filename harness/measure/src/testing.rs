//! Small observations and plans for tests.

use std::collections::BTreeMap;

use brownout_scenario::distribution::Distribution;
use brownout_scenario::observe::{
    Delivered, FailureClass, Finish, LedgerRow, Outcome, RequestObservation, SpanRow, Usage,
};
use brownout_scenario::plan::{
    Arrivals, Beginnings, Dialect, Endpoint, Expectation, Limits, LoadPlan, ModelPlan, OnDisconnect, Output, Plan,
    Price, ProviderPlan, ServicePlan, Variant, Watch,
};
use brownout_scenario::units::{Micros, PerSecond, Picodollars, PromptId, Share};

use crate::record::{ClockKind, RunRecord, VariantRecord};
use crate::run::{RunMeta, assemble};
use crate::{Observations, measure};

/// Every way to fail.
pub(crate) const ALL_CLASSES: [FailureClass; 16] = [
    FailureClass::GatewayTimeout,
    FailureClass::BadGateway,
    FailureClass::Unavailable,
    FailureClass::RateLimited,
    FailureClass::ServerError,
    FailureClass::ClientError,
    FailureClass::Connect,
    FailureClass::ConnectionLost,
    FailureClass::Truncated,
    FailureClass::ErrorEvent,
    FailureClass::Malformed,
    FailureClass::InvalidOutput,
    FailureClass::ClientTimeout,
    FailureClass::JobFailed,
    FailureClass::JobLost,
    FailureClass::Unfinished,
];

/// Every way for an attempt to end.
pub(crate) const ALL_FINISHES: [Finish; 8] = [
    Finish::Stop,
    Finish::Length,
    Finish::Filtered,
    Finish::HungUp,
    Finish::Fault,
    Finish::RateLimited,
    Finish::Refused,
    Finish::Unfinished,
];

/// An answered request, sent as it was due, with `tokens` delivered.
pub(crate) fn request(id: u64, due: u64, ended: u64, tokens: u64) -> RequestObservation {
    RequestObservation {
        index: id,
        prompt: PromptId(id),
        client: 0,
        due: Micros(due),
        sent: Some(Micros(due)),
        acknowledged: None,
        headers: Some(Micros(ended)),
        first_token: None,
        ended: Micros(ended),
        status: Some(200),
        outcome: Outcome::Answered,
        gaps: Vec::new(),
        delivered: Delivered {
            tokens,
            ..Delivered::default()
        },
        reported: Some(Usage {
            prompt_tokens: 10,
            completion_tokens: tokens,
        }),
        bytes: 0,
    }
}

/// A whole answer of `billed` tokens to a prompt of ten, at [`provider`]'s prices.
pub(crate) fn row(prompt: u64, arrived: u64, ended: u64, billed: u64) -> LedgerRow {
    LedgerRow {
        provider: "primary".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        prompt: PromptId(prompt),
        attempt: 0,
        caller: None,
        input: None,
        arrived: Micros(arrived),
        first_token: Some(Micros(arrived)),
        ended: Micros(ended),
        status: 200,
        prompt_tokens: 10,
        cached_tokens: 0,
        cache_write_tokens: 0,
        generated: billed,
        reasoning: 0,
        begun: 0,
        flushed: billed,
        repeated: 0,
        billed,
        billed_prompt: 10,
        price: Picodollars(10 * 150_000 + billed * 600_000),
        fault: None,
        finish: Finish::Stop,
        hung_up: None,
    }
}

pub(crate) fn span(request: u64, name: &str, start: u64, end: u64) -> SpanRow {
    SpanRow {
        request,
        name: name.to_owned(),
        start: Micros(start),
        end: Micros(end),
    }
}

pub(crate) fn provider() -> ProviderPlan {
    ProviderPlan {
        name: "primary".to_owned(),
        dialect: Dialect::OpenAi,
        models: vec![ModelPlan {
            name: "gpt-4o-mini".to_owned(),
            family: "gpt-4o-mini".to_owned(),
            context_window: None,
            price: Price {
                prompt: Picodollars(150_000),
                cached: Picodollars(75_000),
                cache_write: Picodollars(187_500),
                completion: Picodollars(600_000),
                per_call: Picodollars(0),
            },
        }],
        first_token: Distribution::Constant { value: 1.0 },
        inter_token: Distribution::Constant { value: 1.0 },
        tasks: Vec::new(),
        prefill: Micros::ZERO,
        output_tokens: Distribution::Constant { value: 30.0 },
        reasoning_tokens: Distribution::Constant { value: 0.0 },
        tool_calls: Share::ALL,
        slow_periods: None,
        capacity: None,
        prompt_cache: None,
        beginnings: Beginnings::Ignored,
        on_disconnect: OnDisconnect::Stop { lag: Micros(0) },
        bill_broken: true,
        limits: None,
        faults: Vec::new(),
    }
}

/// Ten requests a second, 10 s with 1 s of warm-up.
pub(crate) fn plan(variants: &[&str], expectations: Vec<Expectation>) -> Plan {
    let variant = |name: &&str| Variant {
        name: (*name).to_owned(),
        service: ServicePlan {
            design: "coupled".to_owned(),
            replicas: 1,
            workers: 0,
            settings: serde_json::Map::new(),
        },
        providers: vec![provider()],
        gateway: None,
        orchestrator: None,
        events: Vec::new(),
        dependency_faults: Vec::new(),
        load: LoadPlan {
            arrivals: Arrivals::Constant { rate: PerSecond(10.0) },
            endpoint: Endpoint::Chat,
            watch: Watch::Poll,
            poll: Micros::from_secs(1),
            output: Output::Text,
            prompts: None,
            prompt_tokens: Distribution::Constant { value: 10.0 },
            history: None,
            max_tokens: 100,
            patience: None,
            clients: Vec::new(),
        },
    };
    Plan {
        scenario: "sample".to_owned(),
        question: "Does it hold?".to_owned(),
        claim: None,
        seed: 7,
        warmup: Micros::from_secs(1),
        duration: Micros::from_secs(10),
        drain: Micros::from_secs(60),
        scrape: None,
        limits: Limits {
            lateness_p99: Micros::from_millis(10),
        },
        variants: variants.iter().map(variant).collect(),
        expectations,
    }
}

/// What an honest world saw of that plan, with a latency of `latency_us`.
pub(crate) fn observations(latency_us: u64) -> Observations {
    let due = |id: u64| (id - 1) * 100_000;
    Observations {
        requests: (1..=100)
            .map(|id| request(id, due(id), due(id) + latency_us, 30))
            .collect(),
        ledger: (1..=100).map(|id| row(id, due(id), due(id) + latency_us, 30)).collect(),
        ..Observations::default()
    }
}

pub(crate) fn expectation(metric: &str) -> Expectation {
    Expectation {
        because: None,
        variant: None,
        metric: metric.to_owned(),
        phase: None,
        compare: None,
        at_least: None,
        at_most: None,
    }
}

/// A measured variant with a latency of `latency_us`.
pub(crate) fn variant_record(name: &str, latency_us: u64) -> VariantRecord {
    let plan = plan(&[name], Vec::new());
    measure(&plan.variants[0], &plan, &observations(latency_us))
}

pub(crate) fn meta(clock: ClockKind) -> RunMeta {
    RunMeta {
        brownout: "0.1.0".to_owned(),
        clock,
        engine: "engine".to_owned(),
        command: "brownout run".to_owned(),
        environment: crate::record::Environment::default(),
        interrupted: false,
    }
}

/// A run of one variant, `only`, on `clock`, after `change` was made to what was seen.
pub(crate) fn run_record(clock: ClockKind, change: impl FnOnce(&mut Observations)) -> RunRecord {
    let plan = plan(&["only"], Vec::new());
    let mut observations = observations(200_000);
    change(&mut observations);
    let record = measure(&plan.variants[0], &plan, &observations);
    assemble(&plan, meta(clock), vec![record])
}

/// A map of counts.
pub(crate) fn counted(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
}
