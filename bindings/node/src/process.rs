//! Calls that the process makes outside of any request.

use crate::failure::{Attempt, JsFailure};
use crate::worker::options;
use napi::JsDeferred;
use napi::bindgen_prelude::*;
use napi_derive::napi;
use nightcore_runtime::worker::Answer;
use nightcore_runtime::worker::caller::{self, StartedCall};

/// The end of a call: the metadata and the body of an answer, or a failure.
#[napi(object)]
pub struct JsEnded {
    pub failure: Option<JsFailure>,
    pub metadata: Option<Buffer>,
    pub body: Option<Buffer>,
}

impl From<Attempt<Answer>> for JsEnded {
    fn from(result: Attempt<Answer>) -> JsEnded {
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

/// Makes the value that a promise resolves to, on Node's thread.
type Resolver = Box<dyn FnOnce(Env) -> Result<JsEnded>>;

/// A call under way.
#[napi(object, object_from_js = false)]
pub struct JsStarted<'env> {
    /// The number of the call.
    pub call: f64,
    /// A promise that resolves when the call ends.
    pub ended: Object<'env>,
}

fn settle(deferred: JsDeferred<JsEnded, Resolver>, result: Attempt<Answer>) {
    let ended = JsEnded::from(result);
    deferred.resolve(Box::new(move |_| Ok(ended)));
}

/// Starts a call outside of any request, or returns why it cannot be started. `timeout` is in ms; 0
/// means that there is none. A started call keeps the process alive until the call has ended.
#[napi]
pub fn start_process_call<'env>(
    env: &'env Env,
    name: String,
    body: &[u8],
    timeout: f64,
    encoded: Option<&[u8]>,
) -> Result<Either<JsStarted<'env>, JsFailure>> {
    let options = match options(timeout, encoded) {
        Ok(options) => options,
        Err(failure) => return Ok(Either::B(failure.into())),
    };
    let (deferred, ended) = env.create_deferred()?;
    let spare = deferred.clone();
    let end = Box::new(move |result| settle(deferred, result));
    match caller::start(&name, &[body], &options, end) {
        Ok(started) => Ok(Either::A(JsStarted { call: started.number() as f64, ended })),
        Err(failure) => {
            // A promise that is never settled would keep the process alive.
            settle(spare, Err(failure.clone()));
            Ok(Either::B(failure.into()))
        }
    }
}

/// Cancels the call with this number.
#[napi]
pub fn cancel_process_call(call: f64) {
    caller::cancel(StartedCall::of_number(call as u64));
}
