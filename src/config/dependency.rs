//! `[[dependency]]`: weight, caps, probe and breaker of one dependency.

use std::path::PathBuf;

use mainstay_actors::dependency::{BreakerSettings, Settings, Window};
use mainstay_actors::health::Level;
use mainstay_actors::rate::Rate;
use serde::{Deserialize, Serialize};

use super::{GuardConfig, ProbeTarget, Span};

/// `[[dependency]]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DependencyConfig {
    /// `[A-Za-z0-9._:-]`, 1 to 200 bytes.
    pub name: String,
    /// Its share in the global score, beside the other weights.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// While it is down the global level is at most `cap`.
    #[serde(default)]
    pub critical: bool,
    /// See `critical`; LIMITED when absent.
    #[cfg_attr(feature = "cli", schemars(with = "Option<super::schema::Cap>"))]
    pub cap: Option<Level>,
    /// An endpoint that is probed: `tcp://`, `http://`, `https://`, `redis://`, `rediss://` or
    /// `postgres://`.
    #[cfg_attr(feature = "cli", schemars(with = "Option<super::schema::Probe>"))]
    pub probe: Option<ProbeTarget>,
    /// How often.
    #[serde(default = "default_every")]
    pub every: Span,
    /// How long a probe may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// A PEM file of the certificate authority that the probe trusts, instead of the public ones.
    pub probe_ca: Option<PathBuf>,
    /// Who asks Redis or PostgreSQL.
    pub probe_user: Option<String>,
    /// The file with the password of `probe_user`, in its first line; for its owner only.
    pub probe_secret_file: Option<PathBuf>,
    /// What PostgreSQL is asked; `SELECT 1` when absent.
    pub probe_query: Option<String>,
    /// The circuit breaker.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// What stands around its calls in a service that embeds the mainstay.
    #[serde(default)]
    pub guard: GuardConfig,
}

const fn default_weight() -> u32 {
    1
}

const fn default_every() -> Span {
    Span::from_ms(5_000)
}

const fn default_timeout() -> Span {
    Span::from_ms(2_000)
}

/// `[dependency.breaker]`; what is absent has the default of [`BreakerSettings`].
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// The rates are taken over the last so many seconds.
    pub window: Option<Span>,
    /// Instead of `window`: over the last so many calls.
    pub calls: Option<u32>,
    /// Below it the rates are unknown.
    pub minimum_calls: Option<u32>,
    /// Trips at or above.
    #[cfg_attr(feature = "cli", schemars(with = "Option<super::schema::Share>"))]
    pub failure_rate: Option<Rate>,
    /// A call is slow when it takes strictly longer.
    pub slow_call: Option<Span>,
    /// Trips at or above.
    #[cfg_attr(feature = "cli", schemars(with = "Option<super::schema::Share>"))]
    pub slow_rate: Option<Rate>,
    /// Trips at so many failures in a row.
    pub consecutive_failures: Option<u32>,
    /// First stay in open.
    pub open_for: Option<Span>,
    /// Each reopening without a close stays so many times longer.
    pub backoff: Option<f64>,
    /// Longest stay in open.
    pub open_max: Option<Span>,
    /// The stay varies by at most this share.
    #[cfg_attr(feature = "cli", schemars(with = "Option<super::schema::Share>"))]
    pub jitter: Option<Rate>,
    /// Trial calls in flight at most.
    pub half_open_permits: Option<u32>,
    /// Half-open longer than this opens again.
    pub half_open_max: Option<Span>,
    /// Go half-open by timer; else with the next caller.
    pub auto_half_open: Option<bool>,
}

