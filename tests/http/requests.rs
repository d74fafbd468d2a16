//! Tests of the gateway's requests and responses from the side of an HTTP client.

use harness::workers::c;
use harness::{Engine, Setup, run};
use std::collections::HashSet;
use std::process::Command;

fn engine() -> Engine {
    Setup::new().functions(&["Echo", "Metadata", "Reply", "Sleep", "Fail", "Call"], &c()).start()
}

#[test]
fn method_path_query_and_headers_are_the_function_s() {
    let engine = engine();
    let mut client = engine.connect();
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"] {
        let headers = [
            ("X-One", "1"),
            ("accept", "a/b"),
            ("x-one", "two words"),
            ("connection", "keep-alive"),
        ];
        let path = "/function/Metadata/below/%C3%A4?q=1&r=%20";
        let text = client.request(method, path, &headers, b"").text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let expected = [
            &format!(":method={method}"),
            ":prefix=/function/Metadata",
            ":path=/below/%C3%A4",
            ":query=q=1&r=%20",
            "host=test",
            "x-one=1",
            "accept=a/b",
            "x-one=two words",
            "content-length=0",
        ];
        // Pairs of one name keep their order. The order of different names has no meaning.
        for pair in expected {
            assert!(lines.contains(&pair), "{method}: {pair} is not in:\n{text}");
        }
        assert_eq!(lines.len(), expected.len(), "{method}:\n{text}");
        let at = |pair: &str| lines.iter().position(|line| *line == pair);
        assert!(at("x-one=1") < at("x-one=two words"), "{text}");
    }
    let bare = client.request("GET", "/function/Metadata", &[], b"").text();
    assert!(bare.contains(":path=/\n") && !bare.contains(":query"), "{bare}");
    engine.stop();
}

#[test]
fn status_headers_and_body_are_given_back() {
    let engine = engine();
    let mut client = engine.connect();
    let told = b":status: 418\nset-cookie: a=1\nset-cookie: b=2\ncontent-type: text/tea\n\
          connection: close\n\nshort";
    let response = client.call("Reply", told);
    assert_eq!((response.status, response.text().as_str()), (418, "short"));
    let cookies: Vec<&str> = response
        .headers
        .iter()
        .filter(|(n, _)| n == "set-cookie")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(response.header("content-type"), Some("text/tea"));
    assert_eq!(response.header("connection"), None, "it is not the function's to say");
    let plain = client.call("Echo", b"x");
    assert_eq!(
        (plain.status, plain.header("content-type")),
        (200, Some("application/octet-stream"))
    );
    engine.stop();
}

#[test]
fn a_client_is_told_the_id_of_its_call() {
    let engine = engine();
    let mut client = engine.connect();
    let mut seen = Vec::new();
    for (function, body) in
        [("Echo", &b"x"[..]), ("Reply", b"x-nightcore-call: mine\n\n"), ("Fail", b"no")]
    {
        let response = client.call(function, body);
        let ids: Vec<&str> = response
            .headers
            .iter()
            .filter(|(n, _)| n == "x-nightcore-call")
            .map(|(_, v)| v.as_str())
            .collect();
        let [id] = ids[..] else { panic!("{function}: {ids:?}") };
        assert!(
            id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            "{id:?}"
        );
        if function == "Fail" {
            assert_eq!(response.problem().call.as_deref(), Some(id));
        }
        assert!(!seen.contains(&id.to_owned()), "{id} was another call's");
        seen.push(id.to_owned());
    }
    let nobody = client.call("Nobody", b"");
    assert_eq!(
        (nobody.header("x-nightcore-call"), nobody.problem().call),
        (None, None),
        "it was no call"
    );
    engine.stop();
}

#[test]
fn no_two_calls_have_the_same_id_and_none_can_be_guessed() {
    let ids_of = |engine: &Engine| {
        let mut client = engine.connect();
        let id = |_| client.call("Echo", b"").header("x-nightcore-call").unwrap().to_owned();
        (0..20).map(id).collect::<Vec<_>>()
    };
    let (one, other) = (engine(), engine());
    let mut ids = [ids_of(&one), ids_of(&other)].concat();
    one.stop();
    let again = engine();
    ids.extend(ids_of(&again));
    other.stop();
    again.stop();
    // No two ids share even one half.
    for half in [0..8, 8..16] {
        let halves: HashSet<&str> = ids.iter().map(|id| &id[half.clone()]).collect();
        assert_eq!(halves.len(), ids.len(), "{ids:?}");
    }
}

#[test]
fn an_answer_with_a_status_is_taken_as_the_response_it_is() {
    let engine = engine();
    let mut client = engine.connect();
    let page = client.call("Reply", b":status: 200\n\nraw");
    assert_eq!((page.header("content-type"), page.text().as_str()), (None, "raw"));
    let empty = client.call("Reply", b":status: 204\n\n");
    assert_eq!((empty.header("content-type"), empty.header("content-length")), (None, None));
    // The function decides the content-length of an answer to HEAD, but not that of an existing
    // body.
    let told = b":status: 200\ncontent-length: 7\n\n";
    client.send("HEAD", "/function/Reply", &[], told).unwrap();
    assert_eq!(client.receive_head().unwrap().header("content-length"), Some("7"));
    assert_eq!(client.call("Reply", b"content-length: 7\n\nshort").text(), "short");
    engine.stop();
}

