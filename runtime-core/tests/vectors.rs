//! Tests the protocol with vectors that were packed independently of it; see `tests/vectors/`.

use nightcore_runtime::ipc::ring::{self, Sent, Side};
use nightcore_runtime::protocol::control::{
    ControlBuffer, FromContainer, FromEngine, NewRegion, ReadControl,
};
use nightcore_runtime::protocol::direct::DirectCall;
use nightcore_runtime::protocol::to_engine::Callee;
use nightcore_runtime::protocol::{
    CallId, CancelWord, FunctionId, Message, MessageBuffer, Metadata, MetadataBuffer, ToEngine,
    ToWorker, WirePayload,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

fn vectors(section: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/protocol.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let list = all[section].as_array().unwrap().clone();
    assert!(!list.is_empty());
    list
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn number(vector: &Value, field: &str) -> u64 {
    vector["fields"][field].as_u64().unwrap()
}

/// Returns the number as on the wire, where 0 means none.
fn none_if_zero(number: Option<u64>) -> u64 {
    number.unwrap_or(0)
}

fn assert_payload(vector: &Value, payload: WirePayload<'_>) {
    let title = &vector["title"];
    assert_eq!(payload.metadata_len() as u64, number(vector, "metadata_len"), "{title}");
    assert_eq!(payload.body_len(), number(vector, "body_len"), "{title}");
    match payload {
        WirePayload::Inline(inline) => {
            assert_eq!(number(vector, "region"), 0, "{title}");
            let bytes = [inline.metadata, inline.body].concat();
            assert_eq!(bytes, self::bytes(&vector["payload"]), "{title}");
        }
        WirePayload::Block(block) => {
            assert_eq!(u64::from(block.region.number()), number(vector, "region"), "{title}");
            assert_eq!(u64::from(block.block), number(vector, "block"), "{title}");
        }
    }
}

/// Compares the fields of a vector with the values that were read.
fn assert_fields(vector: &Value, fields: &[(&str, u64)]) {
    for (name, read) in fields {
        assert_eq!(*read, number(vector, name), "{name} of {}", vector["title"]);
    }
}

fn id(function: Option<FunctionId>) -> u64 {
    none_if_zero(function.map(|id| u64::from(id.number())))
}

/// Checks a message of the engine against its vector. Returns its kind, and the bytes that it is
/// written to.
fn check_to_worker(vector: &Value, message: ToWorker<'_>) -> (&'static str, MessageBuffer) {
    match message {
        ToWorker::Retire(retire) => {
            assert_fields(vector, &[("sent_at", retire.sent_at)]);
            ("retire", retire.write())
        }
        ToWorker::Dispatch(dispatch) => {
            let fields = [
                ("status", dispatch.depth.into()),
                ("call", dispatch.call.number()),
                ("parent", none_if_zero(dispatch.root.map(CallId::number))),
                ("function", id(dispatch.caller.map(|caller| caller.id))),
                ("deadline", none_if_zero(dispatch.deadline.map(NonZeroU64::get))),
                ("sent_at", dispatch.sent_at),
            ];
            assert_fields(vector, &fields);
            let name = dispatch.caller.and_then(|caller| caller.name).unwrap_or_default();
            assert_eq!(name, vector["name"].as_str().unwrap(), "{}", vector["title"]);
            assert_payload(vector, dispatch.payload);
            ("dispatch", dispatch.write())
        }
        ToWorker::AnswerComplete(answer) => {
            let fields = [
                ("call", answer.call.0),
                ("function", id(answer.function)),
                ("sent_at", answer.sent_at),
            ];
            assert_fields(vector, &fields);
            assert_payload(vector, answer.payload);
            ("complete", answer.write())
        }
        ToWorker::AnswerFailed(answer) => {
            let fields = [
                ("status", answer.failure.status.number().into()),
                ("call", answer.call.0),
                ("function", id(answer.function)),
                ("sent_at", answer.sent_at),
            ];
            assert_fields(vector, &fields);
            assert_payload(vector, WirePayload::Inline(answer.failure.payload));
            ("failed", answer.write())
        }
        ToWorker::CancelCall(cancel) => {
            let status = none_if_zero(cancel.reason.map(|r| r.status().number().into()));
            let fields =
                [("status", status), ("call", cancel.call.number()), ("sent_at", cancel.sent_at)];
            assert_fields(vector, &fields);
            ("cancel", cancel.write())
        }
        ToWorker::Lend(lend) => {
            assert_fields(vector, &[("call", lend.call.number())]);
            ("lend", lend.write())
        }
        ToWorker::Recall(recall) => {
            assert_fields(vector, &[("call", recall.call.number())]);
            ("recall", recall.write())
        }
        ToWorker::Resumed(resumed) => {
            assert_fields(vector, &[("call", resumed.call.number())]);
            ("resumed", resumed.write())
        }
    }
}

/// Checks a direct call against its vector. Returns its kind, and the bytes that it is written to.
fn check_direct(vector: &Value, call: DirectCall<'_>) -> (&'static str, MessageBuffer) {
    let fields = [
        ("status", call.depth.into()),
        ("call", call.call.number()),
        ("parent", call.root.number()),
        ("deadline", call.deadline.get()),
        ("sent_at", call.sent_at),
    ];
    assert_fields(vector, &fields);
    assert_payload(vector, call.payload);
    ("direct_call", call.write())
}

/// Checks a message of a worker against its vector. Returns its kind, and the bytes that it is
/// written to.
fn check_to_engine(vector: &Value, message: ToEngine<'_>) -> (&'static str, MessageBuffer) {
    match message {
        ToEngine::Ready(ready) => {
            assert_fields(vector, &[("sent_at", ready.sent_at)]);
            ("ready", ready.write())
        }
        ToEngine::Invoke(invoke) => {
            let (function, name) = match invoke.callee {
                Callee::Id(id) => (u64::from(id.number()), ""),
                Callee::Name(name) => (0, name),
            };
            let fields = [
                ("call", invoke.call.0),
                ("parent", invoke.parent.number()),
                ("function", function),
                ("deadline", none_if_zero(invoke.deadline.map(NonZeroU64::get))),
                ("sent_at", invoke.sent_at),
            ];
            assert_fields(vector, &fields);
            assert_eq!(name, vector["name"].as_str().unwrap(), "{}", vector["title"]);
            assert_eq!(u64::from(invoke.waits), vector["flags"].as_u64().unwrap());
            assert_payload(vector, invoke.payload);
            ("invoke", invoke.write())
        }
        ToEngine::CallComplete(complete) => {
            let fields = [
                ("call", complete.call.number()),
                ("parent", complete.times.began_at),
                ("deadline", complete.times.ended_at),
                ("sent_at", complete.sent_at),
            ];
            assert_fields(vector, &fields);
            assert_payload(vector, complete.payload);
            ("complete", complete.write())
        }
        ToEngine::CallFailed(failed) => {
            let fields = [
                ("status", failed.failure.status.number().into()),
                ("call", failed.call.number()),
                ("parent", failed.times.began_at),
                ("deadline", failed.times.ended_at),
                ("sent_at", failed.sent_at),
            ];
            assert_fields(vector, &fields);
            assert_payload(vector, WirePayload::Inline(failed.failure.payload));
            ("failed", failed.write())
        }
        ToEngine::CancelInvoke(cancel) => {
            assert_fields(vector, &[("call", cancel.call.0), ("sent_at", cancel.sent_at)]);
            ("cancel", cancel.write())
        }
        ToEngine::Wait(wait) => {
            let fields =
                [("call", wait.call.number()), ("parent", wait.answers), ("sent_at", wait.sent_at)];
            assert_fields(vector, &fields);
            ("wait", wait.write())
        }
        ToEngine::InvokeBelow(below) => {
            let (function, name) = match below.callee {
                Callee::Id(id) => (u64::from(id.number()), ""),
                Callee::Name(name) => (0, name),
            };
            let fields = [
                ("status", below.depth.into()),
                ("call", below.call.0),
                ("parent", below.lease.number()),
                ("function", function),
                ("deadline", below.deadline.get()),
                ("sent_at", below.root.number()),
            ];
            assert_fields(vector, &fields);
            assert_eq!(name, vector["name"].as_str().unwrap(), "{}", vector["title"]);
            assert_eq!(u64::from(below.waits), vector["flags"].as_u64().unwrap());
            assert_payload(vector, below.payload);
            ("invoke_below", below.write())
        }
        ToEngine::InvokeAlone(alone) => {
            let (function, name) = match alone.callee {
                Callee::Id(id) => (u64::from(id.number()), ""),
                Callee::Name(name) => (0, name),
            };
            let fields = [
                ("call", alone.call.0),
                ("function", function),
                ("deadline", none_if_zero(alone.deadline.map(NonZeroU64::get))),
                ("sent_at", alone.sent_at),
            ];
            assert_fields(vector, &fields);
            assert_eq!(name, vector["name"].as_str().unwrap(), "{}", vector["title"]);
            assert_payload(vector, alone.payload);
            ("invoke_alone", alone.write())
        }
        ToEngine::Resume(resume) => {
            assert_fields(vector, &[("call", resume.call.number())]);
            ("resume", resume.write())
        }
        ToEngine::CancelLease(cancel) => {
            assert_fields(vector, &[("call", cancel.lease.number())]);
            ("cancel_lease", cancel.write())
        }
    }
}

#[test]
fn messages_are_read_and_written_as_the_vectors_say() {
    let mut seen = BTreeSet::new();
    for vector in vectors("messages") {
        let title = &vector["title"];
        let wire = bytes(&vector["bytes"]);
        let (message, len) = Message::parse(&wire).unwrap().unwrap();
        assert_eq!(len, wire.len(), "{title}");
        let from = vector["from"].as_str().unwrap().to_owned();
        let (kind, written) = match from.as_str() {
            "engine" => check_to_worker(&vector, ToWorker::read(&message).unwrap()),
            "caller" => check_direct(&vector, DirectCall::read(&message).unwrap()),
            _ => check_to_engine(&vector, ToEngine::read(&message).unwrap()),
        };
        assert_eq!(kind, vector["kind"].as_str().unwrap(), "{title}");
        assert_eq!(written.as_bytes(), wire, "{title}");
        seen.insert((from, kind));
    }
    let kinds_of = |from: &str| -> Vec<_> {
        seen.iter().filter(|(side, _)| side == from).map(|(_, kind)| *kind).collect()
    };
    assert_eq!(
        kinds_of("engine"),
        ["cancel", "complete", "dispatch", "failed", "lend", "recall", "resumed", "retire"]
    );
    assert_eq!(
        kinds_of("worker"),
        [
            "cancel",
            "cancel_lease",
            "complete",
            "failed",
            "invoke",
            "invoke_alone",
            "invoke_below",
            "ready",
            "resume",
            "wait"
        ]
    );
    assert_eq!(kinds_of("caller"), ["direct_call"]);
}

#[test]
fn broken_messages_are_refused() {
    for vector in vectors("broken_messages") {
        let wire = bytes(&vector["bytes"]);
        // A vector without a side must not be a message of any side.
        let side = vector.get("from").and_then(Value::as_str);
        let broken = match (Message::parse(&wire), side) {
            (Err(_), None) => true,
            (Ok(Some((message, _))), Some("engine")) => ToWorker::read(&message).is_err(),
            (Ok(Some((message, _))), Some("worker")) => ToEngine::read(&message).is_err(),
            (Ok(Some((message, _))), Some("caller")) => DirectCall::read(&message).is_err(),
            _ => false,
        };
        assert!(broken, "{}", vector["title"]);
    }
}

#[test]
fn cancel_words_are_read_and_written_as_the_vectors_say() {
    for vector in vectors("cancel_words") {
        let title = &vector["title"];
        let word = vector["word"].as_u64().unwrap();
        let read = CancelWord::unpack(word).unwrap();
        assert_eq!(read.call.number(), vector["call"].as_u64().unwrap(), "{title}");
        let reason = format!("{:?}", read.reason).to_lowercase();
        assert_eq!(reason, vector["reason"].as_str().unwrap(), "{title}");
        assert_eq!(read.pack(), word, "{title}");
    }
}

#[test]
fn metadata_is_read_and_written_as_the_vectors_say() {
    for vector in vectors("metadata") {
        let wire = bytes(&vector["bytes"]);
        let pairs: Vec<(&str, &str)> = vector["pairs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        let read: Vec<(&str, &[u8])> = Metadata::parse(&wire).unwrap().iter().collect();
        assert_eq!(read, pairs.iter().map(|(n, v)| (*n, v.as_bytes())).collect::<Vec<_>>());
        let mut written = MetadataBuffer::new();
        for (name, value) in pairs {
            written.push(name, value.as_bytes()).unwrap();
        }
        assert_eq!(written.as_bytes(), wire);
    }
    for vector in vectors("broken_metadata") {
        assert!(Metadata::parse(&bytes(&vector["bytes"])).is_err(), "{}", vector["title"]);
    }
}

/// Checks a control message of the engine against its vector. Returns its kind, and the datagram
/// that it is written to.
fn check_from_engine(vector: &Value, message: &FromEngine) -> (&'static str, ControlBuffer) {
    let text = vector["text"].as_str().unwrap();
    let region = |new: &NewRegion| {
        let fields = [("region", new.region.number().into()), ("size", new.units.into())];
        assert_fields(vector, &fields);
    };
    let kind = match message {
        FromEngine::Welcome(welcome) => {
            let fields = [
                ("mode", welcome.exposes_errors.into()),
                ("version", welcome.version.into()),
                ("id", welcome.container.0),
                ("size", welcome.max_body_bytes),
                ("region", id(welcome.function_id)),
            ];
            assert_fields(vector, &fields);
            assert_eq!(welcome.function, text);
            "welcome"
        }
        FromEngine::Refused(refused) => {
            let fields = [
                ("version", refused.versions.newest.into()),
                ("oldest_version", refused.versions.oldest.into()),
                ("status", 106),
            ];
            assert_fields(vector, &fields);
            assert_eq!(refused.text, text);
            "refused"
        }
        FromEngine::CreateWorker(create) => {
            let fields = [("id", create.slot.number().into()), ("mode", create.placement as u64)];
            assert_fields(vector, &fields);
            "create_worker"
        }
        FromEngine::RegionGranted(granted) => {
            assert_fields(vector, &[("id", granted.request.0)]);
            match &granted.grant {
                Ok(new) => region(new),
                Err(refusal) => {
                    assert_fields(vector, &[("status", refusal.status.number().into())]);
                    assert_eq!(refusal.text, text);
                }
            }
            "region_granted"
        }
        FromEngine::RegionAdded(new) => {
            region(new);
            "region_added"
        }
        FromEngine::RegionDropped(dropped) => {
            assert_fields(vector, &[("region", dropped.region.number().into())]);
            "region_dropped"
        }
        FromEngine::Shutdown => "shutdown",
        FromEngine::Trim => "trim",
        FromEngine::Leased(leased) => {
            let fields = [
                ("id", leased.lease.number()),
                ("size", leased.timeout.as_nanos() as u64),
                ("region", leased.callee.number().into()),
                ("mode", leased.max_depth.into()),
            ];
            assert_fields(vector, &fields);
            assert_eq!(leased.name, text);
            "leased"
        }
        FromEngine::Lent(lent) => {
            assert_fields(vector, &[("id", lent.lease.number())]);
            assert_eq!(lent.caller, text);
            "lent"
        }
        FromEngine::LeaseEnded(ended) => {
            let fields = [("id", ended.lease.number()), ("status", ended.status.number().into())];
            assert_fields(vector, &fields);
            assert_eq!(ended.text, text);
            "lease_ended"
        }
        FromEngine::CallerCreated(created) => {
            if let Err(refusal) = &created.created {
                assert_fields(vector, &[("status", refusal.status.number().into())]);
                assert_eq!(refusal.text, text);
            }
            "caller_created"
        }
    };
    (kind, message.write())
}

/// Checks a control message of a container against its vector. Returns its kind, and the datagram
/// that it is written to.
fn check_from_container(vector: &Value, message: &FromContainer) -> (&'static str, ControlBuffer) {
    let text = vector["text"].as_str().unwrap();
    match message {
        FromContainer::Hello(hello) => {
            let fields = [
                ("mode", hello.mode.unwrap() as u64),
                ("version", hello.versions.newest.into()),
                ("oldest_version", hello.versions.oldest.into()),
            ];
            assert_fields(vector, &fields);
            assert_eq!(hello.token[..], bytes(&vector["fields"]["token"]));
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(hello.library, lines[0]);
            assert_eq!(hello.handlers, lines[1..]);
            ("hello", hello.write())
        }
        FromContainer::WorkerFailed(failed) => {
            assert_fields(vector, &[("id", failed.slot.number().into())]);
            assert_eq!(failed.text, text);
            ("worker_failed", failed.write())
        }
        FromContainer::RegionRequest(request) => {
            assert_fields(vector, &[("id", request.request.0), ("size", request.bytes)]);
            ("region_request", request.write())
        }
        FromContainer::RegionDropped(dropped) => {
            assert_fields(vector, &[("region", dropped.region.number().into())]);
            ("region_dropped", dropped.write())
        }
        FromContainer::CallerRequest => ("caller_request", FromContainer::caller_request()),
    }
}

#[test]
fn control_messages_are_read_and_written_as_the_vectors_say() {
    let mut seen = BTreeSet::new();
    for vector in vectors("control") {
        let title = &vector["title"];
        let wire = bytes(&vector["bytes"]);
        // Both sides may send messages of the same kind.
        let engine = FromEngine::read(&wire).ok();
        let engine = engine.map(|message| check_from_engine(&vector, &message));
        let container = FromContainer::read(&wire).ok();
        let container = container.map(|message| check_from_container(&vector, &message));
        assert!(engine.is_some() || container.is_some(), "{title}");
        for (kind, written) in engine.into_iter().chain(container) {
            assert_eq!(kind, vector["kind"].as_str().unwrap(), "{title}");
            assert_eq!(written.as_bytes(), wire, "{title}");
            seen.insert(kind);
        }
    }
    assert_eq!(seen.len(), 16, "{seen:?}");
}

/// Reads the word of this name, as any process that has the file can.
fn word(file: &File, vector: &Value, name: &str) -> u32 {
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, vector["words"][name].as_u64().unwrap()).unwrap();
    u32::from_le_bytes(bytes)
}

#[test]
fn rings_lie_in_their_file_as_the_vectors_say() {
    for vector in vectors("rings") {
        let title = &vector["title"];
        let file = ring::create_file().unwrap();
        let (engine, worker) =
            (ring::open(&file, Side::Engine).unwrap(), ring::open(&file, Side::Worker).unwrap());
        let (mut writer, mut reader) =
            if vector["writer"] == "engine" { (engine.0, worker.1) } else { (worker.0, engine.1) };
        let file = File::from(file);
        assert_eq!(
            file.metadata().unwrap().len(),
            vector["file_bytes"].as_u64().unwrap(),
            "{title}"
        );
        let word = |name| word(&file, &vector, name);

        let before = &vector["before"];
        for _ in 0..before["messages"].as_u64().unwrap() {
            assert_eq!(writer.send(&bytes(&before["bytes"])), Sent::Seen);
            assert!(reader.take().unwrap().is_some());
            assert!(!reader.give_back());
        }
        assert_eq!(u64::from(word("written")), before["written"].as_u64().unwrap(), "{title}");
        assert_eq!(u64::from(word("read")), before["read"].as_u64().unwrap(), "{title}");
        assert_eq!(word("core"), reader.writer_core(), "{title}");

        // A side that waits raises a flag. The other side lowers the flag before it rings the bell.
        assert_eq!(word("reader_waits"), 0, "{title}");
        assert!(reader.begin_wait());
        assert_eq!(word("reader_waits"), 1, "{title}");
        let message = bytes(&vector["message"]);
        assert_eq!(writer.send(&message), Sent::Ring, "{title}");
        assert_eq!(word("reader_waits"), 0, "{title}");
        assert_eq!(u64::from(word("written")), vector["written"].as_u64().unwrap(), "{title}");
        for line in vector["lines"].as_array().unwrap() {
            let expected = bytes(&line["bytes"]);
            let mut found = vec![0; expected.len()];
            file.read_exact_at(&mut found, line["offset"].as_u64().unwrap()).unwrap();
            assert_eq!(found, expected, "{title}");
        }
        assert_eq!(word("writer_waits"), 0, "{title}");
        assert!(writer.begin_wait());
        assert_eq!(word("writer_waits"), 1, "{title}");

        // The bytes that another implementation wrote are read as a message.
        let (expected, _) = Message::parse(&message).unwrap().unwrap();
        let taken = reader.take().unwrap().unwrap();
        assert!(ToEngine::read(&expected).is_ok() || ToWorker::read(&expected).is_ok(), "{title}");
        assert_eq!(ToEngine::read(&taken), ToEngine::read(&expected), "{title}");
        assert_eq!(ToWorker::read(&taken), ToWorker::read(&expected), "{title}");
        assert!(reader.give_back(), "{title}: the writer waits");
        assert_eq!(u64::from(word("read")), vector["written"].as_u64().unwrap(), "{title}");
    }
}
