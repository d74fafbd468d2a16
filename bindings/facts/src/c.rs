//! Statuses and limits for C, as Rust source from which cbindgen generates part of `nightcore.h`.

use crate::text::{NOTICE, comment};
use nightcore_runtime::protocol::limits;
use nightcore_runtime::protocol::status::TABLE;

/// The limits that a program may want to know, with the comment of each in the header.
const LIMITS: [(&str, &str, usize); 3] = [
    ("NC_MAX_NAME_BYTES", "The longest name of a function, in bytes.", limits::MAX_NAME_BYTES),
    (
        "NC_MAX_METADATA_BYTES",
        "The most bytes that the metadata of one message take when they are encoded.",
        limits::MAX_METADATA_BYTES,
    ),
    (
        "NC_MAX_OPEN_CALLS",
        "The most calls that one worker may have under way at once.",
        limits::MAX_OUTSTANDING,
    ),
];

pub(crate) fn facts() -> String {
    let about_status = comment(
        "How a call or an operation of the library ended. A call ends only with a status below \
         NC_INVALID_ARGUMENT; the other statuses are the library's own.",
        "///",
    );
    let mut text = format!(
        "// {NOTICE}\n\
         //! The statuses and limits of the header.\n\n\
         use std::ffi::CStr;\n\n\
         {about_status}\n\
         #[repr(i32)]\n\
         pub enum nc_status {{\n"
    );
    for row in TABLE {
        let (doc, name, number) = (comment(row.doc, "    ///"), row.name, row.status.number());
        text += &format!("{doc}\n    NC_{name} = {number},\n");
    }
    text += "}\n";
    for (name, doc, value) in LIMITS {
        text += &format!("\n/// {doc}\n#[allow(dead_code, reason = \"it is for the header\")]\n");
        text += &format!("pub const {name}: usize = {value};\n");
    }
    text += "\n/// The return type of functions. cbindgen.toml renames it to nc_status in the ";
    text += "header.\n///\n/// cbindgen:ignore\n";
    text += "pub type status = i32;\n";
    text += "\n// These are integers, because a program may pass a number that no variant has.\n";
    for row in TABLE {
        let name = row.name;
        text += "/// cbindgen:ignore\n";
        text += &format!("pub const NC_{name}: i32 = nc_status::NC_{name} as i32;\n");
    }
    text += "\n/// The name of each status.\n";
    text += &format!("pub(crate) const NAMES: [(i32, &CStr); {}] = [\n", TABLE.len());
    for row in TABLE {
        text += &format!("    (NC_{name}, c\"{name}\"),\n", name = row.name);
    }
    text + "];\n"
}
