//! Why the source cannot go on, and which of Kafka's errors are such reasons: most pass by themselves.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{CONNECTION, Intake, Source};
use crate::kafka::connection::CreateError;

/// Why the source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the Kafka consumer cannot be created; see `kafka.properties` in the configuration")]
    Create(#[source] CreateError),
    #[error("Kafka refuses us; check credentials and ACLs for the topics and the group")]
    NotAuthorised(#[source] KafkaError),
    #[error(
        "a partition has no committed offset, or one that its log no longer holds, and \
         `auto.offset.reset: error` says not to begin elsewhere; set the group's offsets, or \
         `earliest`"
    )]
    OffsetGone(#[source] KafkaError),
    #[error(
        "the group's committed offsets cannot be read; without them metric events could be counted \
         twice. Check the brokers, and that the group may be described"
    )]
    CommittedUnread(#[source] KafkaError),
    #[error("an assignment cannot be taken up")]
    Assign(#[source] KafkaError),
    #[error("a partition cannot be read again from where the configuration before left it")]
    Seek(#[source] KafkaError),
    #[error("the commit thread has ended; this is a fault of ldsink, please report it")]
    CommitterGone,
    #[error("the Kafka consumer failed for good")]
    Fatal(#[source] KafkaError),
}

impl<I: Intake> Source<I> {
    /// Sorts an error of `poll`: most pass by themselves, a few never do.
    pub(super) fn judge(&self, error: KafkaError) -> Result<(), SourceError> {
        let code = error.rdkafka_error_code();
        match (&error, code) {
            (KafkaError::MessageConsumptionFatal(_), _) => Err(SourceError::Fatal(error)),
            (_, Some(RDKafkaErrorCode::AutoOffsetReset)) => Err(SourceError::OffsetGone(error)),
            (
                _,
                Some(
                    RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
                    | RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SaslAuthenticationFailed,
                ),
            ) => Err(SourceError::NotAuthorised(error)),
            (
                _,
                Some(
                    RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut,
                ),
            ) => {
                // The client reconnects by itself; one line per outage is enough.
                if self.reports.health.fault(CONNECTION, error.to_string()) {
                    tracing::warn!(%error, "kafka cannot be reached; the client keeps trying");
                }
                Ok(())
            }
            _ => {
                tracing::warn!(%error, "kafka consumer");
                Ok(())
            }
        }
    }
}
