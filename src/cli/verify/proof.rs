//! `mainstay verify --proof`: a proof file, without any journal.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::exit::Failed;
use crate::verifier::{Invalid, Proved, PublicKey, What, verify};

/// Verifies a proof file; `key` is a public key or a file of them.
pub(super) fn check(path: &Path, key: Option<&str>, as_json: bool) -> Result<ExitCode, Failed> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failed::usage(format!("read {}: {error}", path.display())))?;
    let trusted = key.map(keys).transpose()?.unwrap_or_default();
    let proved = verify(&text, &trusted).map_err(|error| of(path, &error))?;
    let mut stdout = io::stdout().lock();
    if as_json {
        writeln!(stdout, "{}", document(&proved, key.is_some()))?;
    } else {
        writeln!(stdout, "{}", shown(&proved))?;
        if key.is_none() {
            writeln!(
                stdout,
                "the key is from the file itself: compare it with one that you have from elsewhere, or name \
                 that one with --key"
            )?;
        }
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a public key, or a file of them.
pub(super) fn keys(text: &str) -> Result<Vec<PublicKey>, Failed> {
    if let Ok(key) = PublicKey::parse(text) {
        return Ok(vec![key]);
    }
    let told = |reason: String| Failed::usage(format!("--key {text}: {reason}"));
    let lines = std::fs::read_to_string(text)
        .map_err(|error| told(format!("it is no public key, and as a file: {error}")))?;
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    let keys = lines.map(|line| PublicKey::parse(line).map_err(|error| told(error.to_string())));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(told("the file has no keys".to_owned())) } else { Ok(keys) }
}

fn of(path: &Path, error: &Invalid) -> Failed {
    let text = format!("{}: {error}", path.display());
    match error {
        Invalid::Unreadable(_) => Failed::usage(text),
        Invalid::False(_) => Failed::integrity(format!("{text}; nothing is proved")),
    }
}

fn shown(proved: &Proved) -> String {
    let Proved { origin, key, what, size } = proved;
    let what = match what {
        What::Event { position, with_bytes: true } => {
            format!("event {position}, as it is in the proof,")
        },
        What::Event { position, with_bytes: false } => format!("event {position}"),
        What::Checkpoint { from } => format!("everything under the checkpoint of {from} events"),
    };
    format!("{what} is under the checkpoint of {size} events of {origin}\nsigned by {key}")
}

fn document(proved: &Proved, trusted: bool) -> serde_json::Value {
    let Proved { origin, key, what, size } = proved;
    let (position, from) = match what {
        What::Event { position, .. } => (Some(position), None),
        What::Checkpoint { from } => (None, Some(from)),
    };
    json!({
        "origin": origin,
        "size": size,
        "position": position,
        "from": from,
        "key": key.to_string(),
        "key_from_elsewhere": trusted,
    })
}
