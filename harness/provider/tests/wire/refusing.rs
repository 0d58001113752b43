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

/// Waits until the door is shut, or open again: the time at which it changes is the provider's, on a machine that may be
/// busy.
pub(crate) async fn until_refused(authority: &str, shut: bool) {
    for _ in 0..500 {
        if knock(authority).await == Some(shut) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the door is not {}", if shut { "shut" } else { "open" });
}

async fn refused(authority: &str) -> bool {
    knock(authority).await.unwrap()
}

/// Whether a connection is refused; `None` for who waited to be let in at the moment when the door was shut.
async fn knock(authority: &str) -> Option<bool> {
    match TcpStream::connect(authority).await {
        Ok(_) => Some(false),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            Some(true)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_refused_within_the_window_and_taken_before_and_after() {
    let served = Served::faulty("kind = \"refuse_connection\"\nfrom = \"1s\"\nuntil = \"3s\"");
    let authority = &served.provider.authority;
    assert_eq!(post(authority, CHAT, &chat(1, true)).await.status, Some(200));
    until_refused(authority, true).await;
    assert!(served.clock.now_us() >= 1_000_000, "shut too early");
    for ms in [2_000, 2_500] {
        served.clock.sleep_until(ms * 1_000).await;
        assert!(refused(authority).await, "taken at {ms} ms");
    }
    until_refused(authority, false).await;
    assert!(served.clock.now_us() >= 3_000_000, "open too early");
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
    until_refused(authority, true).await;
    served.provider.replace(script(""), SeedTree::new(2)).unwrap();
    until_refused(authority, false).await;
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
    until_refused(&served.provider.authority, true).await;
    let answer = answer.await.unwrap();
    assert_eq!((answer.end, answer.body.matches("t7.").count()), (End::Proper, 6));
}
