//! Calls that the process makes outside of any request.

use crate::failure::JsFailure;
use crate::worker::{failed, options};
use napi::JsDeferred;
use napi::bindgen_prelude::*;
use napi_derive::napi;
use nightcore_runtime::protocol::Failure;
use nightcore_runtime::worker::Answer;
use nightcore_runtime::worker::caller::{self, StartedCall};

/// How a call ended: an answer's metadata and body, or a failure.
#[napi(object)]
pub struct JsEnded {
    pub failure: Option<JsFailure>,
    pub metadata: Option<Buffer>,
    pub body: Option<Buffer>,
}

impl From<Ended> for JsEnded {
    fn from(result: Ended) -> JsEnded {
        match result {
            Ok(answer) => JsEnded {
                failure: None,
                metadata: Some(answer.metadata().as_bytes().into()),
                body: Some(answer.body().into()),
            },
            Err(failure) => JsEnded { failure: Some(failure.into()), metadata: None, body: None },
        }
    }
}

/// How a call ended, as the runtime says it.
type Ended = std::result::Result<Answer, Failure>;
/// Makes the value that a promise resolves to, on Node's thread.
type Resolver = Box<dyn FnOnce(Env) -> Result<JsEnded>>;

/// A call under way.
#[napi(object, object_from_js = false)]
pub struct JsStarted<'env> {
    /// Its number.
    pub call: f64,
    /// Resolves to how it ended.
    pub ended: Object<'env>,
}

fn settle(deferred: JsDeferred<JsEnded, Resolver>, result: Ended) {
    let ended = JsEnded::from(result);
    deferred.resolve(Box::new(move |_| Ok(ended)));
}

/// Begins a call outside of any request. `timeout` in ms, 0 for none. It keeps the process alive
/// until it has ended.
#[napi]
pub fn start_process_call<'env>(
    env: &'env Env,
    name: String,
    body: &[u8],
    timeout: f64,
    encoded: Option<&[u8]>,
) -> Result<JsStarted<'env>> {
    let options = options(timeout, encoded)?;
    let (deferred, ended) = env.create_deferred()?;
    let spare = deferred.clone();
    let end = Box::new(move |result| settle(deferred, result));
    match caller::start(&name, &[body], &options, end) {
        Ok(started) => Ok(JsStarted { call: started.number() as f64, ended }),
        Err(failure) => {
            // A promise that is never settled would keep the process alive.
            settle(spare, Err(failure.clone()));
            Err(failed(failure))
        }
    }
}

/// Takes a call back.
#[napi]
pub fn cancel_process_call(call: f64) {
    caller::cancel(StartedCall::of_number(call as u64));
}
