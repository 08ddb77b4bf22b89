//! Counts of what the server did, for metrics. No hotkey and no address is a label.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

/// Counters of one server, shared by its connections and its gate.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections taken.
    pub connections: Counter,
    /// Connections closed at once because as many as allowed were open.
    pub connections_refused: Counter,
    /// Connections open now.
    pub connections_open: Gauge,
    /// Requests that were verified and handed on.
    pub verified: Counter,
    /// Requests whose handler ran out of time or whose answer was too large.
    pub failed: Counter,
    refused: [Counter; Code::ALL.len()],
}

/// Goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sub_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident;)+) => {
        /// Why a request was refused, as its answer and the metrics say it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code in an answer's body and in a metric's label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> http::StatusCode {
                match self { $(Self::$name => http::StatusCode::$status,)+ }
            }

            /// The whole body: constant, so that a refusal costs nothing to write, tells a prober
            /// nothing, and is smaller than any request.
            pub const fn body(self) -> &'static str {
                match self { $(Self::$name => concat!(r#"{"error":""#, $code, r#""}"#),)+ }
            }
        }
    };
}

codes! {
    /// A header is missing, repeated or not well formed.
    Malformed = "malformed", UNAUTHORIZED;
    /// Signed for another receiver.
    WrongReceiver = "wrong_receiver", UNAUTHORIZED;
    /// The nonce is too old.
    Stale = "stale", UNAUTHORIZED;
    /// The nonce is too far ahead.
    Early = "early", UNAUTHORIZED;
    /// The signature does not verify.
    BadSignature = "bad_signature", UNAUTHORIZED;
    /// The nonce was used before.
    Replayed = "replayed", UNAUTHORIZED;
    /// The nonce may have been used before this process started.
    BeforeStart = "before_start", UNAUTHORIZED;
    /// The hotkey is not registered here.
    Unknown = "unknown", FORBIDDEN;
    /// The hotkey may not query here.
    NotPermitted = "not_permitted", FORBIDDEN;
    /// More than the caller's share, or than the server remembers.
    TooMany = "too_many", TOO_MANY_REQUESTS;
    /// The address sent too many bad signatures.
    TooManyFailures = "too_many_failures", TOO_MANY_REQUESTS;
    /// The server does not know the metagraph yet.
    NotReady = "not_ready", SERVICE_UNAVAILABLE;
    /// The nonce could not be written down.
    Unrecorded = "unrecorded", SERVICE_UNAVAILABLE;
    /// The body is larger than accepted.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE;
    /// The body has no declared length.
    LengthRequired = "length_required", LENGTH_REQUIRED;
    /// The body is encoded; what is signed is what is sent.
    Encoded = "encoded", UNSUPPORTED_MEDIA_TYPE;
    /// The request line is not a path.
    BadTarget = "bad_target", BAD_REQUEST;
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT;
    /// The body ended early.
    BodyBroken = "body_broken", BAD_REQUEST;
    /// A handler asked who calls on a route behind no gate.
    Unguarded = "unguarded", INTERNAL_SERVER_ERROR;
    /// The handler did not answer in time.
    HandlerTimeout = "handler_timeout", GATEWAY_TIMEOUT;
    /// The handler's answer is larger than is sent.
    AnswerTooLarge = "answer_too_large", INTERNAL_SERVER_ERROR;
    /// The body is not the message that this route takes.
    BadMessage = "bad_message", UNPROCESSABLE_ENTITY;
}

impl Counters {
    /// Requests refused with this code.
    pub fn refused(&self, code: Code) -> u64 {
        self.refused[code as usize].get()
    }

    pub(crate) fn refuse(&self, code: Code) {
        self.refused[code as usize].add_one();
    }

    /// Appends the counts in the `OpenMetrics` text format, without its end.
    pub fn render(&self, out: &mut String) {
        let mut line = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
            let mut write = || -> std::fmt::Result {
                // `OpenMetrics` names a counter's family without the samples' ending.
                let family = name.strip_suffix("_total").unwrap_or(name);
                writeln!(out, "# HELP {family} {help}\n# TYPE {family} {kind}")?;
                for (code, value) in samples {
                    match *code {
                        "" => writeln!(out, "{name} {value}")?,
                        code => writeln!(out, "{name}{{code=\"{code}\"}} {value}")?,
                    }
                }
                Ok(())
            };
            // Writing to a string cannot fail.
            write().unwrap_or_default();
        };
        let mut requests = vec![("ok", self.verified.get())];
        requests.extend(Code::ALL.iter().map(|&code| (code.as_str(), self.refused(code))));
        line("wire_requests_total", "counter", "Requests by outcome.", &requests);
        let failed = [("", self.failed.get())];
        line("wire_handler_failures_total", "counter", "Handlers late or too long.", &failed);
        let taken = [("", self.connections.get())];
        line("wire_connections_total", "counter", "Connections taken.", &taken);
        let refused = [("", self.connections_refused.get())];
        line("wire_connections_refused_total", "counter", "Connections over a cap.", &refused);
        let open = [("", self.connections_open.get())];
        line("wire_connections_open", "gauge", "Connections open now.", &open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_short_and_counted_under_its_own_name() {
        let counters = Counters::default();
        for (n, &code) in Code::ALL.iter().enumerate() {
            assert_eq!(code as usize, n);
            assert!(code.body().len() <= 128);
            assert!(code.status().is_client_error() || code.status().is_server_error());
            counters.refuse(code);
        }
        let mut text = String::new();
        counters.render(&mut text);
        for code in Code::ALL {
            let sample = format!("wire_requests_total{{code=\"{}\"}} 1\n", code.as_str());
            assert!(text.contains(&sample), "{sample}");
        }
    }
}
