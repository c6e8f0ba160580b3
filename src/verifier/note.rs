//! Checkpoints as signed notes, and the keys that sign them.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::{Invalid, unreadable};

/// A line of signature begins with it: an em dash and a space.
const DASH: &str = "\u{2014} ";
/// Longest text that is looked at, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A key that signatures are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    id: Vec<u8>,
    key: Vec<u8>,
}

impl PublicKey {
    /// Reads `name+id+Base64 of 0x01 and the key`.
    ///
    /// # Errors
    /// [`Invalid::Unreadable`].
    pub fn parse(line: &str) -> Result<Self, Invalid> {
        let wrong = || {
            unreadable(
                "a public key is one line, name+id+key, as `mainstay checkpoint keys` shows it",
            )
        };
        let mut parts = line.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(coded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let coded = STANDARD.decode(coded).map_err(|_| wrong())?;
        let key = coded.strip_prefix(&[1]).filter(|key| key.len() == 32).ok_or_else(wrong)?;
        let hashed = Sha256::digest([name.as_bytes(), b"\n", &coded].concat());
        let expected = hashed.get(..4).unwrap_or_default();
        let read = Self { name: name.to_owned(), id: expected.to_vec(), key: key.to_vec() };
        if name.is_empty() || name.contains(char::is_whitespace) || read.id_text() != id {
            return Err(wrong());
        }
        Ok(read)
    }

    fn id_text(&self) -> String {
        let mut text = String::new();
        for byte in &self.id {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// In whose name it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[1], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, self.id_text())
    }
}

/// A checkpoint, as it was written; its signatures are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed.
    text: String,
    /// Of which journal: `mainstay/` and its id.
    pub origin: String,
    /// How many events it covers.
    pub size: u64,
    /// The root of the tree over them.
    pub root: [u8; 32],
    /// Name, and what its Base64 holds: four bytes of the key's id, then the signature.
    signatures: Vec<(String, Vec<u8>)>,
}

impl Note {
    /// Reads one checkpoint.
    ///
    /// # Errors
    /// [`Invalid::Unreadable`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match <[Self; 1]>::try_from(notes(text)?) {
            Ok([note]) => Ok(note),
            Err(other) => Err(unreadable(format!("{} checkpoints and not one", other.len()))),
        }
    }

    fn of(text: &str, signatures: &[&str]) -> Result<Self, Invalid> {
        let mut lines = text.lines();
        let mut line = |what: &str| {
            let line = lines.next().filter(|line| !line.is_empty());
            line.ok_or_else(|| unreadable(format!("a checkpoint has no {what}")))
        };
        let (origin, size, root) = (line("origin")?, line("size")?, line("root")?);
        let number = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        let number = number.ok_or_else(|| unreadable("the size of a checkpoint is no number"))?;
        let bytes = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| unreadable("the root of a checkpoint is no hash"))?;
        if signatures.is_empty() {
            return Err(unreadable("a checkpoint has no signature"));
        }
        let signatures = signatures.iter().map(|line| signature(line)).collect::<Result<_, _>>()?;
        let (text, origin) = (text.to_owned(), origin.to_owned());
        Ok(Self { text, origin, size: number, root: bytes, signatures })
    }

    /// The key of these that signed it in the name of its journal.
    ///
    /// # Errors
    /// [`Invalid::False`] if none did, or a signature is forged.
    pub fn signer<'k>(&self, keys: &'k [PublicKey]) -> Result<&'k PublicKey, Invalid> {
        for (name, bytes) in &self.signatures {
            let Some((id, signature)) = bytes.split_at_checked(4) else { continue };
            let known = |key: &&PublicKey| key.name == *name && key.id == id;
            let Some(key) = keys.iter().find(known).filter(|key| key.name == self.origin) else {
                continue;
            };
            let public = UnparsedPublicKey::new(&ED25519, &key.key);
            return public.verify(self.text.as_bytes(), signature).map(|()| key).map_err(|_| {
                let size = self.size;
                Invalid::False(format!(
                    "the signature of the checkpoint of {size} events is forged"
                ))
            });
        }
        Err(Invalid::False(format!(
            "the checkpoint of {} events is signed by no key that is trusted for {}",
            self.size, self.origin
        )))
    }
}

impl fmt::Display for Note {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for (name, bytes) in &self.signatures {
            writeln!(f, "{DASH}{name} {}", STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

/// Reads checkpoints that follow each other, with or without empty lines between them.
///
/// # Errors
/// [`Invalid::Unreadable`].
pub fn notes(text: &str) -> Result<Vec<Note>, Invalid> {
    let control = |c: char| c.is_control() && c != '\n';
    if text.contains(control) {
        return Err(unreadable("a checkpoint is text without control characters"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(unreadable("a checkpoint is cut short: it ends with a line"));
    }
    let mut notes = Vec::new();
    let mut rest = text.trim_start_matches('\n');
    while !rest.is_empty() {
        // No checkpoint has an empty line in its text.
        let end = rest.find("\n\n").map(|at| at + 1);
        let Some((text, behind)) = end.and_then(|end| rest.split_at_checked(end)) else {
            return Err(unreadable("a checkpoint has no signature"));
        };
        if text.len() > MAX_BYTES {
            return Err(unreadable("a checkpoint is too long"));
        }
        let behind = behind.strip_prefix('\n').unwrap_or(behind);
        let signatures: Vec<&str> =
            behind.split_inclusive('\n').take_while(|line| line.starts_with(DASH)).collect();
        let length: usize = signatures.iter().map(|line| line.len()).sum();
        notes.push(Note::of(text, &signatures)?);
        rest = behind.get(length..).unwrap_or_default().trim_start_matches('\n');
    }
    Ok(notes)
}

fn signature(line: &str) -> Result<(String, Vec<u8>), Invalid> {
    let wrong = || unreadable("a line of signature is an em dash, a name and Base64");
    let line = line.strip_suffix('\n').and_then(|line| line.strip_prefix(DASH));
    let (name, coded) = line.and_then(|line| line.split_once(' ')).ok_or_else(wrong)?;
    Ok((name.to_owned(), STANDARD.decode(coded).map_err(|_| wrong())?))
}
