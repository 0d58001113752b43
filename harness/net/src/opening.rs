//! Which HTTP a peer speaks, from its first bytes.
//!
//! Does not consume them: they are there for whoever serves the connection. Does not bound its own patience.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::stream::Stream;

/// What a client that knows that its server speaks HTTP/2 says first (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
}

/// Waits for as many bytes as it takes to tell: one, unless they begin like HTTP/2's.
///
/// A peer that ends before that speaks HTTP/1.1, whose server knows what to say. The bytes are read and put back: looking
/// at them in the kernel's buffer would not tell when more have arrived.
pub(crate) async fn spoken(stream: &mut Stream) -> io::Result<Spoken> {
    let mut bytes = [0; PREFACE.len()];
    let mut got = 0;
    let spoken = loop {
        let more = stream.read(&mut bytes[got..]).await?;
        got += more;
        if more == 0 || !PREFACE.starts_with(&bytes[..got]) {
            break Spoken::Http1;
        }
        if got == PREFACE.len() {
            break Spoken::Http2;
        }
    };
    stream.unread(Bytes::copy_from_slice(&bytes[..got]));
    Ok(spoken)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::network::Network;

    async fn pair() -> (Stream, Stream) {
        let network = Network::memory();
        let mut listener = network.listen("host").unwrap();
        let (near, far) = tokio::join!(network.connect("host"), listener.accept());
        (near.unwrap(), far.unwrap())
    }

    /// What is made of `pieces` that arrive a second apart before the end, and what is read after that.
    async fn heard(pieces: &[&[u8]]) -> (Spoken, Vec<u8>) {
        let (mut near, mut far) = pair().await;
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        tokio::spawn(async move {
            for piece in pieces {
                near.write_all(&piece).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
        });
        let spoken = spoken(&mut far).await.unwrap();
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        (spoken, all)
    }

    #[tokio::test(start_paused = true)]
    async fn a_preface_is_recognised_however_it_is_cut_and_can_be_read_again() {
        for cut in 1..PREFACE.len() {
            let pieces: [&[u8]; 3] = [&PREFACE[..cut], &PREFACE[cut..], b"frames"];
            let (spoken, all) = heard(&pieces).await;
            assert_eq!(spoken, Spoken::Http2, "cut after {cut}");
            assert_eq!(all, [PREFACE, b"frames".as_slice()].concat());
        }
        let bytes: Vec<&[u8]> = PREFACE.chunks(1).collect();
        assert_eq!(heard(&bytes).await.0, Spoken::Http2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_begins_like_a_preface_is_http1() {
        for pieces in [
            vec![b"PROPFIND / HTTP/1.1\r\n".as_slice()],
            vec![b"P", b"OST / HTTP/1.1\r\n"],
            vec![b"PRI * HTTP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\n"],
            vec![b"PR"],
            vec![b"\0"],
            vec![],
        ] {
            let (spoken, all) = heard(&pieces).await;
            assert_eq!((spoken, all), (Spoken::Http1, pieces.concat()), "{pieces:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fragment_of_a_preface_waits_for_more() {
        let (mut near, mut far) = pair().await;
        near.write_all(&PREFACE[..23]).await.unwrap();
        let waited = timeout(Duration::from_secs(1_000), spoken(&mut far)).await;
        assert!(waited.is_err(), "{waited:?}");
    }
}
