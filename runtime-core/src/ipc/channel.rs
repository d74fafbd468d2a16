//! A channel's named pipes.
//!
//! The engine makes each pipe in its own directory, opens both ends and unlinks the name at once: a
//! crash leaves nothing behind, and no other process can open the pipe. The ends are opened one by
//! one, so each has its own file flags: a peer that changes its flags cannot make the engine block.

use crate::protocol::limits::PIPE_BYTES;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2, unlink};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The two ends of one named pipe, both non-blocking.
#[derive(Debug)]
pub struct Pipe {
    /// The end to read.
    pub reader: OwnedFd,
    /// The end to write.
    pub writer: OwnedFd,
}

impl Pipe {
    /// Makes a named pipe as `path`, opens both ends and removes the name.
    pub fn create(path: &Path) -> io::Result<Pipe> {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let ends = (|| {
            // The reader comes first: a non-blocking open of a FIFO for writing fails if it has no
            // reader.
            let reader =
                open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
            let writer =
                open(path, OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
            Ok((reader, writer))
        })();
        unlink(path)?;
        let (reader, writer) = ends.map_err(|e: nix::Error| io::Error::from(e))?;
        Ok(Pipe::of_size(reader, writer))
    }

    /// Makes a pipe that never has a name. Its ends have file flags of their own, too.
    ///
    /// # Errors
    ///
    /// If no descriptor is left.
    pub fn without_name() -> io::Result<Pipe> {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        Ok(Pipe::of_size(reader, writer))
    }

    fn of_size(reader: OwnedFd, writer: OwnedFd) -> Pipe {
        // This fails beyond the user's share of pipe memory. The pipe then keeps its default size.
        let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES as i32));
        Pipe { reader, writer }
    }
}

/// Makes this end blocking.
pub fn set_blocking(fd: &impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Makes this end non-blocking.
pub fn set_nonblocking(fd: &impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Whether the descriptor is a FIFO, as a descriptor that a peer passes for a pipe must be.
pub fn is_fifo(fd: &impl AsFd) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO)
}

/// Writes one message. It is at most `PIPE_BUF` bytes long, so the kernel writes all of it or
/// nothing.
///
/// # Errors
///
/// `WouldBlock` if a non-blocking pipe is full.
pub fn send(fd: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
    loop {
        match nix::unistd::write(fd, message) {
            Ok(written) if written == message.len() => return Ok(()),
            Ok(written) => {
                return Err(io::Error::other(format!(
                    "a pipe took {written} of {} bytes of a message",
                    message.len()
                )));
            }
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_leaves_no_name_and_its_ends_have_flags_of_their_own() {
        let dir = std::env::temp_dir().join(format!("nightcore-pipe-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let pipe = Pipe::create(&dir.join("p")).unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir(&dir).unwrap();
        assert!(is_fifo(&pipe.reader));

        let mut sent = 0;
        while send(pipe.writer.as_fd(), &[7; 1024]).is_ok() {
            sent += 1;
        }
        assert!(sent >= PIPE_BYTES / 1024, "{sent} messages fit");
        set_blocking(&pipe.reader).unwrap();
        assert_eq!(
            send(pipe.writer.as_fd(), &[7; 1024]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let mut buffer = [0; 1024];
        assert_eq!(nix::unistd::read(&pipe.reader, &mut buffer).unwrap(), 1024);
    }
}
