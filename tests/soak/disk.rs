//! A small disk for this run that can be filled: a tmpfs in a mount namespace that ends with this
//! process.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const OPTIONS: &std::ffi::CStr = c"size=64m,mode=0700";
const CHUNK_BYTES: usize = 1 << 16;

/// The folder where it is mounted.
#[derive(Debug)]
pub struct Disk(PathBuf);

/// Gives this process mounts of its own. Must be called while it has one thread.
pub fn separate_mounts() -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount(None, Path::new("/"), libc::MS_REC | libc::MS_PRIVATE, None)
}

fn mount(
    kind: Option<&std::ffi::CStr>,
    at: &Path,
    flags: libc::c_ulong,
    options: Option<&std::ffi::CStr>,
) -> io::Result<()> {
    let at = CString::new(at.as_os_str().as_encoded_bytes())?;
    let pointer =
        |text: Option<&std::ffi::CStr>| text.map_or(std::ptr::null(), std::ffi::CStr::as_ptr);
    // SAFETY: all texts end with a zero and live as long as the call; a missing one may be null.
    let mounted = unsafe {
        libc::mount(pointer(kind), at.as_ptr(), pointer(kind), flags, pointer(options).cast())
    };
    if mounted == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Disk {
    /// Mounts it over a folder. The disk begins with the files of the folder.
    pub fn over(folder: &Path) -> io::Result<Disk> {
        let files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(folder)?
            .flatten()
            .filter_map(|entry| Some((entry.path(), fs::read(entry.path()).ok()?)))
            .collect();
        mount(Some(c"tmpfs"), folder, 0, Some(OPTIONS))?;
        for (path, bytes) in files {
            fs::write(path, bytes)?;
        }
        Ok(Disk(folder.to_owned()))
    }

    /// Fills the disk to the last byte.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.0.join("full"))?;
        let mut bytes = CHUNK_BYTES;
        while bytes > 0 {
            if file.write_all(&vec![0; bytes]).is_err() {
                bytes /= 2;
            }
        }
        Ok(())
    }

    /// Frees the disk again.
    pub fn empty(&self) {
        let _ = fs::remove_file(self.0.join("full"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0);
    }
}

fn unmount(at: &Path) -> io::Result<()> {
    let at = CString::new(at.as_os_str().as_encoded_bytes())?;
    // SAFETY: the text ends with a zero and lives as long as the call.
    let done = unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
