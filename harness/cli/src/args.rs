//! The command line, as clap reads it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Benchmark and resilience experiments for services that call LLMs.
#[derive(Debug, Parser)]
#[command(name = "brownout", version, about = ABOUT, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    /// What to do.
    pub command: Command,
}

const ABOUT: &str = "\
What do your users and your invoice get when the LLM provider has a bad day?
Plays scripted scenarios against a service that calls LLMs, and turns them into a verdict, plots and an exit code.";

const EXIT_CODES: &str = "\
Exit codes: 0 pass, 1 unexpected, 2 usage, 100 an expectation failed, 102 scenario invalid, 103 service did not start,
104 provider did not start, 105 interrupted (what was measured is written), 106 run invalid, 107 inconclusive,
108 worse than baseline.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play scenarios; without one: the headline suite on the virtual clock, then a spot check on the real one
    Run(RunArgs),
    /// Validate scenarios; print the resolved plans and their fingerprints
    Check(CheckArgs),
    /// List the scenarios and their questions
    List(ScenarioArgs),
    /// Show finished runs side by side
    Compare {
        /// Run folders, suite folders or run.json files
        #[arg(required = true)]
        runs: Vec<PathBuf>,
    },
    /// Write a run's figures as a baseline
    Baseline {
        /// Run folder, suite folder or run.json
        run: PathBuf,
        /// The baseline: a .json file, or a folder that gets one file per scenario
        #[arg(long)]
        write: PathBuf,
    },
    /// Judge a run against a baseline: exact on the virtual clock
    Gate {
        /// Run folder, suite folder or run.json
        run: PathBuf,
        /// The baseline: a .json file, or a folder with one file per scenario
        #[arg(long)]
        baseline: PathBuf,
    },
    /// Play a scenario on both clocks and print how far they differ
    Fidelity(FidelityArgs),
    /// Redraw a report from its record
    Report {
        /// Run folder, suite folder or run.json
        run: PathBuf,
        /// Where to write; default: the run's own folder
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Serve a simulated provider on its own
    Provider(Box<ProviderArgs>),
    /// Run the reference service
    Serve(ServeArgs),
    /// Run a queue worker of the reference service
    Worker(WorkerArgs),
}

/// Which clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// Exact, in one process, in a fraction of the time
    Virtual,
    /// Child processes, sockets, real time
    Real,
}

