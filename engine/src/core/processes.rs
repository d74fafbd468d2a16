//! The processes of containers that have left, and the process of their launcher.

use crate::ids::ContainerKey;
use crate::scheduler::ProcessFate;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// The processes of containers that have left, and the process of their launcher.
#[derive(Default)]
pub(super) struct Processes {
    /// Readable when the launcher has died.
    launcher: Option<OwnedFd>,
    /// Containers that have left and whose process may still run, by launch.
    dying: HashMap<u64, ContainerKey>,
    /// The fate of processes that ended before the engine noticed that their containers have left,
    /// by launch.
    ended: HashMap<u64, ProcessFate>,
}

impl Processes {
    /// The fate of a launch's process that has ended. A dying launcher takes its containers with
    /// it, and its death is noticed before theirs.
    pub(super) fn fate_of_dead(&mut self, launch: Option<u64>) -> ProcessFate {
        let Some(launch) = launch else { return ProcessFate::Died };
        if let Some(fate) = self.ended.remove(&launch) {
            return fate;
        }
        let Some(launcher) = &self.launcher else { return ProcessFate::Died };
        let mut fds = [PollFd::new(launcher.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(1..) => ProcessFate::DiedWithLauncher,
            _ => ProcessFate::Died,
        }
    }

    /// The fate of the process of a container that has left. The launcher may have reported its end
    /// before.
    pub(super) fn fate_of_leaving(&mut self, launch: Option<u64>) -> ProcessFate {
        launch.and_then(|launch| self.ended.remove(&launch)).unwrap_or(ProcessFate::Lives)
    }

    /// Notes that the process of a launch has ended before the engine noticed that its container
    /// has left.
    pub(super) fn ended_first(&mut self, launch: u64) {
        self.ended.entry(launch).or_insert(ProcessFate::Died);
    }

    /// Notes that a container has left, and that its process may still run.
    pub(super) fn add(&mut self, launch: u64, container: ContainerKey) {
        self.dying.insert(launch, container);
    }

    /// Notes that a launcher was started, and its pidfd.
    pub(super) fn launcher_started(&mut self, pidfd: OwnedFd) {
        self.launcher = Some(pidfd);
    }

    /// Notes that the launcher has died, and with it the processes of these launches.
    pub(super) fn launcher_died(&mut self, launches: impl Iterator<Item = u64>) {
        self.ended.extend(launches.map(|launch| (launch, ProcessFate::DiedWithLauncher)));
    }

    /// Notes that the process of this launch has ended. Returns its container, if that had left
    /// before.
    pub(super) fn ended(&mut self, launch: u64) -> Option<ContainerKey> {
        self.dying.remove(&launch)
    }

    /// The launches of containers that have left and whose process may still run.
    pub(super) fn dying(&self) -> Vec<u64> {
        self.dying.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_told_before_its_container_is_gone_is_not_waited_for_again() {
        let mut processes = Processes::default();
        assert_eq!(processes.fate_of_leaving(Some(1)), ProcessFate::Lives);
        processes.ended_first(1);
        assert_eq!(processes.fate_of_leaving(Some(1)), ProcessFate::Died);
        processes.launcher_died([2].into_iter());
        processes.ended_first(2);
        assert_eq!(processes.fate_of_dead(Some(2)), ProcessFate::DiedWithLauncher);
        assert_eq!(processes.fate_of_leaving(Some(2)), ProcessFate::Lives, "it is forgotten");
    }
}
