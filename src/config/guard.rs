//! `[dependency.guard]`: what stands around the calls to one dependency, for services that embed a
//! mainstay.

use serde::{Deserialize, Serialize};

use super::Span;
use crate::guard::{Bulkhead, Gradient, Layers, LimitError, MAX_TIMEOUT, RateLimit, Retry};

/// `[dependency.guard]`; what is absent does not stand there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// How long a call may take, the wait for its place included.
    pub timeout: Option<Span>,
    /// How many calls at a time.
    pub bulkhead: Option<BulkheadConfig>,
    /// How many calls in a span of time.
    pub rate_limit: Option<RateLimitConfig>,
    /// Which calls are made again.
    pub retry: Option<RetryConfig>,
}

/// `[dependency.guard.bulkhead]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BulkheadConfig {
    /// Calls at a time; of an adaptive one the most.
    pub calls: u32,
    /// Calls that wait in line.
    pub queue: u32,
    /// How long they wait.
    pub wait: Span,
    /// As many calls as the dependency shows that it can serve.
    pub adaptive: bool,
}

/// `[dependency.guard.rate_limit]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RateLimitConfig {
    /// So many calls,
    pub calls: u32,
    /// in so long.
    #[serde(default = "a_second")]
    pub per: Span,
    /// So many of them at once; all when absent.
    pub burst: Option<u32>,
}

/// `[dependency.guard.retry]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryConfig {
    /// Tries, the first included.
    pub attempts: u32,
    /// Longest pause after the first try; it doubles with each.
    #[serde(default = "base")]
    pub base: Span,
    /// Longest pause.
    #[serde(default = "max")]
    pub max: Span,
}

const fn a_second() -> Span {
    Span::from_ms(1_000)
}

const fn base() -> Span {
    Span::from_ms(50)
}

const fn max() -> Span {
    Span::from_ms(2_000)
}

impl Default for BulkheadConfig {
    fn default() -> Self {
        Self { calls: 20, queue: 20, wait: Span::from_ms(30_000), adaptive: false }
    }
}

impl GuardConfig {
    /// The layers that it stands for, each with places, tokens and a budget of its own.
    pub(crate) fn layers(&self) -> Result<Layers, LimitError> {
        let timeout = self.timeout.map(Span::as_duration);
        if timeout.is_some_and(|it| it.is_zero() || it > MAX_TIMEOUT) {
            return Err(LimitError { field: "guard.timeout", rule: "1 ms to 24 h" });
        }
        Ok(Layers {
            timeout,
            bulkhead: self.bulkhead.as_ref().map(BulkheadConfig::layer).transpose()?,
            rate_limit: self.rate_limit.as_ref().map(RateLimitConfig::layer).transpose()?,
            retry: self.retry.as_ref().map(RetryConfig::layer).transpose()?,
            invalid: None,
        })
    }
}

impl BulkheadConfig {
    fn layer(&self) -> Result<Bulkhead, LimitError> {
        let bulkhead = if self.adaptive {
            let initial = Gradient::default().initial.min(self.calls);
            Bulkhead::adaptive(Gradient { max: self.calls, initial, ..Gradient::default() })
        } else {
            Bulkhead::new(self.calls)
        };
        let bulkhead = bulkhead.queue(self.queue).wait(self.wait.as_duration());
        bulkhead.check()?;
        Ok(bulkhead)
    }
}

impl RateLimitConfig {
    fn layer(&self) -> Result<RateLimit, LimitError> {
        let limit = RateLimit::per(self.calls, self.per.as_duration())?;
        self.burst.map_or(Ok(limit.clone()), |burst| limit.burst(burst))
    }
}

impl RetryConfig {
    fn layer(&self) -> Result<Retry, LimitError> {
        let retry = Retry::attempts(self.attempts)
            .base(self.base.as_duration())
            .max(self.max.as_duration());
        retry.check()?;
        Ok(retry)
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn read(guard: &str) -> Result<Config, String> {
        let text = format!("[[dependency]]\nname = \"db\"\n[dependency.guard]\n{guard}");
        Config::from_text(&text, "mainstay.toml", []).map_err(|error| error.to_string())
    }

    #[test]
    fn layers_are_read_and_what_is_absent_is_not_there() {
        let config =
            read("timeout = \"2s\"\nbulkhead = { calls = 3, queue = 0 }\nretry = { attempts = 2 }")
                .unwrap();
        let layers = config.dependency[0].guard.layers().unwrap();
        assert_eq!(layers.timeout.unwrap().as_millis(), 2_000);
        assert_eq!(layers.bulkhead.unwrap().counts().idle, 3);
        assert!(layers.retry.is_some() && layers.rate_limit.is_none());
        assert!(read("").unwrap().dependency[0].guard.layers().unwrap().is_empty());
        assert!(read("bulkhead = { calls = 7, adaptive = true }").is_ok());
        assert!(read("rate_limit = { calls = 100, per = \"1m\", burst = 5 }").is_ok());
    }

    #[test]
    fn what_cannot_be_is_named_with_its_dependency_and_its_range() {
        for (guard, says) in [
            ("timeout = \"0ms\"", "guard.timeout must be 1 ms to 24 h"),
            ("timeout = \"2d\"", "guard.timeout must be 1 ms to 24 h"),
            ("bulkhead = { calls = 0 }", "max must be 1 to 1000000"),
            ("rate_limit = { calls = 0 }", "count must be 1 to 1000000000"),
            ("retry = { attempts = 0 }", "attempts must be 1 to 100"),
            ("retry = { attempts = 2, base = \"5s\" }", "retry.base must be 1 ms to max"),
            ("retries = 3", "unknown"),
        ] {
            let error = read(guard).unwrap_err();
            assert!(error.contains(says), "{guard}: {error}");
        }
    }
}
