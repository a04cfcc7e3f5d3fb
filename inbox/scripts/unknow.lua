-- Forget whose hash it is, where nothing of his waits.    KEYS inbox:{who} people    ARGV who    Returns 1, or 0: something waits.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
