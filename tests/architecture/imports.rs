//! The imports between the files of a crate.
//!
//! A path imports the file of its longest prefix that is a module. So `crate::gateway::stop::Stop`
//! imports `gateway/stop.rs`, and `crate::gateway::Stop`, which a `pub use` makes possible, imports
//! `gateway/mod.rs`. A declaration (`mod stop;`) is not an import. Code that is compiled only for
//! tests does not count.

use crate::source::{File, ModulePath, Source, is_for_tests, name};
use proc_macro2::{Span, TokenStream, TokenTree};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Macro, UseTree};

/// The imports of a crate. Files are numbered as in [`Source::files`].
pub struct Imports<'a> {
    source: &'a Source,
    /// The line numbers of the imports, from 1, by the importing and the imported file.
    pub lines: BTreeMap<(usize, usize), Vec<usize>>,
}

impl<'a> Imports<'a> {
    /// Finds the imports of all files.
    pub fn of(source: &'a Source) -> Imports<'a> {
        let mut modules = HashMap::new();
        let counted = source.files.iter().enumerate().filter(|(_, file)| !file.is_test);
        for (number, file) in counted.clone() {
            modules.insert(file.module.clone(), number);
            inline_modules(&file.syntax.items, &file.module, number, &mut modules);
        }
        let mut lines: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (number, file) in counted {
            let mut imported = paths(file, &modules);
            imported.sort();
            imported.dedup();
            for (to, line) in imported.into_iter().filter(|(to, _)| *to != number) {
                lines.entry((number, to)).or_default().push(line);
            }
        }
        Imports { source, lines }
    }

    /// Returns the path of a file.
    pub fn path(&self, file: usize) -> &Path {
        &self.source.files[file].path
    }

    /// Returns the lines by which one file imports another, each as `path:number: text`.
    pub fn show(&self, from: usize, to: usize) -> Vec<String> {
        let file = &self.source.files[from];
        let text: Vec<&str> = file.text.lines().collect();
        let shown = self.lines[&(from, to)].iter();
        shown
            .map(|line| format!("{}:{line}: {}", file.path.display(), text[line - 1].trim()))
            .collect()
    }
}

fn inline_modules(
    items: &[Item],
    module: &[String],
    file: usize,
    modules: &mut HashMap<ModulePath, usize>,
) {
    for item in items {
        let Item::Mod(item) = item else { continue };
        let Some((_, items)) = &item.content else { continue };
        if !is_for_tests(&item.attrs) {
            let module = [module, &[name(item)]].concat();
            inline_modules(items, &module, file, modules);
            modules.insert(module, file);
        }
    }
}

/// Returns the files that the paths of a file resolve to, with the lines of these paths.
fn paths(file: &File, modules: &HashMap<ModulePath, usize>) -> Vec<(usize, usize)> {
    let mut reader = Reader { module: file.module.clone(), uses: Vec::new(), others: Vec::new() };
    reader.visit_file(&file.syntax);
    // For each module, this holds the modules that `use` brings into its scope, by their names
    // there.
    let mut scopes: HashMap<ModulePath, HashMap<String, ModulePath>> = HashMap::new();
    // A `use` may begin with a name that a later `use` brings in.
    loop {
        let before = scopes.values().map(HashMap::len).sum::<usize>();
        for used in &reader.uses {
            let target = resolve(&used.path, modules, &scopes);
            if let Some(target) = target.filter(|target| target.is_whole)
                && let Some(alias) = &used.alias
            {
                let scope = scopes.entry(used.path.from.clone()).or_default();
                scope.insert(alias.clone(), target.module);
            }
        }
        if before == scopes.values().map(HashMap::len).sum::<usize>() {
            break;
        }
    }
    let used = reader.uses.iter().map(|used| &used.path);
    let resolved = used.chain(&reader.others).filter_map(|path| {
        let target = resolve(path, modules, &scopes)?;
        Some((modules[&target.module], path.line))
    });
    resolved.collect()
}

/// A path as it is written in a module.
struct Written {
    from: ModulePath,
    segments: Vec<String>,
    line: usize,
}

/// A path after `use`, and the name that it brings in; `None` for `*` and `_`.
struct Used {
    path: Written,
    alias: Option<String>,
}

/// The module that a path resolves to.
struct Target {
    module: ModulePath,
    /// Whether the path names the module itself, and not an item in it.
    is_whole: bool,
}

fn resolve(
    path: &Written,
    modules: &HashMap<ModulePath, usize>,
    scopes: &HashMap<ModulePath, HashMap<String, ModulePath>>,
) -> Option<Target> {
    let mut rest = path.segments.as_slice();
    let mut module = path.from.clone();
    match rest.first()?.as_str() {
        "crate" => {
            module.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {}
        first => {
            let child = [path.from.as_slice(), &[first.to_owned()]].concat();
            let used = scopes.get(&path.from).and_then(|scope| scope.get(first));
            module = if modules.contains_key(&child) { child } else { used?.clone() };
            rest = &rest[1..];
        }
    }
    while rest.first().is_some_and(|segment| segment == "super") {
        module.pop()?;
        rest = &rest[1..];
    }
    while let Some(segment) = rest.first() {
        module.push(segment.clone());
        if !modules.contains_key(&module) {
            module.pop();
            break;
        }
        rest = &rest[1..];
    }
    Some(Target { module, is_whole: rest.is_empty() })
}

/// Collects the paths of a file.
struct Reader {
    /// The module that is being read.
    module: ModulePath,
    uses: Vec<Used>,
    others: Vec<Written>,
}

impl Reader {
    fn written(&self, segments: Vec<String>, at: Span) -> Written {
        Written { from: self.module.clone(), segments, line: at.start().line }
    }

    fn read_use(&mut self, tree: &UseTree, before: &[String]) {
        let (name, alias) = match tree {
            UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                return self.read_use(&path.tree, &before);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.read_use(tree, before));
            }
            UseTree::Name(name) => (Some(name.ident.to_string()), Some(name.ident.to_string())),
            UseTree::Rename(name) => (Some(name.ident.to_string()), Some(name.rename.to_string())),
            UseTree::Glob(_) => (None, None),
        };
        // `use a::b::{self}` brings in `b`.
        let is_self = name.as_deref() == Some("self") && !before.is_empty();
        let name = name.filter(|_| !is_self);
        let alias = if is_self && alias.as_deref() == Some("self") {
            before.last().cloned()
        } else {
            alias.filter(|alias| alias != "_")
        };
        let segments: Vec<String> = before.iter().cloned().chain(name).collect();
        let path = self.written(segments, tree.span());
        self.uses.push(Used { path, alias });
    }

