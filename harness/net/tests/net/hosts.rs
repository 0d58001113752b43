//! A host that is cut off the in-memory network, as the others see it and as it sees itself.

use std::io::ErrorKind;
use std::time::Duration;

use brownout_net::{Listener, Network, RunClock, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

async fn pair(near: &Network, listener: &mut Listener) -> (Stream, Stream) {
    let authority = listener.authority().to_owned();
    let (near, far) = tokio::join!(near.connect(&authority), listener.accept());
    (near.unwrap(), far.unwrap())
}

async fn read_to_end(stream: &mut Stream) -> (String, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    (String::from_utf8(bytes).unwrap(), end)
}

async fn next_byte(stream: &mut Stream) -> Result<u8, ErrorKind> {
    stream.read_u8().await.map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn a_severed_host_resets_the_connections_that_it_made_and_those_that_it_took() {
    let network = Network::memory();
    let (victim, other) = (network.host("victim"), network.host("other"));
    let mut at_victim = victim.listen("victim").unwrap();
    let mut at_other = other.listen("other").unwrap();
    let (mut caller, mut taken) = pair(&network, &mut at_victim).await;
    let (mut made, mut answered) = pair(&victim, &mut at_other).await;
    let (mut bystander, mut untouched) = pair(&network, &mut at_other).await;
    network.sever("victim");
    for stream in [&mut caller, &mut taken, &mut made, &mut answered] {
        assert_eq!(next_byte(stream).await, Err(ErrorKind::ConnectionReset));
        assert!(stream.write_all(b"x").await.is_err());
    }
    bystander.write_u8(7).await.unwrap();
    assert_eq!(next_byte(&mut untouched).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_severed_host_is_woken_on_either_side() {
    let network = Network::memory();
    let victim = network.host("victim");
    let mut listener = victim.listen("victim").unwrap();
    let (mut caller, mut taken) = pair(&network, &mut listener).await;
    // A writer that waits for room, and a reader that waits for bytes, at both ends.
    let full = async { caller.write_all(&vec![0; 100_000]).await.unwrap_err().kind() };
    let stuck = async { taken.write_all(&vec![0; 100_000]).await.unwrap_err().kind() };
    let cut = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        network.sever("victim");
    };
    let (full, stuck, ()) = timeout(Duration::from_secs(1), async { tokio::join!(full, stuck, cut) })
        .await
        .unwrap();
    assert_eq!(full, ErrorKind::ConnectionReset);
    assert_eq!(stuck, ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn bytes_under_way_are_lost_and_those_that_arrived_are_read_before_the_reset() {
    let network = Network::memory();
    network.set_latency("victim", Duration::from_millis(10)).unwrap();
    let victim = network.host("victim");
    let mut listener = victim.listen("victim").unwrap();
    let (mut caller, mut taken) = pair(&network, &mut listener).await;
    taken.write_all(b"arrived").await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    taken.write_all(b"under way").await.unwrap();
    tokio::time::sleep(Duration::from_millis(9)).await;
    network.sever("victim");
    let clock = RunClock::start();
    let (text, end) = read_to_end(&mut caller).await;
    assert_eq!((text.as_str(), end), ("arrived", Some(ErrorKind::ConnectionReset)));
    assert_eq!(clock.now_us(), 10_000, "the news takes its way too");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_had_arrived_stays_a_clean_one_and_one_under_way_does_not() {
    let network = Network::memory();
    network.set_latency("victim", Duration::from_millis(10)).unwrap();
    let victim = network.host("victim");
    let mut listener = victim.listen("victim").unwrap();
    let (mut early, taken) = pair(&network, &mut listener).await;
    drop(taken);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (mut late, taken) = pair(&network, &mut listener).await;
    drop(taken);
    network.sever("victim");
    assert_eq!(read_to_end(&mut early).await.1, None);
    assert_eq!(read_to_end(&mut late).await.1, Some(ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn a_severed_host_is_refused_to_all_and_can_do_nothing_itself() {
    let network = Network::memory();
    let victim = network.host("victim");
    let listener = victim.listen("victim").unwrap();
    let _other = network.listen("other").unwrap();
    let mut waiting = network.connect("victim").await.unwrap();
    network.sever("victim");
    assert_eq!(next_byte(&mut waiting).await, Err(ErrorKind::ConnectionReset));
    let refused = network.connect("victim").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(
        victim.connect("other").await.unwrap_err().kind(),
        ErrorKind::NetworkDown
    );
    assert_eq!(victim.listen("elsewhere").unwrap_err().kind(), ErrorKind::NetworkDown);
    let closed = listener.close().unwrap();
    assert_eq!(closed.reopen().unwrap_err().kind(), ErrorKind::NetworkDown);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_being_made_is_lost_with_the_host() {
    let network = Network::memory();
    network.set_latency("other", Duration::from_millis(10)).unwrap();
    let victim = network.host("victim");
    let mut other = network.listen("other").unwrap();
    for severed_after in [5, 15] {
        let cut = async {
            tokio::time::sleep(Duration::from_millis(severed_after)).await;
            network.sever("victim");
        };
        let handle = network.host("victim");
        let (made, ()) = tokio::join!(handle.connect("other"), cut);
        match made {
            Ok(mut stream) => assert_eq!(next_byte(&mut stream).await, Err(ErrorKind::ConnectionReset)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NetworkDown),
        }
    }
    let mut half_open = other.accept().await.unwrap();
    assert_eq!(next_byte(&mut half_open).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(victim.listen("x").unwrap_err().kind(), ErrorKind::NetworkDown);
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_the_name_and_what_is_left_of_its_predecessor_does_not_harm_it() {
    let network = Network::memory();
    let before = network.host("victim");
    let old_listener = before.listen("victim").unwrap();
    network.sever("victim");
    let after = network.host("victim");
    let mut listener = after.listen("victim").unwrap();
    drop(old_listener);
    let (mut near, mut far) = pair(&network, &mut listener).await;
    near.write_u8(3).await.unwrap();
    assert_eq!(next_byte(&mut far).await, Ok(3));
    assert_eq!(
        before.connect("victim").await.unwrap_err().kind(),
        ErrorKind::NetworkDown
    );
}

#[tokio::test(start_paused = true)]
async fn handles_of_one_name_are_one_host() {
    let network = Network::memory();
    let mut listener = network.host("victim").listen("victim").unwrap();
    let mut other = network.listen("other").unwrap();
    let (mut caller, _taken) = pair(&network, &mut listener).await;
    let (_made, mut answered) = pair(&network.host("victim"), &mut other).await;
    network.sever("victim");
    network.sever("victim");
    network.sever("nobody");
    assert_eq!(next_byte(&mut caller).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(next_byte(&mut answered).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn on_tcp_a_host_is_the_network_and_severing_does_nothing() {
    let network = Network::tcp();
    let mut listener = network.host("victim").listen("victim").unwrap();
    let (mut near, mut far) = pair(&network.host("victim"), &mut listener).await;
    network.sever("victim");
    near.write_u8(9).await.unwrap();
    assert_eq!(next_byte(&mut far).await, Ok(9));
}
