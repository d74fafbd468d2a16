//! One client of a load: a kept connection to the gateway, with one call at a time on it.

use super::tally::CallResult;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use nightcore_runtime::protocol::limits::MAX_METADATA_BYTES;
use nightcore_runtime::protocol::status::TABLE;
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// The time limit for a connection. The engine runs on this machine: if it does not accept a
/// connection within this time, it accepts none.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// More bytes than an error of the engine has. A longer answer is a function's own.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;
/// More headers than the metadata of an answer hold: each header takes at least five bytes.
const MAX_ANSWER_HEADERS: usize = MAX_METADATA_BYTES / 4;
/// The error name of a call whose connection broke before its answer arrived.
const CONNECTION_LOST: &str = "CONNECTION_LOST";

/// The call that is made repeatedly.
#[derive(Clone, Debug)]
pub(super) struct BenchCall {
    address: SocketAddr,
    path: Uri,
    host: HeaderValue,
    body: Bytes,
}

impl BenchCall {
    /// Creates a call of a function with this body.
    pub(super) fn new(
        address: SocketAddr,
        function: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<BenchCall> {
        let path = Uri::try_from(format!("/function/{function}"))?;
        let host = HeaderValue::try_from(address.to_string())?;
        Ok(BenchCall { address, path, host, body: Bytes::from(body) })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        request
    }
}

/// A client.
pub(super) struct BenchClient(SendRequest<Full<Bytes>>);

impl BenchClient {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr) -> io::Result<BenchClient> {
        let stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address));
        let stream = stream.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_ANSWER_HEADERS);
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        spawn_local(connection);
        Ok(BenchClient(sender))
    }

    /// Makes the call and returns how it ended. Fails if no connection can be made.
    pub(super) async fn call(&mut self, call: &BenchCall) -> io::Result<CallResult> {
        // The gateway closes connections that have been idle for a while. The call is not at fault
        // then.
        if self.0.ready().await.is_err() {
            *self = BenchClient::connect(call.address).await?;
        }
        let response = match self.0.try_send_request(call.request()).await {
            Ok(response) => Some(response),
            Err(mut error) => match error.take_message() {
                Some(unsent) => {
                    *self = BenchClient::connect(call.address).await?;
                    self.0.send_request(unsent).await.ok()
                }
                None => None,
            },
        };
        let Some(response) = response else {
            return Ok(CallResult::Failed(CONNECTION_LOST.into()));
        };
        Ok(ending(response).await.unwrap_or_else(|_| CallResult::Failed(CONNECTION_LOST.into())))
    }
}

/// Reads a response to its end.
async fn ending(response: Response<Incoming>) -> Result<CallResult, hyper::Error> {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/problem+json");
        // If a body is too long or breaks off, only the status is used.
        let body = Limited::new(response.into_body(), MAX_PROBLEM_BYTES).collect().await;
        let name = body.ok().filter(|_| is_problem).and_then(|body| error_name(&body.to_bytes()));
        return Ok(CallResult::Failed(name.unwrap_or_else(|| format!("HTTP_{}", status.as_u16()))));
    }
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(CallResult::Answered)
}

/// Returns the engine's name of an error. Names that functions invent are ignored, as there may be
/// any number of them.
fn error_name(problem: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ProblemBody {
        error: String,
    }
    let problem: ProblemBody = serde_json::from_slice(problem).ok()?;
    TABLE.iter().any(|row| row.name == problem.error).then_some(problem.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Takes one request on each connection, sends `answer` and closes it.
    fn serve(answer: &'static [u8]) -> BenchCall {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\nping") && stream.read_exact(&mut byte).is_ok() {
                    request.push(byte[0]);
                }
                let _ = stream.write_all(answer);
            }
        });
        BenchCall::new(address, "Foo", b"ping".to_vec()).unwrap()
    }

    fn endings(answer: &'static [u8]) -> Vec<CallResult> {
        let call = serve(answer);
        let runtime = crate::cli::runtime::runtime().unwrap();
        runtime.block_on(async {
            let mut client = BenchClient::connect(call.address).await.unwrap();
            let mut endings = Vec::new();
            for _ in 0..3 {
                endings.push(client.call(&call).await.unwrap());
                while !client.0.is_closed() {
                    tokio::task::yield_now().await;
                }
            }
            endings
        })
    }

    #[test]
    fn a_connection_that_was_closed_while_nothing_was_under_way_is_replaced() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
        assert_eq!(endings(answer), vec![CallResult::Answered; 3]);
    }

    #[test]
    fn a_connection_that_breaks_under_a_call_is_the_call_s_failure() {
        let lost = || CallResult::Failed(CONNECTION_LOST.to_owned());
        for part in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npo"] {
            assert_eq!(
                endings(part),
                [lost(), lost(), lost()],
                "{}",
                String::from_utf8_lossy(part)
            );
        }
    }

    #[test]
    fn an_error_that_the_engine_does_not_know_is_named_by_its_status() {
        let answer = b"HTTP/1.1 418 Teapot\r\nContent-Type: application/problem+json\r\n\
              Content-Length: 2\r\n\r\n{}";
        assert_eq!(endings(answer)[0], CallResult::Failed("HTTP_418".to_owned()));
    }

    #[test]
    fn an_error_has_the_name_that_the_engine_gives_it() {
        let problem =
            br#"{"type":"about:blank","status":503,"error":"OVERLOADED","function":"Foo"}"#;
        assert_eq!(error_name(problem).as_deref(), Some("OVERLOADED"));
        for other in [&b"{\"error\":\"OUT_OF_STOCK\"}"[..], b"{\"error\":7}", b"{}", b"[", b""] {
            assert_eq!(error_name(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
