//! `[limits]`: what bounds memory and queues. The defaults suit a million sessions on two cores.

use mainstay_actors::host::Limits;
use mainstay_journal::Options;
use serde::{Deserialize, Deserializer, Serialize, de};

/// `[limits]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Entities in memory; idle ones beyond it go to the journal and come back when asked for.
    pub residents: Count,
    /// Entities that are folded from the journal at once.
    pub recovery_permits: Count,
    /// Commands that an entity queues.
    pub mailbox: Count,
    /// Commands, permits and outcomes that wait at the host's doors, each.
    pub doors: Count,
    /// Appends on their way to the disk.
    pub in_flight: Count,
    /// An entity's state is kept in the store after so many events.
    pub snapshot_events: Count,
    /// What a start needs is kept after so many events; 0 keeps nothing.
    pub checkpoint_events: Count,
    /// Leases that get time to be renewed before a start is ready; the others get it when asked for.
    pub leases_at_start: Count,
    /// Streams whose newest record the journal's writer remembers, twice.
    pub stream_heads: Count,
    /// Events that the store may be behind before the writer waits for it.
    pub store_lag: Count,
    /// Open connections to the server; for one more, the one that has waited longest ends.
    pub connections: Count,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let (host, journal) = (Limits::default(), Options::default());
        Self {
            residents: Count::of(host.residents),
            recovery_permits: Count::of(host.recovery_permits),
            mailbox: Count::of(host.mailbox),
            doors: Count::of(host.doors),
            in_flight: Count::of(host.in_flight),
            snapshot_events: Count(host.snapshot_events),
            checkpoint_events: Count(host.checkpoint_events),
            leases_at_start: Count::of(host.leases_at_start),
            stream_heads: Count::of(journal.heads),
            store_lag: Count(journal.store_lag),
            connections: Count(16_384),
        }
    }
}

impl LimitsConfig {
    /// The host's part.
    #[must_use]
    pub fn host(&self) -> Limits {
        Limits {
            residents: self.residents.size(),
            recovery_permits: self.recovery_permits.size(),
            mailbox: self.mailbox.size(),
            doors: self.doors.size(),
            in_flight: self.in_flight.size(),
            snapshot_events: self.snapshot_events.0,
            checkpoint_events: self.checkpoint_events.0,
            leases_at_start: self.leases_at_start.size(),
        }
    }

    /// The journal's part, over its defaults.
    #[must_use]
    pub fn journal(&self) -> Options {
        Options {
            queue: self.in_flight.size(),
            heads: self.stream_heads.size(),
            store_lag: self.store_lag.0,
            ..Options::default()
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        for (name, count, from, to) in [
            ("residents", self.residents, 16, 100_000_000),
            ("recovery_permits", self.recovery_permits, 1, 4_096),
            ("mailbox", self.mailbox, 2, 65_536),
            ("doors", self.doors, 16, 1_048_576),
            ("in_flight", self.in_flight, 16, 65_536),
            ("snapshot_events", self.snapshot_events, 1, 1_000_000),
            ("checkpoint_events", self.checkpoint_events, 0, 1_000_000_000),
            ("leases_at_start", self.leases_at_start, 0, 1_000_000),
            ("stream_heads", self.stream_heads, 1_024, 100_000_000),
            ("connections", self.connections, 64, 1_000_000),
            ("store_lag", self.store_lag, 4_096, 1_000_000_000),
        ] {
            count.check(&format!("limits.{name}"), from, to)?;
        }
        Ok(())
    }
}

/// A whole number; in a variable it is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Count(u64);

impl Count {
    pub(super) fn of(size: usize) -> Self {
        Self(u64::try_from(size).unwrap_or(u64::MAX))
    }

    pub(crate) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Whether it is in its range.
    pub(super) fn check(self, name: &str, from: u64, to: u64) -> Result<(), String> {
        if (from..=to).contains(&self.0) {
            return Ok(());
        }
        Err(format!("{name} must be {from} to {to}"))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let wrong = || de::Error::custom("must be a whole number: 65536");
        match Written::deserialize(deserializer).map_err(|_| wrong())? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.trim().parse().map(Self).map_err(|_| wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_text(text, "test.toml", variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bound_is_a_number_in_the_file_and_text_in_a_variable() {
        let file = read("[limits]\nresidents = 100\n", &[]).unwrap();
        assert_eq!(file.limits.host().residents, 100);
        let both = read("[limits]\nresidents = 100\n", &[("MAINSTAY__LIMITS__RESIDENTS", "200")]);
        assert_eq!(both.unwrap().limits.host().residents, 200);
        let in_flight = read("[limits]\nin_flight = 64\n", &[]).unwrap();
        assert_eq!((in_flight.limits.host().in_flight, in_flight.limits.journal().queue), (64, 64));
    }

    #[test]
    fn a_bound_out_of_its_range_or_no_number_is_refused_with_its_name() {
        for (text, told) in [
            ("[limits]\nresidents = 3\n", "limits.residents must be 16 to 100000000"),
            ("[limits]\nmailbox = 0\n", "limits.mailbox must be 2 to 65536"),
            ("[limits]\nmailbox = -1\n", "must be a whole number"),
            ("[limits]\nmailbox = \"many\"\n", "must be a whole number"),
            ("[limits]\nresident = 100\n", "residents"),
        ] {
            let error = read(text, &[]).unwrap_err();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }
}
