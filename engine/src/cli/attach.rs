//! `nightcore attach`

use super::arguments::{Engine, check_name};
use super::engine_client::ask;
use super::exit::{EXIT_BAD_INPUT, EXIT_NO_ENGINE, Exit};
use super::http::PageRequest;
use crate::launcher::{MANAGER_VARIABLES, limit_open_files};
use crate::observe::admin::{Attachment, InvokeError};
use crate::place::as_written;
use hyper::Method;
use hyper::header::HeaderMap;
use nightcore_runtime::protocol::control::{
    FUNCTION_VARIABLE, LOG_KEY_VARIABLE, SOCKET_VARIABLE, TOKEN_VARIABLE,
};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(clap::Args)]
pub struct Attach {
    #[command(flatten)]
    engine: Engine,
    /// The function
    function: String,
    /// The program and its arguments; it gets all calls of the function, without deadlines, and
    /// runs in the function's directory with its variables
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl Attach {
    pub fn run(self) -> Result<(), Exit> {
        check_name(&self.function)?;
        let asked = PageRequest {
            method: Method::POST,
            page: format!("/attach/{}", self.function),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        let page = ask(&self.engine, asked)?;
        if !page.status().is_success() {
            let error: InvokeError =
                serde_json::from_slice(page.body()).map_err(Exit::bad_input)?;
            return Err(Exit::new(EXIT_BAD_INPUT, error.message));
        }
        let attachment = serde_json::from_slice(page.body()).map_err(|error| {
            Exit::new(EXIT_NO_ENGINE, format!("the engine is of another version: {error}"))
        })?;
        let program = self.program()?;
        let error = self.run_as(&program, attachment);
        Err(Exit::new(EXIT_BAD_INPUT, format!("cannot run {}: {error}", program.display())))
    }

    /// Returns the program. A path is relative to the user's working directory, not to that of the
    /// function.
    fn program(&self) -> Result<PathBuf, Exit> {
        let word = &self.command[0];
        if word.contains('/') {
            return as_written(Path::new(word)).map_err(Exit::bad_input);
        }
        Ok(PathBuf::from(word))
    }

    /// Replaces this process with the program, in the environment of the function's own processes.
    /// Returns only if that failed, with the reason.
    fn run_as(&self, program: &Path, attachment: Attachment) -> io::Error {
        let Attachment { socket, token, cwd, env, open_files } = attachment;
        if let Err(error) = open_files.map_or(Ok(()), |most| limit_open_files(most.into())) {
            return error.into();
        }
        let mut command = Command::new(program);
        // No launcher reads the output of this process.
        for name in MANAGER_VARIABLES.into_iter().chain([LOG_KEY_VARIABLE]) {
            command.env_remove(name);
        }
        command
            .args(&self.command[1..])
            .current_dir(cwd)
            .envs(env)
            .env(SOCKET_VARIABLE, socket)
            .env(TOKEN_VARIABLE, token)
            .env(FUNCTION_VARIABLE, &self.function)
            .exec()
    }
}
