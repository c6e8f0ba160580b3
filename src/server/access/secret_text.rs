//! A key as its holder has it: `mainstay_{name}_{secret}`.

use std::fmt::Write as _;

/// What every key begins with: scanners of leaked secrets look for such words.
const PREFIX: &str = "mainstay_";
/// Of a secret, in bytes.
const SECRET_BYTES: usize = 32;
/// Rule of a key's name.
pub(crate) const KEY_NAME: &str = "1 to 64 of A-Z a-z 0-9 . -";

/// A key that was just made; its text is shown once and kept nowhere.
pub(crate) struct NewKey {
    pub(crate) secret: String,
    pub(crate) text: String,
}

impl NewKey {
    /// 256 random bits of the operating system under a name.
    pub(crate) fn generate(name: &str) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)?;
        let mut secret = String::with_capacity(2 * SECRET_BYTES);
        for byte in bytes {
            // A string takes whatever is written.
            let _ = write!(secret, "{byte:02x}");
        }
        let text = format!("{PREFIX}{name}_{secret}");
        Ok(Self { secret, text })
    }
}

/// The parts of a key that somebody sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Presented<'t> {
    pub(super) name: &'t str,
    pub(super) secret: &'t str,
}

impl<'t> Presented<'t> {
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (name, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let whole = secret.len() == 2 * SECRET_BYTES && secret.bytes().all(hex);
        (whole && check_key_name(name)).then_some(Self { name, secret })
    }
}

/// Whether a name can be a key's.
pub(crate) fn check_key_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_as_it_was_made_and_no_two_are_alike() {
        let [one, two] = [0, 1].map(|_| NewKey::generate("booking-1.eu").unwrap());
        let presented = Presented::parse(&one.text).unwrap();
        assert_eq!(presented, Presented { name: "booking-1.eu", secret: &one.secret });
        assert_eq!(one.secret.len(), 64);
        assert_ne!(one.secret, two.secret);
    }

    #[test]
    fn what_is_nearly_a_key_is_none() {
        let good = NewKey::generate("a").unwrap().text;
        for bad in [
            "",
            "mainstay_",
            "mainstay_a_",
            "mainstay__00",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}0"),
            &good.to_uppercase(),
            &good.replacen("_a_", "_a b_", 1),
            &good.replacen("_a_", "_a/b_", 1),
            &good.replacen("_a_", &format!("_{}_", "a".repeat(65)), 1),
        ] {
            assert_eq!(Presented::parse(bad), None, "{bad}");
        }
    }
}
