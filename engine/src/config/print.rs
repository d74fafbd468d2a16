//! The effective values as TOML.

use std::fmt::{self, Write};
use std::path::Path;

use super::checked::{Config, Function, Limits};
use super::gateway::AUTO;
use super::units::{format_duration, format_size, format_thousandths};
use super::variables::escape;
use nightcore_runtime::protocol::control::{ChannelKind, Placement};

impl Config {
    /// The effective values as TOML. Read again from the same directory, it gives the same
    /// configuration.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
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

impl Function {
    fn write(&self, directory: &Path, out: &mut String) -> fmt::Result {
        let command: Vec<_> = self.as_written.command.iter().map(|word| quote(word)).collect();
        writeln!(out, "\n[functions.{}]", self.name)?;
        // Escaped, since the path could hold a line break.
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
        writeln!(out, "processes = {}", self.processes)?;
        match self.workers.max {
            Some(max) => writeln!(out, "workers = {{ min = {}, max = {max} }}", self.workers.min)?,
            None => {
                let (threads, slots) = (self.workers.max_threads(), self.workers.max_slots());
                write!(out, "workers = {{ min = {} }}", self.workers.min)?;
                writeln!(out, "  # max: {threads} threads, or {slots} calls on event loops")?;
            }
        }
        writeln!(out, "timeout = {}", string(&format_duration(self.timeout)))?;
        writeln!(out, "grace = {}", string(&format_duration(self.grace)))?;
        let start_timeout = string(&format_duration(self.start_timeout));
        writeln!(out, "start_timeout = {start_timeout}")?;
        let stop_timeout = string(&format_duration(self.stop_timeout));
        writeln!(out, "stop_timeout = {stop_timeout}")?;
        let bytes = string(&format_size(self.queue.bytes));
        writeln!(out, "queue = {{ calls = {}, bytes = {bytes} }}", self.queue.calls)?;
        writeln!(out, "max_depth = {}", self.max_depth)?;
        writeln!(out, "external = {}", self.external)?;
        let channel = match self.channel {
            ChannelKind::Ring => "ring",
            ChannelKind::Fifo => "fifo",
        };
        writeln!(out, "channel = \"{channel}\"")?;
        let placement = match self.placement {
            Placement::Apart => "apart",
            Placement::Free => "free",
        };
        writeln!(out, "placement = \"{placement}\"")?;
        writeln!(out, "direct = {}", self.direct)?;
        writeln!(out, "watch = {}", self.watch)?;
        let Limits { memory_bytes, cpu_millis, open_files, tasks } = &self.limits;
        let limits = [
            memory_bytes.map(|bytes| format!("memory = {}", string(&format_size(bytes)))),
            cpu_millis.map(|millis| format!("cpus = {}", format_thousandths(millis))),
            open_files.map(|most| format!("open_files = {most}")),
            tasks.map(|most| format!("tasks = {most}")),
        ];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        match limits.is_empty() {
            true => writeln!(out, "limits = {{}}")?,
            false => writeln!(out, "limits = {{ {} }}", limits.join(", "))?,
        }
        writeln!(out, "quarantine_after = {}", self.quarantine_after)?;
        writeln!(out, "retries = {}", self.retries)?;
        writeln!(out, "idempotent = {}", self.idempotent)?;
        if let Some(path) = &self.ready_path {
            writeln!(out, "ready_path = {}", string(path))?;
        }
        match self.expose_errors {
            Some(exposed) => writeln!(out, "expose_errors = {exposed}")?,
            None => writeln!(out, "# expose_errors = false, and true for `nightcore dev`")?,
        }
        match self.route.as_deref() {
            Some(route) => {
                writeln!(out, "route = {}", string(if route.is_empty() { "/" } else { route }))
            }
            None => Ok(()),
        }
    }
}

/// A path for the file: relative where it can be, so that the output can be used in place of the
/// file.
fn relative_to(path: &Path, directory: &Path) -> String {
    match path.strip_prefix(directory) {
        Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
        Ok(rest) => rest.to_string_lossy().into_owned(),
        Err(_) => path.to_string_lossy().into_owned(),
    }
}

/// A TOML string on one line, in which no variable is replaced.
fn string(text: &str) -> String {
    quote(&escape(text))
}

/// A TOML string on one line.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
