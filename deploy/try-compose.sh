#!/usr/bin/env bash
# Try deploy/compose on a Docker engine, with the simulator and DynamoDB Local: about ten minutes. It builds the image,
# starts everything under a project name of its own, texts the cat, kills containers, backs up and restores, and removes
# everything. Nothing is published on the host. Docker 24 and compose 2.24 or later; DOCKER_HOST chooses the engine,
# which must see this folder, because compose mounts files of it.
#
# PULL=never: use the images that are there. KEEP=yes: leave everything running at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
project=dadacat-try-$$
work=$(mktemp -d "$PWD/deploy/compose/try.XXXXXX")
export SECRETS=$work/secrets
say() { printf '\n[%3d s] %s\n' "$SECONDS" "$*"; }
fail() { say "FAILED: $*"; exit 1; }
# Nothing of the caller's environment reaches the installation: it would override the trial's addresses.
clean() {
  local kept=() name
  for name in PATH HOME SECRETS DOCKER_HOST DOCKER_CONFIG DOCKER_CONTEXT DOCKER_CERT_PATH DOCKER_TLS_VERIFY \
    PYTHON_IMAGE REDIS_IMAGE DYNAMODB_IMAGE CADDY_IMAGE; do
    [ -z "${!name:-}" ] || kept+=("$name=${!name}")
  done
  env -i "${kept[@]}" "$@"
}
compose() {
  clean docker compose --project-directory . --project-name "$project" --env-file deploy/compose/trial.env \
    --file docker-compose.yml --file deploy/compose/production.yml --file "$work/try.yml" "$@"
}
finish() {
  local code=$?
  if [ "$code" != 0 ]; then compose ps --all || true; compose logs --tail 10 || true; fi
  if [ -z "${KEEP:-}" ]; then
    compose down --volumes --remove-orphans --timeout 50 >/dev/null 2>&1 || true
    rm -rf "$work"
  fi
  exit "$code"
}
trap finish EXIT
texts() { compose exec -T simulator python - "$@" < scripts/compose_texts.py; }
up() {
  compose up --detach --wait --wait-timeout 600 --pull "${PULL:-missing}" --no-build "$@" >"$work/up.log" 2>&1 ||
    { tail -5 "$work/up.log"; fail "compose up"; }
}
# a busy machine needs minutes
answered() { texts wait 600 || fail "not every text has exactly one reply"; }
# strike SERVICE SECONDS: kill its first container, and start it again later
strike() {
  local container
  # not `| head -1`: with pipefail, a command that writes on after it has ended fails
  container=$(compose ps --quiet "$1")
  container=${container%%$'\n'*}
  clean docker kill "$container" >/dev/null
  say "killed $1; starting it again after $2 s"
  sleep "$2"  # how long it is away
  clean docker start "$container" >/dev/null
}
turns() {
  compose exec -T --index "$1" worker python -c '
import re, urllib.request
page = urllib.request.urlopen("http://127.0.0.1:9464/metrics").read().decode()
print(int(sum(float(n) for n in re.findall(r"^dadacat_turns_total\{.*\} (.*)$", page, re.M))))'
}

cat > "$work/try.yml" <<'END'
services:
  webhook: {ports: !reset []}
  simulator: {ports: !reset []}
  caddy: {ports: !reset []}
END
deploy/compose/make-secrets --trial

say "the engine"
clean docker version --format 'server {{.Server.Version}}'
clean docker compose version
say "building one image"
compose build --quiet
[ "$(compose config --images | sort -u | grep -c '^dadacat$')" = 1 ] || fail "more than one image of ours"

say "up --wait"
up
compose ps --format 'table {{.Service}}\t{{.Status}}'

say "a text, by TLS through Caddy"
compose exec -T simulator dadacat text "hello" --wait 120 2>/dev/null
count=$(texts wait 60) || fail "the text is not answered: $count"
[ "${count%%,*}" = "1 texts" ] || fail "$count"
compose exec -T simulator python -c '
import json, urllib.request
asked = json.load(urllib.request.urlopen("http://127.0.0.1:8401/requests"))
urls = {request["url"] for request in asked}
assert urls and all(url.startswith("https://cat.example.org/sms") for url in urls), urls
print("the simulator called", *sorted(urls))'

say "the operator's pages, by TLS through Caddy"
compose exec -T -e LOGIN="$(cat "$SECRETS/console-login")" simulator python - <<'END'
import http.cookiejar, os, re, urllib.error, urllib.parse, urllib.request

console = "https://cat.example.org:8405"
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))


