//! Reads `[gateway]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::checked::GatewayConfig;
use super::limits::{
    DEFAULT_LISTEN, DEFAULT_MAX_BODY_BYTES, MAX_MAX_BODY_BYTES, MAX_MEMORY_BYTES, MIN_HELD_BYTES,
};
use super::quote::quoted;
use super::read::{ConfigReport, Table};

/// The value of a key that the engine derives from the machine.
pub(super) const AUTO: &str = "auto";

const KEYS: &[&str] = &["listen", "max_body", "memory"];

pub(super) fn read(table: Option<Table<'_>>, report: &mut ConfigReport<'_>) -> GatewayConfig {
    let mut gateway = GatewayConfig {
        listen: DEFAULT_LISTEN,
        max_body_bytes: DEFAULT_MAX_BODY_BYTES,
        memory_bytes: None,
    };
    let Some(table) = table else { return gateway };
    table.refuse_unknown(KEYS, report);
    if let Some(item) = table.get("listen")
        && let Some(text) = item.string(Some("127.0.0.1:8080"), report)
    {
        match parse_listen(text) {
            Ok(listen) => gateway.listen = listen,
            Err(message) => item.wrong(message, report),
        }
    }
    if let Some(item) = table.get("max_body")
        // The least size is 1, because some users would write 0 for "no limit".
        && let Some(bytes) = item.size(1..=MAX_MAX_BODY_BYTES, report)
    {
        gateway.max_body_bytes = bytes;
    }
    if let Some(item) = table.get("memory")
        && !item.is_string(AUTO)
    {
        gateway.memory_bytes = item.size(MIN_HELD_BYTES..=MAX_MEMORY_BYTES, report);
    }
    gateway
}

/// Parses `IP:PORT` or `localhost:PORT`. Other names are not resolved, because the gateway can only
/// listen on an address of its own machine.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port = port.parse::<u16>().ok();
    if let ("localhost", Some(port)) = (host, port) {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let hint = match (host, port) {
        ("" | "*", Some(port)) => {
            format!(
                "write \"127.0.0.1:{port}\" for this machine only, \
                 \"0.0.0.0:{port}\" for every network"
            )
        }
        (host, Some(port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
            format!("write \"[{host}]:{port}\"")
        }
        _ if text.parse::<IpAddr>().is_ok() => "the port is missing".to_owned(),
        _ => "write an IP address and a port, or \"localhost:8080\"".to_owned(),
    };
    Err(format!("expected an address such as \"127.0.0.1:8080\", found {}; {hint}", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let read = |text| parse_listen(text).unwrap().to_string();
        assert_eq!(read("127.0.0.1:8080"), "127.0.0.1:8080");
        assert_eq!(read("0.0.0.0:0"), "0.0.0.0:0");
        assert_eq!(read("[::1]:80"), "[::1]:80");
        assert_eq!(read("localhost:9000"), "127.0.0.1:9000");
    }

    #[test]
    fn says_what_is_wrong() {
        let hint = |text| parse_listen(text).unwrap_err().split_once("; ").unwrap().1.to_owned();
        let both = r#"write "127.0.0.1:80" for this machine only, "0.0.0.0:80" for every network"#;
        assert_eq!(hint(":80"), both);
        assert_eq!(hint("80"), both);
        assert_eq!(hint("*:80"), both);
        assert_eq!(hint("::1:80"), r#"write "[::1]:80""#);
        assert_eq!(hint("127.0.0.1"), "the port is missing");
        assert_eq!(
            hint("example.com:80"),
            r#"write an IP address and a port, or "localhost:8080""#
        );
        assert_eq!(
            hint("127.0.0.1:99999"),
            r#"write an IP address and a port, or "localhost:8080""#
        );
        assert_eq!(
            parse_listen("").unwrap_err(),
            "expected an address such as \"127.0.0.1:8080\", found \"\"; \
             write an IP address and a port, or \"localhost:8080\""
        );
    }
}
