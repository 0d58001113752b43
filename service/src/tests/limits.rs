use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use futures::future::join_all;
use http::{Method, Request};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::provider::{End, Provider, Reply, word};
use super::support::{Answer, Host, ms, question, secs, settings};
use crate::limits::{Allowance, Demand, LimitStore, LimitStoreError, MemoryLimits, RedisLimits, Verdict};
use crate::ports::Stores;
use crate::servers::Server;
use crate::settings::Digest;

/// Who asks at once.
const CLIENTS: usize = 200;
/// What an attempt can cost at most, in micro-dollars: a token for each of the 17 bytes of the question, 80 for its form, and
/// 50 of answer at ten times the price.
const MOST: u64 = 17 + 80 + 50 * 10;
/// What an answer does cost: the provider reports 3 and 2 tokens.
const COST: u64 = 3 + 2 * 10;

/// A service on two providers at these prices, `more` on top.
fn service(more: &Value) -> Value {
    let provider = |name: &str| {
        json!({
            "name": name, "base_url": format!("http://{name}.sim"), "model": "m",
            "prompt_usd_per_million": 1, "completion_usd_per_million": 10,
        })
    };
    let mut service = json!({ "providers": [provider("a"), provider("b")] });
    service
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    service
}

/// A service with one key, `key`, that has these limits of its own, and `limits` for all.
pub(super) fn keyed(key: &Value, limits: &Value) -> Value {
    let mut entry = json!({ "name": "n", "sha256": Digest::of(b"key").to_hex() });
    entry.as_object_mut().unwrap().extend(key.as_object().unwrap().clone());
    service(&json!({ "auth": "required", "keys": [entry], "limits": limits }))
}

/// Replicas of one service over these stores.
fn replicas(provider: &Arc<Provider>, service: &Value, stores: &Stores) -> Vec<Host> {
    let host = |_| Host::with(provider, settings(service.clone()), stores.replica());
    (0..3).map(host).collect()
}

fn memory(service: &Value) -> Stores {
    Stores::memory(&settings(service.clone()))
}

fn with_limits(service: &Value, limits: Arc<dyn LimitStore>) -> Stores {
    Stores {
        limits,
        ..memory(service)
    }
}

async fn ask(host: &Host, path: &str) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("authorization", "Bearer key")
        .body(Body::from(question().to_string()))
        .unwrap();
    Answer::read(host.ask(request).await).await
}

async fn chat(host: &Host) -> Answer {
    ask(host, "/chat").await
}

/// How many of a crowd get an answer.
async fn answered(hosts: &[Host]) -> usize {
    let crowd = (0..CLIENTS).map(|n| chat(&hosts[n % hosts.len()]));
    let all = join_all(crowd).await;
    all.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test(start_paused = true)]
