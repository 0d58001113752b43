//! `kill -9`, twenty times: a service, two workers and a provider as processes, jobs coming in, and one of the service's
//! processes killed at a random moment and started again. Whatever keeps the queue, each job that was accepted ends once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "it waits for processes, which live in real time"
)]
#![cfg(unix)]

#[path = "../../../service/tests/support/servers.rs"]
mod servers;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brownout_service::{Settings, Stores};
use serde_json::Value;
use servers::Server;

/// Kills of each test.
const KILLS: u64 = 20;
/// Root of the moments and victims.
const SEED: u64 = 9;
/// Tokens of every answer: a job that is run again gets as many.
const TOKENS: u64 = 7;

/// Whose sessions these are: no key is asked for.
const CALLER: &str = "anonymous";

/// A process that says when it is ready, and is gone when this is.
struct Process {
    child: Child,
    ready: String,
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_brownout"))
            .args(args)
            .env("BROWNOUT_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        assert!(!ready.is_empty(), "{args:?} ended before it was ready");
        Self {
            child,
            ready,
            _stdout: stdout,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: it gets no chance to tidy up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next number of a sequence that looks like chance (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Sends a request on a connection of its own; `None` if the answer did not come whole.
fn ask(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(15))).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: s\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// What a service needs, without the service.
struct World {
    _folder: tempfile::TempDir,
    config: PathBuf,
    address: String,
    _provider: Process,
}

impl World {
    fn new(stores: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("provider.toml");
        let provider = format!(
            "[[provider]]\nname = \"p\"\ndialect = \"openai\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"150ms\"\n\
             inter_token = \"20ms\"\noutput_tokens = {TOKENS}\n"
        );
        std::fs::write(&script, provider).unwrap();
        let script = script.to_str().unwrap();
        let provider = Process::start(&["provider", "--script", script, "--listen", "127.0.0.1:0"]);
        let base_url = provider.ready.split_whitespace().nth(2).unwrap().to_owned();
        let config = folder.path().join("service.toml");
        let stores = stores.replace("FOLDER", folder.path().to_str().unwrap());
        // A kill spends an attempt of what was running; the lease is short so that the test is.
        let settings = format!(
            "design = \"queued\"\n{stores}\n[database]\npool = 4\n\
             [jobs]\nlease = \"1500ms\"\nheartbeat = \"300ms\"\npoll = \"50ms\"\nmax_attempts = 50\nconcurrency = 6\n\
             [[providers]]\nname = \"p\"\nmodel = \"gpt-4o-mini\"\nbase_url = \"{base_url}\"\napi_key = \"simulated\"\n"
        );
        std::fs::write(&config, settings).unwrap();
        Self {
            _folder: folder,
            config,
            address: free_address(),
            _provider: provider,
        }
    }

    /// The service, or one of its workers.
    fn start(&self, role: usize, incarnation: u64) -> Process {
        let config = self.config.to_str().unwrap();
        let name = format!("worker-{role}-{incarnation}");
        match role {
            0 => Process::start(&["serve", "--lifeline", "--config", config, "--listen", &self.address]),
            _ => Process::start(&["worker", "--lifeline", "--config", config, "--name", &name]),
        }
    }
}

/// Hands jobs in until it is told to stop: the id of each that was accepted, by its number.
fn hand_in(address: &str, stop: &AtomicBool) -> BTreeMap<u64, String> {
    let mut accepted = BTreeMap::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let body = format!(r#"{{"session_id":"s-{n}","messages":[{{"role":"user","content":"question {n}"}}]}}"#);
        if let Some((202, job)) = ask(address, "POST", "/jobs", &body) {
            accepted.insert(n, job["id"].as_str().unwrap().to_owned());
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    accepted
}

/// Kills one of the processes at a random moment, and starts another in its place, twenty times.
fn kill(world: &World, processes: &mut [Process; 3]) {
    let mut state = SEED;
    for kill in 1..=KILLS {
        std::thread::sleep(Duration::from_millis(150 + next(&mut state) % 700));
        let victim = (next(&mut state) % 3) as usize;
        let _ = processes[victim].child.kill();
        let _ = processes[victim].child.wait();
        processes[victim] = world.start(victim, kill);
    }
}

/// Asks for a job until it has its outcome.
fn outcome(address: &str, id: &str, patience: Instant) -> Value {
    loop {
        if let Some((200, job)) = ask(address, "GET", &format!("/jobs/{id}"), "")
            && !matches!(job["status"].as_str(), Some("queued" | "running"))
        {
            return job;
        }
        assert!(Instant::now() < patience, "job {id} does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is written down agrees with what was answered: each job once, with its tokens, and nothing is left over.
async fn agrees(settings: &Settings, accepted: &BTreeMap<u64, String>) {
    let stores = Stores::open(settings).await.unwrap();
    let depth = stores.jobs.depth(0).await.unwrap();
    assert_eq!((depth.queued, depth.running), (0, 0));
    let mut connection = stores.database.acquire().await.unwrap();
    for n in accepted.keys() {
        let session = connection.session(&format!("{CALLER}/s-{n}")).await.unwrap();
        assert_eq!((session.answers, session.completion_tokens), (1, TOKENS), "job {n}");
    }
    // A job whose acceptance was lost on the way to the client may have run. Once, too.
    for n in 1..=accepted.keys().last().copied().unwrap_or_default() {
        let session = connection.session(&format!("{CALLER}/s-{n}")).await.unwrap();
        assert!(session.answers <= 1, "job {n}: {session:?}");
    }
}

fn survives(stores: &str) {
    let world = World::new(stores);
    let mut processes = [0, 1, 2].map(|role| world.start(role, 0));
    let stop = AtomicBool::new(false);
    let accepted = std::thread::scope(|scope| {
        let submitting = scope.spawn(|| hand_in(&world.address, &stop));
        kill(&world, &mut processes);
        stop.store(true, Ordering::Relaxed);
        submitting.join().unwrap()
    });
    assert!(accepted.len() > 50, "only {} jobs were accepted", accepted.len());
    let patience = Instant::now() + Duration::from_secs(30);
    for id in accepted.values() {
        let job = outcome(&world.address, id, patience);
        assert_eq!(job["status"], "succeeded", "{job}");
        assert_eq!(job["result"]["usage"]["completion_tokens"], TOKENS, "{job}");
    }
    drop(processes);
    let settings = Settings::load(Some(&world.config), []).unwrap();
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(agrees(&settings, &accepted));
}

#[test]
fn no_job_is_lost_or_done_twice_on_sqlite() {
    survives("database_url = \"sqlite:FOLDER/service.db\"");
}

#[test]
fn no_job_is_lost_or_done_twice_on_postgres() {
    let Some(server) = Server::postgres() else { return };
    let url = server.postgres_url("brownout", "postgres");
    survives(&format!("database_url = \"{url}\"\nnamespace = \"killed\""));
}

#[test]
fn no_job_is_lost_or_done_twice_on_redis() {
    let Some(server) = Server::redis() else { return };
    let url = server.redis_url();
    survives(&format!(
        "database_url = \"sqlite:FOLDER/service.db\"\nredis_url = \"{url}\"\nqueue = \"redis\""
    ));
}
