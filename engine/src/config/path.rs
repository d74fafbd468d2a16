//! Reads routes: the paths of URLs at which functions answer.

use super::limits::MAX_ROUTE_BYTES;
use super::read::{ConfigReport, Item};

/// The paths that the gateway answers itself.
const RESERVED_ROUTES: &[&str] = &["/function", "/healthz", "/readyz"];

pub(super) const ROUTE_EXAMPLE: &str = "/shop";

/// Reads a route: a path that begins with a slash. It is not decoded: the paths of requests are
/// compared with it byte by byte.
pub(super) fn read_route(item: &Item<'_>, report: &mut ConfigReport<'_>) -> Option<String> {
    let text = item.string(Some(ROUTE_EXAMPLE), report)?;
    let route = text.strip_suffix('/').unwrap_or(text);
    let problem = if !text.starts_with('/') {
        "a route begins with a slash, as in \"/shop\""
    } else if route.len() > MAX_ROUTE_BYTES {
        &format!("a route has at most {MAX_ROUTE_BYTES} bytes")
    } else if !route.bytes().all(is_of_path) {
        "a route is the path of a URL: other characters than letters, digits and \
         -._~!$&'()*+,;=:@ are written as %20"
    } else if text.contains("//") {
        "a route has no empty part"
    } else if RESERVED_ROUTES
        .iter()
        .any(|r| route.strip_prefix(r).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    {
        "/function, /healthz and /readyz are the gateway's own"
    } else {
        return Some(route.to_owned());
    };
    item.wrong(problem, report);
    None
}

/// Whether a byte may stand in the path of a URL.
pub(super) fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}
