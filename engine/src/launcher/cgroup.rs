//! Control groups, which apply the limits of a container to all of its processes together,
//! including those that they fork.
//!
//! Version 1 has a hierarchy for each controller. Version 2 (see the kernel's
//! `Documentation/admin-guide/cgroup-v2.rst`) has one hierarchy, in which a group that has children
//! with limits has no processes of its own. Groups are made below the group of this process, if it
//! may be written to: as root, or if a service manager delegates it. Otherwise there are no groups.

use super::children::is_ours;
use crate::config::Limits;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The period in which a container's processor time is counted, in µs: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// The prefix of the name of the group above those of an engine's containers. The pid of the
/// launcher follows it.
const PREFIX: &str = "nightcore-";
/// The name of a group in version 2 that takes the processes of the group above it.
const OWN: &str = "nightcore";

/// The resources that a group can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Cpu,
    Tasks,
}

const CONTROLLERS: [Controller; 3] = [Controller::Memory, Controller::Cpu, Controller::Tasks];

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Tasks => "pids",
        }
    }

    /// Returns the files to write, with their contents. Those with `true` do not exist on every
    /// system.
    fn settings(self, version: Version, limits: &Limits) -> Vec<(&'static str, String, bool)> {
        match (self, version) {
            (Controller::Memory, Version::One) => {
                let memory = || limits.memory_bytes.map(|bytes| bytes.to_string());
                // The second file also counts swapped memory, and its limit is never below that of
                // the first.
                let files =
                    [("memory.limit_in_bytes", false), ("memory.memsw.limit_in_bytes", true)];
                files
                    .iter()
                    .filter_map(|(file, may_lack)| Some((*file, memory()?, *may_lack)))
                    .collect()
            }
            (Controller::Memory, Version::Two) => {
                limits.memory_bytes.map_or_else(Vec::new, |bytes| {
                    vec![
                        ("memory.max", bytes.to_string(), false),
                        ("memory.swap.max", "0".to_owned(), true),
                        ("memory.oom.group", "1".to_owned(), true),
                    ]
                })
            }
            (Controller::Cpu, version) => limits.cpu_millis.map_or_else(Vec::new, |millis| {
                let quota_us = u64::from(millis) * CPU_PERIOD_US / 1000;
                match version {
                    Version::One => vec![
                        ("cpu.cfs_period_us", CPU_PERIOD_US.to_string(), false),
                        ("cpu.cfs_quota_us", quota_us.to_string(), false),
                    ],
                    Version::Two => vec![("cpu.max", format!("{quota_us} {CPU_PERIOD_US}"), false)],
                }
            }),
            (Controller::Tasks, _) => limits
                .tasks
                .map_or_else(Vec::new, |tasks| vec![("pids.max", tasks.to_string(), false)]),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A place where groups can be made for some controllers.
#[derive(Debug)]
struct GroupParent {
    version: Version,
    controllers: Vec<Controller>,
    /// The directory of the launcher's group, which contains the containers' groups.
    directory: PathBuf,
}

/// The places where this process may make groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    group_parents: Vec<GroupParent>,
    /// The groups of containers that have ended, in which processes are still dying.
    ended: Vec<PathBuf>,
}

impl Groups {
    /// Finds the places where groups can be made, and makes a group for this launcher in each of
    /// them.
    pub(super) fn find() -> Groups {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (own, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
        let name = format!("{PREFIX}{}", std::process::id());
        let group_parents = group_parents(&own, &mounts)
            .into_iter()
            .filter_map(|place| place.make(&name).ok())
            .collect();
        Groups { group_parents, ended: Vec::new() }
    }

    /// Whether groups can limit this resource.
    pub(super) fn have(&self, controller: Controller) -> bool {
        self.group_parents.iter().any(|place| place.controllers.contains(&controller))
    }

    /// Makes groups with these limits for a container, in the places that there are.
    ///
    /// # Errors
    ///
    /// If a group cannot be made or limited. No group is left in that case.
    pub(super) fn make(&mut self, name: &str, limits: &Limits) -> io::Result<Group> {
        let mut group = Group::default();
        let made =
            self.group_parents.iter().try_for_each(|place| place.add(&mut group, name, limits));
        match made {
            Ok(()) => Ok(group),
            Err(error) => {
                self.end(group);
                Err(error)
            }
        }
    }

    /// Kills the remaining processes of a container that has ended, and removes its groups.
    pub(super) fn end(&mut self, group: Group) {
        self.ended.extend(group.directories);
        self.remove_ended();
    }

    /// Kills the remaining processes of containers that have ended, and removes their groups that
    /// are empty.
    pub(super) fn remove_ended(&mut self) {
        self.ended.retain(|directory| {
            for pid in processes(directory) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let removed = fs::remove_dir(directory);
            matches!(removed, Err(error) if error.kind() != io::ErrorKind::NotFound)
        });
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.remove_ended();
        for place in &self.group_parents {
            // The group is not empty if a process could not be ended. The next launcher removes it.
            let _ = fs::remove_dir(&place.directory);
        }
    }
}

/// The groups of one container.
#[derive(Debug, Default)]
pub(super) struct Group {
    directories: Vec<PathBuf>,
}

impl Group {
    /// Opens the files to which a process writes `0` to enter the groups.
    pub(super) fn entrances(&self) -> io::Result<Vec<File>> {
        let open = |directory: &PathBuf| {
            OpenOptions::new().write(true).open(directory.join("cgroup.procs"))
        };
        self.directories.iter().map(open).collect()
    }

    /// Whether a process in it was killed for lack of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let files = ["memory.oom_control", "memory.events"];
        let mut texts = self
            .directories
            .iter()
            .flat_map(|d| files.map(|file| fs::read_to_string(d.join(file))));
        texts.any(|text| {
            let text = text.unwrap_or_default();
            let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
            count.is_some_and(|count| count.trim() != "0")
        })
    }
}

impl GroupParent {
    /// Makes the launcher's group in this place.
    fn make(mut self, name: &str) -> io::Result<GroupParent> {
        remove_stale(&self.directory);
        if self.version == Version::Two {
            self.hand_down()?;
        }
        self.directory.push(name);
        self.make_own()?;
        Ok(self)
    }

    /// Makes the launcher's group. If it exists already, it was left by a launcher that had the
    /// same pid, for example in a container that was restarted.
    fn make_own(&self) -> io::Result<()> {
        match fs::create_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if self.version == Version::Two { self.enable() } else { Ok(()) }
    }

    /// Makes a container's group in this place, and adds it to the container's groups.
    fn add(&self, group: &mut Group, name: &str, limits: &Limits) -> io::Result<()> {
        let settings = self.controllers.iter().flat_map(|c| c.settings(self.version, limits));
        let settings: Vec<_> = settings.collect();
        if settings.is_empty() {
            return Ok(());
        }
        let directory = self.directory.join(name);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Another program has removed the launcher's group while it was empty.
                self.make_own()?;
                fs::create_dir(&directory)?;
            }
            // The existing group was left by another launcher and has nothing to do with this
            // container.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(&directory)?;
                fs::create_dir(&directory)?;
            }
            made => made?,
        }
        group.directories.push(directory.clone());
        for (file, value, may_lack) in settings {
            match fs::write(directory.join(file), value) {
                Err(error) if !may_lack => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Allows groups below this one to have limits, in version 2. This group must not contain
    /// processes then, so those of the engine move to a group below it. If it contains processes of
    /// other programs, it fails.
    fn hand_down(&mut self) -> io::Result<()> {
        if self.enable().is_ok() {
            return Ok(());
        }
        let processes = processes(&self.directory);
        if !processes.iter().all(|pid| is_ours(*pid)) {
            return Err(io::Error::other("other programs are in the same group"));
        }
        let own = self.directory.join(OWN);
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for pid in processes {
            fs::write(own.join("cgroup.procs"), pid.to_string())?;
        }
        self.enable()
    }

    fn enable(&self) -> io::Result<()> {
        let enabled: Vec<String> =
            self.controllers.iter().map(|c| format!("+{}", c.name())).collect();
        fs::write(self.directory.join("cgroup.subtree_control"), enabled.join(" "))
    }
}

fn processes(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Removes the groups that killed launchers left behind.
fn remove_stale(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<i32>().ok());
        if pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(nix::Error::ESRCH)) {
            for group in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(group.path());
            }
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Returns the places of this process's groups, from the texts of `/proc/self/cgroup` and
/// `/proc/self/mountinfo`.
fn group_parents(own: &str, mounts: &str) -> Vec<GroupParent> {
    let mut group_parents = Vec::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        // A line is "4:memory:/path", or "0::/path" for version 2.
        let line = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let is_it = match mount.version {
                Version::Two => controllers.is_empty(),
                Version::One => controllers.split(',').any(|name| mount.options.contains(&name)),
            };
            is_it.then_some(path)
        });
        let Some(path) = line else { continue };
        let below = path.strip_prefix(mount.root).unwrap_or(path).trim_start_matches('/');
        let directory = Path::new(mount.place).join(below);
        let offered = match mount.version {
            Version::One => mount.options.iter().map(|name| (*name).to_owned()).collect(),
            Version::Two => {
                let text =
                    fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
                text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
            }
        };
        let controllers: Vec<Controller> = CONTROLLERS
            .into_iter()
            .filter(|c| offered.iter().any(|name| name == c.name()))
            .collect();
        if !controllers.is_empty() {
            group_parents.push(GroupParent { version: mount.version, controllers, directory });
        }
    }
    group_parents
}

