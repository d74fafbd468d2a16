//! What the tests themselves need of the machine.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process have as many descriptors as the machine allows: the usual 1,024 are too few for a
/// thousand connections.
pub fn allow_many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be asked for");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .expect("a soft limit can be raised to the hard one");
}
