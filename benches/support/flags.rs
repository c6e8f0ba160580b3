//! Flags of a benchmark: `--name value`, and nothing else.

/// The text behind a flag.
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|it| it != name).nth(1)
}

/// The number behind a flag.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    text(name).map_or(default, |it| it.parse().unwrap_or_else(|_| panic!("{name} {it}: no number")))
}

/// Whether a flag without a value is there.
pub(crate) fn given(name: &str) -> bool {
    std::env::args().any(|it| it == name)
}
