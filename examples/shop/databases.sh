#!/bin/bash
# databases.sh COMMAND...: runs a command with its own PostgreSQL and Redis servers, and with the
# tables of schema.sql. The servers listen on sockets in a temporary folder, and end with the
# command.

set -euo pipefail

schema=$(cd "$(dirname "$0")" && pwd)/schema.sql
folder=$(mktemp -d "${TMPDIR:-/tmp}/shop.XXXXXX")
# On Debian the programs of a PostgreSQL server are not in PATH.
if ! command -v initdb >/dev/null; then
    PATH=$PATH:$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
fi

# A PostgreSQL server refuses to run as root.
as_postgres() {
    if [[ $(id -u) == 0 ]]; then
        (cd / && runuser -u postgres -- env "PATH=$PATH" "$@")
    else
        "$@"
    fi
}

clean_up() {
    as_postgres pg_ctl --pgdata "$folder/postgres" --silent --mode fast stop >/dev/null 2>&1 || :
    redis-cli -s "$folder/redis.sock" shutdown nosave >/dev/null 2>&1 || :
    rm -rf "$folder"
}
trap clean_up EXIT

if [[ $(id -u) == 0 ]]; then chown postgres "$folder"; fi
chmod 711 "$folder"
as_postgres initdb --pgdata "$folder/postgres" --username shop --auth trust --encoding UTF8 \
    --no-sync >/dev/null
as_postgres pg_ctl --pgdata "$folder/postgres" --silent --wait --log "$folder/postgres/log" \
    --options "-c listen_addresses= -c unix_socket_directories=$folder -c fsync=off" start >&2 ||
    { cat "$folder/postgres/log" >&2; exit 1; }
redis-server --unixsocket "$folder/redis.sock" --port 0 --save '' --daemonize yes --dir "$folder" \
    --logfile "$folder/redis.log" >/dev/null
for ((tries = 0; ; tries++)); do
    if redis-cli -s "$folder/redis.sock" ping >/dev/null 2>&1; then break; fi
    if ((tries == 1000)); then cat "$folder/redis.log" >&2; exit 1; fi
    sleep 0.01
done

export DATABASE_URL="postgresql://shop@/postgres?host=$folder" REDIS_URL="unix://$folder/redis.sock"
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --dbname "$DATABASE_URL" --file "$schema"
"$@"
