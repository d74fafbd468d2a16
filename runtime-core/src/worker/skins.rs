//! Feeds both drivers of the worker protocol the same bytes of an engine, and demands the same
//! outcome.
//!
//! All bytes are written to the worker's pipe before it starts, and the pipe is closed behind them.
//! So a worker runs to its end on this thread: by a broken rule, by RETIRE, or by the end of the
//! pipe.

use super::channel;
use super::compose::{Body, CallOptions};
use super::event_loop::EventLoop;
use super::handlers::Handler;
use super::loop_event::Event;
use super::payload::Input;
use super::running::RunningCall;
use super::session::{NewWorker, Session};
use super::thread;
use crate::ipc::channel::set_nonblocking;
use crate::ipc::region::{BlockAllocator, Region, create_file};
use crate::protocol::control::{
    ContainerNumber, CreateWorker, Mode, Placement, Welcome, WorkerSlot,
};
use crate::protocol::limits::{BASE_UNITS, HEADER_BYTES};
use crate::protocol::to_engine::Callee;
use crate::protocol::to_worker::{
    AnswerComplete, AnswerFailed, Caller, CancelCall, Dispatch, Retire,
};
use crate::protocol::{
    BlockPayload, CallNumber, CancelReason, Failure, FunctionId, InlinePayload, InvokeNumber,
    Message, MessageBuffer, MetadataBuffer, RegionId, Status, ToEngine, WireFailure, WirePayload,
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The number of blocks of the engine's region in which payloads may lie.
const BLOCKS: u32 = 6;
/// The function that handlers call.
const CALLEE: &str = "Callee";
/// The most bytes that the pipe takes without a reader.
const PIPE_ROOM: usize = 60_000;

/// The effects of a worker that its handlers and its engine see.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// The requests and answers that the handlers received, in order.
    heard: Vec<String>,
    /// The messages that the engine received, in order.
    said: Vec<String>,
    /// The number of units of the engine's region that were not given back.
    units_held: u32,
}

/// The surroundings of a worker: a session without an engine, and the ends of a channel.
struct SkinWorld {
    session: Arc<Session>,
    new: NewWorker,
    from_worker: std::io::PipeReader,
    engine_region: Region,
    blocks: BlockAllocator,
}

