//! What the HTTP port counts.

use super::Http;
use crate::exposition::Exposition;
use crate::latency::Latencies;
use crate::metrics::by_reason;
use hyper::StatusCode;
use quipu_base::Time;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Requests of one route.
#[derive(Default)]
pub(super) struct RouteCounters {
    /// By the status' first digit, from 1.
    answered: [Cell<u64>; 5],
    latencies: RefCell<Latencies>,
}

/// Everything else.
#[derive(Default)]
pub(super) struct HttpCounters {
    /// Connections accepted.
    pub(super) accepted: Cell<u64>,
    /// Connections and streams refused, by reason.
    refused: RefCell<BTreeMap<&'static str, u64>>,
    /// Connections given up, by reason.
    closed: RefCell<BTreeMap<&'static str, u64>>,
    /// Requests for which there is no route.
    pub(super) nowhere: Cell<u64>,
    /// Streams of events that are open.
    pub(super) streams: Cell<usize>,
    /// Events sent.
    pub(super) events: Cell<u64>,
}

/// Counts one more.
pub(super) fn bump(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl RouteCounters {
    pub(super) fn answered(&self, status: StatusCode, began: Time, now: Time) {
        bump(&self.answered[usize::from(status.as_u16() / 100).clamp(1, 5) - 1]);
        self.latencies.borrow_mut().record(began, now);
    }
}

impl HttpCounters {
    pub(super) fn refuse(&self, reason: &'static str) {
        *self.refused.borrow_mut().entry(reason).or_default() += 1;
    }

    pub(super) fn close(&self, reason: &'static str) {
        *self.closed.borrow_mut().entry(reason).or_default() += 1;
    }
}

impl Http {
    /// Writes everything that was counted here.
    pub(super) fn expose(&self, out: &mut Exposition) {
        let counters = &self.counters;
        out.gauge("quipu_http_connections", "Connections of HTTP clients.").value(&[], self.open.get());
        out.gauge("quipu_http_streams", "Streams of events that are open.")
            .value(&[], counters.streams.get());
        out.counter("quipu_http_events_total", "Events sent on streams.").value(&[], counters.events.get());
        out.counter("quipu_http_connections_accepted_total", "Connections of HTTP clients accepted.")
            .value(&[], counters.accepted.get());
        by_reason(
            out.counter("quipu_http_refused_total", "Connections and streams refused, by reason."),
            &counters.refused.borrow(),
        );
        by_reason(
            out.counter("quipu_http_given_up_total", "Connections given up since the client was slow."),
            &counters.closed.borrow(),
        );
        out.counter("quipu_http_nowhere_total", "Requests for which there is no route.")
            .value(&[], counters.nowhere.get());
        self.expose_routes(out);
    }

    fn expose_routes(&self, out: &mut Exposition) {
        let used = |count: &Cell<u64>| count.get() > 0;
        let routes: Vec<_> =
            self.table.routes().iter().filter(|route| route.counters.answered.iter().any(used)).collect();
        let mut requests =
            out.counter("quipu_http_requests_total", "Requests answered, by the status' class.");
        for route in &routes {
            for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&route.counters.answered) {
                if count.get() > 0 {
                    let labels =
                        [("route", route.pattern), ("method", route.method.as_str()), ("class", class)];
                    requests.value(&labels, count.get());
                }
            }
        }
        let mut durations = out.summary(
            "quipu_http_request_duration_seconds",
            "From a request's head to its answer's, waiting for a lock included; quantiles of the last minute.",
        );
        let now = self.clock.now();
        for route in &routes {
            let summary = route.counters.latencies.borrow().summary(now);
            let labels = [("route", route.pattern), ("method", route.method.as_str())];
            durations.quantiles(&labels, &summary);
        }
    }
}
