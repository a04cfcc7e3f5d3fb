-- Stop a place, or only the person to whom the refused message was to go.
--
-- KEYS[1] circuits
-- KEYS[2] circuit of the place
-- KEYS[3] its probe
-- KEYS[4] circuit of the person
-- KEYS[5] its probe
-- KEYS[6] circuit:suspected:{place}
-- ARGV[1] part of the key of the place; empty for the account, which is in no list
-- ARGV[2] part of the key of the person
-- ARGV[3] who
-- ARGV[4] how many people must have been refused before the place is stopped
-- ARGV[5] reason
-- ARGV[6] `answer` or `report`
-- ARGV[7] milliseconds between two probes at first
-- ARGV[8] milliseconds between two probes at most
-- ARGV[9] the same for the person
-- ARGV[10] milliseconds for which a suspicion is kept
-- ARGV[11] milliseconds for which an open circuit is kept
--
-- Messages that were under way when the circuit opened are refused too: only a refusal that comes at least a pause
-- after the last counts, and doubles the pause.
--
-- Returns {1 if the place is stopped, 2 if the person is; 1 if that is new, else 0}.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function stop(circuit, probe, name, most)
  local fresh = redis.call('HSETNX', circuit, 'since', string.format('%.0f', now))
  local times, last, pause = unpack(redis.call('HMGET', circuit, 'times', 'last', 'pause'))
  times, last, pause = tonumber(times or 0), tonumber(last or 0), tonumber(pause or 0)
  if now >= last + pause then
    pause = math.min(most, ARGV[7] * 2 ^ math.min(times, 20))
    redis.call('HSET', circuit, 'times', times + 1, 'last', string.format('%.0f', now),
      'pause', string.format('%.0f', pause))
    redis.call('SET', probe, '1', 'PX', string.format('%.0f', pause))
  end
  redis.call('HSET', circuit, 'reason', ARGV[5], 'by', ARGV[6])
  if name == '' then
    redis.call('PERSIST', circuit)
  else
    redis.call('PEXPIRE', circuit, ARGV[11])
    redis.call('ZADD', KEYS[1], 'NX', now, name)
  end
  return fresh
end

if tonumber(ARGV[4]) > 1 and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SADD', KEYS[6], ARGV[3])
  redis.call('PEXPIRE', KEYS[6], ARGV[10])
  if redis.call('SCARD', KEYS[6]) < tonumber(ARGV[4]) then
    return {2, stop(KEYS[4], KEYS[5], ARGV[2], tonumber(ARGV[9]))}
  end
  -- these people's own circuits are closed together with the place
  redis.call('PEXPIRE', KEYS[6], ARGV[11])
end
return {1, stop(KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[8]))}
