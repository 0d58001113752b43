//! `brownout serve` and `brownout worker`: the reference service as processes of their own.

use std::path::Path;

use brownout_net::Listener;
use brownout_service::settings::{Auth, Digest, Secrets, Settings};
use brownout_service::{Clock, Ports, Stores, WorkerPorts, upstream};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::fail;
use super::play::wait_for_signal;
use super::probe::probe;
use crate::args::{LogFormat, ServeArgs, WorkerArgs};
use crate::exit::Exit;

/// Shortest key that is taken, in characters: one that is guessed is not protected by its sum.
const SHORTEST_KEY: usize = 16;

/// Serves until SIGTERM, Ctrl-C, or the end of its lifeline.
pub fn serve(args: &ServeArgs) -> Exit {
    if let Some(path) = &args.probe {
        return probe(args.listen, path);
    }
    if args.hash_key {
        return hash_key();
    }
    let settings = match load(args.config.as_deref()) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    if args.check {
        say!("{}", summary(&settings));
        return Exit::Pass;
    }
    in_runtime(args.log_format, async {
        let shutdown = shutdown(args.lifeline);
        let listener = match Listener::bind(args.listen) {
            Ok(listener) => listener,
            Err(error) => {
                let message = format!(
                    "cannot listen on {}: {error}\nname a free address with --listen",
                    args.listen
                );
                return fail(Exit::ServiceNotStarted, &message);
            }
        };
        let (stores, upstream) = match parts(&settings).await {
            Ok(parts) => parts,
            Err(exit) => return exit,
        };
        // A line of its own that whoever started this process waits for.
        say!("listening on {}", listener.authority());
        let ports = Ports {
            listener,
            upstream,
            stores,
            clock: Clock::real(),
            seed: args.seed,
            shutdown,
        };
        ended(brownout_service::run(settings, ports).await)
    })
}

/// Works on queued jobs until SIGTERM, Ctrl-C, or the end of its lifeline.
pub fn worker(args: &WorkerArgs) -> Exit {
    let settings = match load(args.config.as_deref()) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    in_runtime(args.log_format, async {
        let shutdown = shutdown(args.lifeline);
        let (stores, upstream) = match parts(&settings).await {
            Ok(parts) => parts,
            Err(exit) => return exit,
        };
        let listener = match args.listen.map(Listener::bind).transpose() {
            Ok(listener) => listener,
            Err(error) => {
                let message = format!("the worker cannot listen: {error}\nname a free address with --listen");
                return fail(Exit::ServiceNotStarted, &message);
            }
        };
        say!("working");
        let name = args
            .name
            .clone()
            .unwrap_or_else(|| format!("worker-{}", std::process::id()));
        let ports = WorkerPorts {
            upstream,
            stores,
            clock: Clock::real(),
            seed: args.seed,
            shutdown,
            name,
        };
        ended(brownout_service::watched_worker(settings, ports, listener).await)
    })
}

fn load(config: Option<&Path>) -> Result<Settings, Exit> {
    // One that is no UTF-8 is none of ours.
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = Settings::load(config, env).map_err(|error| fail(Exit::Usage, &error))?;
    if settings.providers.is_empty() {
        let message = "the settings name no provider: add a [[providers]] block, as in service/example.toml";
        return Err(fail(Exit::Usage, &message));
    }
    Ok(settings)
}

/// What would run: the settings as they are after file, environment and preset, without anything secret.
fn summary(settings: &Settings) -> String {
    let providers: Vec<&str> = settings.providers.iter().map(|p| p.name.as_str()).collect();
    let enabled = settings.keys.iter().filter(|key| !key.disabled).count();
    let callers = match settings.auth {
        Auth::Off => "anybody".to_owned(),
        Auth::Required => format!("{enabled} of {} keys", settings.keys.len()),
    };
    format!(
        "the settings are good\n# providers: {}; callers: {callers}\n{}",
        providers.join(", then "),
        settings.to_toml(Secrets::Excluded).trim_end()
    )
}

/// Reads a key from standard input and prints its sum, the only form in which the service knows it. Not from the command
/// line: that is kept in histories and shown to whoever lists processes.
fn hash_key() -> Exit {
    let mut line = String::new();
    if let Err(error) = std::io::stdin().read_line(&mut line) {
        return fail(
            Exit::Usage,
            &format!("the key cannot be read from standard input: {error}"),
        );
    }
    let key = line.trim();
    if key.len() < SHORTEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!(
            "write a key of at least {SHORTEST_KEY} printable characters to standard input; `openssl rand -hex 32` makes one"
        );
        return fail(Exit::Usage, &message);
    }
    say!("{}", Digest::of(key.as_bytes()).to_hex());
    Exit::Pass
}

async fn parts(settings: &Settings) -> Result<(Stores, std::sync::Arc<dyn upstream::Upstream>), Exit> {
    let stores = Stores::open(settings)
        .await
        .map_err(|e| fail(Exit::ServiceNotStarted, &e))?;
    let upstream = upstream::reqwest(settings).map_err(|e| fail(Exit::ServiceNotStarted, &e))?;
    Ok((stores, upstream))
}

fn ended(result: Result<(), brownout_service::ServiceError>) -> Exit {
    match result {
        Ok(()) => Exit::Pass,
        Err(error) => fail(Exit::ServiceNotStarted, &error),
    }
}

/// Logs go to standard error: of the service from info up, of everything else from warnings up, unless BROWNOUT_LOG says
/// otherwise (`BROWNOUT_LOG=debug`).
fn start_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BROWNOUT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,brownout_service=info"));
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    // Somebody who embeds this library may have set up logging already; theirs stays.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
    };
}

fn in_runtime(format: LogFormat, work: impl Future<Output = Exit>) -> Exit {
    start_logging(format);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            // A thread that is still reading standard input must not keep the process.
            runtime.shutdown_background();
            exit
        }
        Err(error) => fail(Exit::Unexpected, &error),
    }
}

/// A token that is cancelled by a signal, or by the end of standard input for a process on a lifeline. A second signal ends
/// the process at once.
fn shutdown(lifeline: bool) -> CancellationToken {
    let token = CancellationToken::new();
    let on_signal = token.clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        on_signal.cancel();
        wait_for_signal().await;
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    if lifeline {
        let on_end = token.clone();
        tokio::spawn(async move {
            let mut sink = [0; 64];
            let mut stdin = tokio::io::stdin();
            while stdin.read(&mut sink).await.is_ok_and(|n| n > 0) {}
            on_end.cancel();
        });
    }
    token
}
