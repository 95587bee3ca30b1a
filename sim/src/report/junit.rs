//! A campaign as a JUnit report: what CI servers show beside a change.
//!
//! One test case for each promise and one for each gate. There is no time stamp and no host in it: the same campaign is
//! the same file.

use std::io::{self, Cursor};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{PROMISES, again, again_run};
use crate::campaign::{Campaign, Verdict};

/// One test case.
struct Case {
    class: String,
    name: String,
    /// Message and text, if it failed.
    failure: Option<(String, String)>,
}

/// The report.
#[must_use]
pub fn junit(campaign: &Campaign, gates: &[Verdict]) -> String {
    let bytes = written(campaign, &cases(campaign, gates));
    // Written to memory, from text.
    let bytes = bytes.unwrap_or_else(|error| unreachable!("memory takes it: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cases(campaign: &Campaign, gates: &[Verdict]) -> Vec<Case> {
    let name = &campaign.scenario.name;
    let promises = PROMISES.iter().map(|(promise, name)| (*promise, format!("{promise}: {name}")));
    let promises = promises.map(|(promise, title)| Case {
        class: format!("{name}.promises"),
        name: title,
        failure: broken(campaign, promise),
    });
    let gates = gates.iter().map(|gate| Case {
        class: format!("{name}.gates"),
        name: gate.gate.clone(),
        failure: (!gate.holds).then(|| (gate.found.clone(), again(campaign))),
    });
    promises.chain(gates).collect()
}

fn broken(campaign: &Campaign, promise: &str) -> Option<(String, String)> {
    let count = campaign.tally.broken.get(promise).copied().filter(|count| *count > 0)?;
    let mut text = String::new();
    for broken in campaign.tally.violations.first.iter().filter(|broken| broken.promise == promise) {
        text.push_str(&format!(
            "seed {}: {}\n  {}\n",
            broken.seed,
            broken.what,
            again_run(campaign, broken.seed)
        ));
    }
    if let Some(shortened) = &campaign.broken {
        text.push_str(&format!("\nshortened:\n{}\n{}\n", shortened.scenario, shortened.diagram));
    }
    Some((format!("broken {count} times in {} runs", campaign.tally.runs), text))
}

fn written(campaign: &Campaign, cases: &[Case]) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Cursor::new(Vec::new()), b' ', 2);
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let counts = [("tests", cases.len().to_string()), ("failures", failures.to_string())];
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = attributes(&[("name", "switchover-sim")], &counts);
    let element = writer.create_element("testsuites").with_attributes(borrowed(&suites));
    element.write_inner_content(|writer| {
        let suite = attributes(&[("name", &campaign.scenario.name)], &counts);
        let element = writer.create_element("testsuite").with_attributes(borrowed(&suite));
        element.write_inner_content(|writer| {
            properties(writer, campaign)?;
            cases.iter().try_for_each(|case| write_case(writer, case))
        })?;
        Ok(())
    })?;
    let mut bytes = writer.into_inner().into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

type Out = Writer<Cursor<Vec<u8>>>;

fn properties(writer: &mut Out, campaign: &Campaign) -> io::Result<()> {
    let all = [
        ("program", campaign.program.clone()),
        ("scenario", campaign.given.clone()),
        ("digest", campaign.scenario.digest.clone()),
        ("seeds", campaign.seeds.to_string()),
        ("again", again(campaign)),
    ];
    writer.create_element("properties").write_inner_content(|writer| {
        for (name, value) in &all {
            let of = [("name", clean(name)), ("value", clean(value))];
            writer.create_element("property").with_attributes(borrowed(&of)).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn write_case(writer: &mut Out, case: &Case) -> io::Result<()> {
    let of = [("classname", clean(&case.class)), ("name", clean(&case.name))];
    let element = writer.create_element("testcase").with_attributes(borrowed(&of));
    match &case.failure {
        None => element.write_empty()?,
        Some((message, text)) => element.write_inner_content(|writer| {
            let of = [("message", clean(message)), ("type", "broken".into())];
            let failure = writer.create_element("failure").with_attributes(borrowed(&of));
            failure.write_text_content(BytesText::new(&clean(text)))?;
            Ok(())
        })?,
    };
    Ok(())
}

fn attributes(
    texts: &[(&'static str, &str)],
    counts: &[(&'static str, String)],
) -> Vec<(&'static str, String)> {
    let texts = texts.iter().map(|(name, value)| (*name, clean(value)));
    texts.chain(counts.iter().cloned()).collect()
}

fn borrowed<'a>(attributes: &'a [(&'static str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    attributes.iter().map(|(name, value)| (*name, value.as_str()))
}

/// Without the characters that XML cannot hold in any spelling.
fn clean(text: &str) -> String {
    let held = |c: &char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(held).collect()
}
