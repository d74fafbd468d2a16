//! The internal calls that a worker has under way, by the worker's numbers for them.

use crate::ids::CallNumber;
use nightcore_runtime::protocol::InvokeNumber;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// A factor that differs in each engine, so that a worker cannot choose numbers that all hash to
/// one place. It is odd, so that no information of the number is lost.
static FACTOR: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u64) | 1);

/// Hashes a number with one multiplication, as every internal call is inserted and removed.
#[derive(Clone, Copy, Debug)]
struct Multiplied(u64);

impl Default for Multiplied {
    fn default() -> Multiplied {
        Multiplied(*FACTOR)
    }
}

impl BuildHasher for Multiplied {
    type Hasher = Product;

    #[inline]
    fn build_hasher(&self) -> Product {
        Product { factor: self.0, product: 0 }
    }
}

#[derive(Debug)]
struct Product {
    factor: u64,
    product: u64,
}

impl Hasher for Product {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.product ^ number) * u128::from(self.factor);
        self.product = (wide >> 64) as u64 ^ wide as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.product
    }
}

/// The internal calls that a worker has under way.
#[derive(Debug, Default)]
pub struct Invokes(HashMap<InvokeNumber, CallNumber, Multiplied>);

impl Invokes {
    /// How many calls are under way.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All calls under way, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (InvokeNumber, CallNumber)> {
        self.0.iter().map(|(tag, call)| (*tag, *call))
    }

    /// The call with this number.
    #[inline]
    pub fn get(&self, tag: InvokeNumber) -> Option<CallNumber> {
        self.0.get(&tag).copied()
    }

    /// Adds a call that was made.
    #[inline]
    pub fn began(&mut self, tag: InvokeNumber, call: CallNumber) {
        self.0.insert(tag, call);
    }

    /// Removes a call whose end the worker has been told, or does not want to be told.
    #[inline]
    pub fn ended(&mut self, tag: InvokeNumber) {
        self.0.remove(&tag);
    }
}
