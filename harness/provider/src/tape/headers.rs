//! Which headers pass from hop to hop, which are stored, and which a player works out anew.
//!
//! The headers of one hop are those of RFC 9110 §7.6.1, with `keep-alive` and `proxy-connection` of old.

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

use super::secrets::{self, Secrets};

const OF_ONE_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The request's headers, as the upstream gets them: it is to answer in plain text, and the client frames anew.
pub(super) fn outgoing(mut headers: HeaderMap) -> HeaderMap {
    strip_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT, ACCEPT_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// Removes the headers of this hop, those that `Connection` names included.
pub(super) fn strip_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_ONE_HOP) {
        headers.remove(name);
    }
}

/// The headers of an answer, as the tape keeps them.
pub(super) fn stored(headers: &HeaderMap, secrets: &Secrets) -> Vec<(String, String)> {
    let kept = headers
        .iter()
        .filter(|(name, _)| **name != CONTENT_LENGTH && !secrets::is_secret(name));
    kept.map(|(name, value)| {
        let value = secrets.strip(value.as_bytes());
        (name.to_string(), String::from_utf8_lossy(&value).into_owned())
    })
    .collect()
}

/// Removes from a stored answer's headers what depends on the connection or the day that it is played on.
pub(super) fn strip_recomputed(headers: &mut HeaderMap) {
    strip_hop(headers);
    for name in [CONTENT_LENGTH, DATE] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn the_upstream_gets_all_but_the_headers_of_this_hop() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-of-this-hop"),
            ("x-of-this-hop", "1"),
            ("host", "127.0.0.1:8089"),
            ("content-length", "12"),
            ("accept-encoding", "gzip, br"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Bearer k"),
            ("anthropic-version", "2023-06-01"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(names(&outgoing(headers)), ["authorization", "anthropic-version"]);
    }

    #[test]
    fn secret_headers_of_an_answer_are_not_stored() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "session=abcdef0123; Path=/"),
            ("openai-organization", "org-0123456789"),
            ("x-request-id", "req_org-0123456789"),
            ("retry-after", "2"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut secrets = Secrets::default();
        secrets.learn(&headers);
        let expected = [("x-request-id", "req_[stripped]"), ("retry-after", "2")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(stored(&headers, &secrets), expected);
    }
}
