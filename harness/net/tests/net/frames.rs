//! HTTP/2 as it is on the wire, as far as a test needs it.

use std::io;

use brownout_net::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What an HTTP/2 client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame (RFC 9113 §4.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// Opens the conversation with empty settings.
pub(crate) async fn open(stream: &mut Stream) {
    stream.write_all(PREFACE).await.unwrap();
    send(stream, SETTINGS, 0, 0, &[]).await;
}

async fn send(stream: &mut Stream, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[..], &[kind, flags], &id.to_be_bytes()].concat();
    stream.write_all(&[&head, payload].concat()).await.unwrap();
}

/// Asks for `path` on stream `id`, in HPACK literals.
pub(crate) async fn get(stream: &mut Stream, id: u32, path: &str) {
    const METHOD_GET: u8 = 0x82;
    const SCHEME_HTTP: u8 = 0x86;
    const PATH: u8 = 0x04;
    let length = u8::try_from(path.len()).unwrap();
    let block = [&[METHOD_GET, SCHEME_HTTP, PATH, length], path.as_bytes()].concat();
    send(stream, HEADERS, END_STREAM | END_HEADERS, id, &block).await;
}

/// The next frame.
pub(crate) async fn next(stream: &mut Stream) -> io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await?;
    Ok(Frame {
        kind: head[3],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    })
}

/// The next frames of stream `id` up to its reset, or to the `wanted`-th.
pub(crate) async fn of_stream(stream: &mut Stream, id: u32, wanted: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < wanted {
        let frame = next(stream).await.expect("the connection lives");
        if frame.stream == id {
            let last = frame.kind == RST_STREAM;
            frames.push(frame);
            if last {
                break;
            }
        }
    }
    frames
}
