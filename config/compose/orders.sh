#!/bin/bash
# Writes changes to an orders table for ever, shaped as Debezium captures them from PostgreSQL, so
# that there is something to see. About ORDERS_PER_SECOND of them are new orders; 0 writes nothing.
#
# Beside what flows, there is some of what does not: updates, deletes with their tombstones and test
# orders (filtered), and now and then an order without a user and a line that is no JSON (dead
# letters, so the alert about them is right to fire).
set -euo pipefail

tools=${KAFKA_TOOLS:-/opt/kafka/bin}
rate=${ORDERS_PER_SECOND:-20}
topic=shop.public.orders
# Unlike anything in the records.
separator='|'
tombstone=NULL

if [[ ! $rate =~ ^(0|[1-9][0-9]{0,4})$ ]]; then
    printf 'ORDERS_PER_SECOND is %q; give a whole number from 0 to 99999\n' "$rate" >&2
    exit 2
fi

# Sets `now` to the microseconds since 1970.
look_at_the_clock() {
    now=${EPOCHREALTIME//[!0-9]/}
}

# row ID USER STATUS CENTS: the row as JSON, in `row`.
row() {
    printf -v row '{"id":%d,"user_id":%s,"org_id":"org-%d","status":"%s","total":%d.%02d,"created_at":%d}' \
        "$1" "$2" $(($1 % 40)) "$3" $(($4 / 100)) $(($4 % 100)) "$now"
}

# change OP BEFORE AFTER: one line for the producer, with the order's key.
change() {
    printf '{"id":%d}%s{"before":%s,"after":%s,"source":{"connector":"postgresql","db":"shop","schema":"public","table":"orders"},"op":"%s","ts_ms":%d}\n' \
        "$id" "$separator" "$2" "$3" "$1" $((now / 1000))
}

order() {
    local user=\"u-$((RANDOM % 5000))\" status=paid cents=$((500 + RANDOM % 20000)) row created
    ((RANDOM % 20 > 0)) || status="test"
    ((RANDOM % 500 > 0)) || user=null
    row "$id" "$user" "$status" "$cents"
    created=$row
    change c null "$created"
    if ((RANDOM % 5 == 0)); then
        row "$id" "$user" shipped "$cents"
        change u "$created" "$row"
    elif ((RANDOM % 50 == 0)); then
        change d "$created" null
        printf '{"id":%d}%s%s\n' "$id" "$separator" "$tombstone"
    elif ((RANDOM % 1000 == 0)); then
        printf '{"id":%d}%sthis is no JSON\n' "$id" "$separator"
    fi
}

orders() {
    local id now n amount
    look_at_the_clock
    # Higher than in any earlier run.
    id=$now
    while true; do
        # Once a minute, a sale: four times as many, for ten seconds.
        amount=$rate
        ((SECONDS % 60 < 50)) || amount=$((rate * 4))
        look_at_the_clock
        for ((n = 0; n < amount; n++)); do
            id=$((id + 1))
            order
        done
        sleep 1
    done
}

orders | "$tools/kafka-console-producer.sh" --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "$topic" \
    --reader-property parse.key=true \
    --reader-property "key.separator=$separator" \
    --reader-property "null.marker=$tombstone"
