//! Server-sent events, read from body frames cut anywhere. Knows the framing, not the meaning.

/// One event: its name (empty when the stream names none) and its data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Longest event that is read; a longer one is no answer of a chat service.
const LONGEST_EVENT: usize = 1 << 20;

/// Collects bytes until an event is whole.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    overflow: bool,
}

impl Decoder {
    /// Takes the next bytes and hands every event they complete to `each`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Event)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + self.event.data.len() + part.len() > LONGEST_EVENT {
                self.overflow = true;
                return;
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if let Some(event) = self.end_line() {
                    each(event);
                }
                self.line.clear();
            }
        }
    }

    /// Whether an event was too long to be read.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflow
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            let whole = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(whole);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // Comments (an empty field name) keep a connection alive; `id` and `retry` do not matter here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Vec<Event> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece, |event| events.push(event));
        }
        events
    }

    const STREAM: &str =
        ": hello\n\nevent: delta\ndata: {\"text\":\" a\"}\n\ndata: x\r\ndata: y\r\n\r\nevent: done\ndata:\n\ndata: cut";

    #[test]
    fn events_have_names_and_data_and_comments_are_none() {
        let events = read(&[STREAM.as_bytes()]);
        let seen: Vec<_> = events.iter().map(|e| (e.name.as_str(), e.data.as_str())).collect();
        assert_eq!(seen, [("delta", "{\"text\":\" a\"}"), ("", "x\ny"), ("done", "")]);
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut decoder = Decoder::default();
        for _ in 0..(LONGEST_EVENT / 1000 + 2) {
            decoder.push(&[b'x'; 1000], |_| panic!("no event was complete"));
        }
        assert!(decoder.overflowed());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_a_stream_is_cut(at in 0usize..STREAM.len()) {
            let (a, b) = STREAM.as_bytes().split_at(at);
            prop_assert_eq!(read(&[a, b]), read(&[STREAM.as_bytes()]));
        }
    }
}
