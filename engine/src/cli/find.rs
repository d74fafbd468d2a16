//! Finds the running engine for a command, or the reason why there is none.
//!
//! An engine is expected in the directory that is named after its configuration file. If it is not
//! there, each engine of this user is asked for its file. Its user may have written the path of the
//! file differently, or its directory may be below another runtime directory, or chosen with
//! `--dir`.

use super::exit::{EXIT_BAD_INPUT, EXIT_NO_ENGINE, Exit};
use super::http::{get, request};
use super::runtime::runtime;
use crate::observe::admin::EngineInfo;
use crate::place::{admin_socket, as_written, candidates, is_same_file, listening};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, User, geteuid};
use std::cmp::Reverse;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time within which an engine must say which configuration it has. It may hang.
const ASK_FOR: Duration = Duration::from_secs(1);
/// The maximum number of engines that a message lists.
const MAX_LISTED: usize = 8;

/// A running engine.
pub(super) struct Found {
    /// Its directory.
    pub(super) directory: PathBuf,
    /// The id of its process.
    pub(super) pid: i32,
    /// Whether the user has chosen its directory with `--dir`.
    pub(super) is_named: bool,
}

/// Why the engine of a directory cannot be asked.
pub(super) enum NoEngine {
    /// There is no such directory, or no engine ever ran there.
    Absent,
    /// The engine has ended without removing its directory.
    Dead,
    /// The directory or the socket belongs to another user.
    OfOther(Option<Uid>),
    /// The system refused the access.
    Failed(io::Error),
}

impl NoEngine {
    /// Returns the error of a command for this directory.
    pub(super) fn exit(&self, directory: &Path) -> Exit {
        let directory = directory.display();
        let text = match self {
            NoEngine::Absent => {
                format!("no engine runs in {directory}; start it with `nightcore up`")
            }
            NoEngine::Dead => {
                format!("the engine in {directory} has died; start it again with `nightcore up`")
            }
            NoEngine::OfOther(owner) => {
                let me = user(geteuid());
                let (owner, by) = match owner {
                    Some(owner) => (user(*owner), format!(", for example by `{}`", sudo(*owner))),
                    None => ("another user".to_owned(), String::new()),
                };
                format!(
                    "the engine in {directory} is of {owner}, and this command runs as {me}; \
                     run it as that user{by}"
                )
            }
            NoEngine::Failed(error) => {
                format!("the engine in {directory} cannot be asked: {error}")
            }
        };
        Exit::new(EXIT_NO_ENGINE, text)
    }
}

/// Returns a user's name for messages.
fn user(id: Uid) -> String {
    match User::from_uid(id) {
        Ok(Some(user)) => format!("user {} ({id})", user.name),
        _ => format!("user {id}"),
    }
}

fn sudo(id: Uid) -> String {
    match User::from_uid(id) {
        Ok(Some(user)) => format!("sudo -u {} nightcore ...", user.name),
        _ => format!("sudo -u '#{id}' nightcore ..."),
    }
}

/// Connects to the engine in this directory.
///
/// Answers of another user's engine are not trusted, not even by root, unless the user has named
/// the directory: the other user may have put the engine there to be found.
pub(super) fn connect(directory: &Path, is_named: bool) -> Result<UnixStream, NoEngine> {
    let stream =
        UnixStream::connect(admin_socket(directory)).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => NoEngine::Absent,
            ErrorKind::ConnectionRefused => NoEngine::Dead,
            ErrorKind::PermissionDenied => NoEngine::OfOther(owner(directory)),
            _ => NoEngine::Failed(error),
        })?;
    let peer = getsockopt(&stream, PeerCredentials);
    let peer = peer.map_err(|error| NoEngine::Failed(error.into()))?;
    let owner = Uid::from_raw(peer.uid());
    if owner != geteuid() && !is_named {
        return Err(NoEngine::OfOther(Some(owner)));
    }
    Ok(stream)
}

/// Returns the user whose directory this user may not read.
fn owner(directory: &Path) -> Option<Uid> {
    let mut ancestors = directory.ancestors();
    let found = ancestors.find_map(|path| path.metadata().ok());
    found.map(|found| Uid::from_raw(found.uid())).filter(|owner| *owner != geteuid())
}

/// The engines that are not where an engine for this file is expected, and what is known of them.
#[derive(Default)]
struct Others {
    /// Engines whose configuration is the file.
    of_file: Vec<Found>,
    /// Engines of this user whose configuration is another file.
    of_other_files: Vec<(PathBuf, i32)>,
    /// An engine of another user that is named after the file.
    of_other_user: Option<(PathBuf, NoEngine)>,
}

