//! Many scrapes of many processes as one OpenMetrics text with times. Pure.
//!
//! OpenMetrics wants all samples of a family together, and those of a series in the order of time, so everything is sorted
//! anew. Reads OpenMetrics and the classic format alike; a line that is neither is left out. Source: OpenMetrics 1.0.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Scrape;

/// Samples of a kind.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    /// By labels (without `le`, so that the buckets of a histogram stay together), by time: the samples as they were told.
    series: BTreeMap<String, BTreeMap<u64, Vec<(String, String)>>>,
}

/// One text of all `scrapes`, on a run that began at `origin_unix_us`.
pub(super) fn write(scrapes: &[Scrape], origin_unix_us: u64) -> String {
    let mut families = BTreeMap::<String, Family>::new();
    for scrape in scrapes {
        let at_us = origin_unix_us + scrape.at.0;
        if let Some(text) = &scrape.text {
            take(&mut families, text, &scrape.instance, at_us);
        }
        take(&mut families, &up(scrape.text.is_some()), &scrape.instance, at_us);
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (name, family) in &families {
        let _ = writeln!(text, "# HELP {name} {}", family.help);
        let _ = writeln!(text, "# TYPE {name} {}", family.kind);
        for (at_us, samples) in family.series.values().flatten() {
            for (series, value) in samples {
                let _ = writeln!(
                    text,
                    "{series} {value} {}.{:03}",
                    at_us / 1_000_000,
                    at_us / 1_000 % 1_000
                );
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

/// What Prometheus itself adds.
fn up(answered: bool) -> String {
    let help = "# HELP up Whether the process answered when it was asked for its metrics.";
    format!("{help}\n# TYPE up gauge\nup {}\n", u8::from(answered))
}

fn take(families: &mut BTreeMap<String, Family>, text: &str, instance: &str, at_us: u64) {
    let mut current: Option<(String, String)> = None;
    let mut help = String::new();
    for line in text.lines() {
        if let Some((_, words)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            words.clone_into(&mut help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let name = if kind == "counter" {
                name.trim_end_matches("_total")
            } else {
                name
            };
            let kind = if kind == "untyped" { "unknown" } else { kind };
            let family = families.entry(name.to_owned()).or_default();
            kind.clone_into(&mut family.kind);
            family.help = std::mem::take(&mut help);
            current = Some((name.to_owned(), kind.to_owned()));
        } else if let Some((family, _)) = &current
            && let Some(sample) = Sample::read(line)
            && let Some(family) = families.get_mut(family)
        {
            let series = family.series.entry(sample.series(instance)).or_default();
            let labels = sample.labels(instance);
            let told = (format!("{}{labels}", sample.name), sample.value.to_owned());
            series.entry(at_us).or_default().push(told);
        }
    }
}

/// A line with a value.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: &'a str,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        // The value of a label may hold spaces and braces; the value of a sample holds none.
        let (series, rest) = match line.rfind('}') {
            Some(end) => line.split_at(end + 1),
            None => line.split_at(line.find(' ')?),
        };
        let value = rest.split_whitespace().next()?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        Some(Self { name, labels, value })
    }

    fn labels(&self, instance: &str) -> String {
        let separator = if self.labels.is_empty() { "" } else { "," };
        format!("{{instance=\"{instance}\"{separator}{}}}", self.labels)
    }

    /// What tells the series of a family apart: not the bound of a bucket.
    fn series(&self, instance: &str) -> String {
        let Some((before, bound)) = self.labels.split_once("le=\"") else {
            return format!("{instance} {}", self.labels);
        };
        let after = bound.split_once('"').map_or("", |(_, after)| after);
        let labels = [before.trim_end_matches(','), after.trim_start_matches(',')];
        format!("{instance} {}", labels.map(str::to_owned).concat())
    }
}

#[cfg(test)]
mod tests {
    use brownout_scenario::units::Micros;

    use super::*;

    fn scrape(at_s: u64, instance: &str, text: &str) -> Scrape {
        Scrape {
            at: Micros::from_secs(at_s),
            instance: instance.to_owned(),
            text: Some(text.to_owned()),
        }
    }

    #[test]
    fn samples_are_sorted_by_family_series_and_time_and_carry_their_instance() {
        let counts = |n: u32| {
            format!(
                "# HELP c Things, counted.\n# TYPE c counter\nc_total{{path=\"/x {{}}\"}} {n}\n\
                 # TYPE h_seconds histogram\nh_seconds_sum{{a=\"1\"}} {n}\nh_seconds_count{{a=\"1\"}} {n}\n\
                 h_seconds_bucket{{le=\"1.0\",a=\"1\"}} {n}\nh_seconds_bucket{{le=\"+Inf\",a=\"1\"}} {n}\n# EOF\n"
            )
        };
        let scrapes = [
            scrape(1, "b", &counts(1)),
            scrape(1, "a", &counts(2)),
            scrape(2, "a", &counts(3)),
        ];
        let text = write(&scrapes, 0);
        let expected = "# HELP c Things, counted.\n# TYPE c counter\n\
                        c_total{instance=\"a\",path=\"/x {}\"} 2 1.000\n\
                        c_total{instance=\"a\",path=\"/x {}\"} 3 2.000\n\
                        c_total{instance=\"b\",path=\"/x {}\"} 1 1.000\n\
                        # HELP h_seconds \n# TYPE h_seconds histogram\n\
                        h_seconds_sum{instance=\"a\",a=\"1\"} 2 1.000\n\
                        h_seconds_count{instance=\"a\",a=\"1\"} 2 1.000\n\
                        h_seconds_bucket{instance=\"a\",le=\"1.0\",a=\"1\"} 2 1.000\n\
                        h_seconds_bucket{instance=\"a\",le=\"+Inf\",a=\"1\"} 2 1.000\n";
        assert!(text.starts_with(expected), "{text}");
        let classic = "# HELP c_total Things, counted.\n# TYPE c_total counter\nc_total{path=\"/x {}\"} 2\n";
        let start = "# HELP c Things, counted.\n# TYPE c counter\nc_total{instance=\"a\",path=\"/x {}\"} 2 1.000\n";
        assert!(write(&[scrape(1, "a", classic)], 0).starts_with(start));
    }

    #[test]
    fn lines_that_are_no_samples_are_left_out() {
        let text = write(&[scrape(0, "a", "<html>\n# TYPE x gauge\nx\n# comment\n\nx 1\n")], 0);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["up{instance=\"a\"} 1 0.000", "x{instance=\"a\"} 1 0.000"]);
    }
}
