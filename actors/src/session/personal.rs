//! What personal data a subject looks like.
//!
//! | looks like | when |
//! |---|---|
//! | an e-mail address | `something@host.domain`; behind `mailto:` without a dot, too |
//! | a phone number | 7 to 15 digits behind a `+`, or with the usual separators between them |
//! | | 10 to 15 bare digits: shorter and longer ones are ids; 10 to 17 behind `00` |
//! | | 3 to 15 digits behind `tel:`, `sms:`, `callto:`, `whatsapp:` |
//! | neither | what begins with a date, as orders do: `2026-11-24-001`; what has other letters |
//!
//! Digits, signs and separators are those of any script. It is a net for mistakes, not for tricks:
//! `ann at example dot org` goes through.

use std::borrow::Cow;

/// What comes before a telephone number in a link.
const DIALS: [&str; 4] = ["tel:", "sms:", "callto:", "whatsapp:"];

/// What a subject looks like, if it looks like somebody.
pub(super) fn personal(subject: &str) -> Option<&'static str> {
    if is_address(subject) {
        return Some("an e-mail address");
    }
    is_number(subject).then_some("a phone number")
}

fn is_address(text: &str) -> bool {
    let text: Cow<'_, str> =
        if text.contains('%') { text.replace("%40", "@").into() } else { text.into() };
    let (text, is_link) = without(&text, &["mailto:"]);
    let Some((local, host)) = text.rsplit_once(['@', '\u{ff20}', '\u{fe6b}']) else {
        return false;
    };
    let dot = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{fe52}'];
    let dotted =
        host.split_once(dot).is_some_and(|(name, end)| !name.is_empty() && !end.is_empty());
    !local.is_empty() && (dotted || is_link && !host.is_empty())
}

fn is_number(text: &str) -> bool {
    let (text, is_link) = without(text.trim(), &DIALS);
    // `tel:+34-600-111-222;ext=5`
    let text = if is_link { text.split(';').next().unwrap_or_default() } else { text };
    let plus = ['+', '\u{ff0b}', '\u{fe62}'];
    // What is not seen may stand before the sign, too.
    let text = text.trim_matches(is_unseen);
    let (number, international) =
        text.strip_prefix(plus).map_or((text, false), |rest| (rest, true));
    if !number.chars().all(|c| is_digit(c) || is_separator(c)) || begins_with_a_date(number) {
        return false;
    }
    let digits = number.chars().filter(|c| is_digit(*c)).count();
    let dressed = international || number.chars().any(is_separator);
    let prefixed = number.starts_with("00") && !number.starts_with("000");
    let least = match (is_link, dressed) {
        (true, _) => 3,
        (false, true) => 7,
        (false, false) => 10,
    };
    (least..=if prefixed { 17 } else { 15 }).contains(&digits)
}

/// The text behind one of the prefixes, in whatever case, and whether there was one.
fn without<'t>(text: &'t str, prefixes: &[&str]) -> (&'t str, bool) {
    let behind = |prefix: &&str| {
        let (start, rest) = text.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    prefixes.iter().find_map(behind).map_or((text, false), |rest| (rest.trim(), true))
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && c.is_numeric()
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '/' | '(' | ')' | '\u{2212}' | '\u{ff0d}' | '\u{ff0e}' | '\u{b7}')
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{ff08}' | '\u{ff09}')
        || c.is_whitespace()
        || is_unseen(c)
}

/// Zero width, joiners, marks of direction, the soft hyphen.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{ad}')
}

/// `2026-11-24`, with a dash, dot or stroke twice, and then nothing or a separator.
fn begins_with_a_date(text: &str) -> bool {
    let [y1, y2, _, _, first, m1, m2, second, d1, d2, rest @ ..] = text.as_bytes() else {
        return false;
    };
    let two = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| (tens - b'0') * 10 + (ones - b'0'))
    };
    let is_year = matches!(two(*y1, *y2), Some(19 | 20));
    let is_day = matches!(two(*m1, *m2), Some(1..=12)) && matches!(two(*d1, *d2), Some(1..=31));
    let parted = first == second && matches!(first, b'-' | b'.' | b'/');
    is_year && is_day && parted && rest.first().is_none_or(|byte| !byte.is_ascii_digit())
}
