-- Ask for a person's memory to be brought up to date, unless that was asked a moment ago.
--   KEYS reminded:{who} doorbells    ARGV doorbell, milliseconds until it may be asked again
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
