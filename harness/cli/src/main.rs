//! The `brownout` command.

use clap::Parser;

fn main() -> std::process::ExitCode {
    brownout::main(brownout::args::Cli::parse()).into()
}
