//! What the real clock cannot play of a plan, found before anything is started.

use std::collections::BTreeMap;

use brownout_scenario::plan::{Dependency, Plan, Variant};

use crate::error::WorldError;
use crate::mount::Mount;

/// Child processes of one kind: each is an instance of its own with its own threads and pools.
const MOST_CHILDREN: u32 = 16;

/// An error for the first variant that asks for what child processes on one machine do not have.
pub(crate) fn playable_in_real_time<M: Mount>(plan: &Plan, mount: &M) -> Result<(), WorldError> {
    let dependencies = mount.dependencies();
    for variant in &plan.variants {
        if let Some(reason) = obstacle(variant, &dependencies) {
            return Err(WorldError::Clock {
                variant: variant.name.clone(),
                reason,
            });
        }
    }
    Ok(())
}

fn obstacle(variant: &Variant, dependencies: &BTreeMap<Dependency, String>) -> Option<String> {
    let scale = variant.orchestrator.as_ref().and_then(|o| o.scale.as_ref());
    let kinds = [
        ("replicas", variant.service.replicas),
        ("queue_workers", variant.service.workers),
        ("scale.max", scale.map_or(0, |scale| scale.max)),
    ];
    if let Some((key, asked)) = kinds.into_iter().find(|(_, asked)| *asked > MOST_CHILDREN) {
        return Some(format!(
            "{key} asks for {asked} processes, and the real clock starts at most {MOST_CHILDREN} of a kind; \
             write fewer, or run with --clock virtual"
        ));
    }
    let mut faults = variant.dependency_faults.iter();
    let cannot_be = faults.find(|fault| !dependencies.contains_key(&fault.dependency))?;
    if cannot_be.dependency == Dependency::Redis {
        return Some(
            "a [[dependency_fault]] is to cut processes off from their redis, and there is none; \
             name a server with --redis-url, or run with --clock virtual"
                .to_owned(),
        );
    }
    Some(format!(
        "a [[dependency_fault]] is to cut processes off from their {}, but SQLite is a part of them; \
         name a server with --database-url or --redis-url, or run with --clock virtual",
        cannot_be.dependency.name()
    ))
}
