//! Finds reasons for which the system cannot start an executable file: its interpreter or its
//! loader is missing, or it was built for another processor.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::quote::quoted;

/// The number of bytes that are read: enough for the first line of a script, and for the headers of
/// a program.
const HEAD_BYTES: u64 = 4096;
/// The kernel reads no more of a script than this to find its interpreter.
const FIRST_LINE_BYTES: usize = 255;

const ELF: &[u8] = b"\x7fELF";
/// The class of 64-bit programs, and the byte order of this machine.
const ELF_64_LITTLE: &[u8] = &[2, 1];
/// The type of the segment that names the loader.
const PT_INTERP: u32 = 3;
/// The `e_machine` of programs for this machine.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// The result of the inspection of an executable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The system cannot start it.
    Error(String),
    /// It can be started, but probably does not do what the user wants.
    Warning(String),
}

/// Inspects the beginning of an executable that runs in `cwd` with this search path.
pub(super) fn inspect(program: &Path, cwd: &Path, search_path: &[PathBuf]) -> Option<Finding> {
    let mut head = Vec::new();
    // A file that may be executed but not read is not inspected.
    File::open(program).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    if head.starts_with(ELF) {
        return inspect_program(program, &head);
    }
    let Some(rest) = head.strip_prefix(b"#!") else {
        // If the kernel does not know the format, the C library runs the file as a shell script. A
        // file that is not text may have a format that was registered with the kernel.
        let is_text = !head.is_empty() && !head.contains(&0);
        let is_shell = program.extension().is_some_and(|extension| extension == "sh");
        return (is_text && !is_shell).then(|| {
            let program = program.display();
            Finding::Warning(format!(
                "{program} has no first line such as \"#!/usr/bin/env python3\", so /bin/sh runs it"
            ))
        });
    };
    let rest = &rest[..rest.len().min(FIRST_LINE_BYTES)];
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    inspect_script(program, &String::from_utf8_lossy(line), cwd, search_path).map(Finding::Error)
}

/// Inspects the first line of a script, without its `#!`.
fn inspect_script(
    script: &Path,
    line: &str,
    cwd: &Path,
    search_path: &[PathBuf],
) -> Option<String> {
    let script = script.display();
    if line.ends_with('\r') {
        return Some(format!(
            "the first line of {script} ends in a carriage return, which would be part of its \
             interpreter's name; save it with line ends of Unix"
        ));
    }
    let line = line.trim_matches([' ', '\t']);
    let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if interpreter.is_empty() {
        return None;
    }
    // A relative path is relative to the directory in which the process runs.
    let path = cwd.join(interpreter);
    if !path.exists() {
        return Some(format!(
            "the interpreter of {script} is not there: its first line names {}",
            quoted(interpreter)
        ));
    }
    if path.file_name().is_none_or(|name| name != "env") {
        return None;
    }
    let argument = argument.trim_start_matches([' ', '\t']);
    // The kernel passes the whole argument as one word.
    let name = match argument.strip_prefix("-S") {
        Some(words) => words.split_ascii_whitespace().next().unwrap_or_default(),
        None if argument.contains([' ', '\t']) && !argument.starts_with('-') => {
            return Some(format!(
                "the first line of {script} has env look for a program called {}; \
                 write \"#!{interpreter} -S {argument}\"",
                quoted(argument)
            ));
        }
        None => argument,
    };
    let is_name = !name.is_empty() && !name.starts_with('-') && !name.contains(['=', '/', '\\']);
    let is_there = || search_path.iter().any(|folder| folder.join(name).exists());
    (is_name && !is_there()).then(|| {
        format!("the interpreter of {script} is not there: {} is not in PATH", quoted(name))
    })
}

fn inspect_program(program: &Path, head: &[u8]) -> Option<Finding> {
    let shown = program.display();
    let machine = u16::from_le_bytes(bytes(head, 18)?);
    // An emulator may run a program for another processor.
    if head.get(4..6) == Some(ELF_64_LITTLE) && machine != MACHINE {
        return Some(Finding::Warning(format!(
            "{shown} was built for another processor: build it for {}",
            std::env::consts::ARCH
        )));
    }
    let loader = loader(head)?;
    (!loader.exists()).then(|| {
        Finding::Error(format!(
            "{shown} cannot be started: its loader {} is not there, so it was built for another \
             system, such as one with another C library",
            loader.display()
        ))
    })
}

