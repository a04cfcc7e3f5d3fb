-- Give back the lease of a dead worker, so that its person is served at once.
--
-- Only after the first death: a text that kills its worker must not run through its tries, and through the workers of
-- this machine, within seconds. From the second death on the lease expires by itself.
--
-- KEYS[1] lease:{who}
-- KEYS[2] agenda
-- KEYS[3] visit:{who}
-- ARGV[1] token of the lease
-- ARGV[2] who
--
-- Returns 1 given back, 0 the lease is lost or expires by itself.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if string.sub(redis.call('GET', KEYS[3]) or '', 1, 5) == 'again' then return 0 end
redis.call('DEL', KEYS[1])
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[2], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[2])
return 1
