//! The processes of functions: how they start, change, die and stop, and the launcher's own.

mod build;
mod deaths;
mod directory;
mod inherit;
mod kills;
mod launcher;
mod leftovers;
mod recycle;
mod reload;
mod restart;
mod shutdown;
mod starts;
