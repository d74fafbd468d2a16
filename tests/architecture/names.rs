//! Checks names of types: no two types of a crate share a name, so that a reader knows which type
//! is meant. Private types count too, and so do types in tests and inside functions.

use crate::source::{File, Source};
use proc_macro2::Ident;
use std::collections::BTreeMap;
use syn::visit::{self, Visit};

/// Describes each name that several types of a crate share: the name, and the line of each type.
pub fn shared(source: &Source) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &source.files {
        let mut types = Types { file, places: &mut places };
        types.visit_file(&file.syntax);
    }
    places.retain(|_, places| places.len() > 1);
    let describe = |(name, places): (String, Vec<String>)| {
        format!("{} types are called {name}: {}", places.len(), places.join(", "))
    };
    places.into_iter().map(describe).collect()
}

/// Finds the types and traits of a file. Associated types do not count, because their trait names
/// them.
struct Types<'a> {
    file: &'a File,
    /// The places of the types, by name.
    places: &'a mut BTreeMap<String, Vec<String>>,
}

impl Types<'_> {
    fn add(&mut self, name: &Ident) {
        let place = format!("{}:{}", self.file.path.display(), name.span().start().line);
        self.places.entry(name.to_string()).or_default().push(place);
    }
}

impl<'ast> Visit<'ast> for Types<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.add(&item.ident);
        visit::visit_item_union(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add(&item.ident);
        visit::visit_item_type(self, item);
    }
}
