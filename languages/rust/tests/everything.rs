//! Tests a program that uses all of the API and triggers none of clippy's pedantic lints.

#![warn(clippy::pedantic)]

use nightcore::testing::{self, FakeRequest};
use nightcore::{
    Answer, AsCompleted, AsyncCall, AsyncRequest, CallId, CallOptions, CancelGuard, CancelReason,
    Cause, Error, IntoReply, Json, Metadata, PendingCall, Reply, Request, Result, StartError,
    Status, Worker,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Order {
    id: u64,
    article: String,
}

/// Describes its request.
fn describe(req: &Request) -> Result<String> {
    let metadata: Metadata = req.metadata();
    let language = metadata.get_str("accept-language").unwrap_or("en");
    let token = metadata.get("token").map_or(0, <[u8]>::len);
    let names: Vec<&str> = metadata.iter().map(|(name, _)| name).collect();
    let id: CallId = req.call_id();
    req.log(format_args!("request {id} of {:?}", req.caller()));
    let has_time = req.time_left().is_none_or(|left| left > Duration::from_millis(1));
    if metadata.is_empty() || !has_time || req.is_cancelled() {
        return Err(Error::failed("nothing to describe"));
    }
    let (function, text) = (req.function(), req.text()?);
    Ok(format!("{function}: {text}, {language}, {token} bytes, {}", names.join(" ")))
}

/// Makes calls in every way that a handler can.
fn order(req: &Request) -> Result<Json<Order>> {
    let order: Order = req.json()?;
    let options = CallOptions::new().timeout(Duration::from_secs(1)).metadata("user", "ada");
    let stored: Answer = req.call_with("Store", req.body(), &options)?.error_for_status()?;
    assert_eq!((stored.body(), stored.http_status()), (&b"stored"[..], 201));
    assert_eq!(stored.metadata().get_str("shelf"), Some("7"));

    let mut price: PendingCall = req.start("Price", &order.article)?;
    let tax = req.start_with("Tax", &order.article, &options)?;
    let waited = price.wait_timeout(Duration::from_secs(1)).ok_or("no price in time")?;
    let names = [price.function().to_owned(), tax.function().to_owned()];
    let sum = [waited?.text()?.to_owned(), tax.wait()?.text()?.to_owned()].join(" and ");
    req.log(format!("{}: {sum}", names.join(", ")));

    let both = [req.start("Mail", "")?, req.start("Ship", "")?];
    let ends: AsCompleted = req.as_completed(both);
    let ended: Vec<usize> = ends.map(|(index, _)| index).collect();
    assert_eq!(ended, [0, 1]);
    let again: Order = req.call("Load", order.id.to_string())?.json()?;
    Ok(Json(again))
}

/// Stops early if its request is cancelled.
fn search(req: &Request) -> Result<Reply> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let _guard: CancelGuard = req.on_cancel(move || flag.store(true, Ordering::Relaxed))?;
    match req.cancel_reason() {
        Some(reason @ CancelReason::Deadline) => Ok(Reply::text(reason.status().name())),
        Some(reason) => Err(Error::failed(format!("given up: {}", reason.status()))),
        None if stop.load(Ordering::Relaxed) => Err(Error::http(503, "stopped")),
        None => {
            let found = Reply::json(&["one", "two"])?;
            Ok(found.with_http_status(203).with_metadata("x-count", "2"))
        }
    }
}

/// Describes the error of a call that fails.
fn report(req: &Request) -> Result<String> {
    let Err(error) = req.call("Bank", "") else { return Err(Error::failed("it has worked")) };
    let causes: &[Cause] = error.causes();
    let first = causes.first().map_or(error.status(), |cause| cause.status);
    let http = error.http_status().or(error.answer().map(Answer::http_status));
    Ok(format!("{} {first} {} {http:?}", error.function(), error.message()))
}

fn refuse(_: &Request) -> Result<()> {
    Err(Error::http_reply(Reply::new("closed").with_http_status(503)))
}

/// A type that the program itself defines, and that its handlers return.
struct Greeting(&'static str);

impl IntoReply for Greeting {
    fn into_reply(self) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Reply::text(format!("Hello, {}", self.0)))
    }
}

async fn order_async(req: AsyncRequest) -> Result<String> {
    let order: Order = req.json()?;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let price: AsyncCall = req.start("Price", &order.article)?;
    let tax = req.start_with("Tax", &order.article, &options)?;
    let called = format!("{} {}", price.function(), tax.function());
    let (price, tax) = tokio::join!(price, tax);
    req.call("Store", req.body()).await?;
    req.call_with("Mail", req.text()?, &options).await?;
    req.log(format_args!("{:?} {:?} {:?}", req.caller(), req.call_id(), req.time_left()));
    if req.is_cancelled() || req.metadata().is_empty() {
        return Err(Error::failed(format!("{:?}", req.cancel_reason())));
    }
    Ok(format!("{} {called}: {} and {}", req.function(), price?.text()?, tax?.text()?))
}

