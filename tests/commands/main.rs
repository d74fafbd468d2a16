//! Tests of the command line: what each command prints, accepts and refuses, and its exit codes.

mod bench;
mod check;
mod command_line;
mod logs;
mod metrics;
mod output;
mod paths;
mod refusals;
mod settings;
mod terminal;
