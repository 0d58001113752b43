//! Faults on HTTP/2, where a cut answer is a reset stream and its neighbours on the connection live on.

use brownout_net::Network;
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::{Served, chat};

async fn connect(served: &Served) -> SendRequest<Full<Bytes>> {
    let stream = Network::tcp().connect(&served.provider.authority).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// The status, the text so far, and whether the body ended well.
async fn ask(sender: &SendRequest<Full<Bytes>>, prompt: u64) -> Result<(u16, String, bool), hyper::Error> {
    let request = Request::post("http://provider/v1/chat/completions")
        .header("authorization", "Bearer sk-1")
        .body(Full::from(chat(prompt, true)))
        .unwrap();
    let mut sender = sender.clone();
    sender.ready().await?;
    let mut response = sender.send_request(request).await?;
    assert_eq!(response.version(), Version::HTTP_2);
    let (status, mut text) = (response.status().as_u16(), String::new());
    while let Some(frame) = response.body_mut().frame().await {
        match frame {
            Ok(frame) => text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default())),
            Err(_) => return Ok((status, text, false)),
        }
    }
    Ok((status, text, true))
}

fn words(text: &str, prompt: u64) -> usize {
    text.matches(&format!("t{prompt}.")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_resets_its_own_stream_and_no_other() {
    for fault in ["fin_without_terminator", "reset_mid_stream"] {
        let served = Served::with(&format!(
            "[[provider.fault]]\nkind = \"{fault}\"\nafter_tokens = 3\nheader = {{ name = \"never\" }}\n\
             [[provider.fault]]\nkind = \"{fault}\"\nafter_tokens = 3\nfirst = 1\n"
        ));
        let sender = connect(&served).await;
        let cut = ask(&sender, 7).await.unwrap();
        let (cut, neighbours) = (
            cut,
            futures::future::join_all((8..12).map(|prompt| ask(&sender, prompt))).await,
        );
        assert_eq!((cut.0, words(&cut.1, 7), cut.2), (200, 3, false), "{fault}");
        for (prompt, neighbour) in (8..12).zip(neighbours) {
            let (status, text, ended_well) = neighbour.unwrap();
            assert_eq!(
                (status, words(&text, prompt), ended_well),
                (200, 6, true),
                "{fault}: {text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_in_the_middle_leaves_streams_alive_that_are_open_beside_it() {
    let served = Served::with("[[provider.fault]]\nkind = \"reset_mid_stream\"\nafter_tokens = 2\nevery = 3\n");
    let sender = connect(&served).await;
    let answers = futures::future::join_all((0..30).map(|prompt| ask(&sender, prompt))).await;
    let (mut whole, mut cut) = (0, 0);
    for (prompt, answer) in (0..30).zip(answers) {
        match answer.unwrap() {
            (200, text, true) if words(&text, prompt) == 6 => whole += 1,
            (200, text, false) if words(&text, prompt) == 2 => cut += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((whole, cut), (20, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_before_the_headers_is_a_stream_without_a_response() {
    let served = Served::faulty("kind = \"reset_before_headers\"\nfirst = 1");
    let sender = connect(&served).await;
    assert!(ask(&sender, 7).await.is_err());
    assert_eq!(ask(&sender, 8).await.unwrap().0, 200, "on the same connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_in_good_order_or_not_at_all_does_so_on_http2_too() {
    for (fault, tokens, done) in [
        ("clean_eof", 3, false),
        ("error_event", 3, false),
        ("missing_done", 6, false),
    ] {
        let after = if fault == "missing_done" {
            ""
        } else {
            "after_tokens = 3"
        };
        let served = Served::faulty(&format!("kind = \"{fault}\"\n{after}"));
        let (status, text, ended_well) = ask(&connect(&served).await, 7).await.unwrap();
        assert_eq!((status, words(&text, 7), ended_well), (200, tokens, true), "{fault}");
        assert_eq!(text.contains("[DONE]"), done, "{fault}");
    }
    let served = Served::faulty("kind = \"blackhole\"");
    let sender = connect(&served).await;
    let silent = tokio::time::timeout(std::time::Duration::from_millis(300), ask(&sender, 7)).await;
    assert!(silent.is_err(), "something came out of a black hole: {silent:?}");
}
