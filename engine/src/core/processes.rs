//! The processes of containers that are gone, and of their launcher.

use crate::ids::ContainerKey;
use crate::scheduler::Fate;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};

/// The processes of containers that are gone, and of their launcher.
#[derive(Default)]
pub(super) struct Processes {
    /// Readable when the launcher has died.
    launcher: Option<OwnedFd>,
    /// Containers that are gone and whose process may still run, by launch.
    dying: HashMap<u64, ContainerKey>,
    /// Launches of containers whose launcher has died, and which are not seen to be gone yet.
    orphans: HashSet<u64>,
}

impl Processes {
    /// What has become of the process of a launch that has ended. A launcher that dies takes its
    /// containers with it, and is seen to be dead before they are.
    pub(super) fn fate_of_dead(&mut self, launch: Option<u64>) -> Fate {
        let Some(launch) = launch else { return Fate::Died };
        if self.orphans.remove(&launch) {
            return Fate::DiedWithLauncher;
        }
        let Some(launcher) = &self.launcher else { return Fate::Died };
        let mut fds = [PollFd::new(launcher.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(1..) => Fate::DiedWithLauncher,
            _ => Fate::Died,
        }
    }

    /// A container is gone, and its process may still run.
    pub(super) fn add(&mut self, launch: u64, container: ContainerKey) {
        self.dying.insert(launch, container);
    }

    /// There is a launcher; its pidfd.
    pub(super) fn launcher_started(&mut self, pidfd: OwnedFd) {
        self.launcher = Some(pidfd);
    }

    /// The launcher has died, and with it the processes of these launches.
    pub(super) fn launcher_died(&mut self, launches: impl Iterator<Item = u64>) {
        self.orphans.extend(launches);
    }

    /// The process of this launch has ended. Returns its container, if that was gone before.
    pub(super) fn ended(&mut self, launch: u64) -> Option<ContainerKey> {
        self.dying.remove(&launch)
    }

    /// The launches of containers that are gone and whose process may still run.
    pub(super) fn dying(&self) -> Vec<u64> {
        self.dying.keys().copied().collect()
    }
}