/// Returns the path of the loader, if this is a 64-bit program that names one within the head.
fn loader(head: &[u8]) -> Option<PathBuf> {
    if head.get(4..6) != Some(ELF_64_LITTLE) {
        return None;
    }
    let offset = usize::try_from(u64::from_le_bytes(bytes(head, 32)?)).ok()?;
    let (size, count) =
        (u16::from_le_bytes(bytes(head, 54)?), u16::from_le_bytes(bytes(head, 56)?));
    for number in 0..usize::from(count) {
        let segment = head.get(offset.checked_add(number * usize::from(size))?..)?;
        if u32::from_le_bytes(bytes(segment, 0)?) == PT_INTERP {
            let at = usize::try_from(u64::from_le_bytes(bytes(segment, 8)?)).ok()?;
            let path = head.get(at..)?;
            let end = path.iter().position(|byte| *byte == 0)?;
            return Some(PathBuf::from(std::ffi::OsStr::from_bytes(&path[..end])));
        }
    }
    None
}

/// Returns the bytes of a number in a header.
fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn finding(content: &[u8]) -> Option<Finding> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        fs::write(&path, content).unwrap();
        let found = inspect(&path, folder.path(), &["/bin".into(), "/usr/bin".into()])?;
        let short = |text: String| text.replace(&path.display().to_string(), "run");
        Some(match found {
            Finding::Error(text) => Finding::Error(short(text)),
            Finding::Warning(text) => Finding::Warning(short(text)),
        })
    }

    fn error(content: &[u8]) -> String {
        match finding(content) {
            Some(Finding::Error(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn good_programs_are_not_spoken_of() {
        let own = fs::read("/proc/self/exe").unwrap();
        for good in [
            &own[..],
            b"#!/bin/sh\n",
            b"#! /bin/sh -e\n",
            b"#!/usr/bin/env sh\n",
            b"#!/usr/bin/env -S sh -e\n",
            b"#!/usr/bin/env -S A=1 sh\n",
            b"#!",
            b"",
            b"\x7fELF",
            b"\xca\xfe\x00",
        ] {
            assert_eq!(finding(good), None, "{:?}", &good[..good.len().min(40)]);
        }
    }

    #[test]
    fn an_interpreter_must_be_there() {
        assert!(error(b"#!/bin/sh\r\n").contains("carriage return"));
        assert_eq!(
            error(b"#!/opt/no/python3 -u\n"),
            "the interpreter of run is not there: its first line names \"/opt/no/python3\""
        );
        assert_eq!(
            error(b"#!/usr/bin/env no-such-python\n"),
            "the interpreter of run is not there: \"no-such-python\" is not in PATH"
        );
        assert!(error(b"#!/usr/bin/env sh -e\n").ends_with("\"#!/usr/bin/env -S sh -e\""));
    }

    #[test]
    fn text_without_an_interpreter_is_run_by_the_shell() {
        assert!(matches!(finding(b"import sys\n"), Some(Finding::Warning(_))));
    }

    #[test]
    fn a_program_must_be_for_this_machine() {
        let own = fs::read("/proc/self/exe").unwrap();
        let mut other = own.clone();
        other[18] = 243;
        assert!(matches!(finding(&other), Some(Finding::Warning(_))));
        // A static program has no loader.
        let head = &own[..HEAD_BYTES as usize];
        let Some(loader) = loader(head) else { return };
        let name = loader.file_name().unwrap().as_bytes();
        let at = head.windows(name.len()).position(|bytes| bytes == name).unwrap();
        let mut other = own.clone();
        other[at] = b'x';
        assert!(error(&other).contains("its loader"), "{}", error(&other));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(mut content: Vec<u8>, is_elf: bool) {
            if is_elf {
                content.splice(..0, [ELF, ELF_64_LITTLE].concat());
            }
            inspect_program(Path::new("run"), &content);
            finding(&content);
        }
    }
}
