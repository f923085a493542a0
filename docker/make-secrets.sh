#!/bin/sh
# Makes the secrets that docker-compose.yml mounts: random passwords, and the two database URLs with them.
# What is there already stays. Usage: sh docker/make-secrets.sh [folder]
set -eu
folder="${1:-secrets}"

umask 077
mkdir -p "$folder"
# The folder is closed to others. The files are not: each is mounted by itself, and read in the container by
# another user than you.
chmod 700 "$folder"
printf '*\n' > "$folder/.gitignore"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# No newline at the end: a password is taken as it stands in the file.
keep() { [ -s "$folder/$1" ] || printf '%s' "$2" > "$folder/$1"; }

keep postgres_password "$(random)"
keep migrator_password "$(random)"
keep broker_password "$(random)"
keep migrate_database_url "postgres://writ_migrator:$(cat "$folder/migrator_password")@postgres:5432/writ"
keep database_url "postgres://writ_broker_login:$(cat "$folder/broker_password")@postgres:5432/writ"
# The broker's own AWS identity; without keys the SDK asks the machine's role.
keep aws_credentials "[default]
"
chmod 644 "$folder"/*_password "$folder"/*_url "$folder"/aws_credentials