#[test]
fn a_function_answers_at_its_route_too() {
    let routed = |route: &str| format!("route = \"{route}\"");
    let engine = Setup::new()
        .function("Metadata", &c(), &routed("/shop"))
        .function("Echo", &c(), &routed("/shop/echo/"))
        .function("Reply", &c(), &routed("/"))
        .start();
    let mut client = engine.connect();
    let at = |text: &str, name: &str| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!(":{name}=")).map(str::to_owned));
        value.unwrap_or_default()
    };
    for (path, prefix, rest) in [
        ("/shop", "/shop", "/"),
        ("/shop/a%2Fb?c", "/shop", "/a%2Fb"),
        ("/function/Metadata/a", "/function/Metadata", "/a"),
    ] {
        let text = client.request("GET", path, &[], b"").text();
        assert_eq!(
            (at(&text, "prefix"), at(&text, "path")),
            (prefix.into(), rest.into()),
            "{path}"
        );
    }
    assert_eq!(client.request("POST", "/shop/echo", &[], b"x").text(), "x");
    assert_eq!(client.request("POST", "/shopping", &[], b":status: 418\n\n").status, 418);
    assert_eq!(client.request("GET", "/healthz", &[], b"").text(), "ok\n");
    assert_eq!(client.request("GET", "/function/Nobody", &[], b"").status, 404);
    engine.stop();
}

#[test]
fn answers_that_http_cannot_carry_fail_the_function() {
    let engine = engine();
    let mut client = engine.connect();
    for told in [
        ":status: 99\n\n",
        ":status: 101\n\n",
        ":status: abc\n\n",
        ":status: 1000\n\n",
        "x-a: b\rc\n\n",
    ] {
        let response = client.call("Reply", told.as_bytes());
        let problem = response.problem();
        assert_eq!((response.status, problem.error.as_str()), (500, "FUNCTION_FAILED"), "{told:?}");
        assert_eq!(problem.function.as_deref(), Some("Reply"));
    }
    // Another function may get such an answer. Only HTTP cannot represent it.
    assert_eq!(client.call("Call", b"Reply\n:status: 99\n\nfine").text(), "fine");
    engine.stop();
}

#[test]
fn pipelined_requests_keep_the_order_of_their_answers() {
    let engine = engine();
    let mut client = engine.connect();
    let bodies: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for (number, body) in bodies.iter().enumerate() {
        let function = if number % 10 == 0 { "Sleep" } else { "Echo" };
        client.send("POST", &format!("/function/{function}"), &[], body.as_bytes()).unwrap();
    }
    for (number, body) in bodies.iter().enumerate() {
        let expected = if number % 10 == 0 { format!("slept {body}") } else { body.clone() };
        assert_eq!(client.receive().unwrap().text(), expected);
    }
    engine.stop();
}

#[test]
fn the_gateway_has_pages_of_its_own() {
    let engine = engine();
    let mut client = engine.connect();
    for (page, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let response = client.request("GET", page, &[], b"");
        assert_eq!((response.status, response.text().as_str()), (200, text));
        assert_eq!(client.request("POST", page, &[], b"").status, 405);
    }
    engine.stop();
}

#[test]
fn malformed_requests_are_refused_and_harm_no_other_client() {
    let engine = engine();
    let mut client = engine.connect();
    client.write(b"what is this\r\n\r\n").unwrap();
    assert!(client.receive().map_or(true, |response| response.status == 400));
    assert!(client.is_closed());
    let mut half = engine.connect();
    half.write(b"POST /function/Echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        .unwrap();
    drop(half);
    assert_eq!(engine.text("Echo", "others"), "others");
    assert_eq!(engine.function("Echo").external, 1);
    engine.stop();
}

/// Runs curl with these arguments. Returns the status and the body.
fn curl(
    engine: &Engine,
    arguments: &[&str],
    path: &str,
    input: &[u8],
) -> Option<(String, Vec<u8>)> {
    let found = Command::new("curl").arg("--version").output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: curl is not installed");
        return None;
    }
    let mut curl = Command::new("curl");
    curl.args(["-s", "-S", "-w", "%{stderr}%{http_version} %{http_code}", "--data-binary", "@-"])
        .args(arguments);
    let ended = run(curl.arg(format!("http://{}{path}", engine.address())), input);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    Some((ended.stderr, ended.stdout))
}

#[test]
fn curl_speaks_http_2_with_prior_knowledge() {
    let engine = engine();
    for bytes in [0, 10, 100_000, 3 << 20] {
        let body = harness::pattern(bytes);
        if let Some((said, answer)) =
            curl(&engine, &["--http2-prior-knowledge"], "/function/Echo", &body)
        {
            assert_eq!(said, "2 200");
            assert!(answer == body, "{bytes} bytes came back otherwise");
        }
    }
    if let Some((_, answer)) =
        curl(&engine, &["--http2-prior-knowledge", "-X", "PUT"], "/function/Metadata/a?b", b"")
    {
        let text = String::from_utf8(answer).unwrap();
        for pair in [":method=PUT\n", ":path=/a\n", ":query=b\n", "host=127.0.0.1"] {
            assert!(text.contains(pair), "{pair:?} is not in:\n{text}");
        }
    }
    engine.stop();
}

#[test]
fn curl_asks_before_it_sends_a_large_body() {
    let engine = engine();
    let body = harness::pattern(5 << 20);
    let ask = ["--http1.1", "-H", "Expect: 100-continue"];
    if let Some((said, answer)) = curl(&engine, &ask, "/function/Echo", &body) {
        assert_eq!(said, "1.1 200");
        assert!(answer == body);
    }
    engine.stop();
}
