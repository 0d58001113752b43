//! Callers that misbehave: after each of them the provider still serves.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::raw::{End, post, see};
use crate::{Served, chat};

const CHAT: &str = "/v1/chat/completions";

async fn assert_it_serves(served: &Served) {
    let answer = tokio::time::timeout(
        Duration::from_secs(20),
        post(&served.provider.authority, CHAT, &chat(7, true)),
    )
    .await
    .expect("an answer");
    assert_eq!((answer.status, answer.end), (Some(200), End::Proper));
}

#[tokio::test]
async fn malformed_requests_are_refused_or_dropped() {
    let served = Served::with("");
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    for garbage in [
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "HELLO\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -4\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame at all",
        long.as_str(),
    ] {
        let mut stream = TcpStream::connect(&served.provider.authority).await.unwrap();
        let _ = stream.write_all(garbage.as_bytes()).await;
        let seen = see(&mut stream).await;
        assert_ne!(seen.status, Some(200), "{seen:?}");
    }
    assert_it_serves(&served).await;
    assert_eq!(served.provider.ledger.rows().len(), 1, "garbage leaves no row");
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_with_words_and_not_kept() {
    let served = Served::with("");
    let uploads = (0..4).map(|_| async {
        let mut stream = TcpStream::connect(&served.provider.authority).await.unwrap();
        let (length, piece) = (100 << 20, vec![b' '; 1 << 20]);
        let head =
            format!("POST {CHAT} HTTP/1.1\r\nhost: p\r\nauthorization: Bearer k\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..100 {
            stream.write_all(&piece).await.unwrap();
        }
        see(&mut stream).await
    });
    for seen in futures::future::join_all(uploads).await {
        assert_eq!(seen.status, Some(413), "{seen:?}");
        assert!(seen.body.contains("at most 33554432 bytes"), "{}", seen.body);
    }
    assert_it_serves(&served).await;
}

#[tokio::test]
async fn slow_heads_slow_bodies_and_idle_connections_keep_nobody_waiting() {
    let served = Served::with("");
    let mut held = Vec::new();
    for n in 0..1_500 {
        let mut stream = TcpStream::connect(&served.provider.authority).await.unwrap();
        let said = match n % 3 {
            0 => String::new(),
            1 => format!("POST {CHAT} HTT"),
            _ => format!("POST {CHAT} HTTP/1.1\r\nhost: p\r\ncontent-length: 500\r\n\r\n{{\"mod"),
        };
        stream.write_all(said.as_bytes()).await.unwrap();
        held.push(stream);
    }
    assert_it_serves(&served).await;
    drop(held);
    assert_it_serves(&served).await;
}
