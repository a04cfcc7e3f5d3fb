-- End a visit and release the lease if the inbox is empty.
--
-- The check and the release are one step, so no text can arrive between them.
--
-- KEYS[1] lease:{who}
-- KEYS[2] inbox:{who}
-- KEYS[3] agenda
-- KEYS[4] waiting
-- KEYS[5] again:{who}
-- KEYS[6] visit:{who}
-- KEYS[7] served
-- ARGV[1] token of the lease
-- ARGV[2] who
--
-- Returns 1 closed, 0 a text is waiting (the lease is kept), -1 the lease is lost.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
if redis.call('XLEN', KEYS[2]) > 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[2])
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[7], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[2])
return 1
