//! One HTTP request and its answer, whatever the request is for.

use super::body::RequestBody;
use super::client::{Client, Exchange};
use super::pieces::{Pieces, Progress};
use super::{problem, request};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::{Method, Request, Response, StatusCode, Version};
use std::convert::Infallible;
use std::rc::Rc;

/// Answers requests.
pub trait Site {
    /// Answers one request. Dropping the future cancels the request.
    fn answer(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
        client: &Client,
    ) -> impl Future<Output = Response<Bytes>>;
}

/// Answers a request on a client's connection.
pub(super) async fn answer(
    site: &impl Site,
    request: Request<Incoming>,
    client: Rc<Client>,
    exchange: Exchange,
    progress: Option<Rc<Progress>>,
) -> Result<Response<Pieces>, Infallible> {
    let (parts, incoming) = request.into_parts();
    let mut body = RequestBody::new(incoming, &parts, client.memory());
    let mut response = match request::check(&parts) {
        Ok(()) => site.answer(&parts, &mut body, &client).await,
        Err(malformed) => problem::malformed(malformed.status, malformed.text),
    };
    if parts.version != Version::HTTP_2 {
        finish_request(&mut response, &mut body, &client).await;
    }
    let held = body.into_held();
    let (mut head, mut body) = response.into_parts();
    fit(&parts.method, &mut head, &mut body);
    Ok(Response::from_parts(head, Pieces::new(body, progress, exchange, held)))
}

/// Prepares the connection for the next request, or announces that there will be none. hyper closes
/// a connection whose request was not read to its end without telling the client.
async fn finish_request(response: &mut Response<Bytes>, body: &mut RequestBody, client: &Client) {
    let closes = response.headers().contains_key(CONNECTION);
    if !closes && !body.has_ended() {
        body.discard().await;
    }
    if !body.has_ended() {
        client.note_early_refusal();
    }
    if closes || !body.has_ended() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Removes the body of an answer that must not have one. For HTTP/2, nothing else does so.
fn fit(method: &Method, head: &mut response::Parts, body: &mut Bytes) {
    let is_empty = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    if is_empty {
        head.headers.remove(CONTENT_LENGTH);
        *body = Bytes::new();
    } else if *method == Method::HEAD && !body.is_empty() {
        head.headers.insert(CONTENT_LENGTH, body.len().into());
        *body = Bytes::new();
    }
}
