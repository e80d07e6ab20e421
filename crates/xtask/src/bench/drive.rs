//! So many requests in flight for so long, and how long each took.

use std::pin::Pin;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

/// Requests of this long at the beginning do not count: connections and caches are cold.
const WARM_UP: Duration = Duration::from_millis(300);

/// One request.
pub(crate) type Asking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What was seen in one slice of time.
pub(crate) struct Slice {
    /// Microseconds of each request that was answered after the warm-up.
    pub(crate) times: Histogram<u64>,
    seconds: f64,
    /// All that were answered, those of the warm-up included.
    pub(crate) answered: u64,
}

impl Slice {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.seconds
    }

    /// Milliseconds within which this part of the requests was answered.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of some seconds")]
    pub(crate) fn ms(&self, part: f64) -> f64 {
        self.times.value_at_quantile(part) as f64 / 1e3
    }

    /// Microseconds of this time for each answer.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn each_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.answered.max(1) as f64
    }
}

/// Sends with `in_flight` tasks, each its next request when the last one is answered.
pub(crate) async fn drive<F, A>(in_flight: usize, length: Duration, send: F) -> Slice
where
    F: Fn(usize) -> A + Clone + Send + 'static,
    A: Future<Output = ()> + Send,
{
    let begin = Instant::now() + WARM_UP;
    let end = begin + length;
    let mut tasks = JoinSet::new();
    for task in 0..in_flight {
        let send = send.clone();
        tasks.spawn(async move {
            let (mut times, mut answered) = (histogram(), 0);
            loop {
                let sent = Instant::now();
                send(task).await;
                answered += 1;
                let now = Instant::now();
                if now >= end {
                    return (times, answered);
                }
                if now >= begin {
                    let us = u64::try_from((now - sent).as_micros()).unwrap_or(u64::MAX);
                    times.saturating_record(us);
                }
            }
        });
    }
    let mut slice = Slice {
        times: histogram(),
        seconds: length.as_secs_f64(),
        answered: 0,
    };
    while let Some(done) = tasks.join_next().await {
        let (times, answered) = done.unwrap();
        slice.times.add(times).unwrap();
        slice.answered += answered;
    }
    slice
}

/// From a microsecond to a minute, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_side_by_side_are_counted() {
        let wait = |_| tokio::time::sleep(Duration::from_millis(20));
        let slice = drive(8, Duration::from_millis(600), wait).await;
        // 8 × 30 at most; a slow machine answers fewer.
        assert!(
            (8.0..=420.0).contains(&slice.per_second()),
            "{}",
            slice.per_second()
        );
        assert!(slice.ms(0.5) >= 20.0);
        assert!(
            slice.answered > slice.times.len(),
            "the warm-up counts for nothing"
        );
    }
}
