//! The figures that the concurrency controller reports.

use std::fmt;

use super::known::{ENDS_KNOWN, KNOWN_WITHIN_NS};

/// The figures behind a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// λ: calls accepted per second.
    pub rate_per_s: f64,
    /// t_run: the time that a call runs, ns.
    pub run_ns: f64,
    /// t_open: the time that a call is open, without the time its internal calls spend queued, ns.
    pub open_ns: f64,
    /// λ × t_run.
    pub tau: f64,
    /// λ × t_open.
    pub tau_open: f64,
    /// How many calls may run at once.
    pub limit: u32,
    /// The reason for the limit.
    pub why: Why,
}

/// The reason for a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// Too few calls have ended, so the limit is `max`.
    Unknown,
    /// The limit is ⌈τ⌉ plus the headroom.
    Tau {
        /// λ × t_run.
        tau: f64,
        /// ⌈√τ⌉.
        headroom: u32,
    },
    /// Calls have been queued for long, so the limit was raised.
    Raised {
        /// How far the limit is above the one that follows from τ.
        by: u32,
    },
    /// More concurrency was tried and brought no more throughput.
    Saturated {
        /// The limit that would follow from τ.
        wanted: u32,
    },
    /// Handlers compute, and more of them would only share the cores.
    Cores {
        /// How many cores there are.
        cores: u32,
        /// The part of its time for which a running handler computes, from 0 to 1.
        share: f64,
    },
    /// The limit would be `min` or less.
    HeldAtMin,
    /// The limit would be `max` or more.
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
