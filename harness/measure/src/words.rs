//! Figures as a person in a hurry reads them.
//!
//! Decides nothing; the unit comes from the end of the metric's name.

/// `1532000` as `1,532,000`.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// At most `decimals` decimals, without trailing zeros.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A share as a percentage: `0.784` is `78 %`, `0.0031` is `0.3 %`.
pub fn percent(share: f64) -> String {
    let decimals = usize::from(share != 0.0 && share.abs() < 0.0995);
    format!("{} %", trimmed(share * 100.0, decimals))
}

/// Milliseconds in the unit that keeps the number short: `24700` is `24.7 s`.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 10_000.0 => format!("{} s", trimmed(ms / 1e3, 1)),
        ms if ms >= 1_000.0 => format!("{} s", trimmed(ms / 1e3, 2)),
        ms if ms >= 10.0 => format!("{} ms", trimmed(ms, 0)),
        ms => format!("{} ms", trimmed(ms, 2)),
    }
}

/// What `metric` is called in a sentence; its path where it has no better name.
pub fn name(metric: &str) -> &str {
    match metric {
        "latency.p50_ms" => "median latency",
        "latency.p95_ms" => "p95 latency",
        "latency.p99_ms" => "p99 latency",
        "failure_time.p50_ms" => "median time until a failure was told",
        "failure_time.p99_ms" => "p99 time until a failure was told",
        "ttft.p50_ms" => "median time to first token",
        "ttft.p99_ms" => "p99 time to first token",
        "requests.answered_ratio" => "share answered",
        "requests.failed_ratio" => "share failed",
        "requests.whole_ratio" => "share answered in full",
        "requests.valid_ratio" => "share answered validly",
        "requests.valid" => "valid answers",
        "requests.wrong" => "wrong answers",
        "requests.withheld" => "answers cut by the content filter",
        "requests.incomplete" => "answers cut short unnoticed",
        "hosts.restarts" => "restarts",
        "hosts.replica_seconds" => "seconds of replicas paid for",
        "tokens.wasted_ratio" => "share of billed tokens wasted",
        "throughput_rps" => "answers per second",
        "goodput_rps" => "valid answers per second",
        "cost_usd" => "cost",
        "cost_per_valid_usd" => "cost of a valid answer",
        "hits_per_1000_tokens" => "answers from the cache per 1,000 tokens paid for",
        "attempts.per_prompt_max" => "most attempts at one prompt",
        path => path,
    }
}

/// The value of `metric` in words; infinite means that it never came to be.
pub fn figure(metric: &str, value: f64) -> String {
    if value.is_infinite() {
        return "never".to_owned();
    }
    if metric.ends_with("_ms") {
        milliseconds(value)
    } else if metric.ends_with("_ratio") || metric.starts_with("attribution.") {
        percent(value)
    } else if metric.ends_with("_per_valid_usd") {
        format!("${}", trimmed(value, 7))
    } else if metric.ends_with("_usd") {
        format!("${}", trimmed(value, 4))
    } else if metric.ends_with("_rps") {
        format!("{}/s", trimmed(value, 2))
    } else if metric.ends_with("_s") {
        format!("{} s", trimmed(value, 2))
    } else if value >= 1_000.0 {
        thousands(value.round() as u64)
    } else {
        trimmed(value, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_532_000), "1,532,000");
    }

    #[test]
    fn a_figure_carries_the_unit_its_name_ends_in() {
        assert_eq!(figure("latency.p99_ms", 24_700.0), "24.7 s");
        assert_eq!(figure("latency.p99_ms", 312.4), "312 ms");
        assert_eq!(figure("latency.p99_ms", 0.25), "0.25 ms");
        assert_eq!(figure("tokens.wasted_ratio", 0.412), "41 %");
        assert_eq!(figure("tokens.wasted_ratio", 0.004), "0.4 %");
        assert_eq!(figure("requests.answered_ratio", 1.0), "100 %");
        assert_eq!(figure("cost_usd", 0.0123), "$0.0123");
        assert_eq!(figure("cost_per_valid_usd", 0.000_151_2), "$0.0001512");
        assert_eq!(figure("throughput_rps", 6.5), "6.5/s");
        assert_eq!(figure("recovery_s", f64::INFINITY), "never");
        assert_eq!(figure("tokens.wasted", 12_345.0), "12,345");
        assert_eq!(figure("attempts.upstream", 100.0), "100");
    }
}