impl DependencyConfig {
    /// The settings that the file stands for.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let cap = self.critical.then(|| self.cap.unwrap_or(Level::Limited));
        let breaker = self.breaker.settings();
        Settings { weight: self.weight, cap, breaker, from_file: true }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        if self.cap.is_some() && !self.critical {
            return Err("`cap` needs `critical = true`".to_owned());
        }
        if self.breaker.window.is_some() && self.breaker.calls.is_some() {
            return Err("`window` and `calls` exclude each other".to_owned());
        }
        if self.every.as_ms() < 100 || self.timeout.as_ms() < 10 {
            return Err("`every` must be at least 100ms and `timeout` at least 10ms".to_owned());
        }
        self.check_probe()?;
        self.guard.layers().map_err(|error| error.to_string())?;
        self.settings().check().map_err(|error| error.to_string())
    }

    /// What is set must have somebody to go to.
    fn check_probe(&self) -> Result<(), String> {
        let redis = matches!(self.probe, Some(ProbeTarget::Redis(_)));
        let postgres = matches!(self.probe, Some(ProbeTarget::Postgres(_)));
        let named = self.probe_user.is_some() || self.probe_secret_file.is_some();
        if named && !redis && !postgres {
            let rule = "`probe_user` and `probe_secret_file` need a probe of Redis or PostgreSQL";
            return Err(rule.to_owned());
        }
        if redis && self.probe_user.is_some() && self.probe_secret_file.is_none() {
            return Err("`probe_user` of Redis needs `probe_secret_file`".to_owned());
        }
        if postgres && self.probe_user.is_none() {
            return Err("a probe of PostgreSQL needs `probe_user`".to_owned());
        }
        if self.probe_query.is_some() && !postgres {
            return Err("`probe_query` needs a probe of PostgreSQL".to_owned());
        }
        Ok(())
    }
}

/// Names of dependencies and locks.
///
/// # Errors
/// The rule.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if (1..=200).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err("a name is 1 to 200 bytes of letters, digits and . _ : -".to_owned())
}

impl BreakerConfig {
    /// With every default filled in.
    pub(super) fn resolved(&self) -> Self {
        let settings = self.settings();
        let (window, calls) = match settings.window {
            Window::Seconds(seconds) => (Some(Span::from_ms(u64::from(seconds) * 1_000)), None),
            Window::Calls(calls) => (None, Some(calls)),
        };
        Self {
            window,
            calls,
            minimum_calls: Some(settings.minimum_calls),
            failure_rate: Some(settings.failure_rate),
            slow_call: settings.slow_call_ms.map(Span::from_ms),
            slow_rate: Some(settings.slow_rate),
            consecutive_failures: settings.consecutive_failures,
            open_for: Some(Span::from_ms(settings.open_for_ms)),
            backoff: Some(f64::from(settings.backoff_percent) / 100.0),
            open_max: Some(Span::from_ms(settings.open_max_ms)),
            jitter: Some(settings.jitter),
            half_open_permits: Some(settings.half_open_permits),
            half_open_max: Some(Span::from_ms(settings.half_open_max_ms)),
            auto_half_open: Some(settings.auto_half_open),
        }
    }

    fn settings(&self) -> BreakerSettings {
        let default = BreakerSettings::default();
        let ms = |span: Option<Span>, default| span.map_or(default, Span::as_ms);
        let window = match (self.calls, self.window) {
            (Some(calls), _) => Window::Calls(calls),
            (None, Some(span)) => {
                Window::Seconds(u32::try_from(span.as_ms() / 1_000).unwrap_or(u32::MAX))
            },
            (None, None) => default.window,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let backoff_percent = self.backoff.map(|factor| (factor * 100.0).round() as u32);
        BreakerSettings {
            window,
            minimum_calls: self.minimum_calls.unwrap_or(default.minimum_calls),
            failure_rate: self.failure_rate.unwrap_or(default.failure_rate),
            slow_call_ms: self.slow_call.map(Span::as_ms),
            slow_rate: self.slow_rate.unwrap_or(default.slow_rate),
            consecutive_failures: self.consecutive_failures,
            open_for_ms: ms(self.open_for, default.open_for_ms),
            backoff_percent: backoff_percent.unwrap_or(default.backoff_percent),
            open_max_ms: ms(self.open_max, default.open_max_ms),
            jitter: self.jitter.unwrap_or(default.jitter),
            half_open_permits: self.half_open_permits.unwrap_or(default.half_open_permits),
            half_open_max_ms: ms(self.half_open_max, default.half_open_max_ms),
            auto_half_open: self.auto_half_open.unwrap_or(default.auto_half_open),
        }
    }
}
