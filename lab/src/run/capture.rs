//! Turns a panic into a message, instead of printing it in the middle of everything.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// `None` while this thread's panics are nobody's business here.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something; the message of the panic if it panics, with its place in the code (and the backtrace, if
/// `RUST_BACKTRACE` asks for it).
pub(crate) fn panics<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let otherwise = take_hook();
        set_hook(Box::new(move |panic| {
            let ours = CAUGHT.with_borrow_mut(|caught| {
                caught.as_mut().map(|message| message.push_str(&describe(panic))).is_some()
            });
            if !ours {
                otherwise(panic);
            }
        }));
    });
    CAUGHT.set(Some(String::new()));
    // What a panicking run leaves behind is dropped with it: nobody sees it half done.
    let result = catch_unwind(AssertUnwindSafe(run));
    let caught = CAUGHT.take().unwrap_or_default();
    result.map_err(|_| caught)
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let literal = payload.downcast_ref::<&'static str>().copied();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    let message = literal.or(formatted).unwrap_or("a panic without a message");
    let place = panic.location().map_or_else(String::new, |place| format!("\n  at {place}"));
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("{message}{place}\n{backtrace}"),
        _ => format!("{message}{place}"),
    }
}