/// Finds the engine of this configuration file.
pub(super) fn find(config: &Path) -> Result<Found, Exit> {
    let own = candidates(config).map_err(Exit::bad_input)?;
    let mut problem = None;
    for directory in &own {
        match connect(directory, false) {
            Ok(stream) => return Ok(found(directory.clone(), &stream)),
            Err(NoEngine::Absent) => {}
            Err(other) => drop(problem.get_or_insert((directory.clone(), other))),
        }
    }
    let mut others = others(config, &own)?;
    match &others.of_file[..] {
        [] => {}
        [_] => return Ok(others.of_file.remove(0)),
        several => {
            let list = several.iter().map(|found| format!("\n  {}", found.directory.display()));
            let text = format!(
                "{} engines run for {}; choose one by --dir:{}",
                several.len(),
                config.display(),
                list.collect::<String>()
            );
            return Err(Exit::new(EXIT_BAD_INPUT, text));
        }
    }
    let (code, mut text) = match problem.or(others.of_other_user.take()) {
        Some((directory, problem)) => {
            let exit = problem.exit(&directory);
            (exit.code, exit.message)
        }
        None if !config.exists() => {
            let place = std::env::current_dir().unwrap_or_default();
            let (file, place) = (config.display(), place.display());
            let text = match config.is_absolute() {
                true => format!("there is no file {file}, and no engine runs for it"),
                false => format!(
                    "there is no {file} in {place}, and no engine runs for it; \
                     name the configuration file by -c"
                ),
            };
            (EXIT_BAD_INPUT, text)
        }
        None => {
            let file = as_written(config).map_err(Exit::bad_input)?;
            let file = file.display();
            let text = format!("no engine runs for {file}; start it with `nightcore up`");
            (EXIT_NO_ENGINE, text)
        }
    };
    if !others.of_other_files.is_empty() {
        if let Ok(config) = as_written(config) {
            sort_nearest_first(&mut others.of_other_files, &config);
        }
        text.push_str("\n  engines that run, which -c names:");
        for (file, pid) in others.of_other_files.iter().take(MAX_LISTED) {
            text.push_str(&format!(" {} (pid {pid})", file.display()));
        }
    }
    Err(Exit::new(code, text))
}

/// Returns the engine that runs for this configuration file, unless its directory was chosen with
/// `--dir`: that is how a user asks for a second engine for a file.
pub(super) fn running(config: &Path) -> Option<Found> {
    find(config).ok().filter(|found| !found.is_named)
}

fn found(directory: PathBuf, stream: &UnixStream) -> Found {
    let pid = getsockopt(stream, PeerCredentials).map(|peer| peer.pid()).unwrap_or_default();
    Found { directory, pid, is_named: false }
}

/// Sorts engines by how many folders their configuration files share with this file, most first,
/// since not all are listed.
fn sort_nearest_first(engines: &mut [(PathBuf, i32)], file: &Path) {
    let shared = |other: &Path| {
        let pairs = other.components().zip(file.components());
        pairs.take_while(|(other, own)| other == own).count()
    };
    engines.sort_by_cached_key(|(other, _)| Reverse(shared(other)));
}

/// Asks the engines of this machine, except those in `own`, for their configuration files.
fn others(config: &Path, own: &[PathBuf]) -> Result<Others, Exit> {
    let names: Vec<_> = own.iter().filter_map(|directory| directory.file_name()).collect();
    let mut others = Others::default();
    let directories = listening().into_iter().filter(|directory| !own.contains(directory));
    for directory in directories {
        let is_for_file = directory.file_name().is_some_and(|name| names.contains(&name));
        match connect(&directory, false) {
            Ok(stream) => {
                let mut engine = found(directory, &stream);
                let info = info(stream)?;
                engine.is_named = info.as_ref().is_some_and(|info| info.is_named);
                let file = info.map(|info| PathBuf::from(info.config));
                if is_for_file || file.as_ref().is_some_and(|file| is_same_file(file, config)) {
                    others.of_file.push(engine);
                } else if let Some(file) = file {
                    others.of_other_files.push((file, engine.pid));
                }
            }
            Err(problem @ NoEngine::OfOther(_)) if is_for_file => {
                others.of_other_user.get_or_insert((directory, problem));
            }
            // This is not the engine, or it has just ended.
            Err(_) => {}
        }
    }
    Ok(others)
}

/// Asks an engine for its identity; `None` if it does not answer with one.
fn info(stream: UnixStream) -> Result<Option<EngineInfo>, Exit> {
    let asked = runtime()?
        .block_on(async { tokio::time::timeout(ASK_FOR, request(stream, get("/engine"))).await });
    let Ok(Ok(page)) = asked else { return Ok(None) };
    Ok(serde_json::from_slice(page.body()).ok().filter(|_| page.status().is_success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_of_files_that_are_near_come_first() {
        let mut engines = [("/a/b/x", 1), ("/z/x", 2), ("/a/c/x", 3), ("/a/b/d/x", 4)]
            .map(|(file, pid)| (PathBuf::from(file), pid));
        sort_nearest_first(&mut engines, Path::new("/a/c/nightcore.toml"));
        assert_eq!(engines.map(|(_, pid)| pid), [3, 1, 4, 2]);
    }
}
