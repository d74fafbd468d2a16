//! Watches the files of functions that are restarted when their files change.
//!
//! The watch covers the files that a function's command names. If one of them is a script, the
//! watch also covers all files of the same language in and below its folder. A file counts as
//! changed when its writer has closed it, or when it was moved or linked to its place.
//!
//! For a function that is built, the watch covers the sources below its folder instead. There it
//! also counts when a source is removed, or when a folder is added or removed, because the folder
//! may hold or have held sources.

use crate::builds::{MAX_FOLDERS, is_skipped, is_source};
use crate::config::{Config, FunctionConfig};
use crate::engine_log::log;
use crate::watched::Watched;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::Interest;
use tokio::time::{Instant, sleep_until};

/// The time without changes after which they are reported: an editor or a build changes several
/// files.
const QUIET: Duration = Duration::from_millis(100);
/// The longest time from the first change to its report, if changes go on. A function may write a
/// file all the time that counts as one of its language, such as `data.json`. Most builds end
/// sooner.
const LONGEST: Duration = Duration::from_secs(2);
/// A file or a folder was removed or moved away. This counts for sources only.
const GONE: AddWatchFlags = AddWatchFlags::IN_DELETE.union(AddWatchFlags::IN_MOVED_FROM);
/// The extensions of each language.
const KIN: [&[&str]; 3] =
    [&["js", "mjs", "cjs", "ts", "mts", "cts", "json"], &["py", "pyi"], &["rb", "rake"]];

/// The changes that a watch reports.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The functions whose files have changed, each with the file that changed last.
    pub functions: BTreeMap<String, PathBuf>,
    /// Whether the configuration has changed.
    pub config: bool,
}

/// The watched files of a function.
struct Files {
    function: String,
    /// The files that the function's command names.
    named: BTreeSet<PathBuf>,
    /// The folders of the scripts among them, each with the extensions that count.
    below: Vec<(PathBuf, Vec<String>)>,
    /// The folder of the function's sources, if it is built.
    sources: Option<PathBuf>,
}

impl Files {
    fn of(function: &FunctionConfig, directory: &Path, is_built: bool) -> Files {
        if is_built && function.keys.build.is_some() {
            return Files {
                function: function.name.clone(),
                named: BTreeSet::new(),
                below: Vec::new(),
                sources: Some(function.cwd.clone()),
            };
        }
        let arguments = function.command.iter().skip(1).map(|word| function.cwd.join(word));
        let arguments = arguments.filter(|path| path.is_file());
        // A program outside of the project, such as an interpreter, is not expected to change.
        let program =
            Some(function.program.clone()).filter(|program| program.starts_with(directory));
        let named: BTreeSet<PathBuf> = program.into_iter().chain(arguments).collect();
        let script = |path: &PathBuf| {
            let extension = path.extension()?.to_str()?;
            let kin = KIN.iter().find(|kin| kin.contains(&extension));
            let kin = kin.map_or_else(
                || vec![extension.to_owned()],
                |kin| kin.iter().map(|e| (*e).into()).collect(),
            );
            Some((path.parent()?.to_owned(), kin))
        };
        let below = named.iter().filter_map(script).collect();
        Files { function: function.name.clone(), named, below, sources: None }
    }

    fn has(&self, path: &Path) -> bool {
        let is_kin = |extensions: &[String]| {
            path.extension()
                .is_some_and(|extension| extensions.iter().any(|kin| extension == kin.as_str()))
        };
        self.named.contains(path)
            || self.below.iter().any(|(folder, kin)| path.starts_with(folder) && is_kin(kin))
            || self.has_source(path) && is_source(path)
    }

    /// Whether a path is in the folder of sources.
    fn has_source(&self, path: &Path) -> bool {
        self.sources.as_ref().is_some_and(|folder| path.starts_with(folder))
    }

    /// Returns the folders that are watched together with the folders below them.
    fn folders_below(&self) -> impl Iterator<Item = &PathBuf> {
        self.below.iter().map(|(folder, _)| folder).chain(&self.sources)
    }
}

/// The kernel's list of watched folders.
struct Folders {
    inotify: Inotify,
    /// A duplicate of the descriptor of `inotify`.
    watched: Watched,
}

impl Folders {
    fn new() -> io::Result<Folders> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let watched = Watched::new(inotify.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        Ok(Folders { inotify, watched })
    }
}

/// Watches the files of functions.
#[derive(Default)]
pub struct Watch {
    watched: Option<Folders>,
    folders: HashMap<WatchDescriptor, PathBuf>,
    files: Vec<Files>,
    /// The files of the configuration, if they are watched.
    config: BTreeSet<PathBuf>,
    pending: Changed,
    /// The time at which the pending changes are reported.
    due: Option<Debounce>,
}

