//! Plans that the unit tests share.

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{
    Beginnings, Dialect, FaultEffect, FaultPlan, ModelPlan, OnDisconnect, Price, ProviderPlan, RateLimits, Scope,
    Timetable,
};
use brownout_scenario::units::{Micros, Picodollars, PromptId, Share};

use crate::script::Ask;

/// 100 ms to the first token, 10 ms between tokens, 5 tokens, and nothing ever goes wrong.
pub(crate) fn plan() -> ProviderPlan {
    ProviderPlan {
        name: "primary".to_owned(),
        dialect: Dialect::OpenAi,
        models: vec![model("gpt-4o-mini")],
        first_token: Distribution::Constant { value: 100_000.0 },
        inter_token: Distribution::Constant { value: 10_000.0 },
        tasks: Vec::new(),
        prefill: Micros::ZERO,
        output_tokens: Distribution::Constant { value: 5.0 },
        reasoning_tokens: Distribution::Constant { value: 0.0 },
        tool_calls: Share::ALL,
        slow_periods: None,
        capacity: None,
        prompt_cache: None,
        beginnings: Beginnings::Ignored,
        on_disconnect: OnDisconnect::Stop { lag: Micros::ZERO },
        bill_broken: true,
        limits: None,
        faults: Vec::new(),
    }
}

/// A model at the price of gpt-4o-mini.
pub(crate) fn model(name: &str) -> ModelPlan {
    ModelPlan {
        name: name.to_owned(),
        family: name.to_owned(),
        context_window: None,
        price: Price {
            prompt: Picodollars(150_000),
            cached: Picodollars(75_000),
            cache_write: Picodollars(150_000),
            completion: Picodollars(600_000),
            per_call: Picodollars(0),
        },
    }
}

/// An attempt that arrives at `arrived`, wants up to 10 tokens at once, and finds nothing in its way.
pub(crate) fn ask_at(prompt: u64, arrived: Micros) -> Ask {
    Ask {
        prompt: PromptId(prompt),
        attempt: 0,
        arrived,
        begins: arrived,
        prefill_tokens: 0,
        begun: 0,
        max_tokens: 10,
        slowness: 1.0,
        streams: false,
    }
}

/// `effect` for everyone, at any time.
pub(crate) fn fault(effect: FaultEffect) -> FaultPlan {
    FaultPlan {
        id: format!("{}#0", effect.name()),
        effect,
        from: Micros::ZERO,
        until: Micros(u64::MAX),
        timetable: Timetable::Throughout,
        scope: Scope::default(),
        probability: Share::ALL,
        first: None,
        every: None,
    }
}

/// An error answer for everyone, at any time.
pub(crate) fn status(status: u16, retry_after: Option<Micros>) -> FaultPlan {
    fault(FaultEffect::Status {
        status,
        retry_after,
        retry_after_text: None,
        code: None,
    })
}

/// Slow answers for everyone, at any time.
pub(crate) fn spike(first_token: Option<Distribution>, inter_token: Option<Distribution>) -> FaultPlan {
    fault(FaultEffect::LatencySpike {
        first_token,
        inter_token,
    })
}

/// Limits whose buckets hold a whole minute's allowance.
pub(crate) fn limits(requests: Option<u64>, tokens: Option<u64>) -> RateLimits {
    RateLimits {
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        input_tokens_per_minute: None,
        output_tokens_per_minute: None,
        burst: Share::ALL,
    }
}

/// A lognormal of these percentiles.
pub(crate) fn lognormal(p50: f64, p99: f64) -> Distribution {
    Distribution::Lognormal { p50, p99, shift: 0.0 }
}

/// [`plan`], changed.
pub(crate) fn plan_with(change: impl FnOnce(&mut ProviderPlan)) -> ProviderPlan {
    let mut plan = plan();
    change(&mut plan);
    plan
}
