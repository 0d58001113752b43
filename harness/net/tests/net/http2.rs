//! HTTP/2 with prior knowledge over TCP: what it shares with HTTP/1.1, and that a stream's end is its own.

use std::convert::Infallible;
use std::time::Duration;

use brownout_net::{Network, serve};
use bytes::Bytes;
use http::header::DATE;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backend::{Backend, Log};
use crate::client::{Client, Http2Client, read};
use crate::frames::{self, DATA, Frame, HEADERS, RST_STREAM, SETTINGS};

/// RFC 9113 §7.
const INTERNAL_ERROR: [u8; 4] = [0, 0, 0, 2];
const SETTINGS_MAX_CONCURRENT_STREAMS: u8 = 3;

fn kinds(frames: &[Frame]) -> Vec<u8> {
    frames.iter().map(|frame| frame.kind).collect()
}

#[tokio::test]
async fn either_version_is_spoken_on_one_port_and_the_service_knows_which() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    let mut old = Client::to(&network, &backend.authority).await;
    let new = Http2Client::to(&network, &backend.authority).await;
    let response = new.get("/version").await.unwrap();
    assert_eq!(response.headers().get(DATE), None);
    assert_eq!(read(response).await.0, "HTTP/2.0");
    assert_eq!(old.fetch("/version").await.1, "HTTP/1.1");
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_side_by_side() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    let client = Http2Client::to(&network, &backend.authority).await;
    let never = client.get("/slow/60000");
    let streamed = async {
        let response = client.get("/events/2/5").await.unwrap();
        let (text, end) = read(response).await;
        end.unwrap();
        text
    };
    tokio::select! {
        _ = never => panic!("too early"),
        text = streamed => assert_eq!(text, "<0><1><2><3><4>"),
    }
}

#[tokio::test]
async fn a_body_that_fails_resets_its_stream_and_no_other() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    let mut stream = network.connect(&backend.authority).await.unwrap();
    frames::open(&mut stream).await;
    frames::get(&mut stream, 1, "/drip/60/2").await;
    frames::get(&mut stream, 3, "/reset").await; // it asks its handle for a reset of the connection, too

    let broken = frames::of_stream(&mut stream, 3, 3).await;
    assert_eq!(kinds(&broken), [HEADERS, DATA, RST_STREAM]);
    assert_eq!(broken[1].payload, b"half of it");
    assert_eq!(broken[2].payload, INTERNAL_ERROR);

    frames::get(&mut stream, 5, "/name").await;
    let later = frames::of_stream(&mut stream, 5, 2).await;
    assert_eq!(
        (kinds(&later), &later[1].payload[..]),
        (vec![HEADERS, DATA], &b"service"[..])
    );

    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.expect("a FIN, no RST");
}

#[tokio::test]
async fn a_stream_that_was_open_beside_a_broken_one_goes_on() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    let client = Http2Client::to(&network, &backend.authority).await;
    let open = client.get("/drip/40/3").await.unwrap();
    let (text, end) = read(client.get("/reset").await.unwrap()).await;
    assert_eq!((text.as_str(), end.is_err()), ("half of it", true));
    let (text, end) = read(open).await;
    assert_eq!((text.as_str(), end.is_ok()), ("<0><1><2>", true));
}

#[tokio::test]
async fn a_service_that_fails_resets_its_stream_and_no_other() {
    #[derive(Debug, thiserror::Error)]
    #[error("no")]
    struct Refused;

    let network = Network::tcp();
    let listener = network.listen("service").unwrap();
    let authority = listener.authority().to_owned();
    let service = service_fn(async |request: Request<Incoming>| match request.uri().path() {
        "/fail" => Err(Refused),
        _ => Ok(Response::new(Full::new(Bytes::from_static(b"fine")))),
    });
    let serving = serve(listener, service, CancellationToken::new(), Duration::ZERO);
    let _serving = AbortOnDropHandle::new(tokio::spawn(serving));

    let mut stream = network.connect(&authority).await.unwrap();
    frames::open(&mut stream).await;
    frames::get(&mut stream, 1, "/fail").await;
    let failed = frames::of_stream(&mut stream, 1, 2).await;
    assert_eq!(kinds(&failed), [RST_STREAM]);
    assert_eq!(failed[0].payload, INTERNAL_ERROR);
    frames::get(&mut stream, 3, "/fine").await;
    let fine = frames::of_stream(&mut stream, 3, 2).await;
    assert_eq!(kinds(&fine), [HEADERS, DATA]);
}

