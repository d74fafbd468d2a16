//! What the Nightcore engine and its workers share.
