//! Resets the state that a container would inherit from the engine, the launcher and their parent.

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::io;
use std::os::fd::BorrowedFd;

/// Variables by which a service manager communicates with one process. A container that inherited
/// them could send messages to the manager in the engine's name, or use the engine's sockets as its
/// own.
pub const MANAGER_VARIABLES: [&str; 13] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "FDSTORE",
    "MAINPID",
    "SYSTEMD_EXEC_PID",
    "JOURNAL_STREAM",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
];

/// Signals that must not end or stop the launcher. The first three end the engine, which then tells
/// the launcher what to do. Because the last two are ignored, a write beyond the limit of file
/// sizes fails, and a write to the terminal succeeds although the launcher is in the background.
const LAUNCHER_IGNORES: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGXFSZ, Signal::SIGTTOU];

/// Ignores signals that are meant for the engine.
pub(super) fn ignore_signals() -> nix::Result<()> {
    for ignored in LAUNCHER_IGNORES {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// Marks every descriptor above standard error as close-on-exec, so that the programs that this
/// process starts do not inherit it. Descriptors that this process opens later have the mark from
/// the start.
pub(super) fn close_descriptors_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if fd > libc::STDERR_FILENO {
            // SAFETY: the descriptor is open: nothing else in this process closes one meanwhile.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
    }
    Ok(())
}

/// The number of the kernel's signals.
const SIGNALS: libc::c_int = 64;
/// The size of the kernel's `sigset_t` in bytes, which its system calls require.
const KERNEL_SIGSET_BYTES: usize = SIGNALS as usize / 8;

/// Gives every signal its default disposition, and blocks none. Safe between fork and exec.
///
/// It uses system calls directly, because libc refuses to change the two signals that it uses
/// itself.
pub(super) fn reset_signals() -> io::Result<()> {
    // A `struct sigaction` of the kernel has four words. Zeros mean the default disposition, no
    // flags, and an empty mask.
    let zeros = [0_u64; 4];
    for signal in 1..=SIGNALS {
        // SAFETY: the kernel reads one `struct sigaction` at `zeros`, which has its size, and
        // writes nothing. It refuses SIGKILL and SIGSTOP.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                zeros.as_ptr(),
                std::ptr::null_mut::<u64>(),
                KERNEL_SIGSET_BYTES,
            )
        };
    }
    // SAFETY: the kernel reads `KERNEL_SIGSET_BYTES` bytes at `zeros`, which are an empty set, and
    // writes nothing.
    let unblocked = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            zeros.as_ptr(),
            std::ptr::null_mut::<u64>(),
            KERNEL_SIGSET_BYTES,
        )
    };
    if unblocked == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
