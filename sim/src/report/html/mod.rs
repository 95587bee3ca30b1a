//! A campaign as one HTML file that needs nothing else: no script, no font, no image from elsewhere.
//!
//! ```text
//! verdict, tiles            is it good?
//! what was broken           only if something was
//! curve                     downtimes against the hard limit
//! timeline                  the worst run, phase by phase
//! tables                    percentiles and slack, outcomes, offenders, gates, seeds
//! how to play it again
//! ```
//!
//! It can be kept as a CI server's artifact for years and still be read. Labels are text beside the drawings, never scaled
//! with them, so that a phone shows them as well.

mod curve;
mod tables;
mod timeline;

use std::fmt::Write as _;

use switchover_core::time::Ns;

use super::{again, again_run, downtime, exit_code, percent, short, slack};
use crate::campaign::{Campaign, Share, Verdict};
use crate::exit_code::ExitCode;

const STYLE: &str = include_str!("style.css");

/// The whole page.
#[must_use]
pub fn html(campaign: &Campaign, gates: &[Verdict]) -> String {
    let mut page = String::new();
    let title = format!("{} - {}", esc(&campaign.scenario.name), campaign.program);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    head(&mut page, campaign, gates);
    tiles(&mut page, campaign);
    broken(&mut page, campaign);
    curve::draw(&mut page, campaign);
    timeline::draw(&mut page, campaign);
    tables::percentiles(&mut page, campaign);
    tables::outcomes(&mut page, campaign);
    tables::blame(&mut page, campaign);
    tables::gates(&mut page, gates);
    tables::seeds(&mut page, campaign);
    foot(&mut page, campaign);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn head(page: &mut String, campaign: &Campaign, gates: &[Verdict]) {
    let (class, verdict) = match exit_code(campaign, gates) {
        ExitCode::Broken => ("broken", "a promise was broken"),
        ExitCode::GateMissed => ("missed", "promises kept, a gate was missed"),
        ExitCode::Kept | ExitCode::Usage => ("kept", "every promise was kept"),
    };
    let scenario = &campaign.scenario;
    let part =
        if campaign.seeds == campaign.of { String::new() } else { format!(", a part of {}", campaign.of) };
    let _ = write!(
        page,
        "<header><h1>{}</h1><span class=\"badge {class}\">{verdict}</span></header>\n<p>{}</p>\n\
         <p class=\"soft\">{} runs, seeds {}{part}. The guest runs again, on one side or the other, within {}.</p>\n",
        esc(&scenario.name),
        esc(&scenario.about),
        grouped(campaign.tally.runs),
        campaign.seeds,
        short(Ns::new(scenario.hard_limit_ns)),
    );
}

fn tiles(page: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    let at = |share| downtime(campaign, share).map_or("no end".into(), short);
    let left = downtime(campaign, Share::ALL)
        .map_or("none".into(), |longest| slack(Ns::new(campaign.scenario.hard_limit_ns), longest));
    let tiles = [
        (esc(&percent(tally.outcomes.committed, tally.runs)), "of the runs committed"),
        (at(Share::P50), "median downtime"),
        (at(Share::P99), "downtime, p99"),
        (at(Share::ALL), "longest downtime"),
        (left, "least slack"),
    ];
    page.push_str("<div class=\"tiles\">\n");
    for (figure, name) in tiles {
        let _ = writeln!(page, "<div class=\"tile\"><b>{figure}</b><span>{name}</span></div>");
    }
    page.push_str("</div>\n");
}

/// What no reader may miss.
fn broken(page: &mut String, campaign: &Campaign) {
    let violations = &campaign.tally.violations;
    let Some(first) = violations.first.first() else { return };
    section(page, "Broken promises", "Those with the smallest seeds.");
    page.insert_str(page.rfind("<section>").unwrap_or(0) + "<section".len(), " class=\"alarm\"");
    page.push_str("<div class=\"scroll\"><table><thead><tr><th>promise</th><th>seed</th><th>at</th><th class=\"left\">what</th></tr></thead><tbody>\n");
    for broken in &violations.first {
        let _ = writeln!(
            page,
            "<tr><td class=\"over\">{}</td><td>{}</td><td>{}</td><td class=\"wide\">{}</td></tr>",
            esc(&broken.promise),
            broken.seed,
            short(Ns::new(broken.at_ns)),
            esc(&broken.what)
        );
    }
    let _ = writeln!(page, "</tbody></table></div>\n<pre>{}</pre>", esc(&again_run(campaign, first.seed)));
    if let Some(shortened) = &campaign.broken {
        let _ = writeln!(
            page,
            "<p>Seed {} without all that is not needed to break it: who said what to whom, and the scenario.</p>\n\
             <pre>{}</pre>\n<details><summary>The scenario that is left</summary><pre>{}</pre></details>",
            shortened.seed,
            esc(&shortened.diagram),
            esc(&shortened.scenario)
        );
    }
    end(page);
}

fn foot(page: &mut String, campaign: &Campaign) {
    section(
        page,
        "Play it again",
        "The same seeds give the same campaign, on any machine and on any number of threads.",
    );
    let _ = write!(page, "<pre>{}", esc(&again(campaign)));
    if let Some((seed, _)) = campaign.tally.worst() {
        let _ = write!(page, "\n{}", esc(&again_run(campaign, seed)));
    }
    page.push_str("</pre>\n");
    end(page);
    let _ = writeln!(
        page,
        "<footer>{} &middot; scenario {} &middot; digest {}</footer>",
        esc(&campaign.program),
        esc(&campaign.given),
        esc(&campaign.scenario.digest)
    );
}

/// Begins a section; [`end`] ends it.
fn section(page: &mut String, title: &str, note: &str) {
    let _ = write!(page, "<section>\n<h2>{title}</h2>\n");
    if !note.is_empty() {
        let _ = writeln!(page, "<p class=\"note\">{note}</p>");
    }
}

fn end(page: &mut String) {
    page.push_str("</section>\n");
}

/// Text inside an element or a quoted attribute.
fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A count with thin blanks between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(esc("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in
            [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(grouped(count), text);
        }
    }
}
