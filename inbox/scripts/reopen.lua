-- Allow sending through some places again.
--
-- KEYS[1] circuits
-- KEYS[4i-2] circuit of place i
-- KEYS[4i-1] its probe
-- KEYS[4i]   circuit:waiting:{place}
-- KEYS[4i+1] circuit:suspected:{place}
-- ARGV[1] why: `accepted` or `delivered` of a message, `cause` if the place was stopped because of another one
-- ARGV[2] milliseconds after which an accepted message counts as proof, if a report stopped the place
-- ARGV[3] when the delivered message was sent, in milliseconds of this clock
-- ARGV[i+3] part of the key of place i; empty for the account
--
-- Returns for each place {} if it stays as it is,
-- else {people who were refused because of it, people who wait for it, why it was stopped}.
local function reopen(circuit, probe, waiting, suspected, name)
  local open = redis.call('EXISTS', circuit) == 1
  local reported = open and redis.call('HGET', circuit, 'by') == 'report'
  if ARGV[1] == 'delivered' then
    -- it works: what one person was refused lies with that person
    if not open then redis.call('DEL', suspected) end
    -- one that was sent before the place was stopped, such as one that is read now, proves nothing
    if not reported or tonumber(redis.call('HGET', circuit, 'since')) > tonumber(ARGV[3]) then return {} end
  elseif reported and ARGV[1] == 'accepted' then
    redis.call('PEXPIRE', circuit, ARGV[2])
    return {}
  end
  if not open then return {} end
  local reason = redis.call('HGET', circuit, 'reason') or ''
  local outcome = {redis.call('SMEMBERS', suspected), redis.call('SMEMBERS', waiting), reason}
  redis.call('DEL', circuit, probe, waiting, suspected)
  redis.call('ZREM', KEYS[1], name)
  return outcome
end

local outcomes = {}
for i = 1, #ARGV - 3 do
  outcomes[i] = reopen(KEYS[4 * i - 2], KEYS[4 * i - 1], KEYS[4 * i], KEYS[4 * i + 1], ARGV[i + 3])
end
return outcomes
