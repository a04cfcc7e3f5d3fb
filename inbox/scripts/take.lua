-- Take the lease on a person, if it is free and the person is known.
--
-- KEYS[1] lease:{who}
-- KEYS[2] people
-- KEYS[3] rung:{who}
-- KEYS[4] visit:{who}
-- KEYS[5] inbox:{who}
-- KEYS[6] agenda
-- ARGV[1] who
-- ARGV[2] token of the new lease
-- ARGV[3] length of the lease in milliseconds
--
-- Returns one of:
--   {0}   another worker holds the lease
--   {-1}  the person is unknown; without a waiting text, no visit is due any more
--   {1, now in milliseconds, user id, 1 if the last visit failed or its worker died, else 0}

-- the wake-up task has been taken, whichever worker serves: the next text pushes a new one
redis.call('DEL', KEYS[3])
local user = redis.call('HGET', KEYS[2], ARGV[1])
if not user then
  if redis.call('EXISTS', KEYS[5]) == 0 then redis.call('ZREM', KEYS[6], ARGV[1]) end
  return {-1}
end
if not redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then return {0} end
-- visit:{who} is still set if the worker of the last visit died or its visit failed
local died = redis.call('EXISTS', KEYS[4])
redis.call('SET', KEYS[4], (died == 1 and 'again ' or '') .. ARGV[2])
local clock = redis.call('TIME')
return {1, clock[1] * 1000 + math.floor(clock[2] / 1000), user, died}
