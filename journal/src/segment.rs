//! One segment file: where its blocks are, and walking through them.
//!
//! ```text
//! marks   ▼ (every 16 KiB)      ▼               ▼
//! file    [block][block][block][block][block][block] 0 0 0 0 …
//! places  ▲      ▲      ▲      ▲      ▲      ▲     ▲ end: durable up to here
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::block::{Bad, Block, HEADER_BYTES, Hash, Header, Opener, Stored};
use crate::disk::{self, Disk, DiskFile};
use crate::error::Away;
use crate::postings::Postings;

/// Where a block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Its first position.
    pub(crate) first: u64,
    /// In bytes from the start of the file.
    pub(crate) offset: u64,
    /// The time of its first record.
    pub(crate) at_us: u64,
}

/// Marks are at least this far apart, in bytes.
const MARK_BYTES: u64 = 16 * 1024;

#[derive(Debug, Default)]
struct Marks {
    list: Vec<Mark>,
    /// Of every block: its first position − the segment's, and its offset. Half the memory of
    /// the marks a block, so that one record costs one read of one block.
    places: Vec<(u32, u32)>,
    complete: bool,
}

impl Marks {
    fn add(&mut self, segment: u64, mark: Mark) {
        // Beyond 4 GiB there are marks only.
        if let (Ok(first), Ok(offset)) =
            (u32::try_from(mark.first - segment), u32::try_from(mark.offset))
        {
            self.places.push((first, offset));
        }
        if self.list.last().is_none_or(|last| mark.offset >= last.offset + MARK_BYTES) {
            self.list.push(mark);
        }
    }
}

/// A segment, open or sealed.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) month: String,
    pub(crate) path: PathBuf,
    disk: Arc<dyn Disk>,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    marks: RwLock<Marks>,
    end: AtomicU64,
    first_at_us: OnceLock<u64>,
    size: OnceLock<u64>,
    /// It was dropped, and lies in an archive.
    pub(crate) is_archived: bool,
    /// Its index while that is not in the store.
    pub(crate) postings: Mutex<Option<Postings>>,
    /// How many chunks its run in the store has.
    pub(crate) run_chunks: OnceLock<u32>,
}

impl Segment {
    /// A sealed segment, or one of which nothing is known yet.
    pub(crate) fn new(first: u64, month: String, path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self {
            first,
            month,
            path,
            disk,
            file: Mutex::new(None),
            marks: RwLock::default(),
            end: AtomicU64::new(u64::MAX),
            first_at_us: OnceLock::new(),
            size: OnceLock::new(),
            is_archived: false,
            postings: Mutex::new(None),
            run_chunks: OnceLock::new(),
        }
    }

    /// One that lies in an archive; its first time is known.
    pub(crate) fn archived(self, first_at_us: u64) -> Self {
        Self { is_archived: true, first_at_us: OnceLock::from(first_at_us), ..self }
    }

    /// The segment that grows: all its marks are known from the start.
    pub(crate) fn growing(self, file: Arc<dyn DiskFile>, marks: &[Mark], end: u64) -> Self {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        self.end.store(end, Ordering::Release);
        self.grow(marks, 0, end);
        self.marks.write().unwrap_or_else(PoisonError::into_inner).complete = true;
        self
    }

    /// Makes blocks visible that have become durable; `marks` count from `base`.
    pub(crate) fn grow(&self, marks: &[Mark], base: u64, end: u64) {
        let mut known = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        for mark in marks {
            known.add(self.first, Mark { offset: base + mark.offset, ..*mark });
        }
        self.end.store(end, Ordering::Release);
    }

