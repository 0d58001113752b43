//! Peers that speak nonsense, hardly at all, or leave at once: each loses its connection, nobody else notices.

use std::time::Duration;

use brownout_net::{Network, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::backend::{Backend, Log};
use crate::client::Client;
use crate::frames::PREFACE;

const SECOND: Duration = Duration::from_secs(1);

async fn serves(network: &Network, backend: &Backend) {
    let mut client = Client::to(network, &backend.authority).await;
    assert_eq!(client.fetch("/name").await.1, "service");
}

/// Requests that are none.
fn malformed() -> Vec<Vec<u8>> {
    let endless_line = [b"GET /".as_slice(), &vec![b'a'; 1 << 20]].concat();
    let headers = b"x: y\r\n".repeat(1_000);
    let too_many_headers = [b"GET / HTTP/1.1\r\n".as_slice(), &headers, b"\r\n"].concat();
    let heads: [&[u8]; 12] = [
        b"\0\0\0\0\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: \0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /echo HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // TLS
    ];
    let mut all: Vec<_> = heads.iter().map(|head| head.to_vec()).collect();
    all.extend([endless_line, too_many_headers]);
    all
}

/// The status line of what comes back, if anything does, before the connection ends.
async fn last_words(mut stream: Stream, request: &[u8]) -> String {
    let _ = stream.write_all(request).await; // it may end before it has taken all
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

async fn malformed_requests_end_their_connection_only(network: Network) {
    let backend = Backend::start(&network, "service", &Log::start());
    let mut bystander = Client::to(&network, &backend.authority).await;
    for request in malformed() {
        let stream = network.connect(&backend.authority).await.unwrap();
        let status = last_words(stream, &request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
        let refused = status.is_empty() || status.starts_with("HTTP/1.1 4");
        assert!(refused, "`{status}` to {shown:?}");
        assert_eq!(bystander.fetch("/name").await.1, "service", "after {shown:?}");
    }
    serves(&network, &backend).await;
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_end_their_connection_only_in_memory() {
    malformed_requests_end_their_connection_only(Network::memory()).await;
}

#[tokio::test]
async fn malformed_requests_end_their_connection_only_over_tcp() {
    malformed_requests_end_their_connection_only(Network::tcp()).await;
}

#[tokio::test]
async fn malformed_frames_end_their_connection_only() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    for frames in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        b"\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff".to_vec(), // settings are missing
        b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff".to_vec(), // no HPACK
    ] {
        let stream = network.connect(&backend.authority).await.unwrap();
        let said = [PREFACE, &frames].concat();
        let ended = timeout(5 * SECOND, last_words(stream, &said)).await;
        ended.expect("the connection ends");
        serves(&network, &backend).await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_preface_is_a_malformed_request() {
    let network = Network::memory();
    let backend = Backend::start(&network, "service", &Log::start());
    let stream = network.connect(&backend.authority).await.unwrap();
    let status = last_words(stream, PREFACE).await;
    assert!(status.is_empty() || status.starts_with("HTTP/1.1 4"), "{status}");
    serves(&network, &backend).await;
}

/// Says `first`, then `more` every second; the seconds until the peer ends the connection, at most a hundred.
///
/// The clock is paused. It runs ahead of sockets, so over TCP the end may be seen a second or two late.
async fn seconds_until_ended(mut stream: Stream, first: &[u8], more: &[u8]) -> u64 {
    let mut ignored = [0; 1_024];
    let start = Instant::now();
    stream.write_all(first).await.unwrap();
    while start.elapsed() < 100 * SECOND {
        let until = Instant::now() + SECOND;
        while let Ok(read) = tokio::time::timeout_at(until, stream.read(&mut ignored)).await {
            if matches!(read, Ok(0) | Err(_)) {
                return start.elapsed().as_secs();
            }
        }
        if stream.write_all(more).await.is_err() {
            break;
        }
    }
    start.elapsed().as_secs()
}

async fn whoever_takes_too_long_over_a_head_is_cut_off(network: Network) {
    let backend = Backend::start(&network, "service", &Log::start());
    for (first, more) in [
        ("GET /name HTTP/1.1\r\nx: ", "y"),     // slow loris
        ("GET /name HTTP/1.1\r\n", "x: y\r\n"), // the same, line by line
        ("G", ""),
        ("", ""),
    ] {
        let stream = network.connect(&backend.authority).await.unwrap();
        let seconds = seconds_until_ended(stream, first.as_bytes(), more.as_bytes()).await;
        assert!((30..=33).contains(&seconds), "{seconds} s after {first:?}");
        serves(&network, &backend).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_too_long_over_a_head_is_cut_off_in_memory() {
    whoever_takes_too_long_over_a_head_is_cut_off(Network::memory()).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_too_long_over_a_head_is_cut_off_over_tcp() {
    whoever_takes_too_long_over_a_head_is_cut_off(Network::tcp()).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_within_or_after_the_preface_is_cut_off() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    for (first, expected) in [(&PREFACE[..2], 30), (&PREFACE[..23], 30), (PREFACE, 60)] {
        let stream = network.connect(&backend.authority).await.unwrap();
        let seconds = seconds_until_ended(stream, first, b"").await;
        assert!(
            (expected..expected + 4).contains(&seconds),
            "{seconds} s after {first:?}"
        );
        serves(&network, &backend).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_within_its_time_is_answered() {
    let network = Network::memory();
    let backend = Backend::start(&network, "service", &Log::start());
    let mut stream = network.connect(&backend.authority).await.unwrap();
    stream.write_all(b"GET /name HTTP/1.1\r\n").await.unwrap();
    tokio::time::sleep(29 * SECOND).await;
    assert_eq!(
        last_words(stream, b"connection: close\r\n\r\n").await,
        "HTTP/1.1 200 OK"
    );
}

async fn peers_that_reset_at_once_are_forgotten(network: Network) {
    let backend = Backend::start(&network, "service", &Log::start());
    for said in ["", "GE", "PRI", "GET /slow/60000 HTTP/1.1\r\nhost: x\r\n\r\n"] {
        for _ in 0..50 {
            let mut stream = network.connect(&backend.authority).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            stream.reset();
        }
        serves(&network, &backend).await;
    }
}

#[tokio::test(start_paused = true)]
async fn peers_that_reset_at_once_are_forgotten_in_memory() {
    peers_that_reset_at_once_are_forgotten(Network::memory()).await;
}

#[tokio::test]
async fn peers_that_reset_at_once_are_forgotten_over_tcp() {
    peers_that_reset_at_once_are_forgotten(Network::tcp()).await;
}
