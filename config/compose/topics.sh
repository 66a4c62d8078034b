#!/bin/bash
# Creates the topics of the compose environment. Runs once, and changes nothing when they exist.
#
# ldsink refuses to start while a topic that a route names is missing: silence would look like health.
set -euo pipefail

tools=${KAFKA_TOOLS:-/opt/kafka/bin}

create() {
    "$tools/kafka-topics.sh" --bootstrap-server "$BOOTSTRAP_SERVERS" \
        --create --if-not-exists --replication-factor 1 --topic "$@"
}

# Partitions are the unit of parallel work: six let several ldsinks share the topic.
create shop.public.orders --partitions 6
# Dead letters stay until somebody has looked at them. One partition is the easiest to read.
create ldsink.dead-letters --partitions 1 --config retention.ms=-1
