//! Handing in a job and waiting for what comes of it, by asking or by listening.
//!
//! One answer that is lost does not lose a job: its client asks again.

use brownout_scenario::observe::FailureClass;
use brownout_scenario::plan::Watch;
use brownout_scenario::units::Micros;
use http::StatusCode;
use http_body_util::BodyExt;

use super::{Exchange, Failure, expect_status};
use crate::answer::{Accepted, Job, JobState};
use crate::sse::Decoder;

impl Exchange<'_> {
    /// Hands the job in and waits until it is known what came of it.
    pub(super) async fn job(&mut self) -> Result<(), Failure> {
        let response = self.open().await?;
        // One that was handed in before may be answered with 200.
        if response.status() != StatusCode::OK {
            expect_status(&response, StatusCode::ACCEPTED)?;
        }
        let body = self.body(response.into_body()).await?;
        let job: Accepted = serde_json::from_slice(&body).map_err(|_| FailureClass::Malformed)?;
        let accepted = self.around.now();
        self.acknowledged = Some(accepted);
        let ended = match self.around.load.watch {
            Watch::Poll => self.ask_again(&job.id, accepted).await,
            Watch::Events => self.watch(&job.id, accepted).await,
        };
        match ended {
            JobState::Succeeded(answer) => self.take(&answer),
            JobState::Lost => Err(FailureClass::JobLost),
            JobState::Failed | JobState::Open => Err(FailureClass::JobFailed),
        }
    }

    /// Asks in the stated interval until the job is no longer open.
    async fn ask_again(&mut self, job: &str, accepted: Micros) -> JobState {
        for round in 1.. {
            let at = accepted.0.saturating_add(self.around.load.poll.0.saturating_mul(round));
            self.around.clock.sleep_until(at).await;
            match self.poll(job).await {
                Ok(JobState::Open) | Err(_) => {}
                Ok(ended) => return ended,
            }
        }
        JobState::Open
    }

    async fn poll(&mut self, job: &str) -> Result<JobState, Failure> {
        let response = self.send(self.sender().poll(job)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(JobState::Lost);
        }
        expect_status(&response, StatusCode::OK)?;
        let body = self.body(response.into_body()).await?;
        let job: Job = serde_json::from_slice(&body).map_err(|_| FailureClass::Malformed)?;
        Ok(job.state())
    }

    /// Listens until the job is no longer open. When the line is lost it asks, at the next stated interval, and listens
    /// again.
    async fn watch(&mut self, job: &str, accepted: Micros) -> JobState {
        loop {
            if let Ok(ended) = self.listen(job).await {
                return ended;
            }
            let poll = self.around.load.poll.0;
            let rounds = self.around.now().since(accepted).0 / poll + 1;
            self.around.clock.sleep_until(accepted.0 + rounds * poll).await;
            match self.poll(job).await {
                Ok(JobState::Open) | Err(_) => {}
                Ok(ended) => return ended,
            }
        }
    }

    /// What the job's events say in the end.
    async fn listen(&mut self, job: &str) -> Result<JobState, Failure> {
        let response = self.send(self.sender().listen(job)).await?;
        expect_status(&response, StatusCode::OK)?;
        let mut body = response.into_body();
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| FailureClass::ConnectionLost)?;
            let Some(data) = frame.data_ref() else { continue };
            self.count(data.len())?;
            decoder.push(data, |event| events.push(event));
            if decoder.overflowed() {
                return Err(FailureClass::Malformed);
            }
            let last = events
                .drain(..)
                .find(|event| matches!(event.name.as_str(), "done" | "error"));
            let Some(last) = last else { continue };
            let job: Job = serde_json::from_str(&last.data).map_err(|_| FailureClass::Malformed)?;
            return match job.state() {
                JobState::Open => Err(FailureClass::Malformed),
                ended => Ok(ended),
            };
        }
        Err(FailureClass::Truncated)
    }
}
