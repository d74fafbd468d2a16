//! A client's connection to the gateway, on which any bytes may arrive.

use crate::steps::Steps;
use bytes::Bytes;
use nightcore_engine::gateway::{
    Answer, Called, Calls, Gateway, Health, MAX_STREAMS, ReadBody, RequestLimits, Room, Routes,
    Service, SharedRoutes, Stop,
};
use nightcore_engine::ids::FunctionId;
use nightcore_engine::memory::Memory;
use nightcore_runtime::protocol::{CallId, Failure, Metadata, MetadataBuffer, Status};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};

const MAX_BODY_BYTES: u64 = 4096;
/// The memory limit for one client.
static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory::with_limit(1 << 20));
/// The number of turns after which a silent gateway has nothing more to send.
const QUIET_TURNS: u32 = 50;
/// The beginning of an HTTP/2 connection. After it both directions consist of frames.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A function that answers with its body and the request's metadata, without checking them.
#[derive(Default)]
struct Echo {
    calls: Cell<usize>,
}

impl Calls for Echo {
    fn find(&self, name: &str) -> Option<FunctionId> {
        FunctionId::new(1).filter(|_| name == "Echo")
    }

    fn refused(&self, _: Option<FunctionId>, _: Status) {}

    fn responded(&self, _function: FunctionId, _status: u16) {}

    fn retry_after(&self, _: FunctionId) -> Duration {
        Duration::ZERO
    }

    async fn call(
        &self,
        _: FunctionId,
        _: Option<Duration>,
        metadata: MetadataBuffer,
        body: ReadBody,
    ) -> Called {
        let body = body.bytes;
        self.calls.set(self.calls.get() + 1);
        assert!(body.len() as u64 <= MAX_BODY_BYTES);
        let pairs = Metadata::parse(metadata.as_bytes()).expect("metadata is well-formed");
        for name in [":method", ":prefix", ":path"] {
            assert!(pairs.get(name).is_some(), "{name}");
        }
        let hop_by_hop =
            ["connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"];
        assert!(hop_by_hop.iter().all(|name| pairs.get(name).is_none()));
        let outcome = match body.first() {
            Some(b'!') => Err(Failure::new(Status::FunctionFailed, String::from_utf8_lossy(&body))),
            // The function returns any bytes as metadata.
            Some(b'?') => Ok(Answer { metadata: body[1..].to_vec(), body: Bytes::new() }),
            _ => Ok(Answer { metadata: metadata.as_bytes().to_vec(), body }),
        };
        Called { id: Some(CallId::new(self.calls.get() as u64)), outcome }
    }
}

struct Ready;

impl Health for Ready {
    fn not_ready(&self) -> Vec<String> {
        Vec::new()
    }
}

pub(super) fn target(data: &[u8]) {
    let mut steps = Steps::new(data);
    let piece = 1 + usize::from(steps.u8());
    let sent = steps.rest();
    let calls = Rc::new(Echo::default());
    let routes = SharedRoutes::default();
    routes.set(Routes::new([("/r".to_owned(), "Echo".to_owned())]));
    let service = Service {
        calls: calls.clone(),
        health: Ready,
        limits: RequestLimits { max_body_bytes: MAX_BODY_BYTES },
        routes,
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let got = LocalSet::new().block_on(&runtime, async {
        let room = Room { descriptors: 1, streams: MAX_STREAMS, ends_busy: false };
        let gateway = Gateway::with_room(room, *MEMORY);
        let (client, server) = UnixStream::pair().expect("a pair of sockets");
        let served =
            spawn_local(gateway.serve_connection(server, Rc::new(service), Stop::default()));
        let (mut from, mut to) = tokio::io::split(client);
        let sent = sent.to_vec();
        let hears = Rc::new(Cell::new(0));
        let heard = hears.clone();
        spawn_local(async move {
            for piece in sent.chunks(piece) {
                // The gateway may close the connection early.
                if to.write_all(piece).await.is_err() {
                    break;
                }
                yield_now().await;
            }
            // Closing the connection cancels the requests that were not answered.
            let mut quiet = 0;
            while quiet < QUIET_TURNS {
                let before = heard.get();
                yield_now().await;
                quiet = if heard.get() == before { quiet + 1 } else { 0 };
            }
            let _ = to.shutdown().await;
        });
        let mut got = Vec::new();
        while from.read_buf(&mut got).await.expect("memory has no errors") > 0 {
            hears.set(got.len());
        }
        served.await.expect("a connection does not panic");
        gateway.closed().await;
        got
    });
    if !sent.starts_with(PREFACE) {
        assert_answers(&got, calls.calls.get());
    }
}

/// Checks that there is nothing but answers, and one for each call.
fn assert_answers(got: &[u8], calls: usize) {
    assert!(got.is_empty() || got.starts_with(b"HTTP/1."));
    let begins = |window: &[u8]| {
        window.starts_with(b"HTTP/1.") && window[9..].iter().all(u8::is_ascii_digit)
    };
    let answers = got.windows(12).filter(|window| begins(window)).count();
    assert!(
        answers >= calls,
        "{answers} answers to {calls} calls: {:?}",
        String::from_utf8_lossy(got)
    );
}
