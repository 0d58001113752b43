//! Reading an answer word by word.

use brownout_scenario::observe::{FailureClass, Outcome};
use brownout_scenario::schedule::LeavePoint;
use brownout_scenario::units::Micros;
use http::StatusCode;
use http_body_util::BodyExt;

use super::{Exchange, Failure, expect_status};
use crate::answer::{StreamEvent, stream_event};
use crate::sse::Decoder;

impl Exchange<'_> {
    /// Reads until the stream says that it is complete, or its client has seen enough.
    pub(super) async fn stream(&mut self) -> Result<Outcome, Failure> {
        let response = self.open().await?;
        expect_status(&response, StatusCode::OK)?;
        let mut body = response.into_body();
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| FailureClass::ConnectionLost)?;
            let Some(data) = frame.data_ref() else { continue };
            self.count(data.len())?;
            decoder.push(data, |event| events.push(event));
            if decoder.overflowed() {
                return Err(FailureClass::Malformed);
            }
            for event in events.drain(..) {
                match stream_event(self.around.load.endpoint, &event) {
                    StreamEvent::Piece { text, usage } => {
                        self.reported = usage.or(self.reported);
                        if self.words(&text) {
                            return Ok(Outcome::Aborted);
                        }
                    }
                    StreamEvent::Error => return Err(FailureClass::ErrorEvent),
                    StreamEvent::Done => return Ok(Outcome::Answered),
                    StreamEvent::Malformed => return Err(FailureClass::Malformed),
                }
            }
        }
        Err(FailureClass::Truncated)
    }

    /// Takes words of a stream; true when its client has seen enough and leaves.
    fn words(&mut self, text: &str) -> bool {
        let before = self.reader.words();
        self.read(text);
        let arrived = self.reader.words().saturating_sub(before);
        if arrived > 0 {
            let now = self.around.now();
            if let Some(last) = self.last_token {
                self.gaps.push(now.since(last));
                // Words that arrive together have no time between them.
                self.gaps.extend((1..arrived).map(|_| Micros::ZERO));
            } else {
                self.first_token = Some(now);
                self.gaps.extend((1..arrived).map(|_| Micros::ZERO));
            }
            self.last_token = Some(now);
        }
        let enough = self.planned.leave.and_then(|leave| match leave.after {
            LeavePoint::Tokens(tokens) => Some(tokens),
            LeavePoint::Time(_) => None,
        });
        enough.is_some_and(|tokens| self.reader.words() >= tokens)
    }
}
