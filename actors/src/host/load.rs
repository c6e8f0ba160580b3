//! An entity's fold from its stream; runs off the arbiter.

use std::ops::ControlFlow;

use mainstay_journal::{EventLog, Head, StreamId};

use super::ledger::Ledger;
use crate::codec::Payload;
use crate::machine::Machine;
use crate::time::Timestamp;

/// What a stream folds to, with what the host needs beside the state.
pub(crate) struct Loaded<M: Machine> {
    pub(crate) state: M::State,
    pub(crate) head: Head,
    pub(crate) epoch: u32,
    pub(crate) ledger: Ledger<M::Event>,
}

/// Folds a stream to its durable end.
pub(crate) fn load<M: Machine>(log: &dyn EventLog, stream: &StreamId) -> Result<Loaded<M>, String> {
    let mut loaded = Loaded::<M> {
        state: M::State::default(),
        head: Head::default(),
        epoch: log.head().epoch,
        ledger: Ledger::default(),
    };
    let mut trouble = None;
    let read = log.read_stream(stream, u64::MAX, &mut |record| {
        let folded = M::Event::decode(record.type_id, record.schema, record.payload)
            .map_err(|error| error.to_string())
            .and_then(|event| {
                loaded.state = M::apply(std::mem::take(&mut loaded.state), &event)
                    .map_err(|illegal| illegal.to_string())?;
                Ok(event)
            });
        match folded {
            Ok(event) => {
                loaded.head = Head { version: record.version, position: record.position };
                loaded.epoch = record.epoch;
                if let Some((id, fingerprint)) = record.request {
                    let at = Timestamp::from_micros(record.at_us);
                    loaded.ledger.remember(id, fingerprint, at, &[event]);
                }
                ControlFlow::Continue(())
            },
            Err(reason) => {
                trouble = Some(format!(
                    "position {}: {reason}; run `mainstay verify` for all findings",
                    record.position
                ));
                ControlFlow::Break(())
            },
        }
    });
    match (read, trouble) {
        (Ok(()), None) => Ok(loaded),
        (Ok(()), Some(reason)) => Err(reason),
        (Err(error), _) => Err(error.to_string()),
    }
}
