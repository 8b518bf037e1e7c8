//! One broadcast on top of another: a layer says nothing that the one below does not say for it.

use quipu_base::{Embed, Input, Protocol, StreamId};

/// How a layer looks that passes everything on as it is.
pub(super) struct AsItIs;

impl<C, P> Embed<C, P> for AsItIs
where
    C: Protocol,
    P: Protocol<Message = C::Message, Timer = C::Timer, Record = C::Record>,
{
    fn message(&self, message: C::Message) -> P::Message {
        message
    }

    fn timer(&self, timer: C::Timer) -> P::Timer {
        timer
    }

    fn record(&self, record: C::Record) -> P::Record {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}

/// An input to a layer as the one below sees it, once `request` has said what is asked of that one.
pub(super) fn below<P, C>(input: Input<P>, request: impl FnOnce(P::Request) -> C::Request) -> Input<C>
where
    C: Protocol,
    P: Protocol<Message = C::Message, Timer = C::Timer, Record = C::Record>,
{
    match input {
        Input::Message { from, message } => Input::Message { from, message },
        Input::Request { id, request: asked } => Input::Request { id, request: request(asked) },
        Input::Timer(timer) => Input::Timer(timer),
        Input::Synced(point) => Input::Synced(point),
        Input::Fetched { stream, index, record } => Input::Fetched { stream, index, record },
    }
}
