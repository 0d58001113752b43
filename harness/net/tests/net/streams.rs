//! Connections without HTTP: the end of a stream, the window, the latency, the names.

use std::io::ErrorKind;
use std::time::Duration;

use brownout_net::{Listener, Network, RunClock, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const WINDOW: usize = 64 * 1_024;
const MOMENT: Duration = Duration::from_millis(50);

async fn pair(network: &Network) -> (Stream, Stream, Listener) {
    let mut listener = network.listen("host").unwrap();
    let authority = listener.authority().to_owned();
    let (near, far) = tokio::join!(network.connect(&authority), listener.accept());
    (near.unwrap(), far.unwrap(), listener)
}

/// What was written before the drop arrives, then the end; writing to who has left fails.
async fn a_dropped_stream_ends_after_its_last_byte(network: Network) {
    let (mut near, mut far, _listener) = pair(&network).await;
    near.write_all(b"last words").await.unwrap();
    drop(near);
    let mut text = String::new();
    far.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "last words");

    let mut error = None;
    for _ in 0..100 {
        error = far.write_all(b"anyone?").await.err(); // TCP learns of it from the answer to the first
        if error.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let kind = error.expect("a failed write").kind();
    assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_ends_after_its_last_byte_in_memory() {
    a_dropped_stream_ends_after_its_last_byte(Network::memory()).await;
}

#[tokio::test]
async fn a_dropped_stream_ends_after_its_last_byte_over_tcp() {
    a_dropped_stream_ends_after_its_last_byte(Network::tcp()).await;
}

async fn a_reset_is_read_as_a_reset(network: Network) {
    let (mut near, mut far, _listener) = pair(&network).await;
    near.write_all(b"half").await.unwrap();
    let mut half = [0; 4];
    far.read_exact(&mut half).await.unwrap();
    near.reset();
    let error = far.read(&mut half).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_read_as_a_reset_in_memory() {
    a_reset_is_read_as_a_reset(Network::memory()).await;
}

#[tokio::test]
async fn a_reset_is_read_as_a_reset_over_tcp() {
    a_reset_is_read_as_a_reset(Network::tcp()).await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_turns_a_later_drop_into_a_reset_even_after_a_shutdown() {
    let (mut near, mut far, _listener) = pair(&Network::memory()).await;
    near.abort_handle().reset_on_drop();
    near.shutdown().await.unwrap();
    assert!(timeout(MOMENT, far.read_u8()).await.is_err(), "no FIN first");
    drop(near);
    assert_eq!(far.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_one_direction_only() {
    let (mut near, mut far, _listener) = pair(&Network::memory()).await;
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    far.write_all(b"still here").await.unwrap();
    let mut text = [0; 10];
    near.read_exact(&mut text).await.unwrap();
    assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_full_window_stops_the_writer_until_the_reader_takes_something() {
    let (mut near, mut far, _listener) = pair(&Network::memory()).await;
    let clock = RunClock::start();
    let writer = tokio::spawn(async move {
        near.write_all(&vec![1; WINDOW]).await.unwrap();
        assert_eq!(clock.now_us(), 0, "a window's worth does not wait");
        near.write_all(&[2]).await.unwrap();
        (near, clock.now_us())
    });
    clock.sleep_until(50_000).await;
    assert_eq!(far.read_u8().await.unwrap(), 1);
    let (_near, written_us) = timeout(MOMENT, writer).await.unwrap().unwrap();
    assert_eq!(written_us, 50_000);
    let mut rest = vec![0; WINDOW];
    far.read_exact(&mut rest).await.unwrap();
    assert_eq!(rest.last(), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_is_woken_when_the_reader_leaves() {
    let (mut near, far, _listener) = pair(&Network::memory()).await;
    let writer = tokio::spawn(async move { near.write_all(&vec![1; WINDOW + 1]).await });
    tokio::time::sleep(MOMENT).await;
    assert!(!writer.is_finished());
    drop(far);
    let error = timeout(MOMENT, writer).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_megabyte_arrives_in_order_however_it_is_cut() {
    let network = Network::memory();
    network.set_latency("host", Duration::from_millis(3)).unwrap();
    let (mut near, mut far, _listener) = pair(&network).await;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    tokio::spawn(async move {
        for (nth, piece) in sent.chunks(7_919).enumerate() {
            near.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(nth as u64 % 3)).await;
        }
    });
    let mut got = Vec::new();
    let mut buffer = vec![0; 4_099];
    loop {
        match far.read(&mut buffer).await.unwrap() {
            0 => break,
            n => got.extend_from_slice(&buffer[..n]),
        }
    }
    assert!(got == expected);
}

#[tokio::test(start_paused = true)]
async fn bytes_ends_and_departures_take_one_latency_and_connecting_takes_two() {
    let network = Network::memory();
    network.set_latency("host", Duration::from_millis(5)).unwrap();
    let clock = RunClock::start();
    let (mut near, mut far, _listener) = pair(&network).await;
    assert_eq!(clock.now_us(), 10_000);
    near.write_all(b"x").await.unwrap();
    far.read_u8().await.unwrap();
    assert_eq!(clock.now_us(), 15_000);
    drop(near);
    far.write_all(&vec![0; WINDOW]).await.expect("it does not know yet");
    assert_eq!(clock.now_us(), 15_000);
    let (mut reader, mut writer) = tokio::io::split(far);
    let read = tokio::spawn(async move { (reader.read(&mut [0]).await.unwrap(), clock.now_us()) });
    let written = tokio::spawn(async move { (writer.write_all(b"more").await.is_err(), clock.now_us()) });
    assert_eq!(timeout(MOMENT, read).await.unwrap().unwrap(), (0, 20_000));
    assert_eq!(timeout(MOMENT, written).await.unwrap().unwrap(), (true, 20_000));
}

#[tokio::test(start_paused = true)]
async fn a_name_has_one_listener_and_is_free_again_after_it() {
    let network = Network::memory();
    let listener = network.listen("host").unwrap();
    assert_eq!(network.listen("host").unwrap_err().kind(), ErrorKind::AddrInUse);
    let mut waiting = network.connect("host").await.unwrap();
    drop(listener);
    assert_eq!(waiting.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(
        network.connect("host").await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    network.listen("host").unwrap();
}

#[tokio::test]
async fn a_closed_tcp_port_refuses() {
    let network = Network::tcp();
    let authority = network.listen("").unwrap().authority().to_owned();
    assert_eq!(
        network.connect(&authority).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert!(network.set_latency("host", MOMENT).is_err());
}

/// How many bytes can be written to somebody who reads none.
async fn swallowed(near: &mut Stream) -> usize {
    let (mut swallowed, chunk) = (0, [0; 1_024]);
    while swallowed < 64 << 20 {
        match timeout(Duration::from_millis(200), near.write(&chunk)).await {
            Ok(written) => swallowed += written.unwrap(),
            Err(_) => break,
        }
    }
    swallowed
}

/// What a peer with a receive window of 4 KiB swallows, and one that stated none.
async fn narrow_and_wide(network: &Network) -> (usize, usize) {
    let mut listener = network.listen("host").unwrap();
    let authority = listener.authority().to_owned();
    let (_narrow, far) = tokio::join!(network.connect_narrow(&authority, 4_096), listener.accept());
    let narrow = swallowed(&mut far.unwrap()).await;
    let (_wide, far) = tokio::join!(network.connect(&authority), listener.accept());
    (narrow, swallowed(&mut far.unwrap()).await)
}

#[tokio::test(start_paused = true)]
async fn a_narrow_connection_in_memory_takes_no_more_than_its_window() {
    assert_eq!(narrow_and_wide(&Network::memory()).await, (4_096, 64 * 1_024));
}

#[tokio::test]
async fn a_narrow_connection_over_tcp_takes_far_less_than_another() {
    let (narrow, wide) = narrow_and_wide(&Network::tcp()).await;
    assert!(narrow < wide, "{narrow} and {wide} bytes");
}

#[tokio::test]
async fn a_narrow_connection_to_nobody_is_refused() {
    let network = Network::tcp();
    let authority = network.listen("").unwrap().authority().to_owned();
    let refused = network.connect_narrow(&authority, 4_096).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
