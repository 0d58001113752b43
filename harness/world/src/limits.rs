//! What the real clock cannot play of a plan, found before anything is started.

use brownout_scenario::plan::{Plan, Variant};

use crate::error::WorldError;

/// Child processes of one kind: each is an instance of its own with its own threads and pools.
const MOST_CHILDREN: u32 = 16;

/// An error for the first variant that asks for what child processes on one machine do not have.
pub(crate) fn playable_in_real_time(plan: &Plan) -> Result<(), WorldError> {
    for variant in &plan.variants {
        if let Some(reason) = obstacle(variant) {
            return Err(WorldError::Clock {
                variant: variant.name.clone(),
                reason,
            });
        }
    }
    Ok(())
}

fn obstacle(variant: &Variant) -> Option<String> {
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
    if variant.dependency_faults.is_empty() {
        return None;
    }
    Some(
        "its [[dependency_fault]] cannot cut a process off from SQLite, which is a part of it; run with --clock virtual"
            .to_owned(),
    )
}