/// Arguments of commands that read scenarios.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Scenario files or folders; default: the five that are built in
    pub scenarios: Vec<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct RunArgs {
    /// Scenario files or folders; default: the headline suite and a spot check
    pub scenarios: Vec<PathBuf>,
    /// The clock to play on
    #[arg(long, value_enum, default_value = "virtual")]
    pub clock: Clock,
    /// Play only this variant (repeatable)
    #[arg(long)]
    pub variant: Vec<String>,
    /// Play every cure alone and everything but it too, and draw what each is worth: between the variants naive and
    /// resilient, or the first and the last
    #[arg(long)]
    pub ablate: bool,
    /// Root of every draw; default: the scenario's own
    #[arg(long)]
    pub seed: Option<u64>,
    /// Ask every process of the service for its metrics that often, such as 5s; default: as the scenario says
    #[arg(long, value_name = "EVERY")]
    pub scrape: Option<String>,
    /// Where to write; default: a folder named by the time, under reports/runs
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Print the record (several scenarios: the records) as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors (and the JSON, if asked for)
    #[arg(long)]
    pub quiet: bool,
    /// Leave the real-clock spot check of the headline suite out
    #[arg(long)]
    pub no_spot_check: bool,
    /// Real clock: the service's data in this database, postgres://... (a schema of its own per variant, which stays);
    /// default: SQLite
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Real clock: the service's queue in this Redis, redis://... (keys of its own per variant, which stay)
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Scenario files or folders; default: the five that are built in
    pub scenarios: Vec<PathBuf>,
    /// Print the resolved plans as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `fidelity`.
#[derive(Debug, Args)]
pub struct FidelityArgs {
    /// A scenario file, or the name of one that is built in
    pub scenario: PathBuf,
    /// Play only the beginning, such as 15s
    #[arg(long)]
    pub first: Option<String>,
    /// Play only this variant (repeatable)
    #[arg(long)]
    pub variant: Vec<String>,
    /// Root of every draw; default: the scenario's own
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where to write both records; default: nowhere
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Arguments of `provider`.
#[derive(Debug, Args)]
pub struct ProviderArgs {
    /// The wire format; default: openai, or what the file says
    #[arg(long, value_enum)]
    pub dialect: Option<DialectArg>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8089")]
    pub listen: SocketAddr,
    /// The model served; default: a small one of the dialect's
    #[arg(long, conflicts_with_all = ["scenario", "script"])]
    pub model: Option<String>,
    /// What goes wrong: the name of a built-in profile, such as bad-day
    #[arg(long, conflicts_with_all = ["scenario", "script"])]
    pub profile: Option<String>,
    /// How fast it is: the name of a built-in class of models
    #[arg(long, conflicts_with_all = ["scenario", "script"])]
    pub model_class: Option<String>,
    /// Take the provider from this file of provider blocks
    #[arg(long, conflicts_with = "scenario")]
    pub script: Option<PathBuf>,
    /// Take the provider from this scenario
    #[arg(long)]
    pub scenario: Option<PathBuf>,
    /// Which of the file's providers; default: the first
    #[arg(long)]
    pub name: Option<String>,
    /// Which of the scenario's variants; default: the first
    #[arg(long, requires = "scenario")]
    pub variant: Option<String>,
    /// Root of every draw; default: the file's own, or 1
    #[arg(long)]
    pub seed: Option<u64>,
    /// Write the ledger there, as JSON lines, each when its attempt has ended
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// Serve ledger and script on a listener of their own, behind a token that is printed (loopback only)
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub control: Option<SocketAddr>,
    /// Pass every request on to --upstream, and store answers and timings there (keys are stripped)
    #[arg(long, value_name = "FILE", requires = "upstream", conflicts_with_all = ["replay", "script", "scenario", "ledger", "control", "dialect", "model", "profile", "model_class"])]
    pub record: Option<PathBuf>,
    /// The real provider's base URL, scheme and host
    #[arg(long, value_name = "URL", requires = "record")]
    pub upstream: Option<String>,
    /// Give the answers that were recorded there, at their timings
    #[arg(long, value_name = "FILE", conflicts_with_all = ["script", "scenario", "ledger", "control", "dialect", "model", "profile", "model_class"])]
    pub replay: Option<PathBuf>,
}

/// Wire formats of simulated providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// OpenAI Chat Completions
    Openai,
    /// Anthropic Messages
    Anthropic,
    /// Gemini generateContent and streamGenerateContent
    Gemini,
    /// Ollama /api/chat
    Ollama,
}

/// Forms of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line, with trace_id, span_id, request_id and tenant
    Json,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Settings file (TOML); environment variables BROWNOUT_SERVICE__... override it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Only check the settings, and print what would run
    #[arg(long)]
    pub check: bool,
    /// Only ask the service that runs at --listen already for this path; ends with 0 if the answer is a 2xx
    #[arg(long, value_name = "PATH", conflicts_with = "check")]
    pub probe: Option<String>,
    /// Only read a key from standard input and print its SHA-256, for `keys` in the settings
    #[arg(long, conflicts_with = "check")]
    pub hash_key: bool,
    /// How the log on standard error is written
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// End when standard input closes
    #[arg(long, hide = true)]
    pub lifeline: bool,
    /// Root of the service's own draws
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Arguments of `worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Settings file (TOML); environment variables BROWNOUT_SERVICE__... override it
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The worker's name; must be unique
    #[arg(long)]
    pub name: Option<String>,
    /// Where to answer /livez, /readyz and /metrics; default: nowhere
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// How the log on standard error is written
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// End when standard input closes
    #[arg(long, hide = true)]
    pub lifeline: bool,
    /// Root of the worker's own draws
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}
