//! Reads the tree for the tidy tests: files, code without comments and strings, functions with their lengths.
//!
//! A small lexer, not a parser: it knows comments, strings, raw strings and characters, which is what keeps a word in a
//! comment from counting as code.

use std::path::{Path, PathBuf};

/// A Rust file: as it is, and with comments and literals blanked out (lines keep their numbers).
pub struct Source {
    /// Path from the root of the tree, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// The text with comments, strings and characters replaced by spaces.
    pub code: String,
}

/// The root of the tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every text file of the tree but build output, as (path, text).
pub fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    found
}

/// Every Rust file of the tree.
pub fn sources() -> Vec<Source> {
    texts()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, text)| Source { code: blank(&text), path, text })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            // Build output, at any depth, and what the version control keeps for itself.
            if !name.to_string_lossy().starts_with("target") && name != ".git" {
                walk(&path, found);
            }
        } else if kind.is_file() && name != ".git" {
            // What is not UTF-8 is not text.
            if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).unwrap_or(&path);
                found.push((path.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
}

/// True if `word` stands in `line` with no letter, digit or underscore beside it.
pub fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(inside) && !line[at + word.len()..].starts_with(inside))
}

/// `text` with comments, strings and characters blanked; newlines stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !follows_word(bytes, at) => raw_end(bytes, at).unwrap_or(at),
            b'\'' => char_end(bytes, at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    // `br"..."` is a raw string too.
    at > 0 && bytes[at - 1] != b'b' && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n)
}

fn block_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut i) = (0usize, at);
    while i < bytes.len() {
        match (bytes[i], bytes.get(i + 1)) {
            (b'/', Some(b'*')) => (depth, i) = (depth + 1, i + 2),
            (b'*', Some(b'/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// The end of `r"..."` or `r#"..."#` that begins at `at`; none if it is no raw string.
fn raw_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &bytes[open + 1..];
    let n = body.windows(close.len()).position(|window| window == close)?;
    Some(open + 1 + n + close.len())
}

/// The end of a character; `at` itself for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at + 1..];
    let length = match rest.first() {
        Some(b'\\') => rest.iter().skip(2).position(|b| *b == b'\'').map(|n| n + 3),
        // One character of one to four bytes, then the quote.
        Some(_) => (1..=4).find(|n| rest.get(*n) == Some(&b'\'')).map(|n| n + 1),
        None => None,
    };
    match length {
        // `'a, 'b` is two lifetimes: a character longer than one byte is not ASCII.
        Some(n) if n == 2 || !rest[0].is_ascii() || rest[0] == b'\\' => at + 1 + n,
        _ => at,
    }
}

/// (name, first line, lines) of every function with a body in blanked code.
pub fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if at > 0 && !code[..at].ends_with([' ', '\n', '\t', '(']) {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(&code[at..]) {
            let line = code[..at].matches('\n').count() + 1;
            found.push((name, line, code[at..at + end].matches('\n').count() + 1));
        }
    }
    found
}

/// Where the body of the function that begins `code` ends; none for a declaration without one.
fn body_end(code: &str) -> Option<usize> {
    let (mut round, mut braces) = (0i32, 0i32);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            ';' if round == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn comments_strings_and_characters_are_not_code() {
    let code = blank("a // b\n\"c\\\"d\" r#\"e\"f\"# '\\'' 'g' <'h> /* i /* j */ k */ l");
    let kept: String = code.split_whitespace().collect();
    assert_eq!(kept, "a<'h>l");
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn functions_are_measured() {
    let code = "fn a() {\n  x\n}\ntrait T { fn b(&self) -> [u8; 4]; }\nfn c(d: [u8; 4]) { }\n";
    let found = functions(code);
    assert_eq!(found, [("a".into(), 1, 3), ("c".into(), 5, 1)]);
}
