//! Reads `nightcore.toml`: returns checked types, or errors that point at their lines.
//!
//! [`Config::load`] and [`Config::parse`] check everything that can be known before a process is
//! started, and report all mistakes of a file at once. A [`Config`] needs no further checks.

mod admin;
mod bounded;
mod checked;
mod command;
mod environment;
mod error;
mod executable;
mod expansion;
mod function;
mod gateway;
mod keys;
mod limits;
mod load;
mod nearest;
mod path;
mod print;
mod process;
mod quote;
mod read;
mod script;
mod set;
mod setting;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod toml_string;
mod unexpanded;
mod units;
mod variables;

pub use checked::{AdminConfig, AsWritten, Config, FunctionConfig, GatewayConfig, Purpose};
pub use error::{ConfigError, ConfigErrors};
pub use function::reference;
pub use keys::{Build, InheritedVariables, Keys, Limits, QueueBounds, Recycle, WorkerBounds};
pub use limits::*;
pub use setting::Setting;
pub use units::{format_duration, format_size, parse_duration};
