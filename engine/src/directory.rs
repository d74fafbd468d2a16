//! An engine's directory: its lock, its sockets and its logs. It identifies the engine: two engines
//! never share a directory.

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest path of a directory: the paths of its sockets must fit the 108 bytes of a Unix
/// address.
const MAX_PATH_BYTES: usize = 90;

/// The directory of the functions' logs.
const LOGS: &str = "logs";
/// The file with the pid of the process that has locked the directory. It is for people only.
const PID: &str = "pid";

/// The time in which the launcher of a killed engine has to end. It kills its containers at once,
/// and gives up after 5 s on those that do not die.
const LAUNCHER_ENDS_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two checks whether that launcher has ended.
const LAUNCHER_PAUSE: Duration = Duration::from_millis(5);

/// A directory that this process has locked.
pub struct Directory {
    path: PathBuf,
    held: DirectoryLock,
}

/// The lock on a directory. It applies to the directory itself, even if its path leads elsewhere
/// later.
struct DirectoryLock {
    _lock: Flock<File>,
    /// The directory's device and inode.
    identity: (u64, u64),
}

/// Returns the path of the socket that containers connect to.
pub fn control_socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// Takes a shared lock on the directory of the logs, which says that processes of this engine still
/// run. An engine's launcher holds it until it ends, which may be after the engine was killed.
///
/// # Errors
///
/// When the directory of the logs does not exist, or cannot be locked.
pub fn share_logs(directory: &Path) -> io::Result<Flock<File>> {
    let logs = File::open(logs(directory))?;
    Flock::lock(logs, FlockArg::LockSharedNonblock).map_err(|(_, error)| error.into())
}

fn logs(directory: &Path) -> PathBuf {
    directory.join(LOGS)
}

fn pid_file(directory: &Path) -> PathBuf {
    directory.join(PID)
}

/// Returns the device and inode of the file at a path. Does not follow a link.
pub fn identity_at(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| identity_of(&metadata))
}

fn identity_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Directory {
    /// Makes and locks the directory. If a dead engine has left files in it, waits until that
    /// engine's processes have ended, and removes the files.
    ///
    /// # Errors
    ///
    /// When another engine has locked it, it belongs to another user, or it cannot be made.
    pub fn lock(path: &Path) -> Result<Directory> {
        if path.as_os_str().len() > MAX_PATH_BYTES {
            bail!(
                "{}: the path is too long for sockets in it; \
                 at most {MAX_PATH_BYTES} bytes, see --dir",
                path.display()
            );
        }
        let held = DirectoryLock::take(path)?;
        wait_for_launcher(path)?;
        clean(path, Strangers::Refuse)?;
        fill(path)?;
        Ok(Directory { path: path.to_owned(), held })
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory and its content again if they were removed, except for sockets.
    ///
    /// # Errors
    ///
    /// When another engine has taken the directory meanwhile, or it cannot be made.
    pub fn restore(&mut self) -> Result<()> {
        if !self.is_ours() {
            let held = DirectoryLock::take(&self.path)?;
            clean(&self.path, Strangers::Refuse)?;
            self.held = held;
        }
        if logs(&self.path).is_dir() { Ok(()) } else { fill(&self.path) }
    }

    /// Whether the directory at its path is the one that this process has locked.
    fn is_ours(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| identity_of(&found) == self.held.identity)
    }

    /// Removes the directory and the files that engines make in it. Other files stay.
    pub fn remove(&self) -> Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        clean(&self.path, Strangers::Leave)?;
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => none_is_fine(removed),
        }
        .with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

impl DirectoryLock {
    /// Makes the directory if it does not exist, and locks it.
    fn take(path: &Path) -> Result<DirectoryLock> {
        loop {
            make_private(path)?;
            let directory =
                File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            let identity = identity_of(&directory.metadata()?);
            let Ok(lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else {
                let pid = fs::read_to_string(pid_file(path)).unwrap_or_default();
                bail!("an engine runs already in {} (pid {})", path.display(), pid.trim());
            };
            // The engine that held the lock may have removed the directory meanwhile.
            if fs::metadata(path).is_ok_and(|now| identity_of(&now) == identity) {
                return Ok(DirectoryLock { _lock: lock, identity });
            }
        }
    }
}

/// Waits until no launcher of a killed engine holds the lock on the logs. Until then its containers
/// could run beside those of this engine, and it still writes their output.
fn wait_for_launcher(path: &Path) -> Result<()> {
    let until = Instant::now() + LAUNCHER_ENDS_WITHIN;
    let Ok(mut directory) = File::open(logs(path)) else { return Ok(()) };
    loop {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(_) => return Ok(()),
            Err((_, error)) if Instant::now() >= until => bail!(
                "{}: processes of an engine that was killed do not end: {error}; end its launcher, \
                 a process named nightcore",
                path.display()
            ),
            Err((unlocked, _)) => directory = unlocked,
        }
        std::thread::sleep(LAUNCHER_PAUSE);
    }
}

