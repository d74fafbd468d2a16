//! Tests of payloads of all sizes near each limit, in both directions, in external and internal
//! calls.

use harness::workers::c;
use harness::{Engine, Setup, pattern};

/// The bytes of metadata and body that a message holds after its header.
const INLINE: usize = 960;
const LIMIT: usize = 17 << 20;

fn engine() -> Engine {
    let limit = format!("max_body = \"{}MiB\"", LIMIT >> 20);
    let names = ["Echo", "Call", "CallBig", "Big", "BigBuffer", "TryCall", "Metadata"];
    Setup::new().gateway(&limit).functions(&names, &c()).start()
}

fn sizes() -> Vec<usize> {
    // An external payload has some hundred bytes of metadata, so the sizes near the limit vary in
    // small steps.
    let mut sizes: Vec<usize> = (INLINE - 120..=INLINE + 1).step_by(7).collect();
    sizes.extend([0, 1, 959, 960, 961, 1023, 1024, 1025, 65536, 1 << 20, 16 << 20, LIMIT]);
    sizes
}

#[test]
fn a_body_comes_in_and_goes_out_as_it_is() {
    let engine = engine();
    let mut client = engine.connect();
    for size in sizes() {
        let body = pattern(size);
        let response = client.call("Echo", &body);
        assert_eq!(response.status, 200, "{size} bytes: {}", response.text());
        assert!(response.body == body, "{size} bytes came back otherwise");
    }
    engine.stop();
}

#[test]
fn a_body_goes_to_another_function_and_back_as_it_is() {
    let engine = engine();
    let mut client = engine.connect();
    for size in sizes() {
        let response = client.call("CallBig", format!("Echo\n{size}").as_bytes());
        assert_eq!(response.text(), "same", "{size} bytes");
    }
    // These bodies pass both the gateway and a function. The function's name takes a few bytes.
    for size in sizes().into_iter().filter(|size| *size < LIMIT) {
        let body = pattern(size);
        let response = client.call("Call", &[b"Echo\n", &body[..]].concat());
        assert!(response.body == body, "{size} bytes came back otherwise: {}", response.status);
    }
    engine.stop();
}

#[test]
fn an_answer_is_made_in_either_way() {
    let engine = engine();
    let mut client = engine.connect();
    for function in ["Big", "BigBuffer"] {
        for size in sizes() {
            let response = client.call(function, size.to_string().as_bytes());
            assert!(response.body == pattern(size), "{function} {size}: {}", response.status);
            // The answer is copied from the caller's memory, not from the engine's.
            if size < 1 << 20 {
                let inner = client.call("Call", format!("{function}\n{size}").as_bytes());
                assert!(inner.body == pattern(size), "{function} {size}: {}", inner.status);
            }
        }
    }
    engine.stop();
}

/// Tests that metadata count as payload: with a longer header, a body of the same size no longer
/// fits the message.
#[test]
fn metadata_shares_the_message_with_the_body() {
    let engine = engine();
    let mut client = engine.connect();
    for header in (0..1100).step_by(13).chain([8000, 30000]) {
        let value = "v".repeat(header);
        let response =
            client.request("POST", "/function/Metadata", &[("x-long", &value)], b"the body");
        let text = response.text();
        assert!(text.contains(&format!("x-long={value}\n")), "{header}: {text}");
        assert!(text.ends_with("\n\nthe body"), "{header}: {text}");
    }
    let value = "v".repeat(33_000);
    let response = client.request("POST", "/function/Metadata", &[("x-long", &value)], b"");
    assert_eq!(response.problem().error, "PAYLOAD_TOO_LARGE");
    engine.stop();
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let engine = engine();
    let body = pattern(LIMIT + 1);
    let announced = engine.call("Echo", &body);
    assert_eq!((announced.status, announced.problem().error.as_str()), (413, "PAYLOAD_TOO_LARGE"));

    let mut client = engine.connect();
    let announcement = format!(
        "POST /function/Echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        1u64 << 40
    );
    client.write(announcement.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().problem().error, "PAYLOAD_TOO_LARGE");

    let mut client = engine.connect();
    let chunks: Vec<&[u8]> = body.chunks(100_000).collect();
    // The gateway may answer and close the connection before the whole body is sent.
    let _ = client.send_in_chunks("/function/Echo", &chunks);
    assert_eq!(client.receive().unwrap().problem().error, "PAYLOAD_TOO_LARGE");

    let mut client = engine.connect();
    client.send_in_chunks("/function/Echo", &chunks[..3]).unwrap();
    assert!(client.receive().unwrap().body == body[..300_000]);
    let function = engine.function("Echo");
    assert_eq!((function.external, function.answered), (1, 1), "what is refused is no call");
    engine.stop();
}

#[test]
fn too_large_payloads_fail_in_the_handler_that_makes_them() {
    let engine = engine();
    let over = (LIMIT + 1).to_string();
    assert_eq!(engine.text("Big", &over), "refused: PAYLOAD_TOO_LARGE");
    assert_eq!(engine.text("BigBuffer", &over), "refused: PAYLOAD_TOO_LARGE");
    let call = engine.text("CallBig", format!("Echo\n{over}"));
    assert!(call.starts_with("PAYLOAD_TOO_LARGE\n"), "{call}");
    // The worker goes on.
    assert_eq!(engine.answer("Big", "3"), pattern(3));
    assert_eq!(engine.function("Echo").internal, 0);
    engine.stop();
}

#[test]
fn only_what_no_message_holds_goes_by_the_arena() {
    // With a direct channel, the engine would not see the payloads.
    let setup = Setup::new().function("CallBig", &c(), "direct = false");
    let engine = setup.functions(&["Echo"], &c()).start();
    let payloads = || engine.status().arena_payloads;
    // The first call makes the callee's id known, so that later messages do not carry it.
    assert_eq!(engine.text("CallBig", "Echo\n16"), "same");
    let before = payloads();
    for _ in 0..10 {
        assert_eq!(engine.text("CallBig", "Echo\n16"), "same");
    }
    assert_eq!(payloads(), before, "16 bytes take no block");
    assert_eq!(engine.text("CallBig", "Echo\n65536"), "same");
    // The payload goes to the engine, on to the callee, and back.
    assert_eq!(payloads(), before + 4, "64 KiB take one for each hop");
    engine.stop();
}
