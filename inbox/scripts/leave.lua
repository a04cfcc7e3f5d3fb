-- Leave a duty that one worker does at a time.    KEYS lease:{duty}    ARGV token    Returns 1, or 0: it is not mine any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
