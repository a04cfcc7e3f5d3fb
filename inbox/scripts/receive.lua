-- receive
-- Delivery reports become durable; a drain is rung for, unless one was within the last second and has not begun.
--   KEYS receipts receipts:rung queue    ARGV doorbell, milliseconds, report...
-- Returns for each report 1.
local told = {}
for i = 3, #ARGV do
  redis.call('XADD', KEYS[1], '*', 'report', ARGV[i])
  told[i - 2] = 1
end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then
  redis.call('LPUSH', KEYS[3], ARGV[1])
end
return told
