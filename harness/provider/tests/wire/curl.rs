//! The exit code that curl ends with, for every way a stream dies, on HTTP/1.1 and HTTP/2.

use std::process::Stdio;

use crate::refusing::until_refused;
use crate::{Served, chat};

/// Whether curl is here. Without it these tests say so and pass, except in CI.
async fn curl_is_missing() -> bool {
    let found = tokio::process::Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .await;
    if found.is_ok_and(|status| status.success()) {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "curl is missing: install it");
    #[expect(clippy::print_stderr, reason = "a skipped test must not be silent")]
    {
        eprintln!("SKIPPED: curl is missing, so what it sees of a dying stream is not tested");
    }
    true
}

/// Exit code and output of curl for one chat request.
async fn curl(authority: &str, body: &str, http2: bool) -> (i32, String) {
    let mut command = tokio::process::Command::new("curl");
    command
        .args([
            "--silent",
            "--no-buffer",
            "--max-time",
            "2",
            "--header",
            "authorization: Bearer sk-1",
        ])
        .args(["--header", "content-type: application/json", "--data", body])
        .arg(if http2 { "--http2-prior-knowledge" } else { "--http1.1" })
        .arg(format!("http://{authority}/v1/chat/completions"));
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap(), text)
}

/// Fault, exit codes on HTTP/1.1 that keep the promise, those on HTTP/2, and the words that arrive.
const DEATHS: [(&str, &[i32], &[i32], usize); 8] = [
    ("kind = \"clean_eof\"\nafter_tokens = 3", &[0], &[0], 3),
    ("kind = \"fin_without_terminator\"\nafter_tokens = 3", &[18], &[92], 3),
    ("kind = \"reset_mid_stream\"\nafter_tokens = 3", &[56], &[92], 3),
    ("kind = \"reset_before_headers\"", &[52, 56], &[92], 0),
    ("kind = \"stall\"\nafter_tokens = 3", &[28], &[28], 3),
    ("kind = \"blackhole\"", &[28], &[28], 0),
    ("kind = \"error_event\"\nafter_tokens = 3", &[0], &[0], 3),
    ("kind = \"missing_done\"", &[0], &[0], 6),
];

#[tokio::test(flavor = "multi_thread")]
async fn curl_ends_as_each_fault_promises_and_well_once_it_is_over() {
    if curl_is_missing().await {
        return;
    }
    for http2 in [false, true] {
        let played = DEATHS
            .iter()
            .map(|(fault, http1_codes, http2_codes, words)| async move {
                let codes = if http2 { http2_codes } else { http1_codes };
                let served = Served::faulty(&format!("{fault}\nfirst = 1"));
                let authority = &served.provider.authority;
                let (code, text) = curl(authority, &chat(7, true), http2).await;
                assert!(
                    codes.contains(&code),
                    "{fault} (HTTP/2: {http2}): exit code {code}\n{text}"
                );
                // On a reset stream curl may throw away what it had not printed yet; `http2` tests that it arrives.
                let arrived = text.matches("t7.").count();
                let thrown_away = code == 92 && arrived < *words;
                assert!(thrown_away || arrived == *words, "{fault} (HTTP/2: {http2}): {text}");
                let (code, text) = curl(authority, &chat(7, true), http2).await;
                assert_eq!(code, 0, "{fault} (HTTP/2: {http2})");
                assert!(
                    text.ends_with("data: [DONE]\n\n") && text.matches("t7.").count() == 6,
                    "{fault}: {text}"
                );
            });
        futures::future::join_all(played).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_cannot_connect_to_a_shut_door() {
    if curl_is_missing().await {
        return;
    }
    let served = Served::faulty("kind = \"refuse_connection\"\nuntil = \"3s\"");
    until_refused(&served.provider.authority, true).await;
    assert_eq!(curl(&served.provider.authority, &chat(7, true), false).await.0, 7);
    until_refused(&served.provider.authority, false).await;
    assert_eq!(curl(&served.provider.authority, &chat(7, true), false).await.0, 0);
}