async fn wait_for_the_end(req: AsyncRequest) -> Result<String> {
    Ok(format!("{:?}", req.cancelled().await))
}

fn worker() -> Worker {
    Worker::new()
        .handle("Describe", describe)
        .handle("Order", order)
        .handle("Search", search)
        .handle("Report", report)
        .handle("Refuse", refuse)
        .handle("Greet", |_: &Request| Greeting("Ada"))
        .handle_async("OrderAsync", order_async)
        .handle_async("WaitForTheEnd", wait_for_the_end)
}

/// Tries all functions that serve. A program's `main` would end with one of them.
#[tokio::test]
async fn without_an_engine_nothing_is_served() {
    assert_eq!(worker().serve(), ExitCode::from(2));
    let error: StartError = worker().try_serve().unwrap_err();
    assert_eq!((error.status(), error.exit_code()), (Status::NotStarted, 2));
    assert_eq!(worker().serve_async().await, ExitCode::from(2));
    assert!(worker().try_serve_async().await.is_err());
    let options = CallOptions::new();
    let calls = [
        nightcore::call("Clean", "").unwrap_err(),
        nightcore::call_with("Clean", "", &options).unwrap_err(),
        nightcore::call_async("Clean", "").await.unwrap_err(),
        nightcore::call_async_with("Clean", "", &options).await.unwrap_err(),
    ];
    assert!(calls.iter().all(|error| error.status() == Status::InvalidState), "{calls:?}");
}

/// Returns a request for an order, with a test double that answers its calls.
fn ordering() -> FakeRequest<'static> {
    let request = FakeRequest::new(r#"{"id": 1, "article": "tea"}"#);
    request.with_metadata("user", "ada").on_call(|call: &testing::Call| match call.function {
        "Store" => Ok(Reply::new("stored").with_http_status(201).with_metadata("shelf", "7")),
        "Load" => Reply::json(&Order { id: 1, article: "tea".into() }),
        _ => Ok(Reply::new(call.body)),
    })
}

#[test]
fn handlers_run_without_an_engine() -> Result<()> {
    let request = FakeRequest::new("hi").to_function("Describe").from_function("Front");
    let request = request.with_metadata("token", b"\xff").with_time_left(Duration::from_secs(1));
    assert_eq!(request.run(describe)?.body(), b"Describe: hi, en, 1 bytes, token");
    let answer = ordering().run(order)?;
    assert_eq!(answer.json::<Order>()?, Order { id: 1, article: "tea".into() });
    assert_eq!(FakeRequest::new("").run(search)?.http_status(), 203);
    let late = FakeRequest::new("").cancelled_for(CancelReason::Deadline);
    assert_eq!(late.run(search)?.body(), b"DEADLINE_EXCEEDED");
    assert!(FakeRequest::new("").cancelled().run(search).is_err());
    let full = |_: &testing::Call| Err(testing::error(Status::Overloaded, "full"));
    let told = FakeRequest::new("").on_call(full).run(report)?;
    assert_eq!(told.text()?, "Bank OVERLOADED full None");
    assert_eq!(FakeRequest::new("").run(refuse)?.http_status(), 503);
    assert_eq!(FakeRequest::new("").run(|_: &Request| Greeting("Ada"))?.body(), b"Hello, Ada");
    Ok(())
}

#[tokio::test]
async fn asynchronous_handlers_run_without_an_engine() -> Result<()> {
    let answer = ordering().run_async(order_async).await?;
    assert_eq!(answer.text()?, "Test Price Tax: tea and tea");
    let answer = FakeRequest::new("").cancelled().run_async(wait_for_the_end).await?;
    assert_eq!(answer.text()?, "Some(Caller)");
    Ok(())
}

/// Returns the names of the public items in the crate's sources, except deprecated ones.
fn public_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let mut is_deprecated = false;
            for line in text.lines().map(str::trim) {
                is_deprecated |= line.starts_with("#[deprecated");
                let Some(item) = line.strip_prefix("pub ") else { continue };
                let item = item.strip_prefix("async ").unwrap_or(item);
                let kinds = ["fn ", "struct ", "enum ", "trait ", "type "];
                if let Some(rest) = kinds.iter().find_map(|kind| item.strip_prefix(kind)) {
                    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                    if !std::mem::take(&mut is_deprecated) {
                        names.insert(rest[..end].to_owned());
                    }
                }
            }
        }
    }
    names
}

#[test]
fn this_program_uses_every_public_name() {
    let words: BTreeSet<&str> =
        include_str!("everything.rs").split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let names = public_names();
    assert!(names.len() > 60, "{names:?}");
    let unused: Vec<_> = names.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
