//! What does a unary request cost a provider that stands alone, and does its memory stay flat?
//!
//! `unary streaming|wiremock [REQUESTS]`: starts a provider on that engine, its ledger written to a file, and asks a
//! million distinct prompts of it over 16 connections that are kept. Fails if an answer is wrong, or if the provider's
//! memory at the end is more than a fifth above that after a tenth of the requests.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brownout_benches::{Connection, Served, Usage, memory};
use brownout_scenario::units::PromptId;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Tokens of an answer.
const TOKENS: u64 = 20;

/// Callers at a time.
const CONNECTIONS: usize = 16;

/// Parts of the load; memory is read after each.
const PARTS: u64 = 10;

/// Each part ends within this.
const PART_WITHIN: Duration = Duration::from_mins(10);

/// What can be asked for, at most.
const MOST: u64 = 100_000_000;

/// A ledger that stands alone keeps so many rows; until it has them, memory grows and says nothing.
const KEPT_ROWS: u64 = 65_536;

/// How much larger than after the first part memory may be at the end.
const MAY_GROW: f64 = 0.20;

#[derive(Debug, Clone, Copy)]
enum Engine {
    Streaming,
    Wiremock,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let engine = match words.first() {
        Some(&"streaming") => Some(Engine::Streaming),
        Some(&"wiremock") => Some(Engine::Wiremock),
        _ => None,
    };
    let requests = match words.get(1..) {
        Some([]) => Some(1_000_000),
        Some([count]) => count.parse().ok().filter(|count| (PARTS..=MOST).contains(count)),
        _ => None,
    };
    let (Some(engine), Some(requests)) = (engine, requests) else {
        let _ = writeln!(io::stderr(), "unary streaming|wiremock [REQUESTS, {PARTS} to {MOST}]");
        return ExitCode::from(2);
    };
    match run(engine, requests).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays and reports; whether memory stayed flat.
async fn run(engine: Engine, requests: u64) -> io::Result<bool> {
    let scratch = tempfile::tempdir()?;
    let (script, ledger) = (scratch.path().join("script.toml"), scratch.path().join("ledger.jsonl"));
    let text = format!(
        "[[provider]]\nname = \"primary\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"0ms\"\ninter_token = \"0ms\"\n\
         output_tokens = {TOKENS}\n"
    );
    std::fs::write(&script, text)?;
    let (script, ledger) = (script.to_string_lossy(), ledger.to_string_lossy());
    let arguments = [
        "provider",
        "--listen",
        "127.0.0.1:0",
        "--script",
        &script,
        "--ledger",
        &ledger,
    ];
    let provider = match engine {
        Engine::Streaming => Served::start("brownout", &arguments).await?,
        Engine::Wiremock => Served::start("wiremock-engine", &[&script, &ledger]).await?,
    };

    let mut out = io::stdout();
    writeln!(
        out,
        "{engine:?} engine: {requests} unary requests of {TOKENS} tokens over {CONNECTIONS} connections"
    )?;
    writeln!(out, "memory before the first: {:.1} MiB", memory(provider.pid)?.0)?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(&provider.authority).await?);
    }
    let before = Usage::read(provider.pid)?;
    let next = Arc::new(AtomicU64::new(0));
    let mut readings = Vec::new();
    for part in 1..=PARTS {
        let until = requests * part / PARTS;
        connections = timeout(PART_WITHIN, play(connections, &next, until)).await??;
        let (resident, largest) = memory(provider.pid)?;
        writeln!(
            out,
            "memory after {until}: {resident:.1} MiB (largest so far {largest:.1} MiB)"
        )?;
        readings.push(resident);
    }
    let after = Usage::read(provider.pid)?;
    drop(connections);
    let last = provider.end().await?;

    writeln!(out, "provider's last words: {last}")?;
    writeln!(
        out,
        "{:.0} requests a second, {:.1} us of the provider's CPU per request",
        requests as f64 / after.wall(&before),
        1e6 * (after.provider - before.provider) / requests as f64
    )?;
    writeln!(out, "{}", after.since(&before))?;
    let grown = match readings.as_slice() {
        [first, .., last] => last / first - 1.0,
        _ => 0.0,
    };
    let judged = requests / PARTS > KEPT_ROWS;
    let (flat, entered) = (
        grown <= MAY_GROW,
        last.starts_with(&format!("{requests} attempts (0 failed")),
    );
    let verdict = match (judged, flat) {
        (false, _) => "not judged, the ledger was still filling after a tenth",
        (true, true) => "flat",
        (true, false) => "NOT FLAT",
    };
    writeln!(
        out,
        "from a tenth of the requests to all of them memory changed by {:+.1} %: {verdict}",
        100.0 * grown
    )?;
    if !entered {
        writeln!(out, "THE LEDGER does not have {requests} attempts without a failure")?;
    }
    Ok((flat || !judged) && entered)
}

/// Asks one prompt after the other over every connection, until `until` have been asked in all.
async fn play(connections: Vec<Connection>, next: &Arc<AtomicU64>, until: u64) -> io::Result<Vec<Connection>> {
    let mut asking = JoinSet::new();
    for mut connection in connections {
        let next = Arc::clone(next);
        asking.spawn(async move {
            let mine = || next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < until).then_some(n + 1));
            while let Ok(prompt) = mine() {
                connection.ask(PromptId(prompt), TOKENS).await?;
            }
            Ok(connection)
        });
    }
    asking.join_all().await.into_iter().collect()
}
