//! Turns a function's answer into an HTTP response. The answer is not trusted to be valid HTTP.

use super::calls::Answer;
use super::hop::ConnectionHeaders;
use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use nightcore_runtime::protocol::{CallId, Failure, Metadata, Status};

/// The header with the id of a client's call. A function cannot set it to another id.
const CALL: HeaderName = HeaderName::from_static("x-nightcore-call");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Returns the response for an answer to a request with this method.
///
/// An answer that sets `:status` speaks HTTP: it names the content type of its body, or leaves it
/// out. The body of any other answer is `application/octet-stream` unless it names another type.
///
/// # Errors
///
/// If the answer cannot be an HTTP response, because its metadata, status or a header is invalid.
///
pub fn response(answer: Answer, method: &Method) -> Result<Response<Bytes>, Failure> {
    let failed = |text: String| Failure::new(Status::FunctionFailed, text);
    let metadata = Metadata::parse(&answer.metadata)
        .map_err(|e| failed(format!("the answer's metadata: {e}")))?;
    // Only the function knows the length of a body that is not sent.
    let keeps_length = *method == Method::HEAD && answer.body.is_empty();
    let connection = metadata.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let hop = ConnectionHeaders::named_in(connection.map(|(_, value)| value));
    let mut speaks_http = false;
    let mut response = Response::new(answer.body);
    for (name, value) in metadata.iter() {
        if name == ":status" {
            // The first one counts, as for callers within the engine.
            if std::mem::replace(&mut speaks_http, true) {
                continue;
            }
            let status = str::from_utf8(value).ok().and_then(|v| v.parse::<u16>().ok());
            // 1xx are not final answers.
            let status = status
                .filter(|s| (200..=599).contains(s))
                .and_then(|s| StatusCode::from_u16(s).ok());
            let shown = String::from_utf8_lossy(value);
            *response.status_mut() = status.ok_or_else(|| {
                failed(format!("the answer's status {shown:?} is not one of 200 to 599"))
            })?;
        } else if !name.starts_with(':') && !name.starts_with("trailer:") {
            let header = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .zip(HeaderValue::from_bytes(value).ok());
            let (header, value) = header
                .ok_or_else(|| failed(format!("the answer's {name:?} is not an HTTP header")))?;
            if header == CONTENT_LENGTH {
                let is_length = value.as_bytes().iter().all(u8::is_ascii_digit);
                if keeps_length && is_length && !value.is_empty() {
                    response.headers_mut().insert(header, value);
                }
            } else if !hop.contains(&header) {
                response.headers_mut().append(header, value);
            }
        }
    }
    if !speaks_http {
        response.headers_mut().entry(CONTENT_TYPE).or_insert(OCTETS);
    }
    Ok(response)
}

/// Tells the client the id of its call, in a header.
pub fn tell_id(response: &mut Response<Bytes>, id: CallId) {
    // Digits are always a valid header value.
    if let Ok(digits) = HeaderValue::from_bytes(&id.digits()) {
        response.headers_mut().insert(CALL, digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightcore_runtime::protocol::MetadataBuffer;

    fn of(pairs: &[(&str, &str)]) -> Result<Response<Bytes>, Failure> {
        let mut metadata = MetadataBuffer::new();
        for (name, value) in pairs {
            metadata.push(name, value.as_bytes()).unwrap();
        }
        let answer = Answer { metadata: metadata.as_bytes().to_vec(), body: Bytes::new() };
        response(answer, &Method::GET)
    }

    #[test]
    fn status_and_headers_are_the_function_s() {
        let response = of(&[
            (":status", "404"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("connection", "close"),
        ]);
        let response = response.unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert!(!response.headers().contains_key("connection"));
        let twice = of(&[(":status", "404"), (":status", "200")]).unwrap();
        assert_eq!(twice.status(), 404);
    }

    #[test]
    fn metadata_that_http_cannot_carry_fail_the_function() {
        for pair in [
            (":status", "99"),
            (":status", "101"),
            (":status", "x"),
            ("a(b", "v"),
            ("a", "x\r\ny: z"),
        ] {
            match of(&[pair]) {
                Err(failure) => assert_eq!(failure.status, Status::FunctionFailed),
                Ok(response) => panic!("{pair:?} gave {response:?}"),
            }
        }
    }
}
