//! One streamed answer over a raw socket: every token checked as it comes, and the time noted.
//!
//! Reads lines, no chunks and no JSON: a frame of the provider is a line that begins with `data: `, and no chunk of it
//! ends within a line. A line that is not as expected ends the stream with an error.

use std::io;

use brownout_scenario::tracer;
use brownout_scenario::units::PromptId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::chat;

/// Bytes that are read at a time; a frame has some 250.
const READ: usize = 16 * 1024;

/// What comes before the text of a token.
const CONTENT: &str = r#""content":""#;

/// A streamed answer, as far as it has come.
#[derive(Debug)]
pub struct Stream {
    prompt: PromptId,
    stage: Stage,
    /// The beginning of a line whose end has not come.
    part: Vec<u8>,
    expected: String,
    tokens: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Frames,
    Done,
}

impl Stream {
    /// Asks for `prompt` over a connection of its own, and reads to the end of the stream. Notes in `tokens` when each
    /// token had been read, also those of a stream that breaks off.
    pub async fn play(authority: &str, prompt: PromptId, tokens: &mut Vec<Instant>) -> io::Result<()> {
        let mut socket = TcpStream::connect(authority).await?;
        socket.set_nodelay(true)?;
        socket.write_all(chat(authority, prompt, true).as_bytes()).await?;
        let mut stream = Self::new(prompt);
        let mut buffer = vec![0; READ];
        while stream.stage != Stage::Done {
            let read = socket.read(&mut buffer).await?;
            let arrived = Instant::now();
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            stream.take(&buffer[..read])?;
            tokens.resize(stream.tokens as usize, arrived);
        }
        Ok(())
    }

    fn new(prompt: PromptId) -> Self {
        let mut stream = Self {
            prompt,
            stage: Stage::Head,
            part: Vec::new(),
            expected: String::new(),
            tokens: 0,
        };
        stream.expect();
        stream
    }

    fn expect(&mut self) {
        self.expected.clear();
        tracer::push_word(&mut self.expected, self.prompt, self.tokens);
    }

    /// Reads what came.
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            if self.part.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.part);
                whole.extend_from_slice(line);
                self.line(&whole)?;
            }
            bytes = &rest[1..];
        }
        self.part.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let line = str::from_utf8(line).map_err(io::Error::other)?;
        match self.stage {
            Stage::Head if line.starts_with("HTTP/1.1 200 ") => self.stage = Stage::Frames,
            Stage::Frames if line == "data: [DONE]" => self.stage = Stage::Done,
            // Headers, lengths of chunks, and what parts frames.
            Stage::Frames | Stage::Done if !line.starts_with("data: ") => {}
            Stage::Frames => {
                let text = line.split_once(CONTENT).and_then(|(_, rest)| rest.split_once('"'));
                match text.map_or("", |(text, _)| text) {
                    "" => {}
                    text if text == self.expected => {
                        self.tokens += 1;
                        self.expect();
                    }
                    text => return Err(unexpected(text, &self.expected)),
                }
            }
            Stage::Head | Stage::Done => return Err(unexpected(line, "a stream and no frame after its end")),
        }
        Ok(())
    }
}

fn unexpected(got: &str, expected: &str) -> io::Error {
    io::Error::other(format!("got `{got}`, expected `{expected}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    const END: &str = "b\r\ndata: [DONE]\n\n\r\n";

    fn frame(text: &str) -> String {
        let data = format!("data: {{\"choices\":[{{\"delta\":{{{CONTENT}{text}\"}}}}]}}\n\n");
        format!("{:x}\r\n{data}\r\n", data.len())
    }

    fn read(text: &str, step: usize) -> io::Result<(u64, Stage)> {
        let mut stream = Stream::new(PromptId(7));
        for piece in text.as_bytes().chunks(step) {
            stream.take(piece)?;
        }
        Ok((stream.tokens, stream.stage))
    }

    #[test]
    fn tokens_are_counted_however_the_bytes_are_cut() {
        let text = format!(
            "{HEAD}{}{}{}{}{END}",
            frame(""),
            frame("t7.0"),
            frame(" t7.1"),
            frame(" t7.2")
        );
        for step in [1, 7, 64, text.len()] {
            assert_eq!(read(&text, step).unwrap(), (3, Stage::Done), "in steps of {step}");
        }
    }

    #[test]
    fn a_lost_or_repeated_token_and_an_error_answer_are_not_passed_over() {
        let lost = format!("{HEAD}{}{}", frame("t7.0"), frame(" t7.2"));
        let twice = format!("{HEAD}{}{}", frame("t7.0"), frame("t7.0"));
        let error = HEAD.replace("200 OK", "429 Too Many Requests");
        for text in [lost, twice, error] {
            assert!(read(&text, 64).is_err(), "{text}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_not_done() {
        let text = format!("{HEAD}{}", frame("t7.0"));
        assert_eq!(read(&text, 64).unwrap(), (1, Stage::Frames));
    }
}
