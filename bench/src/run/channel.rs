//! The two kinds of channel between an engine and its workers, and the default.

/// The kind of channel of all functions of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Named pipes.
    Fifo,
    /// Rings in shared memory.
    Ring,
    /// The engine's default: the configuration names no channel, like most users' configurations.
    Default,
}

impl Channel {
    /// Both kinds of channel, in the order in which they are measured.
    pub const KINDS: [Channel; 2] = [Channel::Fifo, Channel::Ring];

    /// Returns the channel's name in the keys of the report and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Fifo => "fifo",
            Channel::Ring => "ring",
            Channel::Default => "default",
        }
    }

    /// Returns the lines that select the channel in the configuration.
    pub fn config_text(self) -> String {
        match self {
            Channel::Fifo | Channel::Ring => {
                format!("\n[defaults]\nchannel = \"{}\"\n", self.name())
            }
            Channel::Default => String::new(),
        }
    }
}