    /// Collects the paths in a macro's arguments, which are not parsed: names joined by `::`.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        let mut path: Option<(Vec<String>, Span)> = None;
        let mut colons = 0;
        loop {
            let token = tokens.next();
            match &token {
                Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                Some(TokenTree::Ident(ident)) => {
                    let name = ident.to_string();
                    match &mut path {
                        Some((segments, _)) if colons == 2 => segments.push(name),
                        _ => {
                            self.end_path(path.take());
                            path = Some((vec![name], ident.span()));
                        }
                    }
                }
                other => {
                    self.end_path(path.take());
                    if let Some(TokenTree::Group(group)) = other {
                        self.read_tokens(group.stream());
                    }
                }
            }
            colons = 0;
            if token.is_none() {
                return;
            }
        }
    }

    fn end_path(&mut self, path: Option<(Vec<String>, Span)>) {
        if let Some((segments, at)) = path.filter(|(segments, _)| segments.len() > 1) {
            self.others.push(self.written(segments, at));
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(name(item));
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.read_use(&item.tree, &[]);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A path of a single name is not a module: it is a variable, a type or a function.
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let names = path.segments.iter().map(|segment| segment.ident.to_string());
            let path = self.written(names.collect(), path.span());
            self.others.push(path);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        visit::visit_macro(self, called);
        self.read_tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.read_tokens(list.tokens.clone());
        }
    }

    // A path that restricts visibility, as in `pub(in path)`, is not an import.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
