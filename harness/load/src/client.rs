//! One client with one request: it asks, reads, may leave, and remembers what it saw.
//!
//! Whatever ends it (its plan to leave, its patience, the end of the drain), what it had seen by then is kept. How it
//! reads a stream and waits for a job have files of their own.

mod job;
mod stream;

use brownout_net::{Network, RunClock};
use brownout_scenario::embedding;
use brownout_scenario::observe::{Delivered, FailureClass, Outcome, RequestObservation, Usage};
use brownout_scenario::plan::{ClientPlan, Endpoint, HangUp, LoadPlan, Output};
use brownout_scenario::schedule::{LeavePoint, PlannedRequest};
use brownout_scenario::structured;
use brownout_scenario::tracer::Reader;
use brownout_scenario::units::Micros;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::answer::{self, Answer};
use crate::api::Sender;
use crate::connection::{ConnectError, Connection};

/// Longest body a client reads: bounds its memory.
const LONGEST_BODY: u64 = 16 << 20;

/// What all clients of a run share.
pub(crate) struct Surroundings {
    pub(crate) network: Network,
    pub(crate) authority: String,
    pub(crate) clock: RunClock,
    pub(crate) load: LoadPlan,
    /// Nothing falls due any more from here on.
    pub(crate) last_due: Micros,
    /// Nobody stays longer than this.
    pub(crate) closing_time: Micros,
}

/// Plays `planned`, which fell due at `due`, and what its client sends again while it waits. When the run is stopped it
/// ends at once, unfinished.
pub(crate) async fn ask(
    around: &Surroundings,
    planned: PlannedRequest,
    due: Micros,
    stop: &CancellationToken,
) -> Vec<RequestObservation> {
    let Some(after) = planned.again else {
        return vec![once(around, planned, due, stop).await];
    };
    let again = planned.once_more();
    let again_at = around.now().plus(after);
    let mut first = Box::pin(once(around, planned, due, stop));
    tokio::select! {
        biased;
        seen = &mut first => return vec![seen],
        () = around.clock.sleep_until(again_at.0) => {}
    }
    if again_at >= around.last_due {
        return vec![first.await];
    }
    let second = Box::pin(once(around, again, again_at, stop));
    let (first, second) = tokio::join!(biased; first, second);
    vec![first, second]
}

async fn once(
    around: &Surroundings,
    planned: PlannedRequest,
    due: Micros,
    stop: &CancellationToken,
) -> RequestObservation {
    let sent = around.now();
    let mut exchange = Exchange::new(around, &planned);
    let (deadline, at_deadline) = exchange.deadline(sent);
    let until = around.clock.instant(deadline.0);
    let outcome = tokio::select! {
        biased;
        outcome = exchange.run() => outcome,
        () = tokio::time::sleep_until(until) => at_deadline,
        () = stop.cancelled() => Outcome::Failed(FailureClass::Unfinished),
    };
    exchange.hang_up(outcome);
    let ended = around.now();
    exchange.observe(due, sent, ended, outcome)
}

impl Surroundings {
    pub(crate) fn now(&self) -> Micros {
        Micros(self.clock.now_us())
    }
}

struct Exchange<'a> {
    around: &'a Surroundings,
    planned: &'a PlannedRequest,
    connection: Option<Connection>,
    reader: Reader,
    /// The answer as far as it has come, where it is to be checked as a whole.
    text: String,
    acknowledged: Option<Micros>,
    headers: Option<Micros>,
    first_token: Option<Micros>,
    last_token: Option<Micros>,
    gaps: Vec<Micros>,
    status: Option<u16>,
    reported: Option<Usage>,
    bytes: u64,
    /// It got the vector of another text.
    wrong_vector: bool,
}

/// Why an exchange ended before its answer was complete.
type Failure = FailureClass;

impl<'a> Exchange<'a> {
    fn new(around: &'a Surroundings, planned: &'a PlannedRequest) -> Self {
        Self {
            around,
            planned,
            connection: None,
            reader: match around.load.output {
                Output::Text => Reader::new(planned.prompt),
                Output::Json => Reader::of_json(planned.prompt),
            },
            text: String::new(),
            acknowledged: None,
            headers: None,
            first_token: None,
            last_token: None,
            gaps: Vec::new(),
            status: None,
            reported: None,
            bytes: 0,
            wrong_vector: false,
        }
    }

    /// The instant that ends the exchange whatever happens, and what it is called then.
    fn deadline(&self, sent: Micros) -> (Micros, Outcome) {
        let mut deadline = (self.around.closing_time, Outcome::Failed(FailureClass::Unfinished));
        let mut consider = |at: Micros, outcome| {
            if at < deadline.0 {
                deadline = (at, outcome);
            }
        };
        if let Some(patience) = self.around.load.patience {
            consider(sent.plus(patience), Outcome::Failed(FailureClass::ClientTimeout));
        }
        if let Some(LeavePoint::Time(after)) = self.planned.leave.map(|leave| leave.after) {
            consider(sent.plus(after), Outcome::Aborted);
        }
        deadline
    }

