//! What the service writes into its log: a line for every request that says which, and never what was asked or with which
//! key.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const KEY: &str = "sk-live-do-not-log-me";
const PROMPT: &str = "the-prompt-is-private";
const REQUEST_ID: &str = "log-test-1";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A process of ours that ends with the test.
struct Running {
    child: Child,
    authority: String,
}

impl Running {
    /// Starts it and waits for the address in the line that it begins with.
    fn start(arguments: &[&str], marker: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_brownout"))
            .args(arguments)
            .env("BROWNOUT_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let found = lines.map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once(marker)?;
            Some(rest.split_whitespace().next()?.trim_start_matches("http://").to_owned())
        });
        Self {
            child,
            authority: found.unwrap(),
        }
    }

    /// Ends it and returns what it wrote to its log.
    fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn post(authority: &str, path: &str) -> String {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{PROMPT}"}}],"max_tokens":5}}"#);
    let mut stream = TcpStream::connect(authority).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-request-id: {REQUEST_ID}\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_request_leaves_a_line_and_neither_key_nor_prompt_nor_answer_is_in_any() {
    let provider = Running::start(&["provider", "--listen", "127.0.0.1:0"], "http://");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("service.toml");
    let database = folder.path().join("service.db");
    let text = format!(
        "database_path = {database:?}\n[[providers]]\nname = \"p\"\nbase_url = \"http://{}\"\nmodel = \"gpt-4o-mini\"\n\
         api_key = \"{KEY}\"\n[[providers]]\nname = \"gone\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\n\
         api_key = \"{KEY}\"\n",
        provider.authority.trim_end_matches("/v1")
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        config,
        "--log-format",
        "json",
    ];
    let service = Running::start(&arguments, "listening on ");
    let answer = post(&service.authority, "/chat");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(post(&service.authority, "/chat/stream").contains("event: done"));
    assert!(post(&service.authority, "/nowhere").starts_with("HTTP/1.1 404"));
    let log = service.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "answered").collect();
    let statuses: Vec<u64> = answered.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 404], "{log}");
    for line in &answered[..2] {
        let span = &line["span"];
        assert_eq!(
            (span["trace_id"].as_str(), span["request_id"].as_str()),
            (Some(TRACE), Some(REQUEST_ID))
        );
        assert!(span["span_id"].is_string() && span["tenant"].is_string(), "{line}");
        assert!(
            line["duration_ms"].as_f64().unwrap() >= line["overhead_ms"].as_f64().unwrap(),
            "{line}"
        );
    }
    let content = answer
        .split("\"content\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(content.len() > 10, "{answer}");
    for secret in [KEY, PROMPT, content] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
