//! The two text formats that are scraped: OpenMetrics 1.0, and the classic 0.0.4 made from it. Pure.
//!
//! They differ in what a counter is called in its `# TYPE` line, in what they know of types and units, and in how they
//! end. Source: Prometheus documentation, "Exposition formats"; OpenMetrics 1.0.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// What Prometheus wrote before, and every tool reads.
    Classic,
}

impl Format {
    /// What a scraper asks for: OpenMetrics if it names that, the classic one otherwise.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if open { Self::OpenMetrics } else { Self::Classic }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics text in the classic format.
pub(super) fn classic(open: &str) -> String {
    let types: BTreeMap<&str, &str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let family = |name: &'_ str| match types.get(name).copied() {
        Some("counter") => Cow::Owned(format!("{name}_total")),
        _ => Cow::Owned::<'static, str>(name.to_owned()),
    };
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let _ = if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            writeln!(text, "# HELP {} {help}", family(name))
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let kind = if kind == "unknown" { "untyped" } else { kind };
            writeln!(text, "# TYPE {} {kind}", family(name))
        } else if line.starts_with('#') {
            Ok(())
        } else {
            writeln!(text, "{line}")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_called_by_their_full_name_and_the_end_is_left_out() {
        let open = "# HELP a Things.\n# TYPE a counter\na_total{x=\"1\"} 2\n# HELP b_seconds Time.\n\
                    # TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 0.5\n# EOF\n";
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"1\"} 2\n# HELP b_seconds Time.\n\
                        # TYPE b_seconds gauge\nb_seconds 0.5\n";
        assert_eq!(classic(open), expected);
    }

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        for classic in [None, Some("*/*"), Some("text/plain")] {
            assert_eq!(Format::accepted(classic), Format::Classic, "{classic:?}");
        }
    }
}
