//! A scenario file as a tree in which every value knows its line, and bases under what is built on them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error::ScenarioError;

/// Tables that a scenario shares with its base key by key. Any other value replaces its base's as a whole.
const SHARED: &[&str] = &[
    "",
    "limits",
    "retry",
    "cadence",
    "source",
    "destination",
    "link",
    "link.control",
    "link.bulk",
    "guest",
    "guest.times",
    "arbiter",
];

/// A file that is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// For messages.
    pub name: String,
    /// Where files that it names are; `None` for a text that is in no folder.
    pub folder: Option<PathBuf>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Which file.
    pub file: Arc<File>,
    /// Which line, from 1; `None` for the whole.
    pub line: Option<usize>,
}

impl Place {
    /// An error there.
    pub fn error(&self, what: impl Into<String>, remedy: impl Into<String>) -> ScenarioError {
        ScenarioError {
            file: self.file.name.clone(),
            line: self.line,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Where: for a table's entry, the line of its key.
    pub place: Place,
    /// What.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// In quotes.
    Text(String),
    /// An integer.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// In brackets, or tables of a list.
    List(Vec<Node>),
    /// By keys.
    Table(BTreeMap<String, Node>),
    /// What no key wants: a float, a date, a number beyond 64 bits.
    Other(&'static str),
}

impl Value {
    /// The kind, with its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a number without a unit",
            Value::Boolean(_) => "a boolean",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

impl Node {
    /// Reads a text; `file` is where it is from.
    pub fn parse(file: Arc<File>, text: &str) -> Result<Self, ScenarioError> {
        let lines = Lines { file, text };
        match DeTable::parse(text) {
            Ok(table) => Ok(Node { place: lines.whole(), value: lines.table(table.get_ref()) }),
            Err(error) => {
                let at = error.span().map_or_else(|| lines.whole(), |span| lines.place(span.start));
                let what = error.message().lines().collect::<Vec<_>>().join(", ");
                Err(at.error(format!("this is no TOML: {what}"), "see toml.io for its form"))
            }
        }
    }

    /// The entries of a table; none if it is something else.
    pub fn entries(&self) -> Option<&BTreeMap<String, Node>> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The node at `path` (`guest.memory`), or the last one on the way there that exists.
    pub fn nearest(&self, path: &str) -> &Node {
        let mut at = self;
        for key in path.split('.') {
            match at.entries().and_then(|entries| entries.get(key)) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// Takes from `base` what this one does not say.
    pub fn over(&mut self, base: Node) {
        self.over_at("", base);
    }

    fn over_at(&mut self, path: &str, base: Node) {
        let (Value::Table(own), Value::Table(theirs)) = (&mut self.value, base.value) else { return };
        if !SHARED.contains(&path) {
            return;
        }
        for (key, value) in theirs {
            match own.get_mut(&key) {
                Some(mine) => {
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    mine.over_at(&path, value);
                }
                None => {
                    own.insert(key, value);
                }
            }
        }
    }

    /// The same for those who read TOML without lines.
    pub fn plain(&self) -> toml::Value {
        match &self.value {
            Value::Text(text) => toml::Value::String(text.clone()),
            Value::Integer(number) => toml::Value::Integer(*number),
            Value::Boolean(value) => toml::Value::Boolean(*value),
            Value::List(nodes) => toml::Value::Array(nodes.iter().map(Node::plain).collect()),
            Value::Table(entries) => {
                toml::Value::Table(entries.iter().map(|(key, node)| (key.clone(), node.plain())).collect())
            }
            // Of use to nobody; any kind that is refused will do.
            Value::Other(_) => toml::Value::Float(0.0),
        }
    }
}

/// A text, to find lines in.
struct Lines<'a> {
    file: Arc<File>,
    text: &'a str,
}

impl Lines<'_> {
    fn whole(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: None }
    }

    fn place(&self, at: usize) -> Place {
        let before = self.text.as_bytes().iter().take(at);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        Place { file: Arc::clone(&self.file), line: Some(line) }
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let entry = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
            let node = Node { place: self.place(key.span().start), value: self.value(value.get_ref()) };
            (key.get_ref().to_string(), node)
        };
        Value::Table(table.iter().map(entry).collect())
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Value::Other("a number beyond 64 bits"), Value::Integer),
            DeValue::Float(_) => Value::Other("a number with a fraction and without a unit"),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(values) => {
                let node = |value: &toml::Spanned<DeValue<'_>>| Node {
                    place: self.place(value.span().start),
                    value: self.value(value.get_ref()),
                };
                Value::List(values.iter().map(node).collect())
            }
            DeValue::Table(table) => self.table(table),
        }
    }
}
