//! The arguments that a program passes to libnightcore: names, bodies, metadata, options and
//! errors. The bytes decide whether they are valid.

use crate::engine::{ECHO, HOSTILE, LARGE, SILENT};
use crate::steps::Steps;
use nightcore_fuzz_c::*;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{from_ref, null, null_mut};
use std::sync::LazyLock;

/// A size over the limit for bodies.
const OVER_THE_LIMIT: usize = crate::engine::MAX_BODY as usize + 1;
/// The bytes that answers and calls consist of.
const ANSWER: u8 = b'r';
const CALL: u8 = b'c';
/// The maximum number of objects of each kind that a program holds at once.
const MAX_HELD: usize = 8;
/// The timeout of a call to a function that never answers.
const SHORT_NS: u64 = 1_000_000;

/// Removes one of the held objects and returns it, or NULL.
pub(crate) fn take<T>(held: &mut Vec<*mut T>, which: u8) -> *mut T {
    if held.is_empty() || which == 255 {
        null_mut()
    } else {
        held.swap_remove(usize::from(which) % held.len())
    }
}

/// Holds one more object, or frees it if enough are held.
pub(crate) fn keep<T>(held: &mut Vec<*mut T>, one: *mut T, free: impl FnOnce(*mut T)) {
    if !one.is_null() && held.len() < MAX_HELD { held.push(one) } else { free(one) }
}

/// Returns bytes that live for ever.
pub(crate) fn lend(bytes: &'static [u8]) -> nc_bytes {
    nc_bytes { data: bytes.as_ptr(), len: bytes.len() }
}

/// Returns lent bytes as a slice.
///
/// # Safety
/// The bytes are still valid.
pub(crate) unsafe fn borrow<'a>(bytes: nc_bytes) -> &'a [u8] {
    if bytes.len == 0 {
        assert!(bytes.data.is_null(), "no bytes, but at an address");
        return &[];
    }
    // SAFETY: the caller guarantees that the bytes are valid.
    unsafe { std::slice::from_raw_parts(bytes.data, bytes.len) }
}

/// Returns a body of an answer, of any size. In rare cases it cannot be read.
pub(crate) fn answer_body(steps: &mut Steps<'_>) -> nc_bytes {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| vec![ANSWER; OVER_THE_LIMIT]);
    body(steps, &BYTES)
}

fn call_body(steps: &mut Steps<'_>) -> nc_bytes {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| vec![CALL; OVER_THE_LIMIT]);
    body(steps, &BYTES)
}

/// Returns whether an answer of any function here can have this body.
pub(crate) fn is_answer(body: &[u8]) -> bool {
    body == LARGE
        || body.iter().all(|byte| *byte == ANSWER)
        || body.iter().all(|byte| *byte == CALL)
}

fn body(steps: &mut Steps<'_>, bytes: &'static [u8]) -> nc_bytes {
    let which = steps.u8();
    let len = match which % 8 {
        0..=3 => usize::from(steps.u8()),
        4 => usize::from(steps.u16()) % 1100,
        5 => usize::from(steps.u16()),
        6 => 300_000,
        _ => OVER_THE_LIMIT,
    };
    match which {
        254 => nc_bytes { data: null(), len: len + 1 },
        255 => nc_bytes { data: bytes.as_ptr(), len: usize::MAX - len },
        _ => lend(&bytes[..len]),
    }
}

/// Returns a size of a buffer.
pub(crate) fn capacity(steps: &mut Steps<'_>) -> usize {
    let number = steps.number();
    if number > 199 { number as usize } else { number as usize * 3000 }
}

/// The parts of a body.
pub(crate) struct Parts(Vec<nc_bytes>, usize);

impl Parts {
    pub(crate) fn of_call(steps: &mut Steps<'_>) -> Parts {
        Parts::new(steps, call_body)
    }

    pub(crate) fn of_answer(steps: &mut Steps<'_>) -> Parts {
        Parts::new(steps, answer_body)
    }

    fn new(steps: &mut Steps<'_>, body: fn(&mut Steps<'_>) -> nc_bytes) -> Parts {
        match steps.u8() {
            count @ 0..=250 => {
                let parts: Vec<nc_bytes> = (0..count % 12).map(|_| body(steps)).collect();
                let count = parts.len();
                Parts(parts, count)
            }
            // The array of these parts does not exist.
            count => Parts(Vec::new(), usize::from(count)),
        }
    }

    pub(crate) fn first(&self) -> *const nc_bytes {
        if self.0.is_empty() { null() } else { self.0.as_ptr() }
    }

    pub(crate) fn count(&self) -> usize {
        self.1
    }
}

