//! The gateway's limits, each from both sides, and cancellation that travels through it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brownout_net::Network;
use brownout_net::gateway::{self, Backends, GatewayConfig, GatewayEvent};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backend::{Backend, Log};
use crate::client::{Client, io_kind, read};

pub(crate) const CONFIG: GatewayConfig = GatewayConfig {
    request_timeout: Duration::from_secs(1),
    idle_timeout: Duration::from_millis(300),
    total_timeout: None,
    health: None,
    wait_for_backend: false,
};

/// A gateway in front of backends, all in one network.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) log: Log,
    pub(crate) backends: Backends,
    gateway: String,
    _running: Vec<Backend>,
    _task: AbortOnDropHandle<()>,
}

impl World {
    pub(crate) fn start(network: Network, hosts: &[&str]) -> Self {
        Self::with(CONFIG, network, hosts)
    }

    pub(crate) fn with(config: GatewayConfig, network: Network, hosts: &[&str]) -> Self {
        let log = Log::start();
        let mut running = Vec::new();
        for host in hosts {
            running.push(Backend::start(&network, host, &log));
        }
        let named = hosts.iter().zip(&running);
        let named: Vec<_> = named
            .map(|(name, b)| ((*name).to_owned(), b.authority.clone()))
            .collect();
        Self::around(config, network, log, running, &named)
    }

    pub(crate) fn around(
        config: GatewayConfig,
        network: Network,
        log: Log,
        running: Vec<Backend>,
        named: &[(String, String)],
    ) -> Self {
        let listener = network.listen("gateway").expect("a free name");
        let gateway = listener.authority().to_owned();
        let backends = Backends::new();
        for (name, authority) in named {
            backends.add(name, authority);
        }
        let events = log.clone();
        let task = tokio::spawn(gateway::run(
            listener,
            network.clone(),
            backends.clone(),
            config,
            Arc::new(move |event| events.note(&told(event))),
            CancellationToken::new(),
            Duration::ZERO,
        ));
        Self {
            network,
            log,
            backends,
            gateway,
            _running: running,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::to(&self.network, &self.gateway).await
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.log.clock.now_us() / 1_000
    }
}

fn told(event: GatewayEvent) -> String {
    match event {
        GatewayEvent::Ejected { name } => format!("{name} ejected"),
        GatewayEvent::Admitted { name } => format!("{name} admitted"),
        GatewayEvent::Probed { name, took, status, .. } => {
            format!("{name} probed in {}ms: {status:?}", took.as_millis())
        }
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
    tokio::spawn(async move {
        while rude.accept().await.is_ok_and(|stream| {
            stream.reset();
            true
        }) {}
    });
    let good = Backend::start(&network, "good", &log);
    let named = ["away", "rude", "good"].map(|name| (name.to_owned(), name.to_owned()));
    let world = World::around(CONFIG, network, log, vec![good], &named);
    let mut client = world.client().await;
    // The first goes to `rude`, as `away` refuses; what `rude` has seen nobody else is shown.
    for expected in [
        StatusCode::BAD_GATEWAY,
        StatusCode::OK,
        StatusCode::BAD_GATEWAY,
        StatusCode::OK,
    ] {
        assert_eq!(client.fetch("/name").await.0, expected);
    }
    assert_eq!(world.backends.second_tries(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_tried_at_one_other_backend_and_no_more() {
    let (network, log) = (Network::memory(), Log::start());
    let good = Backend::start(&network, "good", &log);
    let named = ["away", "gone", "good"].map(|name| (name.to_owned(), name.to_owned()));
    let world = World::around(CONFIG, network, log, vec![good], &named);
    let mut client = world.client().await;
    assert_eq!(client.fetch("/name").await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(
        client.send("POST", "/echo", "a body").await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(world.backends.second_tries(), 1);
    world.backends.remove("gone");
    world.backends.remove("good");
    assert_eq!(client.fetch("/name").await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(
        (world.backends.second_tries(), world.backends.total_in_flight()),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn no_backend_at_all_is_a_503() {
    let world = World::start(Network::memory(), &[]);
    let (status, text, _) = world.client().await.fetch("/name").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("no_backend"), "{text}");
}

fn total(ms: u64) -> World {
    let config = GatewayConfig {
        total_timeout: Some(Duration::from_millis(ms)),
        ..CONFIG
    };
    World::with(config, Network::memory(), &["service"])
}

#[tokio::test(start_paused = true)]
async fn a_stream_just_inside_the_total_timeout_passes() {
    let world = total(2_001);
    let (_, text, complete) = world.client().await.fetch("/events/200/10").await;
    assert_eq!((text.len(), complete, world.now_ms()), (30, true, 2_000));
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_resets_a_stream_that_flows() {
    let world = total(1_999);
    let mut client = world.client().await;
    let response = client.get("/events/200/10").await.unwrap();
    let (text, end) = read(response).await;
    assert_eq!((text.len(), world.now_ms()), (27, 1_999));
    assert_eq!(io_kind(&end.unwrap_err()), Some(io::ErrorKind::ConnectionReset));
    assert_eq!(world.log.until("events left").await, "1999ms events left");
}

#[tokio::test(start_paused = true)]
async fn a_total_timeout_before_the_head_is_a_504() {
    let world = total(500);
    let (status, _, complete) = world.client().await.fetch("/slow/501").await;
    assert_eq!(
        (status, complete, world.now_ms()),
        (StatusCode::GATEWAY_TIMEOUT, true, 500)
    );
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_does_not_slip_for_a_client_that_does_not_read() {
    let world = total(700);
    let mut client = world.client().await;
    let response = client.get("/flood").await.unwrap();
    assert_eq!(world.log.until("flood left").await, "700ms flood left");
    // All that is left is what was in the pipe, and then the reset: nothing is pushed after it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (text, end) = read(response).await;
    assert!(text.len() <= 64 * 1_024 + 16 * 1_024, "{} bytes", text.len());
    assert_eq!(io_kind(&end.unwrap_err()), Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn the_total_timeout_does_not_slip_for_a_client_that_does_not_read_over_tcp() {
    let config = GatewayConfig {
        total_timeout: Some(Duration::from_millis(300)),
        ..CONFIG
    };
    let world = World::with(config, Network::tcp(), &["service"]);
    let mut client = world.client().await;
    let response = client.get("/flood").await.unwrap();
    world.log.until("flood left").await;
    let (_, end) = timeout(Duration::from_secs(5), read(response)).await.unwrap();
    assert_eq!(io_kind(&end.unwrap_err()), Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_no_silence_of_the_backend() {
    let config = GatewayConfig {
        request_timeout: Duration::from_mins(1),
        ..CONFIG
    };
    let world = World::with(config, Network::memory(), &["service"]);
    // More than all buffers on the way hold, for a client that pauses for four times the idle timeout now and then.
    let mut client = world.client().await;
    let response = client.get("/bulk/10/200").await.unwrap();
    let (mut body, mut bytes, mut pauses) = (response.into_body(), 0, 0);
    while let Some(frame) = body.frame().await {
        bytes += frame.expect("not cut").into_data().expect("data").len();
        if bytes > pauses * 1_000_000 {
            pauses += 1;
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        }
    }
    assert_eq!((bytes, pauses), (200 * 16 * 1_024, 4));
}
