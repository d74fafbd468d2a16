//! Parses a nightcore.toml.

use nightcore_engine::config::Config;
use std::path::Path;

pub(super) fn target(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    // A folder that contains commands: the shell, `true` and others.
    let path = Path::new("/bin/nightcore.toml");
    match Config::parse(text, path) {
        Ok(config) => {
            let printed = config.to_toml();
            let again = Config::parse(&printed, path).unwrap_or_else(|e| panic!("{e}\n{printed}"));
            assert_eq!(without_lines(again), without_lines(config), "{printed}");
        }
        // Each error names its place.
        Err(errors) => assert!(errors.to_string().contains("nightcore.toml")),
    }
}

/// Clears the line numbers of the tables, which depend on where they were written.
fn without_lines(mut config: Config) -> Config {
    config.functions.iter_mut().for_each(|function| function.line = 0);
    config
}
