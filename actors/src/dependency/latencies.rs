//! Latencies of an observation window: raw bytes in payloads, percentiles in JSON.

use std::fmt;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer as SerdeDeserializer, Serialize, Serializer};

/// Longest latency told apart, in microseconds: an hour.
pub(crate) const MAX_LATENCY_US: u64 = 3_600_000_000;
/// Two significant digits: within 1 %, and small enough for one record.
const SIGNIFICANT_DIGITS: u8 = 2;
/// First bytes of an uncompressed V2 histogram.
const COOKIE: u32 = 0x1c84_9313;
/// Cookie, payload length, offset, digits, lowest, highest and ratio.
const HEADER_BYTES: usize = 40;

/// A serialised histogram; in JSON its count, p50, p95, p99 and maximum in microseconds appear.
///
/// The bytes are an `HdrHistogram` in its V2 serialisation, so that any tool can read them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Latencies(Vec<u8>);

/// What JSON shows of a histogram; latencies in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LatencySummary {
    /// Calls in it.
    pub count: u64,
    /// Half of the calls took at most this.
    pub p50: u64,
    /// 95 of 100 took at most this.
    pub p95: u64,
    /// 99 of 100 took at most this.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

impl Latencies {
    /// Serialises a histogram; empty for one without calls.
    pub(crate) fn of(histogram: &Histogram<u32>) -> Self {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail, and the layout holds every bounded histogram.
        if !histogram.is_empty() && V2Serializer::new().serialize(histogram, &mut bytes).is_err() {
            bytes.clear();
        }
        Self(bytes)
    }

    /// The histogram; `None` without calls, or when the bytes are none of ours.
    #[must_use]
    pub fn histogram(&self) -> Option<Histogram<u64>> {
        if !is_bounded(&self.0) {
            return None;
        }
        Deserializer::new().deserialize(&mut self.0.as_slice()).ok()
    }

    /// Count, percentiles and maximum; zeros without calls.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        let Some(histogram) = self.histogram() else { return LatencySummary::default() };
        LatencySummary {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.50),
            p95: histogram.value_at_quantile(0.95),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        }
    }

    /// Length of the stored bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }
}

/// An empty histogram of the one shape that is written.
pub(crate) fn empty_histogram() -> Option<Histogram<u32>> {
    Histogram::new_with_bounds(1, MAX_LATENCY_US, SIGNIFICANT_DIGITS).ok()
}

/// Whether a reader of foreign bytes stays within memory and arithmetic: our header, a payload as
/// long as it says, and counts that cannot overflow.
fn is_bounded(bytes: &[u8]) -> bool {
    let Some((header, payload)) = bytes.split_at_checked(HEADER_BYTES) else { return false };
    let Some(expected) = header_of(payload.len()) else { return false };
    header == expected && counts_are_bounded(payload)
}

fn header_of(payload_bytes: usize) -> Option<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(COOKIE.to_be_bytes());
    header.extend(u32::try_from(payload_bytes).ok()?.to_be_bytes());
    header.extend(0_u32.to_be_bytes());
    header.extend(u32::from(SIGNIFICANT_DIGITS).to_be_bytes());
    header.extend(1_u64.to_be_bytes());
    header.extend(MAX_LATENCY_US.to_be_bytes());
    header.extend(1.0_f64.to_be_bytes());
    Some(header)
}

/// Every number of the payload is a varint below 2^42: a sum of 4,000 of them fits.
fn counts_are_bounded(payload: &[u8]) -> bool {
    payload
        .split_inclusive(|byte| byte & 0x80 == 0)
        .all(|number| number.len() <= 6 && number.last().is_some_and(|byte| byte & 0x80 == 0))
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latencies({:?})", self.summary())
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.summary().serialize(serializer)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: SerdeDeserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Err(D::Error::custom("a histogram cannot be read from text"));
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Takes bytes whole, not one by one.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Latencies;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a histogram")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Latencies, E> {
        Ok(Latencies(bytes.to_vec()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Latencies, E> {
        Ok(Latencies(bytes))
    }
}
