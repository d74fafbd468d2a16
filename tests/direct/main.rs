//! Tests of direct channels between containers: their guarantees, their cost, and their end.

mod calls;
mod event_loops;
mod hostile;
mod leases;
mod quiet;
