//! Shares out the engine's file descriptors.
//!
//! Any client can open connections, and each connection takes a descriptor. A worker takes two, a
//! container two more. Without shares, clients that only connect would prevent new workers.

use crate::gateway::{MAX_STREAMS, Room};
use nix::sys::resource::{Resource, getrlimit};

/// Clients may have at most `1 / CLIENTS_ONE_OF` of the engine's descriptors. The other half is for
/// workers, containers, the launcher, timers and logs.
const CLIENTS_ONE_OF: usize = 2;
/// At each of their two addresses, the admin pages may have at most `1 / OTHERS_ONE_OF` of the
/// descriptors. So may connections to the control socket that have not sent a greeting.
const OTHERS_ONE_OF: usize = 16;
/// The number of concurrent admin pages on an HTTP/2 connection: a page may be long, and its reader
/// may not read for a minute.
const ADMIN_STREAMS: u32 = 1;
/// The most connections to the admin pages at each address: a few tools poll them, each every few
/// seconds.
const MAX_ADMIN: usize = 64;
/// The most connections to the control socket that have not sent a greeting: more than the
/// processes that start at once.
const MAX_STRANGERS: usize = 256;

/// The most descriptors for each kind of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Clients of the gateway.
    pub clients: usize,
    /// Readers of the admin pages, at each address.
    pub admin: usize,
    /// Processes that have not sent a greeting.
    pub strangers: usize,
}

impl Shares {
    /// Returns the shares for this process's limit of open files.
    pub fn of_this_process() -> nix::Result<Shares> {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Shares::of(usize::try_from(soft).unwrap_or(usize::MAX)))
    }

    fn of(limit: usize) -> Shares {
        let others = (limit / OTHERS_ONE_OF).max(1);
        Shares {
            clients: (limit / CLIENTS_ONE_OF).max(1),
            admin: others.min(MAX_ADMIN),
            strangers: others.min(MAX_STRANGERS),
        }
    }

    /// Returns the room for clients, of which at most `memory_allows` may be connected. A call
    /// under way is not ended for a new connection.
    pub fn room_for_clients(&self, memory_allows: usize) -> Room {
        let descriptors = self.clients.min(memory_allows.max(1));
        Room { descriptors, streams: MAX_STREAMS, ends_busy: false }
    }

    /// Returns the room for readers of the admin pages. A reader that is busy may be ended for a
    /// new one, so that none keeps others out.
    pub fn room_for_admin(&self) -> Room {
        Room { descriptors: self.admin, streams: ADMIN_STREAMS, ends_busy: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_for_workers_at_every_limit() {
        for limit in [32, 64, 256, 1024, 20_000, 1 << 20] {
            let shares = Shares::of(limit);
            let taken = shares.clients + 2 * shares.admin + shares.strangers;
            assert!(limit - taken >= limit / 4, "{limit}: {shares:?}");
        }
        assert_eq!(Shares::of(1 << 20).admin, MAX_ADMIN);
    }
}
