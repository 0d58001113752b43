//! [`Upstream`] on hyper-util's client (the one inside reqwest) over any connector: an in-memory network, a Unix socket.
//!
//! A connection serves one request. Which of several idle connections a pool would pick depends on timing; without a
//! pool the same requests make the same connections every time.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Uri;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::{Upstream, UpstreamBody, UpstreamError};

type BoxError = Box<dyn Error + Send + Sync>;

/// The connection to the providers through `connector`. Wrap that in [`connect_within`] to give it a deadline.
pub fn over_connector<C>(connector: C) -> Arc<dyn Upstream>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Unpin + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(0)
        .retry_canceled_requests(false)
        .build(connect_within(connector, None));
    Arc::new(OverConnector { client })
}

struct OverConnector<C> {
    client: Client<ConnectWithin<C>, Full<Bytes>>,
}

#[async_trait]
impl<C> Upstream for OverConnector<C>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Unpin + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<UpstreamBody>, UpstreamError> {
        let response = self.client.request(request.map(Full::new)).await.map_err(classify)?;
        Ok(response.map(|body| {
            body.map_err(|error| UpstreamError::Broken(Box::new(error)))
                .boxed_unsync()
        }))
    }
}

fn classify(error: hyper_util::client::legacy::Error) -> UpstreamError {
    if !error.is_connect() {
        return UpstreamError::Broken(Box::new(error));
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if current.is::<ConnectTimeout>() {
            return UpstreamError::ConnectTimeout;
        }
        cause = current.source();
    }
    UpstreamError::Connect(Box::new(error))
}

/// `connector`, but no connection takes longer than `limit`.
pub const fn connect_within<C>(connector: C, limit: Option<Duration>) -> ConnectWithin<C> {
    ConnectWithin { connector, limit }
}

/// A connector with a deadline; made by [`connect_within`].
#[derive(Clone)]
pub struct ConnectWithin<C> {
    connector: C,
    limit: Option<Duration>,
}

/// The connector's deadline passed.
#[derive(Debug)]
pub struct ConnectTimeout;

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection within the connect deadline")
    }
}

impl Error for ConnectTimeout {}

impl<C> Service<Uri> for ConnectWithin<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.connector.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            match limit {
                None => connecting.await.map_err(Into::into),
                Some(limit) => match tokio::time::timeout(limit, connecting).await {
                    Ok(connected) => connected.map_err(Into::into),
                    Err(_) => Err(Box::new(ConnectTimeout) as BoxError),
                },
            }
        })
    }
}
