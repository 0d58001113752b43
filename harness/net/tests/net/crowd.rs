//! As many connections as the process may have, and one more.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use brownout_net::{Network, Stream};
use tokio::time::timeout;

use crate::backend::{Backend, Log};
use crate::client::Client;

/// The idle connections that are asked for.
const CROWD: usize = 10_000;
/// Descriptors left to the tests beside this one.
const SPARE: usize = 200;
/// In the environment of a test that runs with few descriptors.
const FEW: &str = "BROWNOUT_TEST_WITH_FEW_DESCRIPTORS";

/// How many descriptors this process may have.
fn descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

#[tokio::test]
async fn a_request_is_answered_beside_a_crowd_of_idle_connections() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    // Both ends of each are ours.
    let size = (descriptors().saturating_sub(SPARE) / 2).min(CROWD);
    let mut crowd = Vec::with_capacity(size);
    for _ in 0..size {
        crowd.push(network.connect(&backend.authority).await.unwrap());
    }
    let mut client = Client::to(&network, &backend.authority).await;
    let answer = timeout(Duration::from_secs(20), client.fetch("/name")).await;
    assert_eq!(answer.expect("an answer").1, "service");
    // A reset leaves no port waiting.
    crowd.into_iter().for_each(Stream::reset);
}

/// Clock ticks of processor time that this process has used; `stat` is its `/proc/self/stat`.
fn ticks(stat: &File) -> u64 {
    let mut text = [0; 1_024];
    let length = stat.read_at(&mut text, 0).unwrap();
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    let (_, after_name) = text.rsplit_once(')').unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields[11..=12].iter().map(|field| field.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_server_without_descriptors_waits_and_recovers() {
    if std::env::var_os(FEW).is_none() {
        let itself = std::env::current_exe().unwrap();
        let limited = Command::new("sh")
            .args(["-c", r#"ulimit -n 64 && exec "$0" --exact "$1""#])
            .arg(itself)
            .arg("crowd::a_server_without_descriptors_waits_and_recovers")
            .env(FEW, "1")
            .output();
        let limited = limited.unwrap();
        assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stdout));
        assert!(String::from_utf8_lossy(&limited.stdout).contains("1 passed"));
        return;
    }
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    let stat = File::open("/proc/self/stat").unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    hoard.pop();
    let mut client = Client::to(&network, &backend.authority).await; // the last descriptor: none is left to accept with
    assert!(File::open("/dev/null").is_err());
    let before = ticks(&stat);
    let mut answer = Box::pin(client.fetch("/name"));
    assert!(timeout(Duration::from_secs(1), &mut answer).await.is_err());
    let used = ticks(&stat) - before;
    assert!(used < 30, "{used} ticks of 10 ms within a second: it spins");
    drop(hoard);
    let answer = timeout(Duration::from_secs(10), answer).await.expect("it recovers");
    assert_eq!(answer.1, "service");
}
