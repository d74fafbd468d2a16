//! The keys of a function. Each is described in one row of [`keys!`] below.
//!
//! From its row follow its field in [`Keys`], how it is read from `[functions.NAME]` and from
//! `[defaults]`, what holds if it is missing, how `check --print` writes it, whether a reload
//! replaces the processes of the function, and its line in docs/configuration.md. How values of one
//! type are read and written is a [`Kind`].

mod build;
mod inherited;
mod kind;
mod limits;
mod optional;
mod queue;
mod recycle;
mod scalar;
mod workers;

pub use build::Build;
pub use inherited::InheritedVariables;
pub use limits::Limits;
pub use queue::QueueBounds;
pub use recycle::Recycle;
pub use workers::WorkerBounds;

use super::limits::{
    DEFAULT_CHANNEL, DEFAULT_GRACE, DEFAULT_MAX_DEPTH, DEFAULT_PLACEMENT, DEFAULT_PROCESSES,
    DEFAULT_QUARANTINE_AFTER, DEFAULT_RETRIES, DEFAULT_START_TIMEOUT, DEFAULT_STOP_TIMEOUT,
    DEFAULT_TIMEOUT, MAX_DURATION, MAX_MAX_DEPTH, MAX_PROCESSES, MAX_QUARANTINE_AFTER, MAX_RETRIES,
    MIN_START_TIMEOUT, MIN_TIMEOUT,
};
use super::read::{ConfigReport, Item};
use build::BuildKind;
use inherited::InheritedKind;
use kind::{Kind, Value};
use limits::LimitsKind;
use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use optional::{OptionalFlag, ReadyPath};
use queue::QueueKind;
use recycle::RecycleKind;
use scalar::{Choice, Flag, Integer, Time, Timeout};
use std::fmt;
use std::time::Duration;
use workers::WorkersKind;

/// Whether a process that runs must be replaced when the value of a key changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The new value holds for the processes that run.
    Adjusts,
    /// New processes are started, and the old ones end.
    Replaces,
}

/// Declares the keys: `"what it says" name: Type = kind => Change;`.
macro_rules! keys {
    ($($note:literal $key:ident: $type:ty = $kind:expr => $change:ident;)*) => {
        /// The values of a function's keys.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Keys { $(#[doc = $note] pub $key: $type,)* }

        /// The keys that one table sets.
        #[derive(Default)]
        pub(super) struct KeysSet { $($key: Option<<$type as Value>::Set>,)* }

        /// The names of all keys.
        pub(super) const NAMES: &[&str] = &[$(stringify!($key)),*];

        impl KeysSet {
            /// Reads the value of a key. Returns false if there is no such key.
            pub(super) fn read(&mut self, item: &Item<'_>, report: &mut ConfigReport<'_>) -> bool {
                match item.name() {
                    $(stringify!($key) => {
                        self.$key = Kind::<$type>::read(&$kind, item, report);
                    })*
                    _ => return false,
                }
                true
            }

            /// Returns the values that hold: those of a function, else those of `[defaults]`, else
            /// those of the keys themselves.
            pub(super) fn over(&self, defaults: &KeysSet, report: &mut ConfigReport<'_>) -> Keys {
                Keys {
                    $($key: {
                        let set = <$type as Value>::over(&self.$key, &defaults.$key);
                        Kind::<$type>::value(&$kind, set, report)
                    },)*
                }
            }
        }

        impl Keys {
            /// Writes all keys with their values as TOML.
            pub(super) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
                $(Kind::<$type>::write(&$kind, stringify!($key), &self.$key, out)?;)*
                Ok(())
            }

            /// Whether a process that was started with these values runs on with the others.
            pub fn keeps_processes(&self, other: &Keys) -> bool {
                $((Change::$change == Change::Adjusts
                    || Kind::<$type>::is_same(&$kind, &self.$key, &other.$key)) &&)* true
            }

            /// Returns a line of TOML for each key, which sets it to its default or shows an
            /// example, and what the key says.
            pub fn reference() -> Vec<(String, &'static str)> {
                vec![$((Kind::<$type>::example(&$kind, stringify!($key)), $note)),*]
            }
        }
    };
}

