//! Extensible structs: public structs that can get new fields without breaking compiled programs.
//!
//! An extensible struct begins with `struct_size`, which the program sets to its own `sizeof`. The
//! library compares that size with its own. The rules are those of Linux's `openat2`:
//!
//! | the program's size | a struct that the library reads | a struct that the library writes |
//! | --- | --- | --- |
//! | below that of the first version | is refused | is refused |
//! | below the library's | the missing fields are zero | is cut to the program's size |
//! | the library's | all fields are read | all fields are written |
//! | above the library's | is refused unless the rest is zero | the rest is set to zero |
//! | above [`MAX_SIZE`] | is refused | is refused |
//!
//! [`extensible!`] checks structs at compile time, so that the library never takes bytes that an
//! older program does not know or does not set for a value.

use crate::bytes::present;
use crate::guard::invalid;
use nightcore_runtime::protocol::Failure;

/// The largest `struct_size` that is accepted: a page. A larger one probably means that the program
/// forgot to set the field, so the library does not access that much memory.
const MAX_SIZE: usize = 4096;

/// A public struct that begins with `struct_size`. [`extensible!`] implements it.
///
/// # Safety
/// The struct is `repr(C)`, its first field is a `usize`, all its fields are [`Plain`], it has no
/// destructor, and `MIN_SIZE` is at least the size of a `usize` and at most that of the struct.
pub(crate) unsafe trait Extensible: Sized {
    /// The name in C.
    const NAME: &'static str;
    /// The size of the struct in the first version of the library that had it.
    const MIN_SIZE: usize;
}

/// A type for the fields of extensible structs.
///
/// # Safety
/// Any initialized bytes, zeros among them, are a value of the type, and it has no padding.
pub(crate) unsafe trait Plain {}

// SAFETY: any bytes are a number.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for usize {}
// SAFETY: any bytes are a raw pointer to a sized type; only its use has conditions.
unsafe impl<T> Plain for *const T {}
// SAFETY: as above.
unsafe impl<T> Plain for *mut T {}

/// Reads a struct that a program passes in. `what` names it in an error message.
///
/// # Safety
/// `from` is not NULL and aligned. It points to an initialized `usize`, the size. If the size is at
/// most [`MAX_SIZE`], that many bytes can be read, and those of the fields are initialized.
pub(crate) unsafe fn read<T: Extensible>(from: *const T, what: &str) -> Result<T, Failure> {
    let known = size_of::<T>();
    // SAFETY: `from` points to an initialized size.
    let given = accepted::<T>(unsafe { from.cast::<usize>().read() }, what)?;
    if given < known {
        let mut value = zeroed::<T>();
        // SAFETY: both sides have `given` bytes, which is the program's size and less than the
        // library's; the value is a local, so they do not overlap; the fields are `Plain`.
        unsafe { from.cast::<u8>().copy_to_nonoverlapping((&raw mut value).cast(), given) };
        return Ok(value);
    }
    let rest = from.cast::<u8>().wrapping_add(known);
    // SAFETY: the program has `given` bytes, which is at least `known`. The bytes beyond `known`
    // are initialized, because they belong to fields: only the first version has padding.
    let rest = unsafe { std::slice::from_raw_parts(rest, given - known) };
    if rest.iter().any(|byte| *byte != 0) {
        return Err(invalid(format!(
            "{what} sets a field of {} that this libnightcore does not know, as it is older than \
             the program's header: upgrade it, or leave the field zero",
            T::NAME
        )));
    }
    // SAFETY: the program has at least `known` bytes, aligned; the fields are `Plain`.
    Ok(unsafe { from.read() })
}

/// A place in the program's memory for a struct that the library writes.
pub(crate) struct Place<T> {
    to: *mut T,
    given: usize,
}

impl<T: Extensible> Place<T> {
    /// Checks the size of a place. Functions call it before they do anything else. `what` names the
    /// place in an error message.
    ///
    /// # Safety
    /// `to` is NULL, or it is aligned and points to an initialized `usize`, the size. If the size
    /// is at most [`MAX_SIZE`], that many bytes can be written, and nobody else uses them until
    /// the place is dropped or filled.
    pub(crate) unsafe fn new(to: *mut T, what: &str) -> Result<Place<T>, Failure> {
        present(to, what)?;
        // SAFETY: `to` is not NULL, so it points to an initialized size.
        let given = accepted::<T>(unsafe { to.cast::<usize>().read() }, what)?;
        Ok(Place { to, given })
    }

