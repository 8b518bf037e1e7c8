//! Lists, a page at a time.

use super::values::Whole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many items a page has at most.
pub(crate) type Limit = Whole<1, 1000, 100>;

/// The query of a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// How many items at most.
    #[serde(default)]
    pub(crate) limit: Limit,
    /// Where the page before ended: its `next`.
    pub(crate) after: Option<String>,
    /// Answer from what this node has applied, without asking the leader how far that must be.
    #[serde(default)]
    pub(crate) stale: bool,
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(crate) struct Page<T> {
    /// The items, in order.
    pub(crate) items: Vec<T>,
    /// What to ask for with `after` to go on; null at the end.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// Takes a page from `rest`, which begins behind `after` and is in order; `cursor` names an item.
    pub(crate) fn take(
        limit: Limit,
        rest: impl IntoIterator<Item = T>,
        cursor: impl Fn(&T) -> String,
    ) -> Self {
        let mut rest = rest.into_iter();
        let items: Vec<T> = rest.by_ref().take(limit.0 as usize).collect();
        let is_over = rest.next().is_none();
        let next = if is_over { None } else { items.last().map(cursor) };
        Page { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_say_where_they_end() {
        let page = |rest: std::ops::Range<u8>| {
            let page = Page::take(Whole(2), rest, u8::to_string);
            (page.items, page.next)
        };
        assert_eq!(page(0..0), (vec![], None));
        assert_eq!(page(0..2), (vec![0, 1], None));
        assert_eq!(page(0..3), (vec![0, 1], Some("1".into())));
    }
}
