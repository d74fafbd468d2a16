//! All functions, by id and by name.

use super::cores::Cores;
use super::function::Function;
use super::spec::Spec;
use crate::ids::FunctionId;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// All functions. A function that was removed keeps its id and its place.
#[derive(Debug, Default)]
pub struct Functions {
    all: Vec<Function>,
    by_name: HashMap<String, FunctionId>,
    /// The number of the machine's cores, if it bounds the functions.
    cores: Option<NonZeroU32>,
}

impl Functions {
    /// Creates a table of functions that are bounded by this number of cores, if it is given.
    pub fn on_cores(cores: Option<NonZeroU32>) -> Functions {
        Functions { cores, ..Functions::default() }
    }

    /// Adds a function with a new name.
    ///
    /// # Panics
    ///
    /// If there are as many functions as a `u32` can count.
    pub fn add(&mut self, spec: Spec) -> FunctionId {
        let number = u32::try_from(self.all.len() + 1).ok();
        let id = number.and_then(FunctionId::new).expect("a u32 can count the functions");
        self.by_name.insert(spec.name.clone(), id);
        self.all.push(Function::new(spec, Cores::new(self.cores)));
        id
    }

    /// The function with this name, even if it was removed.
    pub fn known(&self, name: &str) -> Option<FunctionId> {
        self.by_name.get(name).copied()
    }

    /// The function with this name, unless there is none or it was removed.
    pub fn find(&self, name: &str) -> Option<FunctionId> {
        self.known(name).filter(|id| !self[*id].is_removed())
    }

    /// Whether there is a function with this id that was not removed.
    #[inline]
    pub fn is_there(&self, id: FunctionId) -> bool {
        self.all.get(id.index()).is_some_and(|function| !function.is_removed())
    }

    /// All functions, including those that were removed.
    pub fn all(&self) -> impl Iterator<Item = (FunctionId, &Function)> {
        (1..).map_while(FunctionId::new).zip(&self.all)
    }

    /// The ids of all functions that were not removed, in the order in which they were first added.
    pub fn ids(&self) -> Vec<FunctionId> {
        self.all().filter(|(_, function)| !function.is_removed()).map(|(id, _)| id).collect()
    }
}

/// # Panics
///
/// If the id is not one that [`Functions::add`] returned. An id that came from a worker is checked
/// with [`Functions::is_there`] first.
impl Index<FunctionId> for Functions {
    type Output = Function;

    #[inline]
    fn index(&self, id: FunctionId) -> &Function {
        &self.all[id.index()]
    }
}

impl IndexMut<FunctionId> for Functions {
    #[inline]
    fn index_mut(&mut self, id: FunctionId) -> &mut Function {
        &mut self.all[id.index()]
    }
}
