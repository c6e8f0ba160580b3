//! The command line: exit codes and texts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use tempfile::tempdir;

use crate::support::{Server, run, run_under, run_unread};

#[test]
fn every_verb_explains_itself() {
    let help = run(["--help"]);
    assert_eq!(help.code, 0);
    let verbs: Vec<&str> = help
        .stdout
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.contains(&"serve") && verbs.contains(&"status"), "{verbs:?}");
    for verb in verbs {
        let help = run([verb, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{verb}");
        assert!(help.stdout.contains("Usage: mainstay"), "{verb}: {}", help.stdout);
    }
}

#[test]
fn an_unknown_verb_or_flag_is_a_usage_error() {
    for arguments in [&["sevre"][..], &["serve", "--liste", "x"], &["status", "extra"], &[]] {
        let ended = run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn status_without_a_server_says_how_to_start_one() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run(["status", "--server", &format!("http://{nobody}")]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("mainstay serve"), "{}", ended.stderr);
    let ended = run(["status", "--server", "http://user:secret@127.0.0.1:1"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}

#[test]
fn status_shows_a_running_server_to_people_and_to_programs() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let url = format!("http://{}", server.address());
    let shown = run(["status", "--server", &url]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.starts_with("OPTIMAL  score 100"), "{}", shown.stdout);
    let json = run(["status", "--json", "--server", &url]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["health"]["level"], "OPTIMAL");
    assert_eq!(json["readiness"]["status"], "ready");
}

#[test]
fn a_bad_configuration_names_file_line_column_and_the_nearest_key() {
    let data = tempdir().unwrap();
    let file = data.path().join("mainstay.toml");
    let path = file.to_str().unwrap();
    for (text, place, says) in [
        ("[server]\nlisten = \"127.0.0.1:0\"\ndate = \"x\"\n", ":3:1", "`data`"),
        ("[[dependency]]\nname = \"db\"\nwieght = 3\n", ":3:1", "`weight`"),
        ("[server]\nlisten = \n", ":2:", ""),
        ("[[dependency]]\nname = \"db\"\nweight = \"heavy\"\n", ":3:10", "heavy"),
        ("[[dependency]]\nname = \"db\"\nevery = \"soon\"\n", ":3:9", "soon"),
        ("[[dependency]]\nname = \"db\"\nprobe = \"tcp://a:b@c:1\"\n", ":3:9", "credentials"),
        ("[[dependency]]\nname = \"db\"\n[[dependency]]\nname = \"db\"\n", "", "db"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ended = run(["serve", "--dry-run", "--config", path]);
        assert_eq!(ended.code, 2, "{text}: {}", ended.stderr);
        let wanted = format!("{path}{place}");
        assert!(ended.stderr.contains(&wanted), "{text}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{text}: {}", ended.stderr);
    }
    std::fs::remove_file(&file).unwrap();
    let ended = run(["serve", "--dry-run", "--config", path]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains(path), "{}", ended.stderr);
}

#[test]
fn a_good_configuration_passes_a_dry_run() {
    let data = tempdir().unwrap();
    let file = data.path().join("mainstay.toml");
    std::fs::write(&file, "[[dependency]]\nname = \"db\"\nprobe = \"tcp://db:5432\"\n").unwrap();
    let ended = run(["serve", "--dry-run", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("dependencies: 1"), "{}", ended.stdout);
}

#[test]
fn durations_take_days_and_no_months() {
    let data = tempdir().unwrap();
    let file = data.path().join("mainstay.toml");
    for (duration, code) in [("7d", 0), ("1d 12h", 0), ("168h", 0), ("8d", 2), ("1mo", 2)] {
        let dependency = "[[dependency]]\nname = \"db\"\n[dependency.breaker]\n";
        std::fs::write(&file, format!("{dependency}open_max = \"{duration}\"\n")).unwrap();
        let ended = run(["serve", "--dry-run", "--config", file.to_str().unwrap()]);
        assert_eq!(ended.code, code, "{duration}: {}", ended.stderr);
    }
}

#[test]
fn a_public_address_is_refused() {
    let data = tempdir().unwrap();
    let ended =
        run(["serve", "--listen", "0.0.0.0:0", "--data", data.path().join("d").to_str().unwrap()]);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("loopback"), "{}", ended.stderr);
}

#[test]
fn a_variable_that_is_no_unicode_is_ignored_or_named_in_an_error() {
    // Any such variable, also of another program, was a panic.
    let noise = OsStr::from_bytes(b"\xff\xfe");
    let dry_run = ["serve", "--dry-run"];
    let ended = run_under(("OTHER_PROGRAM", noise), &dry_run);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let ended = run_under(("MAINSTAY__SERVER__LISTEN", noise), &dry_run);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("MAINSTAY__SERVER__LISTEN: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("Unicode"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_leaves_is_no_failure_and_no_news() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let (path, url) = (data.path().to_str().unwrap(), format!("http://{}", server.address()));
    for arguments in [
        &["audit", "--data", path][..],
        &["audit", "--json", "--server", &url],
        &["replay", "--data", path],
        &["replay", "--json", "--data", path],
        &["status", "--server", &url],
        &["serve", "--dry-run"],
        &["replay", "--events", "--data", path],
        &["replay", "--events", "--json", "--server", &url],
        &["replay", "--follow", "--at", "0", "--data", path],
        &["replay", "--follow", "--at", "0", "--server", &url],
        &["replay", "--stream", "system/boot", "--server", &url],
        &["diff", "--from", "0", "--data", path],
        &["diff", "--from", "0", "--json", "--server", &url],
        &["audit", "--why", "1", "--data", path],
        &["audit", "--export", "-", "--format", "csv", "--data", path],
        &["audit", "--export", "-", "--format", "jsonl", "--server", &url],
        &["config", "show"],
        &["config", "schema"],
        &["completions", "zsh"],
        &["man"],
    ] {
        let ended = run_unread(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn every_shell_gets_completions_and_every_verb_a_manual_page() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(["completions", shell]);
        assert_eq!(script.code, 0, "{shell}: {}", script.stderr);
        assert!(script.stdout.contains("diff"), "{shell}");
    }
    let pages = tempdir().unwrap();
    let written = run(["man", "--dir", pages.path().to_str().unwrap()]);
    assert_eq!(written.code, 0, "{}", written.stderr);
    for verb in ["serve", "status", "replay", "diff", "audit", "verify", "config-show", "man"] {
        let page = std::fs::read_to_string(pages.path().join(format!("mainstay-{verb}.1")));
        assert!(page.unwrap().contains(".TH"), "{verb}");
    }
    assert!(run(["man"]).stdout.contains("mainstay"));
}

#[test]
fn no_terminal_is_too_narrow() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let long = "a".repeat(200);
    let body = serde_json::json!({ "owner": "é".repeat(90), "ttl_ms": 60_000 });
    server.client().post(&format!("/api/v1/locks/{long}/acquire"), &body).expect(200);
    let (path, url) = (data.path().to_str().unwrap(), format!("http://{}", server.address()));
    for columns in ["1", "20", "40", "79", "139", "140", "400", "65535", "many"] {
        let under = ("COLUMNS", OsStr::new(columns));
        for arguments in [
            &["audit", "--data", path][..],
            &["audit", "--why", "2", "--data", path],
            &["diff", "--from", "0", "--data", path],
            &["replay", "--data", path],
            &["replay", "--stream", "system/boot", "--data", path],
            &["status", "--server", &url],
            &["config", "show", "--origin"],
            &["audit", "--help"],
        ] {
            let ended = run_under(under, arguments);
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{columns} {arguments:?}");
            if arguments == ["audit", "--data", path] && columns == "40" {
                for line in ended.stdout.lines() {
                    assert!(line.chars().count() <= 40, "{line}");
                }
            }
        }
    }
}
