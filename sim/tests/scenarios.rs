//! Scenario files: those that are shipped, what is written back, and what is said about those that cannot be meant.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use switchover_sim::scenario::{Scenario, shipped};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Names of all files below, as `shipped` names them.
fn files(folder: &Path, before: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.strip_suffix(".toml") {
            Some(stem) => assert!(found.insert(format!("{before}{stem}"))),
            None if entry.path().is_dir() => files(&entry.path(), &format!("{before}{name}/"), found),
            None => {}
        }
    }
}

#[test]
fn every_file_is_shipped_and_every_shipped_scenario_is_read() {
    let mut found = BTreeSet::new();
    files(&folder(), "", &mut found);
    assert_eq!(shipped::names().map(String::from).collect::<BTreeSet<_>>(), found);
    assert_eq!(shipped::names().next(), Some("standard"));
    for name in shipped::names() {
        let at = folder().join(format!("{name}.toml"));
        let read = Scenario::load(&at).unwrap_or_else(|error| panic!("{error}"));
        assert!(!read.about.is_empty(), "{name} says what it is about");
        assert_eq!(Some(read.name.as_str()), name.rsplit('/').next());
        let again = Scenario::load(Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again, Scenario { name: again.name.clone(), ..read }, "by name or by file");
    }
    assert_eq!(Scenario::standard().name, "standard");
}

#[test]
fn what_is_written_is_read_back() {
    for name in shipped::names() {
        round_trip(&Scenario::load(Path::new(name)).expect(name));
    }
    round_trip(&parse(ALL_KINDS));
}