#[tokio::test]
async fn a_handler_is_dropped_when_its_client_resets_the_stream() {
    let (network, log) = (Network::tcp(), Log::start());
    let backend = Backend::start(&network, "service", &log);
    let client = Http2Client::to(&network, &backend.authority).await;
    assert!(
        timeout(Duration::from_millis(100), client.get("/slow/60000"))
            .await
            .is_err()
    );
    log.until("slow left").await;
    let mut open = client.get("/drip/10/1000").await.unwrap();
    open.body_mut().frame().await.unwrap().unwrap();
    drop(open);
    log.until("drip left").await;
    assert_eq!(read(client.get("/name").await.unwrap()).await.0, "service");
}

#[tokio::test]
async fn a_handler_is_dropped_when_its_client_or_the_server_goes() {
    let (network, log) = (Network::tcp(), Log::start());
    let backend = Backend::start(&network, "service", &log);
    let client = Http2Client::to(&network, &backend.authority).await;
    assert!(
        timeout(Duration::from_millis(50), client.get("/slow/60000"))
            .await
            .is_err()
    );
    let other = Http2Client::to(&network, &backend.authority).await;
    let body = other.get("/flood").await.unwrap();
    drop(client);
    log.until("slow left").await;
    assert!(log.lines().iter().all(|line| !line.ends_with("flood left")));
    drop(backend);
    log.until("flood left").await;
    drop(body);
}

#[tokio::test]
async fn a_shutdown_lets_open_streams_finish_and_takes_no_more() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    let client = Http2Client::to(&network, &backend.authority).await;
    let response = client.get("/drip/100/3").await.unwrap();
    backend.shutdown.cancel();
    let (text, end) = read(response).await;
    assert_eq!((text.as_str(), end.is_ok()), ("<0><1><2>", true));
    let stopped = timeout(Duration::from_millis(1_500), backend.task).await;
    stopped.expect("well before the grace is over").unwrap();
    assert!(client.get("/name").await.is_err());
}

#[tokio::test]
async fn a_connection_takes_a_thousand_streams() {
    let network = Network::tcp();
    let backend = Backend::start(&network, "service", &Log::start());
    let mut stream = network.connect(&backend.authority).await.unwrap();
    frames::open(&mut stream).await;
    let first = frames::next(&mut stream).await.unwrap();
    assert_eq!(first.kind, SETTINGS);
    let bound = first
        .payload
        .chunks(6)
        .find(|setting| setting[1] == SETTINGS_MAX_CONCURRENT_STREAMS);
    assert_eq!(bound.unwrap()[2..], 1_000_u32.to_be_bytes());
}

#[tokio::test]
async fn a_thousand_streams_run_on_one_connection() {
    let network = Network::tcp();
    let listener = network.listen("service").unwrap();
    let authority = listener.authority().to_owned();
    let service = service_fn(async |_: Request<Incoming>| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"fine"))))
    });
    let serving = serve(listener, service, CancellationToken::new(), Duration::ZERO);
    let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
    let client = Http2Client::to(&network, &authority).await;
    let answers = futures::future::join_all((0..1_500).map(|_| client.get("/"))).await;
    assert!(
        answers
            .into_iter()
            .all(|answer| answer.unwrap().status() == StatusCode::OK)
    );
}
