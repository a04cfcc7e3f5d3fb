-- Release the lease on a person until later, whether or not texts are waiting.
--
-- KEYS[1] lease:{who}
-- KEYS[2] agenda
-- KEYS[3] visit:{who}
-- ARGV[1] token of the lease
-- ARGV[2] who
-- ARGV[3] time of the next visit in milliseconds
-- ARGV[4] 1 if the visit failed, 0 if it ended well
--
-- A visit that ended well while Redis was away says so late, when its lease may be lost.
--
-- Returns 1 released, 0 the lease is lost.
local begun = redis.call('GET', KEYS[3]) or ''
if ARGV[4] == '0' and string.sub(begun, -#ARGV[1]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
return 1
