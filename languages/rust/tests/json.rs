//! Tests JSON in requests, replies and answers.

use nightcore::testing::FakeRequest;
use nightcore::{Error, Json, Reply, Request, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct User {
    name: String,
}

fn renamed(req: &Request) -> Result<Json<User>> {
    let user: User = req.json()?;
    let known: HashMap<String, String> = req.call("Names", "")?.json()?;
    match known.get(&user.name) {
        Some(name) => Ok(Json(User { name: name.clone() })),
        None => Err(Error::http_reply(Reply::json(&user)?.with_http_status(404))),
    }
}

fn ask(body: &str) -> FakeRequest<'static> {
    FakeRequest::new(body).on_call(|_| Reply::json(&HashMap::from([("ada", "Ada")])))
}

#[test]
fn a_value_is_replied_as_json() {
    let answer = ask(r#"{"name": "ada"}"#).run(renamed).unwrap();
    assert_eq!(answer.metadata().get_str("content-type"), Some("application/json"));
    assert_eq!(answer.json::<User>().unwrap(), User { name: "Ada".into() });
    let answer = ask(r#"{"name": "bob"}"#).run(renamed).unwrap();
    assert_eq!((answer.http_status(), answer.body()), (404, &br#"{"name":"bob"}"#[..]));
}

#[test]
fn a_body_that_is_not_as_expected_is_the_client_s_mistake() {
    let answer = ask(r#"{"nam": "ada"}"#).run(renamed).unwrap();
    assert_eq!(answer.http_status(), 400);
    assert!(answer.text().unwrap().contains("missing field `name`"), "{answer:?}");
}

#[test]
fn an_answer_that_is_not_as_expected_fails_the_handler() {
    let request = FakeRequest::new(r#"{"name": "ada"}"#).on_call(|_| Ok(Reply::new("[]")));
    assert!(request.run(renamed).unwrap_err().message().contains("expected a map"));
}

#[test]
fn a_value_that_is_no_json_fails_the_handler() {
    let unnamed = |_: &Request| Json(HashMap::from([((1, 2), 3)]));
    let error = FakeRequest::new("").run(unnamed).unwrap_err();
    assert!(error.message().contains("key must be a string"), "{error}");
}
