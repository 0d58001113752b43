//! The serve loop: round trips, clients that leave, resets, back-pressure, shutdown.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brownout_net::{Network, accept_into};
use http::StatusCode;
use http::header::DATE;
use http_body_util::Empty;
use hyper_util::client::legacy::Client as PooledClient;
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Log, router};
use crate::client::{Client, io_kind, read};

async fn requests_and_responses_arrive_whole(network: Network) {
    let backend = Backend::start(&network, "service", &Log::start());
    let mut client = Client::to(&network, &backend.authority).await;
    for text in ["first", "second on the same connection"] {
        let response = client.send("POST", "/echo", text).await.unwrap();
        assert_eq!(response.headers().get(DATE), None);
        assert_eq!(read(response).await.0, text);
    }
    let (status, text, complete) = client.fetch("/drip/3/4").await;
    assert_eq!(
        (status, text.as_str(), complete),
        (StatusCode::OK, "<0><1><2><3>", true)
    );
}

#[tokio::test(start_paused = true)]
async fn requests_and_responses_arrive_whole_in_memory() {
    requests_and_responses_arrive_whole(Network::memory()).await;
}

#[tokio::test]
async fn requests_and_responses_arrive_whole_over_tcp() {
    requests_and_responses_arrive_whole(Network::tcp()).await;
}

async fn the_handler_is_dropped_when_its_client_leaves(network: Network) -> String {
    let log = Log::start();
    let backend = Backend::start(&network, "service", &log);
    let mut client = Client::to(&network, &backend.authority).await;
    let waited = timeout(Duration::from_millis(100), client.get("/slow/60000")).await;
    assert!(waited.is_err());
    drop(client);
    log.until("slow left").await
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_dropped_when_its_client_leaves_in_memory() {
    let line = the_handler_is_dropped_when_its_client_leaves(Network::memory()).await;
    assert_eq!(line, "100ms slow left");
}

#[tokio::test]
async fn the_handler_is_dropped_when_its_client_leaves_over_tcp() {
    the_handler_is_dropped_when_its_client_leaves(Network::tcp()).await;
}

async fn a_service_can_reset_its_connection(network: Network) {
    let backend = Backend::start(&network, "service", &Log::start());
    let mut client = Client::to(&network, &backend.authority).await;
    let response = client.get("/reset").await.unwrap();
    let (text, end) = read(response).await;
    assert_eq!(text, "half of it");
    assert_eq!(io_kind(&end.unwrap_err()), Some(ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn a_service_can_reset_its_connection_in_memory() {
    a_service_can_reset_its_connection(Network::memory()).await;
}

#[tokio::test]
async fn a_service_can_reset_its_connection_over_tcp() {
    a_service_can_reset_its_connection(Network::tcp()).await;
}

async fn a_pooled_client_works_over_the_connector(network: Network) {
    let backend = Backend::start(&network, "service", &Log::start());
    let client: PooledClient<_, Empty<bytes::Bytes>> =
        PooledClient::builder(TokioExecutor::new()).build(network.connector());
    let uri = format!("http://{}/name", backend.authority);
    let response = client.get(uri.parse().unwrap()).await.unwrap();
    assert_eq!(read(response).await.0, "service");
    let tls = client.get("https://service/name".parse().unwrap()).await;
    assert!(tls.unwrap_err().is_connect());
}

#[tokio::test(start_paused = true)]
async fn a_pooled_client_works_over_the_connector_in_memory() {
    a_pooled_client_works_over_the_connector(Network::memory()).await;
}

#[tokio::test]
async fn a_pooled_client_works_over_the_connector_over_tcp() {
    a_pooled_client_works_over_the_connector(Network::tcp()).await;
}

#[tokio::test(start_paused = true)]
async fn axum_serves_from_a_listener_too() {
    let network = Network::memory();
    let listener = network.listen("service").unwrap();
    let app = router("service", Log::start());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = Client::to(&network, "service").await;
    assert_eq!(client.fetch("/name").await.1, "service");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stops_the_service_from_producing() {
    let (network, log) = (Network::memory(), Log::start());
    let backend = Backend::start(&network, "service", &log);
    let mut client = Client::to(&network, &backend.authority).await;
    let response = client.get("/flood").await.unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    let produced = log.flooded.load(Ordering::Relaxed);
    assert!((1..100).contains(&produced), "{produced} chunks of 16 KiB");
    drop((response, client));
    assert_eq!(log.until("flood left").await, "50000ms flood left");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_open_requests_finish_within_the_grace() {
    let (network, log) = (Network::memory(), Log::start());
    let backend = Backend::start(&network, "service", &log);
    let mut inside = Client::to(&network, "service").await;
    let mut outside = Client::to(&network, "service").await;
    let (inside, outside, stopped_us) = tokio::join!(inside.get("/slow/2050"), outside.get("/slow/2150"), async {
        log.clock.sleep_until(100_000).await;
        backend.shutdown.cancel();
        backend.task.await.unwrap();
        log.clock.now_us()
    });
    assert_eq!(inside.unwrap().status(), StatusCode::OK);
    assert!(outside.is_err());
    assert_eq!(stopped_us, 2_100_000);
    assert!(network.connect("service").await.is_err());
}

async fn an_accept_loop_that_closes_finishes_what_is_open_and_can_go_on(network: Network) {
    let log = Log::start();
    let service = TowerToHyperService::new(router("service", log.clone()));
    let mut listener = network.listen("service").unwrap();
    let authority = listener.authority().to_owned();
    let mut open = JoinSet::new();
    for _ in 0..2 {
        let closing = CancellationToken::new();
        let visit = async {
            let mut idle = Client::to(&network, &authority).await;
            assert_eq!(idle.fetch("/name").await.1, "service");
            let mut client = Client::to(&network, &authority).await;
            let response = client.get("/drip/30/3").await.unwrap();
            closing.cancel();
            (idle, client, response)
        };
        let accepting = accept_into(&mut listener, service.clone(), closing.clone(), &mut open);
        let ((), (mut idle, _client, response)) = tokio::join!(accepting, visit);
        let closed = listener.close().unwrap();
        assert!(network.connect(&authority).await.is_err());
        let (text, end) = read(response).await;
        assert_eq!((text.as_str(), end.is_ok()), ("<0><1><2>", true));
        while open.join_next().await.is_some() {}
        assert!(idle.get("/name").await.is_err(), "closed with the doors");
        listener = closed.reopen().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_accept_loop_that_closes_finishes_what_is_open_and_can_go_on_in_memory() {
    an_accept_loop_that_closes_finishes_what_is_open_and_can_go_on(Network::memory()).await;
}

#[tokio::test]
async fn an_accept_loop_that_closes_finishes_what_is_open_and_can_go_on_over_tcp() {
    an_accept_loop_that_closes_finishes_what_is_open_and_can_go_on(Network::tcp()).await;
}
