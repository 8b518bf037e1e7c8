//! The protocol's numbers (`ZooDefs.java`, `KeeperException.java`, `Watcher.java`, `ClientCnxn.java`).

macro_rules! numbers {
    ($(#[$function:meta])* $name:ident; $($(#[$doc:meta])* $constant:ident = $value:literal => $text:literal;)*) => {
        $( $(#[$doc])* pub const $constant: i32 = $value; )*

        $(#[$function])*
        pub fn $name(number: i32) -> &'static str {
            match number {
                $( $constant => $text, )*
                _ => "unknown",
            }
        }

        /// Every number of this module.
        pub const ALL: &[i32] = &[$($constant),*];
    };
}

/// Error codes of replies. Those of -100 and below are the client's doing, others the system's.
pub mod code {
    numbers! {
        /// The code's name as ZooKeeper's documentation has it; `unknown` if there is none.
        name;
        /// No error.
        OK = 0 => "Ok";
        /// Something failed in the server.
        SYSTEM_ERROR = -1 => "SystemError";
        /// An operation of a multi that was not tried because an earlier one failed.
        RUNTIME_INCONSISTENCY = -2 => "RuntimeInconsistency";
        /// The data is inconsistent.
        DATA_INCONSISTENCY = -3 => "DataInconsistency";
        /// The connection was lost; whether the request took effect is unknown.
        CONNECTION_LOSS = -4 => "ConnectionLoss";
        /// The request could not be read.
        MARSHALLING_ERROR = -5 => "MarshallingError";
        /// The operation does not exist here.
        UNIMPLEMENTED = -6 => "Unimplemented";
        /// The operation took too long.
        OPERATION_TIMEOUT = -7 => "OperationTimeout";
        /// An argument is invalid.
        BAD_ARGUMENTS = -8 => "BadArguments";
        /// The session is unknown.
        UNKNOWN_SESSION = -12 => "UnknownSession";
        /// The members of the wanted configuration have no connected quorum.
        NEW_CONFIG_NO_QUORUM = -13 => "NewConfigNoQuorum";
        /// Another reconfiguration is under way.
        RECONFIG_IN_PROGRESS = -14 => "ReconfigInProgress";
        /// The first of the codes that are the client's doing.
        API_ERROR = -100 => "APIError";
        /// The node does not exist.
        NO_NODE = -101 => "NoNode";
        /// The client lacks the permission.
        NO_AUTH = -102 => "NoAuth";
        /// The expected version is not the node's.
        BAD_VERSION = -103 => "BadVersion";
        /// Ephemeral nodes have no children.
        NO_CHILDREN_FOR_EPHEMERALS = -108 => "NoChildrenForEphemerals";
        /// The node exists already.
        NODE_EXISTS = -110 => "NodeExists";
        /// The node has children.
        NOT_EMPTY = -111 => "NotEmpty";
        /// The session has expired.
        SESSION_EXPIRED = -112 => "SessionExpired";
        /// A callback is invalid; never sent by servers.
        INVALID_CALLBACK = -113 => "InvalidCallback";
        /// The access control list is invalid.
        INVALID_ACL = -114 => "InvalidACL";
        /// The client could not prove who it is.
        AUTH_FAILED = -115 => "AuthFailed";
        /// The session has moved to another server; such a connection is closed, the code is not sent.
        SESSION_MOVED = -118 => "SessionMoved";
        /// A write at a server that serves reads only.
        NOT_READ_ONLY = -119 => "NotReadOnly";
        /// A local session may own no ephemeral nodes.
        EPHEMERAL_ON_LOCAL_SESSION = -120 => "EphemeralOnLocalSession";
        /// There is no such watch.
        NO_WATCHER = -121 => "NoWatcher";
        /// The client gave a request up; never sent by servers.
        REQUEST_TIMEOUT = -122 => "RequestTimeout";
        /// Reconfiguration is switched off.
        RECONFIG_DISABLED = -123 => "ReconfigDisabled";
        /// The server demands SASL authentication.
        SASL_REQUIRED = -124 => "SessionClosedRequireSaslAuth";
        /// A quota would be exceeded.
        QUOTA_EXCEEDED = -125 => "QuotaExceeded";
        /// The server is overloaded and has not tried the request.
        THROTTLED = -127 => "ThrottledOp";
    }
}

/// Operation codes of requests.
pub mod op {
    numbers! {
        /// The operation's name in metrics; `unknown` if there is none.
        name;
        /// A result that is an error, inside a multi.
        ERROR = -1 => "error";
        /// Creates a node; the reply is its path.
        CREATE = 1 => "create";
        /// Deletes a node.
        DELETE = 2 => "delete";
        /// A node's [`Stat`](super::super::Stat).
        EXISTS = 3 => "exists";
        /// A node's data.
        GET_DATA = 4 => "getData";
        /// Replaces a node's data.
        SET_DATA = 5 => "setData";
        /// A node's access control list.
        GET_ACL = 6 => "getACL";
        /// Replaces a node's access control list.
        SET_ACL = 7 => "setACL";
        /// A node's children.
        GET_CHILDREN = 8 => "getChildren";
        /// Waits until the server has seen what was committed before.
        SYNC = 9 => "sync";
        /// Keeps the session alive.
        PING = 11 => "ping";
        /// A node's children and its [`Stat`](super::super::Stat).
        GET_CHILDREN2 = 12 => "getChildren2";
        /// Checks a node's version; only inside a multi.
        CHECK = 13 => "check";
        /// Several writes, all or nothing.
        MULTI = 14 => "multi";
        /// Creates a node; the reply is its path and [`Stat`](super::super::Stat).
        CREATE2 = 15 => "create2";
        /// Changes the ensemble's members.
        RECONFIG = 16 => "reconfig";
        /// Whether a watch exists.
        CHECK_WATCHES = 17 => "checkWatches";
        /// Removes watches.
        REMOVE_WATCHES = 18 => "removeWatches";
        /// Creates a container node.
        CREATE_CONTAINER = 19 => "createContainer";
        /// Removes an empty container; servers only.
        DELETE_CONTAINER = 20 => "deleteContainer";
        /// Creates a node with a time to live.
        CREATE_TTL = 21 => "createTTL";
        /// Several reads.
        MULTI_READ = 22 => "multiRead";
        /// Proves an identity.
        AUTH = 100 => "auth";
        /// Renews watches after a reconnect.
        SET_WATCHES = 101 => "setWatches";
        /// A step of SASL authentication.
        SASL = 102 => "sasl";
        /// The ephemeral nodes of this session.
        GET_EPHEMERALS = 103 => "getEphemerals";
        /// How many nodes are below a node.
        GET_ALL_CHILDREN_NUMBER = 104 => "getAllChildrenNumber";
        /// Renews watches after a reconnect, persistent ones too.
        SET_WATCHES2 = 105 => "setWatches2";
        /// Adds a persistent watch.
        ADD_WATCH = 106 => "addWatch";
        /// The identities of this connection.
        WHO_AM_I = 107 => "whoAmI";
        /// Opens a session; servers only, clients connect instead.
        CREATE_SESSION = -10 => "createSession";
        /// Closes the session.
        CLOSE_SESSION = -11 => "closeSession";
    }
}

pub use op::name as op_name;

/// Transaction ids that are not a client's counter.
pub mod xid {
    /// A watch event.
    pub const WATCH_EVENT: i32 = -1;
    /// A ping and its reply.
    pub const PING: i32 = -2;
    /// An authentication and its reply.
    pub const AUTH: i32 = -4;
    /// A renewal of watches and its reply.
    pub const SET_WATCHES: i32 = -8;
}

/// The kinds of node that a create asks for (`CreateMode.java`).
pub mod create_flag {
    /// Stays until it is deleted.
    pub const PERSISTENT: i32 = 0;
    /// Dies with its session.
    pub const EPHEMERAL: i32 = 1;
    /// Stays, and gets a number behind its name.
    pub const PERSISTENT_SEQUENTIAL: i32 = 2;
    /// Dies with its session, and gets a number behind its name.
    pub const EPHEMERAL_SEQUENTIAL: i32 = 3;
    /// Is removed some time after its last child.
    pub const CONTAINER: i32 = 4;
    /// Is removed when childless and unchanged for its time to live.
    pub const PERSISTENT_TTL: i32 = 5;
    /// The same with a number behind its name.
    pub const PERSISTENT_SEQUENTIAL_TTL: i32 = 6;
}

/// The bits of an access control entry.
pub mod permission {
    /// May read data and children.
    pub const READ: i32 = 1;
    /// May change data.
    pub const WRITE: i32 = 2;
    /// May create children.
    pub const CREATE: i32 = 4;
    /// May delete children.
    pub const DELETE: i32 = 8;
    /// May change the access control list.
    pub const ADMIN: i32 = 16;
    /// All of these.
    pub const ALL: i32 = 31;
}

/// The kinds of watch event.
pub mod event_kind {
    /// The session's state changed; only clients make such events.
    pub const NONE: i32 = -1;
    /// The node was created.
    pub const CREATED: i32 = 1;
    /// The node was deleted.
    pub const DELETED: i32 = 2;
    /// The node's data changed.
    pub const DATA_CHANGED: i32 = 3;
    /// A child was created or deleted.
    pub const CHILDREN_CHANGED: i32 = 4;
}

/// The session's state that a watch event carries.
pub mod event_state {
    /// Connected to a server of the quorum: what servers send.
    pub const CONNECTED: i32 = 3;
}

/// The kinds of watch that `checkWatches` and `removeWatches` mean.
pub mod watcher_kind {
    /// Set by `getChildren`.
    pub const CHILDREN: i32 = 1;
    /// Set by `getData` and `exists`.
    pub const DATA: i32 = 2;
    /// Whichever.
    pub const ANY: i32 = 3;
    /// Added by `addWatch` with mode 0.
    pub const PERSISTENT: i32 = 4;
    /// Added by `addWatch` with mode 1.
    pub const PERSISTENT_RECURSIVE: i32 = 5;
}
