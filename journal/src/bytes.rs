//! Reading little-endian fields from a slice, one after the other, without a panic.

/// What is left of a slice that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `count` bytes, or `None` if there are fewer.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next `count` bytes as text.
    pub(crate) fn text(&mut self, count: u16) -> Option<&'a str> {
        std::str::from_utf8(self.take(usize::from(count))?).ok()
    }

    /// Three texts that lie side by side, checked in one go.
    pub(crate) fn texts(&mut self, counts: [u16; 3]) -> Option<[&'a str; 3]> {
        let [one, two, three] = counts.map(usize::from);
        let all = std::str::from_utf8(self.take(one + two + three)?).ok()?;
        let (one, rest) = all.split_at_checked(one)?;
        let (two, three) = rest.split_at_checked(two)?;
        Some([one, two, three])
    }

    /// The next label: its key, the length of its value, its value.
    pub(crate) fn tag(&mut self) -> Option<(u8, &'a str)> {
        let (key, length) = (self.u8()?, self.u16()?);
        Some((key, self.text(length)?))
    }
}
