#!/bin/bash
# Succeeds when a GET on this host is answered with 200: health checks without curl in the image.
#
# usage: probe PORT PATH
set -euo pipefail

# bash opens the connection itself; the image's sh would not.
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
read -r -t 2 _ status _ <&3
if [[ $status != 200 ]]; then
    # What the health log keeps: the answer's last line names the reasons.
    printf '%s answered %s: %s\n' "$2" "$status" "$(tail -n 1 <&3)" >&2
    exit 1
fi
