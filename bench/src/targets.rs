//! What is to be held, and what was found.
//!
//! In: `bench/targets.toml`, compiled in. Out: targets, and whether a value holds one.

use anyhow::{Context, Result};
use serde::Deserialize;

/// One number to hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Joins it with a measurement.
    pub id: String,
    /// In words.
    pub what: String,
    /// Unit of value and limit.
    pub unit: String,
    /// The value may not be above this.
    pub at_most: Option<f64>,
    /// The value may not be below this.
    pub at_least: Option<f64>,
    /// What is in the way while it is not held.
    pub obstacle: Option<String>,
}

impl Target {
    /// Whether `value` is within the limits.
    pub fn holds(&self, value: f64) -> bool {
        self.at_most.is_none_or(|limit| value <= limit)
            && self.at_least.is_none_or(|limit| value >= limit)
    }

    /// The limit in words; none for what is only told.
    pub fn limit(&self) -> String {
        match (self.at_most, self.at_least) {
            (Some(limit), _) => format!("≤ {limit} {}", self.unit),
            (None, Some(limit)) => format!("≥ {limit} {}", self.unit),
            (None, None) => String::new(),
        }
    }
}

/// One number found.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// The target it belongs to.
    pub id: &'static str,
    /// In the target's unit.
    pub value: f64,
    /// How it was found, with the command or the load.
    pub how: String,
}

impl Measurement {
    /// A number with how it was found.
    pub fn new(id: &'static str, value: f64, how: impl Into<String>) -> Self {
        Self { id, value, how: how.into() }
    }
}

#[derive(Deserialize)]
struct File {
    target: Vec<Target>,
}

/// All targets, in the order of the file.
pub fn load() -> Result<Vec<Target>> {
    let file: File =
        toml::from_str(include_str!("../targets.toml")).context("bench/targets.toml")?;
    Ok(file.target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_one_limit_at_most_and_holds_on_its_side() {
        let targets = load().unwrap();
        assert!(targets.iter().filter(|target| target.limit().is_empty()).count() < targets.len());
        for target in targets {
            assert!(target.at_most.is_none() || target.at_least.is_none(), "{}", target.id);
            // One that is only told has none.
            let Some(limit) = target.at_most.or(target.at_least) else {
                assert!(target.obstacle.is_none() && target.holds(f64::MAX), "{}", target.id);
                continue;
            };
            assert!(target.holds(limit));
            assert_eq!(target.holds(limit * 2.0), target.at_least.is_some(), "{}", target.id);
            assert_eq!(target.holds(limit / 2.0), target.at_most.is_some(), "{}", target.id);
        }
    }
}
