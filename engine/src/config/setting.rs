//! A value of `--set KEY=VALUE`.

use std::str::FromStr;
use toml::Spanned;
use toml::de::DeTable;

/// A value that replaces that of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key as it was given, such as `gateway.listen`.
    key: String,
    /// The parts of the key.
    pub(super) path: Vec<String>,
    pub(super) value: String,
}

impl Setting {
    /// Returns the key as it was given. The value is not shown, because it could be a secret.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Parses `KEY=VALUE`.
impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let example = "write, for example, gateway.listen=127.0.0.1:8080";
        let (key, value) = text.split_once('=').ok_or_else(|| format!("no value; {example}"))?;
        let key = key.trim();
        let document = format!("{key} = 0");
        let parsed = DeTable::parse(&document).ok().filter(|_| !key.contains(['\n', '[', '{']));
        let mut path = Vec::new();
        let mut table = parsed.as_ref().map(Spanned::get_ref);
        while let Some((part, value)) = table.and_then(|table| table.iter().next()) {
            path.push(part.get_ref().to_string());
            table = value.get_ref().as_table();
        }
        if path.is_empty() {
            return Err(format!("{key:?} is no key; {example}"));
        }
        Ok(Setting { key: key.to_owned(), path, value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_key_and_a_value() {
        let path = |text: &str| text.parse::<Setting>().unwrap().path;
        assert_eq!(path("gateway.listen=a=b"), ["gateway", "listen"]);
        assert_eq!(path("functions.Foo.env.\"A.B\"="), ["functions", "Foo", "env", "A.B"]);
        assert_eq!("a.b=c=d".parse::<Setting>().unwrap().value, "c=d");
        for text in ["gateway.listen", "=1", "a..b=1", "a b=1", "[a]\nb=1", "a\nb=1", "a={b=1"] {
            let problem = text.parse::<Setting>();
            // The last of them is a key with an unusual value.
            assert_eq!(problem.is_err(), text != "a={b=1", "{text}: {problem:?}");
        }
    }
}
