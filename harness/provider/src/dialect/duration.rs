//! Durations as Go programs print them, which OpenAI and Google do.

use brownout_scenario::units::Micros;

/// A duration as Go prints it, down to the microsecond: `242.139ms`, `22.4s`, `6m0s`.
pub(crate) fn go_duration(duration: Micros) -> String {
    let decimals = |whole: u64, rest: u64, digits: usize| {
        let text = format!("{whole}.{rest:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let us = duration.0;
    if us > 0 && us < 1_000_000 {
        return format!("{}ms", decimals(us / 1_000, us % 1_000, 3));
    }
    let seconds = decimals(us / 1_000_000 % 60, us % 1_000_000, 6);
    match (us / 3_600_000_000, us / 60_000_000 % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_does() {
        for (us, text) in [
            (0, "0s"),
            (242_139, "242.139ms"),
            (40_000, "40ms"),
            (1_000_000, "1s"),
            (22_400_000, "22.4s"),
            (60_000_000, "1m0s"),
            (72_040_000, "1m12.04s"),
            (3_600_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Micros(us)), text);
        }
    }
}
