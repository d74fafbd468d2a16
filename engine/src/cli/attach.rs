//! `nightcore attach`

use super::arguments::{Engine, check_name};
use super::engine_client::ask;
use super::exit::{EXIT_BAD_INPUT, Exit};
use crate::observe::admin::{Attachment, InvokeError};
use hyper::Method;
use nightcore_runtime::protocol::control::{FUNCTION_VARIABLE, SOCKET_VARIABLE, TOKEN_VARIABLE};
use std::os::unix::process::CommandExt;
use std::process::Command;

#[derive(clap::Args)]
pub struct Attach {
    #[command(flatten)]
    engine: Engine,
    /// The function
    function: String,
    /// The program and its arguments; it gets all calls of the function, without deadlines
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl Attach {
    pub fn run(self) -> Result<(), Exit> {
        check_name(&self.function)?;
        let (status, page) =
            ask(&self.engine, Method::POST, &format!("/attach/{}", self.function), Vec::new())?;
        if !status.is_success() {
            let error: InvokeError = serde_json::from_slice(&page).map_err(Exit::bad_input)?;
            return Err(Exit::new(EXIT_BAD_INPUT, error.message));
        }
        let attachment: Attachment = serde_json::from_slice(&page).map_err(Exit::bad_input)?;
        let error = Command::new(&self.command[0])
            .args(&self.command[1..])
            .env(SOCKET_VARIABLE, attachment.socket)
            .env(TOKEN_VARIABLE, attachment.token)
            .env(FUNCTION_VARIABLE, &self.function)
            .exec();
        Err(Exit::new(EXIT_BAD_INPUT, format!("{}: {error}", self.command[0])))
    }
}
