-- Forget a place whose circuit has expired. Who begins to wait meanwhile waits for a circuit that is open again.
--
-- KEYS[1] circuits
-- KEYS[2] circuit of the place
-- KEYS[3] circuit:waiting:{place}
-- ARGV[1] part of the key of the place; empty for the account
--
-- Returns the people who wait for it, {} if it is open.
if redis.call('EXISTS', KEYS[2]) == 1 then return {} end
local waiting = redis.call('SMEMBERS', KEYS[3])
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[1], ARGV[1])
return waiting
