//! One table of a scenario file: its keys all known, each value read as what it must be, each error with its line.

use switchover_core::time::{Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};
use switchover_text::words::nearest;

use super::dist::Dist;
use super::error::ScenarioError;
use super::tree::{Node, Value};
use super::values;

/// What reading gives.
pub(super) type Read<T> = Result<T, ScenarioError>;

/// A table whose keys are known ones.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    /// Its name, with the tables it stands in, for messages.
    path: String,
    node: &'a Node,
}

impl<'a> Section<'a> {
    /// The table `node`, which has no keys but `known`.
    pub fn open(path: &str, node: &'a Node, known: &[&[&str]]) -> Read<Self> {
        let section = Section { path: path.into(), node };
        let Some(entries) = node.entries() else {
            let what = format!("`{}` is {}", section.name(), node.value.kind());
            return Err(node.place.error(what, "write a table"));
        };
        let known = known.concat();
        if let Some((key, entry)) = entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            let what = format!("`{key}` is not a key of {}", section.name());
            let meant = nearest(key, &known).map(|meant| format!("did you mean `{meant}`? "));
            let remedy = format!("{}known: {}", meant.unwrap_or_default(), known.join(" "));
            return Err(entry.place.error(what, remedy));
        }
        Ok(section)
    }

    fn name(&self) -> &str {
        if self.path.is_empty() { "a scenario" } else { &self.path }
    }

    /// The whole name of a key.
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key`, if there is one.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.entries()?.get(key)
    }

    /// The value of `key`; without one, `why` says what cannot be done, and `write` what to write.
    pub fn need(&self, key: &str, why: &str, write: &str) -> Read<&'a Node> {
        self.get(key).ok_or_else(|| {
            self.node
                .place
                .error(format!("`{}` is missing: {why}", self.path(key)), format!("write `{key} = {write}`"))
        })
    }

    /// A section within, if there is one.
    pub fn section(&self, key: &str, known: &[&[&str]]) -> Read<Option<Section<'a>>> {
        self.get(key).map(|node| Section::open(&self.path(key), node, known)).transpose()
    }

    /// A section within that must be there.
    pub fn need_section(&self, key: &str, known: &[&[&str]], why: &str) -> Read<Section<'a>> {
        let path = self.path(key);
        let missing = || {
            self.node.place.error(
                format!("`{path}` is missing: {why}"),
                format!("write a table `[{path}]` with {}", known.concat().join(", ")),
            )
        };
        Section::open(&path, self.get(key).ok_or_else(missing)?, known)
    }

    /// An error at `key`, or at the table if it does not have it.
    pub fn error(&self, key: &str, what: &str, remedy: impl Into<String>) -> ScenarioError {
        let place = self.get(key).map_or(&self.node.place, |node| &node.place);
        place.error(format!("`{}` {what}", self.path(key)), remedy)
    }

    /// The text of `key`; `write` says what would be right.
    pub fn text(&self, key: &str, node: &'a Node, write: &str) -> Read<&'a str> {
        match &node.value {
            Value::Text(text) => Ok(text),
            other => Err(node.place.error(
                format!("`{}` is {}", self.path(key), other.kind()),
                format!("write {write}, in quotes"),
            )),
        }
    }

    fn parsed<T>(
        &self,
        key: &str,
        node: &'a Node,
        write: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Read<T> {
        let text = self.text(key, node, write)?;
        parse(text).map_err(|why| node.place.error(format!("`{}`: {why}", self.path(key)), ""))
    }

    fn parsed_or<T>(
        &self,
        key: &str,
        default: T,
        write: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Read<T> {
        self.get(key).map_or(Ok(default), |node| self.parsed(key, node, write, parse))
    }

    /// A duration.
    pub fn time(&self, key: &str, node: &'a Node) -> Read<Ns> {
        self.parsed(key, node, "a time with its unit (`\"300ms\"`)", values::time)
    }

    /// A duration, or `default`.
    pub fn time_or(&self, key: &str, default: Ns) -> Read<Ns> {
        self.get(key).map_or(Ok(default), |node| self.time(key, node))
    }

    /// A duration; `None` for `word`.
    pub fn time_or_word(&self, key: &str, node: &'a Node, word: &str) -> Read<Option<Ns>> {
        match &node.value {
            Value::Text(text) if text == word => Ok(None),
            _ => self.time(key, node).map(Some),
        }
    }

    /// A size.
    pub fn bytes(&self, key: &str, node: &'a Node) -> Read<Bytes> {
        self.parsed(key, node, "a size with its unit (`\"64MiB\"`)", values::bytes)
    }

    /// A size, or `default`.
    pub fn bytes_or(&self, key: &str, default: Bytes) -> Read<Bytes> {
        self.get(key).map_or(Ok(default), |node| self.bytes(key, node))
    }

    /// A rate, or zero: `None`.
    pub fn rate(&self, key: &str, node: &'a Node) -> Read<Option<BytesPerSecond>> {
        self.parsed(key, node, "a rate (`\"10Gb/s\"`, `\"200MiB/s\"`)", values::rate)
    }

    /// A clock's drift, or `default`.
    pub fn drift_or(&self, key: &str, default: Ppm) -> Read<Ppm> {
        self.parsed_or(key, default, "a drift (`\"50ppm\"`)", values::drift)
    }

    /// A chance in parts per million, or `default`.
    pub fn chance_or(&self, key: &str, default: u32) -> Read<u32> {
        self.parsed_or(key, default, "a chance (`\"5%\"`, `\"200ppm\"`)", values::chance)
    }

    /// A number without a unit, from `least` to `most`.
    pub fn number(&self, key: &str, node: &'a Node, least: u32, most: u32) -> Read<u32> {
        let write = format!("write a number from {least} to {most}");
        let Value::Integer(number) = node.value else {
            return Err(self.error(key, &format!("is {}", node.value.kind()), write));
        };
        let number = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.error(key, "is out of range", write))
    }

    /// `true` or `false`; `false` if it says neither.
    pub fn flag(&self, key: &str) -> Read<bool> {
        match self.get(key).map(|node| &node.value) {
            None => Ok(false),
            Some(Value::Boolean(value)) => Ok(*value),
            Some(other) => Err(self.error(
                key,
                &format!("is {}", other.kind()),
                "write `true` or `false`, without quotes",
            )),
        }
    }

    /// A distribution that must be there: without it, work would have no bound.
    pub fn dist(&self, key: &str) -> Read<Dist> {
        let why = "what takes no stated time has no bound";
        let node = self.need(key, why, "\"1ms\"` (or `\"0\"` if it takes none)")?;
        self.dist_at(key, node)
    }

    /// A distribution.
    pub fn dist_at(&self, key: &str, node: &'a Node) -> Read<Dist> {
        super::read::dist::dist(self, key, node)
    }
}
