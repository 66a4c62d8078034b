# Runs one Kafka broker for the test process at the other end of standard input.
#
# usage: broker.sh DIRECTORY CLASSPATH CLUSTER_ID   (DIRECTORY holds server.properties)
#
# Each line read is the name of a signal for the broker: TERM, KILL, STOP, CONT. End of input means
# that the test process is gone or done, however it went: the kernel closes a pipe after SIGKILL too.
# Then the broker is killed and DIRECTORY removed. Ends with the broker, and with its exit status.

directory=$1
export CLASSPATH="$2"
cluster=$3
exec 3<&0

# A quick start matters more than peak speed: no optimising compiler, no garbage collector threads.
set -- java -Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dorg.slf4j.simpleLogger.showDateTime=true \
    -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
    -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn

(
    if [ ! -f "$directory/data/meta.properties" ]; then
        "$@" kafka.tools.StorageTool format --config "$directory/server.properties" \
            --cluster-id "$cluster" || exit
    fi
    exec "$@" kafka.Kafka "$directory/server.properties"
) </dev/null 3<&- &
broker=$!
echo "$broker" >"$directory/pid"

(
    while read -r signal <&3; do
        kill -s "$signal" "$broker"
    done
    # From here on the main shell's TERM must not stop the cleaning up.
    trap '' TERM
    kill -s KILL "$broker" 2>/dev/null
    while kill -0 "$broker" 2>/dev/null; do sleep 0.02; done
    rm -rf -- "$directory"
    # The cluster's own directory goes with its last broker.
    rmdir -- "${directory%/*}" 2>/dev/null
) &
warden=$!

wait "$broker"
status=$?
kill -s TERM "$warden" 2>/dev/null
wait "$warden"
exit "$status"
