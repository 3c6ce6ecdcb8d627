#!/bin/sh
# Makes roles, the event store's tables and the grants, and sets the passwords: by PostgreSQL's image when its data folder
# is new, and by hand after every upgrade. It changes nothing that is right already.
#
#   init.sh              as a superuser, with libpq's variables (PGHOST, PGUSER, …) for where
#
# SWITCHBOARD_SQL          the folder of roles.sql, grants.sql and passwords.sql
# SWITCHBOARD_EVENT_STORE  the event store's tables: services/connections/store/event_store.sql
# SWITCHBOARD_PASSWORDS    a folder with a file for each role, called like it, with its password
set -eu

sql="${SWITCHBOARD_SQL:-/etc/switchboard/postgres}"
event_store="${SWITCHBOARD_EVENT_STORE:-/etc/switchboard/store/event_store.sql}"
passwords="${SWITCHBOARD_PASSWORDS:-/run/secrets}"

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "${PGDATABASE:-switchboard}" \
    --username "${PGUSER:-${POSTGRES_USER:-postgres}}" --set "passwords=$passwords" \
    --command 'SET client_min_messages = warning' \
    --file "$sql/roles.sql" \
    --command 'SET ROLE switchboard_owner' \
    --file "$event_store" \
    --file "$sql/grants.sql" \
    --command 'RESET ROLE' \
    --file "$sql/passwords.sql"
