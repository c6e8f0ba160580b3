//! Records on their way back: read and checked, decoded and folded.

use std::ops::ControlFlow;

use mainstay_actors::world::{AnyEvent, World};
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::{ReadLog, RecordRef};

use crate::journal::Journal;

pub(crate) const RECORDS: u64 = 1_000;

/// What a fold needs of a record.
struct Read {
    stream: String,
    type_id: u16,
    schema: u16,
    payload: Vec<u8>,
}

fn filled(disk: &SimDisk) -> Journal {
    let mut journal = Journal::open(disk);
    journal.fill(RECORDS);
    journal
}

fn every(journal: &Journal, mut visit: impl FnMut(RecordRef<'_>)) {
    let mut seen = 0;
    let scanned = journal.log.scan(1, RECORDS, &mut |record| {
        visit(record);
        seen += 1;
        ControlFlow::Continue(())
    });
    scanned.unwrap();
    assert_eq!(seen, RECORDS);
}

/// The whole journal, read and checked, not decoded.
pub(crate) fn scan() -> Box<dyn FnMut()> {
    let journal = filled(&SimDisk::default());
    Box::new(move || {
        every(&journal, |record| {
            std::hint::black_box(record.payload.len());
        });
    })
}

/// The whole journal into one world, from memory.
pub(crate) fn fold() -> Box<dyn FnMut()> {
    let mut records = Vec::new();
    every(&filled(&SimDisk::default()), |record| {
        records.push(Read {
            stream: record.stream.to_owned(),
            type_id: record.type_id,
            schema: record.schema,
            payload: record.payload.to_vec(),
        });
    });
    Box::new(move || {
        let mut world = World::default();
        for Read { stream, type_id, schema, payload } in &records {
            let (kind, id) = stream.split_once('/').unwrap();
            let event = AnyEvent::decode(kind, *type_id, *schema, payload).unwrap();
            world.apply(id, &event).unwrap();
        }
        std::hint::black_box(&world);
    })
}

/// A cold open of a journal that was not sealed.
pub(crate) fn recover() -> Box<dyn FnMut()> {
    let disk = SimDisk::default();
    drop(filled(&disk));
    let mut opened = None;
    Box::new(move || {
        let journal = opened.insert(Journal::open(&disk));
        assert_eq!(journal.log.head().position, RECORDS);
    })
}