    /// Writes a struct except for its `struct_size`, which keeps the program's value.
    pub(crate) fn fill(self, value: T) {
        let Place { to, given } = self;
        let known = size_of::<T>();
        if given < known {
            let from = (&raw const value).cast::<u8>();
            // SAFETY: both sides have `given` bytes, which is the program's size and less than the
            // library's; the value is a local, so they do not overlap.
            unsafe { to.cast::<u8>().copy_from_nonoverlapping(from, given) };
        } else {
            // SAFETY: the program has at least `known` bytes, aligned.
            unsafe { to.write(value) };
            if given > known {
                // SAFETY: the program has `given` bytes.
                unsafe { to.cast::<u8>().wrapping_add(known).write_bytes(0, given - known) };
            }
        }
        // SAFETY: `given` is at least `MIN_SIZE`, so there is room for the first field.
        unsafe { to.cast::<usize>().write(given) };
    }
}

/// An array in the program's memory for structs that the library writes, one after the other. The
/// program sets the size of the first.
pub(crate) struct Places<T> {
    next: *mut T,
    given: usize,
}

impl<T: Extensible> Places<T> {
    /// Checks the size, which holds for all places. `what` names the array in an error message.
    ///
    /// # Safety
    /// Each place that is filled meets the conditions of [`Place::new`]; the places lie
    /// `struct_size` bytes apart.
    pub(crate) unsafe fn new(first: *mut T, what: &str) -> Result<Places<T>, Failure> {
        // SAFETY: the first place meets the conditions.
        let Place { to, given } = unsafe { Place::new(first, what) }?;
        if !given.is_multiple_of(align_of::<T>()) {
            return Err(invalid(format!("{what}: structs of {given} bytes make no array")));
        }
        Ok(Places { next: to, given })
    }

    /// Writes the next struct, with its `struct_size`.
    ///
    /// # Safety
    /// There is one more place.
    pub(crate) unsafe fn fill_next(&mut self, value: T) {
        Place { to: self.next, given: self.given }.fill(value);
        // SAFETY: the place has `given` bytes.
        self.next = unsafe { self.next.byte_add(self.given) };
    }
}

/// Returns a struct whose fields are all zero or NULL, to which results are then written.
pub(crate) fn zeroed<T: Extensible>() -> T {
    // SAFETY: the fields are `Plain`.
    unsafe { std::mem::zeroed() }
}

/// Returns the program's size if the library accepts it.
fn accepted<T: Extensible>(given: usize, what: &str) -> Result<usize, Failure> {
    if (T::MIN_SIZE..=MAX_SIZE).contains(&given) {
        return Ok(given);
    }
    Err(invalid(format!(
        "{what}.struct_size is {given} and must be from {} to {MAX_SIZE}: set it to sizeof({})",
        T::MIN_SIZE,
        T::NAME
    )))
}

/// Declares an extensible struct with all its versions: the size of each version, and the fields
/// that it added. A row is never changed; a new version is a new row. A struct that breaks one of
/// these rules does not compile:
///
/// - `struct_size` comes first, and every field is listed once, in order, and is [`Plain`].
/// - A new field begins where the previous version ended. An older program may have left any bytes
///   in padding at that end.
/// - A version after the first has no padding. A newer program may leave padding uninitialized, and
///   an older library would take it for a field that is set.
/// - The alignment stays that of `struct_size`.
macro_rules! extensible {
    ($type:ident {
        $min:expr => struct_size $(, $first:ident)*;
        $($size:expr => $($later:ident),+;)*
    }) => {
        const _: () = {
            use $crate::extensible::{Version, check, field};
            // Names every field, so that a new one cannot be left out.
            let _ = |$type { struct_size: _ $(, $first: _)* $($(, $later: _)+)* }: $type| ();
            let _: fn(&$type) -> &usize = |value| &value.struct_size;
            check::<$type>(&[
                Version { size: $min, fields: &[
                    field(std::mem::offset_of!($type, struct_size), |v: &$type| &v.struct_size)
                    $(, field(std::mem::offset_of!($type, $first), |v: &$type| &v.$first))*
                ] },
                $(Version { size: $size, fields: &[
                    $(field(std::mem::offset_of!($type, $later), |v: &$type| &v.$later)),+
                ] },)*
            ]);
        };
        // SAFETY: `check` and the types of its arguments ensure the conditions, except `repr(C)`:
        // without it cbindgen would declare an opaque struct.
        unsafe impl $crate::extensible::Extensible for $type {
            const NAME: &'static str = stringify!($type);
            const MIN_SIZE: usize = $min;
        }
    };
}
pub(crate) use extensible;

