//! The conformance worker in Rust. SPEC.md describes each case.

use nightcore::{Answer, CallOptions, Error, Metadata, Reply, Request, Worker};
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;
use std::thread::sleep;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: worker NAME");
        return ExitCode::from(2);
    };
    Worker::new().handle(&name, handle).serve()
}

fn later(target: &str, body: &[u8], options: &CallOptions) {
    let ended = match nightcore::call_with(target, body, options) {
        Ok(answer) => answer.body().to_vec(),
        Err(error) => error.status().name().as_bytes().to_vec(),
    };
    // A failure to print cannot be reported to anyone.
    let _ = print_line("later ", &[body, b": ", &ended].concat());
}

fn handle(req: &Request) -> Result<Reply> {
    let body = || req.body().to_vec();
    Ok(match text(req, "case")? {
        "echo" => Reply::new(body()),
        "upper" => Reply::new(req.body().to_ascii_uppercase()),
        "binary" => Reply::new(req.body().iter().map(|byte| !byte).collect::<Vec<u8>>()),
        "big" => Reply::new((0..number(req)?).map(|i: usize| (i % 251) as u8).collect::<Vec<u8>>()),
        "count" => Reply::new(req.body().len().to_string()),
        "fail" => return Err(Error::failed(String::from_utf8_lossy(req.body())).into()),
        "error" => {
            let text = String::from_utf8_lossy(req.body()).into_owned();
            return Err(std::io::Error::other(text).into());
        }
        "throw" => panic!("{}", String::from_utf8_lossy(req.body())),
        "sleep" => {
            sleep(Duration::from_millis(number(req)?));
            Reply::new("slept")
        }
        "call" => Reply::new(call(req)?),
        "catch" => Reply::new(catch(req)?),
        "mistake" => Reply::new(match mistake(req) {
            Ok(_) => "OK",
            Err(error) => error.status().name(),
        }),
        "fan_out" => Reply::new(fan_out(req)?),
        "chain" => Reply::new(chain(req)?),
        "metadata" => metadata(req),
        "relay_metadata" => relay_metadata(req)?,
        "status" => Reply::new(body()).with_http_status(number(req)?),
        "http_error" => return Err(Error::http(number(req)?, "as told: größer").into()),
        "json" => {
            req.json::<serde_json::Value>()?;
            Reply::new("json")
        }
        "check_status" => {
            let answer = req.call_with(text(req, "target")?, req.body(), &to("http_error"))?;
            Reply::new(answer.error_for_status()?.body())
        }
        "relay_status" => {
            let answer = req.call_with(text(req, "target")?, req.body(), &to("status"))?;
            Reply::new(answer.http_status().to_string())
        }
        "origin" => Reply::new(match req.caller() {
            None => "external".to_owned(),
            Some(caller) => format!("internal {caller}"),
        }),
        "function" => Reply::new(req.function()),
        "id" => Reply::new(req.call_id().to_string()),
        "deadline" => Reply::new(req.time_left().ok_or("no deadline")?.as_millis().to_string()),
        "path" => {
            let values = [":method", ":path", ":query"].map(|name| text(req, name));
            let lines: Result<String> =
                values.into_iter().map(|value| Ok(format!("{}\n", value?))).collect();
            Reply::new(lines?)
        }
        "crash" => std::process::exit(3),
        "wait_for_cancel" => {
            print_line("waiting ", req.body())?;
            while !req.is_cancelled() {
                sleep(Duration::from_millis(1));
            }
            let at = monotonic_ns()?;
            let reason = req.cancel_reason().map_or("nothing", |reason| reason.status().name());
            print_line("cancelled ", &[req.body(), b": ", reason.as_bytes()].concat())?;
            print_line("noticed ", &[req.body(), b" at ", at.to_string().as_bytes()].concat())?;
            Reply::default()
        }
        "later" => {
            let target = text(req, "target")?.to_owned();
            let mut options = to(text(req, "to")?);
            let ms = text(req, "timeout-ms")?;
            if !ms.is_empty() {
                options = options.timeout(Duration::from_millis(ms.parse()?));
            }
            let body = body();
            std::thread::spawn(move || later(&target, &body, &options));
            Reply::new("begun")
        }
        "print" => {
            print_line("", req.body())?;
            Reply::new("printed")
        }
        "log" => {
            req.log(std::str::from_utf8(req.body())?);
            Reply::new("logged")
        }
        // A handler can answer only by returning, so it cannot answer twice.
        "twice" => {
            print_line("twice: none", b"")?;
            Reply::new(body())
        }
        unknown => return Err(Error::failed(format!("no case {unknown:?}")).into()),
    })
}

