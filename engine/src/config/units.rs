//! Parses and formats durations such as "5s" and sizes such as "32MiB".

use std::time::Duration;

use super::quote::quoted;

/// The units of time, from the smallest to the largest. Each is a multiple of the one before.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Parses a whole number and a unit of time.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        |hint: &str| format!("expected a duration such as \"5s\", found {}; {hint}", quoted(text));
    match parse(text, DURATION_UNITS) {
        Ok(micros) => Ok(Duration::from_micros(micros)),
        Err(Mistake::NoUnit(number)) => Err(wrong(&format!("for seconds write \"{number}s\""))),
        Err(Mistake::Case(meant)) => Err(wrong(&format!("did you mean {meant:?}?"))),
        Err(Mistake::TooLarge) => Err(format!("{} is too large", quoted(text))),
        Err(Mistake::Other) => {
            Err(wrong("a duration is a whole number and one of us, ms, s, m, h, d"))
        }
    }
}

/// Parses a whole number and a unit of size.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong =
        |hint: &str| format!("expected a size such as \"32MiB\", found {}; {hint}", quoted(text));
    match parse(text, SIZE_UNITS) {
        Ok(bytes) => Ok(bytes),
        Err(Mistake::NoUnit(number)) => Err(wrong(&format!("for bytes write \"{number}B\""))),
        Err(Mistake::Case(meant)) => Err(wrong(&format!("did you mean {meant:?}?"))),
        Err(Mistake::TooLarge) => Err(format!("{} is too large", quoted(text))),
        Err(Mistake::Other) => {
            Err(wrong("a size is a whole number and one of B, KiB, MiB, GiB, kB, MB, GB"))
        }
    }
}

/// Formats a duration in its largest whole unit. Parts of a microsecond are dropped.
pub fn format_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    format(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), DURATION_UNITS.iter())
}

/// Formats a number of thousandths as a TOML number.
pub(super) fn format_thousandths(number: u32) -> String {
    let text = format!("{}.{:03}", number / 1000, number % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a size in its largest whole unit of 1024.
pub fn format_size(bytes: u64) -> String {
    let binary = SIZE_UNITS.iter().filter(|(_, factor)| factor.is_power_of_two());
    if bytes == 0 { "0B".to_owned() } else { format(bytes, binary) }
}

fn format<'u>(
    value: u64,
    units: impl DoubleEndedIterator<Item = &'u (&'static str, u64)>,
) -> String {
    match units.rev().find(|(_, factor)| value.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => value.to_string(),
    }
}

enum Mistake<'t> {
    /// A number without a unit.
    NoUnit(&'t str),
    /// A known unit in the wrong case, with the corrected text.
    Case(String),
    TooLarge,
    Other,
}

fn parse<'t>(text: &'t str, units: &[(&str, u64)]) -> Result<u64, Mistake<'t>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(Mistake::Other);
    }
    if unit.is_empty() {
        return Err(Mistake::NoUnit(if number.len() <= 20 { number } else { "1" }));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let meant = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        return Err(match meant {
            Some((name, _)) if number.len() <= 20 => Mistake::Case(format!("{number}{name}")),
            _ => Mistake::Other,
        });
    };
    // The number consists of digits only, so it can only be too large.
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or(Mistake::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_durations() {
        let read = |text| parse_duration(text).unwrap();
        assert_eq!(read("5s"), Duration::from_secs(5));
        assert_eq!(read("250ms"), Duration::from_millis(250));
        assert_eq!(read("2m"), Duration::from_secs(120));
        assert_eq!(read("1h"), Duration::from_secs(3600));
        assert_eq!(read("70us"), Duration::from_micros(70));
        assert_eq!(read("0s"), Duration::ZERO);
    }

    #[test]
    fn reads_sizes() {
        let read = |text| parse_size(text).unwrap();
        assert_eq!(read("32MiB"), 32 << 20);
        assert_eq!(read("64KiB"), 64 << 10);
        assert_eq!(read("10MB"), 10_000_000);
        assert_eq!(read("10KB"), 10_000);
        assert_eq!(read("123B"), 123);
        assert_eq!(read("2GiB"), 2 << 30);
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text| parse_duration(text).unwrap_err();
        assert_eq!(
            error("30"),
            r#"expected a duration such as "5s", found "30"; for seconds write "30s""#
        );
        assert_eq!(
            error("5S"),
            r#"expected a duration such as "5s", found "5S"; did you mean "5s"?"#
        );
        assert_eq!(
            error("1.5s"),
            "expected a duration such as \"5s\", found \"1.5s\"; \
             a duration is a whole number and one of us, ms, s, m, h, d"
        );
        assert_eq!(error("99999999999999999999s"), r#""99999999999999999999s" is too large"#);
        let error = |text| parse_size(text).unwrap_err();
        assert_eq!(
            error("32"),
            r#"expected a size such as "32MiB", found "32"; for bytes write "32B""#
        );
        assert_eq!(
            error("32mib"),
            r#"expected a size such as "32MiB", found "32mib"; did you mean "32MiB"?"#
        );
        assert_eq!(error("99999999999GiB"), r#""99999999999GiB" is too large"#);
        assert!(error("-1B").contains("whole number"));
        assert!(error("1 B").contains("whole number"));
        assert!(error("").contains("whole number"));
        assert!(error("+1B").contains("whole number"));
        assert!(error("1٣B").contains("whole number"));
    }

    #[test]
    fn writes_the_largest_whole_unit() {
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
        assert_eq!(format_duration(Duration::from_secs(7200)), "2h");
        assert_eq!(format_duration(Duration::ZERO), "0s");
        assert_eq!(format_size(64 << 20), "64MiB");
        assert_eq!(format_size(10_000_000), "10000000B");
        assert_eq!(format_size(0), "0B");
    }

    proptest! {
        #[test]
        fn durations_come_back(micros in any::<u64>()) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn sizes_come_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
