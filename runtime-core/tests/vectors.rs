//! The protocol against vectors that were packed independently of it; see `tests/vectors/`.

use nightcore_runtime::ipc::ring::{self, Sent, Side};
use nightcore_runtime::protocol::control::{Control, ControlKind};
use nightcore_runtime::protocol::{Header, Kind, Message, MessageBuffer, Metadata, MetadataBuffer};
use serde_json::Value;
use std::fs::File;
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

#[test]
fn messages_are_read_and_written_as_the_vectors_say() {
    for vector in vectors("messages") {
        let title = &vector["title"];
        let wire = bytes(&vector["bytes"]);
        let (message, len) = Message::parse(&wire).unwrap().unwrap();
        assert_eq!(len, wire.len(), "{title}");
        let kind = format!("{:?}", message.kind).to_lowercase();
        assert_eq!(kind, vector["kind"].as_str().unwrap(), "{title}");
        let payload = bytes(&vector["payload"]);
        assert_eq!(message.name, vector["name"].as_str().unwrap().as_bytes(), "{title}");
        assert_eq!(message.inline, payload, "{title}");
        let header = Header {
            kind: message.kind as u16,
            flags: vector["flags"].as_u64().unwrap() as u16,
            status: number(&vector, "status") as u32,
            call: number(&vector, "call"),
            parent: number(&vector, "parent"),
            function: number(&vector, "function") as u32,
            metadata_len: number(&vector, "metadata_len") as u32,
            body_len: number(&vector, "body_len"),
            deadline: number(&vector, "deadline"),
            sent_at: number(&vector, "sent_at"),
            region: number(&vector, "region") as u32,
            block: number(&vector, "block") as u32,
        };
        let written = MessageBuffer::new(header, message.name, &[&payload]);
        assert_eq!(written.as_bytes(), wire, "{title}");
    }
    let kinds = [
        Kind::Ready,
        Kind::Retire,
        Kind::Dispatch,
        Kind::Invoke,
        Kind::Complete,
        Kind::Failed,
        Kind::Cancel,
        Kind::Wait,
    ];
    for kind in kinds {
        let name = format!("{kind:?}").to_lowercase();
        assert!(
            vectors("messages").iter().any(|v| v["kind"] == name.as_str()),
            "no vector of {name}"
        );
    }
}

#[test]
fn broken_messages_are_refused() {
    for vector in vectors("broken_messages") {
        assert!(Message::parse(&bytes(&vector["bytes"])).is_err(), "{}", vector["title"]);
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

#[test]
fn control_messages_are_read_and_written_as_the_vectors_say() {
    for vector in vectors("control") {
        let title = &vector["title"];
        let wire = bytes(&vector["bytes"]);
        let (kind, read, text) = Control::parse(&wire).unwrap();
        let name: String = vector["kind"].as_str().unwrap().split('_').collect();
        assert_eq!(format!("{kind:?}").to_lowercase(), name, "{title}");
        assert_eq!(text, vector["text"].as_str().unwrap(), "{title}");
        let written = Control {
            mode: number(&vector, "mode") as u16,
            version: number(&vector, "version") as u16,
            oldest_version: number(&vector, "oldest_version") as u16,
            status: number(&vector, "status") as u32,
            id: number(&vector, "id"),
            size: number(&vector, "size"),
            region: number(&vector, "region") as u32,
            token: bytes(&vector["fields"]["token"]).try_into().unwrap(),
            ..Control::new(kind)
        };
        assert_eq!(written.encode(text), wire, "{title}");
        assert_eq!(read.id, written.id, "{title}");
    }
    for number in 1..=10 {
        let kind = ControlKind::from_number(number).unwrap();
        let name = format!("{kind:?}").to_lowercase();
        let is = |v: &Value| v["kind"].as_str().unwrap().split('_').collect::<String>() == name;
        assert!(vectors("control").iter().any(is), "no vector of {name}");
    }
}

/// The word of this name, as anybody who has the file sees it.
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

        // Who waits raises a flag, which the other side lowers before it rings.
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

        // What another implementation put there is read as a message.
        let (expected, _) = Message::parse(&message).unwrap().unwrap();
        let taken = reader.take().unwrap().unwrap();
        assert_eq!(
            (taken.header, taken.name, taken.inline),
            (expected.header, expected.name, expected.inline)
        );
        assert!(reader.give_back(), "{title}: the writer waits");
        assert_eq!(u64::from(word("read")), vector["written"].as_u64().unwrap(), "{title}");
    }
}
