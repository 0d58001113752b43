//! Links over real sockets: what passes, what waits, what is reset.

use std::io::ErrorKind;
use std::time::Duration;

use brownout_net::{Link, LinkState, Listener, Network, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(5);
/// Long enough for loopback to deliver what it will.
const A_WHILE: Duration = Duration::from_millis(150);

struct Wire {
    link: Link,
    target: Listener,
}

impl Wire {
    fn up() -> Self {
        let target = Network::tcp().listen("").unwrap();
        let link = Link::open(target.authority()).unwrap();
        Self { link, target }
    }

    async fn connect(&self) -> std::io::Result<Stream> {
        Network::tcp().connect(self.link.authority()).await
    }

    async fn pair(&mut self) -> (Stream, Stream) {
        let near = self.connect().await.unwrap();
        let far = timeout(SOON, self.target.accept()).await.unwrap().unwrap();
        (near, far)
    }
}

async fn said(stream: &mut Stream, bytes: usize) -> String {
    let mut text = vec![0; bytes];
    timeout(SOON, stream.read_exact(&mut text)).await.unwrap().unwrap();
    String::from_utf8(text).unwrap()
}

async fn is_silent(stream: &mut Stream) -> bool {
    timeout(A_WHILE, stream.read_u8()).await.is_err()
}

async fn is_reset(stream: &mut Stream) -> bool {
    let end = timeout(SOON, stream.read_u8()).await.unwrap();
    end.unwrap_err().kind() == ErrorKind::ConnectionReset
}

/// Waits until the link acts on what it was told.
async fn is_refused(wire: &Wire) -> bool {
    let asked = async {
        while wire.connect().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, asked).await.is_ok()
}

#[tokio::test]
async fn an_open_link_carries_both_ways_and_both_ends() {
    let mut wire = Wire::up();
    let (mut near, mut far) = wire.pair().await;
    near.write_all(b"there").await.unwrap();
    far.write_all(b"and back").await.unwrap();
    assert_eq!(said(&mut far, 5).await, "there");
    assert_eq!(said(&mut near, 8).await, "and back");
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "a clean end");
    far.write_all(b"after the end").await.unwrap();
    drop(far);
    let mut rest = String::new();
    near.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "after the end");
}

#[tokio::test]
async fn a_reset_travels_through_the_link() {
    let mut wire = Wire::up();
    let (mut near, far) = wire.pair().await;
    far.reset();
    assert!(is_reset(&mut near).await);
}

#[tokio::test]
async fn a_link_that_refuses_resets_what_is_open_and_takes_nobody_until_it_is_open_again() {
    let mut wire = Wire::up();
    for _ in 0..3 {
        let (mut near, mut far) = wire.pair().await;
        wire.link.set(LinkState::Refuse);
        assert!(is_reset(&mut near).await);
        assert!(is_reset(&mut far).await);
        assert!(is_refused(&wire).await);
        wire.link.set(LinkState::Open);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wire.pair().await;
}

#[tokio::test]
async fn what_a_hanging_link_holds_arrives_when_it_opens_and_no_sooner() {
    let mut wire = Wire::up();
    let (mut near, mut far) = wire.pair().await;
    wire.link.set(LinkState::Hang);
    near.write_all(b"held").await.unwrap();
    let mut late = wire.connect().await.expect("it accepts as a hung process does");
    late.write_all(b"late").await.unwrap();
    assert!(is_silent(&mut far).await);
    assert!(timeout(A_WHILE, wire.target.accept()).await.is_err());
    wire.link.set(LinkState::Open);
    assert_eq!(said(&mut far, 4).await, "held");
    let mut late = timeout(SOON, wire.target.accept()).await.unwrap().unwrap();
    assert_eq!(said(&mut late, 4).await, "late");
}

#[tokio::test]
async fn a_hanging_link_takes_no_more_than_its_bound() {
    let mut wire = Wire::up();
    let (mut near, _far) = wire.pair().await;
    wire.link.set(LinkState::Hang);
    let flood = vec![0; 64 * 1_024];
    let mut taken = 0;
    while let Ok(written) = timeout(A_WHILE, near.write(&flood)).await {
        taken += written.unwrap();
        assert!(taken < 64 * 1_024 * 1_024, "{taken} bytes and no end");
    }
}

#[tokio::test]
async fn a_slow_link_delays_every_byte_once_and_not_one_after_the_other() {
    let mut wire = Wire::up();
    let (mut near, mut far) = wire.pair().await;
    wire.link.set(LinkState::Slow(Duration::from_millis(200)));
    let begun = Instant::now();
    for _ in 0..5 {
        near.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(said(&mut far, 5).await, "xxxxx");
    let took = begun.elapsed().as_millis();
    assert!((280..700).contains(&took), "{took} ms");
    far.write_all(b"y").await.unwrap();
    let begun = Instant::now();
    said(&mut near, 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(190));
}

#[tokio::test]
async fn a_link_to_nobody_resets_who_calls() {
    let mut wire = Wire::up();
    let nobody = Network::tcp().listen("").unwrap();
    let closed = nobody.close().unwrap();
    wire.link = Link::open(closed.authority()).unwrap();
    let mut near = wire.connect().await.unwrap();
    assert!(is_reset(&mut near).await);
}

#[tokio::test]
async fn a_dropped_link_is_gone_with_its_connections() {
    let mut wire = Wire::up();
    let (mut near, mut far) = wire.pair().await;
    let Wire { link, .. } = wire;
    let authority = link.authority().to_owned();
    drop(link);
    for stream in [&mut near, &mut far] {
        let end = timeout(SOON, stream.read(&mut [0])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)));
    }
    let refused = Network::tcp().connect(&authority).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
