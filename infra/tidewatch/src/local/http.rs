//! The HTTP side of local mode: requests become API Gateway events for the same handlers as when deployed.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body as EventBody;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use tidewatch_export_metrics::ExportMetrics;
use tidewatch_read_results::ReadResults;
use tidewatch_receive_webhook::{MOST_BYTES, ReceiveWebhook};
use tokio::net::TcpListener;

/// The functions that answer requests.
#[derive(Clone)]
pub(crate) struct Functions {
    pub(crate) metrics: ExportMetrics,
    pub(crate) results: ReadResults,
    pub(crate) hooks: ReceiveWebhook,
}

/// Serves the functions until `stop` is done.
pub(crate) async fn serve(
    listener: TcpListener,
    functions: Functions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new().fallback(answer).with_state(functions);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn answer(State(functions): State<Functions>, request: Request) -> Response {
    let mut event = ApiGatewayV2httpRequest::default();
    event.raw_path = Some(request.uri().path().to_owned());
    event.raw_query_string = request.uri().query().map(str::to_owned);
    event.request_context.http.method = request.method().clone();
    event.headers = request.headers().clone();
    // Requests that are no notifications have no body, so none is taken in.
    if ReadResults::takes(request.uri().path()) {
        return response(functions.results.handle(&event).await);
    }
    if !ReceiveWebhook::takes(request.uri().path()) {
        return response(functions.metrics.handle(&event).await);
    }
    // Nobody waits for the answer to a body that breaks off.
    let Ok(body) = to_bytes(request.into_body(), MOST_BYTES).await else {
        return response(ReceiveWebhook::too_large());
    };
    event.body = Some(BASE64_STANDARD.encode(body));
    event.is_base64_encoded = true;
    response(functions.hooks.handle(&event).await)
}

fn response(event: ApiGatewayV2httpResponse) -> Response {
    let body = match event.body {
        Some(EventBody::Text(text)) => Body::from(text),
        Some(EventBody::Binary(bytes)) => Body::from(bytes),
        // Nothing, or a kind of body that the event types may grow and that none of our handlers makes.
        _ => Body::empty(),
    };
    let status = u16::try_from(event.status_code).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = Response::new(body);
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = event.headers;
    response
}
