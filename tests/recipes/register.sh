#!/bin/sh
# RELAY_URL=http://localhost:8080 RELAY_TOKEN=… sh register.sh TASK_ID CALLBACK_URL
# It is safe to ask again: the same registration is made once. The token stays out of the list of processes.
set -eu
printf 'header = "authorization: Bearer %s"\n' "$RELAY_TOKEN" |
  curl --config - --silent --show-error --fail-with-body --max-time 30 --retry 4 --retry-connrefused \
    --header 'content-type: application/json' --data "{\"task_id\": \"$1\", \"callback_url\": \"$2\"}" \
    "$RELAY_URL/v1/registrations"