// In the order in which `check --print` and docs/configuration.md show them.
keys! {
    "variables of the engine that its processes get besides a few harmless ones; \"*\": all"
    env_inherit: InheritedVariables = InheritedKind => Replaces;

    "how many processes run it"
    processes: u32 = Integer { range: 1..=MAX_PROCESSES, default: DEFAULT_PROCESSES } => Replaces;

    "workers over all its processes; max: see below"
    workers: WorkerBounds = WorkersKind => Adjusts;

    "a call's deadline"
    timeout: Duration =
        Timeout(Time { range: MIN_TIMEOUT..=MAX_DURATION, default: DEFAULT_TIMEOUT }) => Adjusts;

    "a process is replaced if its handler runs this long past the deadline"
    grace: Duration = Time { range: Duration::ZERO..=MAX_DURATION, default: DEFAULT_GRACE }
        => Adjusts;

    "a process that is not ready by then is ended and restarted"
    start_timeout: Duration =
        Time { range: MIN_START_TIMEOUT..=MAX_DURATION, default: DEFAULT_START_TIMEOUT }
        => Replaces;

    "the time for a graceful shutdown of a process, before SIGTERM"
    stop_timeout: Duration =
        Time { range: Duration::ZERO..=MAX_DURATION, default: DEFAULT_STOP_TIMEOUT }
        => Replaces;

    "a process gets calls only after it has answered a GET of this path"
    ready_path: Option<String> = ReadyPath => Replaces;

    "calls that may wait; more are refused as OVERLOADED"
    queue: QueueBounds = QueueKind => Adjusts;

    "the deepest nesting of calls"
    max_depth: u32 = Integer { range: 1..=MAX_MAX_DEPTH, default: DEFAULT_MAX_DEPTH } => Adjusts;

    "false: only functions may call it"
    external: bool = Flag { default: true } => Adjusts;

    "or \"fifo\": messages go by rings in shared memory, or by named pipes"
    channel: ChannelKind = Choice {
        words: [("ring", ChannelKind::Ring), ("fifo", ChannelKind::Fifo)],
        default: DEFAULT_CHANNEL,
    } => Replaces;

    "or \"free\": apart keeps workers that spin off the engine's core"
    placement: Placement = Choice {
        words: [("apart", Placement::Apart), ("free", Placement::Free)],
        default: DEFAULT_PLACEMENT,
    } => Replaces;

    "false: all calls from and to it go through the engine"
    direct: bool = Flag { default: true } => Adjusts;

    "true: restarted when its files change"
    watch: bool = Flag { default: false } => Adjusts;

    "makes the program: `nightcore dev` runs it at the start and when sources change"
    build: Option<Build> = BuildKind => Adjusts;

    "for each process with its children: \
     { memory = \"512MiB\", cpus = 1.5, open_files = 1024, tasks = 64 }"
    limits: Limits = LimitsKind => Replaces;

    "replaces a process without losing a call: { calls = 10000, memory = \"300MiB\", age = \"1d\" }"
    recycle: Recycle = RecycleKind => Adjusts;

    "3: an input is refused after three processes died while they ran it; 0: never"
    quarantine_after: u32 =
        Integer { range: 0..=MAX_QUARANTINE_AFTER, default: DEFAULT_QUARANTINE_AFTER } => Adjusts;

    "how often an internal call is retried if the process dies before the handler begins"
    retries: u32 = Integer { range: 0..=MAX_RETRIES, default: DEFAULT_RETRIES } => Adjusts;

    "true: retried also if the handler has begun"
    idempotent: bool = Flag { default: false } => Adjusts;

    "true: callers see texts of exceptions; `nightcore dev` sets it"
    expose_errors: Option<bool> = OptionalFlag => Replaces;
}
