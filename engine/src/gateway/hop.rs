//! Headers that concern one connection, not the request or the answer.

use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName};

/// The headers that concern only the connection on which they came: those that always do, and those
/// that its `Connection` header names.
pub(super) struct ConnectionHeaders {
    /// Sorted for binary search: a client may name thousands.
    named: Vec<HeaderName>,
}

impl ConnectionHeaders {
    pub(super) fn of(headers: &HeaderMap) -> ConnectionHeaders {
        let lines = headers.get_all(CONNECTION).iter();
        ConnectionHeaders::named_in(lines.map(|line| line.as_bytes()))
    }

    /// Returns the headers named by these values of `Connection`, and those that always concern the
    /// connection.
    pub(super) fn named_in<'a>(lines: impl Iterator<Item = &'a [u8]>) -> ConnectionHeaders {
        let tokens = lines.flat_map(|line| line.split(|byte| *byte == b','));
        let names = tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok());
        // `Host` is for everyone who reads the request, whatever a client says.
        let mut named: Vec<_> = names.filter(|name| !always(name) && name != HOST).collect();
        named.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        ConnectionHeaders { named }
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        let is_named =
            || self.named.binary_search_by(|named| named.as_str().cmp(name.as_str())).is_ok();
        always(name) || !self.named.is_empty() && is_named()
    }
}

fn always(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "close"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_named_by_connection_are_of_the_connection() {
        let lines = [&b"close, X-One"[..], b" x-two ,,\xff, host"];
        let headers = ConnectionHeaders::named_in(lines.into_iter());
        let contains = |name: &'static str| headers.contains(&HeaderName::from_static(name));
        assert!(["x-one", "x-two", "connection", "te", "upgrade"].into_iter().all(contains));
        assert!(!["host", "x-three", "accept"].into_iter().any(contains));
    }
}
