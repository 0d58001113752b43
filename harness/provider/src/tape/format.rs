//! What a line of a tape says, as it stands there and as it is played.
//!
//! Does not open files. The first line is a [`Header`], every other one an [`Exchange`]; times count in microseconds from
//! the request's arrival, its body included.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asked::Asked;
use super::headers::strip_recomputed;

/// The version of this format.
pub(super) const VERSION: u64 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// The format's version.
    pub(super) brownout_tape: u64,
    /// Where the answers came from, for people.
    #[serde(default)]
    pub(super) upstream: String,
}

/// Any other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    /// What was asked.
    pub(super) request: Request,
    /// What was answered.
    pub(super) response: Response,
}

/// What was asked. The body is there for people: `body_hash` says what is the same.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The method.
    pub(super) method: String,
    /// The path.
    pub(super) path: String,
    /// The query, without its question mark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) query: String,
    /// SHA-256 of the canonical body, in hexadecimal.
    pub(super) body_hash: String,
    /// The body, if it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Value>,
    /// The body, if it is anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base64: Option<String>,
}

/// What was answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    /// HTTP status.
    pub(super) status: u16,
    /// The headers, in order.
    pub(super) headers: Vec<(String, String)>,
    /// The length that the headers announced, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
    /// When the headers came.
    pub(super) head_at_us: u64,
    /// The body.
    pub(super) pieces: Vec<Piece>,
    /// How it ended.
    pub(super) end: End,
    /// When it ended.
    pub(super) ended_at_us: u64,
    /// Why it is broken, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// As it should.
    Complete,
    /// In the middle.
    Broken,
}

/// What arrived at once: text, or Base64 where it is none (a character may be cut in two).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    /// When.
    pub(super) at_us: u64,
    /// The bytes, if they are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// The bytes, if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base64: Option<String>,
}

impl Request {
    /// The request that asked for `asked` with `body`.
    pub(super) fn new(asked: Asked, body: &[u8]) -> Self {
        let json = serde_json::from_slice(body).ok();
        let base64 = (json.is_none() && !body.is_empty()).then(|| STANDARD.encode(body));
        Self {
            method: asked.method,
            path: asked.path,
            query: asked.query,
            body_hash: asked.body_hash,
            body: json,
            base64,
        }
    }
}

impl Piece {
    /// What arrived at `at_us`.
    pub(super) fn new(at_us: u64, bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
        let base64 = text.is_none().then(|| STANDARD.encode(bytes));
        Self { at_us, text, base64 }
    }

    fn bytes(self) -> Result<Bytes, String> {
        match (self.text, self.base64) {
            (Some(text), None) => Ok(text.into()),
            (None, Some(base64)) => {
                let decoded = STANDARD.decode(base64);
                decoded
                    .map(Bytes::from)
                    .map_err(|error| format!("`base64` is none: {error}"))
            }
            _ => Err("a piece has either `text` or `base64`".to_owned()),
        }
    }
}

/// An answer that can be played.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// The headers that are sent, `content-length` included if one was announced.
    pub(super) headers: HeaderMap,
    /// When they leave.
    pub(super) head_at_us: u64,
    /// The body, and when each piece of it leaves. None is empty.
    pub(super) pieces: Vec<(u64, Bytes)>,
    /// How it ends.
    pub(super) end: End,
    /// When it ends.
    pub(super) ended_at_us: u64,
}

impl Exchange {
    /// What was asked and the answer to it; else what is wrong with them.
    pub(super) fn checked(self) -> Result<(Asked, Answer), String> {
        let Request {
            method,
            path,
            query,
            body_hash,
            ..
        } = self.request;
        let asked = Asked {
            method,
            path,
            query,
            body_hash,
        };
        Ok((asked, self.response.checked()?))
    }
}

impl Response {
    fn checked(self) -> Result<Answer, String> {
        let status = StatusCode::from_u16(self.status).ok();
        let status = status.filter(|status| !status.is_informational());
        let headers = headers(self.headers, self.length)?;
        let pieces = self.pieces.into_iter().map(|piece| Ok((piece.at_us, piece.bytes()?)));
        let pieces = pieces.collect::<Result<Vec<_>, String>>()?;
        let stored: u64 = pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let fits = match (self.length, self.end) {
            (None, _) => true,
            (Some(length), End::Broken) => stored <= length,
            // The answer to a HEAD has a length and no body.
            (Some(length), End::Complete) => stored == length || stored == 0,
        };
        if !fits {
            return Err(format!("`length` does not fit: the pieces hold {stored} bytes"));
        }
        Ok(Answer {
            status: status.ok_or_else(|| format!("`status` {} is not one from 200 to 999", self.status))?,
            headers,
            head_at_us: self.head_at_us,
            pieces: pieces.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect(),
            end: self.end,
            ended_at_us: self.ended_at_us,
        })
    }
}

fn headers(pairs: Vec<(String, String)>, length: Option<u64>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_bytes(value.as_bytes());
        let (Ok(header), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) else {
            return Err(format!(
                "the header `{name}` has a name or a value that HTTP does not allow"
            ));
        };
        headers.append(header, value);
    }
    strip_recomputed(&mut headers);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were_text_or_not() {
        for bytes in ["data: grün\n\n".as_bytes(), &"grün".as_bytes()[..3], b"\xff\x00", b""] {
            let line = serde_json::to_string(&Piece::new(5, bytes)).unwrap();
            let piece: Piece = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (piece.at_us, piece.bytes().unwrap()),
                (5, Bytes::copy_from_slice(bytes))
            );
        }
        let text = serde_json::to_string(&Piece::new(5, b"hi")).unwrap();
        assert_eq!(text, r#"{"at_us":5,"text":"hi"}"#);
    }

    #[test]
    fn a_request_body_is_shown_as_json_or_else_kept_as_bytes() {
        let shown = |body: &[u8]| {
            let asked = Asked {
                method: "POST".to_owned(),
                path: "/".to_owned(),
                query: String::new(),
                body_hash: "0".to_owned(),
            };
            let request = Request::new(asked, body);
            (request.body.map(|body| body.to_string()), request.base64)
        };
        assert_eq!(shown(br#"{"a":1}"#), (Some(r#"{"a":1}"#.to_owned()), None));
        assert_eq!(shown(b"hi"), (None, Some("aGk=".to_owned())));
        assert_eq!(shown(b""), (None, None));
    }
}
