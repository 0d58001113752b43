//! What processes have used, read from `/proc`.
//!
//! Takes no averages and knows no load: two readings and a subtraction are the caller's.

use std::io;

use tokio::time::Instant;

/// The unit of CPU times in `/proc`, per second: the same on every Linux that programs see.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds used up to a moment, each of user and system together.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// By the provider.
    pub provider: f64,
    /// By this program.
    pub client: f64,
    /// By everything on the machine, these two included.
    pub machine: f64,
    /// When that was.
    pub at: Instant,
}

impl Usage {
    /// What has been used by now.
    pub fn read(provider: u32) -> io::Result<Self> {
        Ok(Self {
            provider: of_process(&provider.to_string())?,
            client: of_process("self")?,
            machine: of_machine()?,
            at: Instant::now(),
        })
    }

    /// Seconds from `before` to this.
    pub fn wall(&self, before: &Self) -> f64 {
        (self.at - before.at).as_secs_f64()
    }

    /// What was used since `before`, in words.
    pub fn since(&self, before: &Self) -> String {
        let wall = self.wall(before);
        let (provider, client) = (self.provider - before.provider, self.client - before.client);
        let others = (self.machine - before.machine - provider - client).max(0.0);
        format!(
            "CPU over {wall:.1} s: provider {provider:.2} s ({:.0} % of a core), client {client:.2} s ({:.0} %), \
             others on this machine {others:.2} s ({:.0} %)",
            100.0 * provider / wall,
            100.0 * client / wall,
            100.0 * others / wall,
        )
    }
}

/// The resident set of a process: now, and at its largest so far. In MiB.
pub fn memory(pid: u32) -> io::Result<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let figure = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0)
            .ok_or_else(|| unreadable("a process' status"))
    };
    Ok((figure("VmRSS:")?, figure("VmHWM:")?))
}

fn of_process(pid: &str) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name, in brackets, and may hold anything; utime and stime are 14 and 15.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest);
    let ticks: Option<Vec<f64>> = rest.map(|rest| numbers(rest.split_whitespace().skip(11).take(2)));
    match ticks.as_deref() {
        Some([user, system]) => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err(unreadable("a process' stat")),
    }
}

fn of_machine() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Option<Vec<f64>> = line.map(|line| numbers(line.split_whitespace().take(7)));
    match ticks.as_deref() {
        // Neither idle nor waiting for a disk.
        Some([user, nice, system, _, _, irq, softirq]) => Ok((user + nice + system + irq + softirq) / TICKS_PER_SECOND),
        _ => Err(unreadable("/proc/stat")),
    }
}

fn numbers<'a>(words: impl Iterator<Item = &'a str>) -> Vec<f64> {
    words.filter_map(|word| word.parse().ok()).collect()
}

fn unreadable(what: &str) -> io::Error {
    io::Error::other(format!("{what} does not read as on other Linux systems"))
}
