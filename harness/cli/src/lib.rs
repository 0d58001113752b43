//! The `brownout` command: arguments, terminal, exit codes.
//!
//! In reading order: [`args`] (the command line), [`exit`] (what the exit code says), [`scenarios`] (files to plans), [`ablation`] (what has to be played to know what cures are worth),
//! [`commands`] (one file each), [`mount`] (the reference service, offered to the harness) with [`dependencies`] (its stores when they fail), `terminal` (progress).
//!
//! The only harness crate that prints, reads the environment or exits; nothing else is in it.

/// Writes a line to standard output. A reader that has gone (`| head`) is no reason to fail.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// Writes a line to standard error, likewise.
macro_rules! complain {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

pub mod ablation;
pub mod args;
pub mod built_in;
pub mod commands;
pub mod dependencies;
pub mod exit;
pub mod mount;
pub mod scenarios;
mod terminal;

use args::{Cli, Command};
use exit::Exit;

/// Version of the tool.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Hash of lock file, compiler and target: results are equal to the last byte within one engine.
pub const ENGINE: &str = env!("BROWNOUT_ENGINE");

/// Does what the command line says.
pub fn main(cli: Cli) -> Exit {
    match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Check(args) => commands::check::check(&args),
        Command::List(args) => commands::list::list(&args),
        Command::Compare { runs } => commands::compare::compare(&runs),
        Command::Baseline { run, write } => commands::baseline::write(&run, &write),
        Command::Gate { run, baseline } => commands::baseline::gate(&run, &baseline),
        Command::Fidelity(args) => commands::fidelity::fidelity(&args),
        Command::Report { run, out } => commands::report::report(&run, out.as_deref()),
        Command::Provider(args) => commands::provider::provider(&args),
        Command::Serve(args) => commands::serve::serve(&args),
        Command::Worker(args) => commands::serve::worker(&args),
    }
}
