//! Agreement while some nodes lie: of n, fewer than a third.
//!
//! | folder | paper | promises |
//! |---|---|---|
//! | [`oral`] | Lamport, Shostak, Pease: The Byzantine Generals Problem (1982), section 3 | with m traitors among 3m+1 or more generals: the loyal lieutenants agree, and obey a loyal commander; every message arrives within its round |
//! | [`pbft`] | Castro and Liskov: Practical Byzantine Fault Tolerance (1999) | with f liars among 3f+1 replicas: the others execute the same requests in the same order, whatever gets lost; clients are answered when messages arrive in the end |
//!
//! Both know who says something: the driver authenticates [`quipu_base::Input::Message`]'s `from`. Where one node must show what
//! another has said, that is not enough, and it takes a [`signature`].
//!
//! A liar is no fault that a driver can inject. The lab's `shelf::byzantine` makes one by putting a loyal node behind something that
//! rewrites what it sends.

pub mod oral;
pub mod pbft;
pub mod signature;
