//! Tests that the C compiler and the Rust compiler lay out the public structs in the same way.

use crate::bytes::nc_bytes;
use crate::call::nc_call_options;
use crate::event_loop::nc_event;
use crate::metadata::nc_pair;
use crate::testing::nc_test_request;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Lists the size of a struct and the offset of each field, with the C expression for each number.
macro_rules! layout {
    ($type:ident { $($field:ident),* $(,)? }) => {{
        // The pattern names every field, so that a new one cannot be left out.
        let _ = |$type { $($field: _),* }: $type| ();
        let mut rows = vec![(concat!("sizeof(", stringify!($type), ")"), size_of::<$type>())];
        $(rows.push((
            concat!("offsetof(", stringify!($type), ", ", stringify!($field), ")"),
            std::mem::offset_of!($type, $field),
        ));)*
        rows
    }};
}

#[test]
fn c_has_the_same_layouts() {
    let rows = [
        layout!(nc_bytes { data, len }),
        layout!(nc_pair { name, value }),
        layout!(nc_call_options { struct_size, timeout_ns, metadata, metadata_count, flags }),
        layout!(nc_event {
            struct_size,
            kind,
            status,
            request,
            request_number,
            tag,
            answer,
            error
        }),
        layout!(nc_test_request {
            struct_size,
            function,
            caller,
            body,
            metadata,
            metadata_count,
            time_left_ns,
            cancel_reason,
            flags,
            callee,
            callee_user
        }),
    ]
    .concat();
    let mut source = String::from("#include <nightcore.h>\n#include <stdio.h>\nint main(void) {\n");
    for (expression, _) in &rows {
        writeln!(source, "    printf(\"{expression} %zu\\n\", {expression});").unwrap();
    }
    source.push_str("    return 0;\n}\n");
    let expected: String =
        rows.iter().map(|(expression, number)| format!("{expression} {number}\n")).collect();

    let dir = tempfile::tempdir().unwrap();
    let (file, program) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&file, source).unwrap();
    let mut build = cc::Build::new();
    let target = env!("NIGHTCORE_TARGET");
    build.target(target).host(target).opt_level(0).debug(false).std("c11");
    let mut compiler = build.get_compiler().to_command();
    compiler.arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include"));
    assert!(compiler.arg(&file).arg("-o").arg(&program).status().unwrap().success());
    let output = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
