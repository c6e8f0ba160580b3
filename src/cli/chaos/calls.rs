//! Guarded calls of a scenario, and what comes of them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::expect::Expected;
use super::stand_in::{ServiceCaller, StandIn};
use super::steps::{Answers, Call, Expectation};
use crate::config::Span;
use crate::dependency::{Dependency, Mode, Outcome};
use crate::guard::{GuardError, Refused};

/// What may come of a call.
pub(super) const KINDS: [&str; 10] = [
    "ok",
    "fallback",
    "failed",
    "ignored",
    "panicked",
    "open",
    "limited",
    "full",
    "timed_out",
    "injected",
];

/// What has come of calls.
#[derive(Debug, Default)]
pub(super) struct Came {
    counts: BTreeMap<&'static str, u32>,
    /// How long those took that went well, in microseconds.
    took_us: Vec<u64>,
    /// Refusals that do not say when to come back.
    timeless: u32,
    /// Calls that nothing was decided about, and why of the first.
    undecided: Option<(u32, String)>,
    /// The breaker never came to the state that was waited for.
    never: Option<Mode>,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Real,
    Fallback,
}

/// Why the call itself gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oops {
    Failed,
    Ignored,
}

/// Makes the calls.
pub(super) async fn make(
    call: Call,
    dependency: Dependency,
    service: Option<Arc<StandIn>>,
) -> Came {
    let left = Arc::new(AtomicU32::new(call.times));
    let ended = Arc::new(AtomicBool::new(false));
    let usual = if service.is_some() { Answers::Service } else { Answers::Ok };
    let answers = call.answers.unwrap_or(usual);
    let mut callers = Vec::new();
    for _ in 0..call.callers.min(call.times) {
        let caller = Caller {
            dependency: dependency.clone(),
            service: service.as_ref().map(|it| it.caller()),
            answers,
            takes: call.takes.map(Span::as_duration),
            fallback: call.fallback,
        };
        let (left, ended, until) = (left.clone(), ended.clone(), call.until);
        let (every, service) = (call.every.map(Span::as_duration), service.clone());
        callers.push(tokio::spawn(async move {
            let mut caller = caller;
            let mut came = Came::default();
            let mut pace = every.map(tokio::time::interval);
            let more = |left: &AtomicU32| {
                left.try_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1))
                    .is_ok()
            };
            while !ended.load(Ordering::Relaxed) && more(&left) {
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
                caller.once(&mut came).await;
                if let Some(until) = until
                    && let Ok(Some(view)) = caller.dependency.state().await
                    && view.state == until
                {
                    ended.store(true, Ordering::Relaxed);
                }
            }
            if let (Some(stand_in), Some(caller)) = (service, caller.service) {
                stand_in.put_back(caller);
            }
            came
        }));
    }
    let mut all = Came::default();
    let seen = ended.clone();
    for caller in callers {
        match caller.await {
            Ok(came) => all.add(came),
            Err(_) => all.count("panicked"),
        }
    }
    all.never = call.until.filter(|_| !seen.load(Ordering::Relaxed));
    all
}

struct Caller {
    dependency: Dependency,
    service: Option<ServiceCaller>,
    answers: Answers,
    takes: Option<Duration>,
    fallback: bool,
}

