//! A client that knows HTTP/1.1 just well enough to tell how a response ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing for this long is silence.
const SILENCE: Duration = Duration::from_millis(400);

/// How the bytes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As HTTP says that a body ends.
    Proper,
    /// FIN before that.
    Fin,
    /// RST before that.
    Rst,
    /// Nothing more comes, and nobody hangs up.
    Silence,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The status, if a status line came.
    pub(crate) status: Option<u16>,
    /// The body, chunked coding undone.
    pub(crate) body: String,
    /// How it ended.
    pub(crate) end: End,
    /// How many reads it took.
    pub(crate) reads: usize,
}

/// Sends a chat request on a connection of its own and sees what comes.
pub(crate) async fn post(authority: &str, path: &str, body: &str) -> Seen {
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer sk-1\r\nx-api-key: sk-1\r\n\
         x-goog-api-key: sk-1\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    see(&mut stream).await
}

/// Reads one response.
pub(crate) async fn see(stream: &mut TcpStream) -> Seen {
    let (mut bytes, mut reads) = (Vec::new(), 0);
    let end = loop {
        if let Some(seen) = complete(&bytes, reads) {
            return seen;
        }
        let mut buffer = [0; 4096];
        match tokio::time::timeout(SILENCE, stream.read(&mut buffer)).await {
            Err(_) => break End::Silence,
            Ok(Ok(0)) => break End::Fin,
            Ok(Ok(read)) => bytes.extend_from_slice(&buffer[..read]),
            Ok(Err(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                break End::Rst;
            }
        }
        reads += 1;
    };
    let (head, body, _) = parse(&bytes);
    Seen {
        status: status(&head),

        body,
        end,
        reads,
    }
}

fn complete(bytes: &[u8], reads: usize) -> Option<Seen> {
    let (head, body, complete) = parse(bytes);
    complete.then(|| Seen {
        status: status(&head),

        body,
        end: End::Proper,
        reads,
    })
}

fn status(head: &str) -> Option<u16> {
    head.split(' ').nth(1)?.parse().ok()
}

/// Head, body so far, and whether that is all of it.
fn parse(bytes: &[u8]) -> (String, String, bool) {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, rest)) = text.split_once("\r\n\r\n") else {
        return (text.into_owned(), String::new(), false);
    };
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    if let Some(length) = length {
        return (head.to_owned(), rest.to_owned(), rest.len() >= length);
    }
    let (mut body, mut rest) = (String::new(), rest);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (head.to_owned(), body, after.starts_with("\r\n"));
        }
        if after.len() < size + 2 {
            body.push_str(&after[..after.len().min(size)]);
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (head.to_owned(), body, false)
}
