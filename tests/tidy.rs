//! The shape of the source, read from its text: who may use whom, how long a file may be.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files under a folder of the workspace with this ending, by path.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            // A package of its own leaves what it builds beside it.
            if path.ends_with("target") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

const SOURCES: [&str; 9] = [
    "src",
    "tests",
    "benches",
    "examples",
    "actors/benches",
    "actors/src",
    "actors/tests",
    "journal/src",
    "journal/tests",
];

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Lines of code, without comments.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap().to_owned());
    lines.collect()
}

/// Asserts that no code of these files names one of the crates.
#[track_caller]
fn free_of(files: &[PathBuf], crates: &[&str]) {
    assert!(!files.is_empty(), "there is nothing to look at");
    for path in files {
        for (number, line) in code(path).iter().enumerate() {
            for word in crates {
                let used = line.match_indices(word).any(|(at, _)| is_crate(line, at, word.len()));
                assert!(!used, "{}:{}: uses {word}: {line}", name(path), number + 1);
            }
        }
    }
}

/// A whole word with a path behind it, or the object of a `use`.
fn is_crate(line: &str, at: usize, length: usize) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let before = line[..at].chars().next_back();
    let after = &line[at + length..];
    let whole = !before.is_some_and(part_of_word) && !after.starts_with(part_of_word);
    whole && (after.starts_with("::") || line.trim_start().starts_with("use "))
}

#[test]
fn the_journal_knows_no_domain() {
    free_of(&files("journal", "rs"), &["mainstay_actors", "mainstay", "actix", "tokio"]);
}

#[test]
fn the_core_uses_no_runtime_no_journal_and_no_clock() {
    let mut core = files("actors/src", "rs");
    core.retain(|path| {
        let name = name(path);
        // Models of what threads do are tests.
        let is_model = name == "actors/src/gate/models.rs";
        !name.starts_with("actors/src/host/") && name != "actors/src/host.rs" && !is_model
    });
    let forbidden = ["actix", "tokio", "mainstay_journal", "mainstay", "tracing", "sled"];
    free_of(&core, &forbidden);
    for path in &core {
        for line in code(path) {
            for word in ["crate::host", "Instant", "SystemTime", "HashMap", "HashSet", "thread::"] {
                assert!(!line.contains(word), "{}: {word}: {line}", name(path));
            }
        }
    }
}

#[test]
fn the_host_does_not_point_back_to_server_or_command_line() {
    free_of(&files("actors/src/host", "rs"), &["mainstay", "actix_web", "clap", "ureq"]);
}

#[test]
fn the_server_does_not_know_the_command_line() {
    let mut inner = files("src", "rs");
    inner.retain(|path| {
        let name = name(path);
        !name.starts_with("src/cli") && name != "src/main.rs" && name != "src/lib.rs"
    });
    free_of(&inner, &["clap", "indicatif", "comfy_table", "tracing_subscriber"]);
    for path in &inner {
        for line in code(path) {
            let used = line.match_indices("crate::cli").any(|(at, word)| {
                let after = line[at + word.len()..].chars().next();
                !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
            });
            assert!(!used, "{}: {line}", name(path));
        }
    }
}

#[test]
fn a_module_lies_in_a_file_of_its_own_name() {
    for folder in SOURCES {
        for path in files(folder, "rs") {
            assert_ne!(path.file_name().unwrap(), "mod.rs", "{}", name(&path));
        }
    }
}

#[test]
fn every_case_of_a_breaker_is_a_test() {
    let page = fs::read_to_string(root().join("docs/breaker-cases.md")).unwrap();
    let mut cases = 0;
    for line in page.lines().filter(|line| line.contains(".rs` `")) {
        let mut named = line.rsplit('`').skip(1).step_by(2);
        let (test, file) = (named.next().unwrap(), named.next().unwrap());
        let code = fs::read_to_string(root().join(file)).unwrap_or_default();
        let is_test = code.split("#[").any(|part| {
            let (attribute, rest) = part.split_once(']').unwrap_or_default();
            attribute.ends_with("test") && rest.contains(&format!("fn {test}()"))
        });
        assert!(is_test, "no such test: {line}");
        cases += 1;
    }
    assert!(cases >= 60, "only {cases} cases");
}

#[test]
fn no_file_is_over_four_hundred_lines() {
    let mut long = Vec::new();
    for path in SOURCES.iter().flat_map(|folder| files(folder, "rs")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > 400 {
            long.push(format!("{} has {lines} lines", name(&path)));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_test_is_named_test() {
    for path in SOURCES.iter().flat_map(|folder| files(folder, "rs")) {
        for line in code(&path) {
            let named = line.trim_start().starts_with("fn test_");
            assert!(!named, "{}: {line}", name(&path));
        }
    }
}

#[test]
fn every_decision_record_has_its_four_headings() {
    for path in files("docs/adr", "md") {
        let text = fs::read_to_string(&path).unwrap();
        let headings: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("## ")).map(str::trim).collect();
        for wanted in ["Status", "Context", "Decision", "Consequences"] {
            assert!(headings.contains(&wanted), "{}: no heading {wanted}", name(&path));
        }
    }
}

/// The page of security names the tests that show each answer.
#[test]
fn every_test_that_the_page_of_security_names_exists() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    // What stands between backticks and is made of words: names of tests, not of commands.
    let named = page.split('`').skip(1).step_by(2).filter(|it| it.matches('_').count() >= 2);
    let named: Vec<&str> = named.filter(|it| !it.contains(['.', ' ', '/'])).collect();
    assert!(named.len() > 30, "the names have moved: {named:?}");
    let sources: Vec<String> = SOURCES
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for name in named {
        let function = format!("fn {name}(");
        assert!(sources.iter().any(|text| text.contains(&function)), "there is no test {name}");
    }
}
