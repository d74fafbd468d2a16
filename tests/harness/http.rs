//! A client that speaks just enough HTTP/1.1, and returns answers byte for byte.

use serde::Deserialize;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer takes. A call that hangs fails its test.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection to a gateway.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The body of an error answer.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)] // The names are those in the answer.
pub struct Problem {
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub error: String,
    pub function: Option<String>,
    pub call: Option<String>,
    #[serde(default)]
    pub cause: Vec<Cause>,
}

/// A callee's error.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[allow(missing_docs)] // As above.
pub struct Cause {
    pub function: String,
    pub error: String,
    pub message: String,
}

impl Response {
    /// Returns the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the error in this answer. Panics if it is not an error.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        let text = self.text();
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}: {text}",
            self.status
        );
        let problem: Problem =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"));
        assert_eq!(problem.status, self.status);
        problem
    }
}

impl Connection {
    /// Connects.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Connection {
        Connection::try_open(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"))
    }

    /// Connects. Fails if no one listens.
    pub fn try_open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sends a request. Fails if the other side has closed the connection.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut request = head(method, path, headers);
        request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        if body.len() < 4096 {
            request.extend_from_slice(body);
            return self.write(&request);
        }
        self.write(&request)?;
        self.write(body)
    }

    /// Sends a request without announcing its length.
    pub fn send_in_chunks(&mut self, path: &str, chunks: &[&[u8]]) -> io::Result<()> {
        let mut request = head("POST", path, &[]);
        request.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        self.write(&request)?;
        for chunk in chunks {
            self.write(format!("{:x}\r\n", chunk.len()).as_bytes())?;
            self.write(chunk)?;
            self.write(b"\r\n")?;
        }
        self.write(b"0\r\n\r\n")
    }

    /// Sends the bytes unchanged.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Reads the next answer.
    pub fn receive(&mut self) -> io::Result<Response> {
        let mut response = self.receive_head()?;
        if response.status == 204 {
            return Ok(response);
        }
        let length = response.header("content-length").map(str::parse::<usize>);
        let length = length.ok_or_else(|| bad("length: none"))?.map_err(|_| bad("length"))?;
        response.body = self.receive_body(length)?;
        Ok(response)
    }

    /// Reads this many bytes, such as the body of an answer whose head was read.
    pub fn receive_body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }

    /// Reads the head of the next answer, which has no body.
    pub fn receive_head(&mut self) -> io::Result<Response> {
        let status = self.line()?;
        let status =
            status.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad("status"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad("header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Response { status, headers, body: Vec::new() })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        // The gateway may answer and close before all of the request is sent.
        let _ = self.send(method, path, headers, body);
        self.receive().unwrap_or_else(|e| panic!("{method} {path}: no answer: {e}"))
    }

    /// Calls a function.
    #[track_caller]
    pub fn call(&mut self, function: &str, body: &[u8]) -> Response {
        self.request("POST", &format!("/function/{function}"), &[], body)
    }

    /// Calls a function. Fails if the connection ends before the answer.
    pub fn try_call(&mut self, function: &str, body: &[u8]) -> io::Result<Response> {
        self.send("POST", &format!("/function/{function}"), &[], body)?;
        self.receive()
    }

    /// Returns whether the other side closes the connection. It must do so within the time limit
    /// for answers.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.0.fill_buf(), Ok([]) | Err(_))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("bad {what}"))
}

fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.into_bytes()
}