def post(name, password):
    form = urllib.parse.urlencode({"name": name, "password": password}).encode()
    # a client's own headers of this kind count for nothing
    forged = {"Origin": console, "X-Forwarded-For": "192.0.2.66", "X-Console-Proxy-Secret": "forged",
              "X-Forwarded-User": "operator"}
    try:
        return browser.open(urllib.request.Request(console + "/login", form, forged)).status
    except urllib.error.HTTPError as error:
        return error.code


def page(path):
    return browser.open(console + path).read().decode()


assert "Every text is answered" not in page("/"), "without a login the overview is shown"
name, _, password = os.environ["LOGIN"].partition(":")
assert post(name, "a wrong password") == 403
assert post(name, password) == 200
assert "Every text is answered" in page("/"), "no overview"
assert "192.0.2.66" not in page("/audit"), "a forged address is believed"
health = page("/health")
version = re.search(r"<dt>Redis</dt><dd>(\d+)\.(\d+)", health)
# an older Redis lists no library's name, only Celery's connections
roles = ("webhook", "worker", "console") if (int(version[1]), int(version[2])) >= (7, 2) else ("worker",)
missing = [role for role in roles if f">{role}<" not in health]
assert not missing, f"{missing} are missing among the processes of Redis {version[0]}"
try:
    urllib.request.urlopen("https://cat.example.org:8402/")
    raise SystemExit("Flower asks for no login")
except urllib.error.HTTPError as error:
    assert error.code == 401, error
print("the console's login, overview, audit log and health; Flower asks for its login")
END

say "--scale worker=3 shares the work"
up --no-recreate --scale worker=3
texts send 100 30 3 15
answered
for index in 1 2 3; do
  count=$(turns "$index")
  echo "worker $index: $count turns"
  [ "$count" -gt 0 ] || fail "worker $index did nothing"
done

say "docker kill of a worker, of redis and of the webhook, under 4 texts a second"
texts send 200 60 3 45 &
sending=$!
sleep 3  # texts are in every stage by then
strike worker 5
strike redis 3
strike webhook 3
wait "$sending" || fail "the simulator took no texts"
up --scale worker=3
answered
compose ps --all worker beat
compose logs --tail 20 worker beat | cut -c1-160

say "backup, more texts, restore"
runner="docker compose --project-directory . --project-name $project --env-file deploy/compose/trial.env"
runner+=" --file docker-compose.yml --file deploy/compose/production.yml --file $work/try.yml"
texts send 300 20 2 5 &
sending=$!
clean env "COMPOSE=$runner" deploy/compose/backup "$work/redis.rdb"
wait "$sending"
clean env "COMPOSE=$runner" deploy/compose/restore "$work/redis.rdb" 2>&1 | tail -1
up --scale worker=3
answered

say "what each user of Redis may do"
as() {
  local password
  password=$(cat "$SECRETS/redis-password-$1")
  compose exec -T redis redis-cli --no-auth-warning --user "$1" --pass "$password" "${@:2}" 2>&1 || true
}
denied() { as "$@" | grep NOPERM >/dev/null || fail "$1 may: ${*:2}"; echo "$1 may not: ${*:2}"; }
denied webhook FLUSHALL
denied worker SHUTDOWN
denied worker CONFIG SET appendonly no
denied console CONFIG SET appendonly no
denied beat HGETALL people
denied flower XRANGE inbox:x - +
denied backup GET epoch
compose exec -T redis redis-cli get epoch 2>&1 | grep -E 'NOPERM|NOAUTH' >/dev/null ||
  fail "Redis answers without a password"

if compose logs webhook worker beat flower console simulator 2>&1 | grep NOPERM; then fail "a right is missing"; fi

say "what is in the image"
compose exec -T worker sh -euc '
  [ "$(id -u)" = 10001 ]
  for name in gcc cc make g++ pip; do if command -v "$name"; then exit 1; fi; done
  if touch /opt/dadacat/x 2>/dev/null; then exit 1; fi
  cat /usr/share/doc/dadacat/sbom.cdx.json' | python3 -c '
import json, sys
bill = json.load(sys.stdin)
print(bill["bomFormat"], bill["specVersion"], len(bill["components"]), "components")'
clean docker image inspect dadacat --format '{{json .Config.Labels}} {{.Size}} bytes'

say "down and up keep everything"
compose down --timeout 50 >/dev/null 2>&1
up
texts wait 60
texts send 400 5 1 1
answered
compose exec -T worker dadacat doctor || true
say "every text was answered once"
