-- Make delivery reports durable and push a task that drains them.
--
-- KEYS[1] receipts
-- KEYS[2] receipts:rung
-- KEYS[3] the task queue
-- ARGV[1] the task message
-- ARGV[2] milliseconds for which no second task is pushed, unless a drain begins earlier and deletes KEYS[2]
-- ARGV[3...] encoded reports
--
-- Returns 1 for each report.
local outcomes = {}
for i = 3, #ARGV do
  redis.call('XADD', KEYS[1], '*', 'report', ARGV[i])
  outcomes[i - 2] = 1
end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then
  redis.call('LPUSH', KEYS[3], ARGV[1])
end
return outcomes
