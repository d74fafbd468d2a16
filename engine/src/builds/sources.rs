//! Reads the sources of a build, and finds the files that differ between two readings.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders whose content is not written by hand.
const SKIPPED: [&str; 5] = ["node_modules", "__pycache__", "target", "venv", "dist"];
/// The extensions of sources, of files that compilers embed into programs, and of files that
/// configure builds.
const EXTENSIONS: [&str; 52] = [
    "S", "c", "cc", "cjs", "cmake", "cpp", "cs", "css", "cts", "cxx", "go", "gradle", "graphql",
    "h", "hh", "hpp", "html", "hxx", "inc", "java", "js", "json", "jsx", "kt", "kts", "mjs", "mk",
    "mod", "mts", "proto", "py", "pyi", "pyx", "rs", "s", "scala", "scss", "sh", "sql", "sum",
    "svelte", "swift", "tmpl", "toml", "ts", "tsx", "vue", "work", "xml", "yaml", "yml", "zig",
];
/// The names of files that configure builds and have no such extension.
const NAMES: [&str; 5] = ["CMakeLists.txt", "GNUmakefile", "Makefile", "makefile", "meson.build"];
/// Larger files are not read: they count as changed whenever they are written. Data sets among the
/// sources would be read for every build.
const MAX_READ_BYTES: u64 = 4 * 1024 * 1024;
/// The most folders that are watched and read. By default the kernel allows a user at least this
/// number of watches.
pub const MAX_FOLDERS: usize = 8192;

/// Whether a folder of this name is skipped.
pub fn is_skipped(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || SKIPPED.iter().any(|skipped| name == *skipped)
}

/// Whether a file of this name is a source.
pub fn is_source(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    let extension = path.extension().and_then(OsStr::to_str);
    let is_one = extension.is_some_and(|extension| EXTENSIONS.contains(&extension));
    !is_hidden && (is_one || NAMES.iter().any(|known| name == *known))
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// The hash of its bytes.
    Read(u64),
    /// Its size and the time of its last change.
    Large(u64, Option<SystemTime>),
}

impl Content {
    fn of(path: &Path) -> Option<Content> {
        // Another kind of file could be a named pipe, which would block the reader.
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        if metadata.len() > MAX_READ_BYTES {
            return Some(Content::Large(metadata.len(), metadata.modified().ok()));
        }
        let mut bytes = Vec::new();
        // The file may have grown since its size was read.
        fs::File::open(path).ok()?.take(MAX_READ_BYTES).read_to_end(&mut bytes).ok()?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        Some(Content::Read(hasher.finish()))
    }
}

/// The sources below a folder, with the content of each at the time of a reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<PathBuf, Content>);

impl Sources {
    /// Reads the sources below a folder, without the configuration file. The time that this takes
    /// grows with the size of the files.
    pub(super) fn read(root: &Path, config: &Path) -> Sources {
        let mut sources = BTreeMap::new();
        let mut left = vec![root.to_owned()];
        let mut count = 0;
        while let Some(folder) = left.pop() {
            count += 1;
            if count > MAX_FOLDERS {
                break;
            }
            // A folder that was removed meanwhile, or that cannot be read, has no sources.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    left.extend((!is_skipped(&entry.file_name())).then_some(path));
                } else if is_source(&path)
                    && path != config
                    && let Some(content) = Content::of(&path)
                {
                    sources.insert(path, content);
                }
            }
        }
        Sources(sources)
    }

    /// Returns the files that were added, removed or changed since `before`, sorted.
    pub(super) fn changed_since(&self, before: &Sources) -> Vec<PathBuf> {
        let differs = |(path, content): &(&PathBuf, &Content)| before.0.get(*path) != Some(content);
        let mut changed: Vec<PathBuf> =
            self.0.iter().filter(differs).map(|(path, _)| path.clone()).collect();
        changed.extend(before.0.keys().filter(|path| !self.0.contains_key(*path)).cloned());
        changed.sort();
        changed
    }
}

#[cfg(test)]
impl Sources {
    /// Creates sources from names, each with a number that stands for its content.
    pub(super) fn of(files: &[(&str, u64)]) -> Sources {
        let files = files.iter().map(|(path, content)| (path.into(), Content::Read(*content)));
        Sources(files.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_order() {
        assert!(EXTENSIONS.is_sorted() && NAMES.is_sorted());
    }

    #[test]
    fn sources_are_files_of_known_kinds() {
        for source in ["a.go", "go.mod", "x/y.cpp", "Makefile", "a/CMakeLists.txt", "a.test.ts"] {
            assert!(is_source(Path::new(source)), "{source}");
        }
        for other in ["hello", "a.o", "a.log", ".a.go", "a.go~", "a.go.swp", "README.md", "go"] {
            assert!(!is_source(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn sources_are_compared_by_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let config = root.join("nightcore.toml");
        for inside in ["lib", "target", ".git"] {
            fs::create_dir(root.join(inside)).unwrap();
            fs::write(root.join(inside).join("a.rs"), "1").unwrap();
        }
        for name in ["main.rs", "program", "nightcore.toml"] {
            fs::write(root.join(name), "1").unwrap();
        }
        nix::unistd::mkfifo(&root.join("pipe.rs"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let before = Sources::read(root, &config);
        assert_eq!(before.0.len(), 2, "{before:?}");
        let changed = || Sources::read(root, &config).changed_since(&before);
        // The file is written again, with the same content.
        fs::write(root.join("main.rs"), "1").unwrap();
        for other in ["target/a.rs", ".git/a.rs", "program", "nightcore.toml"] {
            fs::write(root.join(other), "2").unwrap();
        }
        assert_eq!(changed(), Vec::<PathBuf>::new());
        fs::write(root.join("main.rs"), "2").unwrap();
        fs::write(root.join("new.rs"), "").unwrap();
        fs::remove_file(root.join("lib/a.rs")).unwrap();
        assert_eq!(changed(), ["lib/a.rs", "main.rs", "new.rs"].map(|name| root.join(name)));
    }

    #[test]
    fn large_files_are_compared_by_size_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        let file = fs::File::create(&path).unwrap();
        file.set_len(MAX_READ_BYTES + 1).unwrap();
        let before = Sources::read(folder.path(), Path::new("/"));
        assert!(Sources::read(folder.path(), Path::new("/")).changed_since(&before).is_empty());
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(Sources::read(folder.path(), Path::new("/")).changed_since(&before), [path]);
    }
}
