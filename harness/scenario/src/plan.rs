//! The resolved plan: every default filled in, every variant spelled out, every value valid.
//!
//! A plan is made by [`crate::Scenario::parse`] alone, so whoever holds one need not check it. It is plain data and
//! serialises to the same bytes everywhere; `plan_fingerprint` is the hash of those bytes.

mod fault;
mod load;
mod prompts;
mod provider;
mod window;
mod world;

use serde::Serialize;

pub use self::fault::*;
pub use self::load::*;
pub use self::prompts::*;
pub use self::provider::*;
pub use self::world::*;
use crate::units::Micros;

/// A scenario, resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The file's stem, or the name of an embedded scenario.
    pub scenario: String,
    /// What the run is to answer.
    pub question: String,
    /// The advice or belief that is put to the test.
    pub claim: Option<String>,
    /// Root of every draw.
    pub seed: u64,
    /// Requests due before this instant are played, but kept out of every figure but the books.
    pub warmup: Micros,
    /// How long requests fall due for, warm-up included.
    pub duration: Micros,
    /// How long what is still open may take after that.
    pub drain: Micros,
    /// How often the target's processes are asked for their metrics; `None` for never. Not part of what is played, so of no
    /// fingerprint.
    #[serde(skip)]
    pub scrape: Option<Micros>,
    /// Where the run judges the harness itself.
    pub limits: Limits,
    /// The designs that are compared, in the order of the file.
    pub variants: Vec<Variant>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
}

/// What the harness demands of itself on the real clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limits {
    /// A run whose 99th percentile of send lateness is above this is invalid.
    pub lateness_p99: Micros,
}

/// One way to run the service, with the world around it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// Name, unique in the plan.
    pub name: String,
    /// What the service is told.
    pub service: ServicePlan,
    /// The providers, in the order of the file.
    pub providers: Vec<ProviderPlan>,
    /// The load balancer in front of the service, if there is one.
    pub gateway: Option<GatewayPlan>,
    /// Whoever looks after the service's processes, if anybody does.
    pub orchestrator: Option<OrchestratorPlan>,
    /// What happens to the service's processes, in the order of time.
    pub events: Vec<EventPlan>,
    /// What goes wrong between them and what they depend on, in the order of the file.
    pub dependency_faults: Vec<DependencyFaultPlan>,
    /// What the clients do.
    pub load: LoadPlan,
}

/// How the target is set up. All but the numbers of processes is passed through, unread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePlan {
    /// `design` of the reference service, for the record.
    pub design: String,
    /// Processes that serve requests.
    pub replicas: u32,
    /// Processes that work on queued jobs.
    pub workers: u32,
    /// The service's own settings (`preset`, `design`, ...), as the file has them, keys in order.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// Something that must hold for the run to pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expectation {
    /// What it says about the world, for the report.
    pub because: Option<String>,
    /// Which variant's figure; `None` with a comparison or for all variants.
    pub variant: Option<String>,
    /// Path of the figure in the variant's record, such as `tokens.wasted_ratio`, `latency.p99_ms`, `errors.gateway_timeout`.
    pub metric: String,
    /// Take the figure from this phase (`before`, `during`, `after` the fault window, or `step-1` and so on) and not from
    /// the whole run.
    pub phase: Option<String>,
    /// A quotient of two variants' figures and not one figure.
    pub compare: Option<Comparison>,
    /// Lower bound, included.
    pub at_least: Option<f64>,
    /// Upper bound, included.
    pub at_most: Option<f64>,
}

/// `numerator / denominator` of two variants' figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The variant above the line.
    pub numerator: String,
    /// The variant below the line.
    pub denominator: String,
}

impl Plan {
    /// The beginning of this plan, up to `duration`: without expectations, which were written for the whole.
    #[must_use]
    pub fn beginning(&self, duration: Micros) -> Self {
        let mut plan = self.clone();
        plan.duration = duration.min(self.duration);
        if plan.warmup >= plan.duration {
            plan.warmup = Micros::ZERO;
        }
        plan.expectations.clear();
        for variant in &mut plan.variants {
            variant.events.retain(|event| event.at < plan.duration);
            variant.dependency_faults.retain(|fault| fault.from < plan.duration);
            for fault in &mut variant.dependency_faults {
                fault.until = fault.until.min(plan.duration);
            }
        }
        for provider in plan.variants.iter_mut().flat_map(|v| &mut v.providers) {
            for fault in &mut provider.faults {
                fault.until = fault.until.min(plan.duration);
                if let Timetable::Windows(windows) = &mut fault.timetable {
                    windows.retain(|(start, _)| *start < plan.duration);
                    if let Some((_, end)) = windows.last_mut() {
                        *end = plan.duration.min(*end);
                    }
                }
            }
            let never = |fault: &FaultPlan| matches!(&fault.timetable, Timetable::Windows(left) if left.is_empty());
            provider
                .faults
                .retain(|fault| fault.from < plan.duration && !never(fault));
        }
        plan
    }

    /// This plan with the named variants only, and the expectations that speak of no other. `None` if a name is unknown.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Option<Self> {
        if names.iter().any(|name| !self.variants.iter().any(|v| v.name == *name)) {
            return None;
        }
        let kept = |name: &String| names.contains(name);
        let mut plan = self.clone();
        plan.variants.retain(|v| kept(&v.name));
        plan.expectations.retain(|e| {
            e.variant.as_ref().is_none_or(kept)
                && e.compare
                    .as_ref()
                    .is_none_or(|c| kept(&c.numerator) && kept(&c.denominator))
        });
        Some(plan)
    }

    /// SHA-256 over the plan's canonical JSON, in hex.
    pub fn fingerprint(&self) -> String {
        use sha2::Digest;
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        sha2::Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |mut hex, byte| {
                use std::fmt::Write;
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}
