//! A connection that is kept, for one unary request after the other.
//!
//! Reads just as much HTTP as our own provider writes: a status line, a length, a body.

use std::io::{self, ErrorKind};

use brownout_scenario::tracer;
use brownout_scenario::units::PromptId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::chat;

/// Bytes of an answer at most; one of 20 tokens has some 1,000.
const MAX_ANSWER: usize = 64 * 1024;

/// A connection to a provider.
#[derive(Debug)]
pub struct Connection {
    authority: String,
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(authority: &str) -> io::Result<Self> {
        let socket = TcpStream::connect(authority).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            authority: authority.to_owned(),
            socket,
            buffer: vec![0; MAX_ANSWER],
        })
    }

    /// Asks for `prompt`, and reads the answer, which must be a 200 that ends with word `tokens - 1` of the prompt's.
    pub async fn ask(&mut self, prompt: PromptId, tokens: u64) -> io::Result<()> {
        let request = chat(&self.authority, prompt, false);
        self.socket.write_all(request.as_bytes()).await?;
        let mut read = 0;
        let answer = loop {
            match self.socket.read(&mut self.buffer[read..]).await? {
                // Also when the buffer is full.
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
            let bytes = &self.buffer[..read];
            if let Some(end) = end_of(bytes)?
                && end <= read
            {
                break str::from_utf8(bytes).map_err(io::Error::other)?;
            }
        };
        let mut last = String::new();
        tracer::push_word(&mut last, prompt, tokens - 1);
        last.push('"');
        if answer.starts_with("HTTP/1.1 200 ") && answer.contains(&last) {
            return Ok(());
        }
        Err(io::Error::other(format!("to {prompt} came: {answer}")))
    }
}

/// Where an answer ends, as soon as its head says so.
fn end_of(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = str::from_utf8(&bytes[..head]).map_err(io::Error::other)?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match lengths
        .next()
        .and_then(|(_, length)| length.trim().parse::<usize>().ok())
    {
        Some(length) => Ok(Some(head + 4 + length)),
        None => Err(io::Error::other(format!("an answer without a length: {text}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(end_of(head.as_bytes()).unwrap(), Some(head.len() + 3));
        assert_eq!(
            end_of(&head.as_bytes()[..head.len() - 1]).unwrap(),
            None,
            "the head is not whole"
        );
        assert!(end_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
