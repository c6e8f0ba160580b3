//! Events as sentences, as one person would tell another.

use mainstay_actors::chaos::{ChaosEvent, EndCause};
use mainstay_actors::dependency::{
    BreakerAdopted, BreakerForced, Cause, DependencyEvent, Evidence, Mode, ObservationWindow,
};
use mainstay_actors::key::{KeyEvent, RefusedBecause};
use mainstay_actors::lock::{LeftBecause, LockEvent, RefusedFor};
use mainstay_actors::rate::Rate;
use mainstay_actors::session::{EndReason, SessionEvent};
use mainstay_actors::subject::SubjectEvent;
use mainstay_actors::system::{LevelChanged, SystemEvent};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::AnyEvent;

/// What an event of the stream `kind/id` says, in words. `at` is its time: other times of the same
/// day are told without their date. `owner` holds the lease that a lock's event names.
#[must_use]
pub fn tell(id: &str, event: &AnyEvent, at: Timestamp, owner: Option<&str>) -> String {
    match event {
        AnyEvent::System(event) => system(event),
        AnyEvent::Dependency(event) => dependency(id, event, at),
        AnyEvent::Session(event) => session(id, event, at),
        AnyEvent::Lock(event) => lock(id, event, at, owner),
        AnyEvent::Key(event) => key(id, event, at),
        AnyEvent::Subject(event) => subject(id, event),
        AnyEvent::Chaos(event) => chaos(id, event, at),
    }
}

/// A time of day, to the millisecond; with its date if that is not the day of `of`.
#[must_use]
pub fn clock(at: Timestamp, of: Timestamp) -> String {
    let (at, of) = (at.to_string(), of.to_string());
    let (Some((day, time)), Some((today, _))) = (at.split_once('T'), of.split_once('T')) else {
        return at;
    };
    let time = time.get(..12).unwrap_or(time);
    if day == today { time.to_owned() } else { format!("{day} {time}") }
}

/// A share in percent, rounded down to a tenth.
#[must_use]
pub fn percent(rate: Rate) -> String {
    let tenths = rate.ten_thousandths() / 10;
    match tenths % 10 {
        0 => format!("{} %", tenths / 10),
        tenth => format!("{}.{tenth} %", tenths / 10),
    }
}

