//! The gateway's limits, each from both sides, and cancellation that travels through it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use brownout_net::Network;
use brownout_net::gateway::{self, GatewayConfig};
use http::StatusCode;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backend::{Backend, Log};
use crate::client::{Client, read};

const CONFIG: GatewayConfig = GatewayConfig {
    request_timeout: Duration::from_secs(1),
    idle_timeout: Duration::from_millis(300),
};

/// A gateway in front of backends, all in one network.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) log: Log,
    gateway: String,
    _backends: Vec<Backend>,
    _task: AbortOnDropHandle<()>,
}

impl World {
    pub(crate) fn start(network: Network, hosts: &[&str]) -> Self {
        let log = Log::start();
        let mut backends = Vec::new();
        for host in hosts {
            backends.push(Backend::start(&network, host, &log));
        }
        let authorities = backends.iter().map(|b| b.authority.clone()).collect();
        Self::around(network, log, backends, authorities)
    }

    fn around(network: Network, log: Log, backends: Vec<Backend>, authorities: Vec<String>) -> Self {
        let listener = network.listen("gateway").expect("a free name");
        let gateway = listener.authority().to_owned();
        let task = tokio::spawn(gateway::run(
            listener,
            network.clone(),
            authorities,
            CONFIG,
            CancellationToken::new(),
            Duration::ZERO,
        ));
        Self {
            network,
            log,
            gateway,
            _backends: backends,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::to(&self.network, &self.gateway).await
    }

    fn now_ms(&self) -> u64 {
        self.log.clock.now_us() / 1_000
    }
}

fn one() -> World {
    World::start(Network::memory(), &["service"])
}

#[tokio::test(start_paused = true)]
async fn requests_go_to_the_backends_in_turn_with_their_bodies() {
    let world = World::start(Network::memory(), &["a", "b", "c"]);
    let mut client = world.client().await;
    let mut names = String::new();
    for _ in 0..4 {
        names += &client.fetch("/name").await.1;
    }
    assert_eq!(names, "abca");
    let response = client.send("POST", "/echo", "a body").await.unwrap();
    assert_eq!(read(response).await.0, "a body");
}

#[tokio::test(start_paused = true)]
async fn a_response_just_inside_the_request_timeout_passes() {
    let world = one();
    let (status, text, complete) = world.client().await.fetch("/slow/999").await;
    assert_eq!((status, text.as_str(), complete), (StatusCode::OK, "done", true));
}

#[tokio::test(start_paused = true)]
async fn a_response_just_past_the_request_timeout_is_a_504_and_the_backend_is_left() {
    let world = one();
    let (status, text, complete) = world.client().await.fetch("/slow/1001").await;
    assert_eq!((status, complete), (StatusCode::GATEWAY_TIMEOUT, true));
    assert!(text.contains("gateway_timeout"), "{text}");
    assert_eq!(world.log.until("slow left").await, "1000ms slow left");
}

#[tokio::test(start_paused = true)]
async fn a_body_just_inside_the_request_timeout_passes() {
    let world = one();
    let (_, text, complete) = world.client().await.fetch("/drip/111/9").await;
    assert_eq!((text.len(), complete, world.now_ms()), (27, true, 999));
}

#[tokio::test(start_paused = true)]
async fn a_body_past_the_request_timeout_is_cut_short_of_its_end() {
    let world = one();
    let (status, text, complete) = world.client().await.fetch("/drip/240/10").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "<0><1><2><3>"));
    assert_eq!((complete, world.now_ms()), (false, 1_000));
    assert_eq!(world.log.until("drip left").await, "1000ms drip left");
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_outlives_the_request_timeout() {
    let world = one();
    let (_, text, complete) = world.client().await.fetch("/events/299/10").await;
    assert_eq!((text.len(), complete, world.now_ms()), (30, true, 2_990));
    world.log.until("events finished").await;
}

#[tokio::test(start_paused = true)]
async fn a_silence_past_the_idle_timeout_cuts_an_event_stream() {
    let world = one();
    let (status, text, complete) = world.client().await.fetch("/events/301/10").await;
    assert_eq!((status, text.as_str(), complete), (StatusCode::OK, "", false));
    assert_eq!(world.log.until("events left").await, "300ms events left");
}

/// The time at which the backend learns of a client that left at 600 ms.
async fn left_at(network: Network, path: &str, name: &str) -> String {
    let world = World::start(network, &["service"]);
    let mut client = world.client().await;
    let visit = async { read(client.get(path).await.unwrap()).await };
    assert!(timeout(Duration::from_millis(600), visit).await.is_err());
    drop(client);
    world.log.until(&format!("{name} left")).await
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_head_leaves_the_backend() {
    let line = left_at(Network::memory(), "/slow/900", "slow").await;
    assert_eq!(line, "600ms slow left");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_mid_stream_leaves_the_backend() {
    let line = left_at(Network::memory(), "/events/250/100", "events").await;
    assert_eq!(line, "600ms events left");
}

#[tokio::test]
async fn a_client_that_leaves_mid_stream_leaves_the_backend_over_tcp() {
    left_at(Network::tcp(), "/events/50/1000", "events").await;
}

#[tokio::test]
async fn a_request_passes_over_tcp() {
    let world = World::start(Network::tcp(), &["service"]);
    let (status, text, complete) = world.client().await.fetch("/events/5/5").await;
    assert_eq!((status, text.len(), complete), (StatusCode::OK, 15, true));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_the_backend_back_until_the_request_timeout() {
    let world = one();
    let mut client = world.client().await;
    let response = client.get("/flood").await.unwrap();
    tokio::time::sleep(Duration::from_millis(999)).await;
    assert_eq!(world.log.lines(), ["0ms flood began"]);
    let produced = world.log.flooded.load(Ordering::Relaxed);
    assert!((1..200).contains(&produced), "{produced} chunks of 16 KiB");
    assert_eq!(world.log.until("flood left").await, "1000ms flood left");
    assert!(read(response).await.1.is_err(), "cut, not ended");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_breaks_off_mid_body_breaks_off_the_response() {
    let world = one();
    let (status, text, complete) = world.client().await.fetch("/reset").await;
    assert_eq!((status, text.as_str(), complete), (StatusCode::OK, "half of it", false));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_away_or_hangs_up_is_a_502_and_the_next_request_passes() {
    let (network, log) = (Network::memory(), Log::start());
    let mut rude = network.listen("rude").unwrap();
    tokio::spawn(async move { rude.accept().await.unwrap().reset() });
    let good = Backend::start(&network, "good", &log);
    let authorities = ["away", "rude", "good"].map(str::to_owned).to_vec();
    let world = World::around(network, log, vec![good], authorities);
    let mut client = world.client().await;
    for expected in [StatusCode::BAD_GATEWAY, StatusCode::BAD_GATEWAY, StatusCode::OK] {
        assert_eq!(client.fetch("/name").await.0, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_backend_at_all_is_a_502() {
    let world = World::start(Network::memory(), &[]);
    assert_eq!(world.client().await.fetch("/name").await.0, StatusCode::BAD_GATEWAY);
}
