//! Formats the wall-clock time for people.

use std::time::{SystemTime, UNIX_EPOCH};

/// The C library's `time_t`. It is not named because the libc crate warns of that name on musl,
/// which has changed the type on 32-bit machines.
type Seconds = i64;
type Divide = unsafe extern "C" fn(*const Seconds, *mut libc::tm) -> *mut libc::tm;

/// Returns the time in UTC, as RFC 3339 with milliseconds.
pub fn utc() -> String {
    let (tm, millis) = now(libc::gmtime_r);
    let (year, month, day) = (tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        tm.tm_hour, tm.tm_min, tm.tm_sec
    )
}

/// Returns the local time of day, with milliseconds.
pub fn time_of_day() -> String {
    let (tm, millis) = now(libc::localtime_r);
    format!("{:02}:{:02}:{:02}.{millis:03}", tm.tm_hour, tm.tm_min, tm.tm_sec)
}

fn now(divide: Divide) -> (libc::tm, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs() as Seconds;
    // SAFETY: a zeroed tm is valid, and is overwritten. Both pointers are to live values, which is
    // all that gmtime_r and localtime_r require.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        divide(&seconds, &mut tm);
        tm
    };
    (tm, now.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_all_their_digits() {
        let shape = |text: String| text.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape(utc()), "0000-00-00T00:00:00.000Z");
        assert_eq!(shape(time_of_day()), "00:00:00.000");
    }
}
