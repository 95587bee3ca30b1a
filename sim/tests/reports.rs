//! Reports of a campaign: the same for the same campaign, well-formed, and complete in themselves.

mod made;

use made::campaign;
use quick_xml::Reader;
use quick_xml::events::Event;
use switchover_core::time::Ns;
use switchover_sim::campaign::gates::Gate;
use switchover_sim::campaign::{Campaign, Seeds, Share, Verdict};
use switchover_sim::exit_code::ExitCode;
use switchover_sim::report::{exit_code, html, junit, text};

fn whole(breaks: bool) -> Campaign {
    let seeds: Seeds = "0..20000".parse().expect("seeds");
    campaign(seeds, seeds, 2, breaks)
}

fn gates(campaign: &Campaign) -> Vec<Verdict> {
    let gates =
        [Gate::Downtime(Share::P50, Ns::from_millis(290)), Gate::Downtime(Share::P99, Ns::from_millis(1))];
    gates.map(|gate| gate.judge(campaign)).into()
}

/// Names of elements in order, or the parser's complaint.
fn elements(xml: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::from_str(xml);
    let (mut names, mut open) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                let name = start.name().as_ref().to_string();
                start.attributes().try_for_each(|each| each.map(drop)).map_err(|error| error.to_string())?;
                names.push(name.clone());
                open.push(name);
            }
            Event::Empty(start) => {
                start.attributes().try_for_each(|each| each.map(drop)).map_err(|error| error.to_string())?;
                names.push(start.name().as_ref().to_string());
            }
            Event::End(_) => drop(open.pop()),
            Event::Eof if open.is_empty() => return Ok(names),
            Event::Eof => return Err(format!("never closed: {open:?}")),
            _ => {}
        }
    }
}

#[test]
fn junit_has_a_case_for_each_promise_and_each_gate() {
    for breaks in [false, true] {
        let campaign = whole(breaks);
        let xml = junit::junit(&campaign, &gates(&campaign));
        let names = elements(&xml).expect("well-formed");
        let count = |name: &str| names.iter().filter(|other| *other == name).count();
        assert_eq!((count("testsuites"), count("testsuite"), count("testcase")), (1, 1, 7 + 2));
        assert_eq!(count("failure"), if breaks { 3 } else { 1 }, "{xml}");
        assert!(xml.contains("--max-p99 1ms") && xml.contains("--seeds 0..20000"), "{xml}");
        assert!(!breaks || xml.contains("the guest runs on both sides"), "{xml}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    for breaks in [false, true] {
        let campaign = whole(breaks);
        let page = html::html(&campaign, &gates(&campaign));
        for outside in
            ["http://", "https://", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<img"]
        {
            assert!(!page.contains(outside), "the page has `{outside}`");
        }
        // The made-up name of the world would be an element, were it not escaped.
        assert!(page.contains("&lt;sometimes&gt;") && !page.contains("<sometimes>"));
        assert_eq!(page.contains("Broken promises"), breaks);
        for part in
            ["hard limit 310ms", "The worst run: seed", "source/device0/save", "least slack", "--max-p99 1ms"]
        {
            assert!(page.contains(part), "the page lacks {part}");
        }
        assert!(page.len() < 300_000, "{}", page.len());
    }
}

#[test]
fn every_element_of_the_page_is_closed() {
    let campaign = whole(true);
    let page = html::html(&campaign, &gates(&campaign));
    // Void elements and the document type are HTML's own; all else is written as XML would have it.
    let style = page.find("<style>").expect("style")..page.find("</style>").expect("style");
    let mut rest = page.clone();
    rest.replace_range(style, "<style>");
    let void =
        rest.replace("<meta charset=\"utf-8\">", "").replace("initial-scale=1\">", "initial-scale=1\"/>");
    let names = elements(&void.replace("<!doctype html>", "").replace("&middot;", "").replace("&ndash;", ""));
    let names = names.expect("closed");
    assert!(names.iter().filter(|name| *name == "section").count() >= 8, "{names:?}");
}

#[test]
fn a_report_depends_on_the_campaign_alone() {
    let (a, b) = (whole(true), whole(true));
    let (gates_a, gates_b) = (gates(&a), gates(&b));
    assert!(html::html(&a, &gates_a) == html::html(&b, &gates_b));
    assert!(junit::junit(&a, &gates_a) == junit::junit(&b, &gates_b));
    assert!(text::text(&a, &gates_a) == text::text(&b, &gates_b));
}

#[test]
fn the_text_fits_a_terminal_and_says_what_matters() {
    for breaks in [false, true] {
        let campaign = whole(breaks);
        let text = text::text(&campaign, &gates(&campaign));
        for line in text.lines().skip(1) {
            assert!(line.chars().count() <= 120, "{line}");
        }
        let says = if breaks { "promises: BROKEN: P1" } else { "promises: kept in every run" };
        assert!(text.contains(says), "{text}");
        assert!(text.contains("again: switchover-sim campaign made-up --seeds 0..20000"), "{text}");
        assert!(text.contains("--max-p99 1ms: MISSED"), "{text}");
    }
}

#[test]
fn a_result_means_one_exit_code() {
    let kept = whole(false);
    assert_eq!(exit_code(&kept, &[]), ExitCode::Kept);
    assert_eq!(exit_code(&kept, &gates(&kept)), ExitCode::GateMissed);
    let broken = whole(true);
    assert_eq!(exit_code(&broken, &gates(&broken)), ExitCode::Broken);
}
