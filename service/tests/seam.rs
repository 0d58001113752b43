//! The service through its seam, as a host mounts it: connections in, connections out, nothing else shared.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its world up should fail at once"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use brownout_service::upstream::{UpstreamError, connect_within, over_connector};
use brownout_service::{Clock, Ports, Settings, Stores, run};
use serde_json::json;
use support::memory::Network;
use support::{DOING, Wire, ask, provider, settings};
use tokio_util::sync::CancellationToken;

/// Equal questions are asked as often as they come.
fn own_calls() -> serde_json::Value {
    json!({ "exact": false, "coalesce": false })
}

/// An instance on the in-memory network, in virtual time.
async fn mount(network: &Network, name: &str, settings: Settings, stores: Stores) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let ports = Ports {
        listener: network.listen(name),
        upstream: over_connector(network.connector()),
        stores,
        clock: Clock::starting_at(1_767_225_600_000_000),
        seed: 7,
        shutdown: shutdown.clone(),
    };
    tokio::spawn(async move { run(settings, ports).await.unwrap() });
    tokio::task::yield_now().await;
    shutdown
}

#[tokio::test(start_paused = true)]
async fn a_chat_and_a_stream_cross_two_hops_in_virtual_time() {
    let network = Network::default();
    let provider = provider(network.listen("a.sim"), Duration::from_millis(200));
    let settings = settings("http://a.sim", &json!({ "cache": own_calls() }));
    let stores = Stores::memory(&settings);
    mount(&network, "service.sim", settings, stores).await;
    let began = tokio::time::Instant::now();
    let (status, body) = ask(network.connect("service.sim"), "/chat").await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(r#""content":"one two""#), "{body}");
    let (status, body) = ask(network.connect("service.sim"), "/chat/stream").await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("event: done"), "{body}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!((provider.began(), provider.hung_up()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_connection_is_noticed_by_the_provider() {
    for (policy, hung_up) in [("cancel", 1), ("run_on", 0)] {
        let network = Network::default();
        let provider = provider(network.listen("a.sim"), Duration::from_secs(3));
        let settings = settings("http://a.sim", &json!({ "disconnect": policy }));
        let stores = Stores::memory(&settings);
        mount(&network, "service.sim", settings, stores).await;
        let asking = ask(network.connect("service.sim"), "/chat");
        assert!(tokio::time::timeout(Duration::from_secs(1), asking).await.is_err());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((provider.began(), provider.hung_up()), (1, hung_up), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_an_answer_finish_and_takes_no_new_connection() {
    let network = Network::default();
    let _provider = provider(network.listen("a.sim"), Duration::from_secs(3));
    let settings = settings("http://a.sim", &json!({}));
    let stores = Stores::memory(&settings);
    let shutdown = mount(&network, "service.sim", settings, stores).await;
    let answer = tokio::spawn(ask(network.connect("service.sim"), "/chat"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(ask(network.connect("service.sim"), "/livez").await.is_err());
    assert_eq!(answer.await.unwrap().unwrap().0, 200);
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_bounded_by_its_grace() {
    let network = Network::default();
    let _provider = provider(network.listen("a.sim"), Duration::from_secs(30));
    let settings = settings("http://a.sim", &json!({ "shutdown_grace": "2s" }));
    let stores = Stores::memory(&settings);
    let shutdown = mount(&network, "service.sim", settings, stores).await;
    let answers = ["/chat", "/chat/stream"].map(|path| tokio::spawn(ask(network.connect("service.sim"), path)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    shutdown.cancel();
    let began = tokio::time::Instant::now();
    for answer in answers {
        let (status, body) = answer.await.unwrap().unwrap();
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("shutting-down"), "{body}");
    }
    assert_eq!(began.elapsed().as_millis(), 2000);
}

#[tokio::test(start_paused = true)]
async fn without_grace_all_is_cut_at_once() {
    let network = Network::default();
    let _provider = provider(network.listen("a.sim"), Duration::from_secs(30));
    let settings = settings("http://a.sim", &json!({ "preset": "naive" }));
    let stores = Stores::memory(&settings);
    let shutdown = mount(&network, "service.sim", settings, stores).await;
    let answer = tokio::spawn(ask(network.connect("service.sim"), "/chat"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    shutdown.cancel();
    let began = tokio::time::Instant::now();
    assert!(answer.await.unwrap().is_err(), "the connection is cut");
    assert_eq!(began.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_drains_is_unready_and_still_takes_what_it_is_sent() {
    let network = Network::default();
    let _provider = provider(network.listen("a.sim"), DOING);
    let settings = settings("http://a.sim", &json!({ "drain_delay": "5s" }));
    let stores = Stores::memory(&settings);
    let shutdown = mount(&network, "service.sim", settings, stores).await;
    let get = |path| ask(network.connect("service.sim"), path);
    shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(4900)).await;
    assert_eq!(get("/chat").await.unwrap().0, 200);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(get("/chat").await.is_err(), "it is closed");
}

#[tokio::test(start_paused = true)]
async fn dropping_an_instance_ends_all_that_it_was_doing() {
    let network = Network::default();
    let provider = provider(network.listen("a.sim"), Duration::from_secs(30));
    let settings = settings("http://a.sim", &json!({ "disconnect": "run_on" }));
    let ports = Ports {
        listener: network.listen("service.sim"),
        upstream: over_connector(network.connector()),
        stores: Stores::memory(&settings),
        clock: Clock::starting_at(0),
        seed: 7,
        shutdown: CancellationToken::new(),
    };
    let instance = tokio::spawn(run(settings, ports));
    tokio::task::yield_now().await;
    let answer = tokio::spawn(ask(network.connect("service.sim"), "/chat"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    instance.abort();
    assert!(answer.await.unwrap().is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(provider.hung_up(), 1, "detached work is not left behind");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_open_in_time_is_given_up() {
    let never = tower::service_fn(|_: http::Uri| {
        std::future::pending::<std::io::Result<hyper_util::rt::TokioIo<support::memory::Stream>>>()
    });
    let limit = Duration::from_secs(2);
    let upstream = over_connector(connect_within(never, Some(limit)));
    let began = tokio::time::Instant::now();
    let request = http::Request::get("http://a.sim/").body(bytes::Bytes::new()).unwrap();
    let failed = upstream.send(request).await.map(drop).unwrap_err();
    assert!(matches!(failed, UpstreamError::ConnectTimeout), "{failed}");
    assert_eq!(began.elapsed(), limit);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_instances_in_one_process_play_the_same_twice() {
    async fn play() -> Vec<(u16, String)> {
        let network = Network::default();
        provider(network.listen("a.sim"), Duration::from_millis(150));
        let settings = settings(
            "http://a.sim",
            &json!({ "database": { "pool": 2, "hold_connection": true } }),
        );
        let stores = Stores::memory(&settings);
        let mut asking = Vec::new();
        for n in 0..100 {
            let name = format!("service-{n}.sim");
            mount(&network, &name, settings.clone(), stores.replica()).await;
            for path in ["/chat", "/chat/stream", "/chat"] {
                asking.push(ask(network.connect(&name), path));
            }
        }
        let answers = futures::future::join_all(asking).await;
        answers.into_iter().map(Result::unwrap).collect()
    }
    let (first, second) = (play().await, play().await);
    assert!(first.iter().all(|(status, _)| *status == 200));
    assert_eq!(first, second);
}

#[tokio::test]
async fn the_same_service_runs_on_sockets_threads_and_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    for design in ["coupled", "blocking"] {
        let provider_listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", provider_listener.local_addr().unwrap());
        let provider = provider(provider_listener, Duration::from_millis(20));
        let settings = settings(
            &base,
            &json!({ "design": design, "blocking_workers": 2, "cache": own_calls() }),
        );
        let stores = Stores::sqlite(&settings, &folder.path().join("service.sqlite"))
            .await
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ports = Ports {
            listener,
            upstream: brownout_service::upstream::reqwest(&settings).unwrap(),
            stores: stores.clone(),
            clock: Clock::real(),
            seed: 7,
            shutdown: shutdown.clone(),
        };
        let instance = tokio::spawn(run(settings, ports));
        let asks = (0..6).map(|n| async move {
            let path = ["/chat", "/chat/stream"][n % 2];
            let connection = tokio::net::TcpStream::connect(address).await.unwrap();
            ask(async { Ok(connection) }, path).await.unwrap()
        });
        for (status, body) in futures::future::join_all(asks).await {
            assert_eq!(status, 200, "{body}");
            assert!(body.contains("one"), "{body}");
        }
        assert_eq!(provider.began(), 6);
        shutdown.cancel();
        instance.await.unwrap().unwrap();
        drop(stores);
    }
}

#[tokio::test]
async fn both_clients_send_the_same_and_fail_alike() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let provider = provider(listener, DOING);
    let settings = settings(&base, &json!({}));
    let connector = hyper_util::client::legacy::connect::HttpConnector::new();
    let upstreams: [Arc<dyn brownout_service::Upstream>; 2] = [
        brownout_service::upstream::reqwest(&settings).unwrap(),
        over_connector(connector),
    ];
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/", unused.local_addr().unwrap());
    drop(unused);
    let mut wires = Vec::new();
    for upstream in upstreams {
        let before = provider.hung_up();
        wires.push(Wire::observe(upstream.as_ref(), &base, &nobody).await);
        let seen = async {
            while provider.hung_up() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
        assert!(seen.is_ok(), "a dropped response is not seen by the provider");
    }
    assert_eq!(wires[0], wires[1]);
    assert_eq!(wires[0].redirect, 302, "redirects are not followed");
    assert_eq!(wires[0].refused, "connect");
    assert_eq!(wires[0].cut, "broken");
    assert_eq!(provider.retried(), 0, "nothing is sent twice");
}
