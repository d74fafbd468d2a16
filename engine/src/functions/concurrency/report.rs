//! What the controller says of itself.

use std::fmt;

use super::known::{ENDS_KNOWN, KNOWN_WITHIN_NS};

/// The figures behind a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// λ: calls accepted in a second.
    pub rate_per_s: f64,
    /// t_run: the time that a call runs.
    pub run_ns: f64,
    /// t_open: the time that a call is open, less what its internal calls spent queued.
    pub open_ns: f64,
    /// λ × t_run.
    pub tau: f64,
    /// λ × t_open.
    pub tau_open: f64,
    /// How many calls may run at once.
    pub limit: u32,
    /// Where the limit comes from.
    pub why: Why,
}

/// Where a limit comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// Too few calls have ended: the limit is `max`.
    Unknown,
    /// The limit is ⌈τ⌉ and the headroom.
    Tau {
        /// λ × t_run.
        tau: f64,
        /// ⌈√τ⌉.
        headroom: u32,
    },
    /// Calls have been queued for long.
    Raised {
        /// How far the limit is above what τ gives.
        by: u32,
    },
    /// More concurrency was tried and brought no throughput.
    Saturated {
        /// What τ would give.
        wanted: u32,
    },
    /// Handlers compute, and more of them would only share the cores.
    Cores {
        /// How many cores there are.
        cores: u32,
        /// Which part of its time a running handler computes.
        share: f64,
    },
    /// The limit would be less than `min`, or is just that.
    HeldAtMin,
    /// The limit would be more than `max`, or is just that.
    HeldAtMax,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Unknown => {
                let within_s = KNOWN_WITHIN_NS / 1_000_000_000;
                write!(
                    f,
                    "fewer than {ENDS_KNOWN} calls ended in the last {within_s} s: limit is max"
                )
            }
            Why::Tau { tau, headroom } => write!(f, "tau {tau:.1} + headroom {headroom}"),
            Why::Raised { by } => {
                write!(f, "raised by {by}: calls queued longer than 1 ms and longer than one takes")
            }
            Why::Saturated { wanted } => {
                write!(
                    f,
                    "held: more calls at once end no more calls a second \
                     (tau and headroom: {wanted})"
                )
            }
            Why::Cores { cores, share } => {
                let percent = 100.0 * share;
                write!(f, "held: handlers compute {percent:.0} % of their time, on {cores} cores")
            }
            Why::HeldAtMin => f.write_str("held at min"),
            Why::HeldAtMax => f.write_str("held at max"),
        }
    }
}