/// Returns the first metadata value of this name, or an empty text if there is none.
fn text<'r>(req: &'r Request, name: &str) -> Result<&'r str> {
    Ok(std::str::from_utf8(req.metadata().get(name).unwrap_or_default())?)
}

fn number<N: FromStr<Err: std::error::Error + Send + Sync + 'static>>(req: &Request) -> Result<N> {
    Ok(std::str::from_utf8(req.body())?.parse()?)
}

fn print_line(word: &str, rest: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(&[word.as_bytes(), rest, b"\n"].concat())?;
    Ok(out.flush()?)
}

/// Returns the time of the system's monotonic clock.
fn monotonic_ns() -> Result<i128> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    Ok(i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec()))
}

/// Returns options that ask for a case.
fn to(case: &str) -> CallOptions {
    CallOptions::new().metadata("case", case)
}

fn call(req: &Request) -> Result<Answer> {
    Ok(req.call_with(text(req, "target")?, req.body(), &to(text(req, "to")?))?)
}

fn catch(req: &Request) -> Result<Vec<u8>> {
    let mut options = to(text(req, "to")?);
    if let Some(ms) = req.metadata().get_str("timeout-ms") {
        options = options.timeout(Duration::from_millis(ms.parse()?));
    }
    let error = match req.call_with(text(req, "target")?, req.body(), &options) {
        Ok(answer) => return Ok([b"OK\n", answer.body()].concat()),
        Err(error) => error,
    };
    let mut text = format!("{}\n{}\n{}", error.status(), error.function(), error.message());
    for cause in error.causes() {
        text += &format!("\n{} {}", cause.function, cause.status);
    }
    Ok(text.into_bytes())
}

fn mistake(req: &Request) -> std::result::Result<Answer, Error> {
    let pair = |name: &str| req.metadata().get(name).map(String::from_utf8_lossy);
    let number = |name: &str| pair(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut options = to("echo");
    if let Some(name) = pair("name") {
        options = options.metadata(&name, vec![b'v'; number("value") as usize]);
    }
    if pair("timeout-ms").is_some() {
        options = options.timeout(Duration::from_millis(number("timeout-ms")));
    }
    let target = pair("target").unwrap_or_default();
    let body = vec![b'b'; number("size") as usize];
    match pair("by").as_deref() {
        Some("process") => nightcore::call_with(&target, body, &options),
        _ => req.call_with(&target, body, &options),
    }
}

fn fan_out(req: &Request) -> Result<Vec<u8>> {
    let (target, options) = (text(req, "target")?, to(text(req, "to")?));
    let start = |i: usize| req.start_with(target, i.to_string(), &options);
    let calls = (0..number(req)?).map(start).collect::<std::result::Result<Vec<_>, Error>>()?;
    let mut answers = vec![Vec::new(); calls.len()];
    for (i, ended) in req.as_completed(calls) {
        answers[i] = [ended?.body(), b";"].concat();
    }
    Ok(answers.concat())
}

fn chain(req: &Request) -> Result<Vec<u8>> {
    let route = text(req, "route")?;
    if route.is_empty() {
        return Ok(req.body().to_vec());
    }
    let (next, rest) = route.split_once(',').unwrap_or((route, ""));
    let last = text(req, "to")?;
    let case = if rest.is_empty() && !last.is_empty() { last } else { "chain" };
    let options = to(case).metadata("route", rest).metadata("to", last);
    let body = [req.body(), b">", req.function().as_bytes()].concat();
    Ok(req.call_with(next, body, &options)?.into())
}

/// Returns the pairs whose name begins with `x-`.
fn own(metadata: Metadata<'_>) -> impl Iterator<Item = (&str, &[u8])> {
    metadata.iter().filter(|(name, _)| name.starts_with("x-"))
}

fn metadata(req: &Request) -> Reply {
    let lines = own(req.metadata())
        .flat_map(|(name, value)| [name.as_bytes(), b"=", value, b"\n"].concat());
    let reply = Reply::new(lines.collect::<Vec<u8>>());
    own(req.metadata()).fold(reply, |reply, (name, value)| reply.with_metadata(name, value))
}

fn relay_metadata(req: &Request) -> Result<Reply> {
    let options = own(req.metadata())
        .fold(to("metadata"), |options, (name, value)| options.metadata(name, value));
    let answer = req.call_with(text(req, "target")?, b"", &options)?;
    let reply = Reply::new(answer.body());
    Ok(own(answer.metadata()).fold(reply, |reply, (name, value)| reply.with_metadata(name, value)))
}
