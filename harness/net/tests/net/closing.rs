//! A listener that closes and opens again: who is refused, and who notices nothing.

use std::io::ErrorKind;

use brownout_net::{Listener, Network, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

async fn accepted(network: &Network, listener: &mut Listener) -> (Stream, Stream) {
    let authority = listener.authority().to_owned();
    let (near, far) = tokio::join!(network.connect(&authority), listener.accept());
    (near.unwrap(), far.unwrap())
}

async fn hears(near: &mut Stream, far: &mut Stream) {
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut *near, &mut *far];
        ends[from].write_all(b"still here").await.unwrap();
        let mut text = [0; 10];
        ends[to].read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"still here");
    }
}

async fn a_closed_listener_refuses_until_it_is_reopened(network: Network) {
    let mut listener = network.listen("host").unwrap();
    let authority = listener.authority().to_owned();
    let (mut near, mut far) = accepted(&network, &mut listener).await;
    for _ in 0..3 {
        let closed = listener.close().unwrap();
        assert_eq!(closed.authority(), authority);
        for _ in 0..2 {
            let refused = network.connect(&authority).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        hears(&mut near, &mut far).await;
        listener = closed.reopen().unwrap();
        assert_eq!(listener.authority(), authority);
        let (mut near, mut far) = accepted(&network, &mut listener).await;
        hears(&mut near, &mut far).await;
    }
    hears(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_listener_refuses_until_it_is_reopened_in_memory() {
    a_closed_listener_refuses_until_it_is_reopened(Network::memory()).await;
}

#[tokio::test]
async fn a_closed_listener_refuses_until_it_is_reopened_over_tcp() {
    a_closed_listener_refuses_until_it_is_reopened(Network::tcp()).await;
}

async fn who_waits_to_be_accepted_is_reset_by_the_close(network: Network) {
    let listener = network.listen("host").unwrap();
    let mut waiting = network.connect(listener.authority()).await.unwrap();
    let _closed = listener.close().unwrap();
    assert_eq!(waiting.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_be_accepted_is_reset_by_the_close_in_memory() {
    who_waits_to_be_accepted_is_reset_by_the_close(Network::memory()).await;
}

#[tokio::test]
async fn who_waits_to_be_accepted_is_reset_by_the_close_over_tcp() {
    who_waits_to_be_accepted_is_reset_by_the_close(Network::tcp()).await;
}

#[tokio::test]
async fn a_closed_port_is_given_to_nobody_else_until_it_is_given_up() {
    let listener = Network::tcp().listen("host").unwrap();
    let address = listener.authority().parse().unwrap();
    let bind = || TcpSocket::new_v4().unwrap().bind(address).map_err(|error| error.kind());
    let closed = listener.close().unwrap();
    assert_eq!(bind(), Err(ErrorKind::AddrInUse));
    drop(closed);
    assert_eq!(bind(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_closed_name_is_free_and_who_takes_it_keeps_it() {
    let network = Network::memory();
    let closed = network.listen("host").unwrap().close().unwrap();
    let _taken = network.listen("host").unwrap();
    assert_eq!(closed.reopen().unwrap_err().kind(), ErrorKind::AddrInUse);
}
