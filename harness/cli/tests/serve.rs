//! The service as a process: what it says of its settings, and how it ends when it is told to.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "it waits for processes, which live in real time"
)]
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn brownout(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process that is killed with its test, and the address that it prints.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("127.0.0.1:")?;
            let port: String = address.chars().take_while(char::is_ascii_digit).collect();
            Some(format!("127.0.0.1:{port}"))
        });
        // Whatever it prints later finds a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.unwrap();
        Self { child, address }
    }

    fn signal(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// The exit code, and how long it took to come.
    fn ended(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let status = self.child.wait().unwrap();
        (status.code(), began.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A provider whose streams last some seconds, and a service in front of it.
fn world(service: &str) -> (Running, Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("provider.toml");
    let provider = "[[provider]]\nname = \"a\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"20ms\"\ninter_token = \"50ms\"\n\
                    output_tokens = 40\n";
    std::fs::write(&script, provider).unwrap();
    let script = script.to_str().unwrap();
    let provider = Running::start(&mut brownout(&[
        "provider",
        "--listen",
        "127.0.0.1:0",
        "--script",
        script,
    ]));
    let config = folder.path().join("service.toml");
    let database = folder.path().join("service.db");
    let settings = format!(
        "database_path = \"{}\"\n{service}\n[[providers]]\nname = \"a\"\nbase_url = \"http://{}/v1\"\n\
         model = \"gpt-4o-mini\"\napi_key = \"simulated\"\n",
        database.display(),
        provider.address
    );
    std::fs::write(&config, settings).unwrap();
    let config = config.to_str().unwrap();
    let service = Running::start(&mut brownout(&["serve", "--listen", "127.0.0.1:0", "--config", config]));
    (provider, service, folder)
}

/// Begins a stream, and hands the connection back when its first token is here.
fn stream(service: &Running) -> TcpStream {
    let mut connection = TcpStream::connect(&service.address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let question = r#"{"messages":[{"role":"user","content":"[prompt 1] hello"}],"max_tokens":40}"#;
    let length = question.len();
    write!(
        connection,
        "POST /chat/stream HTTP/1.1\r\nhost: service\r\ncontent-length: {length}\r\n\r\n{question}"
    )
    .unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 1024]);
    while !seen.contains("event: delta") {
        let n = connection.read(&mut buffer).unwrap();
        assert!(n > 0, "{seen}");
        seen.push_str(&text(&buffer[..n]));
        assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    }
    connection
}

fn rest(mut connection: TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = connection.read_to_end(&mut rest);
    text(&rest)
}

#[test]
fn sigterm_lets_streams_finish_and_ends_with_0() {
    let (_provider, service, _folder) = world("preset = \"resilient\"");
    let streams: Vec<TcpStream> = (0..5).map(|_| stream(&service)).collect();
    service.signal();
    for answer in streams.into_iter().map(rest) {
        assert!(answer.contains("event: done"), "{answer}");
    }
    assert_eq!(service.ended().0, Some(0));
}

#[test]
fn sigterm_cuts_the_streams_of_a_naive_service() {
    let (_provider, service, _folder) = world("preset = \"naive\"");
    let streams: Vec<TcpStream> = (0..5).map(|_| stream(&service)).collect();
    service.signal();
    for answer in streams.into_iter().map(rest) {
        assert!(!answer.contains("event: done"), "{answer}");
    }
    let (code, took) = service.ended();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let (_provider, service, _folder) = world("drain_delay = \"60s\"");
    let stream = stream(&service);
    service.signal();
    // As long as it is draining it answers, and says so.
    let draining = Instant::now();
    while !unready(&service) {
        assert!(draining.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    service.signal();
    let (code, took) = service.ended();
    assert_eq!(code, Some(105));
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(stream);
}

fn unready(service: &Running) -> bool {
    let mut connection = TcpStream::connect(&service.address).unwrap();
    write!(
        connection,
        "GET /readyz HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 503")
}

#[test]
fn check_says_what_would_run_and_shows_no_secret() {
    let check = |config: &str| {
        let mut command = brownout(&["serve", "--check", "--config", config]);
        let secret = r#"[{"name": "a", "base_url": "http://a", "model": "m", "api_key": "sk-secret",
            "prompt_usd_per_million": 1, "completion_usd_per_million": 1}]"#;
        command.env("BROWNOUT_SERVICE__PROVIDERS", secret);
        command.env("BROWNOUT_SERVICE__DATABASE_URL", "postgres://u:sk-secret@h/db");
        command
    };
    let example = "service/example-production.toml";
    let bad = check(example).output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        text(&bad.stderr).contains("redis_url is missing"),
        "{}",
        text(&bad.stderr)
    );
    let mut check = check(example);
    check.env("BROWNOUT_SERVICE__REDIS_URL", "redis://:sk-secret@h:6379");
    let good: Output = check.output().unwrap();
    let said = text(&good.stdout);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    for word in [
        "the settings are good",
        "providers: a;",
        "2 of 2 keys",
        "design = \"queued\"",
        "budget_usd = 20",
    ] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains("sk-secret") && !said.contains("sha256"), "{said}");
}

#[test]
fn wrong_settings_are_told_all_at_once_and_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("service.toml");
    let wrong = "design = \"fast\"\nshutdown_grace = 30\n[[keys]]\nname = \"k\"\nsha256 = \"sk-secret\"\n";
    std::fs::write(&config, wrong).unwrap();
    let config = config.to_str().unwrap();
    for args in [
        &["serve", "--check", "--config", config][..],
        &["serve", "--config", config],
        &["worker", "--config", config],
    ] {
        let output = brownout(args)
            .env("BROWNOUT_SERVICE__RETRY__CAP", "soon")
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for word in ["design", "shutdown_grace", "keys[0].sha256", "retry.cap"] {
            assert!(said.contains(word), "`{word}` is not in: {said}");
        }
        assert!(!said.contains("sk-secret"), "{said}");
    }
}

#[test]
fn a_key_is_hashed_from_standard_input_and_a_short_one_is_refused() {
    let hash = |key: &str| {
        let mut command = brownout(&["serve", "--hash-key"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let hashed = hash("an-example-key-for-the-website\n");
    let sum = text(&hashed.stdout);
    let example = std::fs::read_to_string(root().join("service/example-production.toml")).unwrap();
    assert!(example.contains(sum.trim()) && sum.trim().len() == 64, "{sum}");
    let short = hash("short\n");
    assert_eq!(short.status.code(), Some(2));
    assert!(!text(&short.stderr).contains("short\n"));
}
