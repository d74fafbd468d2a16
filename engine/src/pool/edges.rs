//! Counts how often a container calls each function through the engine.

use crate::ids::FunctionId;

/// An edge is hot when it has had this many calls within [`WITHIN_NS`]. A lease costs about a
/// hundred microseconds, and pays for an edge with so many calls.
const HOT_CALLS: u32 = 4;
/// The time within which a hot edge has its calls, ns.
const WITHIN_NS: u64 = 5_000_000;

#[derive(Debug)]
struct Edge {
    callee: FunctionId,
    calls: u32,
    since: u64,
}

/// The calls of a container through the engine, by callee. Direct calls are not counted here.
#[derive(Debug, Default)]
pub struct Edges(Vec<Edge>);

impl Edges {
    /// Counts a call. Returns true if the edge is hot; its count then starts again.
    #[inline]
    pub fn count(&mut self, now: u64, callee: FunctionId) -> bool {
        let Some(edge) = self.0.iter_mut().find(|edge| edge.callee == callee) else {
            self.0.push(Edge { callee, calls: 1, since: now });
            return false;
        };
        if now.saturating_sub(edge.since) > WITHIN_NS {
            (edge.calls, edge.since) = (0, now);
        }
        edge.calls += 1;
        let is_hot = edge.calls >= HOT_CALLS;
        if is_hot {
            (edge.calls, edge.since) = (0, now);
        }
        is_hot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_hot_when_its_calls_come_soon_after_each_other() {
        let mut edges = Edges::default();
        let (one, other) = (FunctionId::new(1).unwrap(), FunctionId::new(2).unwrap());
        for now in 0..u64::from(HOT_CALLS) - 1 {
            assert!(!edges.count(now, one) && !edges.count(now, other));
        }
        assert!(edges.count(10, one), "the edge is hot");
        assert!(!edges.count(10, one), "the count starts again");
        for call in 1..10 {
            assert!(!edges.count(call * (WITHIN_NS + 1), other), "they are too far apart");
        }
    }
}
