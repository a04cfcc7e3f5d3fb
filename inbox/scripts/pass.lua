-- May this send go ahead?    KEYS circuit circuit:probe    ARGV milliseconds between probes
-- Returns {1} closed: go; {2} open, and this one is the probe; {0, milliseconds until the next probe, reason}.
local reason = redis.call('HGET', KEYS[1], 'reason')
if not reason then return {1} end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return {2} end
return {0, redis.call('PTTL', KEYS[2]), reason}
