//! Whether other processes of the same user may trace this one, with a debugger or through `/proc`.

use nix::sys::prctl::{get_dumpable, set_dumpable};

/// Forbids other processes of the user to trace this one, to read its memory, its environment and
/// its descriptors, and the kernel to write a core dump of it. Root may do all of this. A program
/// that this process runs by `exec` can be traced again, as prctl(2) says of `PR_SET_DUMPABLE`.
pub(crate) fn forbid_tracing() -> nix::Result<()> {
    set_dumpable(false)
}

/// Whether other processes of the user may trace this one.
pub(crate) fn may_be_traced() -> bool {
    get_dumpable().unwrap_or(true)
}