/// A line of mountinfo, as proc_pid_mountinfo(5) describes it.
struct Mount<'a> {
    version: Version,
    root: &'a str,
    place: &'a str,
    options: Vec<&'a str>,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, place) = (mount.next()?, mount.next()?);
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        Some(Mount { version, root, place, options: kind.nth(1)?.split(',').collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_by_controller_and_below_what_is_mounted() {
        let own = "9:name=systemd:/\n4:memory:/box/a\n2:cpuacct,cpu:/\n1:pids:/docker/x/y\n0::/\n";
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:3 \
                      - cgroup cgroup rw,memory\n\
                      36 31 0:33 /docker/x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      37 31 0:34 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        let found: Vec<_> =
            group_parents(own, mounts).into_iter().map(|p| (p.controllers, p.directory)).collect();
        assert_eq!(
            found,
            [
                (vec![Controller::Cpu], "/sys/fs/cgroup/cpu".into()),
                (vec![Controller::Memory], "/sys/fs/cgroup/memory/box/a".into()),
                (vec![Controller::Tasks], "/sys/fs/cgroup/pids/y".into()),
            ]
        );
    }

    #[test]
    fn version_two_offers_what_its_files_say() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("app.service");
        fs::create_dir(&service).unwrap();
        fs::write(service.join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        let mounts =
            format!("30 1 0:26 / {} rw - cgroup2 cgroup2 rw,nsdelegate\n", root.path().display());
        let mut found = group_parents("0::/app.service\n", &mounts);
        let place = found.pop().unwrap();
        assert_eq!(place.controllers, CONTROLLERS);
        let place = place.make("nightcore-1").unwrap();
        let enabled = |directory: &Path| {
            fs::read_to_string(directory.join("cgroup.subtree_control")).unwrap()
        };
        assert_eq!(enabled(&service), "+memory +cpu +pids");
        assert_eq!(enabled(&service.join("nightcore-1")), "+memory +cpu +pids");
        let mut groups = Groups { group_parents: vec![place], ended: Vec::new() };
        let limits = Limits {
            memory_bytes: Some(1 << 20),
            cpu_millis: Some(1500),
            tasks: Some(9),
            open_files: None,
        };
        groups.make("7", &limits).unwrap();
        let value =
            |file: &str| fs::read_to_string(service.join("nightcore-1/7").join(file)).unwrap();
        assert_eq!(value("memory.max"), "1048576");
        assert_eq!(value("memory.swap.max"), "0");
        assert_eq!(value("cpu.max"), "150000 100000");
        assert_eq!(value("pids.max"), "9");
    }

    #[test]
    fn programs_of_others_are_not_moved() {
        let root = tempfile::tempdir().unwrap();
        // A directory makes the write fail, as the kernel does while the group has processes.
        fs::create_dir(root.path().join("cgroup.subtree_control")).unwrap();
        fs::write(root.path().join("cgroup.controllers"), "memory\n").unwrap();
        fs::write(root.path().join("cgroup.procs"), format!("{}\n0\n", std::process::id()))
            .unwrap();
        let mounts = format!("30 1 0:26 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
        let place = group_parents("0::/\n", &mounts).pop().unwrap();
        assert!(place.make("nightcore-1").unwrap_err().to_string().contains("other programs"));
        assert!(!root.path().join(OWN).exists());
    }
}
