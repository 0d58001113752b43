//! A door that is shut: new connections are refused, and open again after the window.

use std::io::ErrorKind;
use std::time::Duration;

use brownout_scenario::Providers;
use brownout_scenario::seed::SeedTree;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::raw::{End, post, see};
use crate::{Served, chat};

const CHAT: &str = "/v1/chat/completions";

async fn refused(authority: &str) -> bool {
    match TcpStream::connect(authority).await {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            true
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_refused_within_the_window_and_taken_before_and_after() {
    let served = Served::faulty("kind = \"refuse_connection\"\nfrom = \"1s\"\nuntil = \"2s\"");
    let authority = &served.provider.authority;
    assert_eq!(post(authority, CHAT, &chat(1, true)).await.status, Some(200));
    for ms in [1_200, 1_500, 1_800] {
        served.clock.sleep_until(ms * 1_000).await;
        assert!(refused(authority).await, "taken at {ms} ms");
    }
    served.clock.sleep_until(2_200_000).await;
    assert_eq!(post(authority, CHAT, &chat(1, true)).await.status, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_script_leaves_connections_alone_unless_it_refuses_them() {
    let served = Served::with("");
    let authority = &served.provider.authority;
    let script = |more: &str| {
        let text = format!("[[provider]]\nname = \"p\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"0ms\"\n{more}");
        Providers::parse("other.toml", &text).unwrap().providers.remove(0)
    };
    let mut kept = TcpStream::connect(authority).await.unwrap();
    let ask = async |kept: &mut TcpStream| {
        let request = format!("GET /v1/models HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer k\r\n\r\n");
        kept.write_all(request.as_bytes()).await.unwrap();
        see(kept).await.status
    };
    assert_eq!(ask(&mut kept).await, Some(200));
    served
        .provider
        .replace(script("output_tokens = 3"), SeedTree::new(2))
        .unwrap();
    assert_eq!(ask(&mut kept).await, Some(200), "the connection outlived the change");
    let refusing = "[[provider.fault]]\nkind = \"refuse_connection\"";
    served.provider.replace(script(refusing), SeedTree::new(2)).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(refused(authority).await);
    served.provider.replace(script(""), SeedTree::new(2)).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(post(authority, CHAT, &chat(1, true)).await.status, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_being_answered_when_the_door_shut_is_answered_to_its_end() {
    let served = Served::with(
        "[[provider.fault]]\nkind = \"latency_spike\"\ninter_token = \"250ms\"\n\
         [[provider.fault]]\nkind = \"refuse_connection\"\nfrom = \"500ms\"\nuntil = \"20s\"\n",
    );
    let authority = served.provider.authority.clone();
    let answer = tokio::spawn(async move { post(&authority, CHAT, &chat(7, true)).await });
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(refused(&served.provider.authority).await);
    let answer = answer.await.unwrap();
    assert_eq!((answer.end, answer.body.matches("t7.").count()), (End::Proper, 6));
}
