//! Tests that the generated files match the runtime's constants.

use std::path::Path;

/// If it is set, the files are written instead of compared.
const WRITE_VARIABLE: &str = "NIGHTCORE_WRITE_BINDINGS";

#[test]
fn generated_files_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in nightcore_facts::all(&root).expect("the files can be read") {
        let path = root.join(file.path);
        if std::env::var_os(WRITE_VARIABLE).is_some() {
            std::fs::write(&path, &file.text).expect("the folder is writable");
            continue;
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == file.text, "{} is stale: run `make bindings`", file.path);
    }
}
