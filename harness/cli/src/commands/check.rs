//! `brownout check`: validates scenarios, prints what would be played.

use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::scenarios;

/// Runs the command.
pub fn check(args: &CheckArgs) -> Exit {
    let scenarios = match scenarios::load(&args.scenarios) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            error.print();
            return Exit::ScenarioInvalid;
        }
    };
    if args.json {
        let plans: Vec<_> = scenarios.iter().map(|s| &s.plan).collect();
        say!("{}", serde_json::to_string_pretty(&plans).unwrap_or_default());
        return Exit::Pass;
    }
    for scenario in &scenarios {
        let plan = &scenario.plan;
        say!("{}  {}", plan.scenario, &plan.fingerprint()[..16]);
        say!("  {}", plan.question);
        say!(
            "  seed {}, {}, of which the first {} are warm-up",
            plan.seed,
            plan.duration,
            plan.warmup
        );
        for variant in &plan.variants {
            let due = brownout_scenario::schedule::due_times(plan, &variant.load);
            let due = due.map_or("closed arrivals".to_owned(), |due| format!("{} requests", due.len()));
            say!(
                "  {:24} {:12} {due}, {} providers",
                variant.name,
                variant.service.design,
                variant.providers.len()
            );
        }
        say!("  {} expectations", plan.expectations.len());
    }
    Exit::Pass
}
