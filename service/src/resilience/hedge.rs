//! Hedging: a second attempt beside a first one that is late; whichever answers first wins, the other is dropped.
//!
//! It shortens the tail and costs tokens: the loser has worked for nothing. So there is at most one for a call, and a
//! budget over all calls, because under load every first attempt is late and hedging would double the load. Knows neither
//! providers nor answers.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HedgeSettings {
    /// How long a first attempt may take to its first token, or to its answer where that comes whole, before a second one
    /// is begun beside it. Absent: for ever.
    pub after: Option<Duration>,
    /// Hedges allowed per request, on average. Absent: no bound.
    pub budget_ratio: Option<f64>,
}

/// One of two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    Second,
}

/// What two attempts came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raced<T, E> {
    /// The one that answered first; the first where none did.
    pub(crate) which: Which,
    /// What it came to.
    pub(crate) result: Result<T, E>,
    /// How the other one failed, if it had by then.
    pub(crate) lost: Option<E>,
}

impl<T, E> Raced<T, E> {
    const fn first(result: Result<T, E>, lost: Option<E>) -> Self {
        Self {
            which: Which::First,
            result,
            lost,
        }
    }

    const fn second(answer: T, lost: Option<E>) -> Self {
        Self {
            which: Which::Second,
            result: Ok(answer),
            lost,
        }
    }
}

/// Mechanism: the first attempt, and after a while a second one beside it, if `launch` has one.
pub(crate) async fn race<T, E, Second>(
    first: impl Future<Output = Result<T, E>>,
    after: Option<Duration>,
    launch: impl FnOnce() -> Option<Second>,
) -> Raced<T, E>
where
    Second: Future<Output = Result<T, E>>,
{
    let Some(after) = after else {
        return Raced::first(first.await, None);
    };
    let mut first = pin!(first);
    tokio::select! {
        biased;
        result = &mut first => return Raced::first(result, None),
        () = tokio::time::sleep(after) => {}
    }
    let Some(second) = launch() else {
        return Raced::first(first.await, None);
    };
    let mut second = pin!(second);
    tokio::select! {
        biased;
        result = &mut first => match result {
            Ok(answer) => Raced::first(Ok(answer), None),
            Err(failure) => match second.await {
                Ok(answer) => Raced::second(answer, Some(failure)),
                Err(lost) => Raced::first(Err(failure), Some(lost)),
            },
        },
        result = &mut second => match result {
            Ok(answer) => Raced::second(answer, None),
            Err(lost) => Raced::first(first.await, Some(lost)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const AFTER: Option<Duration> = Some(Duration::from_secs(1));

    async fn attempt(takes_ms: u64, result: Result<u32, &'static str>) -> Result<u32, &'static str> {
        tokio::time::sleep(Duration::from_millis(takes_ms)).await;
        result
    }

    async fn raced(
        first: (u64, Result<u32, &'static str>),
        second: Option<(u64, Result<u32, &'static str>)>,
    ) -> (Raced<u32, &'static str>, u128) {
        let began = Instant::now();
        let launch = || second.map(|(takes, result)| attempt(takes, result));
        let raced = race(attempt(first.0, first.1), AFTER, launch).await;
        (raced, began.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_time_is_not_hedged_and_who_is_late_is() {
        assert_eq!(
            raced((1000, Ok(1)), Some((0, Ok(2)))).await,
            (Raced::first(Ok(1), None), 1000)
        );
        assert_eq!(
            raced((1001, Ok(1)), Some((0, Ok(2)))).await,
            (Raced::second(2, None), 1000)
        );
        assert_eq!(raced((9000, Ok(1)), None).await, (Raced::first(Ok(1), None), 9000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_answer_wins() {
        assert_eq!(
            raced((1500, Ok(1)), Some((600, Ok(2)))).await,
            (Raced::first(Ok(1), None), 1500)
        );
        assert_eq!(
            raced((1700, Ok(1)), Some((600, Ok(2)))).await,
            (Raced::second(2, None), 1600)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_waits_for_the_other_and_every_failure_is_told() {
        assert_eq!(
            raced((1100, Err("a")), Some((600, Ok(2)))).await,
            (Raced::second(2, Some("a")), 1600)
        );
        assert_eq!(
            raced((2000, Ok(1)), Some((10, Err("b")))).await,
            (Raced::first(Ok(1), Some("b")), 2000)
        );
        for (first, second) in [(1100, 600), (1600, 50)] {
            let both = raced((first, Err("a")), Some((second, Err("b")))).await;
            assert_eq!(both, (Raced::first(Err("a"), Some("b")), 1600));
        }
        assert_eq!(
            raced((500, Err("a")), Some((0, Ok(2)))).await,
            (Raced::first(Err("a"), None), 500),
            "not yet hedged"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_loser_is_dropped_at_once() {
        struct Told<'a>(&'a Cell<Option<u128>>, Instant);
        impl Drop for Told<'_> {
            fn drop(&mut self) {
                self.0.set(Some(self.1.elapsed().as_millis()));
            }
        }
        let dropped = Cell::new(None);
        let told = Told(&dropped, Instant::now());
        let loser = async move {
            let _told = told;
            attempt(60_000, Ok(1)).await
        };
        let raced = race(loser, AFTER, || Some(attempt(500, Ok(2)))).await;
        assert_eq!(raced, Raced::second(2, None));
        assert_eq!(dropped.get(), Some(1500));
    }
}
