//! The segments of a call's latency, as the engine reports them: queued, woken, ran, returned.

use anyhow::Result;
use serde_json::Value;

use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::settings::Placement;

/// The segments, in the order in which a call passes through them.
pub const SEGMENTS: [&str; 4] = ["queued", "woken", "ran", "returned"];
const QUANTILES: [&str; 2] = ["p50_us", "p99_us"];

/// Returns the key of one segment's p50.
pub fn p50_key(channel: Channel, placement: Placement, segment: &str) -> String {
    key(channel, placement, segment, QUANTILES[0])
}

fn key(channel: Channel, placement: Placement, segment: &str, quantile: &str) -> String {
    format!("segments.{}.{}.{segment}.{quantile}", channel.name(), placement.name())
}

/// Adds the segments that `nightcore ps --json` reports for a function's calls so far, if the
/// command reports any.
pub fn measure(
    engine: &Engine,
    function: &str,
    channel: Channel,
    placement: Placement,
    report: &mut Report,
) -> Result<()> {
    let status = engine.status()?;
    for segment in SEGMENTS {
        for quantile in QUANTILES {
            if let Some(us) = read(&status, function, segment, quantile) {
                report.add_detail(&key(channel, placement, segment, quantile), us);
            }
        }
    }
    Ok(())
}

fn read(status: &Value, function: &str, segment: &str, quantile: &str) -> Option<f64> {
    let functions = status.get("functions")?.as_array()?;
    let found =
        functions.iter().find(|state| state.get("name").is_some_and(|name| name == function))?;
    found.get("segments")?.get(segment)?.get(quantile)?.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_reported_segments_are_read() {
        let status = json!({"functions": [
            {"name": "Caller"},
            {"name": "Echo", "segments": {"queued": {"p50_us": 0.5, "p99_us": null}}},
        ]});
        assert_eq!(read(&status, "Echo", "queued", "p50_us"), Some(0.5));
        assert_eq!(read(&status, "Echo", "queued", "p99_us"), None);
        assert_eq!(read(&status, "Echo", "ran", "p50_us"), None);
        assert_eq!(read(&status, "Caller", "queued", "p50_us"), None);
    }
}
