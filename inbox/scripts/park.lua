-- Leave a person until later, inbox full or not.    KEYS lease:{who} agenda    ARGV token, who, due in milliseconds
-- Returns 1, or 0: the lease is not mine.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[4] == '0' then redis.call('DEL', 'visit:' .. ARGV[2]) end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
return 1
