//! Runs one case of this program under callgrind and reads the sum.

use std::process::{Command, Stdio};

/// Whether valgrind can be run.
pub(crate) fn is_here() -> bool {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The instructions of [`counted`](crate::counted) in one run of a case.
pub(crate) fn count(case: &str) -> u64 {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("callgrind.out");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--case", case])
        .output()
        .unwrap();
    let complaint = || String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{case}: {}", complaint());
    let written = std::fs::read_to_string(&out).unwrap();
    let sum = written.lines().find_map(|line| line.strip_prefix("totals: "));
    let sum = sum.and_then(|sum| sum.trim().parse().ok()).unwrap_or(0);
    assert!(sum > 0, "{case}: nothing was counted: {}", complaint());
    sum
}
