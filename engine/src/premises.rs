//! The engine's directory and the sockets in it, kept while the engine runs.
//!
//! Programs that tidy up, such as those for `/tmp`, may remove them. They are made anew then, so
//! that containers and the `nightcore` command find the engine.

use crate::directory::{Directory, identity_at};
use crate::say::say;
use anyhow::{Context, Result, bail};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinHandle};

/// How often it is looked whether all is there. It is also looked before a container is started.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Binds a socket at a path, and serves it in a task of its own.
type Serve = Box<dyn Fn(&Path) -> io::Result<JoinHandle<()>>>;

/// A socket that is served.
struct Door {
    path: PathBuf,
    serve: Serve,
    /// The socket's device and inode.
    identity: (u64, u64),
    task: AbortHandle,
}

/// The engine's directory and the sockets in it.
pub struct Premises {
    directory: Directory,
    doors: Vec<Door>,
    /// Whether the last attempt to make them anew failed.
    is_broken: bool,
}

impl Premises {
    /// Those of an engine that has this directory.
    pub fn new(directory: Directory) -> Premises {
        Premises { directory, doors: Vec::new(), is_broken: false }
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
        self.doors.push(Door { path, serve: Box::new(serve), identity, task });
        Ok(())
    }

    /// Makes anew what is missing, and tells of a failure.
    pub fn look(&mut self) {
        let restored = self.restore();
        if let Err(error) = &restored
            && !self.is_broken
        {
            say(&format!(
                "no container can be started, and no command finds this engine: {error:#}"
            ));
        }
        self.is_broken = restored.is_err();
    }

    fn restore(&mut self) -> Result<()> {
        self.directory.restore()?;
        for door in &mut self.doors {
            match identity_at(&door.path) {
                Some(identity) if identity == door.identity => {}
                Some(_) => bail!("{} is another program's", door.path.display()),
                None => {
                    let (identity, task) = bind(&door.path, &door.serve)?;
                    // Nobody can connect to the old one any more.
                    door.task.abort();
                    (door.identity, door.task) = (identity, task);
                    say(&format!("{} was removed, and is made anew", door.path.display()));
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

/// Looks now and then whether all is there, for ever.
pub async fn keep(premises: Rc<RefCell<Premises>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        premises.borrow_mut().look();
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
