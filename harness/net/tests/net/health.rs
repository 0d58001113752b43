//! Backends that come, go, fall ill and get well, and where the requests go meanwhile.

use std::time::Duration;

use brownout_net::Network;
use brownout_net::gateway::{GatewayConfig, HealthCheck};
use http::StatusCode;
use tokio::time::sleep;

use crate::backend::{Backend, Log};
use crate::gateway::{CONFIG, World};

fn checked() -> GatewayConfig {
    let check = HealthCheck {
        path: "/healthy".to_owned(),
        every: Duration::from_millis(100),
        timeout: Duration::from_millis(50),
        unhealthy_after: 3,
        healthy_after: 2,
    };
    GatewayConfig {
        health: Some(check),
        ..CONFIG
    }
}

async fn ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_gets_requests_once_it_has_passed_its_probes() {
    let world = World::with(checked(), Network::memory(), &["a"]);
    let mut client = world.client().await;
    ms(99).await;
    assert_eq!(client.fetch("/name").await.0, StatusCode::SERVICE_UNAVAILABLE);
    ms(2).await;
    assert_eq!(client.fetch("/name").await.0, StatusCode::OK);
    let expected = [
        "0ms a probed in 0ms: Some(200)",
        "100ms a probed in 0ms: Some(200)",
        "100ms a admitted",
    ];
    assert_eq!(world.log.lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_its_probes_is_ejected_and_comes_back() {
    let world = World::with(checked(), Network::memory(), &["a"]);
    world.log.until("a admitted").await;
    world.log.set_health(503, 0);
    assert_eq!(world.log.until("a ejected").await, "400ms a ejected");
    assert_eq!(
        world.client().await.fetch("/name").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    world.log.set_health(204, 0);
    ms(300).await;
    assert_eq!(world.client().await.fetch("/name").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_probe_just_inside_its_timeout_is_well_and_one_past_it_is_not() {
    let world = World::with(checked(), Network::memory(), &["a"]);
    world.log.set_health(200, 49);
    assert_eq!(world.log.until("a admitted").await, "149ms a admitted");
    world.log.set_health(200, 51);
    assert_eq!(world.log.until("a ejected").await, "450ms a ejected");
    assert!(world.log.lines().contains(&"450ms a probed in 50ms: None".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_ejected_backend_keeps_what_it_has() {
    let world = World::with(checked(), Network::memory(), &["a"]);
    world.log.until("a admitted").await;
    world.log.set_health(500, 0);
    let (_, text, complete) = world.client().await.fetch("/events/100/10").await;
    assert_eq!((text.len(), complete), (30, true));
    assert!(world.log.lines().iter().any(|line| line.ends_with("a ejected")));
}

#[tokio::test(start_paused = true)]
async fn probes_of_a_backend_end_with_its_removal_and_begin_anew_with_its_return() {
    let world = World::with(checked(), Network::memory(), &["a"]);
    world.log.until("a admitted").await;
    world.backends.remove("a");
    let before = world.log.lines().len();
    ms(1_000).await;
    assert_eq!(world.log.lines().len(), before);
    world.backends.add("a", "a");
    ms(99).await;
    assert_eq!(
        world.client().await.fetch("/name").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    ms(2).await;
    assert_eq!(world.client().await.fetch("/name").await.0, StatusCode::OK);
}

#[tokio::test]
async fn backends_are_probed_over_tcp() {
    let world = World::with(checked(), Network::tcp(), &["a", "b"]);
    world.log.until("a admitted").await;
    world.log.until("b admitted").await;
    world.log.set_health(503, 0);
    world.log.until("a ejected").await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_backend_gets_no_more_requests_and_finishes_those_it_has() {
    let world = World::start(Network::memory(), &["a", "b"]);
    let (mut first, mut second) = (world.client().await, world.client().await);
    let visit = async {
        ms(100).await;
        world.backends.remove("a");
        let mut names = String::new();
        for _ in 0..3 {
            names += &second.fetch("/name").await.1;
        }
        assert_eq!(names, "bbb");
        assert_eq!(
            (world.backends.in_flight("a"), world.backends.total_in_flight()),
            (1, 1)
        );
    };
    let ((_, text, complete), ()) = tokio::join!(first.fetch("/events/100/5"), visit);
    assert_eq!((text.len(), complete), (15, true));
    ms(1).await;
    assert_eq!(
        (world.backends.in_flight("a"), world.backends.total_in_flight()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_counted_until_their_clients_leave() {
    let world = World::start(Network::memory(), &["a", "b"]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = world.client().await;
        let response = client.get("/events/100/100").await.unwrap();
        clients.push((client, response));
    }
    assert_eq!((world.backends.in_flight("a"), world.backends.in_flight("b")), (2, 1));
    drop(clients);
    ms(1).await;
    assert_eq!(world.backends.total_in_flight(), 0);
}

fn patient() -> GatewayConfig {
    GatewayConfig {
        wait_for_backend: true,
        ..CONFIG
    }
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_first_backend_to_come() {
    let log = Log::start();
    let world = World::around(patient(), Network::memory(), log.clone(), Vec::new(), &[]);
    let mut clients = [world.client().await, world.client().await];
    let [first, second] = &mut clients;
    let arrival = async {
        ms(600).await;
        assert_eq!((world.backends.waiting(), world.backends.total_in_flight()), (2, 0));
        let late = Backend::start(&world.network, "late", &log);
        world.backends.add("late", &late.authority);
        late
    };
    let (one, two, _late) = tokio::join!(first.fetch("/name"), second.fetch("/name"), arrival);
    assert_eq!((one.1.as_str(), two.1.as_str(), world.now_ms()), ("late", "late", 600));
    assert_eq!(world.backends.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_backend_no_longer_than_the_request_timeout() {
    let world = World::with(patient(), Network::memory(), &[]);
    assert_eq!(
        world.client().await.fetch("/name").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!((world.now_ms(), world.backends.waiting()), (1_000, 0));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_waits_no_longer() {
    let world = World::with(patient(), Network::memory(), &[]);
    let mut client = world.client().await;
    let visit = client.fetch("/name");
    assert!(tokio::time::timeout(Duration::from_millis(300), visit).await.is_err());
    assert_eq!(world.backends.waiting(), 1);
    drop(client);
    ms(1).await;
    assert_eq!(world.backends.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_not_sent_to_a_backend_before_its_probes() {
    let config = GatewayConfig {
        wait_for_backend: true,
        ..checked()
    };
    let world = World::with(config, Network::memory(), &["a"]);
    assert_eq!(world.client().await.fetch("/name").await.1, "a");
    assert_eq!(world.now_ms(), 100);
}