/// `1 call`, `2 calls`.
#[must_use]
pub fn count(number: u64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

fn system(event: &SystemEvent) -> String {
    match event {
        SystemEvent::Booted(event) => {
            format!("the server started (start {}, version {})", event.boot, event.version)
        },
        SystemEvent::LevelChanged(LevelChanged { from, to, score, cause, .. }) => {
            let way = if to < from { "fell" } else { "rose" };
            format!("health {way} from {from} to {to}, score {}: {cause}", score.shown())
        },
        SystemEvent::MonthsDropped(event) => {
            format!("everything to event {} was dropped into an archive", event.upto)
        },
        SystemEvent::Restored(event) => {
            let (epoch, position, source) = (event.fork_epoch, event.fork_position, &event.source);
            format!(
                "the journal was restored up to {epoch}-{position} from {source}: the leases and \
                 sessions of then are over"
            )
        },
        SystemEvent::Attested(event) => {
            let (item, release, until) =
                (&event.item, &event.release, clock(event.until, event.at));
            format!("{item} was attested for {release} until {until}: {}", event.evidence)
        },
        SystemEvent::AttestationWithdrawn(event) => {
            format!("the attestation of {} was withdrawn", event.item)
        },
        SystemEvent::BackupMade(event) => {
            format!("the backup {} was made, of events to {}", event.id, event.position)
        },
        SystemEvent::BackupFailed(event) => format!("a backup failed: {}", event.reason),
        SystemEvent::BackupsStalled(event) => {
            format!("backups are not up to date by {} events: {}", event.behind, event.reason)
        },
        SystemEvent::BackupsResumed(event) => {
            format!("backups are up to date again after {} s", event.lasted_ms / 1_000)
        },
        SystemEvent::DrillCompleted(event) => {
            let verdict = if event.good { "good" } else { "not good" };
            format!(
                "the drill {} was {verdict}: recovered in {} ms, {} events lost, {} of {} entities \
                 differ",
                event.scenario, event.rto_ms, event.lost_events, event.different, event.compared
            )
        },
    }
}

fn dependency(name: &str, event: &DependencyEvent, at: Timestamp) -> String {
    use DependencyEvent as E;

    match event {
        E::DependencyConfigured(event) => {
            let (weight, version) = (event.settings.weight, event.configuration);
            let rate = percent(event.settings.breaker.failure_rate);
            format!("{name} was configured (version {version}): weight {weight}, trips at {rate}")
        },
        E::DependencyRetired(_) => {
            format!("{name} was retired: the configuration names it no more")
        },
        E::BreakerOpened(event) => {
            let (until, why) = (clock(event.until, at), evidence(&event.evidence));
            let again = match event.attempt {
                0 | 1 => String::new(),
                attempt => format!(" for the {attempt}. time in a row"),
            };
            format!("the breaker of {name} opened{again}: {why}; trial calls from {until}")
        },
        E::BreakerHalfOpened(event) => {
            format!("the breaker of {name} admits trial calls: {}", cause(&event.cause))
        },
        E::BreakerClosed(event) => {
            format!("the breaker of {name} closed: {}", evidence(&event.evidence))
        },
        E::BreakerForced(event) => forced(name, event, at),
        E::ThresholdCrossed(event) => {
            let why = evidence(&event.evidence);
            format!("{name} crossed its threshold, and only metrics are kept: {why}")
        },
        E::WindowObserved(event) => observed(name, &event.window),
        E::BreakerAdopted(event) => adopted(name, event, at),
    }
}

fn forced(name: &str, event: &BreakerForced, at: Timestamp) -> String {
    let until = event.until.map_or(String::new(), |it| format!(" until {}", clock(it, at)));
    let what = match event.to {
        Mode::ForcedOpen => "was forced open",
        Mode::Disabled => "was disabled",
        _ => "was set to metrics only",
    };
    format!("the breaker of {name} {what} by hand{until}: {}", event.reason)
}

fn adopted(name: &str, event: &BreakerAdopted, at: Timestamp) -> String {
    let moves = count(u64::from(event.transitions), "time");
    let (from, since) = (clock(event.from, at), clock(event.since, at));
    let mode = event.mode;
    format!(
        "the journal took nothing, and the breaker of {name} moved {moves} from {from} on: it is \
         {mode} since {since}"
    )
}

fn observed(name: &str, window: &ObservationWindow) -> String {
    let seconds = window.seconds.iter();
    let (calls, failures) = seconds.fold((0, 0), |(calls, failures), second| {
        (calls + u64::from(second.calls), failures + u64::from(second.failures))
    });
    let calls = count(calls, "call");
    let span = count(window.seconds.len() as u64, "second");
    format!("{name} had {calls} in {span}, {failures} failed")
}

/// The numbers behind a verdict.
fn evidence(evidence: &Evidence) -> String {
    let Evidence { cause: why, observed, threshold, consecutive_failures } = evidence;
    let over = threshold.map_or(String::new(), |it| format!(", the threshold is {}", percent(it)));
    let rate = |rate: Option<Rate>| rate.map_or(String::new(), |it| format!(" ({})", percent(it)));
    let calls = count(observed.calls, "call");
    match why {
        Cause::FailureRate => {
            let rate = rate(observed.failure_rate);
            format!("{} of {calls} failed{rate}{over}", observed.failures)
        },
        Cause::SlowRate => {
            let rate = rate(observed.slow_rate);
            format!("{} of {calls} were slow{rate}{over}", observed.slow)
        },
        Cause::ConsecutiveFailures => {
            format!("{} in a row", count(u64::from(*consecutive_failures), "failure"))
        },
        Cause::Recovered => {
            let good = observed.calls.saturating_sub(observed.failures);
            format!("{good} of {} were good", count(observed.calls, "trial call"))
        },
        other => cause(other),
    }
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::FailureRate => "too many calls failed".to_owned(),
        Cause::SlowRate => "too many calls were slow".to_owned(),
        Cause::ConsecutiveFailures => "too many failures in a row".to_owned(),
        Cause::HalfOpenTimeout => "the trial had no verdict in time".to_owned(),
        Cause::Recovered => "the trial calls were good".to_owned(),
        Cause::Timer => "its time was over".to_owned(),
        Cause::Caller => "its time was over and a caller came".to_owned(),
        Cause::Manual { reason } => format!("by hand, {reason}"),
    }
}

