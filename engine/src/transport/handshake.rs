//! Decides which processes may connect as containers, and which container each of them is.

use crate::ids::{FunctionId, Generation};
use crate::peer::Peer;
use crate::process_tree::ProcessIdentity;
use nightcore_runtime::protocol::control::{Hello, Mode};
use nightcore_runtime::protocol::limits::TOKEN_BYTES;
use nightcore_runtime::protocol::{OLDEST_VERSION, VERSION};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use tokio::sync::Notify;

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

/// A container that has not connected yet.
#[derive(Debug)]
struct Expected {
    identity: Identity,
    /// The process that was started for it; `None` until the launcher has reported it.
    process: Option<ProcessIdentity>,
}

/// The tokens that were issued. Each admits one process, once: the process that was started for it,
/// or a descendant of that process. So a token is of no use to other processes that learn it.
#[derive(Debug, Default)]
pub struct Tokens {
    open: HashMap<[u8; TOKEN_BYTES], Expected>,
    used: HashSet<[u8; TOKEN_BYTES]>,
    /// Notified when a process was started for a token, and when a token was revoked.
    starts: Rc<Notify>,
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
    /// Issues a new token for a container, in hex. `process` is its process, if that is known
    /// already.
    ///
    /// # Errors
    ///
    /// If the system gives no random bytes.
    pub fn issue(
        &mut self,
        identity: Identity,
        process: Option<ProcessIdentity>,
    ) -> std::io::Result<String> {
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
        self.open.insert(token, Expected { identity, process });
        Ok(token.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Revokes the token of this launch, whose process has ended.
    pub fn revoke(&mut self, launch: u64) {
        self.open.retain(|_, expected| expected.identity.launch() != Some(launch));
        self.starts.notify_waiters();
    }

    /// Records the process that was started for a launch.
    pub fn started(&mut self, launch: u64, process: ProcessIdentity) {
        let launches = self.open.values_mut();
        for expected in launches.filter(|expected| expected.identity.launch() == Some(launch)) {
            expected.process = Some(process);
        }
        self.starts.notify_waiters();
    }

    /// Whether it is not known yet which process was started for a token.
    pub(crate) fn awaits_start(&self, token: &[u8; TOKEN_BYTES]) -> bool {
        self.open.get(token).is_some_and(|expected| expected.process.is_none())
    }

    /// Returns what is notified when `awaits_start` may have changed.
    pub(crate) fn starts(&self) -> Rc<Notify> {
        self.starts.clone()
    }

    /// Checks a greeting.
    ///
    /// # Errors
    ///
    /// The reason why the process is refused.
    pub(crate) fn admit(
        &mut self,
        hello: &Hello,
        peer: &Peer,
    ) -> Result<Admitted, HandshakeRefusal> {
        let refuse = |text: String| HandshakeRefusal { text, hopeless: None };
        if self.used.contains(&hello.token) {
            return Err(refuse("this process inherited another worker's token".into()));
        }
        let Some(Expected { identity, process: started }) = self.open.get(&hello.token) else {
            return Err(refuse("the engine does not know this worker's token".into()));
        };
        let identity = identity.clone();
        let Some(started) = *started else {
            return Err(refuse("the engine has not started a process for this token yet".into()));
        };
        let descends = peer.descends_from(started).map_err(|error| {
            refuse(format!("the engine cannot find out which process this is: {error}"))
        })?;
        if !descends {
            let starter = match identity.launched {
                Some(_) => "the engine",
                None => "nightcore attach",
            };
            return Err(refuse(format!(
                "only process {}, which {starter} started for {}, and its descendants may use this \
                 worker's token; process {} is none of them, or its parent has ended",
                started.pid, identity.name, peer.pid
            )));
        }
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
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

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

    /// Returns this process as the peer of a socket.
    fn this_process() -> (Peer, ProcessIdentity) {
        let (socket, _other) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        (Peer::of(&socket).unwrap(), ProcessIdentity::of(std::process::id() as i32).unwrap())
    }

    #[test]
    fn a_token_admits_once() {
        let mut tokens = Tokens::default();
        let (peer, own) = this_process();
        let hello = hello(&tokens.issue(identity(), Some(own)).unwrap());
        assert!(tokens.admit(&hello, &peer).is_ok());
        let text = tokens.admit(&hello, &peer).unwrap_err().text;
        assert!(text.contains("inherited another worker's token"), "{text}");
        let unknown = Hello { token: [7; TOKEN_BYTES], ..hello };
        assert!(tokens.admit(&unknown, &peer).unwrap_err().text.contains("does not know"));
    }

    #[test]
    fn a_token_admits_the_process_that_was_started_for_it_and_its_descendants() {
        let mut tokens = Tokens::default();
        let (peer, own) = this_process();
        let hello = hello(&tokens.issue(identity(), None).unwrap());
        assert!(tokens.awaits_start(&hello.token));
        assert!(tokens.admit(&hello, &peer).unwrap_err().text.contains("not started"));
        let mut child = std::process::Command::new("cat");
        let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let other = ProcessIdentity::of(child.id() as i32).unwrap();
        tokens.started(1, other);
        assert!(!tokens.awaits_start(&hello.token));
        let refusal = tokens.admit(&hello, &peer).unwrap_err();
        assert!(refusal.text.contains("is none of them"), "{}", refusal.text);
        assert!(refusal.hopeless.is_none(), "the process that was started may come yet");
        tokens.started(1, own.lineage().unwrap()[1]);
        assert!(tokens.admit(&hello, &peer).is_ok(), "this process descends from its parent");
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_refusal_for_good_says_how_to_cure_it() {
        let mut tokens = Tokens::default();
        let (peer, own) = this_process();
        let good = hello(&tokens.issue(identity(), Some(own)).unwrap());
        let others = Hello { handlers: vec!["Bar".into(), "Baz".into()], ..good.clone() };
        let refusal = tokens.admit(&others, &peer).unwrap_err();
        assert_eq!(refusal.text, "no handler \"Foo\" in ./foo; it has: Bar, Baz");
        assert!(refusal.hopeless.is_some());
        let newer = Hello { versions: Versions { newest: 9, oldest: 8 }, ..good.clone() };
        let text = tokens.admit(&newer, &peer).unwrap_err().text;
        assert!(text.contains("version 9") && text.contains("upgrade nightcore"), "{text}");
        tokens.revoke(1);
        assert!(tokens.admit(&good, &peer).is_err());
    }
}
