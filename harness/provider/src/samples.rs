//! Plans that the unit tests share.

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{Dialect, FaultEffect, FaultPlan, OnDisconnect, Price, ProviderPlan, RateLimits};
use brownout_scenario::units::{Micros, Picodollars, Share};

/// 100 ms to the first token, 10 ms between tokens, 5 tokens, and nothing ever goes wrong.
pub(crate) fn plan() -> ProviderPlan {
    ProviderPlan {
        name: "primary".to_owned(),
        dialect: Dialect::OpenAi,
        model: "gpt-4o-mini".to_owned(),
        first_token: Distribution::Constant { value: 100_000.0 },
        inter_token: Distribution::Constant { value: 10_000.0 },
        output_tokens: Distribution::Constant { value: 5.0 },
        on_disconnect: OnDisconnect::Stop { lag: Micros::ZERO },
        limits: None,
        faults: Vec::new(),
        price: Price {
            prompt: Picodollars(150_000),
            cached: Picodollars(75_000),
            completion: Picodollars(600_000),
        },
    }
}

/// An error answer for everyone, at any time.
pub(crate) fn status(status: u16, retry_after: Option<Micros>) -> FaultPlan {
    FaultPlan {
        id: "status#0".to_owned(),
        effect: FaultEffect::Status { status, retry_after },
        from: Micros::ZERO,
        until: Micros(u64::MAX),
        probability: Share::ALL,
        first: None,
    }
}

/// Slow answers for everyone, at any time.
pub(crate) fn spike(first_token: Option<Distribution>, inter_token: Option<Distribution>) -> FaultPlan {
    FaultPlan {
        id: "latency_spike#0".to_owned(),
        effect: FaultEffect::LatencySpike {
            first_token,
            inter_token,
        },
        ..status(0, None)
    }
}

/// Limits whose buckets hold a whole minute's allowance.
pub(crate) fn limits(requests: Option<u64>, tokens: Option<u64>) -> RateLimits {
    RateLimits {
        requests_per_minute: requests,
        tokens_per_minute: tokens,
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
