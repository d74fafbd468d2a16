//! Reads `[admin]`.

use super::checked::AdminConfig;
use super::gateway::parse_listen;
use super::limits::DEFAULT_ADMIN_LISTEN;
use super::read::{ConfigReport, Table};

const KEYS: &[&str] = &["listen"];

/// Returns `None` if the file has no such table: nothing listens then.
pub(super) fn read(table: Option<Table<'_>>, report: &mut ConfigReport<'_>) -> Option<AdminConfig> {
    let table = table?;
    let mut admin = AdminConfig { listen: DEFAULT_ADMIN_LISTEN };
    table.refuse_unknown(KEYS, report);
    if let Some(item) = table.get("listen")
        && let Some(text) = item.string(Some("127.0.0.1:9464"), report)
    {
        match parse_listen(text) {
            Ok(listen) => admin.listen = listen,
            Err(message) => item.wrong(message, report),
        }
    }
    Some(admin)
}
