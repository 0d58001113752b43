//! What every store of limits must do, whatever it is kept in, also when two hundred ask at once.
//!
//! The scripts on Redis are held against the pure book, step by step, on one made-up time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use secrecy::SecretString;

use super::{Allowance, Claim, Demand, LimitStore, MemoryLimits, Rate, RedisLimits, Rule, Verdict};
use crate::draws::{Purpose, unit};
use crate::servers::Server;
use crate::settings::Usd;

const SECOND: u64 = 1_000_000;
const NOW: u64 = 1_767_225_600_000_000;
const LAPSE: Duration = Duration::from_mins(10);
/// The scripts' time, where a test says what it is.
const CLOCK: &str = "local function now_us() return tonumber(redis.call('GET', KEYS[1] .. ':now')) end\n";
/// Who asks at once.
const CLIENTS: u64 = 200;

/// A store whose time a test says.
struct Timed {
    stores: Vec<Arc<dyn LimitStore>>,
    server: Option<(Server, MultiplexedConnection, String)>,
}

impl Timed {
    fn memory() -> Self {
        Self {
            stores: vec![Arc::new(MemoryLimits::default())],
            server: None,
        }
    }

    /// In the hands of three processes.
    async fn redis(namespace: &str) -> Option<Self> {
        let server = Server::redis()?;
        let url = SecretString::from(server.redis_url());
        let open = || Arc::new(RedisLimits::with_clock(&url, Some(namespace), CLOCK).unwrap()) as _;
        let client = redis::Client::open(server.redis_url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        Some(Self {
            stores: (0..3).map(|_| open()).collect(),
            server: Some((server, connection, format!("{{{namespace}}}:limits:now"))),
        })
    }

    async fn at(&self, now_us: u64) {
        if let Some((_, connection, key)) = &self.server {
            let _: () = connection.clone().set(key, now_us).await.unwrap();
        }
    }

    async fn reserve(&self, demand: &Demand, now_us: u64) -> Verdict {
        self.at(now_us).await;
        self.stores[0].reserve(demand, now_us).await.unwrap()
    }

    async fn settle(&self, id: u64, demand: &Demand, used: &[u64], now_us: u64) {
        self.at(now_us).await;
        self.stores[0].settle(id, demand, used, now_us).await.unwrap();
    }
}

fn rate(account: &str, per_minute: u32, amount: u64) -> Claim {
    Claim {
        account: account.to_owned(),
        rule: Rule::Rate(Rate::new(per_minute, Duration::from_secs(10))),
        amount,
    }
}

fn budget(account: &str, micros: u64, amount: u64) -> Claim {
    Claim {
        account: account.to_owned(),
        rule: Rule::Budget(Allowance::new(Usd::from_micros(micros), Duration::from_hours(1))),
        amount,
    }
}

fn demand(claims: Vec<Claim>) -> Demand {
    Demand {
        claims,
        patience: Duration::ZERO,
        lapse: Some(LAPSE),
    }
}

fn id(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Granted { id, .. } => id,
        Verdict::Refused { .. } => panic!("{verdict:?}"),
    }
}

fn refused(claim: usize, wait_s: u64) -> Verdict {
    Verdict::Refused {
        claim,
        wait: Some(Duration::from_secs(wait_s)),
    }
}

async fn keeps_the_laws(store: &Timed) {
    what_does_not_fit_one_account_is_taken_out_of_none(store).await;
    who_may_wait_is_told_for_how_long_and_has_its_share(store).await;
    what_is_settled_twice_or_has_lapsed_changes_nothing(store).await;
    what_a_dead_process_had_set_aside_is_spent_and_not_held(store).await;
    two_hundred_at_once_take_what_there_is_and_nothing_more(store).await;
}

#[tokio::test]
async fn memory_keeps_the_laws() {
    keeps_the_laws(&Timed::memory()).await;
}

#[tokio::test]
async fn redis_keeps_the_laws_and_its_end_is_an_error() {
    let Some(mut timed) = Timed::redis("laws").await else {
        return;
    };
    keeps_the_laws(&timed).await;
    timed.server = None;
    let store = &timed.stores[0];
    assert!(store.reserve(&demand(vec![rate("r", 60, 1)]), NOW).await.is_err());
    assert!(store.ping().await.is_err());
}