/// The time at which changes are reported: when there have been none for a moment, and at the
/// latest some time after the first one.
#[derive(Clone, Copy)]
struct Debounce {
    quiet_at: Instant,
    latest: Instant,
}

impl Debounce {
    fn at(self) -> Instant {
        self.quiet_at.min(self.latest)
    }
}

impl Watch {
    /// Watches the files of the functions with `watch = true` from now on. With `everything` it
    /// watches those of all functions and the configuration. Functions are built only in that case.
    pub fn set(&mut self, config: &Config, everything: bool) {
        let watched = config.functions.iter().filter(|function| everything || function.keys.watch);
        self.files =
            watched.map(|function| Files::of(function, &config.directory, everything)).collect();
        let env_files = config.functions.iter().flat_map(|function| function.env_files.clone());
        let files = std::iter::once(config.file()).chain(env_files);
        self.config = files.filter(|_| everything).collect();
        if self.files.is_empty() && self.config.is_empty() {
            *self = Watch::default();
            return;
        }
        if let Err(error) = self.scan() {
            log(&format!("cannot watch files: {error}"));
        }
    }

    fn scan(&mut self) -> io::Result<()> {
        if self.watched.is_none() {
            self.watched = Some(Folders::new()?);
        }
        let named = self.files.iter().flat_map(|files| &files.named).chain(&self.config);
        let folders: BTreeSet<PathBuf> =
            named.filter_map(|path| Some(path.parent()?.to_owned())).collect();
        let below: BTreeSet<PathBuf> =
            self.files.iter().flat_map(Files::folders_below).cloned().collect();
        for folder in folders {
            self.watch_folder(folder)?;
        }
        for folder in below {
            self.watch_below(&folder)?;
        }
        Ok(())
    }

    fn watch_folder(&mut self, folder: PathBuf) -> io::Result<()> {
        let Some(Folders { inotify, .. }) = &self.watched else { return Ok(()) };
        if self.folders.len() >= MAX_FOLDERS {
            return Err(io::Error::other(format!("there are more than {MAX_FOLDERS} folders")));
        }
        let mut what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_ONLYDIR;
        if self.files.iter().any(|files| files.has_source(&folder)) {
            what |= GONE;
        }
        match inotify.add_watch(&folder, what) {
            Ok(descriptor) => drop(self.folders.insert(descriptor, folder)),
            Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => {}
            Err(nix::Error::ENOSPC) => {
                return Err(io::Error::other(
                    "too many folders; raise fs.inotify.max_user_watches",
                ));
            }
            Err(error) => return Err(io::Error::other(format!("{}: {error}", folder.display()))),
        }
        Ok(())
    }

    fn watch_below(&mut self, folder: &Path) -> io::Result<()> {
        let mut left = vec![folder.to_owned()];
        while let Some(folder) = left.pop() {
            // A folder that was removed meanwhile, or that cannot be read, has no files of
            // interest.
            let inside = fs::read_dir(&folder).into_iter().flatten().flatten();
            let is_of_interest = |entry: &fs::DirEntry| {
                !is_skipped(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_dir())
            };
            left.extend(inside.filter(is_of_interest).map(|entry| entry.path()));
            self.watch_folder(folder)?;
        }
        Ok(())
    }

