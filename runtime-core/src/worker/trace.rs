//! The W3C trace context, which calls pass on automatically. See
//! <https://www.w3.org/TR/trace-context/>.

use super::compose::CallOptions;
use crate::protocol::Metadata;
use std::borrow::Cow;

/// The metadata that name a call's trace. `tracestate` has a meaning only together with
/// `traceparent`.
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Returns the options for a call that a request with these metadata makes. The call belongs to the
/// same trace, unless its options name another one.
///
/// A handler that keeps a trace itself puts its own `traceparent` into the options. If there is no
/// room for the context among the metadata, the call is made without it.
pub(super) fn in_trace<'o>(
    request: Metadata<'_>,
    options: &'o CallOptions,
) -> Cow<'o, CallOptions> {
    if request.is_empty() {
        return Cow::Borrowed(options);
    }
    let Some(parent) = request.get(PARENT) else { return Cow::Borrowed(options) };
    if options.metadata.as_metadata().get(PARENT).is_some() {
        return Cow::Borrowed(options);
    }
    let mut traced = options.clone();
    let has_state = options.metadata.as_metadata().get(STATE).is_some();
    let states = request
        .iter()
        .filter(|_| !has_state)
        .filter(|(name, _)| *name == STATE)
        .map(|(_, value)| value);
    let pushed = traced.metadata.push(PARENT, parent).and_then(|()| {
        // A list may be split over several headers, whose order matters.
        { states }.try_for_each(|value| traced.metadata.push(STATE, value))
    });
    if pushed.is_ok() { Cow::Owned(traced) } else { Cow::Borrowed(options) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MetadataBuffer;

    fn metadata(pairs: &[(&str, &str)]) -> MetadataBuffer {
        let mut buffer = MetadataBuffer::new();
        pairs.iter().for_each(|(name, value)| buffer.push(name, value.as_bytes()).unwrap());
        buffer
    }

    /// The metadata of a call with these options, made by a request with those metadata.
    fn passed_on(request: &[(&str, &str)], options: &[(&str, &str)]) -> Vec<(String, String)> {
        let options = CallOptions { metadata: metadata(options), timeout: None };
        let request = metadata(request);
        let traced = in_trace(request.as_metadata(), &options);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let pairs = traced.metadata.as_metadata();
        pairs.iter().map(|(name, value)| (name.to_owned(), text(value))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_call_belongs_to_the_trace_of_its_request() {
        let request =
            [("traceparent", "00-a"), ("x", "1"), ("tracestate", "b"), ("tracestate", "c")];
        let both = [("y", "2"), ("traceparent", "00-a"), ("tracestate", "b"), ("tracestate", "c")];
        assert_eq!(passed_on(&request, &[("y", "2")]), pairs(&both));
        let own = [("traceparent", "00-own")];
        assert_eq!(passed_on(&request, &own), pairs(&own));
        assert_eq!(passed_on(&[("tracestate", "b")], &[]), []);
        let state = [("tracestate", "own")];
        let mixed = [("tracestate", "own"), ("traceparent", "00-a")];
        assert_eq!(passed_on(&request, &state), pairs(&mixed));
        assert_eq!(passed_on(&[], &[("y", "2")]), pairs(&[("y", "2")]));
    }

    #[test]
    fn a_call_without_room_for_the_trace_goes_without_it() {
        let full = "x".repeat(crate::protocol::limits::MAX_METADATA_BYTES - 40);
        let options = [("a", full.as_str())];
        assert_eq!(passed_on(&[("traceparent", &"0".repeat(55))], &options), pairs(&options));
    }
}
