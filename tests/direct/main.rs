//! Direct channels between containers: what they promise, what they cost, and how they end.

mod calls;
mod event_loops;
mod hostile;
mod leases;
mod quiet;
