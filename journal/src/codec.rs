//! A record's bytes, framed by hand so that a scan decodes no payload.
//!
//! ```text
//! length type schema at version previous │ lengths, tag count, flags │ texts … tags … payload
//! 4      2    2      8  8       8        │ 12                        │ all that is left
//! ```
//!
//! `docs/format.md` has every offset.

use crate::bytes::Fields;
use crate::log::Append;
use crate::record::{Cursor, Draft, MAX_LABEL_BYTES, MAX_RECORD_BYTES, MAX_TAGS, RecordRef};

/// Bytes of a record before its first text.
pub(crate) const FIXED_BYTES: usize = 44;
const HAS_CAUSATION: u8 = 1;
const HAS_REQUEST: u8 = 2;
const HAS_CORRELATION: u8 = 4;

const _: () = assert!(MAX_LABEL_BYTES <= u16::MAX as usize, "a label's length is two bytes");
const _: () = assert!(crate::record::MAX_STREAM_BYTES <= u16::MAX as usize);
const _: () = assert!(MAX_RECORD_BYTES <= u32::MAX as usize);

/// Where a record goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) at_us: u64,
    pub(crate) version: u64,
    pub(crate) previous: u64,
}

/// Checks every limit of one event and returns its encoded length.
pub(crate) fn measure(append: &Append, draft: &Draft) -> Result<usize, String> {
    let envelope = &append.envelope;
    let mut size = FIXED_BYTES + append.stream.as_str().len();
    let mut label = |name: &str, text: &str, extra: usize| {
        size += text.len() + extra;
        if text.len() > MAX_LABEL_BYTES {
            return Err(format!("{name} of {} bytes, {MAX_LABEL_BYTES} allowed", text.len()));
        }
        Ok(())
    };
    label("principal", &envelope.principal, 0)?;
    if let Some(request) = &envelope.request {
        label("request id", &request.id, 8)?;
    }
    if let Some(correlation) = &envelope.correlation {
        label("correlation id", correlation, 0)?;
    }
    for tag in &draft.tags {
        label("tag", &tag.value, 3)?;
    }
    if draft.tags.len() > MAX_TAGS {
        return Err(format!("{} tags, {MAX_TAGS} allowed", draft.tags.len()));
    }
    if envelope.causation.is_some() {
        size += 12;
    }
    size += draft.payload.len();
    if size > MAX_RECORD_BYTES {
        return Err(format!("{size} bytes, {MAX_RECORD_BYTES} allowed"));
    }
    Ok(size)
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()
}

/// Appends the record to `out`; `size` is what [`measure`] returned.
pub(crate) fn encode(out: &mut Vec<u8>, append: &Append, draft: &Draft, place: Place, size: usize) {
    let envelope = &append.envelope;
    let (stream, principal) = (append.stream.as_str(), &*envelope.principal);
    let request = envelope.request.as_ref();
    let correlation = envelope.correlation.as_deref();
    let mut flags = 0;
    flags |= if envelope.causation.is_some() { HAS_CAUSATION } else { 0 };
    flags |= if request.is_some() { HAS_REQUEST } else { 0 };
    flags |= if correlation.is_some() { HAS_CORRELATION } else { 0 };
    out.reserve(size);
    out.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&draft.type_id.to_le_bytes());
    out.extend_from_slice(&draft.schema.to_le_bytes());
    out.extend_from_slice(&place.at_us.to_le_bytes());
    out.extend_from_slice(&place.version.to_le_bytes());
    out.extend_from_slice(&place.previous.to_le_bytes());
    out.extend_from_slice(&short(stream.len()));
    out.extend_from_slice(&short(principal.len()));
    out.extend_from_slice(&short(request.map_or(0, |request| request.id.len())));
    out.extend_from_slice(&short(correlation.map_or(0, str::len)));
    out.push(u8::try_from(draft.tags.len()).unwrap_or(u8::MAX));
    out.push(flags);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(stream.as_bytes());
    out.extend_from_slice(principal.as_bytes());
    if let Some(request) = request {
        out.extend_from_slice(request.id.as_bytes());
        out.extend_from_slice(&request.fingerprint.to_le_bytes());
    }
    out.extend_from_slice(correlation.unwrap_or("").as_bytes());
    if let Some(cause) = envelope.causation {
        out.extend_from_slice(&cause.epoch.to_le_bytes());
        out.extend_from_slice(&cause.position.to_le_bytes());
    }
    for tag in &draft.tags {
        out.push(tag.key);
        out.extend_from_slice(&short(tag.value.len()));
        out.extend_from_slice(tag.value.as_bytes());
    }
    out.extend_from_slice(&draft.payload);
}

/// Splits the first record's bytes off a body.
pub(crate) fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(Fields(body).u32()?).ok()?;
    if !(FIXED_BYTES..=MAX_RECORD_BYTES).contains(&length) {
        return None;
    }
    body.split_at_checked(length)
}

