//! Finds the files of a crate by their `mod` declarations, and parses them.

use std::fs;
use std::path::{Path, PathBuf};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta, Token};

/// The path of a module from the root of its crate. For example, `crate::gateway::stop` is
/// `["gateway", "stop"]`.
pub type ModulePath = Vec<String>;

/// A file of a crate.
pub struct File {
    /// Its path, relative to the folder from which the crate was read.
    pub path: PathBuf,
    /// The module that it contains.
    pub module: ModulePath,
    /// Its text.
    pub text: String,
    /// The parsed text.
    pub syntax: syn::File,
    /// Whether it is compiled only for tests.
    pub is_test: bool,
}

/// A crate.
pub struct Source {
    /// Its files. Each file comes after the file that declares it.
    pub files: Vec<File>,
}

impl Source {
    /// Reads the crate whose root is this file. The paths of its files are relative to `base`.
    ///
    /// # Panics
    ///
    /// If a file is missing or is not valid Rust, or if a module inside another one sets its own
    /// path, which no module here does.
    pub fn read(base: &Path, root: &str) -> Source {
        let mut source = Source { files: Vec::new() };
        source.add(base, Path::new(root), ModulePath::new(), false);
        source
    }

    fn add(&mut self, base: &Path, path: &Path, module: ModulePath, is_test: bool) {
        let text = fs::read_to_string(base.join(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let syntax =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().expect("a file has a name");
        let is_folder = ["lib", "main", "mod"].iter().any(|name| stem == *name);
        let parent = path.parent().expect("a file is in a folder");
        let folder = if is_folder { parent.to_owned() } else { parent.join(stem) };
        let mut declared = Vec::new();
        declarations(&syntax.items, &folder, &module, is_test, &mut declared);
        self.files.push(File { path: path.to_owned(), module, text, syntax, is_test });
        for child in declared {
            let beside = child.folder.join(format!("{}.rs", child.module[child.module.len() - 1]));
            let inside = beside.with_extension("").join("mod.rs");
            let path = match child.own_path {
                Some(own_path) => parent.join(own_path),
                None if base.join(&beside).exists() => beside,
                None => inside,
            };
            self.add(base, &path, child.module, child.is_test);
        }
    }
}

/// A declaration of a module that has a file of its own.
struct Declared {
    folder: PathBuf,
    module: ModulePath,
    is_test: bool,
    /// The value of `#[path = "..."]`, relative to the folder of the declaring file.
    own_path: Option<String>,
}

fn declarations(
    items: &[Item],
    folder: &Path,
    module: &[String],
    is_test: bool,
    into: &mut Vec<Declared>,
) {
    for item in items {
        let Item::Mod(item) = item else { continue };
        let own_path = own_path(&item.attrs);
        let is_test = is_test || is_for_tests(&item.attrs);
        let name = name(item);
        let module = [module, std::slice::from_ref(&name)].concat();
        match &item.content {
            Some((_, items)) => {
                let before = into.len();
                declarations(items, &folder.join(name), &module, is_test, into);
                let has_own_path = into[before..].iter().any(|inner| inner.own_path.is_some());
                assert!(!has_own_path, "a module inside {} gives its own path", item.ident);
            }
            None => into.push(Declared { folder: folder.to_owned(), module, is_test, own_path }),
        }
    }
}

fn own_path(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("path") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    })
}

/// Returns the name of a module.
pub fn name(item: &ItemMod) -> String {
    item.ident.to_string().trim_start_matches("r#").to_owned()
}

/// Returns whether an item with these attributes is compiled only for tests.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition))
    })
}

fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|conditions| conditions.iter().any(needs_test)),
        _ => false,
    }
}
