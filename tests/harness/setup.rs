//! Describes an engine for a test: the text of its nightcore.toml, and the way it is started.

use crate::engine::Engine;
use crate::home::Home;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// The variable that names the channel of functions that do not set one: `ring`, `fifo` or
/// [`RINGS_ONLY`]. It lets whole suites run over each channel.
const CHANNEL: &str = "NIGHTCORE_TEST_CHANNEL";
/// Rings between the engine and its workers, without direct channels.
pub const RINGS_ONLY: &str = "rings-only";

/// Returns the channel that the suite runs over, if the environment names one.
pub fn suite_channel() -> Option<String> {
    std::env::var(CHANNEL).ok()
}

/// An engine that is to be started.
#[derive(Clone, Default)]
pub struct Setup {
    gateway: String,
    admin: Option<String>,
    channel: Option<String>,
    functions: String,
}

/// Returns the text as a TOML string in which no variable is replaced. A JSON string is also a TOML
/// string.
fn quoted(text: &str) -> String {
    serde_json::to_string(&text.replace("${", "$${")).expect("text is JSON")
}

impl Setup {
    /// Creates a setup with a free port and no functions.
    pub fn new() -> Setup {
        Setup { channel: suite_channel(), ..Setup::default() }
    }

    /// Sets the channel of all functions, whatever the suite runs over. [`RINGS_ONLY`] is also
    /// accepted.
    pub fn channel(mut self, kind: &str) -> Setup {
        self.channel = Some(kind.to_owned());
        self
    }

    /// Adds lines to `[gateway]`.
    pub fn gateway(mut self, lines: &str) -> Setup {
        writeln!(self.gateway, "{lines}").expect("a String takes all");
        self
    }

    /// Serves metrics at a free port.
    pub fn admin(self) -> Setup {
        self.admin_at("127.0.0.1:0")
    }

    /// Serves metrics at this address.
    pub fn admin_at(mut self, address: &str) -> Setup {
        self.admin = Some(address.to_owned());
        self
    }

    /// Adds a function that is served by a program without arguments; `lines` are further lines of
    /// its table.
    pub fn function(self, name: &str, program: &Path, lines: &str) -> Setup {
        self.command(name, &[program.to_str().expect("paths are text")], lines)
    }

    /// Adds functions that are served by one program and have no other settings.
    pub fn functions(mut self, names: &[&str], program: &Path) -> Setup {
        for name in names {
            self = self.function(name, program, "");
        }
        self
    }

    /// Adds a function with a complete command.
    pub fn command(mut self, name: &str, command: &[&str], lines: &str) -> Setup {
        let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        let words = words.join(", ");
        write!(self.functions, "\n[functions.{name}]\ncommand = [{words}]\n{lines}\n")
            .expect("a String takes all");
        self
    }

    /// Returns the text of the nightcore.toml.
    pub fn toml(&self) -> String {
        let listen =
            if self.gateway.contains("listen") { "" } else { "listen = \"127.0.0.1:0\"\n" };
        let defaults = match self.channel.as_deref() {
            None => String::new(),
            Some(RINGS_ONLY) => "[defaults]\nchannel = \"ring\"\ndirect = false\n".to_owned(),
            Some(kind) => format!("[defaults]\nchannel = \"{kind}\"\n"),
        };
        let admin = self.admin.iter().map(|address| format!("[admin]\nlisten = \"{address}\"\n"));
        let admin = admin.collect::<String>();
        format!("[gateway]\n{listen}{}{admin}{defaults}{}", self.gateway, self.functions)
    }

    /// Creates a folder with the configuration, in which engines can be started one after the
    /// other.
    pub fn home(&self) -> Arc<Home> {
        Home::new(&self.toml())
    }

    /// Starts an engine. Panics unless all its functions become ready.
    #[track_caller]
    pub fn start(&self) -> Engine {
        self.home().start()
    }
}
