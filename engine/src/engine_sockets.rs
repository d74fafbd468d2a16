//! The engine's directory and the sockets in it.
//!
//! Programs that tidy up folders such as `/tmp` may remove them. The engine makes them again, so
//! that containers and the `nightcore` command find it.

use crate::directory::{Directory, identity_at};
use crate::engine_log::log;
use crate::timer::Timer;
use anyhow::{Context, Result, bail};
use nightcore_runtime::clock::now_ns;
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinHandle};

/// The pause between two checks whether all of them exist. They are also checked before a container
/// starts.
const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// Binds a socket at a path, and serves it in a task of its own.
type Serve = Box<dyn Fn(&Path) -> io::Result<JoinHandle<()>>>;

/// A socket that is served.
struct ServedSocket {
    path: PathBuf,
    serve: Serve,
    /// The socket's device and inode.
    identity: (u64, u64),
    task: AbortHandle,
}

/// The engine's directory and the sockets in it.
pub struct EngineSockets {
    directory: Directory,
    sockets: Vec<ServedSocket>,
    /// Whether the last attempt to make them again failed.
    is_broken: bool,
}

impl EngineSockets {
    /// Takes the directory of an engine, which has no sockets yet.
    pub fn new(directory: Directory) -> EngineSockets {
        EngineSockets { directory, sockets: Vec::new(), is_broken: false }
    }

    /// Serves a socket in the directory.
    ///
    /// # Errors
    ///
    /// When it cannot be bound.
    pub fn open(
        &mut self,
        path: PathBuf,
        serve: impl Fn(&Path) -> io::Result<JoinHandle<()>> + 'static,
    ) -> Result<()> {
        let (identity, task) = bind(&path, &serve)?;
        self.sockets.push(ServedSocket { path, serve: Box::new(serve), identity, task });
        Ok(())
    }

    /// Makes missing sockets again, and logs the first of several failures in a row.
    pub fn check(&mut self) {
        let restored = self.restore();
        if let Err(error) = &restored
            && !self.is_broken
        {
            log(&format!(
                "no container can be started, and no command finds this engine: {error:#}"
            ));
        }
        self.is_broken = restored.is_err();
    }

    fn restore(&mut self) -> Result<()> {
        self.directory.restore()?;
        for socket in &mut self.sockets {
            match identity_at(&socket.path) {
                Some(identity) if identity == socket.identity => {}
                Some(_) => bail!("{} is another program's", socket.path.display()),
                None => {
                    let (identity, task) = bind(&socket.path, &socket.serve)?;
                    // No client can connect to the old socket any more.
                    socket.task.abort();
                    (socket.identity, socket.task) = (identity, task);
                    log(&format!("{} was removed; it is created again", socket.path.display()));
                }
            }
        }
        Ok(())
    }

    /// Removes the directory.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        self.directory.remove()
    }
}

/// Checks every second whether all sockets exist, until the runtime ends.
///
/// # Errors
///
/// If the process has no descriptor left for a timer.
pub async fn keep(sockets: Rc<RefCell<EngineSockets>>) -> io::Result<()> {
    let timer = Timer::new()?;
    loop {
        timer.wait_until(now_ns() + CHECK_PAUSE.as_nanos() as u64).await?;
        sockets.borrow_mut().check();
    }
}

fn bind(
    path: &Path,
    serve: impl Fn(&Path) -> io::Result<JoinHandle<()>>,
) -> Result<((u64, u64), AbortHandle)> {
    let task = serve(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    let identity = identity_at(path).with_context(|| format!("{} is gone", path.display()))?;
    Ok((identity, task.abort_handle()))
}
