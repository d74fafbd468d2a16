//! Tests of the effects of load: concurrency control, load shedding, retries and the quarantine.

mod concurrency;
mod overload;
mod quarantine;
mod retries;
