//! What damaged payloads may do: an event or an error, and never a panic.

use mainstay_actors::codec::Payload as _;
use mainstay_actors::dependency::DependencyEvent;
use mainstay_actors::lock::LockEvent;
use mainstay_actors::session::SessionEvent;
use mainstay_actors::subject::SubjectEvent;
use mainstay_actors::system::SystemEvent;
use proptest::prelude::*;

use crate::payloads::dependency;

fn decode_all(bytes: &[u8]) {
    for (_, id) in SystemEvent::catalogue() {
        drop(SystemEvent::decode(*id, 1, bytes));
    }
    for (_, id) in SessionEvent::catalogue() {
        drop(SessionEvent::decode(*id, 1, bytes));
    }
    for (_, id) in LockEvent::catalogue() {
        drop(LockEvent::decode(*id, 1, bytes));
    }
    for (_, id) in SubjectEvent::catalogue() {
        drop(SubjectEvent::decode(*id, 1, bytes));
    }
    for (_, id) in DependencyEvent::catalogue() {
        if let Ok(event) = DependencyEvent::decode(*id, 1, bytes) {
            drop(format!("{event:?} {}", serde_json::to_string(&event).expect("json")));
        }
    }
}

/// A window event around these bytes as its histogram.
fn with_latencies(latencies: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4, 1, 1, 1, 0, 0, 0];
    let length = u16::try_from(latencies.len()).expect("short").to_le_bytes();
    bytes.push(0xfb);
    bytes.extend(length);
    bytes.extend(latencies);
    bytes.extend([0, 0, 0, 0, 0]);
    bytes
}

fn header(payload_bytes: u32) -> Vec<u8> {
    let mut header = 0x1c84_9313_u32.to_be_bytes().to_vec();
    header.extend(payload_bytes.to_be_bytes());
    header.extend([0, 0, 0, 0, 0, 0, 0, 2]);
    header.extend(1_u64.to_be_bytes());
    header.extend(3_600_000_000_u64.to_be_bytes());
    header.extend(1.0_f64.to_be_bytes());
    header
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn a_damaged_event_is_an_event_or_an_error(which in 0_usize..8, at in 0_usize..100, byte in any::<u8>()) {
        let mut bytes = Vec::new();
        dependency()[which].encode(&mut bytes).expect("it can be written");
        let at = at % bytes.len();
        bytes[at] = byte;
        decode_all(&bytes);
    }

    #[test]
    fn any_histogram_can_be_shown(payload in proptest::collection::vec(any::<u8>(), 0..600)) {
        let length = u32::try_from(payload.len()).expect("short");
        for latencies in [payload.clone(), [header(length), payload.clone()].concat(), [header(u32::MAX), payload].concat()] {
            let event = DependencyEvent::decode(0x0108, 1, &with_latencies(&latencies)).expect("it is well-formed");
            drop(serde_json::to_string(&event).expect("json"));
        }
    }
}
