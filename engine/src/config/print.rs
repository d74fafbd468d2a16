//! Writes the effective values as TOML.

use std::fmt::{self, Write};
use std::path::Path;

use super::checked::{Config, FunctionConfig};
use super::gateway::AUTO;
use super::toml_string::{quote, string};
use super::units::format_size;

impl Config {
    /// Returns the effective values as TOML. If this text is read from the same directory, it gives
    /// the same configuration.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "[gateway]")?;
        writeln!(out, "listen = {}", string(&self.gateway.listen.to_string()))?;
        writeln!(out, "max_body = {}", string(&format_size(self.gateway.max_body_bytes)))?;
        let memory = self.gateway.memory_bytes.map_or_else(|| AUTO.to_owned(), format_size);
        writeln!(out, "memory = {}", string(&memory))?;
        if let Some(admin) = &self.admin {
            writeln!(out, "\n[admin]\nlisten = {}", string(&admin.listen.to_string()))?;
        }
        for function in &self.functions {
            function.write(&self.directory, out)?;
        }
        Ok(())
    }
}

impl FunctionConfig {
    fn write(&self, directory: &Path, out: &mut String) -> fmt::Result {
        let command: Vec<_> = self.as_written.command.iter().map(|word| quote(word)).collect();
        writeln!(out, "\n[functions.{}]", self.name)?;
        // The path is escaped, because it could contain a line break.
        writeln!(out, "# runs {:?}", self.program.to_string_lossy())?;
        writeln!(out, "command = [{}]", command.join(", "))?;
        writeln!(out, "cwd = {}", string(&relative_to(&self.cwd, directory)))?;
        let env = self.as_written.env.iter();
        let env = env.map(|(name, value)| format!("{} = {}", quote(name), quote(value)));
        let env: Vec<_> = env.collect();
        match env.is_empty() {
            true => writeln!(out, "env = {{}}")?,
            false => writeln!(out, "env = {{ {} }}", env.join(", "))?,
        }
        let files = self.env_files.iter().map(|file| string(&relative_to(file, directory)));
        let files: Vec<_> = files.collect();
        if !files.is_empty() {
            writeln!(out, "env_file = [{}]", files.join(", "))?;
        }
        self.keys.write(out)?;
        match self.route.as_deref() {
            Some(route) => {
                writeln!(out, "route = {}", string(if route.is_empty() { "/" } else { route }))
            }
            None => Ok(()),
        }
    }
}

/// Returns a path as the file should have it: relative to the directory where possible, so that the
/// output can replace the file.
fn relative_to(path: &Path, directory: &Path) -> String {
    match path.strip_prefix(directory) {
        Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
        Ok(rest) => rest.to_string_lossy().into_owned(),
        Err(_) => path.to_string_lossy().into_owned(),
    }
}
