//! Facts for Node: values in JavaScript, types in TypeScript.

use crate::text::{NOTICE, endings, escaped};
use nightcore_runtime::protocol::call_id::LINE_MARK;
use nightcore_runtime::protocol::control::{FUNCTION_VARIABLE, LOG_KEY_VARIABLE};

pub(crate) fn facts() -> String {
    let mut text = format!(
        "// {NOTICE}\n\"use strict\";\n\n\
         /** The names of the errors with which a call can end. */\n\
         const CODES = new Set([\n"
    );
    for row in endings() {
        text += &format!("  \"{}\",\n", row.name);
    }
    let mark = escaped(LINE_MARK);
    text + &format!(
        "]);\n\n\
         /** Begins a line of output that is about a call; the log key follows it. */\n\
         const LINE_MARK = \"{mark}\";\n\n\
         /** The environment variable with the log key. */\n\
         const LOG_KEY_VARIABLE = \"{LOG_KEY_VARIABLE}\";\n\n\
         /** The environment variable with the name of the function that this process runs. */\n\
         const FUNCTION_VARIABLE = \"{FUNCTION_VARIABLE}\";\n\n\
         module.exports = {{ CODES, LINE_MARK, LOG_KEY_VARIABLE, FUNCTION_VARIABLE }};\n"
    )
}

pub(crate) fn types() -> String {
    let mut text = format!("// {NOTICE}\n\n/** How a call failed. */\nexport type Code =");
    for row in endings() {
        text += &format!("\n  /** {} */\n  | \"{}\"", row.doc.trim_start(), row.name);
    }
    text + ";\n"
}
