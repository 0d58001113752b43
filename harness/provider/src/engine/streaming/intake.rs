//! Takes request bodies in, within bounds: of bytes, of time, and of large bodies at once.
//!
//! A body above the bound is read to its end all the same, without being kept, so that its sender is there to hear the
//! answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::Broken;

/// How long a caller may take over a body.
const LONGEST: Duration = Duration::from_mins(1);

/// Bodies of more bytes wait for each other.
const LARGE: usize = 1 << 20;

/// Large bodies kept in memory at once.
const LARGE_AT_ONCE: usize = 8;

/// Of a body that is too large, at most so many bytes are read before its sender is given up.
const PATIENCE: usize = 256 << 20;

/// The bounds of one provider.
#[derive(Debug)]
pub(super) struct Intake {
    max_body: usize,
    large: Semaphore,
}

impl Intake {
    /// Bodies of more than `max_body` bytes are not kept.
    pub(super) fn new(max_body: usize) -> Self {
        Self {
            max_body,
            large: Semaphore::new(LARGE_AT_ONCE),
        }
    }

    /// The whole body; `None` if it is too large.
    pub(super) async fn read<B: Body<Data = Bytes> + Unpin>(&self, body: B) -> Result<Option<Bytes>, Broken> {
        let read = tokio::time::timeout(LONGEST, self.take(body)).await;
        read.unwrap_or(Err(Broken::NoRequest))
    }

    async fn take<B: Body<Data = Bytes> + Unpin>(&self, mut body: B) -> Result<Option<Bytes>, Broken> {
        let (mut kept, mut read, mut permit) = (BytesMut::new(), 0, None);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Broken::NoRequest)?.into_data() else {
                continue;
            };
            read += data.len();
            if read > PATIENCE {
                return Ok(None);
            }
            if read > self.max_body {
                kept = BytesMut::new();
                permit = None;
                continue;
            }
            if read > LARGE && permit.is_none() {
                permit = self.large.acquire().await.ok();
            }
            kept.extend_from_slice(&data);
        }
        Ok((read <= self.max_body).then(|| kept.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    fn body(pieces: usize, size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let piece = Bytes::from(vec![b'a'; size]);
        let frames = (0..pieces).map(move |_| Ok(Frame::data(piece.clone())));
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_at_the_bound_is_kept_and_one_above_it_is_not() {
        let intake = Intake::new(1_000);
        assert_eq!(intake.read(body(10, 100)).await.unwrap().unwrap().len(), 1_000);
        assert_eq!(intake.read(body(11, 100)).await.unwrap(), None);
        assert_eq!(intake.read(body(1_000_000, 1_000)).await.unwrap(), None, "a gigabyte");
    }

    #[tokio::test(start_paused = true)]
    async fn who_dawdles_over_a_body_is_given_up() {
        let drip = futures::stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a")))
        });
        let begun = tokio::time::Instant::now();
        let read = Intake::new(1_000).read(StreamBody::new(Box::pin(drip))).await;
        assert!(matches!(read, Err(Broken::NoRequest)));
        assert_eq!(begun.elapsed(), LONGEST);
    }
}
