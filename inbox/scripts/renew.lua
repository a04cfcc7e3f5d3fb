-- Keep the lease alive, while it is mine.    KEYS lease:{who}    ARGV token, milliseconds    Returns 1, or 0: it is not mine.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
