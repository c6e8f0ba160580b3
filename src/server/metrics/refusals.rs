//! How often nobody was let in, by reason; every one counts, also those that no key's stream records.

use mainstay_actors::key::RefusedBecause;
use prometheus_client::encoding::{
    EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::server) enum Reason {
    /// There is no key, and the route needs one.
    Keyless,
    /// The key is known to nobody, or cannot be one.
    Unknown,
    /// The name is known, the secret is not.
    Secret,
    /// The key was taken back.
    Revoked,
    /// Its time is over.
    Expired,
    /// The role is too low.
    Role,
    /// What was asked for is another tenant's.
    Tenant,
    /// The key, or the address that tries keys, asks too often.
    Rate,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::Keyless,
        Self::Unknown,
        Self::Secret,
        Self::Revoked,
        Self::Expired,
        Self::Role,
        Self::Tenant,
        Self::Rate,
    ];

    /// Of what a key's stream records.
    pub(in crate::server) const fn of(because: RefusedBecause) -> Self {
        match because {
            RefusedBecause::Secret => Self::Secret,
            RefusedBecause::Revoked => Self::Revoked,
            RefusedBecause::Expired => Self::Expired,
            RefusedBecause::Role => Self::Role,
            RefusedBecause::Tenant => Self::Tenant,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Keyless => "keyless",
            Self::Unknown => "unknown",
            Self::Secret => "secret",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Role => "role",
            Self::Tenant => "tenant",
            Self::Rate => "rate",
        }
    }
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}

/// Since the start; clones are the same.
#[derive(Debug, Clone)]
pub(in crate::server) struct Refusals(Family<Label, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Label(Reason);

impl EncodeLabelSet for Label {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("reason", self.0)].encode(encoder)
    }
}

impl Refusals {
    /// All reasons, so that each has a figure before its first refusal.
    pub(in crate::server) fn new() -> Self {
        let counted = Family::default();
        for reason in Reason::ALL {
            drop(counted.get_or_create(&Label(reason)));
        }
        Self(counted)
    }

    pub(in crate::server) fn count(&self, reason: Reason) {
        self.0.get_or_create(&Label(reason)).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("access_refusals", "Requests that were not let in", self.0.clone());
    }
}
