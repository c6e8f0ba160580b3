//! `PUT /api/v1/dependencies/{name}`: settings by the API, beside those of the configuration file.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use mainstay_actors::dependency::{
    BreakerSettings, DependencyCommand, DependencyReject, DependencyState, Settings, SettingsError,
    Window,
};
use mainstay_actors::health::Level;
use mainstay_actors::host::Host;
use mainstay_actors::rate::Rate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DependencyName, Detail, send};
use crate::server::body::{Body, object};
use crate::server::problem::Problem;
use crate::server::request::{Caller, CommandHeaders, Placed};
use crate::server::whole;

/// The body of `PUT /dependencies/{name}`: what `settings` of the answer shows; what is absent
/// has its default.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DependencySettings)]
pub(in crate::server) struct Put {
    /// Its share in the global score, beside the other weights; 1 if absent.
    #[serde(default = "one", deserialize_with = "whole::number")]
    #[schema(maximum = 1_000_000)]
    weight: u32,
    /// While it is down the global level is at most this one; OPTIMAL is none.
    #[serde(default)]
    cap: Option<Level>,
    /// The circuit breaker.
    #[serde(default, deserialize_with = "object")]
    breaker: PutBreaker,
}

const fn one() -> u32 {
    1
}

/// What the rates are taken over.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DependencyWindow)]
enum PutWindow {
    /// The last so many seconds, 1 to 3600.
    #[serde(deserialize_with = "whole::number")]
    Seconds(u32),
    /// The last so many calls, 1 to 10000.
    #[serde(deserialize_with = "whole::number")]
    Calls(u32),
}

impl From<PutWindow> for Window {
    fn from(window: PutWindow) -> Self {
        match window {
            PutWindow::Seconds(seconds) => Self::Seconds(seconds),
            PutWindow::Calls(calls) => Self::Calls(calls),
        }
    }
}

/// The circuit breaker of `PUT /dependencies/{name}`; what is absent has its default.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = DependencyBreaker)]
pub(in crate::server) struct PutBreaker {
    /// What the rates are taken over.
    window: Option<PutWindow>,
    /// Below it the rates are unknown; at most the calls of the window.
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    minimum_calls: Option<u32>,
    /// Trips at or above; more than 0.
    failure_rate: Option<Rate>,
    /// A call is slow when it takes longer.
    #[schema(minimum = 1, maximum = 3_600_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    slow_call_ms: Option<u64>,
    /// Trips at or above; more than 0.
    slow_rate: Option<Rate>,
    /// Trips at so many failures in a row.
    #[schema(minimum = 1, maximum = 4_294_967_295_u64)]
    #[serde(default, deserialize_with = "whole::optional")]
    consecutive_failures: Option<u32>,
    /// First stay in open.
    #[schema(minimum = 1, maximum = 86_400_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    open_for_ms: Option<u64>,
    /// Each reopening without a close stays so much longer: 150 is × 1.5.
    #[schema(minimum = 100, maximum = 1_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    backoff_percent: Option<u32>,
    /// Longest stay in open; at least `open_for_ms`.
    #[schema(minimum = 1, maximum = 604_800_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    open_max_ms: Option<u64>,
    /// The stay varies by at most this share; at most 0.5.
    jitter: Option<Rate>,
    /// Trial calls in flight at most.
    #[schema(minimum = 1, maximum = 1_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    half_open_permits: Option<u32>,
    /// Half-open longer than this opens again.
    #[schema(minimum = 1, maximum = 86_400_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    half_open_max_ms: Option<u64>,
    /// Go half-open by timer; else with the next caller.
    auto_half_open: Option<bool>,
}

impl PutBreaker {
    fn settings(&self) -> BreakerSettings {
        let default = BreakerSettings::default();
        BreakerSettings {
            window: self.window.map_or(default.window, Window::from),
            minimum_calls: self.minimum_calls.unwrap_or(default.minimum_calls),
            failure_rate: self.failure_rate.unwrap_or(default.failure_rate),
            slow_call_ms: self.slow_call_ms,
            slow_rate: self.slow_rate.unwrap_or(default.slow_rate),
            consecutive_failures: self.consecutive_failures,
            open_for_ms: self.open_for_ms.unwrap_or(default.open_for_ms),
            backoff_percent: self.backoff_percent.unwrap_or(default.backoff_percent),
            open_max_ms: self.open_max_ms.unwrap_or(default.open_max_ms),
            jitter: self.jitter.unwrap_or(default.jitter),
            half_open_permits: self.half_open_permits.unwrap_or(default.half_open_permits),
            half_open_max_ms: self.half_open_max_ms.unwrap_or(default.half_open_max_ms),
            auto_half_open: self.auto_half_open.unwrap_or(default.auto_half_open),
        }
    }
}

/// Register or reconfigure a dependency; its state and window stay.
///
/// What the configuration file names is changed there: here it is 409. What vanished from the file
/// is retired, and may be registered again.
#[utoipa::path(
    put,
    path = "/api/v1/dependencies/{name}",
    tag = "dependencies",
    operation_id = "configure_dependency",
    params(CommandHeaders, DependencyName),
    request_body(content = Put, example = json!({"weight": 50, "breaker": {"window": {"seconds": 30}, "slow_call_ms": 400}})),
    responses((status = 200, description = "The dependency as it is configured now", body = Placed<Detail>)),
    extensions(("x-problems" = json!(["configured-by-file"])))
)]
pub(in crate::server) async fn configure(
    host: Data<Host>,
    caller: Caller,
    name: Path<String>,
    body: Body<Put>,
) -> Result<Json<Placed<Detail>>, Problem> {
    let from_file = |state: &DependencyState| {
        !state.retired && state.settings.as_ref().is_some_and(|settings| settings.from_file)
    };
    if host.dependency(&name).await?.is_some_and(|state| from_file(&state)) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "configured-by-file",
            "the configuration file names this dependency; change it there",
        ));
    }
    let breaker = body.breaker.settings();
    let settings = Settings { weight: body.weight, cap: body.cap, breaker, from_file: false };
    settings.check().map_err(|error| DependencyReject::Settings(as_in_body(&error)))?;
    let command = DependencyCommand::Configure(Box::new(settings));
    send(&host, &caller, &name, command, &*body).await
}

/// The settings name their fields as the file does; the body has them with their units.
fn as_in_body(error: &SettingsError) -> SettingsError {
    let SettingsError { field, rule } = *error;
    let (field, rule) = match field {
        "slow_call" => ("slow_call_ms", rule),
        "open_for" => ("open_for_ms", rule),
        "open_max" => ("open_max_ms", "open_for_ms to 7 d"),
        "half_open_max" => ("half_open_max_ms", rule),
        "backoff" => ("backoff_percent", "100 to 1000"),
        _ => (field, rule),
    };
    SettingsError { field, rule }
}
