-- Leave a person whose inbox is empty: the look and the unlock are one step, so no text falls between them.
--   KEYS lease:{who} inbox:{who} agenda waiting again:{who}    ARGV token, who
-- Returns 1 closed, 0 a text is waiting (the lease stays mine), -1 the lease is not mine.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
if redis.call('XLEN', KEYS[2]) > 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[5], 'visit:' .. ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[2])
return 1
