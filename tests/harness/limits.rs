//! The limits of the test process and of processes under test.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the descriptor limit of this process to what the machine allows: the usual 1,024 are too
/// few for a thousand connections.
pub fn allow_many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be asked for");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .expect("a soft limit can be raised to the hard one");
}

/// Limits a resource of a running process, such as [`libc::RLIMIT_AS`].
pub fn limit_process(pid: i32, resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit64 { rlim_cur: most, rlim_max: most };
    // SAFETY: prlimit reads the struct that it is given, which lives as long as the call.
    let set = unsafe { libc::prlimit64(pid, resource, &limit, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}