/// Metadata, some of which cannot be sent.
pub(crate) struct Pairs(Vec<nc_pair>, usize);

impl Pairs {
    pub(crate) fn new(steps: &mut Steps<'_>) -> Pairs {
        const NAMES: [&[u8]; 8] =
            [b"a", b"x-kind", b":status", b"trailer:x", b"", b"Upper", b"\xff", &[b'n'; 300]];
        const VALUES: [&[u8]; 6] = [b"", b"1", b"404", b"99999", b"\0\xff", &[b'v'; 20_000]];
        let count = steps.u8();
        if count > 250 {
            return Pairs(Vec::new(), usize::from(count));
        }
        let pair = |steps: &mut Steps<'_>| {
            let (name, value) = (usize::from(steps.u8()), usize::from(steps.u8()));
            nc_pair {
                name: lend(NAMES[name % NAMES.len()]),
                value: lend(VALUES[value % VALUES.len()]),
            }
        };
        let pairs: Vec<nc_pair> = (0..count % 4).map(|_| pair(steps)).collect();
        let count = pairs.len();
        Pairs(pairs, count)
    }

    pub(crate) fn first(&self) -> *const nc_pair {
        if self.0.is_empty() { null() } else { self.0.as_ptr() }
    }

    pub(crate) fn count(&self) -> usize {
        self.1
    }
}

/// A text that ends with a zero, or NULL.
pub(crate) struct Text(Option<CString>);

impl Text {
    pub(crate) fn new(steps: &mut Steps<'_>) -> Text {
        let text: Vec<u8> = match steps.u8() % 6 {
            0 => return Text(None),
            1 => Vec::new(),
            2 => vec![b'm'; 2000],
            3 => "é".repeat(300).into_bytes(),
            4 => steps.text().to_vec(),
            _ => b"why".to_vec(),
        };
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Text(CString::new(&text[..end]).ok())
    }

    pub(crate) fn pointer(&self) -> *const c_char {
        self.0.as_ref().map_or(null(), |text| text.as_ptr())
    }
}

/// The name of a function to call.
pub(crate) struct Callee {
    name: CString,
    is_null: bool,
    /// Whether the function never answers.
    silent: bool,
}

impl Callee {
    pub(crate) fn new(steps: &mut Steps<'_>) -> Callee {
        let which = steps.u8() % 12;
        let name = match which {
            0..=4 => ECHO.as_bytes().to_vec(),
            5 => HOSTILE.as_bytes().to_vec(),
            6 => SILENT.as_bytes().to_vec(),
            7 => b"Nope".to_vec(),
            8 => b"no name".to_vec(),
            9 => vec![b'N'; 64],
            10 => b"\xff".to_vec(),
            _ => Vec::new(),
        };
        let is_null = which == 11 && steps.u8() & 1 == 0;
        Callee { name: CString::new(name).unwrap_or_default(), is_null, silent: which == 6 }
    }

    pub(crate) fn pointer(&self) -> *const c_char {
        if self.is_null { null() } else { self.name.as_ptr() }
    }

    /// Returns whether a call without options ends soon.
    pub(crate) fn answers(&self) -> bool {
        !self.silent
    }
}

/// The options of a call, with the fields that may follow in a later version.
#[repr(C)]
pub(crate) struct Options {
    known: nc_call_options,
    later: [u64; 2],
    pairs: Pairs,
    is_null: bool,
}

impl Options {
    pub(crate) fn new(steps: &mut Steps<'_>, callee: &Callee) -> Box<Options> {
        const KNOWN: usize = size_of::<nc_call_options>();
        let which = steps.u8();
        let struct_size = match which % 16 {
            1 => 0,
            2 => KNOWN - 1,
            3 => KNOWN + 1,
            4 => KNOWN + 16,
            _ => KNOWN,
        };
        let timeout_ns = match steps.u8() % 4 {
            _ if callee.silent => SHORT_NS,
            0 => 0,
            1 => 1,
            2 => SHORT_NS,
            _ => u64::MAX - u64::from(steps.u8()),
        };
        let pairs = Pairs::new(steps);
        let known = nc_call_options {
            struct_size,
            timeout_ns,
            metadata: pairs.first(),
            metadata_count: pairs.count(),
            flags: u32::from(which == 200),
        };
        let is_null = which % 16 == 5 && !callee.silent;
        Box::new(Options { known, later: [u64::from(which > 128), 0], pairs, is_null })
    }

