#!/usr/bin/env bash
# Start Amazon's DynamoDB Local in Docker on port 8000, with its data on disk.
#
#   scripts/run_dynamodb_local.sh [folder for the data, default .data/dynamodb-local]
#
# Then:  AWS_ENDPOINT_URL=http://localhost:8000 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=fakeAccessKeyId \
#        AWS_SECRET_ACCESS_KEY=fakeSecretAccessKey python app_persistent.py
set -euo pipefail
name=dadacat-dynamodb-local
data=${1:-"$(cd "$(dirname "$0")/.." && pwd)/.data/dynamodb-local"}
command -v docker >/dev/null || { echo "docker is not installed; 'scripts/up' runs a store without it" >&2; exit 1; }
docker info >/dev/null 2>&1 || { echo "the Docker engine does not answer: check that it runs" >&2; exit 1; }
mkdir -p "$data"
data=$(cd "$data" && pwd)  # Docker reads a relative path as a volume name
docker rm --force "$name" >/dev/null 2>&1 || true
docker run --detach --name "$name" --publish 127.0.0.1:8000:8000 --user "$(id -u):$(id -g)" --volume "$data:/data" \
  amazon/dynamodb-local -jar DynamoDBLocal.jar -sharedDb -dbPath /data -disableTelemetry >/dev/null
ready=
for _ in $(seq 150); do
  # Docker's proxy accepts connections before the store runs: wait for an answer, not for the open port
  if (exec 3<>/dev/tcp/127.0.0.1/8000; printf 'GET / HTTP/1.0\r\n\r\n' >&3; IFS= read -r -t 2 _ <&3) 2>/dev/null; then
    ready=1
    break
  fi
  sleep 0.1
done
[ -n "$ready" ] || { echo "DynamoDB Local does not answer; see: docker logs $name" >&2; exit 1; }
echo "DynamoDB Local answers on http://localhost:8000; its data is in $data; stop it with: docker rm --force $name"