async fn what_does_not_fit_one_account_is_taken_out_of_none(store: &Timed) {
    let both = demand(vec![rate("none:r", 60, 4), budget("none:b", 100, 60)]);
    id(store.reserve(&both, NOW).await);
    // The money is refused until the hour is over, so no requests are taken either.
    assert_eq!(store.reserve(&both, NOW).await, refused(1, 3600));
    id(store.reserve(&demand(vec![rate("none:r", 60, 6)]), NOW).await);
    let more = demand(vec![rate("none:r", 60, 2), budget("none:b", 100, 1)]);
    assert_eq!(store.reserve(&more, NOW).await, refused(0, 2));
    let never = demand(vec![budget("none:b", 100, 1), rate("none:r", 60, 11)]);
    let verdict = store.reserve(&never, NOW).await;
    assert_eq!(verdict, Verdict::Refused { claim: 1, wait: None });
}

async fn who_may_wait_is_told_for_how_long_and_has_its_share(store: &Timed) {
    let patient = Demand {
        patience: Duration::from_secs(3),
        ..demand(vec![rate("wait", 60, 5)])
    };
    let after = |verdict| match verdict {
        Verdict::Granted { after, .. } => after.as_secs(),
        Verdict::Refused { .. } => panic!("{verdict:?}"),
    };
    for seconds in [0, 0] {
        assert_eq!(after(store.reserve(&patient, NOW).await), seconds);
    }
    assert_eq!(store.reserve(&patient, NOW).await, refused(0, 5));
    assert_eq!(after(store.reserve(&patient, NOW + 2 * SECOND).await), 3);
    // Whoever comes next waits behind it.
    assert_eq!(store.reserve(&patient, NOW + 2 * SECOND).await, refused(0, 8));
}

async fn what_is_settled_twice_or_has_lapsed_changes_nothing(store: &Timed) {
    let both = demand(vec![rate("twice:r", 60, 10), budget("twice:b", 100, 50)]);
    let first = id(store.reserve(&both, NOW).await);
    for _ in 0..3 {
        store.settle(first, &both, &[5, 10], NOW).await;
    }
    assert_eq!(
        store.reserve(&demand(vec![rate("twice:r", 60, 6)]), NOW).await,
        refused(0, 1)
    );
    let second = demand(vec![rate("twice:r", 60, 5), budget("twice:b", 100, 90)]);
    let second_id = id(store.reserve(&second, NOW).await);
    assert_eq!(
        store.reserve(&demand(vec![budget("twice:b", 100, 1)]), NOW).await,
        refused(0, 3600)
    );
    let lapsed = NOW + LAPSE.as_micros() as u64;
    store.settle(second_id, &second, &[0, 0], lapsed).await;
    let verdict = store.reserve(&demand(vec![budget("twice:b", 100, 1)]), lapsed).await;
    assert_eq!(verdict, refused(0, 3000));
}

async fn what_a_dead_process_had_set_aside_is_spent_and_not_held(store: &Timed) {
    let all = demand(vec![budget("dead", 100, 100)]);
    // Ten seconds before the end of the hour; it lapses in the next one.
    let late = NOW + 3590 * SECOND;
    id(store.reserve(&all, late).await);
    let next = NOW + 3600 * SECOND;
    assert_eq!(store.reserve(&all, next).await, refused(0, 3600), "still held");
    id(store.reserve(&all, late + LAPSE.as_micros() as u64).await);
}

async fn two_hundred_at_once_take_what_there_is_and_nothing_more(store: &Timed) {
    store.at(NOW).await;
    // 142 sevens are 994 of 1,000 micro-dollars; 100 requests are ten seconds' worth; 90 x 11 tokens are 990 of 1,000.
    for (name, claim, fit) in [
        ("money", budget("crowd:b", 1_000, 7), 142),
        ("requests", rate("crowd:r", 600, 1), 100),
        ("tokens", rate("crowd:t", 6_000, 11), 90),
    ] {
        let asked = demand(vec![claim.clone()]);
        let crowd = (0..CLIENTS).map(|n| {
            let (asked, store) = (
                asked.clone(),
                Arc::clone(&store.stores[n as usize % store.stores.len()]),
            );
            tokio::spawn(async move { store.reserve(&asked, NOW).await.unwrap() })
        });
        let verdicts: Vec<Verdict> = join_all(crowd).await.into_iter().map(Result::unwrap).collect();
        let granted: Vec<u64> = verdicts
            .iter()
            .filter_map(|verdict| match verdict {
                Verdict::Granted { id, .. } => Some(*id),
                Verdict::Refused { .. } => None,
            })
            .collect();
        assert_eq!(granted.len(), fit, "{name}");
        // What is left over fits, and one more does not.
        let left = match claim.rule {
            Rule::Budget(_) => 1_000 - 7 * fit as u64,
            Rule::Rate(_) if name == "tokens" => 1_000 - 11 * fit as u64,
            Rule::Rate(_) => 0,
        };
        let rest = |amount| {
            demand(vec![Claim {
                amount,
                ..claim.clone()
            }])
        };
        assert!(matches!(
            store.reserve(&rest(left + 1), NOW).await,
            Verdict::Refused { .. }
        ));
        id(store.reserve(&rest(left), NOW).await);
        // Each used one of what it took: exactly the rest is there again.
        let settled = granted.iter().enumerate().map(|(n, id)| {
            let (asked, store, id) = (asked.clone(), Arc::clone(&store.stores[n % store.stores.len()]), *id);
            tokio::spawn(async move { store.settle(id, &asked, &[1], NOW).await.unwrap() })
        });
        join_all(settled).await;
        let back = (claim.amount - 1) * fit as u64;
        assert!(matches!(
            store.reserve(&rest(back + 1), NOW).await,
            Verdict::Refused { .. }
        ));
        id(store.reserve(&rest(back), NOW).await);
    }
}

