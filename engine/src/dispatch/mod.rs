//! Which worker runs which call, and when: pure state, time is an argument, no I/O.

pub mod concurrency;
