//! Facts for Python.

use crate::text::{NOTICE, endings, escaped};
use nightcore_runtime::protocol::Status;
use nightcore_runtime::protocol::call_id::LINE_MARK;
use nightcore_runtime::protocol::control::{FUNCTION_VARIABLE, LOG_KEY_VARIABLE};
use nightcore_runtime::protocol::name;

pub(crate) fn facts() -> String {
    let mut text = format!(
        "# {NOTICE}\n\"\"\"Facts that all languages share.\"\"\"\n\n\
         STATUS_NAMES = {{\n"
    );
    for row in endings() {
        text += &format!("    {}: \"{}\",\n", row.status.number(), row.name);
    }
    let (mark, pattern) = (escaped(LINE_MARK), name::PATTERN);
    let invalid = Status::InvalidArgument.number();
    text + &format!(
        "}}\n\
         \"\"\"The number and the name of each status with which a call can end.\"\"\"\n\n\
         INVALID_ARGUMENT = {invalid}\n\
         \"\"\"The status of an operation that was given an argument which is not valid.\"\"\"\n\n\
         NAME_PATTERN = r\"{pattern}\"\n\
         \"\"\"What the name of a function matches, as a whole.\"\"\"\n\n\
         LINE_MARK = \"{mark}\"\n\
         \"\"\"Begins a line of output that is about a call; the log key follows it.\"\"\"\n\n\
         LOG_KEY_VARIABLE = \"{LOG_KEY_VARIABLE}\"\n\
         \"\"\"The environment variable with the log key.\"\"\"\n\n\
         FUNCTION_VARIABLE = \"{FUNCTION_VARIABLE}\"\n\
         \"\"\"The environment variable with the name of the function that this process \
         runs.\"\"\"\n"
    )
}
