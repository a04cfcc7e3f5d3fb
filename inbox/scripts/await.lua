-- Note that a person waits for a place.
--
-- KEYS[1] circuit of the place
-- KEYS[2] circuit:waiting:{place}
-- ARGV[1] who
-- ARGV[2] milliseconds for which this is kept
--
-- Returns 1 noted, 0 nothing noted because the place is open again.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
