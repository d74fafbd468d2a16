//! Facts for Go.

use crate::text::{NOTICE, comment};
use nightcore_runtime::protocol::Status;
use nightcore_runtime::protocol::call_id::LINE_MARK;
use nightcore_runtime::protocol::control::LOG_KEY_VARIABLE;
use nightcore_runtime::protocol::status::{Row, TABLE};

/// Statuses that a Go program never gets: success is a nil error, and the package drives the event
/// loop.
const UNUSED: [Status; 4] = [Status::Ok, Status::WrongThread, Status::Again, Status::Ended];

/// Returns the Go name of a status, such as `ErrNotFound`.
fn constant(row: &Row) -> String {
    format!("Err{:?}", row.status)
}

pub(crate) fn facts() -> String {
    let rows: Vec<&Row> = TABLE.iter().filter(|row| !UNUSED.contains(&row.status)).collect();
    let (endings, own): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.status.ends_a_call());
    let mut text = format!("// {NOTICE}\n\npackage nightcore\n");
    for (title, rows) in [
        ("How a call can fail.", endings),
        ("Errors of the library itself, with which no call ends.", own),
    ] {
        text += &format!("\n// {title}\nconst (\n");
        for row in rows {
            let (name, number) = (constant(row), row.status.number());
            let doc = comment(&format!("{name}: {}", row.doc), "\t//");
            text += &format!("{doc}\n\t{name} Status = {number}\n");
        }
        text += ")\n";
    }
    let width = rows.iter().map(|row| constant(row).len()).max().unwrap_or(0) + 1;
    text += "\nvar statusNames = map[Status]string{\n";
    for row in rows {
        let key = format!("{}:", constant(row));
        text += &format!("\t{key:width$} \"{}\",\n", row.name);
    }
    text += "}\n";
    let about_line_mark = "lineMark begins a line of output that is about a call. The log key, \
                           which the launcher has given to this process, follows it.";
    text += &format!("\n{}\n", comment(about_line_mark, "//"));
    text += &format!("const lineMark = {LINE_MARK:#04x}\n");
    text += "\n// logKeyVariable is the environment variable with the log key.\n";
    text + &format!("const logKeyVariable = \"{LOG_KEY_VARIABLE}\"\n")
}
