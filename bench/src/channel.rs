//! What an engine and its workers talk over: the two kinds of channel, and the one that is taken when none is named.

/// A kind of channel, which all functions of an engine have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Named pipes.
    Fifo,
    /// Rings in shared memory.
    Ring,
    /// The config names none, as most users' do not.
    Default,
}

impl Channel {
    /// Both kinds, in the order they are measured.
    pub const KINDS: [Channel; 2] = [Channel::Fifo, Channel::Ring];

    /// Its name in the keys of the report, and in the config.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Fifo => "fifo",
            Channel::Ring => "ring",
            Channel::Default => "default",
        }
    }

    /// What the config says of it.
    pub fn config_text(self) -> String {
        match self {
            Channel::Fifo | Channel::Ring => {
                format!("\n[defaults]\nchannel = \"{}\"\n", self.name())
            }
            Channel::Default => String::new(),
        }
    }
}
