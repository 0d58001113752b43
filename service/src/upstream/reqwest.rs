//! [`Upstream`] on reqwest: TLS, HTTP/2 where the provider offers it, pooled connections.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::{Upstream, UpstreamBody, UpstreamError, UpstreamSetupError};
use crate::settings::Settings;

/// Below the idle timeouts common among load balancers, so that they do not close a connection under a request.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The connection to the providers of a real deployment. `deadline.connect` limits how long a connection may take.
pub fn reqwest(settings: &Settings) -> Result<Arc<dyn Upstream>, UpstreamSetupError> {
    let mut client = ::reqwest::Client::builder()
        .retry(::reqwest::retry::never())
        .redirect(::reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_idle_timeout(POOL_IDLE);
    if let Some(limit) = settings.deadline.connect {
        client = client.connect_timeout(limit);
    }
    Ok(Arc::new(Reqwest(client.build()?)))
}

struct Reqwest(::reqwest::Client);

#[async_trait]
impl Upstream for Reqwest {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<UpstreamBody>, UpstreamError> {
        let request = ::reqwest::Request::try_from(request).map_err(classify)?;
        let response = self.0.execute(request).await.map_err(classify)?;
        let response: http::Response<::reqwest::Body> = response.into();
        Ok(response.map(|body| body.map_err(classify).boxed_unsync()))
    }
}

fn classify(error: ::reqwest::Error) -> UpstreamError {
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => UpstreamError::ConnectTimeout,
        (true, false) => UpstreamError::Connect(Box::new(error)),
        (false, _) => UpstreamError::Broken(Box::new(error)),
    }
}
