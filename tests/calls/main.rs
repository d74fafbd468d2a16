//! Calls, as callers and handlers see them: in every language, over every kind of channel.

mod cancellation;
mod deadlines;
mod deadlocks;
mod event_loop;
mod hello;
mod languages;
mod limits;
mod nested;
mod payloads;
mod structs;
mod threads;
mod waiting;
mod wire;