    /// Bytes that are durable; at most this much is read.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Reads go on in another file of the same content.
    pub(crate) fn replace_file(&self, file: Arc<dyn DiskFile>) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }

    /// Bytes of its blocks; asks the file once if it is a sealed one.
    pub(crate) fn size_bytes(&self) -> u64 {
        match self.end() {
            u64::MAX => *self
                .size
                .get_or_init(|| self.file().and_then(|file| file.size()).unwrap_or_default()),
            end => end,
        }
    }

    /// Its file, opened when first asked for.
    pub(crate) fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*slot {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.path, false).map_err(|error| self.away(error))?;
        *slot = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Names the month, if it lies in an archive.
    fn away(&self, source: io::Error) -> io::Error {
        if !self.is_archived {
            return source;
        }
        let (month, path) = (self.month.clone(), self.path.clone());
        io::Error::other(Away { month, path, source })
    }

    /// Whether file and marks are in memory.
    pub(crate) fn is_warm(&self) -> bool {
        self.marks.read().unwrap_or_else(PoisonError::into_inner).complete
    }

    /// Gives file and marks back; the next reader opens them again.
    pub(crate) fn cool(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.marks.write().unwrap_or_else(PoisonError::into_inner) = Marks::default();
    }

    /// The time of its first record, if its first block can be read.
    pub(crate) fn first_at_us(&self) -> Option<u64> {
        if let Some(at_us) = self.first_at_us.get() {
            return Some(*at_us);
        }
        let mut bytes = [0; HEADER_BYTES];
        let file = self.file().ok()?;
        disk::read_full(&*file, &mut bytes, 0).ok()?;
        let header = Header::parse(&bytes).ok().filter(|header| header.first == self.first)?;
        Some(*self.first_at_us.get_or_init(|| header.first_at_us))
    }

    /// The hash of the block before its first one, if that one's header can be read.
    pub(crate) fn previous(&self) -> Option<Hash> {
        let held = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Its handle is not kept: this is asked of every segment.
        let file = held.map_or_else(|| self.disk.open(&self.path, false), Ok).ok()?;
        let mut bytes = [0; HEADER_BYTES];
        disk::read_full(&*file, &mut bytes, 0).ok()?;
        let header = Header::parse(&bytes).ok().filter(|header| header.first == self.first)?;
        Some(header.previous)
    }

    /// The last mark at or before `position`.
    pub(crate) fn locate(&self, position: u64) -> io::Result<Mark> {
        self.with_marks(|marks| {
            let after = marks.partition_point(|mark| mark.first <= position);
            after.checked_sub(1).and_then(|index| marks.get(index)).copied()
        })
        .map(|mark| mark.unwrap_or(Mark { first: self.first, offset: 0, at_us: 0 }))
    }

    /// Where the block that holds `position` begins: its first position and its offset; at worst
    /// a mark before it.
    pub(crate) fn place_of(&self, position: u64) -> io::Result<(u64, u64)> {
        let mark = self.locate(position)?;
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = u32::try_from(position.saturating_sub(self.first)).unwrap_or(u32::MAX);
        let after = marks.places.partition_point(|place| place.0 <= wanted);
        let place = after.checked_sub(1).and_then(|index| marks.places.get(index));
        let place = place.map(|place| (self.first + u64::from(place.0), u64::from(place.1)));
        Ok(place.filter(|place| place.0 >= mark.first).unwrap_or((mark.first, mark.offset)))
    }

    /// Calls `take` with all marks.
    pub(crate) fn with_marks<T>(&self, take: impl FnOnce(&[Mark]) -> T) -> io::Result<T> {
        {
            let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
            if marks.complete {
                return Ok(take(&marks.list));
            }
        }
        let mut fresh = Marks { complete: true, ..Marks::default() };
        let mut walk = Headers::new(self.file()?, 0, self.end(), 256 * 1024);
        while let Ok(Some((header, offset))) = walk.header()? {
            let mark = Mark { first: header.first, offset, at_us: header.first_at_us };
            if mark.first >= self.first {
                fresh.add(self.first, mark);
            }
            walk.skip(header.block_bytes());
        }
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        if !marks.complete {
            *marks = fresh;
        }
        Ok(take(&marks.list))
    }

    /// Walks from `offset` to the durable end.
    pub(crate) fn walk(&self, opener: &Opener, offset: u64, chunk: usize) -> io::Result<Walk> {
        Ok(Walk::new(self.file()?, opener, offset, self.end(), chunk))
    }
}

/// Goes through the headers of a file with a buffer of bounded size.
#[derive(Debug)]
pub(crate) struct Headers {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    filled: usize,
    base: u64,
    at: usize,
    end: u64,
    chunk: usize,
}

/// Goes through the blocks of a file.
#[derive(Debug)]
pub(crate) struct Walk {
    headers: Headers,
    opener: Opener,
}

