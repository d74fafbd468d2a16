//! Chooses the directory of an engine, and finds it for a command.
//!
//! An engine is named after the path of its configuration file as the user wrote it, made absolute.
//! Symbolic links in the path are not resolved, so that the name stays the same when a link such as
//! `current` is switched to another release.

use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The variable with the user's runtime directory, by the XDG Base Directory Specification.
const RUNTIME_VARIABLE: &str = "XDG_RUNTIME_DIR";
/// The file that lists the Unix sockets of this network namespace, also those of other users.
const UNIX_SOCKETS: &str = "/proc/net/unix";
/// The index of the field of its lines that is the socket's path, counted from 0.
const PATH_FIELD: usize = 7;
/// The name of the socket to which the `nightcore` command connects.
const ADMIN_SOCKET: &str = "admin.sock";
/// The number of characters of the configuration file's name in the directory's name. They are for
/// people only.
const NAME_CHARS: usize = 24;

/// Returns the path of the socket in an engine's directory to which the `nightcore` command
/// connects.
pub fn admin_socket(directory: &Path) -> PathBuf {
    directory.join(ADMIN_SOCKET)
}

/// Returns the directory for the engine of this configuration file.
pub fn of_config(config: &Path) -> Result<PathBuf> {
    let base = Bases::of_process().for_new().to_owned();
    Ok(base.join(name(&as_written(config)?)))
}

/// Returns the directories in which the engine of this configuration file may be, the likeliest
/// first: under the path as written and under its real path, in each base.
pub fn candidates(config: &Path) -> Result<Vec<PathBuf>> {
    let mut names = vec![name(&as_written(config)?)];
    names.extend(fs::canonicalize(config).ok().map(|real| name(&real)));
    names.dedup();
    let bases = Bases::of_process().all;
    let of_base = |base: &PathBuf| names.iter().map(|name| base.join(name)).collect::<Vec<_>>();
    Ok(bases.iter().flat_map(of_base).collect())
}

/// Returns the directories of all engines that listen on this machine, also those of other users,
/// as far as the kernel lists them.
pub fn listening() -> Vec<PathBuf> {
    let sockets = fs::read(UNIX_SOCKETS).unwrap_or_default();
    let mut directories: Vec<PathBuf> = directories_in(&sockets).collect();
    directories.sort();
    // An accepted connection is listed with the path of its listener.
    directories.dedup();
    directories
}

/// Makes a path absolute and leaves its links as they are.
pub fn as_written(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the path {}", path.display()))
}

/// Whether two paths lead to the same file.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// The directories in which directories of engines are made.
struct Bases {
    all: Vec<PathBuf>,
    /// Whether the first one is a runtime directory, which a session manager makes.
    has_runtime: bool,
}

impl Bases {
    fn of_process() -> Bases {
        let user = nix::unistd::geteuid().as_raw();
        let is_own = |path: &Path| {
            fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user)
        };
        Bases::of(std::env::var_os(RUNTIME_VARIABLE), user, is_own)
    }

    /// Accepts a runtime directory if it is absolute, as the specification demands, and if it
    /// belongs to the user: `sudo` and `su` may pass on the directory of another user.
    fn of(runtime: Option<OsString>, user: u32, is_own: impl Fn(&Path) -> bool) -> Bases {
        let runtime = runtime.map(PathBuf::from);
        let runtime = runtime.filter(|path| path.is_absolute() && is_own(path));
        let has_runtime = runtime.is_some();
        let runtime = runtime.map(|path| path.join("nightcore"));
        // A login session has its directory here. Programs such as cron do not get its variable.
        let of_session = PathBuf::from(format!("/run/user/{user}/nightcore"));
        let of_session = Some(of_session).filter(|path| runtime.as_ref() != Some(path));
        let temporary = PathBuf::from(format!("/tmp/nightcore-{user}"));
        let all = runtime.into_iter().chain(of_session).chain([temporary]).collect();
        Bases { all, has_runtime }
    }

    /// Returns the base for a new engine. A session may end at any time, and its runtime directory
    /// with it, so a process outside the session only searches that directory.
    fn for_new(&self) -> &Path {
        let place = if self.has_runtime { self.all.first() } else { self.all.last() };
        place.map_or(Path::new("/tmp"), PathBuf::as_path)
    }
}

