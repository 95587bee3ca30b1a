//! The words of the command line and of the record: sides, ports, phases.
//!
//! They are a contract with users and their scripts, so they are spelled in one place, and read back from exactly the
//! spelling in which they are printed. The machines have their own types for the same things; these are their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use switchover_core::port as core_port;

/// A word that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {what}{}known: {known}", did_you_mean(nearest))]
pub struct UnknownWord {
    /// What was written.
    pub given: String,
    /// What was expected there, with its article: `a phase`.
    pub what: &'static str,
    /// The known word that is most like it, if one is.
    pub nearest: Option<String>,
    /// All that are known, separated by blanks.
    pub known: String,
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or("; ".into(), |word| format!("; did you mean `{word}`? "))
}

impl UnknownWord {
    /// An unknown `given` where one of `known` was expected.
    #[must_use]
    pub fn new(given: &str, what: &'static str, known: &[&str]) -> Self {
        let nearest = nearest(given, known).map(String::from);
        UnknownWord { given: given.into(), what, nearest, known: known.join(" ") }
    }
}

/// The word of `known` that `given` was most likely meant to be; `None` if it is like none of them.
#[must_use]
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .iter()
        .map(|word| (edit_distance(&given, word), *word))
        // More edits than half the word: another word, not a slip.
        .filter(|(distance, word)| *distance <= word.len().div_ceil(2) && *distance < given.len().max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let substitute = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = substitute.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

/// Defines an enum of words with its spelling, parsing and printing.
#[macro_export]
#[doc(hidden)]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$item_meta:meta])* $item:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$item_meta])* $item,)+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$item,)+];
            /// Their words, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $($name::$item => $word,)+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(given: &str) -> Result<Self, Self::Err> {
                match given {
                    $($word => Ok($name::$item),)+
                    _ => Err($crate::words::UnknownWord::new(given, $what, Self::WORDS)),
                }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <::std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}

words! {
    /// Which of the two hosts, or rather the process on it.
    Side, "a side" {
        /// Has the guest at the beginning.
        Source = "source",
        /// Is to have it.
        Destination = "destination",
    }
}

words! {
    /// A stretch of an attempt, as faults name it and the record shows it, in the order of time.
    Phase, "a phase" {
        /// Getting to know each other; admission on both sides.
        Hello = "hello",
        /// Memory is copied while the guest runs.
        Precopy = "precopy",
        /// The guest is brought to a halt: t = 0.
        Stop = "stop",
        /// Device and vCPU state is read out.
        Save = "save",
        /// The last dirty pages and the state travel.
        Transfer = "transfer",
        /// The destination takes them in.
        Load = "load",
        /// Counts and digest are compared.
        Seal = "seal",
        /// The destination has said that it could run the guest; the lease runs.
        Ready = "ready",
        /// The commit point.
        Go = "go",
        /// The guest runs again on the destination.
        Resume = "resume",
        /// The guest runs again on the source.
        Rollback = "rollback",
    }
}

/// A thing the machines drive: `vcpus`, `device0`, `memory`, `link`, `journal`, `arbiter`, `peer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// All vCPUs of the guest together.
    Vcpus,
    /// A device, by its number.
    Device(u8),
    /// Guest memory.
    Memory,
    /// The way to the other side.
    Link,
    /// The local journal.
    Journal,
    /// The arbiter, where there is one.
    Arbiter,
    /// The other side itself.
    Peer,
}

const PORT_WORDS: [&str; 7] = ["vcpus", "device0", "memory", "link", "journal", "arbiter", "peer"];

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Vcpus => f.pad("vcpus"),
            Port::Device(number) => f.pad(&format!("device{number}")),
            Port::Memory => f.pad("memory"),
            Port::Link => f.pad("link"),
            Port::Journal => f.pad("journal"),
            Port::Arbiter => f.pad("arbiter"),
            Port::Peer => f.pad("peer"),
        }
    }
}

impl FromStr for Port {
    type Err = UnknownWord;

    fn from_str(given: &str) -> Result<Self, UnknownWord> {
        Ok(match given {
            "vcpus" => Port::Vcpus,
            "memory" => Port::Memory,
            "link" => Port::Link,
            "journal" => Port::Journal,
            "arbiter" => Port::Arbiter,
            "peer" => Port::Peer,
            _ => given
                .strip_prefix("device")
                .and_then(|number| number.parse().ok())
                .map(Port::Device)
                // `device01` would be printed as `device1`: one spelling for each.
                .filter(|port| port.to_string() == given)
                .ok_or_else(|| UnknownWord::new(given, "a port", &PORT_WORDS))?,
        })
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Each word stands for the core's variant of the same name.
macro_rules! same_names {
    ($name:ident { $($item:ident)+ }) => {
        impl From<core_port::$name> for $name {
            fn from(core: core_port::$name) -> Self {
                match core { $(core_port::$name::$item => $name::$item,)+ }
            }
        }

        impl From<$name> for core_port::$name {
            fn from(word: $name) -> Self {
                match word { $($name::$item => core_port::$name::$item,)+ }
            }
        }
    };
}

same_names! { Side { Source Destination } }
same_names! { Phase { Hello Precopy Stop Save Transfer Load Seal Ready Go Resume Rollback } }

impl From<core_port::Port> for Port {
    /// All vCPU ports are `vcpus`: a guest's vCPUs are one port to people.
    fn from(port: core_port::Port) -> Self {
        match port {
            core_port::Port::Vcpus(_) => Port::Vcpus,
            core_port::Port::Device(number) => Port::Device(number),
            core_port::Port::Memory => Port::Memory,
            core_port::Port::Link => Port::Link,
            core_port::Port::Journal => Port::Journal,
            core_port::Port::Arbiter => Port::Arbiter,
            core_port::Port::Peer => Port::Peer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_from_its_spelling() {
        for phase in Phase::ALL {
            assert_eq!(phase.to_string().parse(), Ok(*phase));
        }
        for port in [Port::Vcpus, Port::Device(0), Port::Device(255), Port::Memory, Port::Link, Port::Peer] {
            assert_eq!(port.to_string().parse(), Ok(port));
        }
        assert_eq!(
            Phase::WORDS.join(" "),
            "hello precopy stop save transfer load seal ready go resume rollback"
        );
        assert!("device01".parse::<Port>().is_err());
        assert!("device256".parse::<Port>().is_err());
    }

    #[test]
    fn a_slip_is_answered_with_the_word_that_was_meant() {
        for (given, meant) in [
            ("resmue", Some("resume")),
            ("Save", Some("save")),
            ("pre-copy", Some("precopy")),
            ("rolback", Some("rollback")),
            ("xyzzyxyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, Phase::WORDS), meant, "{given}");
        }
        let error = "destintion".parse::<Side>().expect_err("a slip").to_string();
        assert_eq!(
            error,
            "`destintion` is not a side; did you mean `destination`? known: source destination"
        );
    }
}