fn round_trip(scenario: &Scenario) {
    let text = scenario.to_toml();
    let again = Scenario::parse(&scenario.name, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(&again, scenario, "{text}");
    assert_eq!(again.to_toml(), text);
}

fn parse(body: &str) -> Scenario {
    Scenario::parse("t", body).unwrap_or_else(|error| panic!("{error}"))
}

/// Every kind of fault and of time, and every table that the standard scenario leaves out.
const ALL_KINDS: &str = r#"
version = 1
base = "standard"
about = "a \"quoted\" \\ and a tab:	"
hold_on_lost_device = true
calm = "20s"
faults = [
    "stall:save:2s", "stall:link:1s#2", "stall:seal:1ms", "drop:go:once#all", "corrupt:page", "kill:source@go#3",
    { kind = "stall", side = "source", port = "device1", phase = "stop", time = "forever", chance = "5%" },
    { kind = "fail", side = "destination", port = "device0", phase = "seal", attempt = 2 },
    { kind = "lie", side = "source", port = "journal", phase = "seal", percent = 300, attempt = "all" },
    { kind = "drop", message = "welcome", once = true, at = "hello", attempt = 2 },
    { kind = "partition", from = "destination", time = "1s", after_message = "ready" },
    { kind = "partition", time = "1s", before_message = "go" },
    { kind = "reset", since_stop = { uniform = ["0", "300ms"] } },
    { kind = "stall_link", time = "10ms", within_steps = 400, chance = "333ppm" },
    { kind = "kill", side = "destination", restart = "50ms", torn = true, after = { typical = "1ms", worst = "9s" } },
    { kind = "kill", side = "source", restart = "never", at = "rollback" },
    { kind = "pause", side = "source", time = "40ms", after = { recorded = ["1ms", "1.000001ms"] } },
    { kind = "corrupt", at = "stop" },
    { kind = "cancel", side = "destination", at = "seal" },
    { kind = "no_arbiter", side = "source", time = "9s", at = "go" },
    { kind = "no_arbiter", time = "9s", at = "go" },
]

[cadence]
ping = "20ms"

[source]
stolen = { every = "40ms", pause = { uniform = ["1ms", "5ms"] } }

[arbiter]
from_source = "2ms"
from_destination = { typical = "1ms", worst = "8ms" }

[link.datagrams]
lost = "5%"
doubled = "1%"
reordered = "200ppm"
late = "3ms"

[contracts.source.device1]
quiesce = { worst = "50ms", source = "learned" }

[contracts.destination.vcpus]
load = { worst = "51ms", source = "calibrated" }

[contracts.source.link]
rate = { worst = "1GiB/s", source = "learned" }
"#;

#[test]
fn the_shells_words_are_the_same_faults() {
    let of = |fault: &str| parse(&format!("version = 1\nbase = \"standard\"\nfaults = [{fault}]")).faults;
    for (word, table) in [
        (
            "stall:save:2s#2",
            r#"kind = "stall", side = "source", port = "vcpus", phase = "save", time = "2s", attempt = 2"#,
        ),
        (
            "stall:seal:2s",
            r#"kind = "stall", side = "destination", port = "memory", phase = "seal", time = "2s""#,
        ),
        ("stall:link:2s", r#"kind = "stall_link", time = "2s", at = "stop""#),
        ("drop:running:once#all", r#"kind = "drop", message = "running", once = true, attempt = "all""#),
        ("kill:destination@ready", r#"kind = "kill", side = "destination", at = "ready""#),
        ("corrupt:device", r#"kind = "corrupt""#),
    ] {
        assert_eq!(of(&format!("\"{word}\"")), of(&format!("{{ {table} }}")), "{word}");
    }
}

#[test]
fn contracts_are_the_worst_of_what_a_thing_takes_unless_written() {
    let standard = Scenario::standard();
    let longest = |index: usize| standard.devices[index].times.save.worst();
    assert_eq!(standard.source_contracts.devices[1].save.time, longest(1));
    assert_eq!(standard.source_contracts.link.delay.time, standard.link.control.longest_way());
    let own = parse(
        "version = 1\nbase = \"standard\"\n[contracts.source.device1]\nsave = \"90ms\"\n[source]\nstolen = { every = \"1s\", pause = \"3ms\" }",
    );
    assert_eq!(own.source_contracts.devices[1].save.time.get(), 90_000_000);
    assert_eq!(own.source_contracts.devices[0].save.time.get(), longest(0).get() + 3_000_000);
    assert_eq!(own.destination_contracts, standard.destination_contracts);
}

#[test]
fn a_bad_scenario_says_where_and_what_would_be_right() {
    for (body, line, says) in BAD {
        let text = format!("version = 1\nbase = \"standard\"\n{body}\n");
        let error = Scenario::parse("t.toml", &text).expect_err(body).to_string();
        assert!(error.starts_with(&format!("t.toml:{line}: ")), "{body}: {error}");
        assert!(error.contains(says), "{body}: {error}");
    }
}

/// What follows `version` and `base` (so begins in line 3), the line of the error, and a part of its message.
const BAD: &[(&str, usize, &str)] = &[
    // Unknown.
    ("[gest]", 3, "`gest` is not a key of a scenario; did you mean `guest`?"),
    ("[guest]\nmemory = \"1GiB\"\nworkingset = \"1MiB\"", 5, "did you mean `working_set`?"),
    ("[source]\ntimers = \"1ms\"", 4, "`timers` is not a key of source; did you mean `timer`?"),
    ("[link.control]\nlatancy = \"1ms\"", 4, "did you mean `latency`?"),
    ("[link.bulk]\nlatency = { unifrom = [\"1ms\", \"2ms\"] }", 4, "did you mean `uniform`?"),
    ("[guest.times]\nquiesce = \"1ms\"", 4, "known: stop save load resume rollback"),
    ("[contracts.source.vcpus]\nsav = \"4ms\"", 4, "did you mean `save`?"),
    ("[contracts.sauce.vcpus]\nsave = \"4ms\"", 3, "did you mean `source`?"),
    // No TOML, or of the wrong kind.
    ("[guest\n", 3, "no TOML"),
    ("limits = 4", 3, "`limits` is a number without a unit; write a table"),
    ("[limits]\ndowntime = 300", 4, "write a time with its unit"),
    ("[limits]\ndowntime = \"300 bananas\"", 4, "`bananas`"),
    ("[guest]\noutlives_agent = \"yes\"", 4, "write `true` or `false`, without quotes"),
    ("[retry]\nattempts = \"3\"", 4, "write a number from 1 to 8"),
    ("[source]\ndrift = \"50\"", 4, "write `5%` or `200ppm`"),
    ("base = \"standard\"", 3, "no TOML: duplicate key"),
    // Without a bound.
    ("[source]\ntimer = { typical = \"1ms\" }", 4, "alone has no bound; write the longest that it may take"),
    (
        "[arbiter]\nfrom_source = \"1ms\"",
        3,
        "`arbiter.from_destination` is missing: what takes no stated time",
    ),
    ("[link.bulk]\nbandwidth = \"max\"", 4, "has no bound"),
    ("[link.bulk]\nbandwidth = \"0\"", 4, "is zero"),
    ("[[devices]]\nstate = \"1MiB\"", 3, "`devices[0].times` is missing: work without a time has no bound"),
    ("[guest]\ndirty = []", 4, "is an empty list"),
    ("faults = [{ kind = \"partition\", at = \"go\" }]", 3, "what never ends has no bound"),
    ("[link.datagrams]\nlost = \"100%\"", 4, "write a fault `partition`"),
    ("[source]\nstolen = { every = \"5ms\", pause = \"5ms\" }", 4, "leaves the host no time"),
    // Contradictions.
    ("[guest]\nworking_set = \"9GiB\"", 4, "is more than `guest.memory`, 4GiB"),
    ("[guest]\nburst_after_read = \"1GiB\"", 4, "is more than `guest.working_set`, 256MiB"),
    ("[guest]\nmemory = \"4097\"", 4, "is not a number of pages"),
    ("[source]\ntimer = { uniform = [\"3ms\", \"1ms\"] }", 4, "ends before it begins"),
    ("[source]\ntimer = { typical = \"3ms\", worst = \"1ms\" }", 4, "is longer than `worst`"),
    ("[source]\ntimer = { recorded = [] }", 4, "record at least one"),
    ("[source]\ntimer = { recorded = \"trace.txt\" }", 4, "in no folder"),
    ("[source]\ntimer = \"3000s\"", 4, "write at most 2000s"),
    ("[limits]\ndowntime = \"0\"", 4, "no switchover takes no time"),
    ("[limits]\ndowntime = \"1999s\"\nswitchover = \"2s\"", 4, "both limits together are at most 2000s"),
    ("[retry]\nattempts = 9", 4, "write a number from 1 to 8"),
    ("[retry]\nblackout_budget = \"309ms\"", 4, "write at least 310ms"),
    ("[cadence]\nping = \"0\"", 3, "would spin"),
    ("calm = \"1s\"", 3, "write at least 2.05s"),
    ("[contracts.source.device0]\nsave = \"1ms\"", 4, "is 1ms, but it takes up to 20ms"),
    ("[contracts.source.link]\nrate = \"10GiB/s\"", 4, "but the link carries 25Gb/s"),
    ("[contracts.source.device2]\nsave = \"1ms\"", 4, "the guest has 2 devices"),
    ("[contracts.source.vcpus]\nload = \"1ms\"", 4, "no work of that port on the source"),
    ("[contracts.source.arbiter]\nclaim = \"1ms\"", 4, "there is no arbiter"),
    ("[contracts.destination.link]\nround_trip = \"1ms\"", 3, "`[contracts.source.link]`"),
    // Faults.
    ("faults = [\"stall:save\"]", 3, "for how long is missing"),
    ("faults = [\n  \"stal:save:2s\",\n]", 4, "did you mean `stall`?"),
    ("faults = [\"stall:save:2s#4\"]", 3, "there are only 3 attempts"),
    ("[[faults]]\nkind = \"stahl\"", 4, "did you mean `stall`?"),
    ("[[faults]]\nkind = \"reset\"", 4, "does not say when it begins; write one of: at attempt after"),
    ("[[faults]]\nkind = \"reset\"\nat = \"go\"\nafter = \"1s\"", 6, "a fault begins once"),
    ("[[faults]]\nkind = \"reset\"\nafter = \"1s\"\nattempt = 1", 6, "goes with `at` alone"),
    (
        "[[faults]]\nkind = \"reset\"\nat = \"go\"\nside = \"source\"",
        6,
        "`side` is not a key of faults[0] (reset)",
    ),
    ("[[faults]]\nkind = \"drop\"\nmessage = \"redy\"", 5, "did you mean `ready`?"),
    ("[[faults]]\nkind = \"kill\"\nside = \"source\"\nat = \"load\"", 6, "which the source never enters"),
    (
        "[[faults]]\nkind = \"fail\"\nside = \"source\"\nport = \"device7\"\nphase = \"save\"",
        6,
        "the guest has 2 devices",
    ),
    (
        "[[faults]]\nkind = \"fail\"\nside = \"source\"\nport = \"vcpus\"\nphase = \"load\"",
        7,
        "write one of: stop save rollback",
    ),
    ("[[faults]]\nkind = \"no_arbiter\"\ntime = \"1s\"\nat = \"go\"", 4, "there is none"),
    ("[[faults]]\nkind = \"corrupt\"\nchance = \"200%\"", 5, "more than always"),
];

#[test]
fn a_file_that_is_no_scenario_is_told_apart() {
    for (text, says) in [
        ("", "`version` is missing: another version may mean other things; write `version = 1`"),
        ("version = 2", "t.toml:1: `version` is not 1"),
        ("version = 1", "`source` is missing"),
        ("version = 1\nbase = \"standart\"", "t.toml:2: `base` names no scenario: `standart`; write"),
        ("version = 1\nbase = \"other.toml\"", "t.toml:2: `base` names no scenario"),
    ] {
        let error = Scenario::parse("t.toml", text).expect_err(text).to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    let error = Scenario::load(Path::new("no/such.toml")).expect_err("nothing").to_string();
    assert!(error.contains("no/such.toml: cannot be read") && error.contains("one of: standard"), "{error}");
}

#[test]
fn a_file_names_files_beside_it_and_an_error_in_one_of_them_says_so() {
    let folder = std::env::temp_dir().join(format!("switchover-scenarios-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let read = |path: &Path| Scenario::load(path).map_err(|error| error.to_string());

    write("journal.txt", "# of one afternoon\n1ms\n\n 250us # usual\n");
    let own = write(
        "own.toml",
        "version = 1\nbase = \"standard\"\n[source]\njournal = { recorded = \"journal.txt\" }\n",
    );
    let journal = read(&own).expect("read").source.journal;
    assert_eq!((journal.least().get(), journal.worst().get()), (250_000, 1_000_000));
    let upon = write("upon.toml", "version = 1\nbase = \"own.toml\"\n[limits]\ndowntime = \"500ms\"\n");
    let scenario = read(&upon).expect("read");
    assert_eq!((scenario.source.journal, scenario.limits.downtime.get()), (journal, 500_000_000));

    write("journal.txt", "1ms\n2 bananas\n");
    let error = read(&upon).expect_err("bananas");
    assert!(error.contains("journal.txt:2: `bananas`"), "{error}");
    write("own.toml", "version = 1\nbase = \"upon.toml\"\n");
    let error = read(&upon).expect_err("a circle");
    assert!(error.contains("leads through too many others"), "{error}");
    std::fs::remove_dir_all(&folder).expect("cleaned");
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SCENARIOS.md");
    std::fs::read_to_string(path).expect("docs/SCENARIOS.md")
}

/// What stands between ticks.
fn spelled(text: &str) -> BTreeSet<&str> {
    let ticked = text.split('`').skip(1).step_by(2);
    ticked.flat_map(|code| code.split([' ', ',', '{', '}', '=', '[', ']']).map(str::trim)).collect()
}

#[test]
fn every_key_and_word_is_described_where_it_belongs() {
    use switchover_sim::scenario::words::{self, Kind};
    let page = page();
    // Whole, since examples of TOML have ticks of their own around them.
    let page = page.replace("```", "");
    let part = |title: &str| {
        let from = page.find(&format!("\n{title}\n")).unwrap_or_else(|| panic!("no `{title}`"));
        let level = title.split(' ').next().unwrap_or_default();
        let rest = &page[from + title.len() + 1..];
        rest.find(&format!("\n{level} ")).map_or(rest, |end| &rest[..end])
    };
    for (title, keys) in [
        ("## Values", words::DISTRIBUTION),
        ("## The scenario", words::SCENARIO),
        ("### `[limits]`", words::LIMITS),
        ("### `[retry]`", words::RETRY),
        ("### `[cadence]`", words::CADENCE),
        ("## Hosts", words::HOST),
        ("## Hosts", words::STOLEN),
        ("## Link", words::LINK),
        ("## Link", words::CHANNEL),
        ("## Link", words::DATAGRAMS),
        ("## Guest", words::GUEST),
        ("## Guest", words::DIRTY),
        ("## Guest", words::GUEST_TIMES),
        ("## Devices", words::DEVICE),
        ("## Devices", words::DEVICE_TIMES),
        ("## Arbiter", words::ARBITER),
        ("## Faults", words::FAULT),
        ("## Faults", words::WHEN),
        ("## Faults", Kind::WORDS),
        ("## Faults", words::MESSAGES),
    ] {
        let part = spelled(part(title));
        for key in keys {
            assert!(part.contains(key), "docs/SCENARIOS.md, {title}: nothing about `{key}`");
        }
    }
    let faults = part("## Faults");
    for kind in Kind::ALL {
        let row = faults.lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        let keys = row.and_then(|row| row.split('|').nth(2)).map(spelled).unwrap_or_default();
        let described: BTreeSet<_> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        assert_eq!(described, kind.keys().iter().copied().collect(), "docs/SCENARIOS.md: keys of {kind}");
    }
}

#[test]
fn the_pages_examples_are_scenarios_and_its_list_is_complete() {
    let page = page();
    let mut examples = 0;
    for block in page.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        Scenario::parse("docs/SCENARIOS.md", text).unwrap_or_else(|error| panic!("{error}"));
        examples += 1;
    }
    assert_eq!(examples, 2);
    let listed = spelled(page.split("## What is shipped").nth(1).unwrap_or_default());
    for name in shipped::names().filter(|name| !name.contains('/')) {
        assert!(listed.contains(name), "docs/SCENARIOS.md lists `{name}`");
    }
}
