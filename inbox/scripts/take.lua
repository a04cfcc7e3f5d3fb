-- Take the lease on a person, if it is free and the person is known.
--   KEYS lease:{who} people rung:{who}    ARGV who, token, milliseconds
-- Returns {0} where somebody else serves, {-1} for an unknown person, {1, now in milliseconds, user id}.
-- the bell that led here is heard, whoever serves: from now on the next text rings again
redis.call('DEL', KEYS[3])
local user = redis.call('HGET', KEYS[2], ARGV[1])
if not user then return {-1} end
if not redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then return {0} end
-- left by a visit that neither closed nor parked: its worker died
local died = redis.call('SET', 'visit:' .. ARGV[1], '1', 'GET') and 1 or 0
local clock = redis.call('TIME')
return {1, clock[1] * 1000 + math.floor(clock[2] / 1000), user, died}