fn session(id: &str, event: &SessionEvent, at: Timestamp) -> String {
    match event {
        SessionEvent::SessionCreated(event) => {
            let until = clock(event.idle_until, at);
            format!("session {id} of {} began, until {until} unless it is used", event.subject)
        },
        SessionEvent::SessionImported(event) => {
            let until = clock(event.idle_until, at);
            format!(
                "session {id} of {} came from another server, until {until} unless it is used",
                event.subject
            )
        },
        SessionEvent::SessionTouched(event) => {
            format!("session {id} was used and lasts until {}", clock(event.idle_until, at))
        },
        SessionEvent::SessionPatched(event) => {
            let names: Vec<&str> = event.changes.names().collect();
            format!("session {id} changed (revision {}): {}", event.revision, names.join(", "))
        },
        SessionEvent::SessionEnded(event) => format!("session {id} {}", ended(event.reason)),
        SessionEvent::SessionFenced(_) => format!("session {id} {}", ended(EndReason::Restored)),
    }
}

/// How a session ended.
pub(super) fn ended(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Ended => "was ended by its caller",
        EndReason::Idle => "ran out unused",
        EndReason::MaxAge => "reached its greatest age",
        EndReason::Erased => "was ended, for its subject was erased",
        EndReason::Restored => "was ended, for the journal was restored",
    }
}

fn subject(id: &str, event: &SubjectEvent) -> String {
    match event {
        SubjectEvent::ConsentRecorded(event) => {
            let what = if event.granted { "granted" } else { "refused or withdrew" };
            format!("subject {id} {what} {} (text {})", event.consent, event.text_version)
        },
        SubjectEvent::HoldPlaced(event) => format!("subject {id} is held: {}", event.reason),
        SubjectEvent::HoldLifted(event) => {
            format!("subject {id} is held no more: {}", event.reason)
        },
        SubjectEvent::SubjectExported(event) => {
            format!("everything about subject {id} was read by {}", event.by)
        },
        SubjectEvent::SubjectRectified(event) => {
            let (names, in_all) = (event.names.join(", "), count(event.sessions, "session"));
            format!("subject {id} was put right in {in_all}: {names}")
        },
        SubjectEvent::SubjectImported(event) => {
            let (consents, sessions) =
                (count(event.consents, "consent"), count(event.sessions, "session"));
            format!("subject {id} came from elsewhere with {consents} and {sessions}")
        },
        SubjectEvent::SubjectErased(_) => format!("subject {id} is to be forgotten"),
        SubjectEvent::ErasureFinished(event) => {
            let ended = count(event.sessions_ended, "session");
            format!("subject {id} is forgotten: its key is destroyed, {ended} ended")
        },
    }
}

