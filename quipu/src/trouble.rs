//! What went wrong, and the exit status that says so.

use crate::Failure;
use crate::client::Refusal;
use std::process::ExitCode;

/// Nothing special: as every command fails.
pub(crate) const FAILED: u8 = 1;
/// What was wanted was not to be had in time (EX_UNAVAILABLE).
pub(crate) const NOT_ACQUIRED: u8 = 69;
/// What was held is no longer held (EX_TEMPFAIL).
pub(crate) const LOST: u8 = 75;
/// `lock run` and `elect run` themselves failed, as env(1) and timeout(1) say it.
pub(crate) const ITSELF: u8 = 125;

/// A failure with an exit status of its own.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) what: Failure,
    pub(crate) status: u8,
}

impl Trouble {
    pub(crate) fn new(status: u8, what: impl Into<Failure>) -> Self {
        Trouble { what: what.into(), status }
    }

    /// Says what is wrong, and ends with its status.
    pub(crate) fn end(self) -> ExitCode {
        crate::complain(&self.what);
        ExitCode::from(self.status)
    }
}

impl From<Failure> for Trouble {
    fn from(what: Failure) -> Self {
        Trouble { what, status: FAILED }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code() {
            "busy" => NOT_ACQUIRED,
            "not-held" | "stale" => LOST,
            _ => FAILED,
        };
        Trouble { what: refusal.to_string(), status }
    }
}