    pub(crate) fn pointer(&self) -> *const nc_call_options {
        // The pointer covers the whole struct, because the library may read the fields that follow.
        if self.is_null { null() } else { from_ref(self).cast() }
    }
}

/// Reads all of an answer, and frees the answer.
///
/// # Safety
/// `answer` is NULL or belongs to the caller.
pub(crate) unsafe fn end_answer(answer: *mut nc_answer) {
    let mut value = lend(b"");
    let mut pair = nc_pair { name: value, value };
    // SAFETY: the caller vouches for it.
    unsafe {
        let body = borrow(nc_answer_body(answer));
        assert!(is_answer(body), "{} other bytes were answered", body.len());
        let count = nc_answer_metadata_count(answer);
        for index in 0..=count {
            let found = nc_answer_metadata_at(answer, index, &mut pair);
            assert_eq!(found == NC_OK, index < count);
        }
        let named = nc_answer_metadata(answer, c":status".as_ptr(), &mut value);
        assert!(
            !answer.is_null()
                || (named == NC_INVALID_ARGUMENT && nc_answer_http_status(answer) == 0)
        );
        assert_eq!(nc_answer_metadata(answer, null(), null_mut()), NC_INVALID_ARGUMENT);
        nc_answer_free(answer);
    }
}

/// Returns an error that the program owns, or NULL.
pub(crate) fn new_error(steps: &mut Steps<'_>) -> *mut nc_error {
    let mut error = null_mut();
    // SAFETY: the texts are valid, and there is a place for the error, which the program owns until
    // it is handed over.
    unsafe {
        let (function, message) = (Text::new(steps), Text::new(steps));
        let status = i32::from(steps.u8() % 16) - 2;
        let made = nc_error_new(status, function.pointer(), message.pointer(), &mut error);
        assert_eq!(made == NC_OK, !error.is_null());
        for _ in 0..steps.u8() % 20 {
            let (function, message) = (Text::new(steps), Text::new(steps));
            nc_error_add_cause(
                error,
                i32::from(steps.u8() % 16),
                function.pointer(),
                message.pointer(),
            );
        }
    }
    error
}

/// Reads all of an error.
///
/// # Safety
/// `error` is NULL or not freed.
pub(crate) unsafe fn read_error(error: *const nc_error) {
    // SAFETY: the caller vouches for the error, and its texts are valid as long as the error is.
    unsafe {
        assert_eq!(nc_error_status(error) == NC_OK, error.is_null());
        let texts =
            [nc_error_message(error), nc_error_function(error)].map(|text| CStr::from_ptr(text));
        assert!(!error.is_null() || texts.iter().all(|text| text.is_empty()));
        let count = nc_error_cause_count(error);
        for index in 0..count {
            let cause = nc_error_cause_at(error, index);
            assert!(!cause.is_null() && nc_error_cause_count(cause) == 0);
        }
        assert!(nc_error_cause_at(error, count).is_null());
    }
}

/// Reads all properties of a request.
///
/// # Safety
/// `req` is NULL or a request that has not ended.
pub(crate) unsafe fn read_request(req: *const nc_request) {
    let mut value = lend(b"");
    let mut pair = nc_pair { name: value, value };
    // SAFETY: the caller vouches for it.
    unsafe {
        let body: u64 = borrow(nc_request_body(req)).iter().map(|byte| u64::from(*byte)).sum();
        let names = [borrow(nc_request_function(req)), borrow(nc_request_caller(req))];
        assert_eq!(nc_request_is_internal(req), !names[1].is_empty());
        let (cancelled, left) = (nc_request_cancelled(req), nc_request_time_left_ns(req));
        let count = nc_request_metadata_count(req);
        for index in 0..=count {
            let found = nc_request_metadata_at(req, index, &mut pair);
            assert_eq!(found == NC_OK, index < count);
        }
        let method = nc_request_metadata(req, c":method".as_ptr(), &mut value);
        assert_eq!(nc_request_metadata(req, null(), &mut value), NC_INVALID_ARGUMENT);
        assert_eq!(nc_request_metadata_at(req, 0, null_mut()), NC_INVALID_ARGUMENT);
        if req.is_null() {
            assert_eq!((body, names[0], cancelled, left, count), (0, &b""[..], true, 0, 0));
            assert_eq!(method, NC_INVALID_ARGUMENT);
        } else {
            assert_eq!(names[0], HOSTILE.as_bytes());
        }
    }
}