fn lock(id: &str, event: &LockEvent, at: Timestamp, owner: Option<&str>) -> String {
    let holder = |token: u64| owner.map_or_else(|| format!("the holder of {token}"), str::to_owned);
    match event {
        LockEvent::LeaseGranted(event) => {
            let (owner, until) = (&event.claim.owner, clock(event.expires_at, at));
            match event.claim_by.map(|by| clock(by, at)) {
                None => format!("{owner} got {id} until {until}"),
                Some(by) => format!(
                    "{owner}, who had waited, got {id} until {until} and must claim it by {by}"
                ),
            }
        },
        LockEvent::LeaseRenewed(event) => {
            format!("{} renewed {id} until {}", holder(event.token), clock(event.expires_at, at))
        },
        LockEvent::LeaseClaimed(event) => format!("{} claimed {id}", holder(event.token)),
        LockEvent::LeaseReleased(event) => match &event.session {
            Some(session) => {
                format!("{} lost {id}, for session {session} ended", holder(event.token))
            },
            None => format!("{} gave {id} back", holder(event.token)),
        },
        LockEvent::LeaseExpired(event) if event.unclaimed => {
            format!("{id} passed on: {} did not come to claim it", holder(event.token))
        },
        LockEvent::LeaseExpired(event) => {
            format!("{} lost {id}, for the lease ran out", holder(event.token))
        },
        LockEvent::LeaseRevoked(event) => {
            format!("{id} was taken away from {}: {}", holder(event.token), event.reason)
        },
        LockEvent::LeaseExtended(event) => {
            let leases = count(event.leases.len() as u64, "lease");
            format!("{leases} of {id} got time to be renewed after start {}", event.boot)
        },
        LockEvent::LeasesFenced(event) => {
            let leases = count(event.tokens.len() as u64, "lease");
            let waiters = count(event.waiters.into(), "waiter");
            format!("{leases} and {waiters} of {id} are over, for the journal was restored")
        },
        LockEvent::WaiterQueued(event) => {
            let until = clock(event.deadline, at);
            format!("{} began to wait for {id}, until {until}", event.claim.owner)
        },
        LockEvent::WaiterLeft(event) => {
            let why = match event.why {
                LeftBecause::Deadline => "the wait was over",
                LeftBecause::SessionEnded => "its session ended",
            };
            format!("request {} waits for {id} no more: {why}", event.request)
        },
        LockEvent::RefusalRecorded(event) => {
            let (by, what) = (&event.owner, &event.command);
            let why = match event.because {
                RefusedFor::Owner => format!("the lease is of {}", holder(event.token)),
                RefusedFor::Token => format!("token {} is no live lease", event.token),
            };
            format!("{by} was refused to {what} {id}: {why}")
        },
    }
}

fn chaos(name: &str, event: &ChaosEvent, at: Timestamp) -> String {
    match event {
        ChaosEvent::FaultStarted(event) => {
            let (plan, until) = (&event.plan, clock(event.until, at));
            let (fault, dependency, reason) = (plan.fault.name(), &plan.dependency, &plan.reason);
            let share = percent(plan.share);
            format!(
                "{name}: {fault} for {share} of the calls of {dependency} until {until}: {reason}"
            )
        },
        ChaosEvent::FaultEnded(event) => match &event.cause {
            EndCause::Timer => format!("{name}: its time was over"),
            EndCause::Stopped { reason } => format!("{name} was stopped: {reason}"),
            EndCause::StoppedAll { reason } => {
                format!("{name} was stopped with all others: {reason}")
            },
        },
    }
}

fn key(name: &str, event: &KeyEvent, at: Timestamp) -> String {
    match event {
        KeyEvent::KeyCreated(event) => {
            let role = event.role.name();
            let whose =
                event.tenant.as_ref().map_or("all tenants".to_owned(), |it| format!("tenant {it}"));
            let until =
                event.expires_at.map_or(String::new(), |it| format!(", until {}", clock(it, at)));
            format!("the key {name} was made: {role} for {whose}{until}")
        },
        KeyEvent::KeyRotated(event) => {
            let until = clock(event.older_until, at);
            format!("the key {name} got another secret; the older ones are taken until {until}")
        },
        KeyEvent::KeyRevoked(event) => format!("the key {name} was revoked: {}", event.reason),
        KeyEvent::AccessRefused(event) => {
            let why = match event.because {
                RefusedBecause::Secret => "its secret is not the key's",
                RefusedBecause::Expired => "the key has expired",
                RefusedBecause::Revoked => "the key was revoked",
                RefusedBecause::Role => "its role is too low",
                RefusedBecause::Tenant => "it is of another tenant",
            };
            format!("{} was refused to the key {name}: {why}", event.operation)
        },
    }
}
