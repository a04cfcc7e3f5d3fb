-- Delete the user id of a person, if no text is waiting.
--
-- KEYS[1] inbox:{who}
-- KEYS[2] people
-- ARGV[1] who
--
-- Returns 1 deleted, 0 a text is waiting.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