/// Makes the surroundings of a worker of this mode that will read these bytes.
fn world(mode: Mode, bytes: &[u8]) -> SkinWorld {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    // No region will ever be announced.
    drop(ours);
    let welcome = Welcome {
        version: crate::protocol::VERSION,
        container: ContainerNumber(1),
        max_body_bytes: 1 << 20,
        function_id: None,
        exposes_errors: true,
        function: "Test".to_owned(),
    };
    let (own, engine) = (create_file(BASE_UNITS).unwrap(), create_file(BASE_UNITS).unwrap());
    let engine_region = Region::map(&engine, BASE_UNITS).unwrap();
    let mut blocks = BlockAllocator::new(BASE_UNITS);
    for _ in 0..BLOCKS {
        blocks.allocate(&engine_region, 1).unwrap();
    }
    let session = Session::new(theirs, welcome, vec![own, engine], mode).unwrap();
    if mode == Mode::Threads {
        // A thread waits for regions until the launching thread says that none will come.
        session.end(false);
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(bytes).unwrap();
    drop(writer);
    let (from_worker, to_engine) = std::io::pipe().unwrap();
    let create = CreateWorker { slot: WorkerSlot::new(0).unwrap(), placement: Placement::Free };
    let descriptors = vec![OwnedFd::from(reader), OwnedFd::from(to_engine)];
    let new = NewWorker { create, descriptors };
    SkinWorld { session: Arc::new(session), new, from_worker, engine_region, blocks }
}

/// The messages that a worker wrote. Each driver has its own WAIT, flag WAITS and times, so these
/// are left out.
fn said(mut from_worker: std::io::PipeReader) -> Vec<String> {
    set_nonblocking(&from_worker).unwrap();
    let mut bytes = Vec::new();
    // A request that is still alive keeps the pipe open.
    let _ = from_worker.read_to_end(&mut bytes);
    let (mut rest, mut said) = (&bytes[..], Vec::new());
    while let Some((message, len)) = Message::parse(rest).unwrap() {
        rest = &rest[len..];
        said.extend(match ToEngine::read(&message).unwrap() {
            ToEngine::Ready(_) => Some("ready".to_owned()),
            ToEngine::Invoke(invoke) => {
                let by_id = matches!(invoke.callee, Callee::Id(_));
                Some(format!("invoke {:?} by {} by id {by_id}", invoke.call, invoke.parent))
            }
            ToEngine::CallComplete(complete) => {
                Some(format!("complete {} {:?}", complete.call, complete.payload))
            }
            ToEngine::CallFailed(failed) => {
                let text = String::from_utf8_lossy(failed.failure.payload.body).into_owned();
                Some(format!("failed {} {} {text}", failed.call, failed.failure.status))
            }
            ToEngine::CancelInvoke(cancel) => Some(format!("cancel {:?}", cancel.call)),
            ToEngine::Wait(_) => None,
            // Nothing can be said of direct calls, as no worker is lent here. A worker is not a
            // caller.
            other @ (ToEngine::InvokeBelow(_)
            | ToEngine::Resume(_)
            | ToEngine::CancelLease(_)
            | ToEngine::InvokeAlone(_)) => {
                panic!("{other:?}")
            }
        });
    }
    assert!(rest.is_empty());
    said
}

fn of_request(input: &Input) -> String {
    let (metadata, body) = (input.metadata().as_bytes(), input.body());
    let caller = input.caller();
    format!("request {} of {caller:?}: {metadata:?} {body:?}", input.call)
}

/// How many calls the handler of this request makes.
fn calls_of(input: &Input) -> u64 {
    input.body().first().map_or(0, |byte| u64::from(byte % 4))
}

fn of_answer(tag: u64, result: Result<super::Answer, Failure>) -> String {
    match result {
        Ok(answer) => {
            format!("answer {tag}: {:?} {:?}", answer.metadata().as_bytes(), answer.body())
        }
        Err(failure) => format!("failure {tag}: {failure:?}"),
    }
}

/// How a handler ends under both drivers when all its calls have ended.
fn reply(request: &impl RunningCall) {
    let body = request.call.number().to_le_bytes();
    let metadata = MetadataBuffer::new();
    request.reply(Body::Parts(&[&body]), metadata.as_metadata()).unwrap();
}

fn start_calls(request: &impl RunningCall) -> u64 {
    let calls = calls_of(request);
    for tag in 0..calls {
        let options = CallOptions::default();
        request.start_call(tag, CALLEE, Body::Parts(&[b"x"]), &options).unwrap();
    }
    calls
}

fn by_thread(bytes: &[u8]) -> Outcome {
    let SkinWorld { session, new, from_worker, engine_region, mut blocks } =
        world(Mode::Threads, bytes);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let note = heard.clone();
    let handler: Handler = Arc::new(move |request| {
        note.lock().unwrap().push(of_request(request));
        for _ in 0..start_calls(request) {
            let Ok(Some(next)) = request.next_answer(None) else {
                return Err(Failure::new(Status::FunctionFailed, "ended").into());
            };
            note.lock().unwrap().push(of_answer(next.tag, next.result));
        }
        reply(request);
        Ok(())
    });
    let ends = channel::open(new, Mode::Threads).unwrap();
    thread::run(session, 0, ends, &handler);
    drop(handler);
    let heard = Arc::into_inner(heard).unwrap().into_inner().unwrap();
    Outcome { heard, said: said(from_worker), units_held: blocks.units_taken(&engine_region) }
}

/// Takes the next event like a host that waits for each.
fn one_by_one(event_loop: &EventLoop) -> Option<Event> {
    event_loop.next(Some(Duration::ZERO)).unwrap()
}

/// Takes the next event like a host that asks for all that are there.
fn at_once(event_loop: &EventLoop) -> Option<Event> {
    let mut taken = None;
    let count = event_loop.next_many(1, |event| taken = Some(event)).unwrap();
    assert_eq!(count, usize::from(taken.is_some()));
    taken
}

fn by_event_loop(bytes: &[u8], next: fn(&EventLoop) -> Option<Event>) -> Outcome {
    let SkinWorld { session, new, from_worker, engine_region, mut blocks } =
        world(Mode::EventLoop, bytes);
    let event_loop = EventLoop::over(session, new).unwrap();
    let mut heard = Vec::new();
    let (mut open, mut refused) = (None, None);
    loop {
        match next(&event_loop) {
            Some(Event::Request(request)) => {
                if open.is_some() {
                    // A thread takes this for a broken rule, as it runs one call at a time.
                    refused = Some(request);
                    break;
                }
                heard.push(of_request(&request));
                match start_calls(&request) {
                    0 => reply(&request),
                    calls => open = Some((request, calls)),
                }
            }
            Some(Event::Answer { tag, result, .. }) => {
                heard.push(of_answer(tag, result));
                let Some((request, left)) = open.take() else { panic!("no request is open") };
                match left - 1 {
                    0 => reply(&request),
                    left => open = Some((request, left)),
                }
            }
            Some(Event::Cancelled { .. }) => {}
            Some(Event::Ended) => break,
            None => panic!("all bytes are there"),
        }
    }
    if let Some((request, _)) = open {
        request.fail(&Failure::new(Status::FunctionFailed, "ended").into()).unwrap();
    }
    drop(event_loop);
    let units_held = blocks.units_taken(&engine_region);
    let outcome = Outcome { heard, said: said(from_worker), units_held };
    // It is not dropped earlier: a thread says nothing of a call that it refuses, and keeps nothing
    // of it.
    drop(refused);
    outcome
}

/// A message as an engine sends it, sometimes with wrong values.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let call = prop_oneof![9 => 1u64..6, 1 => Just(0u64)];
    let invoke = 1u64..12;
    let function = prop_oneof![6 => Just(3u32), 2 => Just(0u32), 1 => 0u32..5];
    let payload = prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..5).prop_map(Some),
        // A block. It need not be in the region.
        2 => Just(None),
    ];
    let block = prop_oneof![7 => (Just(2u32), 0..BLOCKS), 1 => (0u32..4, any::<u32>())];
    let name = prop_oneof![
        4 => Just(&b"Foo"[..]), 2 => Just(&b""[..]), 1 => Just(&b"B\xc3"[..]),
    ];
    let status = prop_oneof![4 => 1u32..10, 1 => Just(0u32), 1 => 90u32..110];
    let kind =
        prop_oneof![6 => Just(3u8), 8 => Just(5u8), 3 => Just(6u8), 1 => Just(7u8), 1 => 0u8..9];
    let parts = (kind, call, invoke, function, payload, block, name, status);
    parts.prop_map(|(kind, call, invoke, function, payload, (region, block), name, status)| {
        let body = payload.clone().unwrap_or_default();
        let payload = match (&payload, RegionId::new(region)) {
            (Some(_), _) | (None, None) => {
                WirePayload::Inline(InlinePayload { metadata: &[], body: &body })
            }
            (None, Some(region)) => {
                WirePayload::Block(BlockPayload { region, block, metadata_len: 0, body_len: 9 })
            }
        };
        let placed = CallNumber::new(call).unwrap_or(CallNumber::new(77).unwrap());
        let written = match kind {
            3 => {
                let caller = FunctionId::new(function).map(|id| Caller { id, name: None });
                let (root, deadline) = (None, None);
                Dispatch { call: placed, root, depth: 1, caller, deadline, sent_at: 1, payload }
                    .write()
            }
            5 => {
                let (call, function) = (InvokeNumber(invoke), FunctionId::new(function));
                AnswerComplete { call, function, sent_at: 1, payload }.write()
            }
            6 => {
                let payload = InlinePayload { metadata: &[], body: &body };
                let failure = WireFailure { status: Status::NotFound, payload };
                let (call, function) = (InvokeNumber(invoke), FunctionId::new(function));
                AnswerFailed { call, function, sent_at: 1, failure }.write()
            }
            7 => {
                let reason = Some(CancelReason::Deadline);
                CancelCall { call: placed, reason, sent_at: 1 }.write()
            }
            _ => Retire { sent_at: 1 }.write(),
        };
        with_wrong_values(&written, kind, status, call, name)
    })
}

