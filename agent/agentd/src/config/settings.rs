//! Reads configuration text into values by key, checked against the list of keys.
//!
//! In: YAML. Out: typed values with the schema's defaults, warnings for keys that this version
//! does not act on. A key that does not exist or a value of the wrong type is an error that names
//! the key.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use schema::config_keys::{KEYS, Key};
use serde_yaml_ng::Value;

/// Values by key.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, Value>,
    /// Keys that were set but are not acted on.
    pub ignored: Vec<&'static str>,
}

impl Settings {
    /// Reads YAML; an empty text gives the defaults.
    pub fn parse(yaml: &str) -> Result<Self> {
        let value: Value = serde_yaml_ng::from_str(yaml).context("not valid YAML")?;
        let mut settings = Self::default();
        settings.take("", value)?;
        Ok(settings)
    }

    fn take(&mut self, path: &str, value: Value) -> Result<()> {
        if let Some(key) = find(path) {
            if !key.used {
                self.ignored.push(key.path);
            }
            self.values.insert(key.path, value);
            return Ok(());
        }
        let is_group = path.is_empty() || KEYS.iter().any(|key| is_below(key.path, path));
        if !is_group {
            bail!("unknown key {path:?}{}", suggestion(path));
        }
        match value {
            Value::Null => Ok(()),
            Value::Mapping(entries) => {
                for (name, value) in entries {
                    let name =
                        name.as_str().ok_or_else(|| anyhow!("{path}: a key that is not text"))?;
                    let below =
                        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    self.take(&below, value)?;
                }
                Ok(())
            }
            other => bail!("{path}: expected a group of keys, found {}", shown(&other)),
        }
    }

    /// Whether the text has the key.
    pub fn is_set(&self, path: &str) -> bool {
        self.values.contains_key(path)
    }

    /// A yes or no.
    pub fn flag(&self, path: &str) -> Result<bool> {
        let value = self.value(path)?;
        value.as_bool().ok_or_else(|| wrong(path, "true or false", &value))
    }

    /// A whole number of at least 0.
    pub fn count(&self, path: &str) -> Result<u64> {
        let value = self.value(path)?;
        value.as_u64().ok_or_else(|| wrong(path, "a whole number", &value))
    }

    /// A whole number of either sign.
    pub fn integer(&self, path: &str) -> Result<i64> {
        let value = self.value(path)?;
        value.as_i64().ok_or_else(|| wrong(path, "a whole number", &value))
    }

    /// A text.
    pub fn text(&self, path: &str) -> Result<String> {
        let value = self.value(path)?;
        match &value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong(path, "text", other)),
        }
    }

    /// A list of texts or numbers, as texts.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        let value = self.value(path)?;
        let Value::Sequence(items) = &value else { return Err(wrong(path, "a list", &value)) };
        items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                other => Err(wrong(path, "a list of texts", other)),
            })
            .collect()
    }

    /// A list of values of any kind.
    pub fn values(&self, path: &str) -> Result<Vec<Value>> {
        match self.value(path)? {
            Value::Sequence(items) => Ok(items),
            other => Err(wrong(path, "a list", &other)),
        }
    }

    /// A duration: `90s`, `5m`, `1h`, `2d`, `10ms`, `50us`, `0ns`.
    pub fn duration(&self, path: &str) -> Result<Duration> {
        let value = self.value(path)?;
        value
            .as_str()
            .and_then(parse_duration)
            .ok_or_else(|| wrong(path, "a duration such as 5s or 10ms", &value))
    }

    fn value(&self, path: &str) -> Result<Value> {
        if let Some(value) = self.values.get(path) {
            return Ok(value.clone());
        }
        let key = find(path).ok_or_else(|| anyhow!("{path}: not a key of the schema"))?;
        Ok(serde_yaml_ng::from_str(key.default)
            .unwrap_or_else(|_| Value::String(key.default.into())))
    }
}

fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

fn is_below(path: &str, group: &str) -> bool {
    path.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'))
}

fn wrong(path: &str, expected: &str, found: &Value) -> anyhow::Error {
    anyhow!("{path}: expected {expected}, found {}", shown(found))
}

fn shown(value: &Value) -> String {
    serde_yaml_ng::to_string(value).unwrap_or_default().trim_end().to_owned()
}

/// Another key with the same last word, for the error message.
fn suggestion(path: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or(path);
    let same = KEYS.iter().find(|key| key.path.rsplit('.').next() == Some(last));
    same.map(|key| format!("; did you mean {:?}?", key.path)).unwrap_or_default()
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok()?;
    let seconds = |each: u64| count.checked_mul(each).map(Duration::from_secs);
    match &text[digits..] {
        "ns" => Some(Duration::from_nanos(count)),
        "us" => Some(Duration::from_micros(count)),
        "ms" => Some(Duration::from_millis(count)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_has_the_type_that_is_asked_for() {
        crate::config::Config::from_settings(&Settings::default(), false).expect("defaults");
    }

    #[test]
    fn unknown_keys_are_named_with_a_suggestion() {
        let error =
            Settings::parse("outputs:\n  flow_log:\n    l7_throttle: 5\n").expect_err("unknown");
        let text = error.to_string();
        assert!(text.contains("outputs.flow_log.l7_throttle"), "{text}");
        assert!(text.contains("outputs.flow_log.throttles.l7_throttle"), "{text}");
    }

    #[test]
    fn a_wrong_type_names_key_and_value() {
        let settings =
            Settings::parse("inputs: {ebpf: {disabled: maybe}}").expect("keys are right");
        let text = settings.flag("inputs.ebpf.disabled").expect_err("type").to_string();
        assert_eq!(text, "inputs.ebpf.disabled: expected true or false, found maybe");
        assert!(Settings::parse("inputs: 7").is_err());
        assert!(Settings::parse("a: [").is_err());
    }

    #[test]
    fn keys_that_do_nothing_yet_are_told() {
        let settings =
            Settings::parse("inputs: {ebpf: {socket: {tunning: {fentry_enabled: true}}}}")
                .expect("known");
        assert_eq!(settings.ignored, ["inputs.ebpf.socket.tunning.fentry_enabled"]);
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10ms"), Some(Duration::from_millis(10)));
        assert_eq!(parse_duration("2d"), Some(Duration::from_secs(172_800)));
        for bad in ["", "5", "s", "-1s", "5 s", "99999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