    /// Waits until files have changed and then none has changed for a moment, or until changes have
    /// gone on for [`LONGEST`]. If the future is dropped, no change is lost.
    pub async fn changed(&mut self) -> Changed {
        loop {
            let Some(Folders { inotify, watched }) = &self.watched else {
                return std::future::pending().await;
            };
            let due = self.due;
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due.at()).await,
                    None => std::future::pending().await,
                }
            };
            let events = tokio::select! {
                () = is_due => {
                    self.due = None;
                    return std::mem::take(&mut self.pending);
                }
                ready = watched.readable() => {
                    let Ok(mut ready) = ready else { return std::future::pending().await };
                    let events = inotify.read_events();
                    if events.is_err() {
                        ready.clear_ready();
                    }
                    events.unwrap_or_default()
                }
            };
            self.heard(events);
        }
    }

    /// Takes back changes that could not be handled yet, and reports them again soon.
    pub fn put_off(&mut self, functions: BTreeMap<String, PathBuf>) {
        if functions.is_empty() {
            return;
        }
        for (function, path) in functions {
            self.pending.functions.entry(function).or_insert(path);
        }
        self.note_change();
    }

    fn note_change(&mut self) {
        let now = Instant::now();
        let latest = self.due.map_or(now + LONGEST, |due| due.latest);
        self.due = Some(Debounce { quiet_at: now + QUIET, latest });
    }

    fn heard(&mut self, events: Vec<InotifyEvent>) {
        let mut is_new = false;
        for event in events {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                // The kernel has dropped events, so any file may have changed.
                let all = self.files.iter();
                let unknown = || PathBuf::from("too many files to tell");
                let all = all.map(|files| (files.function.clone(), unknown()));
                self.pending.functions.extend(all);
                is_new = true;
            }
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                self.folders.remove(&event.wd);
                continue;
            }
            let (Some(folder), Some(name)) = (self.folders.get(&event.wd), event.name) else {
                continue;
            };
            let path = folder.join(name);
            if event.mask.contains(AddWatchFlags::IN_ISDIR) {
                let is_below =
                    |files: &Files| files.folders_below().any(|folder| path.starts_with(folder));
                let is_skipped = path.file_name().is_none_or(is_skipped);
                if !is_skipped {
                    let of = self.files.iter().filter(|files| files.has_source(&path));
                    is_new |= note(&mut self.pending, of, &path);
                }
                if !is_skipped
                    && !event.mask.intersects(GONE)
                    && self.files.iter().any(is_below)
                    && let Err(error) = self.watch_below(&path)
                {
                    log(&format!("cannot watch files: {error}"));
                }
            } else if event.mask.intersects(GONE) {
                let is_one = |files: &&Files| files.sources.is_some() && files.has(&path);
                is_new |= note(&mut self.pending, self.files.iter().filter(is_one), &path);
            } else if !event.mask.contains(AddWatchFlags::IN_CREATE) || path.is_symlink() {
                let of = self.files.iter().filter(|files| files.has(&path));
                is_new |= note(&mut self.pending, of, &path);
                if self.config.contains(&path) {
                    self.pending.config = true;
                    is_new = true;
                }
            }
        }
        if is_new {
            self.note_change();
        }
    }
}

/// Records that a file of these functions has changed. Returns false if there are no such
/// functions.
fn note<'f>(
    pending: &mut Changed,
    functions: impl Iterator<Item = &'f Files>,
    path: &Path,
) -> bool {
    let of: Vec<_> = functions.map(|files| (files.function.clone(), path.to_owned())).collect();
    let is_new = !of.is_empty();
    pending.functions.extend(of);
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_count_for_a_built_function() {
        let toml = "[functions.Foo]\ncommand = ['sh', 'foo.sh', 'x.conf']\nbuild = ['make']\n";
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["foo.sh", "x.conf"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let config = Config::parse(toml, &folder.join("nightcore.toml")).unwrap();
        let of = |is_built| Files::of(&config.functions[0], &folder, is_built);
        for (path, is_source, is_named) in [
            ("foo.go", true, false),
            ("lib/foo.h", true, false),
            ("foo.sh", true, true),
            ("x.conf", false, true),
            ("program", false, false),
        ] {
            let path = folder.join(path);
            assert_eq!((of(true).has(&path), of(false).has(&path)), (is_source, is_named));
        }
        assert!(!of(true).has(Path::new("/elsewhere/foo.go")));
    }

    #[test]
    fn named_files_and_files_of_the_script_s_language_count() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir(folder.join("js")).unwrap();
        for name in ["foo.py", "settings.toml", "js/bar.mjs"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let toml = "[functions.Foo]\ncommand = ['sh', 'foo.py', 'settings.toml', 'absent.py']\n\
                    [functions.Bar]\ncommand = ['sh', 'bar.mjs']\ncwd = 'js'\n";
        let config = Config::parse(toml, &folder.join("nightcore.toml")).unwrap();
        let files: Vec<Files> =
            config.functions.iter().map(|f| Files::of(f, &folder, true)).collect();
        let of = |path: &str| {
            files.iter().map(|files| files.has(&folder.join(path))).collect::<Vec<_>>()
        };
        for foo in ["foo.py", "settings.toml", "lib/deep/part.py", "js/tool.py", "absent.py"] {
            assert_eq!(of(foo), [true, false], "{foo}");
        }
        for bar in ["js/bar.mjs", "js/lib/x.js", "js/package.json"] {
            assert_eq!(of(bar), [false, true], "{bar}");
        }
        for neither in ["x.js", "data.db", "js/x.db", "nightcore.log"] {
            assert_eq!(of(neither), [false, false], "{neither}");
        }
    }
}