/// Makes the files of an engine's directory, except for sockets.
fn fill(path: &Path) -> Result<()> {
    let filled = fs::write(pid_file(path), format!("{}\n", std::process::id()));
    let filled = filled.and_then(|()| DirBuilder::new().mode(0o700).create(logs(path)));
    filled.with_context(|| format!("cannot write in {}", path.display()))
}

/// Makes a directory that only this user can read or change.
///
/// # Errors
///
/// When it cannot be made, or it exists and other users can read or change it.
pub fn make_private(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the directory {}", path.display()))?;
    let metadata = fs::metadata(path)?;
    let user = nix::unistd::geteuid().as_raw();
    if metadata.uid() != user {
        bail!(
            "the directory {} belongs to user {}, not to this user ({user}); \
             remove it, or name another one by --dir",
            path.display(),
            metadata.uid()
        );
    }
    if metadata.mode() & 0o077 != 0 {
        bail!(
            "others may look into the directory {}; make it private with `chmod 700`, \
             or name another one by --dir",
            path.display()
        );
    }
    Ok(())
}

/// The treatment of files that no engine makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strangers {
    /// Fail, because the directory is not an engine's.
    Refuse,
    /// Leave them in place.
    Leave,
}

/// Removes the files that an engine makes, and no others. If strangers are refused and there are
/// any, removes nothing.
fn clean(path: &Path, strangers: Strangers) -> Result<()> {
    let names = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name()));
    let (ours, others): (Vec<_>, Vec<_>) =
        names.collect::<io::Result<Vec<_>>>()?.into_iter().partition(|name| is_engine_s(name));
    if strangers == Strangers::Refuse
        && let Some(name) = others.first()
    {
        bail!("{}: this is not an engine's directory: it holds {name:?}", path.display());
    }
    for name in ours {
        let path = path.join(&name);
        let removed = if name == LOGS { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        none_is_fine(removed)?;
    }
    Ok(())
}

/// Whether an engine makes a file of this name. Earlier versions made `lock`.
fn is_engine_s(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_pipe_or_socket = name.ends_with(".sock") || name.starts_with("pipe-");
    is_pipe_or_socket || [LOGS, PID, "lock"].contains(&&*name)
}

/// Treats a file that does not exist as removed.
fn none_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_at_a_time_and_nothing_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("engine");
        let held = Directory::lock(&path).unwrap();
        let error = Directory::lock(&path).err().unwrap().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        fs::write(path.join("control.sock"), "").unwrap();
        drop(held);
        let again = Directory::lock(&path).unwrap();
        assert!(!path.join("control.sock").exists(), "what a dead engine left is removed");
        again.remove().unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_lock_waits_for_the_launcher_of_a_killed_engine() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("engine");
        drop(Directory::lock(&path).unwrap());
        let launcher = share_logs(&path).unwrap();
        let ends = std::thread::spawn({
            let log = logs(&path).join("Foo.log");
            move || {
                fs::write(log, "the last line").unwrap();
                drop(launcher);
            }
        });
        let held = Directory::lock(&path).unwrap();
        ends.join().unwrap();
        assert_eq!(fs::read_dir(logs(&path)).unwrap().count(), 0);
        held.remove().unwrap();
    }

    #[test]
    fn a_directory_that_was_removed_is_created_again_unless_another_engine_owns_it() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("engine");
        let mut held = Directory::lock(&path).unwrap();
        fs::remove_dir_all(&path).unwrap();
        held.restore().unwrap();
        assert!(logs(&path).is_dir() && Directory::lock(&path).is_err());
        fs::remove_dir_all(logs(&path)).unwrap();
        held.restore().unwrap();
        assert!(logs(&path).is_dir());

        fs::remove_dir_all(&path).unwrap();
        let other = Directory::lock(&path).unwrap();
        assert!(held.restore().unwrap_err().to_string().contains("an engine runs already"));
        held.remove().unwrap();
        assert!(logs(&path).is_dir(), "it is the other engine's");
        fs::write(path.join("thesis.tex"), "x").unwrap();
        other.remove().unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "only what is no engine's is left");
    }

    #[test]
    fn a_stranger_s_directory_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("precious");
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        fs::write(path.join("thesis.tex"), "x").unwrap();
        // Engines use these names as well. None of the files is removed before the stranger's file
        // is seen.
        fs::create_dir(logs(&path)).unwrap();
        (0..20).for_each(|i| fs::write(path.join(format!("{i}.sock")), "").unwrap());
        assert!(Directory::lock(&path).is_err());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 22);
        assert!(Directory::lock(&parent.path().join("x".repeat(100))).is_err());
    }
}