/// A version of a struct: its size, and the fields that it added.
pub(crate) struct Version {
    pub(crate) size: usize,
    pub(crate) fields: &'static [Field],
}

/// The position of a field in its struct.
pub(crate) struct Field {
    offset: usize,
    end: usize,
}

/// Describes the field at this offset, which has the type of the reference.
pub(crate) const fn field<T, F: Plain>(offset: usize, _: fn(&T) -> &F) -> Field {
    Field { offset, end: offset + size_of::<F>() }
}

/// Checks the versions of a struct by the rules of [`extensible!`], at compile time.
pub(crate) const fn check<T>(versions: &[Version]) {
    assert!(align_of::<T>() == align_of::<usize>(), "the alignment has changed");
    assert!(!std::mem::needs_drop::<T>(), "the struct has a destructor");
    assert!(versions[0].fields[0].offset == 0, "struct_size is not the first field");
    let (mut version, mut size) = (0, 0);
    while version < versions.len() {
        let (mut field, mut end) = (0, size);
        while field < versions[version].fields.len() {
            let next = &versions[version].fields[field];
            assert!(version == 0 || next.offset == end, "a new field follows or lies in padding");
            assert!(version > 0 || next.offset >= end, "the fields are not in order");
            (field, end) = (field + 1, next.end);
        }
        size = versions[version].size;
        assert!(version == 0 || end == size, "the version ends in padding");
        assert!(version > 0 || end <= size, "the first version is larger than its size");
        version += 1;
    }
    assert!(size == size_of::<T>(), "the last version does not have the struct's size");
    assert!(size <= MAX_SIZE, "the struct is larger than any that is accepted");
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightcore_runtime::protocol::Status;
    use std::alloc::{Layout, alloc, dealloc};

    /// A struct of three versions. The first one ended in padding.
    #[repr(C)]
    #[derive(Debug, PartialEq)]
    struct Sample {
        struct_size: usize,
        a: u32,
        b: u64,
        c: u32,
        d: i32,
    }

    extensible!(Sample {
        16 => struct_size, a;
        24 => b;
        32 => c, d;
    });

    const WHOLE: Sample = Sample { struct_size: 32, a: 1, b: 2, c: 3, d: 4 };

    /// A program's memory: exactly `struct_size` bytes, but at least the size of a `usize`.
    struct Memory(*mut u8, Layout);

    impl Memory {
        /// Allocates a struct of `size` bytes that begins as `WHOLE` does. Each byte beyond it is
        /// `rest`.
        fn new(size: usize, rest: u8) -> Memory {
            let (layout, whole) = (Layout::from_size_align(size.max(8), 8).unwrap(), WHOLE);
            // SAFETY: the size is not zero, and no write is larger than the allocation.
            unsafe {
                let memory = alloc(layout);
                memory.write_bytes(rest, layout.size());
                let known = size_of::<Sample>().min(layout.size());
                memory.copy_from_nonoverlapping((&raw const whole).cast(), known);
                memory.cast::<usize>().write(size);
                Memory(memory, layout)
            }
        }

        fn read(&self) -> Result<Sample, Failure> {
            // SAFETY: the memory has `struct_size` bytes.
            unsafe { read(self.0.cast_const().cast(), "sample") }
        }

        fn place(&self) -> Result<Place<Sample>, Failure> {
            // SAFETY: the memory has `struct_size` bytes, and nobody else uses it.
            unsafe { Place::new(self.0.cast(), "sample") }
        }

        fn bytes(&self) -> &[u8] {
            // SAFETY: `new` has written all bytes.
            unsafe { std::slice::from_raw_parts(self.0, self.1.size()) }
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: `new` has allocated the memory with this layout.
            unsafe { dealloc(self.0, self.1) };
        }
    }

    #[test]
    fn a_smaller_struct_is_completed_with_zeros() {
        for (size, b, c, d) in [(16, 0, 0, 0), (20, 2, 0, 0), (24, 2, 0, 0), (28, 2, 3, 0)] {
            let expected = Sample { struct_size: size, a: 1, b, c, d };
            assert_eq!(Memory::new(size, 0xff).read().unwrap(), expected, "{size} bytes");
        }
        assert_eq!(Memory::new(32, 0xff).read().unwrap(), WHOLE);
    }

    #[test]
    fn a_larger_struct_is_read_if_the_rest_is_zero() {
        for size in [33, 40, MAX_SIZE] {
            let expected = Sample { struct_size: size, ..WHOLE };
            assert_eq!(Memory::new(size, 0).read().unwrap(), expected, "{size} bytes");
            let memory = Memory::new(size, 0);
            // SAFETY: this is the last byte of the memory.
            unsafe { memory.0.add(size - 1).write(1) };
            let failure = memory.read().unwrap_err();
            assert_eq!(failure.status, Status::InvalidArgument);
            assert!(failure.message.contains("sets a field of Sample"), "{failure}");
        }
    }

    #[test]
    fn a_size_of_no_version_is_refused() {
        for size in [0, 7, 8, 15, MAX_SIZE + 1] {
            let failure = Memory::new(size, 0).read().unwrap_err();
            let expected = format!(
                "sample.struct_size is {size} and must be from 16 to 4096: set it to sizeof(Sample)"
            );
            assert_eq!((failure.status, failure.message), (Status::InvalidArgument, expected));
            let failure = Memory::new(size, 0).place().err().unwrap();
            assert_eq!(failure.status, Status::InvalidArgument);
        }
        // SAFETY: NULL is refused.
        let failure = unsafe { Place::<Sample>::new(std::ptr::null_mut(), "sample") }.err();
        assert_eq!(failure.unwrap().message, "sample is NULL");
    }

    #[test]
    fn a_result_has_the_size_that_the_program_knows() {
        let all: Vec<u8> = Memory::new(32, 0).bytes().to_vec();
        for size in [16, 20, 24, 32, 33, 40, MAX_SIZE] {
            let memory = Memory::new(size, 0xff);
            // SAFETY: these are the bytes of the memory after `struct_size`.
            unsafe { memory.0.add(8).write_bytes(0xff, size - 8) };
            memory.place().unwrap().fill(Sample { struct_size: 0, ..WHOLE });
            assert_eq!(memory.bytes()[..8], size.to_ne_bytes());
            let known = size.min(32);
            assert_eq!(memory.bytes()[8..known], all[8..known], "{size} bytes");
            assert!(memory.bytes()[known..].iter().all(|byte| *byte == 0), "{size} bytes");
        }
    }

    #[test]
    fn a_place_that_is_not_filled_is_left_alone() {
        let memory = Memory::new(32, 0);
        assert!(memory.place().is_ok());
        assert_eq!(memory.bytes(), Memory::new(32, 0).bytes());
    }

    /// Versions of a struct with `struct_size` and one more `u64`.
    fn versions_hold(first: usize, fields: &'static [Field], last: usize) -> bool {
        const SIZE: Field = Field { offset: 0, end: 8 };
        let first = Version { size: first, fields: &[SIZE] };
        let versions = [first, Version { size: last, fields }];
        std::panic::catch_unwind(|| check::<[u64; 2]>(&versions)).is_ok()
    }

    #[test]
    fn a_version_has_no_padding_and_uses_none() {
        const WHOLE: [Field; 1] = [Field { offset: 8, end: 16 }];
        assert!(versions_hold(8, &WHOLE, 16));
        // The field lies in the padding of the first version.
        assert!(!versions_hold(16, &[Field { offset: 12, end: 16 }], 16));
        // There is padding before the field, or after it.
        assert!(!versions_hold(8, &[Field { offset: 12, end: 16 }], 16));
        assert!(!versions_hold(8, &[Field { offset: 8, end: 12 }], 16));
        // The size is not that of the struct.
        assert!(!versions_hold(8, &WHOLE, 24));
        assert!(!versions_hold(8, &[], 8));
    }
}
