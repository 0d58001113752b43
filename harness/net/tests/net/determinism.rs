//! The same world plays the same way every time: what happens, when, and in which order.

use std::time::Duration;

use brownout_net::Network;
use futures::future::join_all;
use tokio::runtime::Builder;

use crate::gateway::World;

/// Forty clients that collide on purpose, every fourth of which leaves early.
async fn trace() -> Vec<String> {
    let network = Network::memory();
    network.set_latency("a", Duration::from_millis(2)).unwrap();
    network.set_latency("gateway", Duration::from_millis(1)).unwrap();
    let world = World::start(network, &["a", "b", "c"]);
    let visits = (0..40_u64).map(|n| {
        let world = &world;
        async move {
            world.log.clock.sleep_until(n / 8 * 10_000).await;
            let mut client = world.client().await;
            let path = ["/slow/40", "/events/7/9", "/drip/10/4"][n as usize % 3];
            let patience = Duration::from_millis(if n % 4 == 0 { 25 } else { 10_000 });
            let outcome = tokio::time::timeout(patience, client.fetch(path)).await;
            let outcome = outcome.map_or_else(|_| "gave up".to_owned(), |got| format!("{got:?}"));
            world.log.note(&format!("client {n}: {outcome}"));
        }
    });
    join_all(visits).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.log.lines()
}

#[test]
fn the_same_world_leaves_the_same_trace() {
    let play = || {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(trace())
    };
    let first = play();
    assert!(first.len() > 100, "{} lines", first.len());
    assert!(first.iter().any(|line| line.ends_with("left")));
    for _ in 0..5 {
        assert_eq!(play(), first);
    }
}
