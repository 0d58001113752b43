//! How well does one provider keep the pace of many streams at once, and what does a stream cost it?
//!
//! `streams [STREAMS] [TOKENS]`: starts `brownout provider`, opens 1,000 streams over one second, 500 tokens each at 50 a
//! second, and compares when each token had been read with when the script has it due. Fails if a token is lost. A late
//! token is no failure: how late is too late depends on the machine.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use brownout_benches::{Served, Spread, Stream, Usage, memory};
use brownout_scenario::units::PromptId;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// From one token of a stream to the next, in microseconds: 50 a second.
const GAP: u64 = 20_000;

/// All streams begin within this.
const RAMP: Duration = Duration::from_secs(1);

/// How much longer than planned it may take.
const GRACE: Duration = Duration::from_secs(30);

/// What can be asked for, at most.
const MOST: (u64, u64) = (8_000, 100_000);

/// One stream as its reader saw it.
struct Seen {
    prompt: u64,
    /// When each token had been read, in microseconds.
    tokens: Vec<u64>,
    ended: io::Result<()>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let asked: Option<Vec<u64>> = std::env::args().skip(1).map(|word| word.parse().ok()).collect();
    let (streams, tokens) = match asked.as_deref() {
        Some([]) => (1_000, 500),
        Some([streams]) => (*streams, 500),
        Some([streams, tokens]) => (*streams, *tokens),
        _ => (0, 0),
    };
    if !(1..=MOST.0).contains(&streams) || !(2..=MOST.1).contains(&tokens) {
        let _ = writeln!(
            io::stderr(),
            "streams [STREAMS, 1 to {}] [TOKENS, 2 to {}]",
            MOST.0,
            MOST.1
        );
        return ExitCode::from(2);
    }
    match run(streams, tokens).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays and reports; whether every stream was whole.
async fn run(streams: u64, tokens: u64) -> io::Result<bool> {
    let scratch = tempfile::tempdir()?;
    let (script, ledger) = (scratch.path().join("script.toml"), scratch.path().join("ledger.jsonl"));
    let text = format!(
        "[[provider]]\nname = \"primary\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"350ms\"\ninter_token = \"{GAP}us\"\n\
         output_tokens = {tokens}\n"
    );
    std::fs::write(&script, text)?;
    let (script, book) = (script.to_string_lossy(), ledger.to_string_lossy());
    let arguments = [
        "provider",
        "--listen",
        "127.0.0.1:0",
        "--script",
        &script,
        "--ledger",
        &book,
    ];
    let provider = Served::start("brownout", &arguments).await?;

    let (idle, _) = memory(provider.pid)?;
    let before = Usage::read(provider.pid)?;
    let planned = RAMP + Duration::from_micros(GAP * tokens);
    let seen = timeout(planned + GRACE, play(&provider.authority, streams)).await?;
    let after = Usage::read(provider.pid)?;
    let (_, largest) = memory(provider.pid)?;
    let last = provider.end().await?;

    let mut out = io::stdout();
    writeln!(
        out,
        "{streams} streams of {tokens} tokens, one every {GAP} us, begun over {RAMP:?}"
    )?;
    writeln!(out, "provider's last words: {last}")?;
    let whole = report(&mut out, &seen, tokens, &due_times(&ledger)?)?;
    let stream_seconds = (streams * (tokens - 1) * GAP) as f64 / 1e6;
    let used = after.provider - before.provider;
    writeln!(out, "{}", after.since(&before))?;
    writeln!(
        out,
        "provider: {:.2} ms of CPU per stream and second, {:.1} us per token",
        1e3 * used / stream_seconds,
        1e6 * used / (streams * tokens) as f64
    )?;
    writeln!(
        out,
        "provider's memory: {idle:.1} MiB idle, {largest:.1} MiB at its largest"
    )?;
    Ok(whole)
}

/// Opens the streams, evenly over the ramp, and reads each to its end.
async fn play(authority: &str, streams: u64) -> Vec<Seen> {
    let begin = Instant::now();
    let mut open = JoinSet::new();
    for prompt in 0..streams {
        let authority = authority.to_owned();
        open.spawn(async move {
            sleep_until(begin + RAMP.mul_f64(prompt as f64 / streams as f64)).await;
            let mut tokens = Vec::new();
            let ended = Stream::play(&authority, PromptId(prompt), &mut tokens).await;
            let since = |at: Instant| (at - begin).as_micros() as u64;
            Seen {
                prompt,
                tokens: tokens.into_iter().map(since).collect(),
                ended,
            }
        });
    }
    open.join_all().await
}

/// When the first token of each prompt was due, in the provider's time, and how many were handed over.
fn due_times(ledger: &Path) -> io::Result<BTreeMap<u64, (u64, u64)>> {
    let text = std::fs::read_to_string(ledger)?;
    let rows = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line)?;
        let figure = |name: &str| row[name].as_u64().unwrap_or_default();
        Ok((figure("prompt"), (figure("first_token"), figure("flushed"))))
    });
    rows.collect()
}

/// Tells how near the tokens came to their times; whether none was lost.
fn report(out: &mut impl Write, seen: &[Seen], tokens: u64, due: &BTreeMap<u64, (u64, u64)>) -> io::Result<bool> {
    let whole = seen
        .iter()
        .filter(|s| s.ended.is_ok() && s.tokens.len() as u64 == tokens)
        .count();
    let read: u64 = seen.iter().map(|s| s.tokens.len() as u64).sum();
    let handed: u64 = due.values().map(|(_, flushed)| flushed).sum();
    let lost = (seen.len() as u64 * tokens).saturating_sub(read);
    writeln!(
        out,
        "streams whole: {whole} of {}; tokens lost: {lost} (handed over {handed}, read {read})",
        seen.len()
    )?;
    if let Some((prompt, error)) = seen.iter().find_map(|s| Some((s.prompt, s.ended.as_ref().err()?))) {
        writeln!(out, "stream {prompt} broke off: {error}")?;
    }

    let (mut from_first, mut gaps, mut read_minus_due) = (Vec::new(), Vec::new(), Vec::new());
    for stream in seen {
        let drawn = |n: usize| n as u64 * GAP;
        let Some(first) = stream.tokens.first() else { continue };
        for (n, at) in stream.tokens.iter().enumerate().skip(1) {
            from_first.push(at.abs_diff(first + drawn(n)));
            gaps.push((at - stream.tokens[n - 1]).abs_diff(GAP));
        }
        if let Some((due, _)) = due.get(&stream.prompt) {
            let late = stream
                .tokens
                .iter()
                .enumerate()
                .map(|(n, at)| at.cast_signed() - (due + drawn(n)).cast_signed());
            read_minus_due.extend(late);
        }
    }
    // The two processes count from different moments: the most punctual token of all stands for a lateness of 0.
    let least = read_minus_due.iter().copied().min().unwrap_or_default();
    let late = read_minus_due.iter().map(|late| (late - least) as u64).collect();
    writeln!(
        out,
        "inter-token error, from the stream's first token: {}",
        Spread::of(from_first)
    )?;
    writeln!(
        out,
        "error of each gap:                                {}",
        Spread::of(gaps)
    )?;
    writeln!(
        out,
        "late against the drawn schedule:                  {}",
        Spread::of(late)
    )?;
    Ok(whole == seen.len() && lost == 0 && handed == read)
}
