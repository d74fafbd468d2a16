//! The named pipe through which the last function of each call reports that it runs. With a pipe, a
//! full disk does not matter.

use crate::ledger::Ledger;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The capacity of the pipe, for reports that arrive while this program does not run.
const PIPE_BYTES: i32 = 1 << 20;
const PAUSE_MS: u16 = 50;

/// Reads the reports until it is stopped.
pub struct Ran {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Ran {
    /// Makes the pipe and begins to read.
    pub fn start(path: &Path, ledger: Arc<Mutex<Ledger>>) -> nix::Result<Ran> {
        nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // The pipe is also opened for writing, so that reading never reaches an end.
        let pipe = open(path, OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
        fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES))?;
        let stop = Arc::new(AtomicBool::new(false));
        let heard = stop.clone();
        let reader = std::thread::spawn(move || read(&pipe, &heard, &ledger));
        Ok(Ran { stop, reader })
    }

    /// Reads the remaining reports, and ends.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("the reader does not panic");
    }
}

fn read(pipe: &OwnedFd, stop: &AtomicBool, ledger: &Mutex<Ledger>) {
    let mut bytes = vec![0; 64 * 1024];
    let mut part = Vec::new();
    loop {
        match nix::unistd::read(pipe, &mut bytes) {
            Ok(read) => part.extend_from_slice(&bytes[..read]),
            Err(nix::Error::EAGAIN) if stop.load(Ordering::Relaxed) => return,
            Err(_) => {
                let _ = poll(
                    &mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)],
                    PollTimeout::from(PAUSE_MS),
                );
                continue;
            }
        }
        let whole = part.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&part[..whole]).into_owned();
        let mut ledger = ledger.lock().expect("nobody panics with it");
        for line in text.lines() {
            let (number, id) = line.split_once('.').unwrap_or(("0", line));
            match (id.parse(), number.parse()) {
                (Ok(id), Ok(number)) => ledger.ran(id, number),
                _ => ledger.find(
                    crate::ledger::Finding::Wrong,
                    &format!("a call with the id {line:?} ran"),
                ),
            }
        }
        drop(ledger);
        part.drain(..whole);
    }
}
