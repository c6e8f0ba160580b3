//! What serde says about a request, without what the request said: a value may be somebody's.
//!
//! | serde says | told |
//! |---|---|
//! | ``invalid type: string "anna@example.com", expected u64`` | ``invalid type: string, expected u64`` |
//! | ``invalid value: integer `4111`, expected …`` | ``invalid value: integer, expected …`` |
//! | ``unknown variant `anna`, expected `a` or `b` `` | ``unknown variant, expected `a` or `b` `` |

/// What comes before a value, and whether its kind is told before the value itself.
const BEFORE: [&str; 3] = ["invalid type: ", "invalid value: ", "unknown variant "];
/// What comes after it; the value may hold the same words, so the last ones count.
const AFTER: &str = ", expected ";

/// The message without the value that it is about.
pub(super) fn without_value(message: &str) -> String {
    let at = BEFORE.iter().filter_map(|before| Some(message.find(before)? + before.len())).min();
    let parts = at.and_then(|at| message.split_at_checked(at));
    let Some((before, rest)) = parts else { return message.to_owned() };
    let Some((value, after)) = rest.rsplit_once(AFTER) else { return before.trim().to_owned() };
    let kind = value.split(['"', '`', '\'']).next().unwrap_or_default().trim();
    format!("{}{AFTER}{after}", [before, kind].concat().trim_end())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::without_value;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read into")]
    struct Body {
        number: u64,
        mode: Mode,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Open,
        Closed,
    }

    fn told(body: &str) -> String {
        without_value(&serde_json::from_str::<Body>(body).unwrap_err().to_string())
    }

    #[test]
    fn a_value_is_not_told_and_what_is_expected_is() {
        for value in [
            "\"anna\"",
            "\"anna, expected nothing\"",
            "\"anna \\\" `anna` 'anna'\"",
            "[\"anna\"]",
            "-41111111",
            "4111.1111",
            "true",
        ] {
            let message = told(&format!("{{\"number\": {value}, \"mode\": \"open\"}}"));
            assert!(!message.contains("anna") && !message.contains("4111"), "{message}");
            assert!(message.contains("expected u64 at line 1"), "{message}");
        }
        let message = told("{\"number\": 1, \"mode\": \"anna\"}");
        assert!(message.starts_with("unknown variant, expected `open` or `closed`"), "{message}");
    }

    #[test]
    fn a_message_without_a_value_stays_as_it_is() {
        for body in ["{", "{}", "{\"number\": 1}", "nonsense"] {
            let message = serde_json::from_str::<Body>(body).unwrap_err().to_string();
            assert_eq!(told(body), message);
        }
    }
}
