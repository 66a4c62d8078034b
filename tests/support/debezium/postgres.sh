# Runs one PostgreSQL server for the test process at the other end of standard input.
#
# usage: postgres.sh DIRECTORY BIN PORT   (DIRECTORY is empty, BIN holds initdb and postgres)
#
# End of input means that the test process is gone or done, however it went: the kernel closes a pipe
# after SIGKILL too. Then the server is stopped at once and DIRECTORY removed. Ends with the server,
# and with its exit status.

directory=$1
bin=$2
port=$3
exec 3<&0

# The server refuses to run as root. Only the ids change, so the process stays the one we started.
set --
if [ "$(id -u)" = 0 ]; then
    user=postgres
    id -u "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$directory" || exit
    set -- setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups
fi

(
    cd "$directory" || exit
    "$@" "$bin/initdb" --pgdata "$directory/data" --username shop --auth trust \
        --encoding UTF8 --locale C --no-sync || exit
    # What Debezium asks for, and no care for the data: it is gone in a minute anyway.
    exec "$@" "$bin/postgres" -D "$directory/data" -p "$port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c timezone=UTC \
        -c wal_level=logical -c max_replication_slots=32 -c max_wal_senders=32 \
        -c fsync=off -c full_page_writes=off
) </dev/null 3<&- &
server=$!
echo "$server" >"$directory/pid"

(
    while read -r _ <&3; do :; done
    # From here on the main shell's TERM must not stop the cleaning up.
    trap '' TERM
    # QUIT makes the server take its children and its shared memory along, which KILL would not. It is
    # said again because initdb, still running, does not hear it.
    while kill -s QUIT "$server" 2>/dev/null; do sleep 0.05; done
    rm -rf -- "$directory"
) &
warden=$!

wait "$server"
status=$?
kill -s TERM "$warden" 2>/dev/null
wait "$warden"
exit "$status"
