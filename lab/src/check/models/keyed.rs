//! Many objects, each under its key.

use super::{Decision, Model, Part};

/// Objects of one kind, each under its key: the first of an input says which. It is a model of one of them, for
/// [`check_by_key`](crate::check::check_by_key); of registers that is a key-value map.
#[derive(Clone, Copy, Default, Debug)]
pub struct Keyed<M>(pub M);

impl<M: Model> Model for Keyed<M> {
    type State = M::State;
    type Input = (u64, M::Input);
    type Output = M::Output;

    fn initial(&self) -> M::State {
        self.0.initial()
    }

    fn step(
        &self,
        state: &M::State,
        (_, input): &Self::Input,
        output: Option<&M::Output>,
    ) -> Option<M::State> {
        self.0.step(state, input, output)
    }

    fn only_reads(&self, (_, input): &Self::Input, output: &M::Output) -> bool {
        self.0.only_reads(input, output)
    }

    fn is_eager(&self, (_, input): &Self::Input, output: &M::Output) -> bool {
        self.0.is_eager(input, output)
    }

    fn guide(&self, parts: &[Part<'_, Self::Input, M::Output>]) -> Option<Vec<u64>> {
        self.0.guide(&plain::<M>(parts))
    }

    fn decide(&self, parts: &[Part<'_, Self::Input, M::Output>]) -> Option<Decision> {
        self.0.decide(&plain::<M>(parts))
    }

    fn leave_out(&self, parts: &[Part<'_, Self::Input, M::Output>], dropped: &mut [bool]) {
        self.0.leave_out(&plain::<M>(parts), dropped);
    }
}

/// A part of a history of keyed objects.
type KeyedPart<'a, M> = Part<'a, (u64, <M as Model>::Input), <M as Model>::Output>;
/// The same without its key.
type PlainPart<'a, M> = Part<'a, <M as Model>::Input, <M as Model>::Output>;

fn plain<'a, M: Model>(parts: &[KeyedPart<'a, M>]) -> Vec<PlainPart<'a, M>> {
    let plain = |part: &KeyedPart<'a, M>| Part {
        number: part.number,
        process: part.process,
        input: &part.input.1,
        output: part.output,
        invoked: part.invoked,
        returned: part.returned,
    };
    parts.iter().map(plain).collect()
}