async fn replicas_admit_once_together_or_once_each() {
    // Ten seconds' worth of 240 a minute is 40.
    let cases = [
        (json!({}), "requests_per_minute"),
        (json!({ "requests_per_minute": 240 }), ""),
    ];
    for (key, service_limit) in cases {
        for (store, expected) in [("shared", 40), ("memory", 120)] {
            let mut limits = json!({ "store": store });
            if !service_limit.is_empty() {
                limits[service_limit] = json!(240);
            }
            let service = keyed(&key, &limits);
            let provider = Provider::new(|_, _| Reply::Whole(ms(0)));
            let hosts = replicas(&provider, &service, &memory(&service));
            assert_eq!(answered(&hosts).await, expected, "{store} {key}");
            assert_eq!(provider.seen().len(), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_says_which_limit_and_when_to_come_back() {
    let service = keyed(&json!({}), &json!({ "requests_per_minute": 30 }));
    let provider = Provider::new(|_, _| Reply::Whole(ms(0)));
    let host = Host::new(&provider, service);
    for _ in 0..5 {
        assert_eq!(chat(&host).await.status, 200);
    }
    tokio::time::sleep(ms(700)).await;
    let refused = chat(&host).await;
    assert_eq!(refused.problem(), (429, "service-rate-limited".to_owned()));
    assert_eq!(
        (refused.header("retry-after"), refused.header("retry-after-ms")),
        ("2", "1300")
    );
    let metrics = host.get("/metrics").await.body;
    assert!(
        metrics.contains(r#"service_limited_total{kind="service_requests"} 1"#),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_that_were_not_used_come_back_and_what_no_bucket_holds_is_refused_as_such() {
    // A request takes 6 + 64 + 50 = 120 tokens at first, and 5 in the end. A full bucket holds 240.
    let service = keyed(&json!({ "tokens_per_minute": 1440 }), &json!({}));
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let host = Host::new(&provider, service);
    let statuses = join_all((0..3).map(|_| chat(&host))).await;
    let statuses: Vec<u16> = statuses.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 429], "only two are under way at a time");
    for _ in 0..5 {
        assert_eq!(chat(&host).await.status, 200, "one after the other");
    }
    let mut long = question();
    long["max_tokens"] = json!(171);
    let request = Request::builder().method(Method::POST).uri("/chat");
    let request = request
        .header("authorization", "Bearer key")
        .body(Body::from(long.to_string()));
    let refused = Answer::read(host.ask(request.unwrap()).await).await;
    assert_eq!(refused.problem(), (413, "tokens-over-limit".to_owned()));
    assert_eq!(refused.header("retry-after"), "");
}

#[tokio::test(start_paused = true)]
async fn who_may_wait_gets_its_turn_in_order_and_who_leaves_gives_it_back() {
    let service = keyed(
        &json!({}),
        &json!({ "requests_per_minute": 60, "burst": "1s", "wait": "3s" }),
    );
    let provider = Provider::new(|_, _| Reply::Whole(ms(0)));
    let host = Host::new(&provider, service);
    let statuses = join_all((0..5).map(|_| chat(&host))).await;
    let statuses: Vec<u16> = statuses.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429]);
    assert_eq!(provider.times(), [0, 1000, 2000, 3000]);
    // The bucket holds nothing now; the next would have waited for a second.
    let left = tokio::time::timeout(ms(500), chat(&host)).await;
    assert!(left.is_err());
    tokio::time::sleep(ms(500)).await;
    assert_eq!(chat(&host).await.status, 200);
    assert_eq!(provider.times()[4], 4000, "the turn of the one who left");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_turn_holds_no_place() {
    let mut service = keyed(
        &json!({ "requests_per_minute": 600 }),
        &json!({ "requests_per_minute": 60, "burst": "1s", "wait": "10s" }),
    );
    service["shed"] = json!({ "concurrent": 1, "queue": 10, "wait": "1s" });
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, service);
    let statuses = join_all((0..5).map(|_| chat(&host))).await;
    assert!(
        statuses.iter().all(|answer| answer.status == 200),
        "none of them is in another's way"
    );
    assert_eq!(provider.times(), [0, 1000, 2000, 3000, 4000]);
}

#[tokio::test(start_paused = true)]
async fn a_bound_that_nobody_asked_for_leaves_room_for_the_prompt() {
    let mut service = keyed(&json!({ "tokens_per_minute": 1_000_000 }), &json!({}));
    for place in 0..2 {
        service["providers"][place]["context_window"] = json!(8_192);
    }
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, service);
    // About 5,000 tokens, at most 6,731; the rest of the window is the answer's. Then one that hardly fits at all.
    for (bytes, bound) in [(200, 4_096), (20_000, 8_192 - 6_731), (32_000, 192)] {
        let body = json!({ "messages": [{ "role": "user", "content": "x".repeat(bytes) }] }).to_string();
        let sent = host.send_with(Method::POST, "/chat", &[("authorization", "Bearer key")], &body);
        assert_eq!(Answer::read(sent.await).await.status, 200);
        assert_eq!(provider.seen().last().unwrap().body["max_tokens"], bound, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_budget_goes_to_whoever_is_cheap_enough() {
    // The dear one can cost `MOST`, of which 80 are the form of the question; the cheap one a tenth.
    let mut service = keyed(&json!({ "budget_usd": (MOST - 1) as f64 / 1e6 }), &json!({}));
    service["providers"][1]["prompt_usd_per_million"] = json!(0.1);
    service["providers"][1]["completion_usd_per_million"] = json!(1);
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, service);
    let answer = chat(&host).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["provider"]), (200, &json!("b")));
    // What one of them asks for a prompt and the other for an answer is nobody's price.
    let mut service = keyed(&json!({ "budget_usd": MOST as f64 / 1e6 }), &json!({}));
    service["providers"][1]["prompt_usd_per_million"] = json!(6);
    service["providers"][1]["completion_usd_per_million"] = json!(1);
    let host = Host::new(&provider, service);
    assert_eq!(chat(&host).await.status, 200);
}

/// Asks until the money is gone, all at once and then one by one; what was spent, in micro-dollars.
async fn spend_all(hosts: &[Host]) -> u64 {
    let spending = (0..CLIENTS).map(async |n| {
        let (host, mut answers) = (&hosts[n % hosts.len()], 0);
        for _ in 0..5 {
            let answer = chat(host).await;
            match answer.status.as_u16() {
                200 => answers += 1,
                402 => break,
                other => panic!("{other} {}", answer.body),
            }
        }
        answers
    });
    let mut answers: u64 = join_all(spending).await.into_iter().sum();
    // What was set aside is settled a moment after the answer.
    tokio::time::sleep(ms(300)).await;
    while chat(&hosts[0]).await.status == 200 {
        answers += 1;
        tokio::time::sleep(ms(5)).await;
    }
    answers * COST
}

const BUDGET: u64 = 20_000;

fn purse(store: &str) -> Value {
    let budget = json!({ "budget_usd": BUDGET as f64 / 1e6, "budget_window": "365d" });
    keyed(&budget, &strict(store))
}

/// Limits that a slow machine does not make a local matter.
fn strict(store: &str) -> Value {
    json!({ "store": store, "timeout": "20s", "when_down": "closed" })
}

fn assert_spent_to_the_last(spent: u64) {
    assert!(spent <= BUDGET, "{spent}");
    assert!(BUDGET - spent < MOST, "what fits is not refused: {spent}");
}

#[tokio::test(start_paused = true)]
async fn two_hundred_clients_of_three_replicas_cannot_spend_more_than_their_key_has() {
    let service = purse("shared");
    let provider = Provider::new(|n, _| Reply::Whole(ms(n as u64 % 7)));
    let spent = spend_all(&replicas(&provider, &service, &memory(&service))).await;
    assert_spent_to_the_last(spent);
}

#[tokio::test]
async fn two_hundred_clients_of_three_replicas_on_redis_keep_every_limit_to_the_last() {
    let Some(server) = Server::redis() else { return };
    let url = SecretString::from(server.redis_url());
    let stores = async |service: &Value, namespace: &str| {
        let limits = RedisLimits::open(&url, Some(namespace)).await.unwrap();
        with_limits(service, Arc::new(limits))
    };
    let service = purse("shared");
    let provider = Provider::new(|n, _| Reply::Whole(ms(n as u64 % 7)));
    let spent = spend_all(&replicas(&provider, &service, &stores(&service, "money").await)).await;
    assert_spent_to_the_last(spent);
    // One a minute comes in; nobody is here for that long.
    let mut limits = strict("shared");
    limits["requests_per_minute"] = json!(1);
    let service = keyed(&json!({}), &limits);
    let provider = Provider::new(|_, _| Reply::Whole(ms(0)));
    let hosts = replicas(&provider, &service, &stores(&service, "requests").await);
    assert_eq!(answered(&hosts).await, 1);
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_that_may_be_billed_is_paid_for_and_one_that_cannot_be_is_not_made() {
    let retry = |budget: u64| {
        let mut service = keyed(&json!({ "budget_usd": budget as f64 / 1e6 }), &json!({}));
        service["retry"] = json!({ "backoff": "none" });
        service
    };
    // The first provider's answer makes no sense, so nobody knows what it costs; the second one's does.
    let provider = || {
        Provider::new(|n, _| match n {
            0 => Reply::Body("{}"),
            _ => Reply::Whole(ms(1)),
        })
    };
    let (short, enough) = (provider(), provider());
    let host = Host::new(&short, retry(2 * MOST - 1));
    let refused = chat(&host).await;
    assert_eq!(refused.problem(), (402, "budget-exhausted".to_owned()));
    assert_eq!(short.seen().len(), 1);
    let host = Host::new(&enough, retry(2 * MOST));
    assert_eq!(chat(&host).await.status, 200);
    assert_eq!(enough.seen().len(), 2);
    // What is left is all but the first attempt's most and the second one's cost: no room for another.
    assert_eq!(chat(&host).await.status, 402);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_its_provider_breaks_off_costs_what_came() {
    let half = Reply::Stream(vec![(ms(1), word("one")), (ms(1), word(" two"))], End::Broken);
    // The question as a guess, and two words: 6 + 64 + 2 x 10. Four of these and one whole most fit.
    let budget = 4 * (6 + 64 + 2 * 10) + MOST;
    let provider = Provider::new(move |_, _| half.clone());
    let mut service = keyed(&json!({ "budget_usd": budget as f64 / 1e6 }), &json!({}));
    service["rescue"] = json!("off");
    let host = Host::new(&provider, service);
    for n in 0..5 {
        let answer = ask(&host, "/chat/stream").await;
        assert_eq!(
            (answer.status.as_u16(), answer.event_names().last().unwrap().as_str()),
            (200, "error"),
            "{n}"
        );
    }
    assert_eq!(ask(&host, "/chat/stream").await.status, 402);
}

#[tokio::test(start_paused = true)]
async fn many_tokens_in_one_piece_that_breaks_off_are_not_charged_as_one() {
    let packed = word(&"many words in one piece ".repeat(20));
    let half = Reply::Stream(vec![(ms(1), packed)], End::Broken);
    // The question as a guess, and all 50 tokens that were asked for. Two of these, and one whole most fits.
    let budget = 2 * (6 + 64 + 50 * 10) + MOST - 1;
    let provider = Provider::new(move |_, _| half.clone());
    let mut service = keyed(&json!({ "budget_usd": budget as f64 / 1e6 }), &json!({}));
    service["rescue"] = json!("off");
    let host = Host::new(&provider, service);
    for n in 0..2 {
        assert_eq!(ask(&host, "/chat/stream").await.status, 200, "{n}");
    }
    assert_eq!(ask(&host, "/chat/stream").await.status, 402);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_paid_for_is_not_taken_on() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let job = async |budget: u64| {
        let mut service = keyed(&json!({ "budget_usd": budget as f64 / 1e6 }), &json!({}));
        service["design"] = json!("background");
        ask(&Host::new(&provider, service), "/jobs").await
    };
    assert_eq!(job(MOST - 1).await.problem(), (402, "budget-exhausted".to_owned()));
    assert_eq!(job(MOST).await.status, 202);
}

/// A store that does what a test says.
#[derive(Default)]
struct Moody {
    inner: MemoryLimits,
    /// 0: well; 1: it refuses; 2: it never answers.
    mood: AtomicU32,
    asked: AtomicU32,
}

impl Moody {
    async fn suffer(&self) -> Result<(), LimitStoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.mood.load(Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err(LimitStoreError("refused".into())),
            _ => std::future::pending().await,
        }
    }
}

#[async_trait]
impl LimitStore for Moody {
    async fn reserve(&self, demand: &Demand, now_us: u64) -> Result<Verdict, LimitStoreError> {
        self.suffer().await?;
        self.inner.reserve(demand, now_us).await
    }

    async fn settle(&self, id: u64, demand: &Demand, used: &[u64], now_us: u64) -> Result<(), LimitStoreError> {
        self.suffer().await?;
        self.inner.settle(id, demand, used, now_us).await
    }

    async fn left(&self, account: &str, rule: Allowance, now_us: u64) -> Result<u64, LimitStoreError> {
        self.suffer().await?;
        self.inner.left(account, rule, now_us).await
    }

    async fn ping(&self) -> Result<(), LimitStoreError> {
        self.suffer().await
    }
}

/// A service whose key has ten requests, and its store.
fn moody(policy: &str) -> (Host, Arc<Moody>) {
    let limits = json!({ "store": "shared", "when_down": policy });
    let service = keyed(&json!({ "requests_per_minute": 60 }), &limits);
    let provider = Provider::new(|_, _| Reply::Whole(ms(0)));
    let store = Arc::new(Moody::default());
    let stores = with_limits(&service, Arc::clone(&store) as _);
    (Host::with(&provider, settings(service), stores), store)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_or_silent_is_what_the_policy_says_and_nobody_hangs() {
    for mood in [1, 2] {
        for (policy, through, then) in [("local", 10, 429), ("open", 15, 200), ("closed", 0, 503)] {
            let (host, store) = moody(policy);
            assert_eq!(chat(&host).await.status, 200);
            assert_eq!(host.get("/readyz").await.json()["limits"], "ok");
            store.mood.store(mood, Ordering::Relaxed);
            let mut statuses = Vec::new();
            for _ in 0..15 {
                statuses.push(chat(&host).await.status.as_u16());
            }
            let let_through = statuses.iter().filter(|status| **status == 200).count();
            assert_eq!((let_through, statuses[14]), (through, then), "{policy} {mood}");
            // Only the first of them waited for the store.
            assert_eq!(host.elapsed_ms(), if mood == 2 { 250 } else { 0 });
            let readiness = host.get("/readyz").await;
            assert_eq!(readiness.status, 200, "another replica would do no better");
            let readiness = readiness.json();
            assert_eq!(
                (&readiness["status"], &readiness["limits"]),
                (&json!("degraded"), &json!("degraded"))
            );
            let metrics = host.get("/metrics").await.body;
            assert!(metrics.contains("service_limits_degraded 1"), "{metrics}");
            assert!(metrics.contains("service_limit_store_errors_total 1"), "{metrics}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_is_asked_by_one_at_a_time_until_it_answers() {
    let (host, store) = moody("open");
    store.mood.store(2, Ordering::Relaxed);
    for _ in 0..100 {
        assert_eq!(chat(&host).await.status, 200);
        tokio::time::sleep(ms(50)).await;
    }
    // Five seconds: one question at the start, then one in a second and a quarter.
    let asked = store.asked.load(Ordering::Relaxed);
    assert!((4..=6).contains(&asked), "{asked}");
    store.mood.store(0, Ordering::Relaxed);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(chat(&host).await.status, 200);
    assert_eq!(host.get("/readyz").await.json()["limits"], "ok");
    assert!(host.get("/metrics").await.body.contains("service_limits_degraded 0"));
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_when_the_store_went_is_settled_when_it_is_back() {
    let service = keyed(
        &json!({ "budget_usd": MOST as f64 / 1e6 }),
        &json!({ "store": "shared" }),
    );
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let store = Arc::new(Moody::default());
    let host = Host::with(
        &provider,
        settings(service.clone()),
        with_limits(&service, Arc::clone(&store) as _),
    );
    let asking = tokio::spawn({
        let request = Request::builder().method(Method::POST).uri("/chat");
        let request = request
            .header("authorization", "Bearer key")
            .body(Body::from(question().to_string()));
        host.ask(request.unwrap())
    });
    tokio::time::sleep(ms(500)).await;
    store.mood.store(1, Ordering::Relaxed);
    assert_eq!(asking.await.unwrap().status(), 200);
    store.mood.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // All of the money was set aside, and 23 of it used.
    assert_eq!(chat(&host).await.status, 402);
    let mut small = question();
    small["max_tokens"] = json!(47);
    let request = Request::builder().method(Method::POST).uri("/chat");
    let request = request
        .header("authorization", "Bearer key")
        .body(Body::from(small.to_string()));
    assert_eq!(host.ask(request.unwrap()).await.status(), 200);
}