/// Reads one whole record; `None` if it breaks a rule of the format.
pub(crate) fn decode(bytes: &[u8], epoch: u32, position: u64) -> Option<RecordRef<'_>> {
    let (record, []) = split(bytes)? else { return None };
    let mut fields = Fields(record);
    let _length = fields.u32()?;
    let (type_id, schema) = (fields.u16()?, fields.u16()?);
    let (at_us, version, previous) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (stream, principal) = (fields.u16()?, fields.u16()?);
    let (request, correlation) = (fields.u16()?, fields.u16()?);
    let (tag_count, flags, zero) = (fields.u8()?, fields.u8()?, fields.u16()?);
    let known = HAS_CAUSATION | HAS_REQUEST | HAS_CORRELATION;
    if flags & !known != 0 || zero != 0 || usize::from(tag_count) > MAX_TAGS {
        return None;
    }
    let [stream, principal, request] = fields.texts([stream, principal, request])?;
    let request = if flags & HAS_REQUEST != 0 {
        Some((request, fields.u64()?))
    } else {
        request.is_empty().then_some(())?;
        None
    };
    let correlation = if flags & HAS_CORRELATION != 0 {
        Some(fields.text(correlation)?)
    } else {
        (correlation == 0).then_some(())?;
        None
    };
    let causation = if flags & HAS_CAUSATION != 0 {
        Some(Cursor { epoch: fields.u32()?, position: fields.u64()? })
    } else {
        None
    };
    let tagged = fields.0;
    for _ in 0..tag_count {
        fields.tag()?;
    }
    let payload = fields.0;
    let tags = tagged.get(..tagged.len() - payload.len())?;
    Some(RecordRef {
        epoch,
        position,
        stream,
        version,
        previous,
        type_id,
        schema,
        at_us,
        principal,
        request,
        correlation,
        causation,
        frame: record,
        tags,
        payload,
    })
}

/// The bytes a Merkle leaf is made of: epoch, position, record as framed.
pub(crate) fn leaf_bytes(epoch: u32, position: u64, record: &[u8]) -> Vec<u8> {
    let mut leaf = Vec::with_capacity(12 + record.len());
    leaf.extend_from_slice(&epoch.to_le_bytes());
    leaf.extend_from_slice(&position.to_le_bytes());
    leaf.extend_from_slice(record);
    leaf
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Place, decode, encode, measure, split};
    use crate::block::{Block, Opener};
    use crate::{Append, Cursor, Draft, Envelope, Keyring, Request, StreamId, Tag};

    fn appends() -> impl Strategy<Value = Append> {
        let draft = (
            any::<u16>(),
            any::<u16>(),
            prop::collection::vec((any::<u8>(), "\\PC{0,20}"), 0..=4),
            prop::collection::vec(any::<u8>(), 0..300),
        );
        let request = prop::option::of(("\\PC{0,30}", any::<u64>()));
        let cause = prop::option::of((any::<u32>(), any::<u64>()));
        let label = prop::option::of("\\PC{0,30}");
        ("[a-z]{1,9}", "\\PC{1,40}", "\\PC{0,40}", draft, request, cause, label).prop_map(
            |(kind, id, principal, (type_id, schema, tags, payload), request, cause, label)| {
                let tag = |(key, value): (u8, String)| Tag { key, value: value.into() };
                Append {
                    activation: 0,
                    stream: StreamId::new(&kind, &id).unwrap(),
                    expected_version: 0,
                    seen: None,
                    envelope: Envelope {
                        at_us: 0,
                        principal: principal.into(),
                        request: request
                            .map(|(id, fingerprint)| Request { id: id.into(), fingerprint }),
                        correlation: label.map(Into::into),
                        causation: cause.map(|(epoch, position)| Cursor { epoch, position }),
                    },
                    drafts: vec![Draft {
                        type_id,
                        schema,
                        tags: tags.into_iter().map(tag).collect(),
                        payload,
                    }],
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            append in appends(), at_us: u64, version: u64, previous: u64, position: u64, epoch: u32,
        ) {
            let draft = &append.drafts[0];
            let size = measure(&append, draft).unwrap();
            let mut bytes = Vec::new();
            encode(&mut bytes, &append, draft, Place { at_us, version, previous }, size);
            prop_assert_eq!(bytes.len(), size);
            bytes.extend_from_slice(b"next");
            let (record, rest) = split(&bytes).unwrap();
            prop_assert_eq!(rest, b"next");
            let record = decode(record, epoch, position).unwrap();
            prop_assert_eq!((record.epoch, record.position), (epoch, position));
            prop_assert_eq!((record.at_us, record.version, record.previous), (at_us, version, previous));
            prop_assert_eq!(record.stream, append.stream.as_str());
            prop_assert_eq!((record.type_id, record.schema), (draft.type_id, draft.schema));
            let envelope = &append.envelope;
            prop_assert_eq!(record.principal, &*envelope.principal);
            let request = envelope.request.as_ref().map(|r| (&*r.id, r.fingerprint));
            prop_assert_eq!(record.request, request);
            prop_assert_eq!(record.correlation, envelope.correlation.as_deref());
            prop_assert_eq!(record.causation, envelope.causation);
            let tags: Vec<_> = draft.tags.iter().map(|tag| (tag.key, &*tag.value)).collect();
            prop_assert_eq!(record.tags().collect::<Vec<_>>(), tags);
            prop_assert_eq!(record.payload, &draft.payload[..]);
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(mut bytes: Vec<u8>, length: u32, magic: bool) {
            if bytes.len() > 4 {
                let head = if magic { *b"MSTB" } else { length.to_le_bytes() };
                bytes[..4].copy_from_slice(&head);
            }
            let _ = split(&bytes);
            let _ = decode(&bytes, 1, 1);
            let keyring = Keyring::default();
            let opener = Opener { journal: [0; 16], keyring: keyring.clone() };
            let _ = Block::parse(&bytes, &opener);
            if let Some(block) = Block::trusted(&bytes, &keyring) {
                let _ = block.records().count();
                let _ = block.record(block.header.first);
            }
        }

        #[test]
        fn a_changed_record_never_makes_the_decoder_panic(
            append in appends(), at: prop::sample::Index, value: u8,
        ) {
            let draft = &append.drafts[0];
            let size = measure(&append, draft).unwrap();
            let mut bytes = Vec::new();
            encode(&mut bytes, &append, draft, Place { at_us: 1, version: 1, previous: 0 }, size);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = decode(&bytes, 1, 1);
        }
    }
}