/// Some steps at random, on three accounts of each kind.
#[tokio::test]
async fn the_scripts_do_what_the_book_does() {
    let Some(redis) = Timed::redis("equal").await else {
        return;
    };
    let book = Timed::memory();
    let draw = |n: u64, below: u64| (unit(11, Purpose::Jitter, "steps", n) * below as f64) as u64;
    let (mut now, mut open, mut granted) = (NOW, Vec::new(), 0);
    for step in 0..3_000_u64 {
        let pick = |what: u64, below: u64| draw(step * 16 + what, below);
        now += pick(0, 4) * pick(1, SECOND / 2);
        if step % 500 == 499 {
            now += pick(2, 4000) * SECOND;
        }
        if pick(3, 3) == 0 && !open.is_empty() {
            let (id, demand): (u64, Demand) = open.swap_remove(pick(4, open.len() as u64) as usize);
            let used: Vec<u64> = demand
                .claims
                .iter()
                .map(|claim| claim.amount * pick(5, 130) / 100)
                .collect();
            book.settle(id, &demand, &used, now).await;
            redis.settle(id, &demand, &used, now).await;
            continue;
        }
        let big = if pick(6, 20) == 0 { 40 } else { 1 };
        let claims = vec![
            rate(&format!("r{}", pick(7, 3)), 300, 1),
            rate(&format!("t{}", pick(8, 3)), 90_000_000, (1 + pick(9, 300_000)) * big),
            budget(
                &format!("b{}", pick(10, 3)),
                1_000_000_000,
                (1 + pick(11, 30_000_000)) * big,
            ),
        ];
        let demand = Demand {
            claims: claims.into_iter().skip(pick(12, 3) as usize).collect(),
            patience: Duration::from_micros(pick(13, 2) * pick(14, 3 * SECOND)),
            lapse: Some(LAPSE),
        };
        let (expected, seen) = (book.reserve(&demand, now).await, redis.reserve(&demand, now).await);
        assert_eq!(expected, seen, "step {step}: {demand:?}");
        if let Some(Rule::Budget(rule)) = demand.claims.last().map(|claim| claim.rule) {
            let account = &demand.claims.last().unwrap().account;
            let left = [&book, &redis].map(|store| store.stores[0].left(account, rule, now));
            let [expected, seen] = join_all(left).await.try_into().unwrap();
            assert_eq!(expected.unwrap(), seen.unwrap(), "step {step}");
        }
        if let Verdict::Granted { id, .. } = expected {
            granted += 1;
            open.push((id, demand));
        }
    }
    assert!((500..1_800).contains(&granted), "{granted}");
}

#[tokio::test]
async fn on_the_servers_own_time_a_minute_lasts_a_minute_and_no_key_lasts_for_ever() {
    let Some(server) = Server::redis() else { return };
    let url = SecretString::from(server.redis_url());
    let store = RedisLimits::open(&url, Some("own")).await.unwrap();
    // 200 at once, and then one every 50 ms. What the caller takes for the time is not looked at.
    let asked = demand(vec![rate("r", 1_200, 200), budget("b", 1_000, 1)]);
    id(store.reserve(&asked, 0).await.unwrap());
    let Verdict::Refused {
        claim: 0,
        wait: Some(wait),
    } = store.reserve(&asked, u64::MAX).await.unwrap()
    else {
        panic!("the bucket is empty");
    };
    assert!(
        wait > Duration::from_secs(5) && wait <= Duration::from_secs(10),
        "{wait:?}"
    );
    tokio::time::sleep(Duration::from_millis(120)).await;
    id(store.reserve(&demand(vec![rate("r", 1_200, 2)]), 0).await.unwrap());
    let mut connection = redis::Client::open(server.redis_url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    assert!(keys.len() >= 5, "{keys:?}");
    for key in keys {
        let ttl: i64 = connection.pttl(&key).await.unwrap();
        assert!(ttl > 0 && key.starts_with("{own}:limits"), "{key}: {ttl}");
    }
}
