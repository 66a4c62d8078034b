# Runs a service of docker-compose.yml for the test process at the other end of standard input, with a
# process group where a container has a process namespace.
#
# usage: container.sh PID_FILE COMMAND...   (PID_FILE gets the number of the group and its first process)
#
# As for a container, a signal goes to the first process, and with that one everything it started ends.
# Each line read is the name of a signal: TERM, KILL, STOP, CONT. End of input means that the test process
# is gone or done, however it went: the kernel closes a pipe after SIGKILL too. Then the group is killed.
# Ends with the first process, and with its exit status.

pid_file=$1
shift
exec 3<&0
set -m # each job gets a group of its own

"$@" </dev/null 3<&- &
first=$!
echo "$first" >"$pid_file"

{
    while read -r signal <&3; do
        kill -s "$signal" "$first"
    done
    # From here on the main shell's TERM must not stop the killing.
    trap '' TERM
    kill -s KILL -- "-$first"
} 2>/dev/null &
warden=$!

wait "$first"
status=$?
kill -s KILL -- "-$first" 2>/dev/null
kill -s TERM "$warden" 2>/dev/null
wait "$warden" 2>/dev/null
exit "$status"
