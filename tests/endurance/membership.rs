//! The ways in which members share a group, each with what its members have to be told.

/// How a group shares its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    Cooperative,
    Eager,
    /// KIP-848: the broker assigns, and sets heartbeat and session time-out.
    ByBroker,
    /// Members have names, so a restart is no rebalance.
    Static,
    StaticByBroker,
}

/// What the members expect of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Nobody dies without a word, so nobody has to be missed soon; a machine that is too busy to
    /// send heartbeats must not look like a death.
    Patient,
    /// A dead member is missed within seconds.
    Short,
}

impl Membership {
    pub(crate) const ALL: [Self; 5] =
        [Self::Cooperative, Self::Eager, Self::ByBroker, Self::Static, Self::StaticByBroker];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cooperative => "cooperative-sticky",
            Self::Eager => "eager range",
            Self::ByBroker => "KIP-848",
            Self::Static => "static, cooperative",
            Self::StaticByBroker => "static, KIP-848",
        }
    }

    /// Properties for librdkafka, as in a configuration file.
    pub(crate) fn properties(self, slot: usize, sessions: Sessions) -> String {
        let session = match (sessions, self) {
            // A stopped static member keeps its partitions until it comes back or times out.
            (Sessions::Patient, Self::Static) => 12_000,
            (Sessions::Patient, _) => 45_000,
            (Sessions::Short, _) => 5_000,
        };
        let classic = format!("session.timeout.ms: {session}, heartbeat.interval.ms: 500");
        let id = format!("group.instance.id: member-{slot}");
        match self {
            Self::Cooperative => classic,
            Self::Eager => format!("{classic}, partition.assignment.strategy: range"),
            Self::ByBroker => "group.protocol: consumer".to_owned(),
            Self::Static => format!("{classic}, {id}"),
            Self::StaticByBroker => format!("group.protocol: consumer, {id}"),
        }
    }
}
