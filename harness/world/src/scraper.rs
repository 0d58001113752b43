//! The scraper: asks every process of the target for its metrics at stated intervals, as Prometheus would, over the run's
//! own network.
//!
//! It keeps what it is told, with time and host, within a bound. What the series mean is nobody's business here;
//! `exposition` writes them down in one text.

mod exposition;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brownout_net::{Network, RunClock};
use brownout_scenario::units::Micros;
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

/// Longest text that one process may answer with, in bytes.
const LONGEST_TEXT: usize = 4 << 20;
/// All that is kept, in bytes: bounds memory in a long run of many processes.
const MOST_KEPT: usize = 256 << 20;
/// A process that has not answered by then is down, as Prometheus sees it.
const LONGEST_SCRAPE: Duration = Duration::from_secs(2);

/// A process to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    /// Its name: the `instance` of its series.
    instance: String,
    /// Where it answers.
    authority: String,
}

/// The processes to ask, as they come and go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets(Arc<Mutex<BTreeMap<String, String>>>);

impl Targets {
    /// `instance` answers at `authority`, and nowhere else from now on.
    pub(crate) fn add(&self, instance: &str, authority: &str) {
        self.lock().insert(instance.to_owned(), authority.to_owned());
    }

    /// `instance` is no more, on purpose.
    pub(crate) fn remove(&self, instance: &str) {
        self.lock().remove(instance);
    }

    fn all(&self) -> Vec<Target> {
        let target = |(instance, authority): (&String, &String)| Target {
            instance: instance.clone(),
            authority: authority.clone(),
        };
        self.lock().iter().map(target).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one process answered at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scrape {
    at: Micros,
    instance: String,
    /// `None` if it did not answer.
    text: Option<String>,
}

#[derive(Default)]
struct Kept {
    scrapes: Vec<Scrape>,
    bytes: usize,
    dropped: u64,
}

/// A scraper at work. Dropping it ends it.
pub(crate) struct Scraper {
    kept: Arc<Mutex<Kept>>,
    running: JoinHandle<()>,
}

impl Scraper {
    /// Asks those who are among `targets` then, now and every `every` from now on.
    pub(crate) fn start(every: Micros, network: Network, clock: RunClock, targets: Targets) -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let keeping = Arc::clone(&kept);
        let running = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every.into());
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let at = Micros(clock.now_us());
                let asked = targets.all().into_iter().map(|target| ask(&network, target, at));
                let scrapes = join_all(asked).await;
                keeping.lock().unwrap_or_else(PoisonError::into_inner).keep(scrapes);
            }
        });
        Self { kept, running }
    }

    /// All series so far, as OpenMetrics text with times, and how many answers there was no room for.
    pub(crate) fn finish(self, origin_unix_us: u64) -> (String, u64) {
        self.running.abort();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (exposition::write(&kept.scrapes, origin_unix_us), kept.dropped)
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Kept {
    fn keep(&mut self, scrapes: Vec<Scrape>) {
        for scrape in scrapes {
            let length = scrape.text.as_ref().map_or(0, String::len);
            if self.bytes + length > MOST_KEPT {
                self.dropped += 1;
            } else {
                self.bytes += length;
                self.scrapes.push(scrape);
            }
        }
    }
}

async fn ask(network: &Network, target: Target, at: Micros) -> Scrape {
    let text = tokio::time::timeout(LONGEST_SCRAPE, fetch(network, &target.authority)).await;
    Scrape {
        at,
        instance: target.instance,
        text: text.ok().and_then(Result::ok),
    }
}

async fn fetch(network: &Network, authority: &str) -> io::Result<String> {
    let stream = network.connect(authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get("/metrics")
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/openmetrics-text; version=1.0.0")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        if response.status() != StatusCode::OK {
            return Err(io::Error::other("no metrics there"));
        }
        let body = Limited::new(response.into_body(), LONGEST_TEXT).collect().await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(io::Error::other)
    };
    let driver = async {
        let _ = connection.await;
        // The answer says by itself that the connection is gone.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = driver => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

#[cfg(test)]
mod tests {
    use brownout_net::serve;
    use http::Response;
    use http_body_util::Full;
    use hyper::service::service_fn;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_process_is_asked_at_every_interval_and_who_is_not_there_is_down() {
        let network = Network::memory();
        let listener = network.listen("service-0").expect("a listener");
        let answers = service_fn(|request: Request<hyper::body::Incoming>| async move {
            assert_eq!(request.uri().path(), "/metrics");
            let text = "# TYPE a gauge\na 1\n# EOF\n";
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(text.as_bytes()))))
        });
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, answers, shutdown.clone(), Duration::ZERO));
        let targets = Targets::default();
        targets.add("service-0", "service-0");
        targets.add("service-1", "service-1");
        let every = Micros::from_secs(5);
        let scraper = Scraper::start(every, network, RunClock::start(), targets);
        tokio::time::sleep(Duration::from_secs(12)).await;
        let (text, dropped) = scraper.finish(1_000_000_000);
        let expected = "# HELP a \n# TYPE a gauge\n\
                        a{instance=\"service-0\"} 1 1000.000\n\
                        a{instance=\"service-0\"} 1 1005.000\n\
                        a{instance=\"service-0\"} 1 1010.000\n\
                        # HELP up Whether the process answered when it was asked for its metrics.\n# TYPE up gauge\n\
                        up{instance=\"service-0\"} 1 1000.000\n\
                        up{instance=\"service-0\"} 1 1005.000\n\
                        up{instance=\"service-0\"} 1 1010.000\n\
                        up{instance=\"service-1\"} 0 1000.000\n\
                        up{instance=\"service-1\"} 0 1005.000\n\
                        up{instance=\"service-1\"} 0 1010.000\n\
                        # EOF\n";
        assert_eq!((text.as_str(), dropped), (expected, 0));
    }
}