/// The same message with values that its type cannot hold.
fn with_wrong_values(
    message: &MessageBuffer,
    kind: u8,
    status: u32,
    call: u64,
    name: &[u8],
) -> Vec<u8> {
    let mut bytes = message.as_bytes().to_vec();
    bytes[0] = kind;
    if kind == 6 || kind == 7 {
        bytes[4..8].copy_from_slice(&status.to_le_bytes());
    }
    if kind == 3 {
        bytes[8..16].copy_from_slice(&call.to_le_bytes());
        bytes[3] = name.len() as u8;
        bytes.splice(HEADER_BYTES..HEADER_BYTES, name.iter().copied());
    }
    bytes
}

/// Any bytes, or messages of which most are valid.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let messages = proptest::collection::vec(message(), 0..40);
    let valid = messages.prop_map(|messages| messages.concat());
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    (prop_oneof![8 => valid, 1 => Just(Vec::new())], prop_oneof![3 => Just(Vec::new()), 1 => noise])
        .prop_map(|(valid, noise)| [valid, noise].concat())
        .prop_filter("the pipe has room for it", |bytes| bytes.len() <= PIPE_ROOM)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn both_skins_do_the_same_with_any_bytes(bytes in stream()) {
        let by_thread = by_thread(&bytes);
        prop_assert_eq!(&by_thread, &by_event_loop(&bytes, one_by_one));
        prop_assert_eq!(&by_thread, &by_event_loop(&bytes, at_once));
    }
}
