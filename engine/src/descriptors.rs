//! How the engine shares its descriptors out.
//!
//! Anybody can open connections, and each takes a descriptor. A worker takes two, a container two
//! more. Without shares, clients that only connect would keep every worker from being created.

use crate::gateway::{MAX_STREAMS, Room};
use nix::sys::resource::{Resource, getrlimit};

/// Clients have at most one of so many of the engine's descriptors. The other half is for workers,
/// containers, the launcher, timers and logs.
const CLIENTS_ONE_OF: usize = 2;
/// The admin pages have at most one of so many, at each of their two places, and so have
/// connections to the control socket that have not greeted.
const OTHERS_ONE_OF: usize = 16;
/// Admin pages at once on a connection of HTTP/2: a page may be long, and its reader may leave it
/// for a minute.
const ADMIN_STREAMS: u32 = 1;
/// The most connections to the admin pages at each place: a few tools ask, each every some seconds.
const MAX_ADMIN: usize = 64;
/// The most connections to the control socket that have not greeted: more processes than start at
/// once.
const MAX_STRANGERS: usize = 256;

/// The most descriptors for each kind of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Clients of the gateway.
    pub clients: usize,
    /// Readers of the admin pages, at each place.
    pub admin: usize,
    /// Processes that have not greeted.
    pub strangers: usize,
}

impl Shares {
    /// The shares of this process.
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

    /// Room for clients, of which at most `memory_allows` may be connected. A call under way is
    /// worth more than a new connection.
    pub fn room_for_clients(&self, memory_allows: usize) -> Room {
        let descriptors = self.clients.min(memory_allows.max(1));
        Room { descriptors, streams: MAX_STREAMS, ends_busy: false }
    }

    /// Room for readers of the admin pages, of which none may keep others out.
    pub fn room_for_admin(&self) -> Room {
        Room { descriptors: self.admin, streams: ADMIN_STREAMS, ends_busy: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_limit_is_descriptors_are_left_for_workers() {
        for limit in [32, 64, 256, 1024, 20_000, 1 << 20] {
            let shares = Shares::of(limit);
            let taken = shares.clients + 2 * shares.admin + shares.strangers;
            assert!(limit - taken >= limit / 4, "{limit}: {shares:?}");
        }
        assert_eq!(Shares::of(1 << 20).admin, MAX_ADMIN);
    }
}
