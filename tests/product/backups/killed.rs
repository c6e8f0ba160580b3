//! Killed at every step of a backup and of a restore: nothing looks whole that is not, and the next run
//! completes it.

use std::fs;
use std::process::{Command, Stdio};

use super::{Ground, acquire};
use crate::support::{Server, run};

/// Runs the program until it makes a file's name durable for the `n`th time, and kills it there; says
/// whether it was killed.
fn killed_at(n: usize, arguments: &[&str]) -> bool {
    let inject = format!("inject=rename,renameat,renameat2,link,linkat:signal=KILL:when={n}");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=rename,renameat,renameat2,link,linkat",
    ]);
    command.args(["-e", &inject, env!("CARGO_BIN_EXE_mainstay")]).args(arguments);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    !status.success()
}

fn there_is_strace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    let there = command.status().is_ok_and(|status| status.success());
    if !there {
        eprintln!("SKIPPED: there is no strace (Debian package strace): NOTHING WAS KILLED");
    }
    there
}

fn grown() -> Ground {
    let ground = Ground::new();
    let server = Server::start(&ground.path("data"));
    let client = server.client();
    for n in 0..5 {
        acquire(&client, &format!("room-{n}")).unwrap();
    }
    server.stop();
    ground
}

#[test]
fn a_restore_that_is_killed_at_any_step_makes_no_journal_and_the_next_one_does() {
    if !there_is_strace() {
        return;
    }
    let ground = grown();
    assert_eq!(ground.backup().code, 0);
    let (target, new, key) = (ground.at("target"), ground.at("new"), ground.at("key"));
    let verb = ["restore", &target, "--to", &new, "--identity", &key, "--copy"];
    let mut steps = 0;
    for n in 1.. {
        if !killed_at(n, &verb) {
            break;
        }
        steps += 1;
        // Until the last name is there it is no journal, and nothing serves it.
        if !ground.path("new/JOURNAL").exists() {
            let refused = run(["serve", "--data", &new, "--listen", "127.0.0.1:0"]);
            assert_eq!(refused.code, 5, "step {n}: {}", refused.stderr);
            let done = ground.restore("new", &["--copy"]);
            assert_eq!(done.code, 0, "step {n}: {}", done.stderr);
        }
        let verified = run(["verify", "--data", &new]);
        assert_eq!(verified.code, 0, "step {n}: {}", verified.stdout);
        fs::remove_dir_all(ground.path("new")).unwrap();
        assert!(n < 100, "it never ends");
    }
    assert!(steps > 5, "{steps}");
}

#[test]
fn a_backup_that_is_killed_at_any_step_leaves_the_target_whole_and_the_next_completes_it() {
    if !there_is_strace() {
        return;
    }
    let ground = grown();
    let (data, target) = (ground.at("data"), ground.at("target"));
    let verb = ["backup", "--data", &data, "--to", &target, "--recipient", &ground.recipient];
    let mut steps = 0;
    for n in 1.. {
        if !killed_at(n, &verb) {
            break;
        }
        steps += 1;
        let next = ground.backup();
        assert_eq!(next.code, 0, "step {n}: {}", next.stderr);
        let restored = ground.restored("new", &["--copy"]);
        assert_eq!(restored["left_out"], 0);
        fs::remove_dir_all(ground.path("new")).unwrap();
        // Each time from nothing, so that every object is one that can be cut off.
        fs::remove_dir_all(&target).unwrap();
        assert!(n < 100, "it never ends");
    }
    // Counted in each of the threads that write.
    assert!(steps > 1, "{steps}");
}
