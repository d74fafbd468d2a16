//! An engine's directory: its lock, its sockets, its logs. It names the engine; two never share one.

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest path of a directory: its sockets' paths must fit the 108 bytes of a Unix address.
const MAX_PATH_BYTES: usize = 90;

/// A directory that this process has locked.
pub struct Directory {
    path: PathBuf,
    _lock: Flock<File>,
}

/// The directory of the engine for this configuration file, unless one is given.
pub fn of_config(given: Option<&Path>, config: &Path) -> Result<PathBuf> {
    if let Some(path) = given {
        return std::path::absolute(path).context("the directory's path");
    }
    let config = fs::canonicalize(config).with_context(|| format!("{}", config.display()))?;
    let name =
        config.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    let base = match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(runtime) => PathBuf::from(runtime).join("nightcore"),
        None => PathBuf::from(format!("/tmp/nightcore-{}", nix::unistd::geteuid())),
    };
    Ok(base.join(format!("{name}-{:016x}", fnv1a(config.as_os_str().as_encoded_bytes()))))
}

/// FNV-1a: the same for every build, so that commands of one version find an engine of another.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The socket that containers connect to.
pub fn control_socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// The socket that the `nightcore` command asks.
pub fn admin_socket(directory: &Path) -> PathBuf {
    directory.join("admin.sock")
}

fn lock_file(directory: &Path) -> PathBuf {
    directory.join("lock")
}

impl Directory {
    /// Makes and locks the directory; what a dead engine left in it is removed.
    pub fn lock(path: &Path) -> Result<Directory> {
        if path.as_os_str().len() > MAX_PATH_BYTES {
            bail!(
                "{}: the path is too long for sockets in it; at most {MAX_PATH_BYTES} bytes, see --dir",
                path.display()
            );
        }
        loop {
            make_private(path)?;
            let lock = open_lock(path)?;
            let inode = lock.metadata()?.ino();
            let mut lock = match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((mut file, _)) => {
                    let mut pid = String::new();
                    let _ = file.read_to_string(&mut pid);
                    bail!("an engine runs already in {} (pid {})", path.display(), pid.trim());
                }
            };
            // The engine that held it may have removed it in between.
            if fs::metadata(lock_file(path)).is_ok_and(|now| now.ino() == inode) {
                clean(path)?;
                lock.set_len(0)?;
                writeln!(lock, "{}", std::process::id())?;
                DirBuilder::new().mode(0o700).create(path.join("logs"))?;
                return Ok(Directory { path: path.to_owned(), _lock: lock });
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it and all in it.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

fn make_private(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the directory {}", path.display()))?;
    let metadata = fs::metadata(path)?;
    if metadata.uid() != nix::unistd::geteuid().as_raw() || metadata.mode() & 0o077 != 0 {
        bail!(
            "{}: the directory must belong to this user and be private (mode 0700)",
            path.display()
        );
    }
    Ok(())
}

fn open_lock(path: &Path) -> Result<File> {
    let lock = lock_file(path);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(&lock).with_context(|| format!("cannot open {}", lock.display()))
}

/// Removes what an engine makes, and nothing else.
fn clean(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if name == "logs" {
            fs::remove_dir_all(&path)?;
        } else if name.ends_with(".sock") || name.starts_with("pipe-") {
            fs::remove_file(&path)?;
        } else if name != "lock" {
            bail!("{}: this is not an engine's directory: it holds {name:?}", path.display());
        }
    }
    Ok(())
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
    fn a_stranger_s_directory_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("precious");
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        fs::write(path.join("thesis.tex"), "x").unwrap();
        assert!(Directory::lock(&path).is_err());
        assert!(path.join("thesis.tex").exists());
        assert!(Directory::lock(&parent.path().join("x".repeat(100))).is_err());
    }
}
