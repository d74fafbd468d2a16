//! Who may connect as a container, and as which one.

use nightcore_runtime::protocol::control::{Control, Mode};
use nightcore_runtime::protocol::limits::TOKEN_BYTES;
use nightcore_runtime::protocol::{OLDEST_VERSION, VERSION};
use std::collections::{HashMap, HashSet};

use crate::dispatch::{FunctionId, Generation};

/// Which container a token admits.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The launch, as the launcher numbers them; `None` for one attached by hand.
    pub launch: Option<u64>,
    /// The function it runs.
    pub function: FunctionId,
    /// Of which generation of the function's containers it is; means nothing for one attached by hand.
    pub generation: Generation,
    /// The function's name.
    pub name: String,
    /// The program, as the configuration writes it.
    pub program: String,
}

/// The tokens that were given out. Each admits one process, once.
#[derive(Debug, Default)]
pub struct Tokens {
    open: HashMap<[u8; TOKEN_BYTES], Identity>,
    used: HashSet<[u8; TOKEN_BYTES]>,
}

/// Why a process was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// For the person who reads the process's output.
    pub(super) text: String,
    /// The container that it would have been, if it can never be one: starting it again would not help.
    pub(super) hopeless: Option<Identity>,
}

/// What a greeting that was in order came to.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) identity: Identity,
    pub(super) mode: Mode,
    /// The version of the protocol that is spoken from now on.
    pub(super) version: u16,
}

impl Tokens {
    /// A new token for a container, in hex.
    pub fn issue(&mut self, identity: Identity) -> std::io::Result<String> {
        let mut token = [0; TOKEN_BYTES];
        let mut filled = 0;
        while filled < token.len() {
            // SAFETY: the pointer and the length describe the unfilled rest of `token`.
            let got = unsafe {
                libc::getrandom(token[filled..].as_mut_ptr().cast(), token.len() - filled, 0)
            };
            if got < 0 {
                return Err(std::io::Error::last_os_error());
            }
            filled += got as usize;
        }
        self.open.insert(token, identity);
        Ok(token.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The token of this launch is no longer good: its process has ended.
    pub fn revoke(&mut self, launch: u64) {
        self.open.retain(|_, identity| identity.launch != Some(launch));
    }

    /// Checks a greeting; `names` are the handlers that the process has.
    pub(super) fn admit(&mut self, hello: &Control, names: &[&str]) -> Result<Admitted, Refusal> {
        let refuse = |text: String| Refusal { text, hopeless: None };
        if self.used.contains(&hello.token) {
            return Err(refuse("this process inherited another worker's token".into()));
        }
        let Some(identity) = self.open.get(&hello.token).cloned() else {
            return Err(refuse("the engine does not know this worker's token".into()));
        };
        let hopeless = |text: String| Refusal { text, hopeless: Some(identity.clone()) };
        if hello.version < OLDEST_VERSION || hello.oldest_version > VERSION {
            return Err(hopeless(version_text(hello)));
        }
        let mode = match hello.mode {
            m if m == Mode::Threads as u16 => Mode::Threads,
            m if m == Mode::EventLoop as u16 => Mode::EventLoop,
            other => return Err(hopeless(format!("unknown mode of worker {other}"))),
        };
        if !names.contains(&identity.name.as_str()) {
            let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(hopeless(format!(
                "no handler \"{}\" in {}; it has: {has}",
                identity.name, identity.program
            )));
        }
        self.open.remove(&hello.token);
        self.used.insert(hello.token);
        Ok(Admitted { identity, mode, version: hello.version.min(VERSION) })
    }
}

fn version_text(hello: &Control) -> String {
    let (side, age) = if hello.version < OLDEST_VERSION {
        ("the worker's library", "older")
    } else {
        ("nightcore", "newer")
    };
    format!(
        "this worker speaks version {} of the protocol, the engine version {VERSION}; the worker's library is {age}: \
         upgrade {side}",
        hello.version
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightcore_runtime::protocol::control::ControlKind;

    fn hello(token: &str) -> Control {
        let mut bytes = [0; TOKEN_BYTES];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&token[i * 2..i * 2 + 2], 16).unwrap();
        }
        Control {
            token: bytes,
            version: VERSION,
            oldest_version: OLDEST_VERSION,
            ..Control::new(ControlKind::Hello)
        }
    }

    fn identity() -> Identity {
        Identity {
            launch: Some(1),
            function: 1,
            generation: 1,
            name: "Foo".into(),
            program: "./foo".into(),
        }
    }

    #[test]
    fn a_token_admits_once() {
        let mut tokens = Tokens::default();
        let hello = hello(&tokens.issue(identity()).unwrap());
        assert!(tokens.admit(&hello, &["Foo"]).is_ok());
        assert!(
            tokens
                .admit(&hello, &["Foo"])
                .unwrap_err()
                .text
                .contains("inherited another worker's token")
        );
        let unknown = Control { token: [7; TOKEN_BYTES], ..hello };
        assert!(tokens.admit(&unknown, &["Foo"]).unwrap_err().text.contains("does not know"));
    }

    #[test]
    fn what_can_never_work_is_told_with_its_cure() {
        let mut tokens = Tokens::default();
        let good = hello(&tokens.issue(identity()).unwrap());
        let refusal = tokens.admit(&good, &["Bar", "Baz"]).unwrap_err();
        assert_eq!(refusal.text, "no handler \"Foo\" in ./foo; it has: Bar, Baz");
        assert!(refusal.hopeless.is_some());
        let newer = Control { version: 9, oldest_version: 8, ..good };
        let text = tokens.admit(&newer, &["Foo"]).unwrap_err().text;
        assert!(text.contains("version 9") && text.contains("upgrade nightcore"), "{text}");
        tokens.revoke(1);
        assert!(tokens.admit(&good, &["Foo"]).is_err());
    }
}
