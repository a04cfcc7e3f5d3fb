-- Push a task unless the same one was requested a moment ago.
--
-- KEYS[1] reminded:{who} for a person's memory task, reminded:#count for the recount
-- KEYS[2] the task queue
-- ARGV[1] the task message
-- ARGV[2] milliseconds until it may be pushed again
--
-- Returns 1 pushed, 0 not pushed.
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