/// Returns the name of an engine's directory: part of the file's name, for people, and a hash of
/// its path.
fn name(config: &Path) -> String {
    let stem = config.file_stem().unwrap_or_default().to_string_lossy();
    let stem: String = stem.chars().filter(char::is_ascii_alphanumeric).take(NAME_CHARS).collect();
    format!("{stem}-{:016x}", fnv1a(config.as_os_str().as_bytes()))
}

/// Computes the FNV-1a hash. It is the same in every build, so that a command of one version finds
/// an engine of another.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns the directories of the admin sockets in the kernel's list.
fn directories_in(sockets: &[u8]) -> impl Iterator<Item = PathBuf> {
    let path = |line: &[u8]| {
        let mut rest = line;
        for _ in 0..PATH_FIELD {
            let end = rest.iter().position(|byte| *byte == b' ')?;
            rest = rest[end..].trim_ascii_start();
        }
        let path = PathBuf::from(OsString::from_vec(rest.to_vec()));
        let is_admin = path.is_absolute() && path.file_name() == Some(OsStr::new(ADMIN_SOCKET));
        path.parent().filter(|_| is_admin).map(Path::to_owned)
    };
    sockets.split(|byte| *byte == b'\n').filter_map(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(runtime: Option<&str>) -> (Vec<String>, String) {
        let bases =
            Bases::of(runtime.map(OsString::from), 7, |path| path.starts_with("/run/user/7"));
        let shown = |path: &Path| path.display().to_string();
        (bases.all.iter().map(|path| shown(path)).collect(), shown(bases.for_new()))
    }

    #[test]
    fn a_runtime_directory_counts_if_it_is_absolute_and_one_s_own() {
        let (session, temporary) = ("/run/user/7/nightcore", "/tmp/nightcore-7");
        for useless in [None, Some(""), Some("run/user/7"), Some("/run/user/8")] {
            let expected = (vec![session.to_owned(), temporary.into()], temporary.to_owned());
            assert_eq!(bases(useless), expected, "{useless:?}");
        }
        let expected = (vec![session.to_owned(), temporary.into()], session.to_owned());
        assert_eq!(bases(Some("/run/user/7")), expected);
        let own = "/run/user/7/x/nightcore";
        let expected = (vec![own.to_owned(), session.into(), temporary.into()], own.to_owned());
        assert_eq!(bases(Some("/run/user/7/x")), expected);
    }

    #[test]
    fn a_link_keeps_its_name_wherever_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("current");
        for release in ["1", "2"] {
            let release = folder.path().join(release);
            fs::create_dir(&release).unwrap();
            fs::write(release.join("nightcore.toml"), "").unwrap();
        }
        let config = link.join("nightcore.toml");
        let mut names = Vec::new();
        for release in ["1", "2"] {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(release, &link).unwrap();
            names.push(of_config(&config).unwrap());
            let real = fs::canonicalize(&config).unwrap();
            assert!(candidates(&config).unwrap().contains(&of_config(&real).unwrap()));
            assert!(is_same_file(&config, &real));
        }
        assert_eq!(names[0], names[1]);
        assert!(!is_same_file(&config, &folder.path().join("1/nightcore.toml")));
    }

    #[test]
    fn engines_are_found_among_the_kernel_s_sockets() {
        let list = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            00000000: 00000002 00000000 00010000 0001 01 12345 /tmp/a b/nightcore-1/admin.sock\n\
            00000000: 00000003 00000000 00000000 0001 03 12346\n\
            00000000: 00000002 00000000 00010000 0001 01 12347 @/tmp/x/admin.sock\n\
            00000000: 00000002 00000000 00010000 0001 01 12348 /tmp/x/control.sock\n";
        let found: Vec<PathBuf> = directories_in(list).collect();
        assert_eq!(found, [Path::new("/tmp/a b/nightcore-1")]);
    }
}
