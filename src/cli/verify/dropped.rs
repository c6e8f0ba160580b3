//! What was dropped from a journal, as far as a verification goes into its meaning: every state begins
//! where its first events are gone, and the journal itself says what may have been dropped.

use std::path::Path;
use std::sync::Arc;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::host::begin_world;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{MonthsDropped, System, SystemEvent};
use mainstay_actors::world::World;
use mainstay_journal::{Base, Finding, FindingKind, Reading, RecordRef, Report, archive};

use crate::cli::exit::Failed;
use crate::cli::source::refusal;
use crate::proofs::hex;

/// The base, and whether an event vouches for it.
pub(super) struct Vouched {
    pub(super) base: Option<Arc<Base>>,
    is_vouched: bool,
}

impl Vouched {
    pub(super) fn read(data: &Path, reading: &Reading) -> Result<Self, Failed> {
        let base = archive::base(data, reading).map_err(|error| refusal(&error))?;
        Ok(Self { base, is_vouched: false })
    }

    /// Before the first record is folded, and with every record.
    pub(super) fn take(&mut self, record: &RecordRef<'_>, world: &mut World) -> Result<(), String> {
        let Some(base) = &self.base else { return Ok(()) };
        let (upto, states) = (base.head().position, base.states_hash());
        if record.kind_and_id() == (System::KIND, "archive")
            && let Ok(SystemEvent::MonthsDropped(MonthsDropped {
                upto: said, states: hash, ..
            })) = SystemEvent::decode(record.type_id, record.schema, record.payload)
        {
            self.is_vouched |= said == upto && hash == hex(&states);
        }
        if record.position == upto + 1 && *world == World::default() {
            begin_world(base, world, &|_| true).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Adds the finding that nothing vouches for the base.
    pub(super) fn end(&self, data: &Path, report: &mut Report) {
        if let Some(base) = self.base.as_ref().filter(|_| !self.is_vouched) {
            report.findings.push(Finding {
                kind: FindingKind::Base,
                file: data.join("BASE"),
                offset: None,
                position: base.head().position,
                text: "no MonthsDropped of the journal names these states".to_owned(),
                repaired: false,
            });
        }
    }
}
