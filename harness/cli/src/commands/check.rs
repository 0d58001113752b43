//! `brownout check`: validates scenarios, prints what would be played.

use brownout_scenario::Plan;
use brownout_scenario::schedule::due_times;

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
    let plans: Vec<_> = scenarios.iter().map(|s| &s.plan).collect();
    if args.json {
        say!("{}", serde_json::to_string_pretty(&plans).unwrap_or_default());
    } else {
        for plan in &plans {
            say!("{}", in_words(plan));
        }
    }
    for plan in plans.iter().filter(|plan| plan.expectations.is_empty()) {
        complain!(
            "warning: {} expects nothing, so it passes whatever happens: add [[expect]] with metric and at_most or at_least",
            plan.scenario
        );
    }
    Exit::Pass
}

/// What would be played.
fn in_words(plan: &Plan) -> String {
    let warmup = if plan.warmup.0 == 0 {
        "no warm-up".to_owned()
    } else {
        format!("of which the first {} are warm-up", plan.warmup)
    };
    let mut lines = vec![
        format!("{}  {}", plan.scenario, &plan.fingerprint()[..16]),
        format!("  {}", plan.question),
        format!("  seed {}, {}, {warmup}", plan.seed, plan.duration),
    ];
    lines.extend(plan.variants.iter().map(|variant| {
        let due = due_times(plan, &variant.load).map(|due| counted(due.len(), "request"));
        format!(
            "  {:24} {:12} {}, {}",
            variant.name,
            variant.service.design,
            due.unwrap_or_else(|| "closed arrivals".to_owned()),
            counted(variant.providers.len(), "provider")
        )
    }));
    lines.push(format!("  {}", counted(plan.expectations.len(), "expectation")));
    lines.join("\n")
}

/// `1 provider`, `2 providers`.
fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use brownout_scenario::Scenario;

    use super::*;

    #[test]
    fn what_would_be_played_is_said_in_words_that_agree_with_their_numbers() {
        let words = |top: &str| {
            let text = format!(
                "question = \"?\"\nduration = \"9s\"\n{top}\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n\
                 [load]\narrivals = {{ kind = \"constant\", rate = \"1/s\" }}\n[[variant]]\nname = \"v\""
            );
            in_words(
                &Scenario::parse("x.toml", &text)
                    .map_err(|e| e.to_string())
                    .unwrap()
                    .plan,
            )
        };
        let cold = words("");
        assert!(cold.contains("9s, no warm-up\n"), "{cold}");
        assert!(cold.contains("9 requests, 1 provider\n"), "{cold}");
        assert!(cold.ends_with("  0 expectations"), "{cold}");
        let warm = words("warmup = \"1s\"");
        assert!(warm.contains("9s, of which the first 1s are warm-up"), "{warm}");
    }
}
