//! Decides which processes may connect as containers, and which container each of them is.

use crate::ids::{FunctionId, Generation};
use nightcore_runtime::protocol::control::{Hello, Mode};
use nightcore_runtime::protocol::limits::TOKEN_BYTES;
use nightcore_runtime::protocol::{OLDEST_VERSION, VERSION};
use std::collections::{HashMap, HashSet};

/// How a container was launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchIdentity {
    /// The number that the launcher gave to the launch.
    pub launch: u64,
    /// The generation that the container belongs to.
    pub generation: Generation,
}

/// The container that a token admits.
#[derive(Clone, Debug)]
pub struct Identity {
    /// How it was launched; `None` if it was attached by hand.
    pub launched: Option<LaunchIdentity>,
    /// The function that it runs.
    pub function: FunctionId,
    /// The function's name.
    pub name: String,
    /// The program, as the configuration writes it.
    pub program: String,
}

impl Identity {
    /// The number of its launch; `None` if it was attached by hand.
    pub fn launch(&self) -> Option<u64> {
        self.launched.map(|launched| launched.launch)
    }
}

/// The tokens that were issued. Each admits one process, once.
#[derive(Debug, Default)]
pub struct Tokens {
    open: HashMap<[u8; TOKEN_BYTES], Identity>,
    used: HashSet<[u8; TOKEN_BYTES]>,
}

/// The refusal of a process.
#[derive(Debug)]
pub(crate) struct HandshakeRefusal {
    /// The reason, for the user who reads the process's output.
    pub(crate) text: String,
    /// The container that the process would have been, if restarting it cannot help.
    pub(crate) hopeless: Option<Identity>,
}

/// The outcome of a valid greeting.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    pub(crate) mode: Mode,
    /// The version of the protocol that both sides speak from now on.
    pub(crate) version: u16,
}

impl Tokens {
    /// Issues a new token for a container, in hex.
    ///
    /// # Errors
    ///
    /// If the system gives no random bytes.
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

    /// Revokes the token of this launch, whose process has ended.
    pub fn revoke(&mut self, launch: u64) {
        self.open.retain(|_, identity| identity.launch() != Some(launch));
    }

    /// Checks a greeting.
    ///
    /// # Errors
    ///
    /// The reason why the process is refused.
    pub(crate) fn admit(&mut self, hello: &Hello) -> Result<Admitted, HandshakeRefusal> {
        let refuse = |text: String| HandshakeRefusal { text, hopeless: None };
        if self.used.contains(&hello.token) {
            return Err(refuse("this process inherited another worker's token".into()));
        }
        let Some(identity) = self.open.get(&hello.token).cloned() else {
            return Err(refuse("the engine does not know this worker's token".into()));
        };
        let hopeless = |text: String| HandshakeRefusal { text, hopeless: Some(identity.clone()) };
        if hello.versions.newest < OLDEST_VERSION || hello.versions.oldest > VERSION {
            return Err(hopeless(version_text(hello)));
        }
        let mode = match hello.mode {
            Ok(mode) => mode,
            Err(other) => return Err(hopeless(format!("unknown mode of worker {other}"))),
        };
        if !hello.handlers.contains(&identity.name) {
            let handlers = &hello.handlers;
            let has = if handlers.is_empty() { "none".to_owned() } else { handlers.join(", ") };
            return Err(hopeless(format!(
                "no handler \"{}\" in {}; it has: {has}",
                identity.name, identity.program
            )));
        }
        self.open.remove(&hello.token);
        self.used.insert(hello.token);
        Ok(Admitted { identity, mode, version: hello.versions.newest.min(VERSION) })
    }
}

fn version_text(hello: &Hello) -> String {
    let (side, age) = if hello.versions.newest < OLDEST_VERSION {
        ("the worker's library", "older")
    } else {
        ("nightcore", "newer")
    };
    format!(
        "this worker speaks version {} of the protocol, the engine version {VERSION}; \
         the worker's library is {age}: upgrade {side}",
        hello.versions.newest
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightcore_runtime::protocol::control::Versions;

    fn hello(token: &str) -> Hello {
        let mut bytes = [0; TOKEN_BYTES];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&token[i * 2..i * 2 + 2], 16).unwrap();
        }
        Hello {
            mode: Ok(Mode::Threads),
            versions: Versions::OURS,
            token: bytes,
            library: "a library".into(),
            handlers: vec!["Foo".into()],
        }
    }

    fn identity() -> Identity {
        Identity {
            launched: Some(LaunchIdentity { launch: 1, generation: Generation::FIRST }),
            function: FunctionId::new(1).unwrap(),
            name: "Foo".into(),
            program: "./foo".into(),
        }
    }

    #[test]
    fn a_token_admits_once() {
        let mut tokens = Tokens::default();
        let hello = hello(&tokens.issue(identity()).unwrap());
        assert!(tokens.admit(&hello).is_ok());
        assert!(
            tokens.admit(&hello).unwrap_err().text.contains("inherited another worker's token")
        );
        let unknown = Hello { token: [7; TOKEN_BYTES], ..hello };
        assert!(tokens.admit(&unknown).unwrap_err().text.contains("does not know"));
    }

    #[test]
    fn a_refusal_for_good_says_how_to_cure_it() {
        let mut tokens = Tokens::default();
        let good = hello(&tokens.issue(identity()).unwrap());
        let others = Hello { handlers: vec!["Bar".into(), "Baz".into()], ..good.clone() };
        let refusal = tokens.admit(&others).unwrap_err();
        assert_eq!(refusal.text, "no handler \"Foo\" in ./foo; it has: Bar, Baz");
        assert!(refusal.hopeless.is_some());
        let newer = Hello { versions: Versions { newest: 9, oldest: 8 }, ..good.clone() };
        let text = tokens.admit(&newer).unwrap_err().text;
        assert!(text.contains("version 9") && text.contains("upgrade nightcore"), "{text}");
        tokens.revoke(1);
        assert!(tokens.admit(&good).is_err());
    }
}
