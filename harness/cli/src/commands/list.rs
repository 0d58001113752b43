//! `brownout list`: the scenarios and their questions.

use crate::args::ScenarioArgs;
use crate::exit::Exit;
use crate::scenarios;

/// Runs the command.
pub fn list(args: &ScenarioArgs) -> Exit {
    let loaded = if args.scenarios.is_empty() {
        scenarios::load_built_in()
    } else {
        scenarios::load(&args.scenarios)
    };
    match loaded {
        Ok(scenarios) => {
            for scenario in scenarios {
                say!("{:24} {}", scenario.plan.scenario, scenario.plan.question);
            }
            Exit::Pass
        }
        Err(error) => {
            error.print();
            Exit::ScenarioInvalid
        }
    }
}
