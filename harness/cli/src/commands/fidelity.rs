//! `brownout fidelity`: the virtual clock held against the real one.

use brownout_scenario::units::Micros;

use super::fail;
use super::play::Player;
use super::run::{agrees, both_clocks, print_fidelity};
use crate::args::FidelityArgs;
use crate::exit::Exit;
use crate::scenarios;

/// Runs the command.
pub fn fidelity(args: &FidelityArgs) -> Exit {
    let mut scenarios = match scenarios::load(std::slice::from_ref(&args.scenario)) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            error.print();
            return Exit::ScenarioInvalid;
        }
    };
    let player = Player::new(false);
    let mut exit = Exit::Pass;
    for scenario in &mut scenarios {
        if let Some(seed) = args.seed {
            scenario.plan.seed = seed;
        }
        if !args.variant.is_empty() {
            match scenario.plan.only(&args.variant) {
                Some(plan) => scenario.plan = plan,
                None => return fail(Exit::Usage, &format!("{} has no such variant", scenario.plan.scenario)),
            }
        }
        let length: Micros = match args.first.as_deref().map(str::parse).transpose() {
            Ok(Some(Micros::ZERO)) => return fail(Exit::Usage, &"--first 0s plays nothing: name a longer beginning"),
            Ok(length) => length.unwrap_or(scenario.plan.duration),
            Err(error) => return fail(Exit::Usage, &error),
        };
        match both_clocks(scenario, length, &args.variant, &player, args.out.as_ref()) {
            Ok(report) => {
                print_fidelity(&report);
                exit = exit.or_worse(if agrees(&report) {
                    Exit::Pass
                } else {
                    Exit::ExpectationFailed
                });
            }
            Err(failed) => exit = exit.or_worse(failed),
        }
    }
    exit
}
