//! What follows from load: concurrency, load shedding, retries and the quarantine.

mod concurrency;
mod overload;
mod quarantine;
mod retries;