    async fn run(&mut self) -> Outcome {
        let result = match self.around.load.endpoint {
            Endpoint::Chat | Endpoint::Completions => self.chat().await.map(|()| Outcome::Answered),
            Endpoint::Stream | Endpoint::CompletionsStream => self.stream().await,
            Endpoint::Embeddings => self.embedding().await.map(|()| Outcome::Answered),
            Endpoint::Jobs => self.job().await.map(|()| Outcome::Answered),
        };
        match result {
            Ok(Outcome::Answered) if self.is_invalid() => Outcome::Failed(FailureClass::InvalidOutput),
            Ok(outcome) => outcome,
            Err(class) => Outcome::Failed(class),
        }
    }

    /// Whether JSON was asked for, and the answer is not that.
    fn is_invalid(&self) -> bool {
        self.around.load.output == Output::Json && !structured::fits(&self.text)
    }

    /// Takes words of the answer.
    fn read(&mut self, text: &str) {
        self.reader.push(text);
        if self.around.load.output == Output::Json {
            self.text.push_str(text);
        }
    }

    /// Opens the exchange and waits for the status line.
    async fn open(&mut self) -> Result<http::Response<Incoming>, Failure> {
        let request = self.sender().ask(&self.around.load);
        let response = self.send(request).await?;
        self.headers = Some(self.around.now());
        Ok(response)
    }

    /// Its kind; `None` in a load without kinds.
    fn kind(&self) -> Option<&'a ClientPlan> {
        self.around.load.clients.get(self.planned.client as usize)
    }

    fn sender(&self) -> Sender<'a> {
        Sender {
            authority: &self.around.authority,
            planned: self.planned,
            kind: self.kind(),
        }
    }

    async fn send(
        &mut self,
        request: http::Request<http_body_util::Full<bytes::Bytes>>,
    ) -> Result<http::Response<Incoming>, Failure> {
        let connection = Connection::open(
            &self.around.network,
            &self.around.authority,
            self.kind().and_then(|kind| kind.reads),
        )
        .await;
        let connection = self.connection.insert(connection.map_err(|error| match error {
            ConnectError::Target => FailureClass::Connect,
            ConnectError::Exhausted => FailureClass::HarnessExhausted,
        })?);
        let response = connection
            .send(request)
            .await
            .map_err(|_| FailureClass::ConnectionLost)?;
        self.status = Some(response.status().as_u16());
        Ok(response)
    }

    async fn chat(&mut self) -> Result<(), Failure> {
        let response = self.open().await?;
        expect_status(&response, StatusCode::OK)?;
        let body = self.body(response.into_body()).await?;
        let answer = answer::whole(self.around.load.endpoint, &body).ok_or(FailureClass::Malformed)?;
        self.take(&answer)
    }

    async fn embedding(&mut self) -> Result<(), Failure> {
        let response = self.open().await?;
        expect_status(&response, StatusCode::OK)?;
        let body = self.body(response.into_body()).await?;
        let vector = answer::vector(&body).ok_or(FailureClass::Malformed)?;
        let text = self.planned.text();
        if !embedding::is_vector_of(&text, &vector.numbers) {
            self.wrong_vector = true;
        }
        self.reported = Some(vector.usage);
        Ok(())
    }

    /// Takes an answer that arrived whole.
    fn take(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.read(&answer.content);
        self.reported = answer.usage.map(Into::into);
        if answer.content.is_empty() {
            Err(FailureClass::Malformed)
        } else {
            Ok(())
        }
    }

    async fn body(&mut self, mut body: Incoming) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| FailureClass::ConnectionLost)?;
            if let Some(data) = frame.data_ref() {
                self.count(data.len())?;
                whole.extend_from_slice(data);
            }
        }
        Ok(whole)
    }

    fn count(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes += bytes as u64;
        if self.bytes > LONGEST_BODY {
            Err(FailureClass::Malformed)
        } else {
            Ok(())
        }
    }

    /// Lets go of the connection, as the plan says a leaving client does.
    fn hang_up(&mut self, outcome: Outcome) {
        let reset = outcome == Outcome::Aborted && self.planned.leave.is_some_and(|leave| leave.how == HangUp::Rst);
        match self.connection.take() {
            Some(connection) if reset => connection.reset(),
            other => drop(other),
        }
    }

    fn observe(self, due: Micros, sent: Micros, ended: Micros, outcome: Outcome) -> RequestObservation {
        let mut delivered: Delivered = self.reader.finish();
        // As bad as words of another's answer, and told in the same place.
        delivered.misdelivered += u64::from(self.wrong_vector);
        RequestObservation {
            index: self.planned.index,
            prompt: self.planned.prompt,
            client: self.planned.client,
            due,
            sent: Some(sent),
            acknowledged: self.acknowledged,
            headers: self.headers,
            first_token: self.first_token,
            ended,
            status: self.status,
            outcome,
            gaps: self.gaps,
            delivered,
            reported: self.reported,
            bytes: self.bytes,
        }
    }
}

fn expect_status(response: &http::Response<Incoming>, expected: StatusCode) -> Result<(), Failure> {
    let status = response.status();
    match status.as_u16() {
        _ if status == expected => Ok(()),
        error @ 400..=599 => Err(FailureClass::of_status(error)),
        _ => Err(FailureClass::Malformed),
    }
}
