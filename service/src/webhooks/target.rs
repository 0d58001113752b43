//! Which addresses may be told: only hosts that the operator named.
//!
//! A caller's URL is a request that this service sends from inside its network. So there is no rule that lets everybody
//! in, an address in numbers or a local name counts only when it is named as it stands, and so does a port other than
//! the scheme's own. Does not look names up: a named host may resolve to what its operator likes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

/// Longest URL that is taken, in bytes.
const LONGEST_URL: usize = 2048;

/// A host that may be told: `hooks.example.com`, `hooks.example.com:8443`, or `*.example.com` for all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// In lower case, without the star.
    name: String,
    below: bool,
    port: Option<u16>,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a host such as \"hooks.example.com\", with its port if it is an unusual one, or \"*.example.com\" for all \
     below it; a rule for every host would open this network to every caller"
)]
pub struct BadHost;

/// An address that is not told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefused {
    /// No hosts are named.
    #[error("webhooks are switched off here: leave the key out and ask for the job instead")]
    Off,
    /// It is no URL that could be told.
    #[error("the webhook is no http or https URL of up to {LONGEST_URL} bytes without a user name")]
    NoUrl,
    /// The host is not among those that are named.
    #[error("the webhook's host, or its port, is not among those that this service may tell")]
    NotAllowed,
    /// In plain text over the open network.
    #[error("the webhook's URL is not https: only a host that the settings name in full may be told without")]
    NotEncrypted,
}

impl FromStr for AllowedHost {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !name.ends_with(':') && (!name.contains(':') || name.ends_with(']')) => {
                let port = port.parse().ok().filter(|port| *port > 0).ok_or(BadHost)?;
                (name, Some(port))
            }
            _ => (text, None),
        };
        let (below, name) = name.strip_prefix("*.").map_or((false, name), |name| (true, name));
        let name = name.to_ascii_lowercase();
        let is_good = match numeric(&name) {
            Some(_) => !below,
            None => is_name(&name) && (!below || name.contains('.')),
        };
        is_good.then_some(Self { name, below, port }).ok_or(BadHost)
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(f, "{star}{}", self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl AllowedHost {
    fn covers(&self, host: &str, port: u16, usual: u16) -> bool {
        let same = if self.below {
            host.strip_suffix(&self.name).is_some_and(|rest| rest.ends_with('.'))
        } else {
            host == self.name
        };
        same && port == self.port.unwrap_or(usual)
    }
}

/// The address of `url` if `hosts` cover it.
pub(crate) fn allowed(hosts: &[AllowedHost], url: &str) -> Result<Uri, WebhookRefused> {
    if hosts.is_empty() {
        return Err(WebhookRefused::Off);
    }
    let uri: Uri = url.parse().map_err(|_| WebhookRefused::NoUrl)?;
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
    let is_url = url.len() <= LONGEST_URL
        && (encrypted || uri.scheme() == Some(&Scheme::HTTP))
        && (numeric(&host).is_some() || is_name(&host))
        && !uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
    if !is_url {
        return Err(WebhookRefused::NoUrl);
    }
    let usual = if encrypted { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(usual);
    let mut covering = hosts
        .iter()
        .filter(|allowed| allowed.covers(&host, port, usual))
        .peekable();
    if covering.peek().is_none() {
        return Err(WebhookRefused::NotAllowed);
    }
    if encrypted || covering.any(|allowed| !allowed.below) {
        Ok(uri)
    } else {
        Err(WebhookRefused::NotEncrypted)
    }
}

/// An address in numbers; one of version 6 stands in brackets.
fn numeric(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// A name by the letters that names are made of. The last part is no number: `127.1` and `0x7f.1` are addresses to some.
fn is_name(host: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.split('.').all(is_part) && !last.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(texts: &[&str]) -> Vec<AllowedHost> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_hosts_that_are_named_are_told() {
        let hosts = hosts(&["hooks.example.com", "*.example.org", "other.example.com:8443"]);
        for good in [
            "https://hooks.example.com/a?b=c",
            "https://HOOKS.example.com:443/",
            "http://hooks.example.com/",
            "https://a.b.example.org/",
            "https://other.example.com:8443/",
        ] {
            assert!(allowed(&hosts, good).is_ok(), "{good}");
        }
        for bad in [
            "https://example.com/",
            "https://example.org/",
            "https://evilexample.org/",
            "https://hooks.example.com.evil.com/",
            "https://hooks.example.com:8443/",
            "https://other.example.com/",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://10.0.0.1/",
        ] {
            assert_eq!(allowed(&hosts, bad), Err(WebhookRefused::NotAllowed), "{bad}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        let hosts = hosts(&["hooks.example.com"]);
        let long = format!("https://hooks.example.com/{}", "a".repeat(LONGEST_URL));
        for bad in [
            "",
            "hooks.example.com",
            "/relative",
            "ftp://hooks.example.com/",
            "https://hooks.example.com@evil.com/",
            "https://user:word@hooks.example.com/",
            "https://127.1/",
            "https://0x7f.0.0.1/",
            "https://2130706433/",
            "https://hooks.example.com./",
            &long,
        ] {
            assert_eq!(allowed(&hosts, bad), Err(WebhookRefused::NoUrl), "{bad}");
        }
        assert_eq!(allowed(&[], "https://hooks.example.com/"), Err(WebhookRefused::Off));
    }

    #[test]
    fn a_star_covers_no_plain_text_and_a_local_address_counts_when_it_is_named() {
        let stars = hosts(&["*.example.org"]);
        assert_eq!(
            allowed(&stars, "http://a.example.org/"),
            Err(WebhookRefused::NotEncrypted)
        );
        let local = hosts(&["127.0.0.1:9000", "[::1]:9000", "localhost"]);
        for good in ["http://127.0.0.1:9000/", "http://[::1]:9000/", "http://localhost/"] {
            assert!(allowed(&local, good).is_ok(), "{good}");
        }
        assert_eq!(allowed(&local, "http://127.0.0.1/"), Err(WebhookRefused::NotAllowed));
    }

    #[test]
    fn rules_are_written_as_they_are_read_and_nonsense_is_refused() {
        for good in [
            "hooks.example.com",
            "*.example.com",
            "a.b:8443",
            "127.0.0.1:9000",
            "[::1]:80",
            "localhost",
        ] {
            assert_eq!(good.parse::<AllowedHost>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "*",
            "*.com",
            "*.",
            "a b",
            "a:0",
            "a:port",
            "https://a.b",
            "a/b",
            "::1",
            "*.127.0.0.1",
            "a..b",
        ] {
            assert_eq!(bad.parse::<AllowedHost>(), Err(BadHost), "{bad}");
        }
    }
}