impl Caller {
    async fn once(&mut self, came: &mut Came) {
        let guard =
            self.dependency.guard().classify(|result: &Result<Answer, Oops>| match result {
                Ok(_) => Outcome::Success,
                Err(Oops::Ignored) => Outcome::Ignored,
                Err(Oops::Failed) => Outcome::Failure,
            });
        let began = now();
        let (answers, takes) = (self.answers, self.takes);
        let service = tokio::sync::Mutex::new(self.service.take());
        let ask = || async {
            if let Some(takes) = takes {
                tokio::time::sleep(takes).await;
            }
            match answers {
                Answers::Ok => Ok(Answer::Real),
                Answers::Error => Err(Oops::Failed),
                Answers::Ignored => Err(Oops::Ignored),
                // As `panic!`, and says nothing on stderr.
                Answers::Panic => resume_unwind(Box::new("the call panics")),
                Answers::Service => match service.lock().await.as_mut() {
                    Some(service) => {
                        service.call().await.map(|()| Answer::Real).map_err(|_| Oops::Failed)
                    },
                    None => Err(Oops::Failed),
                },
            }
        };
        let result = if self.fallback {
            let guard = guard.fallback(|_: GuardError<Oops>| Answer::Fallback);
            AssertUnwindSafe(guard.call(ask)).catch_unwind().await
        } else {
            AssertUnwindSafe(guard.call(ask)).catch_unwind().await
        };
        match result {
            Err(_) => came.count("panicked"),
            Ok(Ok(Answer::Real)) => {
                came.count("ok");
                came.took_us.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            },
            Ok(Ok(Answer::Fallback)) => came.count("fallback"),
            Ok(Err(GuardError::Failed(Oops::Failed))) => came.count("failed"),
            Ok(Err(GuardError::Failed(Oops::Ignored))) => came.count("ignored"),
            Ok(Err(GuardError::Refused(refused))) => came.refused(&refused),
        }
        self.service = service.into_inner();
    }
}

impl Came {
    fn count(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    fn refused(&mut self, refused: &Refused) {
        let kind = match refused {
            Refused::Open { .. } => "open",
            Refused::RateLimited { .. } => "limited",
            Refused::Full { .. } => "full",
            Refused::TimedOut { .. } => "timed_out",
            Refused::Injected { .. } => "injected",
            other => {
                let (count, why) = self.undecided.take().unwrap_or((0, other.to_string()));
                self.undecided = Some((count + 1, why));
                return;
            },
        };
        if matches!(kind, "open" | "limited" | "full") && refused.retry_after().is_none() {
            self.timeless += 1;
        }
        self.count(kind);
    }

    fn add(&mut self, other: Self) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.took_us.extend(other.took_us);
        self.timeless += other.timeless;
        if let Some((more, why)) = other.undecided {
            let (count, why) = self.undecided.take().unwrap_or((0, why));
            self.undecided = Some((count + more, why));
        }
    }

    fn p99_ms(&self) -> Option<f64> {
        let mut took = self.took_us.clone();
        took.sort_unstable();
        let at = (took.len() * 99).div_ceil(100).checked_sub(1)?;
        let us = Duration::from_micros(*took.get(at)?);
        Some(us.as_secs_f64() * 1e3)
    }

    /// What it has come to, and not as it was expected.
    pub(super) fn check(&self, expectation: &Expectation) -> Result<(), String> {
        let Expectation { expect, retry_after, p99_ms } = expectation;
        let mut wrong = Vec::new();
        for kind in KINDS {
            let count = self.counts.get(kind).copied().unwrap_or_default();
            let named = expect.get(kind).copied();
            let expected = match (named, expect.is_empty()) {
                (Some(expected), _) => expected,
                (None, false) => Expected::NONE,
                (None, true) => continue,
            };
            if !expected.holds(f64::from(count)) {
                wrong.push(format!("{kind}: {count} instead of {expected}"));
            }
        }
        if let Some(expected) = *p99_ms {
            match self.p99_ms() {
                Some(p99) if expected.holds(p99) => {},
                Some(p99) => wrong.push(format!("p99 {p99:.1} ms instead of {expected}")),
                None => wrong.push("no call went well: there is no p99".to_owned()),
            }
        }
        if let Some((count, why)) = &self.undecided {
            wrong.push(format!("{count} calls were not decided: {why}"));
        }
        if let Some(mode) = self.never {
            wrong.push(format!("the breaker never was {mode}"));
        }
        if *retry_after && self.timeless > 0 {
            wrong.push(format!("{} refusals do not say when to come back", self.timeless));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a call, decides nothing by it")]
fn now() -> Instant {
    Instant::now()
}