/// What lies at a walk's place.
#[derive(Debug)]
pub(crate) enum Step<'w> {
    /// A whole block, its hash checked and its body open; the walk stands behind it.
    Block(Block<'w>),
    /// Nothing, or zeros; the walk stays.
    End,
    /// Something else; the walk stays.
    Bad(Bad),
}

impl Headers {
    pub(crate) fn new(file: Arc<dyn DiskFile>, offset: u64, end: u64, chunk: usize) -> Self {
        Self { file, buffer: Vec::new(), filled: 0, base: offset, at: 0, end, chunk }
    }

    /// Where it stands, in bytes from the start of the file.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        let target = self.offset() + bytes as u64;
        if self.at + bytes <= self.filled {
            self.at += bytes;
        } else {
            (self.base, self.at, self.filled) = (target, 0, 0);
        }
    }

    /// The bytes from here on, at least `count` of them unless the file ends before.
    fn ahead(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.filled - self.at < count {
            self.base = self.offset();
            self.at = 0;
            let left = usize::try_from(self.end.saturating_sub(self.base)).unwrap_or(usize::MAX);
            let wanted = count.max(self.chunk).min(left);
            if self.buffer.len() < wanted {
                // What was in it is read again.
                self.buffer = vec![0; wanted];
            }
            let room = self.buffer.get_mut(..wanted).unwrap_or_default();
            self.filled = disk::read_full(&*self.file, room, self.base)?;
        }
        Ok(self.buffer.get(self.at..self.filled).unwrap_or_default())
    }

    /// The header of the block that begins here, without its hash being checked; `None` at the
    /// end.
    pub(crate) fn header(&mut self) -> io::Result<Result<Option<(Header, u64)>, Bad>> {
        let offset = self.offset();
        let bytes = self.ahead(HEADER_BYTES)?;
        if bytes.iter().take(4).all(|byte| *byte == 0) {
            return Ok(Ok(None));
        }
        Ok(Header::parse(bytes).map(|header| Some((header, offset))))
    }

    /// The block that begins here, its hash checked; `None` at the end. The walk stays.
    pub(crate) fn stored(
        &mut self,
        journal: &[u8; 16],
    ) -> io::Result<Result<Option<Stored<'_>>, Bad>> {
        let header = match self.header()? {
            Ok(Some((header, _))) => header,
            Ok(None) => return Ok(Ok(None)),
            Err(bad) => return Ok(Err(bad)),
        };
        let bytes = self.ahead(header.block_bytes())?;
        Ok(Stored::parse(bytes, journal).map(Some))
    }
}

impl Walk {
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        opener: &Opener,
        offset: u64,
        end: u64,
        chunk: usize,
    ) -> Self {
        Self { headers: Headers::new(file, offset, end, chunk), opener: opener.clone() }
    }

    /// See [`Headers::offset`].
    pub(crate) fn offset(&self) -> u64 {
        self.headers.offset()
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.headers.skip(bytes);
    }

    /// See [`Headers::header`].
    pub(crate) fn header(&mut self) -> io::Result<Result<Option<(Header, u64)>, Bad>> {
        self.headers.header()
    }

    /// The block that begins here.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        let header = match self.headers.header()? {
            Ok(Some((header, _))) => header,
            Ok(None) => return Ok(Step::End),
            Err(bad) => return Ok(Step::Bad(bad)),
        };
        let size = header.block_bytes();
        self.headers.ahead(size)?;
        let Headers { buffer, filled, at, .. } = &mut self.headers;
        let bytes = buffer.get(*at..*filled).unwrap_or_default();
        match Block::parse(bytes, &self.opener) {
            Ok(block) => {
                *at += size;
                Ok(Step::Block(block))
            },
            Err(bad) => Ok(Step::Bad(bad)),
        }
    }
}

impl Segment {
    /// Where to go on after a bad block whose copy ends at `last`: the offset the copy's length
    /// gives, which is right unless whole bytes are missing from the file.
    pub(crate) fn locate_after(&self, last: u64, by_length: u64) -> io::Result<u64> {
        let exact = self.with_marks(|marks| {
            marks.iter().find(|mark| mark.first == last + 1).map(|mark| mark.offset)
        })?;
        Ok(exact.unwrap_or(by_length))
    }
}
