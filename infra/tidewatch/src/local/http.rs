//! The HTTP side of local mode: requests become API Gateway events for the same handlers as when deployed.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body as EventBody;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tidewatch_export_metrics::ExportMetrics;
use tokio::net::TcpListener;

/// Serves the metrics endpoint until `stop` is done.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: ExportMetrics,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new().fallback(answer).with_state(metrics);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn answer(State(metrics): State<ExportMetrics>, request: Request) -> Response {
    // No handler reads a body yet, so none is taken in.
    let mut event = ApiGatewayV2httpRequest::default();
    event.raw_path = Some(request.uri().path().to_owned());
    event.raw_query_string = request.uri().query().map(str::to_owned);
    event.request_context.http.method = request.method().clone();
    event.headers = request.headers().clone();
    response(metrics.handle(&event).await)
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
